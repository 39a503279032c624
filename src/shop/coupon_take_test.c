// SPDX-License-Identifier: Apache-2.0
/* Drops through issue, reserve and both: who gets a coupon, and what everybody is told. */
#include "base/mem.h"
#include "shop/shop_fixture_test.h"

enum way { ISSUE, RESERVE, MIXED, WAY_N };

static bool by_reserve(enum way way, size_t i)
{
    return way == RESERVE || (way == MIXED && i % 2);
}

static bool won(const struct coupon_take *take)
{
    return take->outcome == COUPON_TAKE_ISSUED || take->outcome == COUPON_TAKE_RESERVED;
}

static void test_stampede(void **state)
{
    enum { USERS = 20000, PLACES = 1000 };
    struct coupon_take *takes = mem_alloc(USERS * sizeof *takes);
    static bool slots[PLACES + 1];

    (void)state;
    for (int way = 0; way < WAY_N; way++) {
        size_t winners = 0;
        memset(slots, 0, sizeof slots);
        shop_begin(USERS, PLACES);
        for (size_t i = 0; i < USERS; i++)
            take_begin(&takes[i], (int64_t)i + 1, by_reserve((enum way)way, i));
        wait_until(all_taken);
        for (size_t i = 0; i < USERS; i++) {
            if (!won(&takes[i])) {
                assert_int_equal(takes[i].outcome, COUPON_TAKE_SOLD_OUT);
                continue;
            }
            assert_int_equal(takes[i].outcome == COUPON_TAKE_RESERVED, takes[i].reserve);
            assert_true(takes[i].slot >= 1 && takes[i].slot <= PLACES && !slots[takes[i].slot]);
            slots[takes[i].slot] = true;
            winners++;
        }
        assert_int_equal(winners, PLACES);
        expect_rows(PLACES);
        shop_end();
    }
    mem_free(takes);
}

static void test_clicks(void **state)
{
    enum { USERS = 150, CLICKS = 4, PLACES = 100 };
    static struct coupon_take takes[USERS * CLICKS];

    (void)state;
    for (int way = 0; way < WAY_N; way++) {
        int64_t slot_of[USERS + 1] = { 0 };
        size_t winners = 0;
        shop_begin(USERS, PLACES);
        for (size_t i = 0; i < USERS * CLICKS; i++)
            take_begin(&takes[i], (int64_t)(i * 7 % USERS) + 1, by_reserve((enum way)way, i / 3));
        wait_until(all_taken);
        for (size_t i = 0; i < USERS * CLICKS; i++)
            if (won(&takes[i])) {
                assert_int_equal(slot_of[takes[i].user_id], 0); /* once a person */
                slot_of[takes[i].user_id] = takes[i].slot;
                winners++;
            }
        assert_int_equal(winners, PLACES);
        for (size_t i = 0; i < USERS * CLICKS; i++) {
            int64_t slot = slot_of[takes[i].user_id];
            if (won(&takes[i]))
                continue;
            assert_int_equal(takes[i].outcome, slot ? COUPON_TAKE_ALREADY : COUPON_TAKE_SOLD_OUT);
            assert_int_equal(takes[i].slot, slot);
        }
        expect_rows(PLACES);
        shop_end();
    }
}

static void test_one_user_at_once(void **state)
{
    static struct coupon_take takes[50];

    (void)state;
    for (int way = 0; way < WAY_N; way++) {
        size_t winners = 0;
        shop_begin(10, 10);
        for (size_t i = 0; i < 50; i++)
            take_begin(&takes[i], 3, by_reserve((enum way)way, i));
        wait_until(all_taken);
        for (size_t i = 0; i < 50; i++) {
            assert_true(won(&takes[i]) || takes[i].outcome == COUPON_TAKE_ALREADY);
            assert_int_equal(takes[i].slot, 1);
            winners += won(&takes[i]);
            if (!takes[i].reserve) /* waits for the row, then names it */
                assert_int_equal(takes[i].user_coupon_id, 1);
        }
        assert_int_equal(winners, 1);
        expect_rows(1);
        shop_end();
    }
}

static void test_refusals(void **state)
{
    (void)state;
    shop_begin(5, 3);
    for (int reserve = 0; reserve < 2; reserve++) {
        struct coupon_take unknown = { .done = take_done, .coupon_id = 99, .user_id = 1 };
        expect_take(6, reserve, COUPON_TAKE_NO_USER, 0);
        expect_take(0, reserve, COUPON_TAKE_NO_USER, 0);
        expect_take(-1, reserve, COUPON_TAKE_NO_USER, 0);
        expect_take(INT64_MAX, reserve, COUPON_TAKE_NO_USER, 0);
        unknown.reserve = reserve;
        takes_open++;
        coupon_take(&here, &unknown);
        wait_until(all_taken);
        assert_int_equal(unknown.outcome, COUPON_TAKE_NO_COUPON);
        unknown.user_id = 9; /* the user is asked first */
        takes_open++;
        coupon_take(&here, &unknown);
        wait_until(all_taken);
        assert_int_equal(unknown.outcome, COUPON_TAKE_NO_USER);
    }
    shop_end();
}

