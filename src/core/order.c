// SPDX-License-Identifier: Apache-2.0
#include "core/order.h"

static void lines_sort(struct order_line *lines, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct order_line line = lines[i];
        size_t at = i;
        for (; at > 0 && lines[at - 1].product_id > line.product_id; at--)
            lines[at] = lines[at - 1];
        lines[at] = line;
    }
}

size_t order_lines_merge(struct order_line *lines, size_t count)
{
    size_t merged = 0;

    lines_sort(lines, count);
    for (size_t i = 0; i < count; i++) {
        struct order_line *last = merged ? &lines[merged - 1] : NULL;
        if (!last || last->product_id != lines[i].product_id)
            lines[merged++] = lines[i];
        else if (__builtin_add_overflow(last->quantity, lines[i].quantity, &last->quantity))
            return 0;
    }
    return merged;
}

bool order_price(const struct order_line *lines, size_t count, int64_t discount_rate,
                 int64_t *ret_subtotal, int64_t *ret_discount)
{
    int64_t subtotal = 0, line;

    for (size_t i = 0; i < count; i++)
        if (__builtin_mul_overflow(lines[i].unit_price, lines[i].quantity, &line) ||
            __builtin_add_overflow(subtotal, line, &subtotal))
            return false;
    *ret_subtotal = subtotal;
    /* subtotal * rate / 100, rounded down, without the product that could overflow */
    *ret_discount = subtotal / 100 * discount_rate + subtotal % 100 * discount_rate / 100;
    return true;
}
