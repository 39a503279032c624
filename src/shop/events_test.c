// SPDX-License-Identifier: Apache-2.0
/* The relay: at least once, in order of each key, whatever the receiver and the ledger do. */
#include "base/hash.h"
#include "shop/shop_fixture_test.h"

enum { USERS = 600, RETRY_MS = 10, RETRY_MAX_MS = 40, TRIES_MAX = 4, KEYS = 8 };

/* ---- a receiver: it answers in the next turn, as it is told ---- */

static struct {
    int64_t seen[KEYS]; /* of each coupon: number of the last that was taken */
    int64_t taken, again, tries;
    int fail_percent; /* at random */
    int64_t poisoned; /* coupon whose event POISONED_NUMBER is never taken; 0: none */
    bool away, hangs;
    size_t under_way, most;
    uint64_t dice;
} receiver;
enum { POISONED_NUMBER = 3 };

struct answer {
    struct loop_task task;
    struct list node;
    struct events_delivery *delivery;
};
static struct list hanging;
static bool out_of_order;

static bool refuses(int64_t coupon_id, int64_t number)
{
    receiver.dice = hash_u64(receiver.dice);
    return receiver.away || receiver.dice % 100 < (uint64_t)receiver.fail_percent ||
           (coupon_id == receiver.poisoned && number == POISONED_NUMBER);
}

static void receive(struct events_delivery *delivery)
{
    int64_t coupon_id = delivery->key[strlen("coupon-")] - '0';
    char id[64];

    assert_true(coupon_id >= 0 && coupon_id < KEYS);
    snprintf(id, sizeof id, "coupon-%d-%lld", (int)coupon_id, (long long)delivery->number);
    assert_string_equal(id, delivery->id);
    assert_true(str_equal(delivery->body, str_from(id)));
    assert_string_equal(delivery->type, "coupon.issued");
    receiver.tries++;
    delivery->delivered = !refuses(coupon_id, delivery->number);
    if (!delivery->delivered) {
        snprintf(delivery->why, sizeof delivery->why, "no");
        return;
    }
    receiver.taken++;
    out_of_order |= delivery->number > receiver.seen[coupon_id] + 1;
    receiver.again += delivery->number <= receiver.seen[coupon_id];
    receiver.seen[coupon_id] = MAX(receiver.seen[coupon_id], delivery->number);
}

static void answer_now(struct loop_task *task)
{
    struct answer *answer = CONTAINER_OF(task, struct answer, task);
    struct events_delivery *delivery = answer->delivery;

    receive(delivery);
    receiver.under_way--;
    delivery->done(delivery);
}

static void sink_send(struct events_sink *sink, struct events_delivery *delivery)
{
    struct answer *answer = (struct answer *)delivery->room;

    (void)sink;
    *answer = (struct answer){ .task.run = answer_now, .delivery = delivery };
    receiver.under_way++;
    receiver.most = MAX(receiver.most, receiver.under_way);
    if (receiver.hangs)
        list_append(&hanging, &answer->node);
    else
        loop_post(loop, &answer->task);
}

static void cut_now(struct loop_task *task)
{
    struct answer *answer = CONTAINER_OF(task, struct answer, task);

    receiver.under_way--;
    answer->delivery->done(answer->delivery);
}

static void sink_cut(struct events_sink *sink)
{
    (void)sink;
    while (!list_empty(&hanging)) {
        struct answer *answer = CONTAINER_OF(hanging.next, struct answer, node);
        list_remove(&answer->node);
        answer->task.run = cut_now;
        loop_post(loop, &answer->task);
    }
}

static void sink_free(struct events_sink *sink)
{
    (void)sink;
    assert_int_equal(receiver.under_way, 0);
}

static struct events_sink *sink_new(void *context, struct loop *on)
{
    static struct events_sink sink = { sink_send, sink_cut, sink_free };

    (void)context, (void)on;
    return &sink;
}

