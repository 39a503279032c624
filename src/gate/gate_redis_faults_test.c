// SPDX-License-Identifier: Apache-2.0
/* The gate in Redis while Redis forgets, stands still or is another one, and beside other servers.
 */
#include <signal.h>

#include "base/clock.h"
#include "gate/gate_redis_fixture_test.h"

enum { COUPON = 7, HOUR_MS = 3600000 };

static struct gate_client *client;

static int setup(void **state)
{
    (void)state;
    redis_begin();
    client = gate_client_new(redis_gate, redis_loop, NULL);
    assert_non_null(client);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    client = gate_client_free(client);
    redis_end();
    return 0;
}

static struct coupon_settings settings_of(int64_t quantity, int64_t version)
{
    return (struct coupon_settings){ .total_quantity = quantity,
                                     .starts_at_ms = clock_wall_ms() - HOUR_MS,
                                     .ends_at_ms = clock_wall_ms() + HOUR_MS,
                                     .version = version };
}

static void open_coupon(struct gate *gate, int64_t coupon_id, int64_t epoch, int64_t quantity)
{
    struct coupon_settings settings = settings_of(quantity, 1);
    struct gate_rebuild *rebuild;

    assert_ok(gate_rebuild_begin(gate, coupon_id, epoch, &settings, &rebuild));
    assert_ok(gate_rebuild_open(rebuild, 0));
    gate_rebuild_free(rebuild);
    assert_ok(gate_adopt(gate, coupon_id, epoch, &settings));
}

static size_t answered;

static void note(struct gate_ask *ask)
{
    assert_non_null(ask);
    answered++;
}

static struct gate_ask question(int64_t user_id, enum gate_purpose purpose)
{
    return (struct gate_ask){ .done = note,
                              .coupon_id = COUPON,
                              .user_id = user_id,
                              .purpose = purpose,
                              .token = gate_token(redis_gate) };
}

static struct gate_ask ask_of(struct gate_client *of, int64_t user_id, enum gate_purpose purpose)
{
    struct gate_ask one = question(user_id, purpose);

    gate_ask(of, &one);
    redis_turn();
    return one;
}

static void expect(int64_t user_id, enum gate_outcome outcome, int64_t slot)
{
    struct gate_ask one = ask_of(client, user_id, GATE_RESERVE);

    assert_int_equal(one.outcome, outcome);
    assert_int_equal(one.slot, slot);
}

static void refreshed(struct gate_refresh *refresh)
{
    assert_non_null(refresh);
    answered++;
}

static void swept(struct gate_sweep *sweep)
{
    assert_true(sweep->count <= sweep->room);
    answered++;
}

static struct gate_status look(void)
{
    static const int64_t coupon_ids[] = { COUPON };
    struct gate_refresh refresh = { .done = refreshed, .coupon_ids = coupon_ids, .count = 1 };

    gate_refresh(client, &refresh);
    redis_turn();
    return gate_status(redis_gate, COUPON);
}

/* ---- Redis forgets ---- */

static void expect_lost(enum gate_store store)
{
    for (int64_t user = 1; user <= 3; user++)
        expect(user, GATE_CLOSED, 0);
    struct gate_status status = look();
    assert_false(status.open);
    assert_int_equal(status.store, store);
    assert_int_equal(status.store_epoch, 1);
}

/* Opens again by a rebuild only, and with a higher epoch. */
static void expect_mends(void)
{
    open_coupon(redis_gate, COUPON, 2, 5);
    expect(1, GATE_GRANTED, 1);
    assert_true(look().open);
}

static void test_emptied(void **state)
{
    (void)state;
    open_coupon(redis_gate, COUPON, 1, 5);
    expect(1, GATE_GRANTED, 1);
    REDIS_TELL(NULL, "FLUSHALL");
    expect_lost(GATE_STORE_MISSING);
    /* How many were left is as it was. */
    assert_true(look().counted);
    assert_int_equal(look().remaining, 4);
    struct coupon_settings more = { .total_quantity = 14, .version = 1000 };
    assert_ok(gate_set(redis_gate, COUPON, &more));
    assert_int_equal(look().remaining, 13);
    expect_mends();
}

