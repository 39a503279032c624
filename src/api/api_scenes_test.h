// SPDX-License-Identifier: Apache-2.0
/* Scenes of api_contract_test.c: rows of { fault, method, path, body, expected problem }. */
#pragma once

/* A user whose cart has no room, and the first of the products in it. */
enum { FULL_CART_USER = 1999, FULL_CART = 100000 };

#define PRODUCT(id, more) "{\"productId\":" id ",\"name\":\"n\",\"price\":1,\"stock\":1" more "}"
#define CART_BODY(user, product) "{\"userId\":" user ",\"productId\":" product "}"
#define CART_LINE(user, product, quantity) \
    "{\"userId\":" user ",\"productId\":" product ",\"quantity\":" quantity "}"

/* clang-format off */
#define PRODUCT_SCENES \
    { WELL, "GET", "/api/products/1", NULL, PROBLEM_COUNT }, \
    { NO_LEDGER, "GET", "/api/products/1", NULL, PROBLEM_COUNT }, /* kept */ \
    { WELL, "GET", "/api/products/999999", NULL, PROBLEM_PRODUCT_NOT_FOUND }, \
    { WELL, "GET", "/api/products/0", NULL, PROBLEM_PRODUCT_NOT_FOUND }, \
    { WELL, "GET", "/api/products/-1", NULL, PROBLEM_PRODUCT_NOT_FOUND }, \
    { NO_LEDGER, "GET", "/api/products/4", NULL, PROBLEM_STORE_UNAVAILABLE }, \
    { WELL, "GET", "/api/products", NULL, PROBLEM_COUNT }, \
    { WELL, "GET", "/api/products?sort=cheapest", NULL, PROBLEM_INVALID_INPUT }, \
    { WELL, "GET", "/api/products?category=", NULL, PROBLEM_INVALID_INPUT }, \
    { WELL, "GET", "/api/products?cursor=i-0-2", NULL, PROBLEM_COUNT }, \
    { WELL, "GET", "/api/products?cursor=p-0-2", NULL, PROBLEM_INVALID_INPUT }, \
    { WELL, "GET", "/api/products?cursor=i-0-02", NULL, PROBLEM_INVALID_INPUT }, \
    { WELL, "GET", "/api/products?cursor=i-0-2-3", NULL, PROBLEM_INVALID_INPUT }, \
    { WELL, "GET", "/api/products?cursor=i-0", NULL, PROBLEM_INVALID_INPUT }, \
    { WELL, "GET", "/api/products?cursor=i-0-8000000000000000", NULL, PROBLEM_INVALID_INPUT }, \
    { NO_LEDGER, "GET", "/api/products?limit=7", NULL, PROBLEM_STORE_UNAVAILABLE }, \
    { WELL, "POST", "/api/admin/products", PRODUCT("70", ""), PROBLEM_COUNT }, \
    { WELL, "POST", "/api/admin/products", PRODUCT("70", ""), PROBLEM_CONFLICT }, \
    { WELL, "POST", "/api/admin/products", PRODUCT("0", ""), PROBLEM_INVALID_INPUT }, \
    { WELL, "POST", "/api/admin/products", PRODUCT("71", ",\"category\":\"\""), PROBLEM_INVALID_INPUT }, \
    { NO_LEDGER, "POST", "/api/admin/products", PRODUCT("71", ""), PROBLEM_STORE_UNAVAILABLE }, \
    { NO_ROOM, "POST", "/api/admin/products", PRODUCT("71", ""), PROBLEM_OVERLOADED }, \
    { WELL, "PATCH", "/api/admin/products/70", "{}", PROBLEM_COUNT }, \
    { WELL, "PATCH", "/api/admin/products/70", "{\"price\":-1}", PROBLEM_INVALID_INPUT }, \
    { WELL, "PATCH", "/api/admin/products/70", "{\"price\":1000000000001}", PROBLEM_INVALID_INPUT }, \
    { WELL, "PATCH", "/api/admin/products/70", "{\"price\":1000000000000}", PROBLEM_COUNT }, \
    { WELL, "PATCH", "/api/admin/products/70", "{\"stock\":1000000000001}", PROBLEM_INVALID_INPUT }, \
    { WELL, "PATCH", "/api/admin/products/70", "{\"name\":null}", PROBLEM_INVALID_INPUT }, \
    { WELL, "PATCH", "/api/admin/products/999999", "{}", PROBLEM_PRODUCT_NOT_FOUND }, \
    { NO_LEDGER, "PATCH", "/api/admin/products/70", "{}", PROBLEM_STORE_UNAVAILABLE }, \
    { NO_ROOM, "PATCH", "/api/admin/products/70", "{}", PROBLEM_OVERLOADED }

