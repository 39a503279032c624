// SPDX-License-Identifier: Apache-2.0
/* What becomes of a granted place when the ledger refuses, is slow, or knows better. */
#include "shop/shop_fixture_test.h"

/* Behind the gate's back. */
static void plant(int64_t user_id, int64_t slot)
{
    struct ledger_command command = {
        .op = LEDGER_PLACE, .place = { .coupon_id = COUPON, .user_id = user_id, .slot = slot }
    };

    ledger_run(shop.ledger, &command);
    assert_ok(command.err);
    assert_int_equal(command.place.outcome, LEDGER_PLACE_STORED);
}

static void test_failed_issue_gives_its_place_back(void **state)
{
    (void)state;
    shop_begin(10, 3);
    ledger_fault_set(shop.ledger, true);
    struct coupon_take take = take_now(2, false); /* the user is looked up first */
    assert_int_equal(take.outcome, COUPON_TAKE_UNAVAILABLE);
    ledger_fault_set(shop.ledger, false);
    expect_take(9, false, COUPON_TAKE_ISSUED, 1);
    ledger_fault_set(shop.ledger, true);
    expect_take(2, false, COUPON_TAKE_UNAVAILABLE, 2);
    expect_take(3, false, COUPON_TAKE_UNAVAILABLE, 2); /* the same place again */
    assert_int_equal(gate_status(shop.gate, COUPON).granted, 1);
    ledger_fault_set(shop.ledger, false);
    expect_take(4, false, COUPON_TAKE_ISSUED, 2); /* the next in line */
    expect_take(2, false, COUPON_TAKE_ISSUED, 3);
    expect_take(3, false, COUPON_TAKE_SOLD_OUT, 0);
    expect_rows(3);
    shop_end();
}

/* A reserve was told of the place: it stays that person's, and the sweeper has it stored. */
static void test_joined_issue_is_not_given_back(void **state)
{
    struct coupon_take issue, reserve;

    (void)state;
    shop_begin(10, 3);
    expect_take(9, false, COUPON_TAKE_ISSUED, 1);
    stall_begin();
    take_begin(&issue, 2, false);
    wait_until(turned);
    take_begin(&reserve, 2, true);
    wait_until(turned);
    assert_int_equal(reserve.outcome, COUPON_TAKE_ALREADY);
    assert_int_equal(reserve.slot, 2);
    assert_int_equal(reserve.held_state, HELD_RESERVED);
    ledger_fault_set(shop.ledger, true);
    stall_end();
    wait_until(all_taken);
    assert_int_equal(issue.outcome, COUPON_TAKE_UNAVAILABLE);
    assert_int_equal(gate_status(shop.gate, COUPON).pending, 1);
    ledger_fault_set(shop.ledger, false);
    expect_rows(2); /* nobody called: the sweeper did it */
    expect_take(2, false, COUPON_TAKE_ALREADY, 2);
    shop_end();
}

static void test_reserve_goes_on_while_the_ledger_is_away(void **state)
{
    (void)state;
    shop_begin(10, 5);
    expect_take(2, true, COUPON_TAKE_RESERVED, 1);
    expect_rows(1);
    ledger_fault_set(shop.ledger, true);
    expect_take(3, true, COUPON_TAKE_RESERVED, 2);
    expect_take(3, true, COUPON_TAKE_ALREADY, 2);
    expect_take(3, false, COUPON_TAKE_UNAVAILABLE, 2);
    expect_take(3, true, COUPON_TAKE_ALREADY, 2);
    ledger_fault_set(shop.ledger, false);
    expect_rows(2);
    expect_take(3, false, COUPON_TAKE_ALREADY, 2);
    shop_end();
}

