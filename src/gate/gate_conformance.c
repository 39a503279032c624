// SPDX-License-Identifier: Apache-2.0
/* Granting. Settling, settings and rebuilding are in gate_conformance_settle.c. */
#include "gate/gate_conformance_internal.h"

struct conformance_world world;

int conformance_setup(void **state)
{
    (void)state;
    world.gate = world.host->open();
    assert_non_null(world.gate);
    world.client = gate_client_new(world.gate, world.host->loop(), NULL);
    assert_non_null(world.client);
    return 0;
}

int conformance_teardown(void **state)
{
    (void)state;
    world.client = gate_client_free(world.client);
    world.host->close(world.gate);
    return 0;
}

struct coupon_settings conf_settings_of(int64_t quantity)
{
    int64_t now_ms = clock_wall_ms();

    return (struct coupon_settings){ .total_quantity = quantity,
                                     .starts_at_ms = now_ms - HOUR_MS,
                                     .ends_at_ms = now_ms + HOUR_MS,
                                     .version = 1 };
}

void conf_open_with(const struct coupon_settings *settings, int64_t epoch,
                    const struct conformance_holder *holders, size_t count)
{
    struct gate_rebuild *rebuild;

    assert_ok(gate_rebuild_begin(world.gate, COUPON, epoch, settings, &rebuild));
    for (size_t i = 0; i < count; i++)
        assert_ok(gate_rebuild_add(rebuild, holders[i].slot, holders[i].user_id));
    assert_ok(gate_rebuild_open(rebuild, (int64_t)count));
    assert_null(gate_rebuild_free(rebuild));
    assert_ok(gate_adopt(world.gate, COUPON, epoch, settings));
    world.epoch = epoch;
}

void conf_open_empty(int64_t quantity)
{
    struct coupon_settings settings = conf_settings_of(quantity);

    conf_open_with(&settings, 1, NULL, 0);
}

static void count_answer(struct gate_ask *question)
{
    (void)question;
    world.answered++;
}

struct gate_ask conf_question(int64_t user_id, enum gate_purpose purpose)
{
    return (struct gate_ask){ .done = count_answer,
                              .coupon_id = COUPON,
                              .user_id = user_id,
                              .purpose = purpose,
                              .token = gate_token(world.gate) };
}

void conf_put(struct gate_ask *questions, size_t count)
{
    world.answered = 0;
    for (size_t i = 0; i < count; i++)
        gate_ask(world.client, &questions[i]);
    assert_int_equal(world.answered, 0); /* never from inside the call */
    world.host->turn();
    assert_int_equal(world.answered, count);
}

struct gate_ask conf_ask(int64_t user_id)
{
    struct gate_ask one = conf_question(user_id, user_id % 2 ? GATE_ISSUE : GATE_RESERVE);

    conf_put(&one, 1);
    return one;
}

struct gate_entry conf_grant(int64_t user_id, int64_t slot)
{
    struct gate_ask one = conf_ask(user_id);

    assert_int_equal(one.outcome, GATE_GRANTED);
    assert_int_equal(one.slot, slot);
    assert_int_equal(one.epoch, world.epoch);
    return (struct gate_entry){ COUPON, user_id, one.slot, one.token, one.epoch };
}

bool conf_release(const struct gate_entry *entry)
{
    uint64_t before = gate_stats(world.gate).released;

    gate_release(world.client, entry);
    world.host->turn();
    uint64_t now = gate_stats(world.gate).released;
    assert_true(now - before <= 1);
    return now > before;
}

void conf_confirm(const struct gate_entry *entry)
{
    gate_confirm(world.client, entry);
    world.host->turn();
}

static void count_move(struct gate_move *move)
{
    assert_non_null(move);
    world.answered++;
}

enum gate_outcome conf_move(struct gate_entry *entry, int64_t own_slot, bool offer)
{
    struct gate_move move = {
        .done = count_move, .entry = *entry, .own_slot = own_slot, .offer = offer
    };

    world.answered = 0;
    gate_move(world.client, &move);
    assert_int_equal(world.answered, 0);
    world.host->turn();
    assert_int_equal(world.answered, 1);
    *entry = move.entry;
    return move.outcome;
}

static void count_sweep(struct gate_sweep *sweep)
{
    assert_ok(sweep->err);
    world.answered++;
}