static void render(const struct ledger_event *event, const char *id, const char *key,
                   struct buf *out)
{
    assert_non_null(event->held);
    assert_int_equal(strncmp(id, key, strlen(key)), 0);
    buf_str_append(out, str_from(id));
}

/* ---- the shop ---- */

static int begin(void **state)
{
    (void)state;
    memset(&receiver, 0, sizeof receiver);
    receiver.dice = 7;
    out_of_order = false;
    list_init(&hanging);
    used_render_event = render;
    used_consumers[LEDGER_WEBHOOK] = (struct events_consumer){ .on = true,
                                                               .in_flight_max = 4,
                                                               .tries_max = TRIES_MAX,
                                                               .retry_ms = RETRY_MS,
                                                               .retry_ms_max = RETRY_MAX_MS,
                                                               .sink_new = sink_new };
    shop_begin(1, 1000);
    for (int64_t id = 1; id < KEYS; id++)
        if (id != COUPON)
            make_coupon(id, 1000);
    return 0;
}

static int end(void **state)
{
    (void)state;
    shop_end();
    assert_false(out_of_order);
    return 0;
}

enum { ISSUED_AT_ONCE = 128 };
static struct shop_command places[ISSUED_AT_ONCE];
static int64_t places_open;

static void place_done(struct shop_command *command)
{
    assert_ok(command->ledger.err);
    places_open--;
}

static bool all_placed(void)
{
    return places_open == 0;
}

static void issue(int64_t coupon_id, int64_t from, int64_t to)
{
    assert_true(to - from < ISSUED_AT_ONCE);
    for (int64_t i = from; i <= to; i++) {
        struct shop_command *command = &places[places_open++];
        *command = (struct shop_command){
            .done = place_done,
            .ledger = { .op = LEDGER_PLACE,
                        .place = { .coupon_id = coupon_id, .user_id = i, .slot = i } }
        };
        shop_command(&here, command);
    }
    wait_until(all_placed);
}

static int64_t wanted[KEYS];

static bool all_seen(void)
{
    for (int i = 0; i < KEYS; i++)
        if (receiver.seen[i] < wanted[i])
            return false;
    return true;
}

static void wait_seen(int64_t of_coupon, int64_t others)
{
    for (int i = 1; i < KEYS; i++)
        wanted[i] = i == COUPON ? of_coupon : others;
    wait_until(all_seen);
}

/* ---- tests ---- */

static void test_all(void **state)
{
    (void)state;
    issue(COUPON, 1, 100);
    wait_seen(100, 0);
    for (int64_t id = 1; id < KEYS; id++)
        issue(id, id == COUPON ? 101 : 1, 110);
    wait_seen(110, 110);
    assert_int_equal(receiver.taken, 7 * 110);
    assert_int_equal(receiver.again, 0);
    assert_true(receiver.most > 1 && receiver.most <= 4);
    shop_stop();
    shop_start(); /* all of them are marked */
    issue(COUPON, 111, 111);
    wait_seen(111, 110);
    assert_int_equal(receiver.taken, 7 * 110 + 1);
}

static void test_failures(void **state)
{
    (void)state;
    receiver.fail_percent = 20;
    used_consumers[LEDGER_WEBHOOK].tries_max = 20; /* by chance alone none of them dies */
    shop_stop();
    shop_start();
    for (int64_t id = 1; id < KEYS; id++)
        issue(id, 1, 40);
    wait_seen(40, 40);
    assert_int_equal(receiver.taken, 7 * 40);
    assert_true(receiver.tries > receiver.taken);
}

static struct ledger_command revived;

/* The only dead one. */
static int64_t revive(bool skip)
{
    for (int64_t id = 1; id < 10; id++) {
        revived = (struct ledger_command){ .op = LEDGER_EVENT_REVIVE,
                                           .event_revive = { .dead_id = id, .skip = skip } };
        ledger_run(shop.ledger, &revived);
        assert_ok(revived.err);
        if (revived.event_revive.found)
            return id;
    }
    return 0;
}

