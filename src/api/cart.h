// SPDX-License-Identifier: Apache-2.0
/* Handlers and JSON of /api/cart. */
#pragma once
#include "api/api_route.h"

void cart_show(struct api_call *call);
void cart_add(struct api_call *call);
void cart_set(struct api_call *call);
void cart_remove(struct api_call *call);

struct cart_query {
    int64_t user_id;
};
struct cart_add_body {
    int64_t user_id, product_id, quantity;
};
struct cart_set_body {
    int64_t user_id, product_id, quantity;
};
struct cart_remove_body {
    int64_t user_id, product_id;
};
struct cart_item_answer {
    int64_t product_id, unit_price, quantity, subtotal;
    struct str name;
    bool stock_available;
};
struct cart_answer {
    int64_t user_id, total_amount;
    struct cart_item_answer *items;
    size_t items_count;
};
extern const struct json_type cart_query_json, cart_add_body_json, cart_set_body_json,
    cart_remove_body_json, cart_item_answer_json, cart_answer_json;
