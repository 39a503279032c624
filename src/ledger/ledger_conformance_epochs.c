// SPDX-License-Identifier: Apache-2.0
/* The lives of a coupon's gate: closing one, raising the epoch, and what comes too late. */
#include "ledger/ledger_conformance_internal.h"

static struct coupon coupon;

static struct ledger_command close_of(int64_t epoch)
{
    return (struct ledger_command){
        .op = LEDGER_COUPON_CLOSING,
        .coupon_closing = { .coupon_id = COUPON, .epoch_expected = epoch, .coupon = &coupon }
    };
}

static struct ledger_command raise_of(int64_t expected, int64_t min)
{
    return (struct ledger_command){ .op = LEDGER_COUPON_EPOCH,
                                    .coupon_epoch = { .coupon_id = COUPON,
                                                      .epoch_expected = expected,
                                                      .epoch_min = min,
                                                      .coupon = &coupon } };
}

static struct ledger_command place_of(int64_t user_id, int64_t slot, int64_t epoch)
{
    struct ledger_command place = conf_place(user_id, slot);

    place.place.epoch = epoch;
    return place;
}

static void test_closing(void **state)
{
    struct ledger_command command = close_of(1);

    (void)state;
    conf_run(&command, 1);
    assert_ok(command.err);
    assert_false(command.coupon_closing.found);
    conf_coupon(5);
    static const struct {
        int64_t expected;
        bool closing;
    } rows[] = { { 2, false }, { 1, true }, { 1, true }, { 2, true } };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        command = close_of(rows[i].expected);
        conf_run(&command, 1);
        assert_true(command.coupon_closing.found);
        assert_int_equal(coupon.closing, rows[i].closing);
        assert_int_equal(coupon.epoch, 1);
        assert_int_equal(coupon.settings.version, 1);
    }
    command = raise_of(0, 0);
    conf_run(&command, 1);
    assert_int_equal(coupon.epoch, 2);
    assert_false(coupon.closing);
}

static void test_raise(void **state)
{
    static const struct {
        int64_t expected, min;
        bool overtaken;
        int64_t epoch;
    } rows[] = {
        { 0, 0, false, 2 }, { 1, 0, true, 2 },  { 2, 0, false, 3 },
        { 3, 9, false, 9 }, { 3, 20, true, 9 }, { 9, 5, false, 10 },
    };
    struct ledger_command command;

    (void)state;
    conf_coupon(5);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        command = raise_of(rows[i].expected, rows[i].min);
        conf_run(&command, 1);
        assert_ok(command.err);
        assert_int_equal(command.coupon_epoch.overtaken, rows[i].overtaken);
        assert_int_equal(coupon.epoch, rows[i].epoch);
    }
}

static void test_change_raises(void **state)
{
    struct ledger_command command = close_of(1);

    (void)state;
    conf_coupon(5);
    conf_run(&command, 1);
    command = conf_change(&coupon, 4);
    command.coupon_change.raise_epoch = true;
    command.coupon_change.epoch_expected = 2;
    conf_run(&command, 1);
    assert_true(command.coupon_change.overtaken);
    assert_int_equal(coupon.settings.total_quantity, 5);
    assert_true(coupon.closing);
    command.coupon_change.epoch_expected = 1;
    command.coupon_change.epoch_min = 7;
    conf_run(&command, 1);
    assert_false(command.coupon_change.overtaken);
    assert_int_equal(command.coupon_change.outcome, COUPON_CHANGE_OK);
    assert_int_equal(coupon.settings.total_quantity, 4);
    assert_int_equal(coupon.epoch, 7);
    assert_false(coupon.closing);
}

/* A place of an older epoch is not stored; what its user has already is said all the same. */
static void test_stale(void **state)
{
    struct ledger_command places[] = { place_of(1, 1, 1), place_of(2, 2, 1) };
    struct ledger_command command = close_of(1);

    (void)state;
    conf_coupon(5);
    conf_run(places, 1);
    assert_int_equal(places[0].place.outcome, LEDGER_PLACE_STORED);
    conf_run(&command, 1);
    conf_run(&places[1], 1); /* closing: still accepted */
    assert_int_equal(places[1].place.outcome, LEDGER_PLACE_STORED);
    command = raise_of(1, 0);
    conf_run(&command, 1);
    static const struct {
        int64_t user_id, slot, epoch;
        enum ledger_place_outcome outcome;
        int64_t ret_slot;
    } rows[] = {
        { 1, 1, 1, LEDGER_PLACE_THERE, 1 },  { 2, 4, 1, LEDGER_PLACE_OTHER, 2 },
        { 3, 3, 1, LEDGER_PLACE_STALE, 3 },  { 3, 1, 1, LEDGER_PLACE_STALE, 1 },
        { 3, 3, 2, LEDGER_PLACE_STORED, 3 }, { 4, 4, 3, LEDGER_PLACE_STALE, 4 },
        { 4, 4, 0, LEDGER_PLACE_STORED, 4 },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        command = place_of(rows[i].user_id, rows[i].slot, rows[i].epoch);
        conf_run(&command, 1);
        assert_ok(command.err);
        assert_int_equal(command.place.outcome, rows[i].outcome);
        assert_int_equal(command.place.slot, rows[i].ret_slot);
    }
    /* One that is too late and one that is not, in one batch: the witness takes only what went in.
     */
    struct ledger_command mixed[] = { place_of(5, 5, 1), place_of(6, 5, 2), place_of(7, 1, 1) };
    conf_run(mixed, 3);
    assert_int_equal(mixed[0].place.outcome, LEDGER_PLACE_STALE);
    assert_int_equal(mixed[1].place.outcome, LEDGER_PLACE_STORED);
    assert_int_equal(mixed[2].place.outcome, LEDGER_PLACE_STALE);
    conf_check();
}

int ledger_conformance_epochs(void)
{
    static const struct CMUnitTest tests[] = {
        CONFORMANCE_TEST(test_closing),
        CONFORMANCE_TEST(test_raise),
        CONFORMANCE_TEST(test_change_raises),
        CONFORMANCE_TEST(test_stale),
    };

    return cmocka_run_group_tests_name(world.host->name, tests, NULL, NULL);
}
