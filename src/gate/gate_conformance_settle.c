// SPDX-License-Identifier: Apache-2.0
/* What becomes of a granted place, and how a gate changes and is built anew. */
#include "core/proof.h"
#include "gate/gate_conformance_internal.h"

/* ---- settling ---- */

static void test_release_names_its_grant(void **state)
{
    static const struct gate_entry differs[] = {
        { 1, 0, 0, 0 },
        { 0, 1, 0, 0 },
        { 0, 0, 1, 0 },
        { 0, 0, 0, 1000000 },
    };

    (void)state;
    conf_open_empty(3);
    conf_grant_stored(1, 1);
    struct gate_entry entry = conf_grant(2, 2);
    for (size_t i = 0; i < ARRAY_COUNT(differs); i++)
        assert_false(
            gate_release(world.client, &(struct gate_entry){ entry.coupon_id + differs[i].coupon_id,
                                                             entry.user_id + differs[i].user_id,
                                                             entry.slot + differs[i].slot,
                                                             entry.token + differs[i].token }));
    conf_expect_status(2, 1, 0, 1);
    assert_true(gate_release(world.client, &entry));
    conf_expect_status(1, 0, 1, 2);
    assert_false(gate_release(world.client, &entry));
    conf_grant_stored(3, 2); /* at once to the next in line */
    assert_false(gate_release(world.client, &entry));
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
        assert_true(gate_release(world.client, &entries[released[i]]));
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
    gate_confirm(world.client, &other);
    other.slot = 1;
    other.user_id = 9;
    gate_confirm(world.client, &other);
    conf_expect_status(1, 1, 0, 2);
    entry.token = 0; /* whoever stored it: the row is what counts */
    gate_confirm(world.client, &entry);
    gate_confirm(world.client, &entry);
    conf_expect_status(1, 0, 0, 2);
}

static void test_move(void **state)
{
    int64_t slot = 0;

    (void)state;
    conf_open_empty(4);
    struct gate_entry first = conf_grant(1, 1), second = conf_grant(2, 2), stale = first;
    stale.slot = 3;
    assert_int_equal(gate_move(world.client, &stale, 0, &slot), GATE_CLOSED);
    assert_int_equal(gate_move(world.client, &first, 0, &slot), GATE_GRANTED);
    assert_int_equal(slot, 3);
    conf_expect_status(2, 2, 0, 1); /* 1 is somebody else's row: it does not come back */
    conf_expect(1, GATE_ALREADY, 3, true);
    assert_int_equal(gate_move(world.client, &first, 0, &slot), GATE_CLOSED); /* done */
    assert_int_equal(gate_move(world.client, &second, 4, &slot), GATE_ALREADY);
    assert_int_equal(slot, 4); /* the user's own row: confirmed, and 2 comes back */
    conf_expect(2, GATE_ALREADY, 4, false);
    conf_expect_status(2, 1, 1, 1);
    struct gate_entry third = conf_grant(3, 2);
    assert_int_equal(gate_move(world.client, &third, 0, &slot), GATE_SOLD_OUT);
    conf_expect(3, GATE_SOLD_OUT, 0, false);
    conf_expect_status(2, 1, 0, 0);
}

static void test_moved_is_released_by_its_new_slot(void **state)
{
    int64_t slot = 0;

    (void)state;
    conf_open_empty(3);
    struct gate_entry entry = conf_grant(1, 1);
    assert_int_equal(gate_move(world.client, &entry, 0, &slot), GATE_GRANTED);
    assert_false(gate_release(world.client, &entry));
    entry.slot = slot;
    assert_true(gate_release(world.client, &entry));
    conf_grant(2, 2);
}

static void test_sweep(void **state)
{
    struct gate_entry swept[8], entries[5];

    (void)state;
    conf_open_empty(10);
    for (int64_t i = 0; i < 5; i++)
        entries[i] = conf_grant(1 + i, 1 + i);
    gate_confirm(world.client, &entries[4]);
    assert_int_equal(gate_sweep(world.client, 2000, swept, 8), 0);
    world.host->pass(1999);
    assert_int_equal(gate_sweep(world.client, 2000, swept, 8), 0);
    world.host->pass(2);
    conf_grant(9, 6);
    assert_true(gate_oldest_pending_ms(world.gate, COUPON) >= 2000);
    assert_int_equal(gate_sweep(world.client, 2000, swept, 3), 3);
    assert_int_equal(gate_sweep(world.client, 2000, swept + 3, 5), 1);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(swept[i].coupon_id, COUPON);
        assert_int_equal(swept[i].slot, swept[i].user_id);
        assert_true(swept[i].token != entries[swept[i].user_id - 1].token);
        assert_false(gate_release(world.client, &entries[swept[i].user_id - 1]));
        assert_false(gate_release(world.client, &swept[i])); /* joined */
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(swept[i].user_id, swept[j].user_id);
    }
    assert_int_equal(gate_sweep(world.client, 2000, swept, 8), 0);
    gate_confirm(world.client, &swept[0]);
    world.host->pass(2001);
    assert_int_equal(gate_sweep(world.client, 2000, swept, 8), 4); /* three again, and user 9 */
}