/* Checked in this order: user, cart, product or line, quantity, stock. */
#define CART_SCENES \
    { WELL, "GET", "/api/cart?userId=1000", NULL, PROBLEM_COUNT }, \
    { WELL, "GET", "/api/cart", NULL, PROBLEM_INVALID_INPUT }, \
    { WELL, "GET", "/api/cart?userId=999999", NULL, PROBLEM_USER_NOT_FOUND }, \
    { NO_LEDGER, "GET", "/api/cart?userId=1000", NULL, PROBLEM_STORE_UNAVAILABLE }, \
    { WELL, "POST", "/api/cart/items", CART_LINE("999999", "999999", "0"), PROBLEM_USER_NOT_FOUND }, \
    { WELL, "POST", "/api/cart/items", CART_LINE("10", "999999", "0"), PROBLEM_PRODUCT_NOT_FOUND }, \
    { WELL, "POST", "/api/cart/items", CART_LINE("10", "2", "0"), PROBLEM_INVALID_QUANTITY }, \
    { WELL, "POST", "/api/cart/items", CART_LINE("10", "2", "-9223372036854775808"), PROBLEM_INVALID_QUANTITY }, \
    { WELL, "POST", "/api/cart/items", CART_LINE("10", "2", "1"), PROBLEM_INSUFFICIENT_STOCK }, \
    { WELL, "PUT", "/api/cart/items", CART_LINE("999999", "999999", "-1"), PROBLEM_USER_NOT_FOUND }, \
    { WELL, "PUT", "/api/cart/items", CART_LINE("10", "999999", "-1"), PROBLEM_CART_NOT_FOUND }, \
    { WELL, "DELETE", "/api/cart/items", CART_BODY("999999", "1"), PROBLEM_USER_NOT_FOUND }, \
    { WELL, "DELETE", "/api/cart/items", CART_BODY("10", "1"), PROBLEM_CART_NOT_FOUND }, \
    { NO_LEDGER, "POST", "/api/cart/items", CART_LINE("10", "1", "1"), PROBLEM_STORE_UNAVAILABLE }, \
    { NO_ROOM, "POST", "/api/cart/items", CART_LINE("10", "1", "1"), PROBLEM_OVERLOADED }, \
    { WELL, "POST", "/api/cart/items", CART_LINE("10", "3", "2"), PROBLEM_COUNT }, \
    { WELL, "POST", "/api/cart/items", CART_LINE("10", "3", "1"), PROBLEM_INSUFFICIENT_STOCK }, \
    { WELL, "POST", "/api/cart/items", CART_LINE("10", "3", "9223372036854775807"), PROBLEM_INSUFFICIENT_STOCK }, \
    { WELL, "POST", "/api/cart/items", CART_LINE("1999", "1", "1"), PROBLEM_CONFLICT }, \
    { WELL, "PUT", "/api/cart/items", CART_LINE("10", "1", "-1"), PROBLEM_CART_ITEM_NOT_FOUND }, \
    { WELL, "PUT", "/api/cart/items", CART_LINE("10", "3", "-1"), PROBLEM_INVALID_QUANTITY }, \
    { WELL, "PUT", "/api/cart/items", CART_LINE("10", "3", "3"), PROBLEM_INSUFFICIENT_STOCK }, \
    { NO_LEDGER, "PUT", "/api/cart/items", CART_LINE("10", "3", "1"), PROBLEM_STORE_UNAVAILABLE }, \
    { NO_ROOM, "PUT", "/api/cart/items", CART_LINE("10", "3", "1"), PROBLEM_OVERLOADED }, \
    { WELL, "PUT", "/api/cart/items", CART_LINE("10", "3", "1"), PROBLEM_COUNT }, \
    { NO_LEDGER, "DELETE", "/api/cart/items", CART_BODY("10", "3"), PROBLEM_STORE_UNAVAILABLE }, \
    { NO_ROOM, "DELETE", "/api/cart/items", CART_BODY("10", "3"), PROBLEM_OVERLOADED }, \
    { WELL, "DELETE", "/api/cart/items", CART_BODY("10", "3"), PROBLEM_COUNT }, \
    { WELL, "DELETE", "/api/cart/items", CART_BODY("10", "3"), PROBLEM_CART_ITEM_NOT_FOUND }

