// SPDX-License-Identifier: Apache-2.0
#include "api/coupons_json.h"

#include "api/api_json.h"

const struct json_name durability_names[] = {
    { "journal", GATE_DURABLE_JOURNAL },
    { "redis", GATE_DURABLE_REDIS },
    { "ledger", GATE_DURABLE_LEDGER },
    { NULL, 0 },
};

static const struct json_row take_body_rows[] = {
    JSON_INT64(take_body, user_id, "userId", INT64_MIN, INT64_MAX, "Who wants the coupon.", "1000",
               JSON_REQUIRED),
};
const JSON_BODY(take_body, "TakeRequest", "Who wants the coupon.");

static const struct json_row issue_answer_rows[] = {
    JSON_INT64(issue_answer, user_coupon_id, "userCouponId", 1, INT64_MAX, "The user's coupon.",
               "1", JSON_REQUIRED),
    JSON_INT64(issue_answer, coupon_id, "couponId", 1, INT64_MAX, "What it is a coupon of.", "2",
               JSON_REQUIRED),
    JSON_STR(issue_answer, coupon_name, "couponName", 1, 200, "Its name.", "VIP20", JSON_REQUIRED),
    JSON_INT64(issue_answer, discount_rate, "discountRate", 0, 100, "Percent.", "20",
               JSON_REQUIRED),
    JSON_ENUM(issue_answer, status, "status", held_state_names, "AVAILABLE.", "AVAILABLE",
              JSON_REQUIRED),
    JSON_TIME(issue_answer, issued_at_ms, "issuedAt", "When it was issued.", EXAMPLE_TIME,
              JSON_REQUIRED),
    JSON_TIME(issue_answer, expires_at_ms, "expiresAt", "When it expires.", EXAMPLE_TIME,
              JSON_REQUIRED),
    JSON_INT64(issue_answer, remaining_quantity, "remainingQuantity", 0, INT64_MAX,
               "Places left just after this one was given.", "49", JSON_REQUIRED),
    JSON_INT64(issue_answer, sequence_number, "sequenceNumber", 1, INT64_MAX,
               "First come, first served: the user's number.", "1", JSON_REQUIRED),
};
const JSON_ANSWER(issue_answer, "IssuedCoupon", "A coupon that is stored.");

static const struct json_row reserve_answer_rows[] = {
    JSON_INT64(reserve_answer, coupon_id, "couponId", 1, INT64_MAX, "The coupon.", "2",
               JSON_REQUIRED),
    JSON_INT64(reserve_answer, user_id, "userId", 1, INT64_MAX, "Whose place it is.", "1000",
               JSON_REQUIRED),
    JSON_INT64(reserve_answer, sequence_number, "sequenceNumber", 1, INT64_MAX,
               "First come, first served: the user's number.", "1", JSON_REQUIRED),
    JSON_ENUM(reserve_answer, status, "status", held_state_names, "RESERVED.", "RESERVED",
              JSON_REQUIRED),
    JSON_STR(reserve_answer, message, "message", 1, 200, "For people.", "Your place is reserved.",
             JSON_REQUIRED),
    JSON_ENUM(reserve_answer, durability, "durability", durability_names,
              "What the place survives already: `journal` and `redis` a killed server, `ledger`"
              " a power cut.",
              "journal", JSON_REQUIRED),
};
const JSON_ANSWER(reserve_answer, "ReservedCoupon",
                  "A place that is taken; the coupon follows within seconds.");