/* Of a gate that was never seen nothing is known: a coupon that had ended when the server started.
 */
static void test_never_seen(void **state)
{
    (void)state;
    struct coupon_settings settings = { .total_quantity = 100, .version = 1 };
    assert_ok(gate_adopt(redis_gate, COUPON, 1, &settings));
    struct gate_status status = gate_status(redis_gate, COUPON);
    assert_true(status.known);
    assert_false(status.counted);
}

static void test_key_gone(void **state)
{
    static const char *const keys[] = { "db1:{coupon:7}:c", "db1:{coupon:7}:h",
                                        "db1:{coupon:7}:p" };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        open_coupon(redis_gate, COUPON, 1 + 2 * (int64_t)i, 5);
        expect(1, GATE_GRANTED, 1);
        REDIS_TELL(keys[i], "DEL", keys[i]);
        expect(1, GATE_CLOSED, 0);
        expect(2, GATE_CLOSED, 0);
        assert_int_equal(look().store, GATE_STORE_LOST);
        open_coupon(redis_gate, COUPON, 2 + 2 * (int64_t)i, 5);
        expect(2, GATE_GRANTED, 1);
    }
}

/* What a promoted replica does, and a node that is started again from an older picture. */
static void test_another_history(void **state)
{
    struct gate_entry entries[4];
    struct gate_sweep sweep = { .done = swept, .entries = entries, .room = 4, .coupon_id = COUPON };

    (void)state;
    open_coupon(redis_gate, COUPON, 1, 5);
    expect(1, GATE_GRANTED, 1);
    REDIS_TELL("x", "REPLICAOF", "127.0.0.1", "1");
    REDIS_TELL("x", "REPLICAOF", "NO", "ONE");
    expect_lost(GATE_STORE_LOST);
    gate_confirm(client, &(struct gate_entry){ COUPON, 1, 1, 0, 1 });
    expect_lost(GATE_STORE_LOST);
    assert_int_equal(look().pending, 1);
    gate_sweep(client, &sweep);
    redis_turn();
    assert_int_equal(sweep.err, ERR_CORRUPT);
    assert_int_equal(sweep.count, 0);
    expect_mends();
}

static void test_library_gone(void **state)
{
    (void)state;
    open_coupon(redis_gate, COUPON, 1, 5);
    expect(1, GATE_GRANTED, 1);
    REDIS_TELL(NULL, "FUNCTION", "FLUSH");
    expect(2, GATE_GRANTED, 2);
    REDIS_TELL(NULL, "FUNCTION", "FLUSH");
    assert_ok(gate_seal(redis_gate, COUPON, 1));
    expect(3, GATE_CLOSED, 0);
}

/* ---- Redis stands still ---- */

static pid_t redis_pid(void)
{
    const char *text = getenv("DOORBUSTER_TEST_REDIS_PID");

    if (!text)
        fail_msg("DOORBUSTER_TEST_REDIS_PID is not set: run it by test/with_stores.py");
    return text ? (pid_t)strtol(text, NULL, 10) : 0;
}

static void go_on(struct loop_timer *timer)
{
    (void)timer;
    kill(redis_pid(), SIGCONT);
}

static void stand_still(struct loop_timer *timer, uint64_t ms)
{
    *timer = (struct loop_timer){ .run = go_on };
    kill(redis_pid(), SIGSTOP);
    assert_ok(loop_timer_start(redis_loop, timer, ms));
}