#define DEAD_EVENT_SCENES(what) \
    { WELL, "POST", "/api/admin/events/dead/1/" what, NULL, PROBLEM_NOT_FOUND }, \
    { NO_LEDGER, "POST", "/api/admin/events/dead/1/" what, NULL, PROBLEM_STORE_UNAVAILABLE }, \
    { NO_ROOM, "POST", "/api/admin/events/dead/1/" what, NULL, PROBLEM_OVERLOADED }
#define EVENT_SCENES \
    { WELL, "GET", "/api/admin/events/dead", NULL, PROBLEM_COUNT }, \
    { WELL, "GET", "/api/admin/events/dead?cursor=x", NULL, PROBLEM_INVALID_INPUT }, \
    { NO_LEDGER, "GET", "/api/admin/events/dead", NULL, PROBLEM_STORE_UNAVAILABLE }, \
    DEAD_EVENT_SCENES("replay"), DEAD_EVENT_SCENES("skip")

#define ORDER_BODY(user, product, quantity, key, more) \
    "{\"userId\":" user ",\"items\":[{\"productId\":" product ",\"quantity\":" quantity "}]," \
    "\"idempotencyKey\":\"" key "\"" more "}"
#define ORDER_KEY(user, key) "{\"userId\":" user ",\"idempotencyKey\":\"" key "\"}"
#define SOLD_COUPON ",\"couponId\":3"

/* Checked in this order: user, items, quantity, product, stock, coupon. Orders get the ids 1, 2, … */
#define ORDER_CHECKS(path) \
    { WELL, "POST", path, ORDER_BODY("999999", "999999", "0", "k", ""), PROBLEM_USER_NOT_FOUND }, \
    { WELL, "POST", path, "{\"userId\":30,\"items\":[],\"idempotencyKey\":\"k\"}", PROBLEM_INVALID_INPUT }, \
    { WELL, "POST", path, ORDER_BODY("30", "999999", "0", "k", ""), PROBLEM_INVALID_QUANTITY }, \
    { WELL, "POST", path, ORDER_BODY("30", "999999", "1", "k", ""), PROBLEM_PRODUCT_NOT_FOUND }, \
    { WELL, "POST", path, ORDER_BODY("30", "2", "1", "k", ",\"couponId\":99"), PROBLEM_INSUFFICIENT_STOCK }, \
    { WELL, "POST", path, ORDER_BODY("30", "1", "1", "k", ",\"couponId\":99"), PROBLEM_INVALID_COUPON }, \
    { WELL, "POST", path, ORDER_BODY("30", "1", "1", "k", ",\"couponId\":1"), PROBLEM_INVALID_COUPON }, \
    { WELL, "POST", path, ORDER_BODY("1000", "1", "1", "k", ",\"couponId\":4"), PROBLEM_EXPIRED_COUPON }, \
    { NO_LEDGER, "POST", path, ORDER_BODY("30", "1", "1", "k", ""), PROBLEM_STORE_UNAVAILABLE }, \
    { NO_ROOM, "POST", path, ORDER_BODY("30", "1", "1", "k", ""), PROBLEM_OVERLOADED }
