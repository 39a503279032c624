// SPDX-License-Identifier: Apache-2.0
/* The rules of orders, free of I/O. Money is int64 won. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum { ORDER_LINES_MAX = 100 };

enum order_status { ORDER_PENDING, ORDER_COMPLETED, ORDER_CANCELLED, ORDER_STATUS_N };

struct order_line {
    int64_t product_id, quantity;
    int64_t unit_price; /* as when the order was made; the same for the name */
    struct str name;
};

/*
 * Sorts by product and makes one line of all lines of a product. Returns how many are left; 0: a
 * quantity would overflow.
 */
size_t order_lines_merge(struct order_line *lines, size_t count) MUST_CHECK;

/*
 * What the lines cost, and what `discount_rate` percent take off, rounded down. False: a product or
 * the sum would overflow.
 */
bool order_price(const struct order_line *lines, size_t count, int64_t discount_rate,
                 int64_t *ret_subtotal, int64_t *ret_discount) MUST_CHECK;
