// SPDX-License-Identifier: Apache-2.0
/*
 * Every write and every sync of a batch failed in turn. Whatever is answered must be so after the
 * next start: OK is there, UNAVAILABLE is not, UNCERTAIN may be.
 */
#include <stdlib.h>
#include <unistd.h>

#include "ledger/ledger_faults_test.h"
#include "ledger/ledger_sqlite.h"
#include "ledger/ledger_vfs_test.h"

static char dir[64], path[128];
static _Atomic int uncertain_calls;

static void uncertain(void *context)
{
    (void)context;
    atomic_fetch_add(&uncertain_calls, 1);
}

static void start(void)
{
    struct ledger_sqlite_options options = { .path = path,
                                             .queue_max = 100,
                                             .batch_max = 200,
                                             .queue_age_max_ms = 60000,
                                             .on_uncertain = uncertain };

    assert_ok(ledger_sqlite_open(&options, &world.ledger));
}

static void stop(void)
{
    ledger_sqlite_stop(world.ledger);
    world.ledger = ledger_sqlite_free(world.ledger);
}

static void run(struct ledger_command *command)
{
    ledger_run(world.ledger, command);
}

static void store_make(void)
{
    int64_t applied;

    strcpy(dir, "/tmp/doorbuster-test-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/db", dir);
    assert_ok(ledger_sqlite_migrate(path, "test", "UTC", &applied));
    atomic_store(&uncertain_calls, 0);
    start();
    coupon_make(world.ledger, COUPON, SLOTS_MAX);
}

static void store_remove(void)
{
    static const char *const suffixes[] = { "", "-wal", "-shm" };

    for (size_t i = 0; i < ARRAY_COUNT(suffixes); i++) {
        char name[160];
        snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        unlink(name);
    }
    assert_int_equal(rmdir(dir), 0);
}

/* What a fault of each kind must lead to, at whichever write or sync it comes. */
static enum err expected(enum fault_kind kind)
{
    return kind == FAULT_FULL || kind == FAULT_PARTIAL ? ERR_UNAVAILABLE : ERR_UNCERTAIN;
}

static bool fail_nth(enum fault_kind kind, int nth)
{
    struct ledger_command first[PLACES], second[PLACES];

    store_make();
    world.loop = loop_new();
    world.client = ledger_client_new(world.ledger, world.loop);
    fault_arm(kind, nth, false);
    run_batch(first, 1);
    bool hit = fault_disarm() > 0;
    run_batch(second, 101);
    world.client = ledger_client_free(world.client);
    world.loop = loop_free(world.loop);
    bool broken = hit && expected(kind) == ERR_UNCERTAIN;
    expect(first, hit ? expected(kind) : ERR_OK);
    expect(second, broken ? ERR_UNAVAILABLE : ERR_OK);
    stop();
    assert_int_equal(atomic_load(&uncertain_calls), broken);
    start();
    coupon_look(world.ledger);
    check_answers(first);
    check_answers(second);
    settle(first);
    coupon_look(world.ledger);
    stop();
    store_remove();
    return hit;
}

static void test_every_write_and_sync(void **state)
{
    (void)state;
    for (int kind = 0; kind < FAULT_KIND_N; kind++) {
        int nth = 0;
        while (fail_nth((enum fault_kind)kind, nth))
            nth++;
        assert_true(nth >= (kind == FAULT_SYNC ? 1 : 4));
    }
}

/* As long as the disk is full: no. When there is room again: as if nothing had been. */
static void test_disk_full_for_a_while(void **state)
{
    (void)state;
    store_make();
    fault_arm(FAULT_FULL, 0, true);
    for (int64_t number = 1; number <= 20; number++) {
        struct ledger_command place = place_of(number);
        run(&place);
        assert_int_equal(place.err, ERR_UNAVAILABLE);
    }
    coupon_look(world.ledger);
    assert_int_equal(rows.issued, 0);
    assert_true(fault_disarm() >= 20);
    for (int64_t number = 1; number <= 20; number++) {
        struct ledger_command place = place_of(number);
        run(&place);
        assert_ok(place.err);
        assert_int_equal(place.place.user_coupon_id, number);
    }
    stop();
    assert_int_equal(atomic_load(&uncertain_calls), 0);
    start();
    coupon_look(world.ledger);
    assert_int_equal(rows.issued, 20);
    stop();
    store_remove();
}

/* ---- who watches ---- */

static struct told {
    struct ledger_watch watch;
    int committing, committed, given_up;
} told;

static void tell_committing(struct ledger_watch *watch, const struct ledger_changes *changes)
{
    CONTAINER_OF(watch, struct told, watch)->committing += (int)changes->product_count;
}

static void tell_committed(struct ledger_watch *watch, const struct ledger_changes *changes)
{
    CONTAINER_OF(watch, struct told, watch)->committed += (int)changes->product_count;
}

static void tell_given_up(struct ledger_watch *watch, const struct ledger_changes *changes)
{
    CONTAINER_OF(watch, struct told, watch)->given_up += (int)changes->product_count;
}

static enum err make_product(int64_t product_id)
{
    struct ledger_product product = { .product_id = product_id, .name = STR("n") };
    struct ledger_command create = { .op = LEDGER_PRODUCT_CREATE,
                                     .product_create = { .product = &product } };

    run(&create);
    return create.err;
}

/* What was begun is ended, unless nobody knows how it ended. */
static void test_watch(void **state)
{
    (void)state;
    store_make();
    told = (struct told){ .watch = { .committing = tell_committing,
                                     .committed = tell_committed,
                                     .given_up = tell_given_up } };
    ledger_watch_set(world.ledger, &told.watch);
    for (int i = 1; i <= 5; i++) {
        fault_arm(FAULT_FULL, 0, true);
        assert_int_equal(make_product(i), ERR_UNAVAILABLE);
        fault_disarm();
        assert_int_equal(told.given_up, i);
        assert_ok(make_product(i));
        assert_int_equal(told.committed, i);
        assert_int_equal(told.committing, 2 * i);
    }
    fault_arm(FAULT_SYNC, 0, true);
    assert_int_equal(make_product(6), ERR_UNCERTAIN);
    fault_disarm();
    assert_int_equal(told.committing, 11);
    assert_int_equal(told.committed, 5);
    assert_int_equal(told.given_up, 5);
    stop();
    store_remove();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_watch),
        cmocka_unit_test(test_every_write_and_sync),
        cmocka_unit_test(test_disk_full_for_a_while),
    };

    faulty_vfs_register();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