/* The answer is lost; the same question again brings the same place. */
static void test_unknown_is_asked_again(void **state)
{
    struct loop_timer timer;
    struct gate_ask asks[3];

    (void)state;
    open_coupon(redis_gate, COUPON, 1, 5);
    expect(9, GATE_GRANTED, 1);
    redis_gate_self(redis_gate)->call_ms = 100;
    for (size_t i = 0; i < 3; i++) {
        asks[i] = question(1 + (int64_t)i, GATE_RESERVE);
        gate_ask(client, &asks[i]);
    }
    stand_still(&timer, 400);
    redis_turn();
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(asks[i].outcome, GATE_GRANTED);
        assert_int_equal(asks[i].slot, 2 + (int64_t)i);
    }
    struct gate_status status = look();
    assert_int_equal(status.granted, 4);
    assert_int_equal(status.remaining, 1);
}

static struct gate_ask late;

static void ask_late(struct loop_timer *timer)
{
    assert_non_null(timer);
    gate_ask(client, &late);
}

/* Who comes while Redis cannot be reached waits a moment for it, and only a moment. */
static void test_a_moment_is_waited_out(void **state)
{
    struct loop_timer timer, asking = { .run = ask_late };
    struct gate_ask first = question(1, GATE_RESERVE);

    (void)state;
    open_coupon(redis_gate, COUPON, 1, 5);
    expect(9, GATE_GRANTED, 1);
    late = question(2, GATE_RESERVE);
    redis_gate_self(redis_gate)->call_ms = 100;
    gate_ask(client, &first);
    stand_still(&timer, 500);
    assert_ok(loop_timer_start(redis_loop, &asking, 300));
    redis_turn();
    assert_int_equal(first.outcome, GATE_GRANTED);
    assert_int_equal(late.outcome, GATE_GRANTED);
    first = question(3, GATE_RESERVE);
    late = question(4, GATE_RESERVE);
    first.deadline_ms = loop_now_ms(redis_loop) + 2500;
    uint64_t begun_ns = clock_mono_ns();
    gate_ask(client, &first);
    stand_still(&timer, 3000);
    assert_ok(loop_timer_start(redis_loop, &asking, 2000));
    redis_turn();
    assert_int_equal(late.outcome, GATE_CLOSED);
    assert_int_equal(first.outcome, GATE_UNKNOWN);
    assert_true(clock_mono_ns() - begun_ns < UINT64_C(2900000000));
    while (timer.impl) {
        redis_turn();
        usleep(1000);
    }
}

/* Nobody is told, but an entry may be there: it is swept up. */
static void test_unknown_to_the_end(void **state)
{
    struct loop_timer timer;
    struct gate_entry entries[4];
    struct gate_sweep sweep = { .done = swept, .entries = entries, .room = 4 };
    struct gate_ask one = question(1, GATE_RESERVE);

    (void)state;
    open_coupon(redis_gate, COUPON, 1, 5);
    expect(9, GATE_GRANTED, 1);
    redis_gate_self(redis_gate)->call_ms = 100;
    one.deadline_ms = loop_now_ms(redis_loop) + 300;
    gate_ask(client, &one);
    stand_still(&timer, 800);
    redis_turn();
    assert_int_equal(one.outcome, GATE_UNKNOWN);
    assert_true(gate_stats(redis_gate).unknown >= 1);
    while (timer.impl) {
        redis_turn();
        usleep(1000);
    }
    redis_gate_self(redis_gate)->call_ms = 5000;
    usleep(100000);
    while (look().store == GATE_STORE_AWAY)
        usleep(10000);
    gate_sweep(client, &sweep);
    redis_turn();
    assert_int_equal(sweep.count, 2);
    for (size_t i = 0; i < 2; i++)
        gate_confirm(client, &entries[i]);
    redis_turn();
    assert_int_equal(look().pending, 0);
    assert_int_equal(look().granted, 2);
}

/* ---- other servers ---- */

static struct gate *other_gate;
static struct gate_client *other;

static void other_begin(void)
{
    struct gate_redis_options options = { .redis = &redis_where, .test_clock = true };

    assert_ok(gate_redis_open(&options, &other_gate));
    other = gate_client_new(other_gate, redis_loop, NULL);
}