static bool has_died(void)
{
    return atomic_load(&shop.events_stats[LEDGER_WEBHOOK].dead) == 1;
}

static void test_dead(void **state)
{
    (void)state;
    receiver.poisoned = COUPON;
    for (int64_t id = 1; id < KEYS; id++)
        issue(id, 1, 20);
    wait_seen(POISONED_NUMBER - 1, 20); /* the others go on */
    wait_until(has_died);
    assert_int_equal(receiver.seen[COUPON], POISONED_NUMBER - 1);
    int64_t tries = receiver.tries;
    assert_int_equal(tries, 6 * 20 + POISONED_NUMBER - 1 + TRIES_MAX);
    shop_stop();
    shop_start();
    wait_until(has_died);
    assert_int_equal(receiver.tries, tries);
    /* again, to no avail */
    assert_true(revive(false) > 0);
    assert_int_equal(revived.event_revive.event.row.id.number, POISONED_NUMBER);
    assert_int_equal(revived.event_revive.event.tries, TRIES_MAX);
    atomic_store(&shop.events_stats[LEDGER_WEBHOOK].dead, 0);
    wait_until(has_died);
    assert_int_equal(receiver.tries, tries + TRIES_MAX);
    /* and again, to be taken */
    receiver.poisoned = 0;
    assert_true(revive(false) > 0);
    wait_seen(20, 20);
    assert_int_equal(receiver.again, 0);
}

static void test_skip(void **state)
{
    (void)state;
    receiver.poisoned = COUPON;
    issue(COUPON, 1, 20);
    wait_until(has_died);
    receiver.seen[COUPON] = POISONED_NUMBER; /* as if */
    assert_true(revive(true) > 0);
    wait_seen(20, 0);
    assert_int_equal(receiver.taken, 19);
}

static bool looked_for(void)
{
    return receiver.tries > 60;
}

/* Tries while it is away do not count: nothing dies. */
static void test_away(void **state)
{
    (void)state;
    used_consumers[LEDGER_WEBHOOK].tries_max = 20;
    shop_stop();
    shop_start();
    receiver.away = true;
    for (int64_t id = 1; id < KEYS; id++)
        issue(id, 1, 5);
    /* only seven keys: not enough to say that it is away */
    wait_until(looked_for);
    receiver.away = false;
    wait_seen(5, 5);
    assert_int_equal(receiver.again, 0);
}

static bool hangs_enough(void)
{
    return receiver.under_way == 4;
}

/* The end does not wait for a receiver that hangs. */
static void test_end(void **state)
{
    (void)state;
    receiver.hangs = true;
    for (int64_t id = 1; id < KEYS; id++)
        issue(id, 1, 5);
    wait_until(hangs_enough);
    shop_stop();
    receiver.hangs = false;
    shop_start();
    wait_seen(5, 5);
    assert_int_equal(receiver.taken, 35);
}

static bool some_were_tried(void)
{
    return receiver.tries > 20;
}

/* What cannot be marked is delivered all the same, and marked later. */
static void test_ledger_away(void **state)
{
    (void)state;
    for (int64_t id = 1; id < KEYS; id++)
        issue(id, 1, 16);
    wait_until(some_were_tried);
    ledger_fault_set(shop.ledger, true);
    wait_seen(5, 5);
    ledger_fault_set(shop.ledger, false);
    wait_seen(16, 16);
    issue(COUPON, 17, 20);
    wait_seen(20, 16);
    assert_int_equal(receiver.again, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all, begin, end),
        cmocka_unit_test_setup_teardown(test_failures, begin, end),
        cmocka_unit_test_setup_teardown(test_dead, begin, end),
        cmocka_unit_test_setup_teardown(test_skip, begin, end),
        cmocka_unit_test_setup_teardown(test_away, begin, end),
        cmocka_unit_test_setup_teardown(test_end, begin, end),
        cmocka_unit_test_setup_teardown(test_ledger_away, begin, end),
    };

    return cmocka_run_group_tests_name("events", tests, NULL, NULL);
}
