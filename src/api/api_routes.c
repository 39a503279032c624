// SPDX-License-Identifier: Apache-2.0
#include "api/admin.h"
#include "api/api_json.h"
#include "api/api_route.h"
#include "api/cart.h"
#include "api/coupons.h"
#include "api/orders.h"
#include "api/products.h"
#include "api/ranking.h"
#include "api/users.h"

/* What every route that writes to, or reads from, the ledger may answer. */
#define STORE (PROBLEM_BIT(OVERLOADED) | PROBLEM_BIT(STORE_UNAVAILABLE))
#define TAKING                                                              \
    (STORE | PROBLEM_BIT(USER_NOT_FOUND) | PROBLEM_BIT(INVALID_COUPON) |    \
     PROBLEM_BIT(COUPON_SOLD_OUT) | PROBLEM_BIT(EXPIRED_COUPON) |           \
     PROBLEM_BIT(ALREADY_ISSUED_COUPON) | PROBLEM_BIT(COUPON_NOT_STARTED) | \
     PROBLEM_BIT(COUPON_CLOSED) | PROBLEM_BIT(COUPON_ENDED))

/* What an order and its payment may meet. */
#define ORDERING                                                                                  \
    (STORE | PROBLEM_BIT(USER_NOT_FOUND) | PROBLEM_BIT(INVALID_QUANTITY) |                        \
     PROBLEM_BIT(PRODUCT_NOT_FOUND) | PROBLEM_BIT(INSUFFICIENT_STOCK) |                           \
     PROBLEM_BIT(INVALID_COUPON) | PROBLEM_BIT(EXPIRED_COUPON) | PROBLEM_BIT(DUPLICATE_REQUEST) | \
     PROBLEM_BIT(IDEMPOTENCY_KEY_REUSED))
#define PAYING                                                                                     \
    (STORE | PROBLEM_BIT(USER_NOT_FOUND) | PROBLEM_BIT(ORDER_NOT_FOUND) | PROBLEM_BIT(FORBIDDEN) | \
     PROBLEM_BIT(INVALID_ORDER_STATUS) | PROBLEM_BIT(PAYMENT_FAILED) |                             \
     PROBLEM_BIT(DUPLICATE_REQUEST) | PROBLEM_BIT(IDEMPOTENCY_KEY_REUSED))

/* What a change of a cart may meet. */
#define CART                                                             \
    (STORE | PROBLEM_BIT(USER_NOT_FOUND) | PROBLEM_BIT(CART_NOT_FOUND) | \
     PROBLEM_BIT(CART_ITEM_NOT_FOUND))

