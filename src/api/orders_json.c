// SPDX-License-Identifier: Apache-2.0
#include "api/orders_json.h"

#include "api/api_json.h"

enum { ITEMS_READ_MAX = 1000 };

const struct json_name order_status_names[] = {
    { "PENDING", ORDER_PENDING },
    { "COMPLETED", ORDER_COMPLETED },
    { "CANCELLED", ORDER_CANCELLED },
    { NULL, 0 },
};

static const struct json_row order_item_body_rows[] = {
    JSON_INT64(order_item_body, product_id, "productId", INT64_MIN, INT64_MAX, "What.", "1",
               JSON_REQUIRED),
    JSON_INT64(order_item_body, quantity, "quantity", INT64_MIN, INT64_MAX, "How many, 1 at least.",
               "2", JSON_REQUIRED, JSON_TOLD_MIN(1)),
};
static const JSON_BODY(order_item_body, "OrderItemRequest", "So many of a product.");

static const struct json_row order_body_rows[] = {
    JSON_INT64(order_body, user_id, "userId", INT64_MIN, INT64_MAX, "Who orders.", "4",
               JSON_REQUIRED),
    JSON_ARRAY(order_body, items, "items", order_item_body, 0, ITEMS_READ_MAX,
               "1 to 100; those of one product are added up.", JSON_REQUIRED, JSON_TOLD_MIN(1)),
    JSON_INT64(order_body, coupon_id, "couponId", INT64_MIN, INT64_MAX,
               "A coupon that the user has: its couponId, not a userCouponId.", "1",
               JSON_NULLABLE(order_body, coupon_id)),
    JSON_STR(order_body, idempotency_key, "idempotencyKey", 1, 100,
             "Names this order: the same key again is answered with the same bytes. May be given"
             " as the header Idempotency-Key instead.",
             "order-1", JSON_NULLABLE_KEY(order_body, idempotency_key)),
};
const JSON_BODY(order_body, "OrderRequest", "What is ordered.",
                .example = "{\"userId\":4,\"items\":[{\"productId\":2,\"quantity\":1}],"
                           "\"idempotencyKey\":\"order-1\"}");

static const struct json_row order_key_body_rows[] = {
    JSON_INT64(order_key_body, user_id, "userId", INT64_MIN, INT64_MAX, "Whose order it is.", "1",
               JSON_REQUIRED),
    JSON_STR(order_key_body, idempotency_key, "idempotencyKey", 1, 100,
             "Names this call: the same key again is answered with the same bytes. May be given"
             " as the header Idempotency-Key instead.",
             "payment-1", JSON_NULLABLE_KEY(order_key_body, idempotency_key)),
};
const JSON_BODY(order_key_body, "OrderActionRequest", "Who pays, or cancels.");

static const struct json_row order_query_rows[] = {
    JSON_INT64(order_query, user_id, "userId", INT64_MIN, INT64_MAX, "Whose orders.", "1",
               JSON_REQUIRED),
    JSON_STR(order_query, status, "status", 0, 100,
             "Only those: PENDING, COMPLETED or CANCELLED, in any case.", "PENDING",
             JSON_OPTIONAL(order_query, status)),
    PAGE_ROWS(order_query, page.limit, page.cursor, "c-1"),
};
const JSON_BODY(order_query, "OrderQuery", "Which of a user's orders.");

static const struct json_row order_item_answer_rows[] = {
    JSON_INT64(order_item_answer, product_id, "productId", 1, INT64_MAX, "What.", "1",
               JSON_REQUIRED),
    JSON_STR(order_item_answer, product_name, "productName", 0, 200, "Its name, then.", "laptop",
             JSON_REQUIRED),
    JSON_INT64(order_item_answer, quantity, "quantity", 1, INT64_MAX, "How many.", "2",
               JSON_REQUIRED),
    JSON_INT64(order_item_answer, unit_price, "unitPrice", 0, INT64_MAX, "Won for one, then.",
               "1500000", JSON_REQUIRED),
    JSON_INT64(order_item_answer, subtotal, "subtotal", 0, INT64_MAX, "Won for all of them.",
               "3000000", JSON_REQUIRED),
};
static const JSON_ANSWER(order_item_answer, "OrderItem", "So many of a product.");

