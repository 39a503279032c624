// SPDX-License-Identifier: Apache-2.0
/* Random steps, taken by the gate in Redis and the one in memory alike: whatever the one answers,
 * and however it stands afterwards, so does the other. */
#include "base/clock.h"
#include "base/hash.h"
#include "core/proof.h"
#include "gate/gate_memory_internal.h"
#include "gate/gate_redis_fixture_test.h"

enum { COUPON = 7, USERS = 14, SEEDS = 12, STEPS = 150, HOUR_MS = 3600000 };

static struct side {
    struct gate *gate;
    struct gate_client *client;
} sides[2]; /* Redis, memory */

static uint64_t chance;
static int64_t epoch, version, quantity;
static bool is_closed;
static uint64_t tokens[USERS + 1]; /* of each user's last attempt */

static uint64_t below(uint64_t n)
{
    chance = hash_u64(chance);
    return chance % n;
}

/* Redis' side is idle, and memory's answers at the end of a turn. */
static void turn(void)
{
    redis_turn();
}

static struct coupon_settings settings_now(void)
{
    int64_t now_ms = clock_wall_ms();

    return (struct coupon_settings){ .total_quantity = quantity,
                                     .starts_at_ms = now_ms - HOUR_MS,
                                     .ends_at_ms = now_ms + HOUR_MS,
                                     .closed = is_closed,
                                     .version = version };
}

static struct drop *memory_drop(void)
{
    return &memory_drop_find(memory_gate_self(sides[1].gate), COUPON)->drop;
}

static int64_t slot_of(int64_t user_id)
{
    const struct drop_seat *seat = drop_find(memory_drop(), user_id);

    return seat ? seat->slot : 0;
}

static bool is_held(int64_t slot)
{
    for (int64_t user = 1; user <= USERS; user++)
        if (slot_of(user) == slot)
            return true;
    return false;
}

/* ---- steps ---- */

static void asked(struct gate_ask *ask)
{
    assert_non_null(ask);
}

static void step_ask(void)
{
    struct gate_ask asks[2][8];
    size_t count = 1 + below(8);

    for (size_t i = 0; i < count; i++) {
        int64_t user = 1 + (int64_t)below(USERS);
        if (below(4))
            tokens[user] = gate_token(sides[0].gate);
        asks[0][i] = (struct gate_ask){ .done = asked,
                                        .coupon_id = COUPON,
                                        .user_id = user,
                                        .purpose = below(2) ? GATE_ISSUE : GATE_RESERVE,
                                        .token = tokens[user] };
        asks[1][i] = asks[0][i];
    }
    for (size_t i = 0; i < count; i++)
        for (int side = 0; side < 2; side++)
            gate_ask(sides[side].client, &asks[side][i]);
    turn();
    for (size_t i = 0; i < count; i++) {
        const struct gate_ask *a = &asks[0][i], *b = &asks[1][i];
        assert_int_equal(a->outcome, b->outcome);
        assert_int_equal(a->slot, b->slot);
        assert_int_equal(a->for_good, b->for_good);
        if (a->outcome == GATE_ALREADY)
            assert_int_equal(a->pending, b->pending);
        if (a->outcome != GATE_GRANTED)
            continue;
        assert_int_equal(a->remaining, b->remaining);
        assert_int_equal(a->epoch, b->epoch);
    }
}

/* Mostly one that is there. */
static struct gate_entry some_entry(void)
{
    int64_t user = 1 + (int64_t)below(USERS), slot = slot_of(user);

    return (struct gate_entry){ .coupon_id = COUPON,
                                .user_id = user,
                                .slot = slot && below(8) ? slot : 1 + (int64_t)below(12),
                                .token = below(8) ? tokens[user] : 1,
                                .epoch = epoch - (below(10) == 0) };
}

static void step_confirm(void)
{
    struct gate_entry entry = some_entry();

    for (int side = 0; side < 2; side++)
        gate_confirm(sides[side].client, &entry);
    turn();
}

static void step_release(void)
{
    struct gate_entry entry = some_entry();

    for (int side = 0; side < 2; side++)
        gate_release(sides[side].client, &entry);
    turn();
    assert_int_equal(gate_stats(sides[0].gate).released, gate_stats(sides[1].gate).released);
}

static void moved(struct gate_move *move)
{
    assert_non_null(move);
}

static void step_move(void)
{
    struct gate_move moves[2] = { { .done = moved, .entry = some_entry() } };
    int64_t own = 1 + (int64_t)below((uint64_t)quantity + 3);

    moves[0].offer = below(3) == 0;
    if (!moves[0].offer && below(2) && !is_held(own))
        moves[0].own_slot = own;
    moves[1] = moves[0];
    for (int side = 0; side < 2; side++)
        gate_move(sides[side].client, &moves[side]);
    turn();
    assert_int_equal(moves[0].outcome, moves[1].outcome);
    assert_int_equal(moves[0].pending, moves[1].pending);
    if (moves[0].outcome != GATE_CLOSED)
        assert_int_equal(moves[0].entry.slot, moves[1].entry.slot);
}

static void swept(struct gate_sweep *sweep)
{
    assert_ok(sweep->err);
}

