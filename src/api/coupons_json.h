// SPDX-License-Identifier: Apache-2.0
/* JSON of /api/coupons and of a user's coupons. */
#pragma once
#include "api/api_page.h"
#include "gate/gate.h"

struct take_body {
    int64_t user_id;
};
struct issue_answer {
    int64_t user_coupon_id, coupon_id, discount_rate, issued_at_ms, expires_at_ms;
    int64_t remaining_quantity, sequence_number;
    struct str coupon_name;
    int status; /* enum held_state */
};
struct reserve_answer {
    int64_t coupon_id, user_id, sequence_number;
    struct str message;
    int status;     /* enum held_state */
    int durability; /* enum gate_durability */
};
struct coupon_answer {
    int64_t coupon_id, discount_rate, total_quantity, remaining_quantity;
    int64_t starts_at_ms, ends_at_ms;
    struct str name;
    int status; /* enum coupon_state */
};
struct coupon_list_answer {
    struct coupon_answer *coupons;
    size_t coupons_count;
    int64_t total_count;
    struct str next_cursor;
    enum json_presence next_cursor_is;
};
struct held_query {
    struct page_query page;
    int status; /* enum held_state */
    enum json_presence status_is;
};
struct held_answer {
    int64_t user_coupon_id, coupon_id, discount_rate, issued_at_ms, used_at_ms, expires_at_ms;
    struct str coupon_name;
    int status; /* enum held_state */
    enum json_presence user_coupon_id_is, issued_at_ms_is, used_at_ms_is;
};
struct held_list_answer {
    int64_t user_id;
    struct held_answer *coupons;
    size_t coupons_count;
    int64_t total_count;
    struct str next_cursor;
    enum json_presence next_cursor_is;
};
extern const struct json_type take_body_json, issue_answer_json, reserve_answer_json,
    coupon_answer_json, coupon_list_answer_json, held_query_json, held_answer_json,
    held_list_answer_json;