size_t conf_sweep(uint64_t older_than_ms, struct gate_entry *entries, size_t room)
{
    struct gate_sweep sweep = {
        .done = count_sweep, .older_than_ms = older_than_ms, .entries = entries, .room = room
    };

    world.answered = 0;
    gate_sweep(world.client, &sweep);
    assert_int_equal(world.answered, 0);
    world.host->turn();
    assert_int_equal(world.answered, 1);
    return sweep.count;
}

static void count_refresh(struct gate_refresh *refresh)
{
    assert_ok(refresh->err);
    world.answered++;
}

struct gate_status conf_status(void)
{
    static const int64_t coupon_ids[] = { COUPON };
    struct gate_refresh refresh = { .done = count_refresh, .coupon_ids = coupon_ids, .count = 1 };

    world.answered = 0;
    gate_refresh(world.client, &refresh);
    assert_int_equal(world.answered, 0);
    world.host->turn();
    assert_int_equal(world.answered, 1);
    return gate_status(world.gate, COUPON);
}

void conf_grant_stored(int64_t user_id, int64_t slot)
{
    struct gate_entry entry = conf_grant(user_id, slot);

    conf_confirm(&entry);
}

void conf_expect(int64_t user_id, enum gate_outcome outcome, int64_t slot, bool pending)
{
    struct gate_ask one = conf_ask(user_id);

    assert_int_equal(one.outcome, outcome);
    assert_int_equal(one.slot, slot);
    assert_int_equal(one.pending, pending);
}

void conf_expect_status(int64_t granted, int64_t pending, int64_t returned, int64_t remaining)
{
    struct gate_status status = conf_status();

    assert_true(status.known);
    assert_int_equal(status.granted, granted);
    assert_int_equal(status.pending, pending);
    assert_int_equal(status.returned, returned);
    assert_int_equal(status.remaining, remaining);
}

/* ---- granting ---- */

static void test_order(void **state)
{
    struct gate_ask questions[10];

    (void)state;
    conf_open_empty(8);
    for (size_t i = 0; i < 10; i++)
        questions[i] = conf_question(100 + (int64_t)i, i % 2 ? GATE_ISSUE : GATE_RESERVE);
    conf_put(questions, 10);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(questions[i].outcome, GATE_GRANTED);
        assert_int_equal(questions[i].slot, i + 1);
        assert_int_equal(questions[i].remaining, 7 - i);
    }
    assert_int_equal(questions[8].outcome, GATE_SOLD_OUT);
    assert_int_equal(questions[9].outcome, GATE_SOLD_OUT);
    conf_expect_status(8, 8, 0, 0);
}

static void test_same_token_again(void **state)
{
    struct gate_ask one = conf_question(5, GATE_ISSUE), again;

    (void)state;
    conf_open_empty(3);
    again = one;
    conf_put(&one, 1);
    conf_put(&again, 1);
    assert_int_equal(again.outcome, GATE_GRANTED);
    assert_int_equal(again.slot, one.slot);
    assert_int_equal(again.remaining, 2);
    struct gate_ask twice[2];
    twice[0] = twice[1] = conf_question(6, GATE_RESERVE);
    conf_put(twice, 2);
    assert_int_equal(twice[0].outcome, GATE_GRANTED);
    assert_int_equal(twice[1].outcome, GATE_GRANTED);
    assert_int_equal(twice[0].slot, twice[1].slot);
    conf_expect_status(2, 2, 0, 1);
    /* It did not join itself: it may be released. */
    assert_true(conf_release(&(struct gate_entry){ COUPON, 5, 1, one.token, one.epoch }));
}

static void test_join(void **state)
{
    (void)state;
    conf_open_empty(3);
    for (int64_t user = 1; user <= 2; user++) {
        struct gate_entry first = conf_grant(user, user), joined = first;
        struct gate_ask second = conf_question(user, GATE_ISSUE), again = second;
        conf_put(&second, 1);
        conf_put(&again, 1);
        assert_int_equal(second.outcome, GATE_ALREADY);
        assert_int_equal(second.slot, user);
        assert_true(second.pending);
        assert_int_equal(again.outcome, GATE_ALREADY); /* the answer was lost */
        assert_true(again.pending);
        joined.token = second.token;
        assert_false(conf_release(&first));
        assert_false(conf_release(&joined));
        conf_expect(user, GATE_ALREADY, user, true);
        conf_confirm(&first);
        conf_expect(user, GATE_ALREADY, user, false);
        assert_false(conf_release(&joined));
    }
    conf_expect_status(2, 0, 0, 1);
}

