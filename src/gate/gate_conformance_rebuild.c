// SPDX-License-Identifier: Apache-2.0
/* How a gate changes, closes, is built anew and looked at. */
#include "core/proof.h"
#include "gate/gate_conformance_internal.h"

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
    conf_confirm(&first);
    assert_true(conf_release(&second));
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
    assert_int_equal(conf_status().epoch, 4);
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
    int64_t epoch = 1, step = world.host->in_store;

    (void)state;
    for (int64_t wrong = 1; wrong <= 3; wrong += 2, epoch += step) {
        assert_ok(gate_rebuild_begin(world.gate, COUPON, epoch, &settings, &rebuild));
        assert_ok(gate_rebuild_add(rebuild, 1, 10));
        assert_ok(gate_rebuild_add(rebuild, 2, 20));
        assert_int_equal(gate_rebuild_add(rebuild, 2, 30), ERR_CONFLICT);
        assert_int_equal(gate_rebuild_add(rebuild, 3, 20), ERR_CONFLICT);
        assert_int_equal(gate_rebuild_open(rebuild, wrong), ERR_CORRUPT);
        gate_rebuild_free(rebuild);
        assert_int_equal(conf_ask(10).outcome, GATE_CLOSED);
        assert_int_equal(conf_ask(40).outcome, GATE_CLOSED);
    }
    assert_ok(gate_rebuild_begin(world.gate, COUPON, epoch, &settings, &rebuild));
    gate_rebuild_free(rebuild); /* given up */
    assert_int_equal(conf_ask(40).outcome, GATE_CLOSED);
    conf_open_with(&settings, epoch + 2, NULL, 0);
    for (int64_t stale = 1; stale <= epoch + 2; stale++)
        assert_int_equal(gate_rebuild_begin(world.gate, COUPON, stale, &settings, &rebuild),
                         ERR_CONFLICT);
    assert_int_equal(conf_status().epoch, epoch + 2);
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
    conf_confirm(&entries[0]);
    assert_true(conf_release(&entries[4]));
    assert_true(conf_release(&entries[1]));
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
    conf_confirm(&entries[0]); /* nothing new */
    conf_expect(1, GATE_ALREADY, 1, false);
    assert_ok(gate_picture(world.gate, COUPON, &picture));
    assert_int_equal(picture.changes, changes);
    gate_picture_fini(&picture);
    conf_confirm(&entries[2]);
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

/* ---- what may be told ---- */

/* The lease ends while the question is under way. */
static void put_and_lose_lease(struct gate_ask *question)
{
    gate_lease_set(world.gate, UINT64_MAX);
    world.answered = 0;
    gate_ask(world.client, question);
    gate_lease_set(world.gate, clock_boot_ms());
    world.host->turn();
    assert_int_equal(world.answered, 1);
}

/* Once the lease is over a reservation is made and not told: its place is stored all the same. */
static void test_lease(void **state)
{
    (void)state;
    conf_open_empty(5);
    struct gate_entry issued = conf_grant(1, 1), reserved = conf_grant(2, 2);
    struct gate_ask late = conf_question(4, GATE_RESERVE), again = late;
    put_and_lose_lease(&late);
    assert_int_equal(late.outcome, GATE_CLOSED);
    assert_true(late.store);
    assert_int_equal(late.slot, 3);
    assert_int_equal(late.epoch, world.epoch);
    struct gate_ask joining = conf_question(2, GATE_RESERVE);
    put_and_lose_lease(&joining);
    assert_int_equal(joining.outcome, GATE_CLOSED);
    assert_true(joining.store);
    assert_int_equal(joining.slot, 2);
    struct gate_ask refused = conf_question(5, GATE_RESERVE);
    conf_put(&refused, 1); /* over before it was asked: nothing is given away */
    assert_int_equal(refused.outcome, GATE_CLOSED);
    assert_false(refused.store);
    conf_expect(3, GATE_GRANTED, 4, false); /* an issue waits for its row anyway */
    conf_confirm(&reserved);
    struct gate_ask stored = conf_question(2, GATE_RESERVE);
    put_and_lose_lease(&stored); /* the row is there: no promise of the gate's */
    assert_int_equal(stored.outcome, GATE_ALREADY);
    assert_false(stored.store);
    gate_lease_set(world.gate, clock_boot_ms() + HOUR_MS);
    conf_put(&again, 1);
    assert_int_equal(again.outcome, GATE_GRANTED);
    assert_int_equal(again.slot, 3);
    assert_false(again.store);
    conf_confirm(&issued);
}

static void test_seal(void **state)
{
    struct gate_entry swept[4];

    (void)state;
    assert_int_equal(gate_seal(world.gate, COUPON, 1), ERR_NOT_FOUND);
    conf_open_empty(5);
    struct gate_entry entry = conf_grant(1, 1);
    assert_int_equal(gate_seal(world.gate, COUPON, 0), ERR_CONFLICT);
    conf_expect(1, GATE_ALREADY, 1, true);
    assert_ok(gate_seal(world.gate, COUPON, 1));
    assert_int_equal(conf_ask(1).outcome, GATE_CLOSED);
    assert_int_equal(conf_ask(2).outcome, GATE_CLOSED);
    assert_false(conf_status().open);
    conf_expect_status(1, 1, 0, 4);
    assert_int_equal(conf_sweep(0, swept, 4), 1);
    assert_int_equal(swept[0].slot, entry.slot);
    conf_confirm(&swept[0]);
    assert_int_equal(conf_sweep(0, swept, 4), 0);
    conf_open_with(&(struct coupon_settings){ 5, 0, INT64_MAX, false, 9 }, 2,
                   &(struct conformance_holder){ 1, 1 }, 1);
    conf_grant(2, 2);
}

static void test_adopt(void **state)
{
    struct coupon_settings settings = conf_settings_of(3);

    (void)state;
    assert_ok(gate_adopt(world.gate, COUPON, 1, &settings));
    assert_int_equal(conf_ask(1).outcome, GATE_CLOSED);
    conf_open_with(&settings, 2, NULL, 0);
    settings.version = 2;
    settings.total_quantity = 4;
    assert_ok(gate_adopt(world.gate, COUPON, 2, &settings)); /* nothing but the settings */
    conf_grant(1, 1);
    conf_expect_status(1, 1, 0, 3);
    assert_int_equal(conf_status().settings_version, 2);
}

int gate_conformance_rebuild(void)
{
    static const struct CMUnitTest tests[] = {
        CONFORMANCE_TEST(test_settings), CONFORMANCE_TEST(test_closed),
        CONFORMANCE_TEST(test_rebuild),  CONFORMANCE_TEST(test_rebuild_refused),
        CONFORMANCE_TEST(test_picture),  CONFORMANCE_TEST(test_look),
        CONFORMANCE_TEST(test_lease),    CONFORMANCE_TEST(test_seal),
        CONFORMANCE_TEST(test_adopt),
    };
    return cmocka_run_group_tests_name("rebuilding", tests, NULL, NULL);
}