static const struct json_row order_answer_rows[] = {
    JSON_INT64(order_answer, order_id, "orderId", 1, INT64_MAX, "Id.", "19", JSON_REQUIRED),
    JSON_INT64(order_answer, user_id, "userId", 1, INT64_MAX, "Whose it is.", "4", JSON_REQUIRED),
    JSON_STR(order_answer, order_number, "orderNumber", 1, 40, "For people.",
             "ORD-20260306-0000000019", JSON_REQUIRED),
    JSON_ARRAY(order_answer, items, "items", order_item_answer, 0, ORDER_LINES_MAX,
               "By product id.", JSON_REQUIRED),
    JSON_INT64(order_answer, subtotal_amount, "subtotalAmount", 0, INT64_MAX, "Won.", "3000000",
               JSON_REQUIRED),
    JSON_INT64(order_answer, discount_amount, "discountAmount", 0, INT64_MAX,
               "Won that the coupon takes off.", "300000", JSON_REQUIRED),
    JSON_INT64(order_answer, total_amount, "totalAmount", 0, INT64_MAX, "Won to pay.", "2700000",
               JSON_REQUIRED),
    JSON_ENUM(order_answer, status, "status", order_status_names, "Where it is in its life.",
              "PENDING", JSON_REQUIRED),
    JSON_TIME(order_answer, created_at_ms, "createdAt", "When it was made.", EXAMPLE_TIME,
              JSON_REQUIRED),
};
const JSON_ANSWER(order_answer, "Order", "An order.");

static const struct json_row order_list_answer_rows[] = {
    JSON_ARRAY(order_list_answer, orders, "orders", order_answer, 0, 100, "Newest first.",
               JSON_REQUIRED),
    JSON_INT64(order_list_answer, total_count, "totalCount", 0, INT64_MAX, "All that match.", "1",
               JSON_REQUIRED),
    JSON_STR(order_list_answer, next_cursor, "nextCursor", 1, 100, "Null at the end.", "c-2",
             JSON_NULLABLE(order_list_answer, next_cursor)),
};
const JSON_ANSWER(order_list_answer, "OrderList", "A page of a user's orders.");

static const struct json_row payment_answer_rows[] = {
    JSON_INT64(payment_answer, order_id, "orderId", 1, INT64_MAX, "What was paid.", "19",
               JSON_REQUIRED),
    JSON_INT64(payment_answer, paid_amount, "paidAmount", 0, INT64_MAX, "Won.", "2700000",
               JSON_REQUIRED),
    JSON_INT64(payment_answer, remaining_balance, "remainingBalance", 0, INT64_MAX,
               "Won, after the payment.", "97300000", JSON_REQUIRED),
    JSON_STR(payment_answer, status, "status", 1, 20, "SUCCESS.", "SUCCESS", JSON_REQUIRED),
    JSON_STR(payment_answer, data_transmission, "dataTransmission", 1, 100,
             "The payment gateway's transaction; null where none was asked.",
             "PG_APPROVED: mock-0123456789abcdef",
             JSON_NULLABLE(payment_answer, data_transmission)),
    JSON_TIME(payment_answer, paid_at_ms, "paidAt", "When.", EXAMPLE_TIME, JSON_REQUIRED),
};
const JSON_ANSWER(payment_answer, "Payment", "A payment that was made.");

static const struct json_row complete_answer_rows[] = {
    JSON_OBJECT(complete_answer, order, "order", order_answer, "The order, paid.", JSON_REQUIRED),
    JSON_OBJECT(complete_answer, payment, "payment", payment_answer, "Its payment.", JSON_REQUIRED),
};
const JSON_ANSWER(complete_answer, "CompletedOrder", "An order and its payment.");