static int by_user(const void *a, const void *b)
{
    const struct gate_entry *x = a, *y = b;

    return (x->user_id > y->user_id) - (x->user_id < y->user_id);
}

static void step_sweep(void)
{
    struct gate_entry entries[2][USERS];
    struct gate_sweep sweeps[2];

    for (int side = 0; side < 2; side++) {
        sweeps[side] = (struct gate_sweep){
            .done = swept, .coupon_id = COUPON, .entries = entries[side], .room = USERS
        };
        gate_sweep(sides[side].client, &sweeps[side]);
    }
    turn();
    assert_int_equal(sweeps[0].count, sweeps[1].count);
    for (int side = 0; side < 2; side++)
        qsort(entries[side], sweeps[side].count, sizeof entries[side][0], by_user);
    for (size_t i = 0; i < sweeps[0].count; i++) {
        assert_int_equal(entries[0][i].user_id, entries[1][i].user_id);
        assert_int_equal(entries[0][i].slot, entries[1][i].slot);
    }
}

static void step_settings(void)
{
    version += (int64_t)below(3);
    quantity += (int64_t)below(2);
    is_closed = below(4) == 0;
    struct coupon_settings settings = settings_now();
    for (int side = 0; side < 2; side++)
        assert_ok(gate_set(sides[side].gate, COUPON, &settings));
}

static void step_close(void)
{
    bool close = below(2);

    for (int side = 0; side < 2; side++)
        if (close)
            gate_close(sides[side].gate, COUPON);
        else
            gate_reopen(sides[side].gate, COUPON);
}

/* Of what is there: pending ones are stored first, or were never. */
static void step_rebuild(void)
{
    struct coupon_settings settings;
    int64_t slots[USERS + 1];
    bool drop_pending = below(2);

    for (int64_t user = 1; user <= USERS; user++) {
        const struct drop_seat *seat = epoch ? drop_find(memory_drop(), user) : NULL;
        slots[user] = seat && !(seat->pending && drop_pending) ? seat->slot : 0;
    }
    epoch++;
    version++;
    quantity = MAX(quantity - (int64_t)below(3), 1);
    settings = settings_now();
    for (int side = 0; side < 2; side++) {
        struct gate_rebuild *rebuild;
        int64_t holders = 0;
        assert_ok(gate_rebuild_begin(sides[side].gate, COUPON, epoch, &settings, &rebuild));
        for (int64_t user = 1; user <= USERS; user++)
            if (slots[user]) {
                assert_ok(gate_rebuild_add(rebuild, slots[user], user));
                holders++;
            }
        assert_ok(gate_rebuild_open(rebuild, holders));
        gate_rebuild_free(rebuild);
        assert_ok(gate_adopt(sides[side].gate, COUPON, epoch, &settings));
    }
}

static void compare(void)
{
    struct gate_picture pictures[2];

    for (int side = 0; side < 2; side++)
        assert_ok(gate_picture(sides[side].gate, COUPON, &pictures[side]));
    const struct gate_picture *a = &pictures[0], *b = &pictures[1];
    assert_int_equal(a->granted, b->granted);
    assert_int_equal(a->next_slot, b->next_slot);
    assert_int_equal(a->epoch, b->epoch);
    assert_int_equal(a->pending_count, b->pending_count);
    assert_memory_equal(a->pending, b->pending, a->pending_count * sizeof a->pending[0]);
    assert_int_equal(a->returned_count, b->returned_count);
    assert_memory_equal(a->returned, b->returned, a->returned_count * sizeof a->returned[0]);
    for (int side = 0; side < 2; side++)
        gate_picture_fini(&pictures[side]);
}

static void step(void)
{
    static void (*const steps[])(void) = { step_ask,     step_ask,     step_ask,   step_confirm,
                                           step_confirm, step_release, step_move,  step_sweep,
                                           step_release, step_close,   step_close, step_ask };
    uint64_t which = below(60);

    if (which == 0)
        step_rebuild();
    else if (which < 4)
        step_settings();
    else
        steps[which % ARRAY_COUNT(steps)]();
    compare();
}

static void run_seed(uint64_t seed)
{
    struct gate_memory_options options = { .journal = { .directory = dir,
                                                        .generation_bytes_max = 1 << 20 } };
    struct journal_report report;

    chance = seed;
    epoch = version = 0;
    quantity = 6 + (int64_t)below(10);
    is_closed = false;
    dir_make();
    options.journal.directory = dir;
    redis_begin();
    sides[0].gate = redis_gate;
    assert_ok(gate_memory_open(&options, &report, &sides[1].gate));
    for (int side = 0; side < 2; side++)
        sides[side].client = gate_client_new(sides[side].gate, redis_loop, NULL);
    step_rebuild();
    for (int i = 0; i < STEPS; i++)
        step();
    for (int side = 0; side < 2; side++)
        gate_client_free(sides[side].client);
    gate_memory_free(sides[1].gate);
    redis_end();
    dir_remove();
}

static void test_as_in_memory(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        print_message("seed %llu\n", (unsigned long long)seed);
        run_seed(seed);
    }
}

static int end(void **state)
{
    (void)state;
    redis_hand = redis_sync_close(redis_hand);
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(test_as_in_memory) };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, end);
}
