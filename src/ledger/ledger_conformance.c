// SPDX-License-Identifier: Apache-2.0
/* Places and coupons. Charges, users and reads have files of their own. */
#include "ledger/ledger_conformance_internal.h"

struct conformance_world world;

/* ---- the fixture ---- */

static size_t waited_for;

static void too_long(struct loop_timer *timer)
{
    (void)timer;
    loop_stop(world.loop);
}

static void wait_for(size_t count)
{
    struct loop_timer limit = { .run = too_long };

    assert_ok(loop_timer_start(world.loop, &limit, WAIT_MAX_MS));
    waited_for += count;
    loop_run(world.loop);
    loop_timer_stop(&limit);
    assert_int_equal(waited_for, 0);
}

static void arrived(void)
{
    if (--waited_for == 0)
        loop_stop(world.loop);
}

static void command_done(struct ledger_command *command)
{
    (void)command;
    arrived();
}

static void read_done(struct ledger_read *read)
{
    (void)read;
    arrived();
}

int conf_setup(void **state)
{
    (void)state;
    waited_for = 0;
    world.loop = loop_new();
    world.ledger = world.host->open();
    world.client = ledger_client_new(world.ledger, world.loop);
    return world.client ? 0 : -1;
}

int conf_teardown(void **state)
{
    (void)state;
    world.client = ledger_client_free(world.client);
    world.host->close(world.ledger);
    world.loop = loop_free(world.loop);
    arena_fini(&world.arena);
    return 0;
}

void conf_run(struct ledger_command *commands, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        commands[i].done = command_done;
        list_init(&commands[i].node);
        assert_true(ledger_room_take(world.client));
        ledger_submit(world.client, &commands[i]);
    }
    wait_for(count);
}

void conf_read(struct ledger_read *read)
{
    read->done = read_done;
    ledger_read(world.client, read);
    wait_for(1);
}

struct ledger_command conf_place(int64_t user_id, int64_t slot)
{
    return (struct ledger_command){
        .op = LEDGER_PLACE, .place = { .coupon_id = COUPON, .user_id = user_id, .slot = slot }
    };
}

struct ledger_command conf_create(struct coupon *coupon, int64_t coupon_id, int64_t quantity)
{
    *coupon = (struct coupon){
        .coupon_id = coupon_id,
        .name = "SPRING",
        .discount_rate = 15,
        .uses_per_user = 1,
        .settings = { .total_quantity = quantity, .starts_at_ms = 1000, .ends_at_ms = 5000 }
    };
    return (struct ledger_command){ .op = LEDGER_COUPON_CREATE,
                                    .coupon_create = { .coupon = coupon } };
}

struct ledger_command conf_change(struct coupon *coupon, int64_t quantity)
{
    return (struct ledger_command){ .op = LEDGER_COUPON_CHANGE,
                                    .coupon_change = { .coupon_id = COUPON,
                                                       .change = { .has_quantity = true,
                                                                   .total_quantity = quantity },
                                                       .coupon = coupon } };
}

void conf_coupon(int64_t quantity)
{
    struct coupon coupon = { 0 };
    struct ledger_command command = conf_create(&coupon, COUPON, quantity);

    conf_run(&command, 1);
    assert_ok(command.err);
    assert_false(command.coupon_create.taken);
}

void conf_user(int64_t user_id, int64_t balance)
{
    struct ledger_command command = {
        .op = LEDGER_USERS_CREATE,
        .users_create = { .from_user_id = user_id, .to_user_id = user_id, .balance = balance }
    };

    conf_run(&command, 1);
    assert_ok(command.err);
    assert_int_equal(command.users_create.created, 1);
}

struct conf_scan {
    struct ledger_scan scan;
    struct coupon *coupon;
    struct ledger_held *rows;
    size_t max, count;
};

static bool scan_begin(struct ledger_scan *scan, const struct coupon *coupon)
{
    *CONTAINER_OF(scan, struct conf_scan, scan)->coupon = *coupon;
    return true;
}

