// SPDX-License-Identifier: Apache-2.0
/* The statements of a load, in the order in which they are sent, which is that of the locks. */
#pragma once

enum pg_load {
    PG_LOAD_NOTHING, /* begin, settings */
    PG_LOAD_USERS,
    PG_LOAD_COUPONS,
    PG_LOAD_ORDERS,
    PG_LOAD_LINES,
    PG_LOAD_ATTEMPTS,
    PG_LOAD_CHARGES,
    PG_LOAD_KEYS,
    PG_LOAD_HELD,
    PG_LOAD_CARTS,
    PG_LOAD_CART_LINES,
    PG_LOAD_PRODUCTS,
    PG_LOAD_SALES,
    PG_LOAD_STORE,
    PG_LOAD_NEXT_COUPON,
    PG_LOAD_NEXT_USER,
    PG_LOAD_NEXT_PRODUCT,
};
