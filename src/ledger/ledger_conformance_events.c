// SPDX-License-Identifier: Apache-2.0
/* Events: written with their effect, numbered by key, marked one by one, given up and revived. The
 * host's ledger has both consumers. */
#include "base/clock.h"
#include "ledger/ledger_conformance_orders.h"

enum { PAGE = 10 };

/* ---- what is asked ---- */

static struct ledger_events_read heads(enum ledger_consumer consumer)
{
    struct ledger_read read = { .op = LEDGER_READ_EVENT_HEADS,
                                .arena = &world.arena,
                                .limit = PAGE,
                                .events = { .consumer = consumer } };

    conf_read(&read);
    assert_ok(read.err);
    return read.events;
}

static struct ledger_events_read
events_of(enum ledger_consumer consumer, enum ledger_event_kind kind, int64_t key_id, int64_t after)
{
    const struct ledger_event_id key = { kind, key_id, after };
    struct ledger_read read = { .op = LEDGER_READ_EVENTS,
                                .arena = &world.arena,
                                .limit = PAGE,
                                .events = { .consumer = consumer, .keys = &key, .key_count = 1 } };

    conf_read(&read);
    assert_ok(read.err);
    return read.events;
}

static void mark(enum ledger_consumer consumer, enum ledger_event_kind kind, int64_t key_id,
                 int64_t number)
{
    const struct ledger_event_id id = { kind, key_id, number };
    struct ledger_command command = {
        .op = LEDGER_EVENTS_MARK, .events_mark = { .consumer = consumer, .ids = &id, .count = 1 }
    };

    conf_run(&command, 1);
    assert_ok(command.err);
}

static void die(int64_t key_id, int64_t number)
{
    struct ledger_command command = { .op = LEDGER_EVENT_DIE,
                                      .event_die = {
                                          .consumer = LEDGER_WEBHOOK,
                                          .id = { LEDGER_EVENTS_OF_COUPON, key_id, number },
                                          .tries = 3,
                                          .why = STR("500") } };

    conf_run(&command, 1);
    assert_ok(command.err);
}

static bool revive(int64_t dead_id, bool skip)
{
    struct ledger_command command = { .op = LEDGER_EVENT_REVIVE,
                                      .event_revive = { .dead_id = dead_id, .skip = skip } };

    conf_run(&command, 1);
    assert_ok(command.err);
    return command.event_revive.found;
}

static struct ledger_read dead_page(int64_t after, int64_t limit)
{
    struct ledger_read read = {
        .op = LEDGER_READ_EVENTS_DEAD, .arena = &world.arena, .after = after, .limit = limit
    };

    conf_read(&read);
    assert_ok(read.err);
    return read;
}

static struct ledger_events_read counts(void)
{
    struct ledger_read read = { .op = LEDGER_READ_EVENT_COUNT,
                                .arena = &world.arena,
                                .events = { .consumer = LEDGER_WEBHOOK } };

    conf_read(&read);
    assert_ok(read.err);
    return read.events;
}

static void issue(int64_t first_user, int64_t count)
{
    struct ledger_command commands[PAGE];

    assert_true(count <= PAGE);
    for (int64_t i = 0; i < count; i++)
        commands[i] = conf_place(first_user + i, first_user + i);
    conf_run(commands, (size_t)count);
}

/* ---- tests ---- */

static void test_coupon(void **state)
{
    struct ledger_command again = conf_place(2, 2);

    (void)state;
    conf_coupon(20);
    assert_int_equal(heads(LEDGER_WEBHOOK).head_count, 0);
    issue(1, 3);
    conf_run(&again, 1); /* settled twice: one event */
    issue(4, 2);
    struct ledger_events_read read = heads(LEDGER_WEBHOOK);
    assert_int_equal(read.head_count, 1);
    assert_int_equal(read.heads[0].id.kind, LEDGER_EVENTS_OF_COUPON);
    assert_int_equal(read.heads[0].id.key_id, COUPON);
    assert_int_equal(read.heads[0].id.number, 1);
    read = events_of(LEDGER_WEBHOOK, LEDGER_EVENTS_OF_COUPON, COUPON, 0);
    assert_int_equal(read.event_count, 5);
    for (size_t i = 0; i < 5; i++) {
        const struct ledger_event *event = &read.events[i];
        assert_int_equal(event->row.id.number, i + 1);
        assert_int_equal(event->row.type, LEDGER_EVENT_COUPON_ISSUED);
        assert_non_null(event->held);
        assert_int_equal(event->held->slot, i + 1);
        assert_int_equal(event->held->user_id, i + 1);
        assert_int_equal(event->held->issued_at_ms, event->row.occurred_at_ms);
        assert_true(event->held->user_coupon_id >= 1);
    }
    assert_int_equal(
        events_of(LEDGER_WEBHOOK, LEDGER_EVENTS_OF_COUPON, COUPON, 3).events[0].row.id.number, 4);
}

