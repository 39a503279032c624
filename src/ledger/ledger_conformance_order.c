// SPDX-License-Identifier: Apache-2.0
/* What comes before counts for what comes after, in one turn, too. */
#include "ledger/ledger_conformance_internal.h"

static void test_lowered_after_a_place(void **state)
{
    struct coupon coupon = { 0 };
    struct ledger_command commands[2] = { conf_place(1, 10), conf_change(&coupon, 5) };

    (void)state;
    conf_coupon(20);
    conf_run(commands, 2);
    assert_int_equal(commands[0].place.outcome, LEDGER_PLACE_STORED);
    assert_int_equal(commands[1].coupon_change.outcome, COUPON_CHANGE_BELOW_HANDED_OUT);
    assert_int_equal(conf_check(), 1);
}

static void test_lowered_before_a_place(void **state)
{
    struct coupon coupon = { 0 };
    struct ledger_command commands[2] = { conf_change(&coupon, 5), conf_place(1, 10) };

    (void)state;
    conf_coupon(20);
    commands[0].coupon_change.raise_epoch = true;
    conf_run(commands, 2);
    assert_int_equal(commands[0].coupon_change.outcome, COUPON_CHANGE_OK);
    assert_int_equal(commands[1].place.outcome, LEDGER_PLACE_CONFLICT);
    assert_int_equal(conf_check(), 0);
}

static void test_raised_before_a_place(void **state)
{
    struct coupon coupon = { 0 };
    struct ledger_command commands[2] = { conf_change(&coupon, 30), conf_place(1, 25) };

    (void)state;
    conf_coupon(20);
    conf_run(commands, 2);
    assert_int_equal(commands[1].place.outcome, LEDGER_PLACE_STORED);
    assert_int_equal(conf_check(), 1);
}

static void test_created_after_a_place(void **state)
{
    struct coupon created, now;
    struct ledger_command commands[3] = { conf_place(1, 1), conf_create(&created, COUPON, 20),
                                          conf_place(2, 2) };

    (void)state;
    conf_run(commands, 3);
    assert_int_equal(commands[0].place.outcome, LEDGER_PLACE_CONFLICT);
    assert_false(commands[1].coupon_create.taken);
    assert_int_equal(commands[2].place.outcome, LEDGER_PLACE_STORED);
    assert_int_equal(conf_check(), 1);
    conf_scan(&now, NULL, 0);
    assert_int_equal(now.settings.total_quantity, 20);
    assert_string_equal(now.name, "SPRING");
}

int ledger_conformance_order(void)
{
    static const struct CMUnitTest tests[] = {
        CONFORMANCE_TEST(test_lowered_after_a_place),
        CONFORMANCE_TEST(test_lowered_before_a_place),
        CONFORMANCE_TEST(test_raised_before_a_place),
        CONFORMANCE_TEST(test_created_after_a_place),
    };
    return cmocka_run_group_tests_name("order", tests, NULL, NULL);
}