/* ---- settings ---- */

static void test_settings(void **state)
{
    struct coupon_settings settings = conf_settings_of(2);

    (void)state;
    assert_int_equal(gate_set(world.gate, COUPON, &settings), ERR_NOT_FOUND);
    conf_open_empty(2);
    conf_grant_stored(1, 1);
    conf_grant_stored(2, 2);
    assert_true(conf_ask(3).for_good);
    settings.total_quantity = 5;
    assert_ok(gate_set(world.gate, COUPON, &settings)); /* not newer */
    conf_expect(3, GATE_SOLD_OUT, 0, false);
    settings.version = 3;
    assert_ok(gate_set(world.gate, COUPON, &settings));
    for (int64_t user = 3; user <= 5; user++)
        conf_grant_stored(user, user); /* exactly the difference */
    conf_expect(6, GATE_SOLD_OUT, 0, false);
    settings.version = 2;
    settings.total_quantity = 9;
    assert_ok(gate_set(world.gate, COUPON, &settings)); /* came late */
    conf_expect(6, GATE_SOLD_OUT, 0, false);
    settings = (struct coupon_settings){ 9, 1, 2, false, 4 };
    assert_ok(gate_set(world.gate, COUPON, &settings));
    conf_expect(6, GATE_EXPIRED, 0, false);
    settings = conf_settings_of(9);
    settings.version = 5;
    settings.closed = true;
    assert_ok(gate_set(world.gate, COUPON, &settings));
    conf_expect(6, GATE_ENDED, 0, false);
    settings.version = 6;
    settings.closed = false;
    assert_ok(gate_set(world.gate, COUPON, &settings));
    conf_grant_stored(6, 6);
}

static void test_closed(void **state)
{
    (void)state;
    assert_int_equal(conf_ask(1).outcome, GATE_CLOSED); /* unknown */
    assert_false(gate_status(world.gate, COUPON).known);
    gate_close(world.gate, COUPON);
    gate_reopen(world.gate, COUPON);
    assert_int_equal(conf_ask(1).outcome, GATE_CLOSED);
    conf_open_empty(5);
    assert_true(gate_is_usable(world.gate));
    struct gate_entry first = conf_grant(1, 1), second = conf_grant(2, 2);
    gate_close(world.gate, COUPON);
    assert_false(gate_status(world.gate, COUPON).open);
    assert_int_equal(conf_ask(1).outcome, GATE_CLOSED);
    assert_int_equal(conf_ask(3).outcome, GATE_CLOSED);
    conf_expect_status(2, 2, 0, 3); /* stays, to be stored */
    gate_confirm(world.client, &first);
    assert_true(gate_release(world.client, &second));
    gate_reopen(world.gate, COUPON);
    conf_expect(1, GATE_ALREADY, 1, false);
    conf_grant(3, 2);
}

/* ---- rebuilding ---- */

static void test_rebuild(void **state)
{
    static const struct conformance_holder holders[] = { { 5, 50 }, { 2, 20 }, { 6, 60 } };
    struct coupon_settings settings = conf_settings_of(7);

    (void)state;
    conf_open_with(&settings, 4, holders, ARRAY_COUNT(holders));
    assert_int_equal(gate_status(world.gate, COUPON).epoch, 4);
    conf_expect_status(3, 0, 3, 4);
    for (size_t i = 0; i < ARRAY_COUNT(holders); i++)
        conf_expect(holders[i].user_id, GATE_ALREADY, holders[i].slot, false);
    conf_grant_stored(1, 1);
    conf_grant_stored(3, 3);
    conf_grant_stored(4, 4);
    conf_grant_stored(7, 7);
    conf_expect(8, GATE_SOLD_OUT, 0, false);
    gate_close(world.gate, COUPON);
    settings.total_quantity = 6; /* lowered: what is above it is not given again */
    settings.version = 9;
    conf_open_with(&settings, 5, holders, 2);
    conf_expect_status(2, 0, 3, 4);
    settings.version = 8;
    settings.total_quantity = 60;
    assert_ok(gate_set(world.gate, COUPON, &settings));
    conf_expect_status(2, 0, 3, 4);
}