static void test_marks(void **state)
{
    (void)state;
    conf_coupon(20);
    issue(1, 3);
    mark(LEDGER_WEBHOOK, LEDGER_EVENTS_OF_COUPON, COUPON, 2);
    assert_int_equal(heads(LEDGER_WEBHOOK).heads[0].id.number, 1);
    struct ledger_events_read read = events_of(LEDGER_WEBHOOK, LEDGER_EVENTS_OF_COUPON, COUPON, 0);
    assert_int_equal(read.event_count, 2);
    assert_int_equal(read.events[1].row.id.number, 3);
    mark(LEDGER_WEBHOOK, LEDGER_EVENTS_OF_COUPON, COUPON, 1);
    mark(LEDGER_WEBHOOK, LEDGER_EVENTS_OF_COUPON, COUPON, 1);
    mark(LEDGER_WEBHOOK, LEDGER_EVENTS_OF_COUPON, COUPON, 3);
    assert_int_equal(heads(LEDGER_WEBHOOK).head_count, 0);
    assert_int_equal(counts().undelivered, 0);
    /* the other consumer has its own */
    assert_int_equal(events_of(LEDGER_STREAM, LEDGER_EVENTS_OF_COUPON, COUPON, 0).event_count, 3);
    issue(4, 1);
    assert_int_equal(heads(LEDGER_WEBHOOK).heads[0].id.number, 4);
}

static void test_orders(void **state)
{
    static const enum ledger_event_type types[] = { LEDGER_EVENT_ORDER_COMPLETED,
                                                    LEDGER_EVENT_ORDER_CANCELLED,
                                                    LEDGER_EVENT_ORDER_CANCELLED };
    struct conf_order self;

    (void)state;
    conf_user(1, 10000);
    conf_product(1, 100, 10);
    conf_order_create(&self, 1, 1, 2, "a");
    assert_int_equal(conf_order_run(&self), LEDGER_ORDER_OK);
    assert_int_equal(heads(LEDGER_STREAM).head_count, 0); /* a pending order is no news */
    conf_order_pay(&self, 1, 1, "b");
    assert_int_equal(conf_order_run(&self), LEDGER_ORDER_OK);
    conf_order_pay(&self, 1, 1, "b");
    assert_int_equal(conf_order_run(&self), LEDGER_ORDER_OK);
    conf_order_cancel(&self, 1, 1, "c");
    assert_int_equal(conf_order_run(&self), LEDGER_ORDER_OK);
    conf_order_create(&self, 1, 1, 1, "d");
    assert_int_equal(conf_order_run(&self), LEDGER_ORDER_OK);
    conf_order_cancel(&self, 1, 2, "e");
    assert_int_equal(conf_order_run(&self), LEDGER_ORDER_OK);
    struct ledger_events_read read = events_of(LEDGER_STREAM, LEDGER_EVENTS_OF_USER, 1, 0);
    assert_int_equal(read.event_count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(read.events[i].row.id.number, i + 1);
        assert_int_equal(read.events[i].row.type, types[i]);
        assert_non_null(read.events[i].order);
        assert_int_equal(read.events[i].order->order_id, i == 2 ? 2 : 1);
        assert_int_equal(read.events[i].order->line_count, 1);
    }
    assert_true(read.events[0].order->paid_at_ms > 0);
}

static void test_pages(void **state)
{
    struct ledger_read read = { .op = LEDGER_READ_EVENT_HEADS, .arena = &world.arena, .limit = 2 };
    struct conf_order self;
    int64_t seen = 0;

    (void)state;
    conf_product(1, 100, 1000);
    conf_coupon(5);
    issue(1, 1);
    for (int64_t user = 1; user <= 4; user++) {
        conf_user(user, 1000);
        conf_order_create(&self, user, 1, 1, "a");
        assert_int_equal(conf_order_run(&self), LEDGER_ORDER_OK);
        conf_order_pay(&self, user, user, "b");
        assert_int_equal(conf_order_run(&self), LEDGER_ORDER_OK);
    }
    do {
        conf_read(&read);
        assert_ok(read.err);
        for (size_t i = 0; i < read.events.head_count; i++, seen++) {
            const struct ledger_event_head *head = &read.events.heads[i];
            assert_int_equal(head->id.kind, seen ? LEDGER_EVENTS_OF_USER : LEDGER_EVENTS_OF_COUPON);
            assert_int_equal(head->id.key_id, seen ? seen : COUPON);
            read.events.after = head->id;
        }
    } while (read.more);
    assert_int_equal(seen, 5);
}

