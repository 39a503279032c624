// SPDX-License-Identifier: Apache-2.0
/* Windows, states, changes, wallets, the witness. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/attr.h"
#include "core/coupon.h"
#include "core/wallet.h"

enum { STARTS = 1000, ENDS = 2000 };

static void test_window(void **state)
{
    static const struct {
        int64_t now_ms;
        enum coupon_window window;
    } rows[] = {
        { INT64_MIN, COUPON_BEFORE }, { STARTS - 1, COUPON_BEFORE }, { STARTS, COUPON_WITHIN },
        { ENDS - 1, COUPON_WITHIN },  { ENDS, COUPON_AFTER },        { INT64_MAX, COUPON_AFTER },
    };
    struct coupon_settings settings = { .starts_at_ms = STARTS, .ends_at_ms = ENDS };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        assert_int_equal(coupon_window(&settings, rows[i].now_ms), rows[i].window);
}

static void test_state(void **state)
{
    static const struct {
        int64_t now_ms, remaining;
        bool closed;
        enum coupon_state state;
    } rows[] = {
        { STARTS - 1, 5, false, COUPON_SCHEDULED }, { STARTS - 1, 0, false, COUPON_SCHEDULED },
        { STARTS - 1, 5, true, COUPON_CLOSED },     { STARTS, 5, false, COUPON_OPEN },
        { STARTS, 0, false, COUPON_SOLD_OUT },      { STARTS, 0, true, COUPON_CLOSED },
        { ENDS, 5, false, COUPON_ENDED },           { ENDS, 0, true, COUPON_ENDED },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct coupon_settings settings = { .starts_at_ms = STARTS,
                                            .ends_at_ms = ENDS,
                                            .closed = rows[i].closed };
        assert_int_equal(coupon_state(&settings, rows[i].remaining, rows[i].now_ms), rows[i].state);
    }
}

static void test_held_state(void **state)
{
    static const struct {
        int64_t uses, uses_per_user, now_ms;
        enum held_state state;
    } rows[] = {
        { 0, 1, ENDS - 1, HELD_AVAILABLE },
        { 0, 1, ENDS, HELD_EXPIRED },
        { 1, 1, ENDS - 1, HELD_USED },
        { 1, 1, ENDS, HELD_USED },
        { 2, 1, ENDS - 1, HELD_USED },
        { 2, 3, ENDS - 1, HELD_AVAILABLE },
        { 9, COUPON_USES_UNLIMITED, ENDS - 1, HELD_AVAILABLE },
        { 9, COUPON_USES_UNLIMITED, ENDS, HELD_EXPIRED },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        assert_int_equal(
            coupon_held_state(rows[i].uses, rows[i].uses_per_user, ENDS, rows[i].now_ms),
            rows[i].state);
}

static void test_change(void **state)
{
    static const struct {
        struct coupon_change change;
        enum coupon_change_outcome outcome;
        struct coupon_settings now;
    } rows[] = {
        { { 0 }, COUPON_CHANGE_OK, { 100, STARTS, ENDS, false, 8 } },
        { { .has_quantity = true, .total_quantity = 40 },
          COUPON_CHANGE_OK,
          { 40, STARTS, ENDS, false, 8 } },
        { { .has_quantity = true, .total_quantity = 39 }, COUPON_CHANGE_BELOW_HANDED_OUT, { 0 } },
        { { .has_starts = true, .starts_at_ms = ENDS - 1 },
          COUPON_CHANGE_OK,
          { 100, ENDS - 1, ENDS, false, 8 } },
        { { .has_starts = true, .starts_at_ms = ENDS }, COUPON_CHANGE_EMPTY_WINDOW, { 0 } },
        { { .has_ends = true, .ends_at_ms = STARTS }, COUPON_CHANGE_EMPTY_WINDOW, { 0 } },
        { { .has_starts = true, .has_ends = true, .starts_at_ms = 5000, .ends_at_ms = 6000 },
          COUPON_CHANGE_OK,
          { 100, 5000, 6000, false, 8 } },
        { { .has_closed = true, .closed = true },
          COUPON_CHANGE_OK,
          { 100, STARTS, ENDS, true, 8 } },
        { { .total_quantity = 1, .ends_at_ms = 1, .closed = true }, /* none of them asked for */
          COUPON_CHANGE_OK,
          { 100, STARTS, ENDS, false, 8 } },
    };
    struct coupon coupon = { .settings = { 100, STARTS, ENDS, false, 7 },
                             .witness = { .issued = 3, .highest = 40 } };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct coupon_settings now = { 0 };
        assert_int_equal(coupon_change_decide(&coupon, &rows[i].change, &now), rows[i].outcome);
        assert_int_equal(now.total_quantity, rows[i].now.total_quantity);
        assert_int_equal(now.starts_at_ms, rows[i].now.starts_at_ms);
        assert_int_equal(now.ends_at_ms, rows[i].now.ends_at_ms);
        assert_int_equal(now.closed, rows[i].now.closed);
        assert_int_equal(now.version, rows[i].now.version);
    }
}