static bool scan_row(struct ledger_scan *scan, const struct ledger_held *row)
{
    struct conf_scan *self = CONTAINER_OF(scan, struct conf_scan, scan);

    if (self->rows && self->count < self->max)
        self->rows[self->count] = *row;
    self->count++;
    return true;
}

size_t conf_scan(struct coupon *ret_coupon, struct ledger_held *rows, size_t max)
{
    struct conf_scan self = {
        .scan = { .coupon_id = COUPON, .begin = scan_begin, .each = scan_row },
        .coupon = ret_coupon,
        .rows = rows,
        .max = max,
    };

    assert_ok(ledger_scan_rows(world.ledger, &self.scan));
    return self.count;
}

size_t conf_check(void)
{
    struct coupon coupon = { 0 };
    struct ledger_held rows[256];
    struct witness witness = { 0 };
    size_t count = conf_scan(&coupon, rows, ARRAY_COUNT(rows));

    assert_true(count <= ARRAY_COUNT(rows));
    for (size_t i = 0; i < count; i++) {
        witness_add(&witness, rows[i].slot, rows[i].user_id);
        assert_true(rows[i].slot >= 1 && rows[i].slot <= coupon.settings.total_quantity);
        assert_true(rows[i].user_coupon_id >= 1);
    }
    assert_true(witness_equal(&witness, &coupon.witness));
    return count;
}

/* ---- places ---- */

static void test_places(void **state)
{
    static const struct {
        int64_t user_id, slot;
        enum ledger_place_outcome outcome;
        int64_t ret_slot;
    } rows[] = {
        { 1, 1, LEDGER_PLACE_STORED, 1 },   { 1, 1, LEDGER_PLACE_THERE, 1 },
        { 1, 2, LEDGER_PLACE_OTHER, 1 },    { 2, 1, LEDGER_PLACE_CONFLICT, 1 },
        { 2, 4, LEDGER_PLACE_CONFLICT, 4 }, { 2, 3, LEDGER_PLACE_STORED, 3 },
        { 2, 1, LEDGER_PLACE_OTHER, 3 },    { 1, 4, LEDGER_PLACE_OTHER, 1 },
        { 3, 3, LEDGER_PLACE_CONFLICT, 3 }, { 3, 2, LEDGER_PLACE_STORED, 2 },
    };
    struct ledger_command commands[ARRAY_COUNT(rows)];

    for (unsigned way = 0; way < 4; way++) {
        bool one_batch = way & 1, fresh = way & 2; /* said to be new, and mostly they are not */
        if (way) {
            conf_teardown(state);
            conf_setup(state);
        }
        conf_coupon(3);
        for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
            commands[i] = conf_place(rows[i].user_id, rows[i].slot);
            commands[i].place.fresh = fresh;
            if (!one_batch)
                conf_run(&commands[i], 1);
        }
        if (one_batch)
            conf_run(commands, ARRAY_COUNT(rows));
        for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
            const struct ledger_place *place = &commands[i].place;
            assert_ok(commands[i].err);
            assert_int_equal(place->outcome, rows[i].outcome);
            assert_int_equal(place->slot, rows[i].ret_slot);
            if (place->outcome != LEDGER_PLACE_CONFLICT) {
                assert_int_equal(place->expires_at_ms, 5000);
                assert_true(place->issued_at_ms > 0);
            }
        }
        assert_int_equal(commands[1].place.user_coupon_id, commands[0].place.user_coupon_id);
        assert_int_equal(commands[2].place.user_coupon_id, commands[0].place.user_coupon_id);
        assert_int_not_equal(commands[5].place.user_coupon_id, commands[0].place.user_coupon_id);
        assert_int_equal(conf_check(), 3);
    }
}