/* Killed before the rows were written: the next start has them all, with the same numbers. */
static void test_reserved_then_restarted(void **state)
{
    (void)state;
    shop_begin(40, 30);
    for (int64_t user = 1; user <= 20; user++) {
        if (user == 11)
            expect_rows(10);
        ledger_fault_set(shop.ledger, user > 10);
        expect_take(user, true, COUPON_TAKE_RESERVED, user);
    }
    ledger_fault_set(shop.ledger, true);
    shop_stop();
    shop_start();
    assert_int_equal(gate_status(shop.gate, COUPON).pending, 10);
    for (int64_t user = 1; user <= 20; user++)
        expect_take(user, user % 2, COUPON_TAKE_ALREADY, user);
    expect_take(21, false, COUPON_TAKE_ISSUED, 21);
    expect_rows(21);
    shop_end();
}

static void test_deadline(void **state)
{
    struct coupon_take takes[3];

    (void)state;
    shop_begin(10, 5);
    config.request_deadline_ms = 30;
    stall_begin();
    for (size_t i = 0; i < 3; i++)
        take_begin(&takes[i], 2 + (int64_t)i / 2, false); /* 2, 2, 3 */
    wait_until(all_taken);                                /* the ledger still stands */
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(takes[i].outcome, COUPON_TAKE_UNAVAILABLE);
    assert_int_equal(gate_status(shop.gate, COUPON).pending, 2);
    config.request_deadline_ms = 60000;
    take_begin(&takes[0], 2, false); /* joins, and waits */
    stall_end();
    wait_until(all_taken);
    assert_int_equal(takes[0].outcome, COUPON_TAKE_ALREADY);
    assert_int_equal(takes[0].slot, 1);
    expect_take(3, true, COUPON_TAKE_ALREADY, 2);
    expect_rows(2);
    shop_end();
}

/* The number is somebody else's row: the next one, and nobody loses. */
static void test_conflict(void **state)
{
    struct coupon_take takes[4];

    (void)state;
    for (int reserve = 0; reserve < 2; reserve++) {
        shop_begin(10, 6);
        plant(8, 1);
        plant(9, 3);
        for (size_t i = 0; i < 4; i++)
            take_begin(&takes[i], 2 + (int64_t)i, reserve);
        wait_until(all_taken);
        for (size_t i = 0; i < 4; i++)
            assert_int_equal(takes[i].outcome, reserve ? COUPON_TAKE_RESERVED : COUPON_TAKE_ISSUED);
        wait_until(nothing_pending);
        for (int64_t user = 2; user <= 5; user++) {
            struct coupon_take take = take_now(user, false);
            assert_int_equal(take.outcome, COUPON_TAKE_ALREADY);
            if (!reserve)
                assert_int_equal(take.slot, takes[user - 2].slot);
            assert_true(take.slot != 1 && take.slot != 3);
        }
        expect_take(6, false, COUPON_TAKE_SOLD_OUT, 0);
        shop_stop(); /* the gate learns of the two rows */
        shop_start();
        expect_rows(6);
        shop_end();
    }
}

static void test_conflict_without_a_place_left(void **state)
{
    (void)state;
    shop_begin(10, 1);
    plant(8, 1);
    expect_take(2, false, COUPON_TAKE_SOLD_OUT, 1);
    assert_int_equal(gate_status(shop.gate, COUPON).granted, 0);
    shop_stop();
    shop_start();
    expect_rows(1);
    shop_end();
}

/* The user has a row that the gate does not know: that one counts. */
static void test_own_row(void **state)
{
    (void)state;
    shop_begin(10, 6);
    plant(2, 4);
    expect_take(2, false, COUPON_TAKE_ALREADY, 4);
    expect_take(3, false, COUPON_TAKE_ISSUED, 1); /* the place that 2 was granted came back */
    expect_take(2, true, COUPON_TAKE_ALREADY, 4);
    expect_rows(2);
    shop_end();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failed_issue_gives_its_place_back),
        cmocka_unit_test(test_joined_issue_is_not_given_back),
        cmocka_unit_test(test_reserve_goes_on_while_the_ledger_is_away),
        cmocka_unit_test(test_reserved_then_restarted),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_conflict),
        cmocka_unit_test(test_conflict_without_a_place_left),
        cmocka_unit_test(test_own_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
