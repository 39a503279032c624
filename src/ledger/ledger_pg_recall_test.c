// SPDX-License-Identifier: Apache-2.0
/*
 * Places that are stored in one round trip, by what the last batch left; and everything that
 * another server can have changed meanwhile: then it must be as if the rows had been loaded.
 */
#include <pthread.h>
#include <time.h>

#include "ledger/ledger_coupon_test.h"
#include "ledger/ledger_pg_fixture_test.h"
#include "metrics/metrics.h"

enum { QUANTITY = SLOTS_MAX, WARM_MAX = 100, OFFSET_MS = 3600000 };

struct conformance_world world;

static struct ledger *one, *other;
static struct metrics *metrics;
static int64_t next_user;

static struct ledger *open_one(struct metrics_slot *slot)
{
    struct ledger_pg_options options = store_options();

    options.metrics = slot;
    options.consumers = 0; /* with events every batch is loaded */
    return store_open_with(&options);
}

static int begin(void **state)
{
    (void)state;
    store_make();
    metrics = metrics_new(NULL, 0, 2, "", "");
    assert_non_null(metrics);
    one = open_one(metrics_slot(metrics, 0));
    other = open_one(metrics_slot(metrics, 1));
    next_user = 1;
    coupon_make(one, COUPON, QUANTITY);
    return 0;
}

static int end(void **state)
{
    (void)state;
    store_close(one);
    store_close(other);
    metrics = metrics_free(metrics);
    return 0;
}

static struct ledger_place put_of(struct ledger *ledger, int64_t coupon_id, int64_t slot,
                                  int64_t epoch)
{
    struct ledger_command command = { .op = LEDGER_PLACE,
                                      .place = { .coupon_id = coupon_id,
                                                 .user_id = next_user++,
                                                 .slot = slot,
                                                 .epoch = epoch,
                                                 .fresh = true } };

    ledger_run(ledger, &command);
    assert_ok(command.err);
    return command.place;
}

static struct ledger_place put(struct ledger *ledger, int64_t slot, int64_t epoch)
{
    return put_of(ledger, COUPON, slot, epoch);
}

static uint64_t recalled(void)
{
    return atomic_load(&metrics_slot(metrics, 0)->value[METRIC_ledger_recalled]);
}

/* Until one of them was not loaded: a slow machine loads all of them, once a second. Returns the
 * slot that is next. */
static int64_t warm(int64_t slot)
{
    uint64_t before = recalled();

    for (int i = 0; i < WARM_MAX && recalled() == before; i++)
        assert_int_equal(put(one, slot++, 1).outcome, LEDGER_PLACE_STORED);
    assert_true(recalled() > before);
    return slot;
}

static void expect_rows(int64_t count)
{
    coupon_look(one);
    assert_int_equal(rows.issued, count);
    assert_int_equal(store_ask("SELECT count(DISTINCT user_coupon_id) FROM user_coupons"), count);
    assert_true(store_ask("SELECT next_user_coupon_id FROM store") >
                store_ask("SELECT max(user_coupon_id) FROM user_coupons"));
}

static void test_nobody_else(void **state)
{
    int64_t slot = 1;

    (void)state;
    for (int i = 0; i < 5; i++)
        slot = warm(slot);
    expect_rows(slot - 1);
}

static void test_places_of_another(void **state)
{
    int64_t slot = 1;

    (void)state;
    for (int i = 0; i < 5; i++) {
        slot = warm(slot);
        assert_int_equal(put(other, slot++, 1).outcome, LEDGER_PLACE_STORED);
        assert_int_equal(put(one, slot++, 1).outcome, LEDGER_PLACE_STORED);
    }
    expect_rows(slot - 1);
}

/* Of another coupon, but the numbers of all are one series. */
static void test_numbers_of_another(void **state)
{
    int64_t slot = 1, others = 1;

    (void)state;
    coupon_make(other, COUPON + 1, QUANTITY);
    for (int i = 0; i < 5; i++) {
        slot = warm(slot);
        assert_int_equal(put_of(other, COUPON + 1, others++, 1).outcome, LEDGER_PLACE_STORED);
        assert_int_equal(put(one, slot++, 1).outcome, LEDGER_PLACE_STORED);
    }
    assert_int_equal(store_ask("SELECT count(DISTINCT user_coupon_id) FROM user_coupons"),
                     slot - 1 + others - 1);
}