static void other_end(void)
{
    other = gate_client_free(other);
    other_gate = gate_redis_free(other_gate);
}

/* Until the other server's client is idle, too. */
static void both_turn(void)
{
    do
        redis_turn();
    while (!gate_client_is_idle(other));
}

static struct gate_ask ask_other(int64_t user_id)
{
    struct gate_ask one = question(user_id, GATE_RESERVE);

    gate_ask(other, &one);
    both_turn();
    return one;
}

static void test_two_servers(void **state)
{
    struct coupon_settings settings = settings_of(5, 1);

    (void)state;
    other_begin();
    open_coupon(redis_gate, COUPON, 1, 5);
    assert_int_equal(ask_other(1).outcome, GATE_CLOSED); /* does not know of it */
    assert_ok(gate_adopt(other_gate, COUPON, 1, &settings));
    expect(1, GATE_GRANTED, 1);
    struct gate_ask again = ask_other(1), next = ask_other(2);
    assert_int_equal(again.outcome, GATE_ALREADY);
    assert_true(again.pending);
    assert_int_equal(next.outcome, GATE_GRANTED);
    assert_int_equal(next.slot, 2);
    open_coupon(other_gate, COUPON, 2, 5); /* the first does not know yet */
    expect(3, GATE_CLOSED, 0);
    assert_int_equal(look().store_epoch, 2);
    assert_false(look().open);
    settings.version = 2;
    settings.total_quantity = 6;
    assert_ok(gate_adopt(redis_gate, COUPON, 2, &settings));
    expect(3, GATE_GRANTED, 1);
    struct gate_status status = look();
    assert_true(status.open);
    assert_int_equal(status.remaining, 5);
    assert_int_equal(status.settings_version, 2);
    other_end();
}

/* Closing, or another epoch, while the question is under way: not told, and stored all the same. */
static void test_not_told_any_more(void **state)
{
    struct coupon_settings settings = settings_of(5, 1);

    (void)state;
    for (int how = 0; how < 2; how++) {
        struct gate_ask reserve = question(1, GATE_RESERVE), issue = question(2, GATE_ISSUE);
        open_coupon(redis_gate, COUPON, 1 + how, 5);
        gate_ask(client, &reserve);
        gate_ask(client, &issue);
        if (how)
            lane_send(lane_get(redis_client_self(client), COUPON)); /* with the epoch of before */
        if (how)
            assert_ok(gate_adopt(redis_gate, COUPON, 9, &settings));
        else
            gate_close(redis_gate, COUPON);
        redis_turn();
        assert_int_equal(reserve.outcome, GATE_CLOSED);
        assert_true(reserve.store);
        assert_int_equal(reserve.slot, 1);
        assert_int_equal(reserve.epoch, 1 + how);
        assert_int_equal(issue.outcome, GATE_GRANTED);
        assert_int_equal(issue.epoch, 1 + how);
    }
}

/* ---- sold out for good ---- */

static uint64_t calls(void)
{
    return gate_stats(redis_gate).calls;
}