static const struct json_row coupon_answer_rows[] = {
    JSON_INT64(coupon_answer, coupon_id, "couponId", 1, INT64_MAX, "Id.", "2", JSON_REQUIRED),
    JSON_STR(coupon_answer, name, "name", 1, 200, "Name.", "VIP20", JSON_REQUIRED),
    JSON_INT64(coupon_answer, discount_rate, "discountRate", 0, 100, "Percent.", "20",
               JSON_REQUIRED),
    JSON_INT64(coupon_answer, total_quantity, "totalQuantity", 1, INT64_MAX, "How many there are.",
               "50", JSON_REQUIRED),
    JSON_INT64(coupon_answer, remaining_quantity, "remainingQuantity", 0, INT64_MAX,
               "How many are left.", "49", JSON_REQUIRED),
    JSON_ENUM(coupon_answer, status, "status", coupon_state_names, "Whether it can be had now.",
              "OPEN", JSON_REQUIRED),
    JSON_TIME(coupon_answer, starts_at_ms, "startsAt", "Its window begins.", EXAMPLE_TIME,
              JSON_REQUIRED),
    JSON_TIME(coupon_answer, ends_at_ms, "endsAt", "Its window is over.", EXAMPLE_TIME,
              JSON_REQUIRED),
};
const JSON_ANSWER(coupon_answer, "Coupon", "A coupon.");

static const struct json_row coupon_list_answer_rows[] = {
    JSON_ARRAY(coupon_list_answer, coupons, "coupons", coupon_answer, 0, 100, "By id.",
               JSON_REQUIRED),
    JSON_INT64(coupon_list_answer, total_count, "totalCount", 0, INT64_MAX, "All that match.", "5",
               JSON_REQUIRED),
    JSON_STR(coupon_list_answer, next_cursor, "nextCursor", 1, 100, "Null at the end.", "c-2",
             JSON_NULLABLE(coupon_list_answer, next_cursor)),
};
const JSON_ANSWER(coupon_list_answer, "CouponList", "A page of coupons.");

static const struct json_row held_query_rows[] = {
    PAGE_ROWS(held_query, page.limit, page.cursor, "c-1"),
    JSON_ENUM(held_query, status, "status", held_state_names, "Only those.", "AVAILABLE",
              JSON_OPTIONAL(held_query, status)),
};
const JSON_BODY(held_query, "HeldCouponQuery", "Which of a user's coupons.");

static const struct json_row held_answer_rows[] = {
    JSON_INT64(held_answer, user_coupon_id, "userCouponId", 1, INT64_MAX,
               "The user's coupon; null while it is only reserved.", "1",
               JSON_NULLABLE(held_answer, user_coupon_id)),
    JSON_INT64(held_answer, coupon_id, "couponId", 1, INT64_MAX, "What it is a coupon of.", "2",
               JSON_REQUIRED),
    JSON_STR(held_answer, coupon_name, "couponName", 1, 200, "Its name.", "VIP20", JSON_REQUIRED),
    JSON_INT64(held_answer, discount_rate, "discountRate", 0, 100, "Percent.", "20", JSON_REQUIRED),
    JSON_ENUM(held_answer, status, "status", held_state_names, "Where it is in its life.",
              "AVAILABLE", JSON_REQUIRED),
    JSON_TIME(held_answer, issued_at_ms, "issuedAt", "Null while it is only reserved.",
              EXAMPLE_TIME, JSON_NULLABLE(held_answer, issued_at_ms)),
    JSON_TIME(held_answer, used_at_ms, "usedAt", "When it was last used; null: never.",
              EXAMPLE_TIME, JSON_NULLABLE(held_answer, used_at_ms)),
    JSON_TIME(held_answer, expires_at_ms, "expiresAt", "When it expires.", EXAMPLE_TIME,
              JSON_REQUIRED),
};
const JSON_ANSWER(held_answer, "HeldCoupon", "One person's coupon.");

static const struct json_row held_list_answer_rows[] = {
    JSON_INT64(held_list_answer, user_id, "userId", 1, INT64_MAX, "Whose they are.", "1000",
               JSON_REQUIRED),
    JSON_ARRAY(held_list_answer, coupons, "coupons", held_answer, 0, 100, "Newest first.",
               JSON_REQUIRED),
    JSON_INT64(held_list_answer, total_count, "totalCount", 0, INT64_MAX, "All that match.", "1",
               JSON_REQUIRED),
    JSON_STR(held_list_answer, next_cursor, "nextCursor", 1, 100, "Null at the end.", "c-2",
             JSON_NULLABLE(held_list_answer, next_cursor)),
};
const JSON_ANSWER(held_list_answer, "HeldCouponList", "A page of a user's coupons.");