/* Several coupons of its own, together and in turn. */
static void test_coupons_of_its_own(void **state)
{
    enum { COUPONS = 20, EACH = 30 };
    uint64_t before = recalled();

    (void)state;
    for (int64_t i = 1; i < COUPONS; i++)
        coupon_make(one, COUPON + i, QUANTITY);
    for (int64_t slot = 1; slot <= EACH; slot++)
        for (int64_t i = 0; i < COUPONS; i++)
            assert_int_equal(
                put_of(one, COUPON + i % (1 + slot), (i / (1 + slot)) * EACH + slot, 1).outcome,
                LEDGER_PLACE_STORED);
    assert_true(recalled() > before);
    assert_int_equal(store_ask("SELECT count(DISTINCT user_coupon_id) FROM user_coupons"),
                     COUPONS * EACH);
    assert_int_equal(store_ask("SELECT sum(issued)::bigint FROM coupons"), COUPONS * EACH);
}

/* Two that take turns: after a wrong guess no more are made. */
static void test_turns(void **state)
{
    int64_t slot = warm(1);
    uint64_t before = recalled();

    (void)state;
    for (int i = 0; i < 40; i++)
        assert_int_equal(put(i % 2 ? one : other, slot++, 1).outcome, LEDGER_PLACE_STORED);
    assert_in_range(recalled() - before, 0, 1);
    expect_rows(slot - 1);
}

/* The slot and the user are somebody's row already. */
static void test_fences(void **state)
{
    int64_t slot = warm(1);

    (void)state;
    assert_int_equal(put(other, slot, 1).outcome, LEDGER_PLACE_STORED);
    assert_int_equal(put(one, slot, 1).outcome, LEDGER_PLACE_CONFLICT);
    slot = warm(slot + 1);
    next_user--;
    struct ledger_place place = put(one, slot, 1);
    assert_int_equal(place.outcome, LEDGER_PLACE_OTHER);
    assert_int_equal(place.slot, slot - 1);
    expect_rows(slot - 1);
}

static void test_epoch_of_another(void **state)
{
    struct coupon coupon;
    struct ledger_command raise = { .op = LEDGER_COUPON_EPOCH,
                                    .coupon_epoch = { .coupon_id = COUPON, .coupon = &coupon } };
    int64_t slot = warm(1);

    (void)state;
    ledger_run(other, &raise);
    assert_ok(raise.err);
    assert_int_equal(coupon.epoch, 2);
    assert_int_equal(put(one, slot, 1).outcome, LEDGER_PLACE_STALE);
    expect_rows(slot - 1);
    assert_int_equal(put(one, slot, 2).outcome, LEDGER_PLACE_STORED);
    expect_rows(slot);
}

/* A window that was moved is the window of what is stored from then on. */
static void test_settings_of_another(void **state)
{
    struct coupon coupon;
    struct ledger_command change = { .op = LEDGER_COUPON_CHANGE,
                                     .coupon_change = {
                                         .coupon_id = COUPON,
                                         .change = { .has_ends = true, .ends_at_ms = 77 },
                                         .coupon = &coupon } };
    int64_t slot = warm(1);

    (void)state;
    ledger_run(other, &change);
    assert_ok(change.err);
    assert_int_equal(change.coupon_change.outcome, COUPON_CHANGE_OK);
    assert_int_equal(put(one, slot, 1).expires_at_ms, 77);
    expect_rows(slot);
}

static void test_quantity_of_another(void **state)
{
    struct coupon coupon;
    int64_t slot = warm(1);
    struct ledger_command lower = { .op = LEDGER_COUPON_CHANGE,
                                    .coupon_change = {
                                        .coupon_id = COUPON,
                                        .change = { .has_quantity = true, .total_quantity = slot },
                                        .raise_epoch = true,
                                        .coupon = &coupon } };

    (void)state;
    ledger_run(other, &lower);
    assert_ok(lower.err);
    assert_int_equal(put(one, slot + 1, 0).outcome, LEDGER_PLACE_CONFLICT);
    assert_int_equal(put(one, slot, 0).outcome, LEDGER_PLACE_STORED);
    expect_rows(slot);
}