static void test_window_and_holders(void **state)
{
    static const struct {
        int64_t starts_ms, ends_ms;
        bool closed;
        enum coupon_take_outcome outcome;
    } rows[] = {
        { HOUR_MS, 2 * HOUR_MS, false, COUPON_TAKE_NOT_STARTED },
        { -2 * HOUR_MS, -HOUR_MS, false, COUPON_TAKE_EXPIRED },
        { -HOUR_MS, HOUR_MS, true, COUPON_TAKE_ENDED },
    };

    (void)state;
    shop_begin(5, 3);
    expect_take(1, false, COUPON_TAKE_ISSUED, 1);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        int64_t now_ms = clock_wall_ms();
        struct coupon_settings settings = { 3, now_ms + rows[i].starts_ms, now_ms + rows[i].ends_ms,
                                            rows[i].closed, 2 + (int64_t)i };
        assert_ok(gate_set(shop.gate, COUPON, &settings));
        for (int reserve = 0; reserve < 2; reserve++) {
            expect_take(1, reserve, COUPON_TAKE_ALREADY, 1);
            expect_take(2, reserve, rows[i].outcome, 0);
        }
    }
    gate_close(shop.gate, COUPON); /* holders are told from SQL, all others to come again */
    expect_take(1, true, COUPON_TAKE_ALREADY, 1);
    expect_take(2, true, COUPON_TAKE_CLOSED, 0);
    shop_end();
}

static bool all_but_two_taken(void)
{
    return takes_open == 2;
}

/* No room in the ledger's queue: the gate is not asked. */
static void test_overloaded(void **state)
{
    struct coupon_take takes[5];

    (void)state;
    shop_begin(10, 10);
    shop_stop();
    ledger_options.queue_max = 3;
    shop_start();
    stall_begin();
    for (int64_t i = 0; i < 5; i++)
        take_begin(&takes[i], 2 + i, false);
    wait_until(all_but_two_taken);
    stall_end();
    wait_until(all_taken);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(takes[i].outcome, i < 2 ? COUPON_TAKE_ISSUED : COUPON_TAKE_OVERLOADED);
    assert_int_equal(gate_status(shop.gate, COUPON).granted, 2);
    expect_take(4, false, COUPON_TAKE_ISSUED, 3);
    expect_rows(3);
    shop_end();
}

/* With gate.reserve_durability = ledger, `reserve` answers after the commit. */
static void test_reserve_waits_for_the_ledger(void **state)
{
    struct coupon_take take;

    (void)state;
    shop_begin(10, 10);
    config.gate_reserve_durability = CONFIG_DURABILITY_LEDGER;
    take = take_now(2, true);
    assert_int_equal(take.outcome, COUPON_TAKE_RESERVED);
    assert_int_equal(take.durability, GATE_DURABLE_LEDGER);
    assert_int_equal(gate_status(shop.gate, COUPON).pending, 0);
    assert_int_equal(gate_stats(shop.gate).journal_writes, 0);
    config.gate_reserve_durability = CONFIG_DURABILITY_GATE;
    take = take_now(3, true);
    assert_int_equal(take.durability, GATE_DURABLE_JOURNAL);
    expect_rows(2);
    shop_end();
}

/* Granted after the lease is over: nobody is told before it is a row. */
static void test_lease_is_over(void **state)
{
    (void)state;
    shop_begin(10, 10);
    gate_lease_set(shop.gate, 0);
    expect_take(2, true, COUPON_TAKE_CLOSED, 0); /* not even asked for */
    expect_rows(0);
    gate_lease_set(shop.gate, UINT64_MAX);
    expect_take(9, false, COUPON_TAKE_ISSUED, 1);
    struct coupon_take take;
    take_begin(&take, 2, true);
    gate_lease_set(shop.gate, 0);
    wait_until(all_taken);
    assert_int_equal(take.outcome, COUPON_TAKE_RESERVED);
    assert_int_equal(take.slot, 2);
    assert_int_equal(take.durability, GATE_DURABLE_LEDGER);
    expect_rows(2);
    expect_take(3, false, COUPON_TAKE_ISSUED, 3);
    gate_lease_set(shop.gate, UINT64_MAX);
    take_begin(&take, 4, true);
    gate_lease_set(shop.gate, 0);
    ledger_fault_set(shop.ledger, true);
    wait_until(all_taken);
    assert_int_equal(take.outcome, COUPON_TAKE_CLOSED); /* in vain, and the place is kept */
    ledger_fault_set(shop.ledger, false);
    expect_rows(4);
    gate_lease_set(shop.gate, UINT64_MAX);
    expect_take(2, true, COUPON_TAKE_ALREADY, 2);
    expect_take(4, true, COUPON_TAKE_ALREADY, 4);
    expect_rows(4);
    shop_end();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stampede),
        cmocka_unit_test(test_clicks),
        cmocka_unit_test(test_one_user_at_once),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_window_and_holders),
        cmocka_unit_test(test_overloaded),
        cmocka_unit_test(test_reserve_waits_for_the_ledger),
        cmocka_unit_test(test_lease_is_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