static void test_dead(void **state)
{
    (void)state;
    conf_coupon(20);
    issue(1, 3);
    mark(LEDGER_WEBHOOK, LEDGER_EVENTS_OF_COUPON, COUPON, 1);
    die(COUPON, 1); /* it is delivered */
    assert_int_equal(dead_page(0, PAGE).events.dead_count, 0);
    assert_int_equal(dead_page(0, PAGE).events.dead_total, 0);
    die(COUPON, 2);
    die(COUPON, 2);
    struct ledger_read page = dead_page(0, PAGE);
    assert_int_equal(page.events.dead_count, 1);
    const struct ledger_dead_event *dead = &page.events.dead[0];
    assert_int_equal(dead->row.id.number, 2);
    assert_int_equal(dead->row.type, LEDGER_EVENT_COUPON_ISSUED);
    assert_int_equal(dead->tries, 3);
    assert_true(str_equal(dead->why, STR("500")));
    assert_int_equal(heads(LEDGER_WEBHOOK).heads[0].dead_id, dead->dead_id);
    struct ledger_events_read read = events_of(LEDGER_WEBHOOK, LEDGER_EVENTS_OF_COUPON, COUPON, 0);
    assert_int_equal(read.event_count, 1); /* up to the dead one */
    assert_int_equal(read.events[0].dead_id, dead->dead_id);
    assert_int_equal(counts().dead_total, 1);
    assert_int_equal(counts().undelivered, 2);
    assert_int_equal(heads(LEDGER_STREAM).heads[0].dead_id, 0);

    assert_true(revive(dead->dead_id, false));
    assert_false(revive(dead->dead_id, false));
    assert_int_equal(heads(LEDGER_WEBHOOK).heads[0].dead_id, 0);
    die(COUPON, 2);
    page = dead_page(0, PAGE);
    assert_int_equal(page.events.dead_count, 1);
    assert_true(page.events.dead[0].dead_id > dead->dead_id); /* never used again */
    assert_true(revive(page.events.dead[0].dead_id, true));
    assert_int_equal(heads(LEDGER_WEBHOOK).heads[0].id.number, 3);
    assert_int_equal(counts().dead_total, 0);
    die(COUPON, 3);
    issue(4, 1);
    mark(LEDGER_WEBHOOK, LEDGER_EVENTS_OF_COUPON, COUPON, 3);
    die(COUPON, 4);
    page = dead_page(0, 1);
    assert_int_equal(page.events.dead_count, 1);
    assert_true(page.more);
    assert_int_equal(page.events.dead_total, 2);
    assert_int_equal(dead_page(INT64_MAX, 1).events.dead_total, 2);
    assert_int_equal(dead_page(page.events.dead[0].dead_id, 1).events.dead[0].row.id.number, 4);
}

static bool lease(int64_t owner, int64_t lease_ms)
{
    struct ledger_command command = {
        .op = LEDGER_RELAY_LEASE,
        .relay_lease = { .consumer = LEDGER_STREAM, .owner = owner, .lease_ms = lease_ms }
    };

    conf_run(&command, 1);
    assert_ok(command.err);
    return command.relay_lease.held;
}

static void test_lease(void **state)
{
    (void)state;
    assert_true(lease(1, 60000));
    assert_false(lease(2, 60000));
    assert_true(lease(1, 1));
    struct ledger_command pause = { .op = LEDGER_FORGET };
    for (int64_t until = clock_wall_ms() + 5; clock_wall_ms() < until;)
        conf_run(&pause, 1);
    assert_true(lease(2, 60000));
    assert_false(lease(1, 60000));
    assert_false(lease(2, 0)); /* let go */
    assert_true(lease(1, 60000));
}

static int64_t forget(int64_t keep_ms)
{
    struct ledger_command command = { .op = LEDGER_EVENTS_FORGET,
                                      .events_forget = { .keep_ms = keep_ms } };

    conf_run(&command, 1);
    assert_ok(command.err);
    return command.events_forget.forgotten;
}

static void test_forget(void **state)
{
    (void)state;
    conf_coupon(20);
    issue(1, 3);
    for (int64_t number = 1; number <= 2; number++)
        mark(LEDGER_WEBHOOK, LEDGER_EVENTS_OF_COUPON, COUPON, number);
    assert_int_equal(forget(-1000), 0); /* the stream has none of them */
    mark(LEDGER_STREAM, LEDGER_EVENTS_OF_COUPON, COUPON, 1);
    assert_int_equal(forget(60000), 0);
    assert_int_equal(forget(-1000), 1);
    issue(4, 1);
    struct ledger_events_read read = events_of(LEDGER_STREAM, LEDGER_EVENTS_OF_COUPON, COUPON, 0);
    assert_int_equal(read.event_count, 3);
    assert_int_equal(read.events[2].row.id.number, 4);
}

int ledger_conformance_events(void)
{
    static const struct CMUnitTest tests[] = {
        CONFORMANCE_TEST(test_coupon), CONFORMANCE_TEST(test_marks), CONFORMANCE_TEST(test_orders),
        CONFORMANCE_TEST(test_pages),  CONFORMANCE_TEST(test_dead),  CONFORMANCE_TEST(test_lease),
        CONFORMANCE_TEST(test_forget),
    };

    return cmocka_run_group_tests_name("events", tests, NULL, NULL);
}
