// SPDX-License-Identifier: Apache-2.0
/* What becomes of a granted place. */
#include "gate/gate_conformance_internal.h"

/* ---- settling ---- */

static void test_release_names_its_grant(void **state)
{
    static const struct gate_entry differs[] = {
        { .coupon_id = 1 },   { .user_id = 1 }, { .slot = 1 },
        { .token = 1000000 }, { .epoch = -1 },  { .epoch = 1 },
    };

    (void)state;
    conf_open_empty(3);
    conf_grant_stored(1, 1);
    struct gate_entry entry = conf_grant(2, 2);
    for (size_t i = 0; i < ARRAY_COUNT(differs); i++)
        assert_false(
            conf_release(&(struct gate_entry){ .coupon_id = entry.coupon_id + differs[i].coupon_id,
                                               .user_id = entry.user_id + differs[i].user_id,
                                               .slot = entry.slot + differs[i].slot,
                                               .token = entry.token + differs[i].token,
                                               .epoch = entry.epoch + differs[i].epoch }));
    conf_expect_status(2, 1, 0, 1);
    assert_true(conf_release(&entry));
    conf_expect_status(1, 0, 1, 2);
    assert_false(conf_release(&entry));
    conf_grant_stored(3, 2); /* at once to the next in line */
    assert_false(conf_release(&entry));
    conf_grant_stored(2, 3); /* who lost it may come again */
    conf_expect(4, GATE_SOLD_OUT, 0, false);
}

static void test_smallest_returned_first(void **state)
{
    struct gate_entry entries[8];
    static const size_t released[] = { 6, 1, 4, 2 };
    static const int64_t given[] = { 2, 3, 5, 7, 9 };

    (void)state;
    conf_open_empty(9);
    for (size_t i = 0; i < 8; i++)
        entries[i] = conf_grant(10 + (int64_t)i, 1 + (int64_t)i);
    for (size_t i = 0; i < ARRAY_COUNT(released); i++)
        assert_true(conf_release(&entries[released[i]]));
    for (size_t i = 0; i < ARRAY_COUNT(given); i++)
        conf_grant(30 + (int64_t)i, given[i]);
    conf_expect(40, GATE_SOLD_OUT, 0, false);
}

static void test_confirm(void **state)
{
    (void)state;
    conf_open_empty(3);
    struct gate_entry entry = conf_grant(1, 1), other = entry;
    other.slot = 2;
    conf_confirm(&other);
    other.slot = 1;
    other.user_id = 9;
    conf_confirm(&other);
    conf_expect_status(1, 1, 0, 2);
    entry.token = 0; /* whoever stored it: the row is what counts */
    conf_confirm(&entry);
    conf_confirm(&entry);
    conf_expect_status(1, 0, 0, 2);
}

static void test_move(void **state)
{
    (void)state;
    conf_open_empty(4);
    struct gate_entry first = conf_grant(1, 1), second = conf_grant(2, 2), stale = first;
    struct gate_entry before = first;
    stale.slot = 3;
    assert_int_equal(conf_move(&stale, 0, false), GATE_CLOSED);
    assert_int_equal(conf_move(&first, 0, false), GATE_GRANTED);
    assert_int_equal(first.slot, 3);
    conf_expect_status(2, 2, 0, 1); /* 1 is somebody else's row: it does not come back */
    conf_expect(1, GATE_ALREADY, 3, true);
    assert_int_equal(conf_move(&before, 0, false), GATE_CLOSED); /* done */
    assert_int_equal(conf_move(&second, 4, false), GATE_ALREADY);
    assert_int_equal(second.slot, 4); /* the user's own row: confirmed, and 2 comes back */
    conf_expect(2, GATE_ALREADY, 4, false);
    conf_expect_status(2, 1, 1, 1);
    struct gate_entry third = conf_grant(3, 2);
    assert_int_equal(conf_move(&third, 0, false), GATE_SOLD_OUT);
    conf_expect(3, GATE_SOLD_OUT, 0, false);
    conf_expect_status(2, 1, 0, 0);
}

static void test_moved_is_released_by_its_new_slot(void **state)
{
    (void)state;
    conf_open_empty(3);
    struct gate_entry entry = conf_grant(1, 1), before = entry;
    assert_int_equal(conf_move(&entry, 0, false), GATE_GRANTED);
    assert_false(conf_release(&before));
    assert_true(conf_release(&entry));
    conf_grant(2, 2);
}