static void test_one_user_at_once(void **state)
{
    struct gate_ask questions[50];

    (void)state;
    conf_open_empty(50);
    for (size_t i = 0; i < 50; i++)
        questions[i] = conf_question(9, i % 3 ? GATE_RESERVE : GATE_ISSUE);
    conf_put(questions, 50);
    assert_int_equal(questions[0].outcome, GATE_GRANTED);
    for (size_t i = 1; i < 50; i++) {
        assert_int_equal(questions[i].outcome, GATE_ALREADY);
        assert_int_equal(questions[i].slot, 1);
        assert_true(questions[i].pending);
    }
    conf_expect_status(1, 1, 0, 49);
}

static void test_sold_out_for_good(void **state)
{
    (void)state;
    conf_open_empty(2);
    struct gate_entry first = conf_grant(1, 1), second = conf_grant(2, 2);
    assert_false(conf_ask(3).for_good);
    conf_confirm(&first);
    assert_false(conf_ask(3).for_good);
    assert_true(conf_release(&second));
    struct gate_entry third = conf_grant(3, 2);
    assert_false(conf_ask(4).for_good);
    conf_confirm(&third);
    struct gate_ask last = conf_ask(4);
    assert_int_equal(last.outcome, GATE_SOLD_OUT);
    assert_true(last.for_good);
    conf_expect(1, GATE_ALREADY, 1, false); /* a holder never hears it */
}

static void test_order_of_tests(void **state)
{
    static const struct {
        int64_t starts_ms, ends_ms;
        bool closed, full;
        enum gate_outcome outcome;
    } rows[] = {
        { -HOUR_MS, HOUR_MS, false, false, GATE_GRANTED },
        { -HOUR_MS, HOUR_MS, false, true, GATE_SOLD_OUT },
        { -HOUR_MS, HOUR_MS, true, false, GATE_ENDED },
        { -HOUR_MS, HOUR_MS, true, true, GATE_ENDED },
        { HOUR_MS, 2 * HOUR_MS, false, true, GATE_NOT_STARTED },
        { HOUR_MS, 2 * HOUR_MS, true, true, GATE_NOT_STARTED },
        { -2 * HOUR_MS, -HOUR_MS, false, true, GATE_EXPIRED },
        { -2 * HOUR_MS, -HOUR_MS, true, true, GATE_EXPIRED },
    };
    static const struct conformance_holder holder = { 1, 1 };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct coupon_settings settings = conf_settings_of(rows[i].full ? 1 : 2);
        settings.starts_at_ms = clock_wall_ms() + rows[i].starts_ms;
        settings.ends_at_ms = clock_wall_ms() + rows[i].ends_ms;
        settings.closed = rows[i].closed;
        conf_open_with(&settings, 1 + (int64_t)i, &holder, 1);
        conf_expect(1, GATE_ALREADY, 1, false);
        conf_expect(2, rows[i].outcome, rows[i].outcome == GATE_GRANTED ? 2 : 0, false);
        gate_close(world.gate, COUPON);
        assert_int_equal(conf_ask(1).outcome, GATE_CLOSED);
        assert_int_equal(conf_ask(2).outcome, GATE_CLOSED);
        if (rows[i].outcome == GATE_GRANTED) /* nothing pending before the next */
            conf_confirm(&(struct gate_entry){ COUPON, 2, 2, 0, 0 });
    }
}

static const struct CMUnitTest granting[] = {
    CONFORMANCE_TEST(test_order),
    CONFORMANCE_TEST(test_same_token_again),
    CONFORMANCE_TEST(test_join),
    CONFORMANCE_TEST(test_one_user_at_once),
    CONFORMANCE_TEST(test_sold_out_for_good),
    CONFORMANCE_TEST(test_order_of_tests),
};

int gate_conformance(const struct gate_host *host)
{
    world.host = host;
    return cmocka_run_group_tests_name(host->name, granting, NULL, NULL) +
           gate_conformance_settle() + gate_conformance_rebuild();
}