static void test_rebuild_refused(void **state)
{
    struct coupon_settings settings = conf_settings_of(5);
    struct gate_rebuild *rebuild;

    (void)state;
    for (int64_t wrong = 1; wrong <= 3; wrong += 2) {
        assert_ok(gate_rebuild_begin(world.gate, COUPON, 1, &settings, &rebuild));
        assert_ok(gate_rebuild_add(rebuild, 1, 10));
        assert_ok(gate_rebuild_add(rebuild, 2, 20));
        assert_int_equal(gate_rebuild_add(rebuild, 2, 30), ERR_CONFLICT);
        assert_int_equal(gate_rebuild_add(rebuild, 3, 20), ERR_CONFLICT);
        assert_int_equal(gate_rebuild_open(rebuild, wrong), ERR_CORRUPT);
        gate_rebuild_free(rebuild);
        assert_int_equal(conf_ask(10).outcome, GATE_CLOSED);
        assert_int_equal(conf_ask(40).outcome, GATE_CLOSED);
    }
    assert_ok(gate_rebuild_begin(world.gate, COUPON, 1, &settings, &rebuild));
    gate_rebuild_free(rebuild); /* given up */
    assert_int_equal(conf_ask(40).outcome, GATE_CLOSED);
    conf_open_with(&settings, 3, NULL, 0);
    for (int64_t stale = 1; stale <= 3; stale++)
        assert_int_equal(gate_rebuild_begin(world.gate, COUPON, stale, &settings, &rebuild),
                         ERR_CONFLICT);
    assert_int_equal(gate_status(world.gate, COUPON).epoch, 3);
}

/* ---- looking ---- */

static void test_picture(void **state)
{
    struct gate_picture picture;
    uint64_t changes;

    (void)state;
    assert_ok(gate_picture(world.gate, COUPON, &picture));
    assert_false(picture.known);
    gate_picture_fini(&picture);
    conf_open_empty(9);
    struct gate_entry entries[6];
    for (int64_t i = 0; i < 6; i++)
        entries[i] = conf_grant(1 + i, 1 + i);
    gate_confirm(world.client, &entries[0]);
    assert_true(gate_release(world.client, &entries[4]));
    assert_true(gate_release(world.client, &entries[1]));
    assert_ok(gate_picture(world.gate, COUPON, &picture));
    assert_true(picture.known);
    assert_int_equal(picture.granted, 4);
    assert_int_equal(picture.next_slot, 7);
    assert_int_equal(picture.epoch, 1);
    assert_int_equal(picture.pending_count, 3);
    assert_int_equal(picture.returned_count, 2);
    static const int64_t pending[] = { 3, 4, 6 }, returned[] = { 2, 5 };
    assert_memory_equal(picture.pending, pending, sizeof pending);
    assert_memory_equal(picture.returned, returned, sizeof returned);
    changes = picture.changes;
    gate_picture_fini(&picture);
    gate_confirm(world.client, &entries[0]); /* nothing new */
    conf_expect(1, GATE_ALREADY, 1, false);
    assert_ok(gate_picture(world.gate, COUPON, &picture));
    assert_int_equal(picture.changes, changes);
    gate_picture_fini(&picture);
    gate_confirm(world.client, &entries[2]);
    assert_ok(gate_picture(world.gate, COUPON, &picture));
    assert_true(picture.changes > changes);
    gate_picture_fini(&picture);
}

static size_t looked;

static void count_look(struct gate_look *look)
{
    assert_ok(look->err);
    looked++;
}

static void test_look(void **state)
{
    struct gate_held held[] = { { .coupon_id = COUPON, .slot = 99 },
                                { .coupon_id = 8, .slot = 99 } };
    struct gate_look look = { .done = count_look, .held = held, .held_count = 2 };

    (void)state;
    conf_open_empty(3);
    conf_grant(2, 1);
    for (int64_t user = -1; user <= 2; user++) {
        look.user_id = user;
        looked = 0;
        gate_look(world.client, &look);
        assert_int_equal(looked, 0);
        world.host->turn();
        assert_int_equal(looked, 1);
        assert_int_equal(held[0].slot, user == 2);
        assert_int_equal(held[1].slot, 0);
        assert_true(user != 2 || held[0].pending);
    }
}

int gate_conformance_settle(void)
{
    static const struct CMUnitTest tests[] = {
        CONFORMANCE_TEST(test_release_names_its_grant),
        CONFORMANCE_TEST(test_smallest_returned_first),
        CONFORMANCE_TEST(test_confirm),
        CONFORMANCE_TEST(test_move),
        CONFORMANCE_TEST(test_moved_is_released_by_its_new_slot),
        CONFORMANCE_TEST(test_sweep),
        CONFORMANCE_TEST(test_settings),
        CONFORMANCE_TEST(test_closed),
        CONFORMANCE_TEST(test_rebuild),
        CONFORMANCE_TEST(test_rebuild_refused),
        CONFORMANCE_TEST(test_picture),
        CONFORMANCE_TEST(test_look),
    };
    return cmocka_run_group_tests_name("settling", tests, NULL, NULL);
}