#define ORDER_KEY_CHECKS(way) \
    { WELL, "POST", "/api/orders/1/" way, ORDER_KEY("999999", "k"), PROBLEM_USER_NOT_FOUND }, \
    { WELL, "POST", "/api/orders/999/" way, ORDER_KEY("30", "k"), PROBLEM_ORDER_NOT_FOUND }, \
    { WELL, "POST", "/api/orders/1/" way, ORDER_KEY("31", "k"), PROBLEM_FORBIDDEN }, \
    { NO_LEDGER, "POST", "/api/orders/1/" way, ORDER_KEY("30", "k"), PROBLEM_STORE_UNAVAILABLE }, \
    { NO_ROOM, "POST", "/api/orders/1/" way, ORDER_KEY("30", "k"), PROBLEM_OVERLOADED }
#define ORDER_SCENES \
    ORDER_CHECKS("/api/orders"), \
    { WELL, "POST", "/api/orders", ORDER_BODY("30", "1", "1", "1", ""), PROBLEM_COUNT }, \
    { WELL, "POST", "/api/orders", ORDER_BODY("30", "1", "2", "1", ""), PROBLEM_IDEMPOTENCY_KEY_REUSED }, \
    { WELL, "POST", "/api/orders", ORDER_BODY("30", "1", "50", "2", ""), PROBLEM_COUNT }, \
    { WELL, "POST", "/api/orders", ORDER_BODY("1000", "1", "1", "3", SOLD_COUPON), PROBLEM_COUNT }, \
    { WELL, "POST", "/api/orders", ORDER_BODY("1000", "1", "1", "4", SOLD_COUPON), PROBLEM_COUNT }, \
    { WELL, "POST", "/api/orders", ORDER_BODY("1001", "1", "1", "5", SOLD_COUPON), PROBLEM_COUNT }, \
    { WELL, "POST", "/api/orders", ORDER_BODY("31", "3", "2", "6", ""), PROBLEM_COUNT }, \
    { WELL, "POST", "/api/orders", ORDER_BODY("32", "3", "2", "7", ""), PROBLEM_COUNT }, \
    { WELL, "GET", "/api/orders?userId=30", NULL, PROBLEM_COUNT }, \
    { WELL, "GET", "/api/orders?userId=30&status=Pending", NULL, PROBLEM_COUNT }, \
    { WELL, "GET", "/api/orders?userId=30&status=lost", NULL, PROBLEM_INVALID_INPUT }, \
    { WELL, "GET", "/api/orders?userId=30&cursor=x", NULL, PROBLEM_INVALID_INPUT }, \
    { WELL, "GET", "/api/orders?userId=999999", NULL, PROBLEM_USER_NOT_FOUND }, \
    { NO_LEDGER, "GET", "/api/orders?userId=30", NULL, PROBLEM_STORE_UNAVAILABLE }, \
    { WELL, "GET", "/api/orders/1", NULL, PROBLEM_COUNT }, \
    { WELL, "GET", "/api/orders/999", NULL, PROBLEM_ORDER_NOT_FOUND }, \
    { NO_LEDGER, "GET", "/api/orders/1", NULL, PROBLEM_STORE_UNAVAILABLE }, \
    ORDER_KEY_CHECKS("payment"), \
    { WELL, "POST", "/api/orders/1/payment", ORDER_KEY("30", "would FAIL"), PROBLEM_PAYMENT_FAILED }, \
    { WELL, "POST", "/api/orders/1/payment", ORDER_KEY("30", "1"), PROBLEM_COUNT }, \
    { WELL, "POST", "/api/orders/1/payment", ORDER_KEY("30", "2"), PROBLEM_INVALID_ORDER_STATUS }, \
    { WELL, "POST", "/api/orders/2/payment", ORDER_KEY("30", "1"), PROBLEM_IDEMPOTENCY_KEY_REUSED }, \
    { WELL, "POST", "/api/orders/2/payment", ORDER_KEY("30", "3"), PROBLEM_INSUFFICIENT_BALANCE }, \
    { WELL, "POST", "/api/orders/3/payment", ORDER_KEY("1000", "1"), PROBLEM_COUNT }, \
    { WELL, "POST", "/api/orders/4/payment", ORDER_KEY("1000", "2"), PROBLEM_INVALID_COUPON }, \
    { WELL, "POST", "/api/orders/6/payment", ORDER_KEY("31", "1"), PROBLEM_COUNT }, \
    { WELL, "POST", "/api/orders/7/payment", ORDER_KEY("32", "1"), PROBLEM_INSUFFICIENT_STOCK }, \
    ORDER_KEY_CHECKS("cancel"), \
    { WELL, "POST", "/api/orders/1/cancel", ORDER_KEY("30", "1"), PROBLEM_COUNT }, \
    { WELL, "POST", "/api/orders/1/cancel", ORDER_KEY("30", "2"), PROBLEM_INVALID_ORDER_STATUS }, \
    { WELL, "POST", "/api/orders/2/cancel", ORDER_KEY("30", "1"), PROBLEM_IDEMPOTENCY_KEY_REUSED }, \
    ORDER_CHECKS("/api/orders/complete"), \
    { WELL, "POST", "/api/orders/complete", ORDER_BODY("30", "1", "50", "k", ""), PROBLEM_INSUFFICIENT_BALANCE }, \
    { WELL, "POST", "/api/orders/complete", ORDER_BODY("30", "1", "1", "Failed", ""), PROBLEM_PAYMENT_FAILED }, \
    { WELL, "POST", "/api/orders/complete", ORDER_BODY("30", "1", "1", "1", ""), PROBLEM_COUNT }, \
    { WELL, "POST", "/api/orders/complete", ORDER_BODY("30", "1", "2", "1", ""), PROBLEM_IDEMPOTENCY_KEY_REUSED }, \
    { WELL, "POST", "/api/admin/test/clock", "{\"advanceSeconds\":172800}", PROBLEM_COUNT }, \
    { WELL, "POST", "/api/orders/5/payment", ORDER_KEY("1001", "1"), PROBLEM_EXPIRED_COUPON }

/* What is sold is still shown while stores are away, but not what cannot say that they are. An
 * answer is kept for a moment: those without a store come first. */
#define RANKING_SCENES \
    { NO_LEDGER, "GET", "/api/products/ranking/top", NULL, PROBLEM_COUNT }, \
    { WELL, "GET", "/api/products/ranking/top?window=weekly", NULL, PROBLEM_COUNT }, \
    { WELL, "GET", "/api/products/ranking/top?date=tomorrow", NULL, PROBLEM_INVALID_INPUT }, \
    { NO_LEDGER, "GET", "/api/products/top", NULL, PROBLEM_STORE_UNAVAILABLE }, \
    { WELL, "GET", "/api/products/top", NULL, PROBLEM_COUNT }, \
    { NO_LEDGER, "GET", "/api/products/ranking/product/999999", NULL, PROBLEM_STORE_UNAVAILABLE }, \
    { WELL, "GET", "/api/products/ranking/product/999999", NULL, PROBLEM_PRODUCT_NOT_FOUND }, \
    { WELL, "GET", "/api/products/ranking/product/1", NULL, PROBLEM_COUNT }
/* clang-format on */