/* A place whose epoch is over, offered to the gate of today. */
static void test_offer(void **state)
{
    static const struct conformance_holder holders[] = { { 1, 10 }, { 3, 30 } };
    struct coupon_settings settings = conf_settings_of(8);
    struct gate_entry offers[] = {
        { COUPON, 20, 2, 900, 1 }, /* free: it came back */
        { COUPON, 60, 6, 901, 1 }, /* free: never handed out */
        { COUPON, 31, 3, 902, 1 }, /* somebody else's */
        { COUPON, 90, 9, 903, 1 }, /* above the quantity */
        { COUPON, 10, 5, 904, 1 }, /* has a row */
        { COUPON, 20, 7, 905, 1 }, /* has an entry */
    };
    static const struct {
        enum gate_outcome outcome;
        int64_t slot;
    } expected[] = { { GATE_GRANTED, 2 }, { GATE_GRANTED, 6 }, { GATE_GRANTED, 4 },
                     { GATE_GRANTED, 5 }, { GATE_ALREADY, 1 }, { GATE_ALREADY, 2 } };

    (void)state;
    assert_int_equal(conf_move(&offers[0], 0, true), GATE_CLOSED);
    conf_open_with(&settings, 2, holders, ARRAY_COUNT(holders));
    offers[0].epoch = 1;
    for (size_t i = 0; i < ARRAY_COUNT(offers); i++) {
        assert_int_equal(conf_move(&offers[i], 0, true), expected[i].outcome);
        assert_int_equal(offers[i].slot, expected[i].slot);
        assert_int_equal(offers[i].epoch, 2);
        if (expected[i].outcome == GATE_GRANTED)
            assert_false(conf_release(&offers[i])); /* somebody may have been told of it */
    }
    conf_expect_status(6, 4, 0, 2);
    conf_confirm(&offers[1]);
    conf_grant_stored(1, 7);
    conf_grant_stored(2, 8);
    struct gate_entry late = { COUPON, 99, 4, 906, 1 };
    assert_int_equal(conf_move(&late, 0, true), GATE_SOLD_OUT);
    gate_close(world.gate, COUPON);
    assert_int_equal(conf_move(&late, 0, true), GATE_CLOSED);
}

static void test_sweep(void **state)
{
    struct gate_entry swept[8], entries[5];

    (void)state;
    conf_open_empty(10);
    for (int64_t i = 0; i < 5; i++)
        entries[i] = conf_grant(1 + i, 1 + i);
    conf_confirm(&entries[4]);
    assert_int_equal(conf_sweep(2000, swept, 8), 0);
    world.host->pass(world.host->in_store ? 1000 : 1999);
    assert_int_equal(conf_sweep(2000, swept, 8), 0);
    world.host->pass(world.host->in_store ? 1000 : 2);
    conf_grant(9, 6);
    conf_status();
    assert_true(gate_oldest_pending_ms(world.gate, COUPON) >= 2000);
    assert_int_equal(conf_sweep(2000, swept, 3), 3);
    assert_int_equal(conf_sweep(2000, swept + 3, 5), 1);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(swept[i].coupon_id, COUPON);
        assert_int_equal(swept[i].slot, swept[i].user_id);
        assert_true(swept[i].token != entries[swept[i].user_id - 1].token);
        assert_false(conf_release(&entries[swept[i].user_id - 1]));
        assert_false(conf_release(&swept[i])); /* joined */
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(swept[i].user_id, swept[j].user_id);
    }
    assert_int_equal(conf_sweep(2000, swept, 8), 0);
    conf_confirm(&swept[0]);
    world.host->pass(2001);
    assert_int_equal(conf_sweep(2000, swept, 8), 4); /* three again, and user 9 */
}

int gate_conformance_settle(void)
{
    static const struct CMUnitTest tests[] = {
        CONFORMANCE_TEST(test_release_names_its_grant),
        CONFORMANCE_TEST(test_smallest_returned_first),
        CONFORMANCE_TEST(test_confirm),
        CONFORMANCE_TEST(test_move),
        CONFORMANCE_TEST(test_moved_is_released_by_its_new_slot),
        CONFORMANCE_TEST(test_offer),
        CONFORMANCE_TEST(test_sweep),
    };
    return cmocka_run_group_tests_name("settling", tests, NULL, NULL);
}
