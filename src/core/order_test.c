// SPDX-License-Identifier: Apache-2.0
/* Merging lines, prices, discounts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/attr.h"
#include "core/order.h"

static void test_merge(void **state)
{
    struct order_line lines[] = {
        { .product_id = 7, .quantity = 1 }, { .product_id = 2, .quantity = 5 },
        { .product_id = 7, .quantity = 2 }, { .product_id = 3, .quantity = 1 },
        { .product_id = 2, .quantity = 1 },
    };
    struct order_line many[] = { { .product_id = 1, .quantity = INT64_MAX },
                                 { .product_id = 1, .quantity = 1 } };

    (void)state;
    assert_int_equal(order_lines_merge(lines, ARRAY_COUNT(lines)), 3);
    assert_int_equal(lines[0].product_id, 2);
    assert_int_equal(lines[0].quantity, 6);
    assert_int_equal(lines[1].product_id, 3);
    assert_int_equal(lines[2].product_id, 7);
    assert_int_equal(lines[2].quantity, 3);
    assert_int_equal(order_lines_merge(many, 2), 0);
}

static void test_price(void **state)
{
    static const struct {
        int64_t unit_price, quantity, rate, subtotal, discount;
    } rows[] = {
        { 100, 3, 0, 300, 0 },
        { 99, 1, 10, 99, 9 }, /* 9.9: rounded down */
        { 1, 1, 99, 1, 0 },
        { 45000, 2, 15, 90000, 13500 },
        { 0, 5, 50, 0, 0 },
        { 123, 1, 100, 123, 123 },
        { INT64_MAX, 1, 100, INT64_MAX, INT64_MAX },
        { INT64_MAX, 1, 1, INT64_MAX, INT64_MAX / 100 },
        { INT64_MAX, 1, 33, INT64_MAX, INT64_C(3043712772162076016) }, /* floor(max * 33 / 100) */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct order_line line = { .unit_price = rows[i].unit_price, .quantity = rows[i].quantity };
        int64_t subtotal, discount;
        assert_true(order_price(&line, 1, rows[i].rate, &subtotal, &discount));
        assert_int_equal(subtotal, rows[i].subtotal);
        assert_int_equal(discount, rows[i].discount);
    }
}

static void test_price_overflow(void **state)
{
    const struct order_line product = { .unit_price = INT64_MAX / 2, .quantity = 3 };
    const struct order_line sum[] = { { .unit_price = INT64_MAX, .quantity = 1 },
                                      { .unit_price = 1, .quantity = 1 } };
    int64_t subtotal, discount;

    (void)state;
    assert_false(order_price(&product, 1, 0, &subtotal, &discount));
    assert_false(order_price(sum, 2, 0, &subtotal, &discount));
    assert_true(order_price(sum, 1, 0, &subtotal, &discount));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_price),
        cmocka_unit_test(test_price_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