/* All go in at once, of two coupons; then some that do not, among others that do. */
static void test_fresh_places(void **state)
{
    struct coupon coupon = { 0 };
    struct ledger_command create, commands[40];

    (void)state;
    conf_coupon(100);
    create = conf_create(&coupon, COUPON + 1, 100);
    conf_run(&create, 1);
    for (int64_t round = 0; round < 2; round++) {
        for (int64_t i = 0; i < 40; i++) {
            commands[i] = conf_place(1 + i + 20 * round, 1 + i + 20 * round);
            commands[i].place.coupon_id += i % 2;
            commands[i].place.fresh = true;
        }
        conf_run(commands, 40);
        for (size_t i = 0; i < 40; i++) {
            assert_ok(commands[i].err);
            assert_int_equal(commands[i].place.outcome,
                             round && i < 20 ? LEDGER_PLACE_THERE : LEDGER_PLACE_STORED);
            assert_int_equal(commands[i].place.expires_at_ms, 5000);
        }
        assert_int_equal(conf_check(), 20 + 10 * round);
    }
}

static void test_place_of_no_coupon(void **state)
{
    struct ledger_command place = conf_place(1, 1);

    (void)state;
    conf_run(&place, 1);
    assert_ok(place.err);
    assert_int_equal(place.place.outcome, LEDGER_PLACE_CONFLICT);
}

/* One command that the store itself refuses harms nobody else, wherever in the batch it stands. */
static void test_poisoned(void **state)
{
    struct ledger_command commands[9];

    (void)state;
    conf_coupon(100);
    for (size_t poisoned = 0; poisoned < 9; poisoned += 4) {
        for (size_t i = 0; i < 9; i++)
            commands[i] = conf_place(100 * (int64_t)poisoned + (int64_t)i + 1,
                                     i == poisoned ? 0 : 10 * (int64_t)poisoned + (int64_t)i + 1);
        conf_run(commands, 9);
        for (size_t i = 0; i < 9; i++) {
            assert_int_equal(commands[i].err, i == poisoned ? ERR_UNAVAILABLE : ERR_OK);
            assert_true(i == poisoned || commands[i].place.outcome == LEDGER_PLACE_STORED);
        }
    }
    assert_int_equal(conf_check(), 24);
}

/* A batch that is run again begins with what its commands asked for. */
static void test_poisoned_after_another_slot(void **state)
{
    struct ledger_command commands[] = { conf_place(1, 1), conf_place(1, 2), conf_place(2, 0) };

    (void)state;
    conf_coupon(3);
    conf_run(commands, 3);
    assert_int_equal(commands[0].place.outcome, LEDGER_PLACE_STORED);
    assert_int_equal(commands[1].place.outcome, LEDGER_PLACE_OTHER);
    assert_int_equal(commands[1].place.slot, 1);
    assert_int_equal(commands[2].err, ERR_UNAVAILABLE);
}

static void test_fault(void **state)
{
    struct ledger_command place = conf_place(1, 1);
    struct ledger_read read = { .op = LEDGER_READ_HELD, .user_id = 1, .coupon_id = COUPON };

    (void)state;
    conf_coupon(3);
    ledger_fault_set(world.ledger, true);
    conf_run(&place, 1);
    conf_read(&read);
    assert_int_equal(place.err, ERR_UNAVAILABLE);
    assert_int_equal(read.err, ERR_UNAVAILABLE);
    ledger_fault_set(world.ledger, false);
    conf_read(&read);
    assert_ok(read.err);
    assert_false(read.found);
    conf_run(&place, 1);
    assert_int_equal(place.place.outcome, LEDGER_PLACE_STORED);
}

/* ---- coupons ---- */

static void test_create(void **state)
{
    struct coupon coupons[5];
    struct ledger_command commands[5] = {
        conf_create(&coupons[0], 0, 5),  conf_create(&coupons[1], 0, 5),
        conf_create(&coupons[2], 50, 5), conf_create(&coupons[3], 0, 5),
        conf_create(&coupons[4], 50, 9),
    };
    static const int64_t ids[] = { 1, 2, 50, 51, 50 };

    (void)state;
    conf_run(commands, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_ok(commands[i].err);
        assert_int_equal(coupons[i].coupon_id, ids[i]);
        assert_int_equal(commands[i].coupon_create.taken, i == 4);
    }
    assert_int_equal(coupons[0].settings.version, 1);
    assert_int_equal(coupons[0].epoch, 1);
    commands[0] = conf_create(&coupons[0], 2, 9);
    conf_run(commands, 1);
    assert_true(commands[0].coupon_create.taken);
}