static void test_clock_of_another(void **state)
{
    struct ledger_command set = { .op = LEDGER_CLOCK_SET, .clock_set = { .offset_ms = OFFSET_MS } };
    int64_t slot = warm(1);

    (void)state;
    int64_t before_ms = put(one, slot++, 1).issued_at_ms;
    ledger_run(other, &set);
    assert_ok(set.err);
    assert_true(put(one, slot, 1).issued_at_ms >= before_ms + OFFSET_MS);
    expect_rows(slot);
}

/* ---- connections that break ---- */

#define DIE                                                                                  \
    "CREATE SEQUENCE deaths; CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$"   \
    " BEGIN IF nextval('deaths') <= %d THEN PERFORM pg_terminate_backend(pg_backend_pid());" \
    " END IF; RETURN NEW; END $$; CREATE CONSTRAINT TRIGGER t AFTER INSERT ON user_coupons"  \
    " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die()"

static void die_in_commits(int times)
{
    char sql[600];

    snprintf(sql, sizeof sql, DIE, times);
    store_ask(sql);
}

static void test_in_the_commit(void **state)
{
    int64_t slot = warm(1);

    (void)state;
    die_in_commits(1);
    assert_int_equal(put(one, slot, 1).outcome, LEDGER_PLACE_STORED);
    assert_int_equal(store_ask("SELECT last_value FROM deaths"), 2);
    expect_rows(slot);
}

/* It is not said to be not there, though the last try certainly was not. */
static void test_in_every_commit(void **state)
{
    struct ledger_command command = {
        .op = LEDGER_PLACE, .place = { .coupon_id = COUPON, .user_id = 5000, .fresh = true }
    };

    (void)state;
    command.place.slot = warm(1);
    die_in_commits(1000);
    ledger_run(one, &command);
    assert_int_equal(command.err, ERR_UNCERTAIN);
    expect_rows(command.place.slot - 1);
}

static void *die_after_commit(void *context)
{
    (void)context;
    for (int i = 0; i < 1000; i++) {
        if (store_ask("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                      " WHERE wait_event = 'SyncRep'") > 0)
            break;
        nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
    }
    store_ask("ALTER SYSTEM RESET synchronous_standby_names");
    store_ask("SELECT pg_reload_conf()");
    return NULL;
}

/* The commit is done, and the connection breaks before it says so. */
static void test_after_the_commit(void **state)
{
    pthread_t aside;

    (void)state;
    store_ask("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    int64_t slot = warm(1);
    assert_int_equal(pthread_create(&aside, NULL, die_after_commit, NULL), 0);
    store_ask("SELECT pg_reload_conf()");
    struct ledger_place place = { 0 };
    while (place.outcome != LEDGER_PLACE_THERE && slot < SLOTS_MAX) /* the reload takes its time */
        place = put(one, slot++, 1);
    assert_int_equal(place.outcome, LEDGER_PLACE_THERE);
    pthread_join(aside, NULL);
    expect_rows(slot - 1);
}

/* Rows that went by SQL, behind both: the witness on the coupon's row says so, and goes on saying
 * so. */
static void test_row_behind_its_back(void **state)
{
    int64_t slot = warm(1);

    (void)state;
    store_ask("UPDATE coupons SET witness = witness + 1");
    assert_int_equal(put(one, slot, 1).outcome, LEDGER_PLACE_STORED);
    struct ledger_scan scan = { .coupon_id = COUPON, .begin = see_coupon, .each = see_row };
    rows = (struct witness){ 0 };
    assert_ok(ledger_scan_rows(one, &scan));
    assert_int_equal(stated.hash, rows.hash + 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    static const struct CMUnitTest tests[] = {
        TEST(test_nobody_else),
        TEST(test_places_of_another),
        TEST(test_numbers_of_another),
        TEST(test_coupons_of_its_own),
        TEST(test_turns),
        TEST(test_fences),
        TEST(test_epoch_of_another),
        TEST(test_settings_of_another),
        TEST(test_quantity_of_another),
        TEST(test_clock_of_another),
        TEST(test_row_behind_its_back),
        TEST(test_in_the_commit),
        TEST(test_in_every_commit),
        TEST(test_after_the_commit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