static void test_sold_out_is_remembered(void **state)
{
    struct coupon_settings settings;

    (void)state;
    open_coupon(redis_gate, COUPON, 1, 2);
    expect(1, GATE_GRANTED, 1);
    expect(9, GATE_GRANTED, 2);
    assert_int_equal(ask_of(client, 8, GATE_RESERVE).for_good, false);
    gate_confirm(client, &(struct gate_entry){ COUPON, 1, 1, 0, 1 });
    gate_confirm(client, &(struct gate_entry){ COUPON, 9, 2, 0, 1 });
    redis_turn();
    struct gate_ask first = ask_of(client, 8, GATE_RESERVE);
    assert_int_equal(first.outcome, GATE_SOLD_OUT);
    assert_true(first.for_good);
    uint64_t before = calls();
    for (int64_t user = 100; user < 200; user++) {
        struct gate_ask one = ask_of(client, user, GATE_ISSUE);
        assert_int_equal(one.outcome, GATE_SOLD_OUT);
        assert_true(one.for_good);
    }
    assert_int_equal(calls(), before);
    assert_int_equal(gate_stats(redis_gate).told_sold_out, 100);
    expect(1, GATE_ALREADY, 1); /* a holder never hears it */
    expect(9, GATE_ALREADY, 2);
    assert_int_equal(calls(), before + 2);
    gate_lease_set(redis_gate, clock_boot_ms());
    assert_int_equal(ask_of(client, 100, GATE_ISSUE).outcome, GATE_SOLD_OUT);
    assert_int_equal(calls(), before + 3); /* without a lease nothing is known for certain */
    gate_lease_set(redis_gate, UINT64_MAX);
    clock_set_offset_ms(2 * HOUR_MS);
    expect(100, GATE_EXPIRED, 0);
    clock_set_offset_ms(0);
    settings = settings_of(3, 2);
    assert_ok(gate_set(redis_gate, COUPON, &settings));
    expect(100, GATE_GRANTED, 3); /* raised: what was remembered is of another version */
}

/* Another server raised the quantity, and only the heartbeat tells. */
static void test_sold_out_and_raised_elsewhere(void **state)
{
    struct coupon_settings raised = settings_of(2, 2);

    (void)state;
    other_begin();
    open_coupon(redis_gate, COUPON, 1, 1);
    expect(1, GATE_GRANTED, 1);
    gate_confirm(client, &(struct gate_entry){ COUPON, 1, 1, 0, 1 });
    redis_turn();
    expect(2, GATE_SOLD_OUT, 0);
    expect(3, GATE_SOLD_OUT, 0);
    assert_int_equal(gate_stats(redis_gate).told_sold_out, 1);
    assert_ok(gate_adopt(other_gate, COUPON, 1, &raised));
    assert_int_equal(ask_other(5).outcome, GATE_GRANTED);
    look();
    expect(4, GATE_SOLD_OUT, 0); /* asked: it has another version now */
    assert_int_equal(gate_stats(redis_gate).told_sold_out, 1);
    other_end();
}

/* ---- turns, many coupons ---- */

static void test_one_call_for_a_turn(void **state)
{
    static struct gate_ask asks[1200];
    struct gate_status status;

    (void)state;
    open_coupon(redis_gate, COUPON, 1, 5000);
    uint64_t before = calls();
    for (size_t i = 0; i < 64; i++) {
        asks[i] = question(1 + (int64_t)i, GATE_RESERVE);
        gate_ask(client, &asks[i]);
    }
    redis_turn();
    assert_int_equal(calls(), before + 1);
    for (size_t i = 0; i < 64; i++) {
        assert_int_equal(asks[i].slot, 1 + (int64_t)i);
        gate_confirm(client, &(struct gate_entry){ COUPON, asks[i].user_id, asks[i].slot, 0, 1 });
    }
    gate_release(client, &(struct gate_entry){ COUPON, 1, 1, asks[0].token, 1 });
    redis_turn();
    assert_int_equal(calls(), before + 2);
    for (size_t i = 0; i < ARRAY_COUNT(asks); i++) {
        asks[i] = question(1000 + (int64_t)i, GATE_ISSUE);
        gate_ask(client, &asks[i]);
    }
    redis_turn();
    assert_int_equal(calls(), before + 2 + (ARRAY_COUNT(asks) + PEOPLE_MAX - 1) / PEOPLE_MAX);
    for (size_t i = 0; i < ARRAY_COUNT(asks); i++)
        assert_int_equal(asks[i].slot, 65 + (int64_t)i);
    status = look();
    assert_int_equal(status.granted, 64 + ARRAY_COUNT(asks));
    assert_int_equal(status.pending, ARRAY_COUNT(asks));
}