/* clang-format off */
const struct api_route api_routes[] = {
    { HTTP_POST, "/api/coupons/{couponId}/issue", "issueCoupon", "coupons",
      "Take a coupon, first come, first served; answered when it is stored.",
      coupons_issue, API_USER, API_COUPON, .body = &take_body_json,
      .user_at = API_USER_IN_BODY, .user_offset = offsetof(struct take_body, user_id),
      .status = 200, .answer = &issue_answer_json, .problems = TAKING },
    { HTTP_POST, "/api/coupons/{couponId}/reserve", "reserveCoupon", "coupons",
      "Take a place, first come, first served; answered at once, the coupon follows.",
      coupons_reserve, API_USER, API_COUPON, .body = &take_body_json,
      .user_at = API_USER_IN_BODY, .user_offset = offsetof(struct take_body, user_id),
      .status = 200, .answer = &reserve_answer_json, .problems = TAKING },
    { HTTP_GET, "/api/coupons/{couponId}", "getCoupon", "coupons", "One coupon.",
      coupons_get, API_PUBLIC, API_COUPON,
      .status = 200, .answer = &coupon_answer_json, .problems = PROBLEM_BIT(NOT_FOUND) },
    { HTTP_GET, "/api/coupons", "listCoupons", "coupons", "Coupons that are open or will open.",
      coupons_list, API_PUBLIC, .query = &page_query_json,
      .status = 200, .answer = &coupon_list_answer_json },

    { HTTP_GET, "/api/users/{userId}", "getUser", "users", "One user.",
      users_get, API_USER, .user_at = API_USER_IN_PATH,
      .status = 200, .answer = &user_answer_json, .problems = STORE | PROBLEM_BIT(USER_NOT_FOUND) },
    { HTTP_GET, "/api/users/{userId}/balance", "getBalance", "users", "A user's balance.",
      users_balance, API_USER, .user_at = API_USER_IN_PATH,
      .status = 200, .answer = &balance_answer_json, .problems = STORE | PROBLEM_BIT(USER_NOT_FOUND) },
    { HTTP_POST, "/api/users/{userId}/balance/charge", "chargeBalance", "users",
      "Add money to a balance, once per idempotency key.",
      users_charge, API_CHARGE, API_KEYED, .body = &charge_body_json, .user_at = API_USER_IN_PATH,
      .body_key_offset = offsetof(struct charge_body, idempotency_key),
      .status = 200, .answer = &charge_answer_json,
      .problems = STORE | PROBLEM_BIT(USER_NOT_FOUND) | PROBLEM_BIT(INVALID_CHARGE_AMOUNT) |
                  PROBLEM_BIT(IDEMPOTENCY_KEY_REUSED) | PROBLEM_BIT(PAYMENT_FAILED) |
                  PROBLEM_BIT(DUPLICATE_REQUEST) },
    { HTTP_GET, "/api/users/{userId}/coupons", "listUserCoupons", "users", "A user's coupons.",
      coupons_of_user, API_USER, .query = &held_query_json, .user_at = API_USER_IN_PATH,
      .status = 200, .answer = &held_list_answer_json,
      .problems = STORE | PROBLEM_BIT(USER_NOT_FOUND) },

    { HTTP_GET, "/api/products", "listProducts", "products", "Products, page by page.",
      products_list, API_PUBLIC, API_CACHED, .query = &product_query_json,
      .status = 200, .answer = &product_list_answer_json, .problems = STORE },
    /* Those with a word in the place of the id stand before it. */
    { HTTP_GET, "/api/products/top", "topProducts", "products",
      "The five products sold most today and on the two days before.",
      products_get_top, API_PUBLIC, API_CACHED,
      .status = 200, .answer = &top_products_answer_json, .problems = STORE },
    { HTTP_GET, "/api/products/ranking/top", "getRanking", "ranking",
      "The products sold most, as of this moment.",
      ranking_get_top, API_PUBLIC, API_CACHED, .query = &ranking_top_query_json,
      .status = 200, .answer = &ranking_top_answer_json },
    { HTTP_GET, "/api/products/ranking/product/{productId}", "getRankingPlace", "ranking",
      "One product's rank, what it was before, and its neighbours.",
      ranking_get_place, API_PUBLIC, API_CACHED, .query = &ranking_place_query_json,
      .status = 200, .answer = &ranking_place_answer_json,
      .problems = STORE | PROBLEM_BIT(PRODUCT_NOT_FOUND) },
    { HTTP_GET, "/api/products/ranking/stream", "streamRanking", "ranking",
      "Server-sent events: the first ten, whenever they change, at most four times a second.",
      ranking_get_stream, API_PUBLIC, .query = &ranking_stream_query_json,
      .status = 200, .answer_type = "text/event-stream",
      .text_example = "id: 1\ndata: {\"date\":\"2026-03-06\",\"rankings\":[],"
                      "\"source\":\"memory\",\"asOf\":\"2026-03-06T12:00:00.000+09:00\","
                      "\"stale\":false}\n\n" },
    { HTTP_GET, "/api/products/{productId}", "getProduct", "products", "One product.",
      products_get, API_PUBLIC, API_CACHED,
      .status = 200, .answer = &product_answer_json,
      .problems = STORE | PROBLEM_BIT(PRODUCT_NOT_FOUND) },

    { HTTP_GET, "/api/cart", "getCart", "cart", "A user's cart, empty if there is none.",
      cart_show, API_USER, .query = &cart_query_json,
      .user_at = API_USER_IN_QUERY, .user_offset = offsetof(struct cart_query, user_id),
      .status = 200, .answer = &cart_answer_json, .problems = STORE | PROBLEM_BIT(USER_NOT_FOUND) },
    { HTTP_POST, "/api/cart/items", "addToCart", "cart", "Put something into a cart; nothing is taken.",
      cart_add, API_USER, .body = &cart_add_body_json,
      .user_at = API_USER_IN_BODY, .user_offset = offsetof(struct cart_add_body, user_id),
      .status = 201, .answer = &cart_answer_json,
      .problems = STORE | PROBLEM_BIT(USER_NOT_FOUND) | PROBLEM_BIT(PRODUCT_NOT_FOUND) |
                  PROBLEM_BIT(INVALID_QUANTITY) | PROBLEM_BIT(INSUFFICIENT_STOCK) |
                  PROBLEM_BIT(CONFLICT) },
    { HTTP_PUT, "/api/cart/items", "changeCart", "cart", "How many of a product a cart has.",
      cart_set, API_USER, .body = &cart_set_body_json,
      .user_at = API_USER_IN_BODY, .user_offset = offsetof(struct cart_set_body, user_id),
      .status = 200, .answer = &cart_item_answer_json,
      .problems = CART | PROBLEM_BIT(INVALID_QUANTITY) | PROBLEM_BIT(INSUFFICIENT_STOCK) },
    { HTTP_DELETE, "/api/cart/items", "removeFromCart", "cart", "Take a product out of a cart.",
      cart_remove, API_USER, API_EMPTY, .body = &cart_remove_body_json,
      .user_at = API_USER_IN_BODY, .user_offset = offsetof(struct cart_remove_body, user_id),
      .status = 200, .problems = CART },

    { HTTP_POST, "/api/orders", "createOrder", "orders",
      "Order products; nothing is taken before it is paid.",
      orders_create, API_USER, API_KEYED, .body = &order_body_json,
      .user_at = API_USER_IN_BODY, .user_offset = offsetof(struct order_body, user_id),
      .body_key_offset = offsetof(struct order_body, idempotency_key),
      .status = 201, .answer = &order_answer_json, .problems = ORDERING },
    { HTTP_GET, "/api/orders", "listOrders", "orders", "A user's orders, newest first.",
      orders_list, API_USER, .query = &order_query_json,
      .user_at = API_USER_IN_QUERY, .user_offset = offsetof(struct order_query, user_id),
      .status = 200, .answer = &order_list_answer_json,
      .problems = STORE | PROBLEM_BIT(USER_NOT_FOUND) },
    { HTTP_POST, "/api/orders/complete", "completeOrder", "orders",
      "Order and pay in one; refused, it leaves no order.",
      orders_complete, API_USER, API_KEYED | API_KEY_OPTIONAL, .body = &order_body_json,
      .user_at = API_USER_IN_BODY, .user_offset = offsetof(struct order_body, user_id),
      .body_key_offset = offsetof(struct order_body, idempotency_key),
      .status = 201, .answer = &complete_answer_json,
      .problems = ORDERING | PROBLEM_BIT(INSUFFICIENT_BALANCE) | PROBLEM_BIT(PAYMENT_FAILED) },
    { HTTP_GET, "/api/orders/{orderId}", "getOrder", "orders", "One order.",
      orders_get, API_USER, .user_at = API_USER_IN_OBJECT,
      .status = 200, .answer = &order_answer_json, .problems = STORE | PROBLEM_BIT(ORDER_NOT_FOUND) },
    { HTTP_POST, "/api/orders/{orderId}/payment", "payOrder", "orders", "Pay an order.",
      orders_pay, API_USER, API_KEYED, .body = &order_key_body_json,
      .user_at = API_USER_IN_BODY, .user_offset = offsetof(struct order_key_body, user_id),
      .body_key_offset = offsetof(struct order_key_body, idempotency_key),
      .status = 200, .answer = &payment_answer_json,
      .problems = PAYING | PROBLEM_BIT(INSUFFICIENT_STOCK) | PROBLEM_BIT(INSUFFICIENT_BALANCE) |
                  PROBLEM_BIT(INVALID_COUPON) | PROBLEM_BIT(EXPIRED_COUPON) },
    { HTTP_POST, "/api/orders/{orderId}/cancel", "cancelOrder", "orders",
      "Drop an order, or have the money of a paid one back.",
      orders_cancel, API_USER, API_KEYED, .body = &order_key_body_json,
      .user_at = API_USER_IN_BODY, .user_offset = offsetof(struct order_key_body, user_id),
      .body_key_offset = offsetof(struct order_key_body, idempotency_key),
      .status = 200, .answer = &order_answer_json, .problems = PAYING | PROBLEM_BIT(CONFLICT) },

    { HTTP_POST, "/api/admin/coupons", "createCoupon", "administration", "A new coupon.",
      admin_coupons_create, API_ADMIN, .body = &coupon_create_body_json,
      .status = 201, .answer = &coupon_answer_json, .problems = STORE | PROBLEM_BIT(CONFLICT) },
    { HTTP_GET, "/api/admin/coupons", "listAllCoupons", "administration", "All coupons.",
      admin_coupons_list, API_ADMIN, .query = &page_query_json,
      .status = 200, .answer = &coupon_list_answer_json },
    { HTTP_PATCH, "/api/admin/coupons/{couponId}", "changeCoupon", "administration",
      "Change quantity or window, close or open again.",
      admin_coupons_patch, API_ADMIN, API_COUPON, .body = &coupon_patch_body_json,
      .status = 200, .answer = &coupon_answer_json,
      .problems = STORE | PROBLEM_BIT(NOT_FOUND) | PROBLEM_BIT(CONFLICT) },
    { HTTP_POST, "/api/admin/coupons/{couponId}/rebuild", "rebuildGate", "administration",
      "The gate begins a new life, from the ledger's rows.",
      admin_coupons_rebuild, API_ADMIN, API_COUPON,
      .status = 200, .answer = &coupon_answer_json,
      .problems = PROBLEM_BIT(STORE_UNAVAILABLE) | PROBLEM_BIT(NOT_FOUND) },
    { HTTP_GET, "/api/admin/coupons/{couponId}/proof", "proveCoupon", "administration",
      "Whether the drop was right, during it or afterwards.",
      admin_proof, API_ADMIN, API_COUPON,
      .status = 200, .answer = &proof_answer_json, .problems = STORE | PROBLEM_BIT(NOT_FOUND) },
    { HTTP_GET, "/api/admin/coupons/{couponId}/winners", "listWinners", "administration",
      "Who got one, by sequence number; all of them with Accept: text/csv.",
      admin_winners, API_ADMIN, API_COUPON, .query = &page_query_json,
      .status = 200, .answer = &winners_answer_json, .other_type = "text/csv",
      .text_example = "sequenceNumber,userId,userCouponId,status,issuedAt\r\n"
                      "1,1000,1,AVAILABLE,2026-03-06T12:00:00.000+09:00\r\n",
      .problems = STORE | PROBLEM_BIT(NOT_FOUND) },
    { HTTP_POST, "/api/admin/products", "createProduct", "administration", "A new product.",
      admin_products_create, API_ADMIN, .body = &product_create_body_json,
      .status = 201, .answer = &product_answer_json, .problems = STORE | PROBLEM_BIT(CONFLICT) },
    { HTTP_PATCH, "/api/admin/products/{productId}", "changeProduct", "administration",
      "Change what is given of a product.",
      admin_products_patch, API_ADMIN, .body = &product_patch_body_json,
      .status = 200, .answer = &product_answer_json,
      .problems = STORE | PROBLEM_BIT(PRODUCT_NOT_FOUND) },
    { HTTP_POST, "/api/admin/users", "createUsers", "administration", "One user, or a range.",
      admin_users_create, API_ADMIN, .body = &users_create_body_json,
      .status = 201, .answer = &users_create_answer_json, .problems = STORE | PROBLEM_BIT(CONFLICT) },
    { HTTP_GET, "/api/admin/events/dead", "listDeadEvents", "administration",
      "Events that were given up, each holding back its coupon or user.",
      admin_events_dead, API_ADMIN, .query = &page_query_json,
      .status = 200, .answer = &dead_events_answer_json, .problems = STORE },
    { HTTP_POST, "/api/admin/events/dead/{deadEventId}/replay", "replayDeadEvent", "administration",
      "Try again, from the first pause on.",
      admin_events_replay, API_ADMIN,
      .status = 200, .answer = &dead_event_answer_json, .problems = STORE | PROBLEM_BIT(NOT_FOUND) },
    { HTTP_POST, "/api/admin/events/dead/{deadEventId}/skip", "skipDeadEvent", "administration",
      "Never again: the events behind it go on.",
      admin_events_skip, API_ADMIN,
      .status = 200, .answer = &dead_event_answer_json, .problems = STORE | PROBLEM_BIT(NOT_FOUND) },
    { HTTP_POST, "/api/admin/log", "setLogLevel", "administration", "How much is logged.",
      admin_log, API_ADMIN, .body = &log_body_json,
      .status = 200, .answer = &log_body_json },

    { HTTP_POST, "/api/admin/test/clock", "setClock", "test", "Move the clock. Profile test only.",
      admin_test_clock, API_TEST, .body = &clock_body_json,
      .status = 200, .answer = &clock_answer_json, .problems = STORE },
    { HTTP_POST, "/api/admin/test/faults", "setFault", "test",
      "Switch a store off or on. Profile test only.",
      admin_test_faults, API_TEST, .body = &fault_body_json,
      .status = 200, .answer = &fault_body_json },
    { 0 },
};
/* clang-format on */