static void test_wallet(void **state)
{
    static const struct {
        int64_t balance, amount, amount_max;
        enum wallet_outcome outcome;
        int64_t now;
    } rows[] = {
        { 5, 1, 10, WALLET_OK, 6 },
        { 5, 10, 10, WALLET_OK, 15 },
        { 5, 11, 10, WALLET_INVALID_AMOUNT, -1 },
        { 5, 0, 10, WALLET_INVALID_AMOUNT, -1 },
        { 5, -3, 10, WALLET_INVALID_AMOUNT, -1 },
        { 5, INT64_MIN, 10, WALLET_INVALID_AMOUNT, -1 },
        { INT64_MAX - 1, 1, INT64_MAX, WALLET_OK, INT64_MAX },
        { INT64_MAX, 1, INT64_MAX, WALLET_INVALID_AMOUNT, -1 },
        { 1, INT64_MAX, INT64_MAX, WALLET_INVALID_AMOUNT, -1 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        int64_t now = -1;
        assert_int_equal(
            wallet_charge(rows[i].balance, 0, rows[i].amount, rows[i].amount_max, &now),
            rows[i].outcome);
        assert_int_equal(now, rows[i].now);
    }
}

static struct witness witness_of(const int64_t (*rows)[2], size_t count)
{
    struct witness witness = { 0 };

    for (size_t i = 0; i < count; i++)
        witness_add(&witness, rows[i][0], rows[i][1]);
    return witness;
}

/* Order does not matter; anything else does. */
static void test_witness(void **state)
{
    static const int64_t same[][3][2] = {
        { { 1, 10 }, { 2, 20 }, { 3, 30 } },
        { { 3, 30 }, { 1, 10 }, { 2, 20 } },
    };
    static const int64_t others[][3][2] = {
        { { 1, 10 }, { 2, 30 }, { 3, 20 } }, /* two have changed places */
        { { 1, 10 }, { 2, 20 }, { 3, 31 } }, { { 10, 1 }, { 20, 2 }, { 3, 30 } },
        { { 1, 10 }, { 2, 20 }, { 4, 30 } }, { { 1, 10 }, { 1, 10 }, { 3, 30 } },
    };

    (void)state;
    struct witness first = witness_of(same[0], 3), second = witness_of(same[1], 3);
    assert_true(witness_equal(&first, &second));
    assert_int_equal(first.highest, 3);
    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        second = witness_of(others[i], 3);
        assert_false(witness_equal(&first, &second));
    }
    second = witness_of(same[0], 2); /* the highest is gone */
    assert_false(witness_equal(&first, &second));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_window),     cmocka_unit_test(test_state),
        cmocka_unit_test(test_held_state), cmocka_unit_test(test_change),
        cmocka_unit_test(test_wallet),     cmocka_unit_test(test_witness),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