/* All of one coupon's at once, as many as there is room for. */
static void test_sweep_of_many_people(void **state)
{
    static struct gate_ask asks[700];
    static struct gate_entry entries[ARRAY_COUNT(asks)];
    struct gate_sweep sweep = { .done = swept, .entries = entries, .room = ARRAY_COUNT(asks) };
    bool seen[ARRAY_COUNT(asks) + 1] = { false };

    (void)state;
    open_coupon(redis_gate, COUPON, 1, 5000);
    for (size_t i = 0; i < ARRAY_COUNT(asks); i++) {
        asks[i] = question(1 + (int64_t)i, GATE_RESERVE);
        gate_ask(client, &asks[i]);
    }
    redis_turn();
    gate_sweep(client, &sweep);
    redis_turn();
    assert_int_equal(sweep.count, ARRAY_COUNT(asks));
    for (size_t i = 0; i < sweep.count; i++) {
        assert_false(seen[entries[i].user_id]);
        seen[entries[i].user_id] = true;
        assert_int_equal(entries[i].slot, entries[i].user_id);
    }
}

/* Refusals, and what follows them in an answer. */
static void test_all_in_one_call(void **state)
{
    static const int64_t coupon_ids[] = { COUPON };
    struct gate_entry entries[4];
    struct gate_sweep sweep = { .done = swept, .entries = entries, .room = 4 };
    struct gate_refresh refresh = { .done = refreshed, .coupon_ids = coupon_ids, .count = 1 };
    struct gate_ask asks[2];

    (void)state;
    open_coupon(redis_gate, COUPON, 1, 2);
    expect(1, GATE_GRANTED, 1);
    expect(2, GATE_GRANTED, 2);
    redis_pass(5000);
    for (size_t i = 0; i < 2; i++) {
        asks[i] = question(8 + (int64_t)i, GATE_RESERVE);
        gate_ask(client, &asks[i]);
    }
    uint64_t before = calls();
    gate_sweep(client, &sweep);
    gate_refresh(client, &refresh);
    redis_turn();
    assert_int_equal(calls(), before + 1);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(asks[i].outcome, GATE_SOLD_OUT);
    assert_int_equal(sweep.count, 2);
    for (int64_t i = 0; i < 2; i++) {
        assert_int_equal(entries[i].user_id, 1 + i);
        assert_int_equal(entries[i].slot, 1 + i);
    }
    assert_true(gate_oldest_pending_ms(redis_gate, COUPON) < 5000);
    redis_pass(7000);
    asks[0] = question(8, GATE_RESERVE);
    gate_ask(client, &asks[0]);
    gate_refresh(client, &refresh);
    redis_turn();
    assert_true(gate_oldest_pending_ms(redis_gate, COUPON) >= 7000);
}

static void test_sweep_of_many_coupons(void **state)
{
    struct gate_entry entries[40];
    struct gate_sweep sweep = { .done = swept, .entries = entries, .room = 40 };
    size_t found = 0;

    (void)state;
    for (int64_t coupon = 1; coupon <= 20; coupon++) {
        open_coupon(redis_gate, coupon, 1, 10);
        for (int64_t user = 1; user <= coupon % 4; user++) {
            struct gate_ask one = question(user, GATE_RESERVE);
            one.coupon_id = coupon;
            gate_ask(client, &one);
            redis_turn();
        }
    }
    for (int round = 0; round < 5; round++) {
        sweep.room = 7;
        gate_sweep(client, &sweep);
        redis_turn();
        assert_ok(sweep.err);
        found += sweep.count;
        for (size_t i = 0; i < sweep.count; i++)
            gate_confirm(client, &entries[i]);
        redis_turn();
    }
    assert_int_equal(found, 30);
    uint64_t before = calls();
    gate_sweep(client, &sweep);
    redis_turn();
    assert_int_equal(sweep.count, 0);
    assert_int_equal(calls(), before); /* nothing is pending anywhere: nobody is asked */
}

