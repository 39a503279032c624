// SPDX-License-Identifier: Apache-2.0
/* Attempts that nobody ends: the settler makes them void, and not too many at once. */
#include "shop/payment_fixture_test.h"

enum { ASKING_MAX = 32 };

/* A void holds, also against a request that is still on its way. */
static void test_unknown_for_too_long(void **state)
{
    int64_t order_id = an_order("o");

    (void)state;
    tell(LOSE_ANSWER, 1);
    expect(paying(order_id), "p", PAYMENT_UNKNOWN);
    assert_int_equal(standing("order-1-1"), 2 * PRICE);
    config.payment_settle_after_ms = config.payment_void_after_ms = 1;
    wait_settled();
    assert_int_equal(books.calls[GATEWAY_VOID], 1);
    assert_int_equal(standing("order-1-1"), 0);
    expect(paying(order_id), "p", PAYMENT_DECLINED);
    expect_state(BALANCE, STOCK, 0);
    expect(paying(order_id), "q", PAYMENT_OK);
    assert_int_equal(standing("order-"), 2 * PRICE);
}

/* The gateway's books say what the shop's say, also when a void that was not answered comes late.
 */
static void test_void_comes_late(void **state)
{
    static const enum manner manners[] = { LOSE_REQUEST, LOSE_ANSWER };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(manners); i++) {
        struct gateway_call late = { .op = GATEWAY_VOID, .key = "order-1-1" };
        pay_begin();
        int64_t order_id = an_order("o");
        tell(manners[i], 2); /* the payment, and the void */
        expect(paying(order_id), "p", PAYMENT_UNKNOWN);
        config.payment_settle_after_ms = config.payment_void_after_ms = 1;
        wait_settled();
        book(&late, false);
        bool paid = status_of(order_id) == ORDER_COMPLETED;
        assert_int_equal(standing("order-1-1"), paid ? 2 * PRICE : 0);
        expect_state(paid ? PAID : BALANCE, paid ? SOLD : STOCK, 0);
        pay_end();
    }
}

/* What cannot be made void is asked for again. */
static void test_void_is_refused(void **state)
{
    int64_t order_id = an_order("o");

    (void)state;
    tell(LOSE_ANSWER, 1);
    expect(paying(order_id), "p", PAYMENT_UNKNOWN);
    tell(REFUSE, 1);
    config.payment_settle_after_ms = config.payment_void_after_ms = 1;
    wait_settled();
    assert_int_equal(books.calls[GATEWAY_VOID], 1);
    expect(paying(order_id), "p", PAYMENT_OK);
    assert_int_equal(standing("order-1-1"), 2 * PRICE);
    expect_state(PAID, SOLD, 0);
}

/* However many are open, callers find room at the gateway, too. */
static void test_not_all_at_once(void **state)
{
    enum { CHARGES = ASKING_MAX + 8 };

    (void)state;
    tell(LOSE_ANSWER, -1);
    for (int i = 0; i < CHARGES; i++) {
        char key[16];
        snprintf(key, sizeof key, "m-%d", i);
        expect(charging(1), key, PAYMENT_UNKNOWN);
    }
    tell(PLAIN, -1);
    books.running_max = 0;
    config.payment_settle_after_ms = 1;
    wait_settled();
    assert_true(books.running_max <= ASKING_MAX);
    expect_state(BALANCE + CHARGES, STOCK, 0);
    assert_int_equal(standing("charge-"), CHARGES);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, pay_setup, pay_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_unknown_for_too_long),
        cmocka_unit_test(test_void_comes_late),
        TEST(test_void_is_refused),
        TEST(test_not_all_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