static void test_change(void **state)
{
    struct coupon coupon = { 0 };
    struct ledger_command change, places[2] = { conf_place(1, 1), conf_place(2, 4) };

    (void)state;
    change = conf_change(&coupon, 9);
    conf_run(&change, 1);
    assert_ok(change.err);
    assert_false(change.coupon_change.found);
    conf_coupon(5);
    conf_run(places, 2);
    static const struct {
        int64_t quantity;
        enum coupon_change_outcome outcome;
        int64_t now, version;
    } rows[] = {
        { 9, COUPON_CHANGE_OK, 9, 2 },
        { 3, COUPON_CHANGE_BELOW_HANDED_OUT, 9, 2 },
        { 4, COUPON_CHANGE_OK, 4, 3 },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        change = conf_change(&coupon, rows[i].quantity);
        change.coupon_change.raise_epoch = i == 2;
        conf_run(&change, 1);
        assert_ok(change.err);
        assert_true(change.coupon_change.found);
        assert_int_equal(change.coupon_change.outcome, rows[i].outcome);
        assert_int_equal(coupon.settings.total_quantity, rows[i].now);
        assert_int_equal(coupon.settings.version, rows[i].version);
        assert_int_equal(coupon.witness.highest, 4);
        assert_int_equal(coupon.epoch, i == 2 ? 2 : 1);
    }
    /* Lowering ends the life of a gate that may be granting the numbers that go. */
    change = conf_change(&coupon, 9);
    conf_run(&change, 1);
    change = conf_change(&coupon, 8);
    conf_run(&change, 1);
    assert_true(change.coupon_change.overtaken);
    assert_int_equal(coupon.settings.total_quantity, 9);
    change.coupon_change.change = (struct coupon_change){ .has_ends = true, .ends_at_ms = 1000 };
    conf_run(&change, 1);
    assert_int_equal(change.coupon_change.outcome, COUPON_CHANGE_EMPTY_WINDOW);
    conf_check();
}

static void test_epoch(void **state)
{
    struct coupon coupon = { 0 };
    struct ledger_command raise[2];

    (void)state;
    for (size_t i = 0; i < 2; i++)
        raise[i] =
            (struct ledger_command){ .op = LEDGER_COUPON_EPOCH,
                                     .coupon_epoch = { .coupon_id = COUPON, .coupon = &coupon } };
    conf_run(raise, 1);
    assert_ok(raise[0].err);
    assert_false(raise[0].coupon_epoch.found);
    conf_coupon(5);
    conf_run(raise, 2);
    assert_true(raise[0].coupon_epoch.found);
    assert_int_equal(coupon.epoch, 3);
    assert_int_equal(coupon.settings.version, 1);
    assert_string_equal(coupon.name, "SPRING");
}

int ledger_conformance(const struct ledger_host *host)
{
    static const struct CMUnitTest tests[] = {
        CONFORMANCE_TEST(test_places),
        CONFORMANCE_TEST(test_fresh_places),
        CONFORMANCE_TEST(test_place_of_no_coupon),
        CONFORMANCE_TEST(test_poisoned),
        CONFORMANCE_TEST(test_poisoned_after_another_slot),
        CONFORMANCE_TEST(test_fault),
        CONFORMANCE_TEST(test_create),
        CONFORMANCE_TEST(test_change),
        CONFORMANCE_TEST(test_epoch),
    };

    world.host = host;
    return cmocka_run_group_tests_name(host->name, tests, NULL, NULL) +
           ledger_conformance_epochs() + ledger_conformance_order() + ledger_conformance_charges() +
           ledger_conformance_shop() + ledger_conformance_orders() + ledger_conformance_attempts() +
           ledger_conformance_reads() + ledger_conformance_sales() +
           (host->has_events ? ledger_conformance_events() : 0);
}