/* Redis judges by settings that no question brought: the heartbeat did. */
static void test_heartbeat_brings_settings(void **state)
{
    struct coupon_settings settings = settings_of(2, 7);

    (void)state;
    open_coupon(redis_gate, COUPON, 1, 2);
    settings.closed = true;
    assert_ok(gate_set(redis_gate, COUPON, &settings));
    assert_int_equal(look().settings_version, 7);
    expect(1, GATE_ENDED, 0);
}

static void test_rebuild_of_many(void **state)
{
    enum { HOLDERS = 100000 };
    struct coupon_settings settings = settings_of(2 * HOLDERS, 1);
    struct gate_rebuild *rebuild;
    uint64_t begun_ns = clock_mono_ns();

    (void)state;
    assert_ok(gate_rebuild_begin(redis_gate, COUPON, 3, &settings, &rebuild));
    for (int64_t i = 1; i <= HOLDERS; i++)
        assert_ok(gate_rebuild_add(rebuild, i + i / 10, i));
    assert_ok(gate_rebuild_open(rebuild, HOLDERS));
    gate_rebuild_free(rebuild);
    assert_ok(gate_adopt(redis_gate, COUPON, 3, &settings));
    print_message("rebuilt in %lld ms\n", (long long)(clock_mono_ns() - begun_ns) / 1000000);
    while (look().store == GATE_STORE_AWAY) /* the loop has slept so long */
        usleep(10000);
    expect(HOLDERS, GATE_ALREADY, HOLDERS + HOLDERS / 10);
    expect(HOLDERS + 1, GATE_GRANTED, 10);
    struct gate_status status = look();
    assert_int_equal(status.granted, HOLDERS + 1);
    assert_int_equal(status.returned, HOLDERS / 10 - 1);
}

/* Two rebuild at once: the higher epoch wins, whichever ends first. */
static void test_two_rebuild(void **state)
{
    struct coupon_settings settings = settings_of(5, 1);
    struct gate_rebuild *first, *second;

    (void)state;
    assert_ok(gate_rebuild_begin(redis_gate, COUPON, 3, &settings, &first));
    assert_ok(gate_rebuild_add(first, 1, 10));
    assert_ok(gate_rebuild_begin(redis_gate, COUPON, 4, &settings, &second));
    assert_int_equal(gate_rebuild_open(first, 1), ERR_CONFLICT);
    assert_ok(gate_rebuild_add(second, 2, 20));
    assert_ok(gate_rebuild_open(second, 1));
    gate_rebuild_free(first);
    gate_rebuild_free(second);
    assert_true(look().store == GATE_STORE_OPEN);
    expect(20, GATE_CLOSED, 0); /* not before SQL was looked at again */
    assert_ok(gate_adopt(redis_gate, COUPON, 4, &settings));
    expect(20, GATE_ALREADY, 2);
    expect(10, GATE_GRANTED, 1);
    assert_int_equal(look().epoch, 4);
}

static int end(void **state)
{
    (void)state;
    kill(redis_pid(), SIGCONT);
    redis_hand = redis_sync_close(redis_hand);
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    static const struct CMUnitTest tests[] = {
        TEST(test_emptied),
        TEST(test_never_seen),
        TEST(test_key_gone),
        TEST(test_another_history),
        TEST(test_library_gone),
        TEST(test_unknown_is_asked_again),
        TEST(test_a_moment_is_waited_out),
        TEST(test_unknown_to_the_end),
        TEST(test_two_servers),
        TEST(test_not_told_any_more),
        TEST(test_sold_out_is_remembered),
        TEST(test_sold_out_and_raised_elsewhere),
        TEST(test_one_call_for_a_turn),
        TEST(test_all_in_one_call),
        TEST(test_sweep_of_many_people),
        TEST(test_sweep_of_many_coupons),
        TEST(test_heartbeat_brings_settings),
        TEST(test_rebuild_of_many),
        TEST(test_two_rebuild),
    };
    return cmocka_run_group_tests(tests, NULL, end);
}
