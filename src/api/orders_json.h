// SPDX-License-Identifier: Apache-2.0
/* JSON of /api/orders. */
#pragma once
#include "api/api_page.h"
#include "core/order.h"

enum { ORDER_NUMBER_BYTES = 40 };

struct order_item_body {
    int64_t product_id, quantity;
};
/* The contract's order of checks is kept by the handler: this takes more than it allows. */
struct order_body {
    int64_t user_id, coupon_id;
    struct order_item_body *items;
    size_t items_count;
    struct str idempotency_key;
    enum json_presence coupon_id_is, idempotency_key_is;
};
/* Of a payment and of a cancellation. */
struct order_key_body {
    int64_t user_id;
    struct str idempotency_key;
    enum json_presence idempotency_key_is;
};

struct order_query {
    int64_t user_id;
    struct str status;
    enum json_presence status_is;
    struct page_query page;
};

struct order_item_answer {
    int64_t product_id, quantity, unit_price, subtotal;
    struct str product_name;
};
struct order_answer {
    int64_t order_id, user_id, subtotal_amount, discount_amount, total_amount, created_at_ms;
    struct str order_number;
    struct order_item_answer *items;
    size_t items_count;
    int status; /* enum order_status */
};
struct order_list_answer {
    struct order_answer *orders;
    size_t orders_count;
    int64_t total_count;
    struct str next_cursor;
    enum json_presence next_cursor_is;
};
struct payment_answer {
    int64_t order_id, paid_amount, remaining_balance, paid_at_ms;
    struct str status, data_transmission;
    enum json_presence data_transmission_is;
};
struct complete_answer {
    struct order_answer order;
    struct payment_answer payment;
};

extern const struct json_name order_status_names[]; /* PENDING, COMPLETED, CANCELLED */
extern const struct json_type order_body_json, order_key_body_json, order_query_json,
    order_answer_json, order_list_answer_json, payment_answer_json, complete_answer_json;
