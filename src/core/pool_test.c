// SPDX-License-Identifier: Apache-2.0
#include "core/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/hash.h"

enum { START_MS = 1000000, SECOND = 1000 };

static struct pool pool;
static struct pool_options options;
static struct pool_entry entry;

static void begin(void)
{
    options = (struct pool_options){ .max = 20,
                                     .min_idle = 4,
                                     .share_max = { 10, 10 },
                                     .connection_timeout_ms = 10000,
                                     .validation_timeout_ms = 1000,
                                     .idle_timeout_ms = 600000,
                                     .max_lifetime_ms = 1800000,
                                     .keepalive_ms = 120000,
                                     .leak_ms = 30000,
                                     .seed = 3 };
    pool_init(&pool, &options, START_MS);
}

static void pass(uint64_t ms)
{
    assert_false(pool_time(&pool, pool.now_ms + ms));
}

/* `n` that are idle. */
static void have(uint32_t n)
{
    for (; n > 0; n--) {
        pool_open(&pool);
        pool_opened(&pool, &entry, pool.now_ms);
    }
}

static void fail_one(void)
{
    uint64_t began_ms = pool.now_ms;

    pool_open(&pool);
    pool_open_failed(&pool, began_ms, false);
}

/* How long until one more is wanted; at most a minute. */
static uint64_t until_wanted(void)
{
    uint64_t ms = 0;

    while (pool_wanted(&pool) == 0 && ms < 60 * SECOND) {
        pass(1);
        ms++;
    }
    return ms;
}

/* ---- opening ---- */

static void test_fills_to_min_idle(void **state)
{
    (void)state;
    begin();
    assert_int_equal(pool_wanted(&pool), POOL_REFILLING_MAX);
    have(3);
    assert_int_equal(pool_wanted(&pool), 1);
    have(1);
    assert_int_equal(pool_wanted(&pool), 0);
}

/* Lent ones are made up for only when that lasts. */
static void test_a_burst_opens_none_for_idling(void **state)
{
    (void)state;
    begin();
    have(4);
    for (int i = 0; i < 4; i++) {
        pool_wait(&pool, POOL_READS);
        pool_lend(&pool, &entry, POOL_READS);
    }
    assert_int_equal(until_wanted(), POOL_REFILL_MS);
}

static void test_one_is_opened_for_those_who_wait(void **state)
{
    (void)state;
    begin();
    have(4);
    for (int i = 0; i < 9; i++)
        pool_wait(&pool, POOL_READS);
    for (int i = 0; i < 4; i++)
        pool_lend(&pool, &entry, POOL_READS);
    assert_int_equal(pool_wanted(&pool), 1); /* nothing is known yet: one */
    pool_open(&pool);
    assert_int_equal(pool_wanted(&pool), 0);
}

/* What there is gets through all that wait before a new one would be there. */
static void test_as_many_as_are_worth_it(void **state)
{
    (void)state;
    begin();
    options.share_max[POOL_READS] = options.max = 100;
    pool_init(&pool, &options, START_MS);
    have(4);
    pool.creation_x16 = 100 << 4; /* ms */
    for (int i = 0; i < 60; i++)
        pool_wait(&pool, POOL_READS);
    for (int i = 0; i < 4; i++)
        pool_lend(&pool, &entry, POOL_READS);
    pool.usage_x16 = 2 << 4; /* 200 in that time */
    assert_int_equal(pool_wanted(&pool), 1);
    pool.usage_x16 = 8 << 4;                 /* 50 in that time, 6 would be left */
    assert_int_equal(pool_wanted(&pool), 1); /* it may be a burst */
    pass(100 / 2);
    assert_int_equal(pool_wanted(&pool), 6);
    pool.usage_x16 = 100 << 4;
    assert_int_equal(pool_wanted(&pool), POOL_OPENING_MAX);
}

static void test_none_for_those_who_are_gone(void **state)
{
    (void)state;
    begin();
    have(4);
    for (int i = 0; i < 6; i++)
        pool_wait(&pool, POOL_READS);
    assert_int_equal(pool_wanted(&pool), 1);
    for (int i = 0; i < 2; i++)
        pool_give_up(&pool, POOL_READS);
    assert_int_equal(pool_wanted(&pool), 0);
}

static void test_never_more_than_max(void **state)
{
    (void)state;
    begin();
    options.max = 3;
    pool_init(&pool, &options, START_MS);
    for (int i = 0; i < 9; i++)
        pool_wait(&pool, POOL_READS);
    assert_int_equal(pool_wanted(&pool), 3);
    have(2);
    pool_open(&pool);
    assert_int_equal(pool_wanted(&pool), 0);
}

/* 10 ms, doubling to 5 s, while others are there and nobody waits. */
static void test_back_off(void **state)
{
    uint64_t expected_ms = POOL_BACKOFF_MS;

    (void)state;
    begin();
    have(2);
    for (int i = 0; i < 14; i++) {
        fail_one();
        assert_int_equal(until_wanted(), expected_ms);
        assert_int_equal(pool_wanted(&pool), 1);
        expected_ms = MIN(expected_ms * 2, (uint64_t)POOL_BACKOFF_MS_MAX);
    }
    have(1);
    assert_int_equal(pool_wanted(&pool), 1); /* all is well again */
}

static void test_probes_while_somebody_waits_or_nothing_is_there(void **state)
{
    (void)state;
    begin();
    for (int i = 0; i < 14; i++)
        fail_one(), pass(POOL_PROBE_MS);
    assert_true(pool_is_down(&pool));
    fail_one();
    assert_int_equal(until_wanted(), POOL_PROBE_MS);
    have(1);
    for (int i = 0; i < 14; i++)
        fail_one(), pass(5 * SECOND);
    fail_one();
    for (int i = 0; i < 2; i++)
        pool_wait(&pool, POOL_READS);
    assert_int_equal(until_wanted(), POOL_PROBE_MS);
    for (int i = 0; i < 2; i++)
        pool_give_up(&pool, POOL_READS);
    pool_set_probing(&pool, true);
    fail_one();
    assert_int_equal(until_wanted(), POOL_PROBE_MS);
}

/* One attempt that hangs does not keep the next from finding the server back. */
static void test_probes_overlap(void **state)
{
    (void)state;
    begin();
    fail_one();
    until_wanted();
    for (int i = 0; i < POOL_PROBES_MAX; i++) {
        assert_int_equal(pool_wanted(&pool), 1);
        assert_int_equal(pool_open(&pool), options.validation_timeout_ms);
        assert_int_equal(pool_wanted(&pool), 0);
        pass(POOL_PROBE_MS);
    }
    assert_int_equal(pool_wanted(&pool), 0);
}

static void test_failures_at_once_are_one(void **state)
{
    uint64_t began_ms;

    (void)state;
    begin();
    began_ms = pool.now_ms;
    for (int i = 0; i < 4; i++)
        pool_open(&pool);
    pass(5);
    for (int i = 0; i < 4; i++)
        pool_open_failed(&pool, began_ms, false);
    assert_int_equal(pool.failures, 1);
}

static void test_too_many_clients(void **state)
{
    uint64_t next_ms = UINT64_MAX;

    (void)state;
    begin();
    have(3);
    pool_open(&pool);
    pool_open_failed(&pool, pool.now_ms, true);
    assert_int_equal(pool.failures, 0);
    assert_int_equal(pool_wanted(&pool), 0); /* three is what there may be */
    pass(POOL_CEILING_MS);
    pool_pass(&pool, &next_ms);
    assert_int_equal(pool_wanted(&pool), 1);
}

/* ---- lending ---- */

static void test_first_come_over_shares(void **state)
{
    uint64_t heads[POOL_SHARE_COUNT] = { UINT64_MAX, UINT64_MAX };
    enum pool_share share = POOL_BATCHES;

    (void)state;
    begin();
    options.share_max[POOL_READS] = 1;
    pool_init(&pool, &options, START_MS);
    have(4);
    assert_false(pool_turn(&pool, heads, &share));
    heads[POOL_READS] = pool_wait(&pool, POOL_READS);
    pool_wait(&pool, POOL_READS);
    heads[POOL_BATCHES] = pool_wait(&pool, POOL_BATCHES);
    assert_true(pool_turn(&pool, heads, &share));
    assert_int_equal(share, POOL_READS);
    pool_lend(&pool, &entry, share);
    assert_true(pool_turn(&pool, heads, &share)); /* the other read waits for its share */
    assert_int_equal(share, POOL_BATCHES);
    pool_lend(&pool, &entry, share);
    assert_false(pool_turn(&pool, heads, &share));
    assert_int_equal(pool_checks_wanted(&pool), 0);
}

static void test_fresh_ones_are_not_looked_at(void **state)
{
    (void)state;
    begin();
    have(1);
    assert_true(pool_is_fresh(&pool, &entry));
    pass(POOL_FRESH_MS - 1);
    assert_true(pool_is_fresh(&pool, &entry));
    pass(1);
    assert_false(pool_is_fresh(&pool, &entry));
    pool_check(&pool, &entry);
    assert_true(pool_checked(&pool, &entry, true, false));
    assert_true(pool_is_fresh(&pool, &entry));
}

/* One that is dead makes others suspect, but those that were found good since. */
static void test_suspicion(void **state)
{
    struct pool_entry other;
    uint64_t next_ms = UINT64_MAX;

    (void)state;
    begin();
    have(2);
    other = entry;
    pass(100);
    pool_check(&pool, &entry);
    pass(options.validation_timeout_ms / 4 - 1);
    assert_false(pool_is_slow(&pool, &entry, &next_ms));
    assert_int_equal(next_ms, pool.now_ms + 1);
    assert_int_equal(pool_idle_due(&pool, &other, &next_ms), POOL_DUE_NOTHING);
    pass(1);
    assert_true(pool_is_slow(&pool, &entry, &next_ms));
    assert_int_equal(pool_idle_due(&pool, &other, &next_ms), POOL_DUE_CHECK);
    assert_false(pool_is_fresh(&pool, &other));
    pool_check(&pool, &other);
    assert_true(pool_checked(&pool, &other, true, false));
    assert_int_equal(pool_idle_due(&pool, &other, &next_ms), POOL_DUE_NOTHING);
    assert_false(pool_checked(&pool, &entry, false, true));
}

/* ---- time ---- */

static void test_idle_timeout(void **state)
{
    uint64_t next_ms = UINT64_MAX;

    (void)state;
    begin();
    options.keepalive_ms = 0;
    pool_init(&pool, &options, START_MS);
    have(5);
    pass(options.idle_timeout_ms - 1);
    assert_int_equal(pool_idle_due(&pool, &entry, &next_ms), POOL_DUE_NOTHING);
    assert_int_equal(next_ms, pool.now_ms + 1);
    pass(1);
    assert_int_equal(pool_idle_due(&pool, &entry, &next_ms), POOL_DUE_EVICT);
    pool_drop_idle(&pool, false);
    assert_int_equal(pool_idle_due(&pool, &entry, &next_ms), POOL_DUE_NOTHING); /* min_idle */
}

static void test_lifetime_has_jitter(void **state)
{
    uint64_t low = UINT64_MAX, high = 0;

    (void)state;
    begin();
    options.max = 1000;
    pool_init(&pool, &options, START_MS);
    for (int i = 0; i < 1000; i++) {
        have(1);
        low = MIN(low, entry.until_ms - START_MS);
        high = MAX(high, entry.until_ms - START_MS);
    }
    assert_in_range(low, options.max_lifetime_ms * 975 / 1000,
                    options.max_lifetime_ms * 977 / 1000);
    assert_in_range(high, options.max_lifetime_ms * 998 / 1000, options.max_lifetime_ms);
    pass(options.max_lifetime_ms);
    assert_int_equal(pool_idle_due(&pool, &entry, &low), POOL_DUE_EVICT);
    pool_wait(&pool, POOL_READS);
    pool_lend(&pool, &entry, POOL_READS);
    assert_false(pool_return(&pool, &entry, true)); /* too old to be kept */
}

static void test_keepalive(void **state)
{
    uint64_t next_ms = UINT64_MAX;

    (void)state;
    begin();
    have(1);
    pass(options.keepalive_ms - 1);
    assert_int_equal(pool_idle_due(&pool, &entry, &next_ms), POOL_DUE_NOTHING);
    pass(1);
    assert_int_equal(pool_idle_due(&pool, &entry, &next_ms), POOL_DUE_CHECK);
}

static void test_leaks(void **state)
{
    uint64_t next_ms = UINT64_MAX;

    (void)state;
    begin();
    options.reclaim_ms = 2 * options.leak_ms;
    pool_init(&pool, &options, START_MS);
    have(1);
    pool_wait(&pool, POOL_READS);
    pool_lend(&pool, &entry, POOL_READS);
    assert_int_equal(pool_lent_due(&pool, &entry, &next_ms), POOL_DUE_NOTHING);
    assert_int_equal(next_ms, pool.now_ms + options.leak_ms);
    pass(options.leak_ms);
    assert_int_equal(pool_lent_due(&pool, &entry, &next_ms), POOL_DUE_LEAK);
    assert_int_equal(pool_lent_due(&pool, &entry, &next_ms), POOL_DUE_NOTHING); /* once */
    pass(options.leak_ms);
    assert_int_equal(pool_lent_due(&pool, &entry, &next_ms), POOL_DUE_RECLAIM);
    pool_reclaim(&pool, &entry);
    assert_int_equal(pool_total(&pool), 0);
}

static void test_a_clock_that_steps_back(void **state)
{
    uint64_t next_ms = UINT64_MAX;

    (void)state;
    begin();
    have(2);
    pool_wait(&pool, POOL_READS);
    pool_lend(&pool, &entry, POOL_READS);
    assert_false(pool_time(&pool, pool.now_ms - POOL_CLOCK_STEP_MS)); /* stands still */
    assert_int_equal(pool.now_ms, START_MS);
    assert_true(pool_time(&pool, START_MS - 600 * SECOND));
    assert_int_equal(pool_lent_due(&pool, &entry, &next_ms), POOL_DUE_NOTHING); /* never one lent */
    assert_int_equal(pool_idle_due(&pool, &entry, &next_ms), POOL_DUE_EVICT);
    assert_false(pool_return(&pool, &entry, true));
    have(1);
    assert_int_equal(pool_idle_due(&pool, &entry, &next_ms), POOL_DUE_NOTHING);
}

static void test_recommended(void **state)
{
    (void)state;
    begin();
    have(5);
    for (int i = 0; i < 5; i++) {
        pool_wait(&pool, POOL_READS);
        pool_lend(&pool, &entry, POOL_READS);
    }
    assert_int_equal(pool.peak, 5);
    assert_int_equal(pool_recommended_max(&pool), 7);
}

/* ---- the climb ---- */

/* Windows of a back end that does `rate` a second with `knee` at once, and `worse` per mille less
 * for each more. All callers there are wait. */
static uint32_t climb_for(struct pool_climb *climb, int windows, uint32_t knee, uint32_t worse,
                          uint64_t *random)
{
    for (int i = 0; i < windows; i++) {
        uint32_t n = climb->limit;
        double rate = 4000.0 * MIN(n, knee) / knee;
        if (n > knee)
            rate *= 1 - (double)MIN((n - knee) * worse, 900u) / 1000;
        *random = hash_u64(*random);
        rate *= 1 + ((double)(*random % 2001) - 1000) / 1000 * 0.005;
        pool_climb_use(climb, n, true);
        for (uint32_t done = 0; done < (uint32_t)rate; done++)
            pool_climb_done(climb);
        pool_climb_turn(climb, SECOND);
        assert_in_range(climb->limit, climb->min, climb->max);
        assert_true(climb->limit <= n + MAX(n * POOL_CLIMB_STEP_PERCENT / 100, 1u));
        assert_true(climb->limit + MAX(n * POOL_CLIMB_STEP_PERCENT / 100, 1u) >= n);
    }
    return climb->limit;
}

static void test_climb_finds_the_smallest_that_is_good(void **state)
{
    static const uint32_t knees[] = { 2, 5, 10, 20, 40, 64 };
    static const uint32_t starts[] = { 1, 8, 100 };
    uint64_t random = 1;

    (void)state;
    for (size_t k = 0; k < ARRAY_COUNT(knees); k++)
        for (size_t s = 0; s < ARRAY_COUNT(starts); s++)
            for (uint32_t worse = 0; worse <= 6; worse += 3) {
                struct pool_climb climb;
                pool_climb_init(&climb, 1, 100, starts[s]);
                uint32_t limit = climb_for(&climb, 200, knees[k], worse, &random);
                uint32_t slack = knees[k] * 20 / 100 + 1;
                assert_in_range(limit, knees[k] - slack, knees[k] + slack);
            }
}

static void test_climb_follows_a_change(void **state)
{
    struct pool_climb climb;
    uint64_t random = 2;

    (void)state;
    pool_climb_init(&climb, 1, 100, 8);
    assert_in_range(climb_for(&climb, 150, 10, 3, &random), 8, 13);
    assert_in_range(climb_for(&climb, 300, 50, 3, &random), 40, 60);
    assert_in_range(climb_for(&climb, 300, 4, 3, &random), 3, 6);
}

static void test_climb_stands_while_nobody_waits(void **state)
{
    struct pool_climb climb;

    (void)state;
    pool_climb_init(&climb, 1, 100, 20);
    for (int i = 0; i < 100; i++) {
        pool_climb_use(&climb, 20, false);
        pool_climb_done(&climb);
        pool_climb_turn(&climb, SECOND);
    }
    assert_int_equal(climb.limit, 20);
    for (int i = 0; i < 100; i++) { /* less than half is used */
        pool_climb_use(&climb, 9, true);
        pool_climb_done(&climb);
        pool_climb_turn(&climb, SECOND);
    }
    assert_int_equal(climb.limit, 20);
}

/* ---- anything may happen ---- */

enum { ENTRIES = 64, STEPS = 400000 };

static struct {
    enum { NONE, IDLE, CHECKING, LENT } state;
    struct pool_entry entry;
} conns[ENTRIES];
static uint32_t opening_since_count;
static uint64_t opening_since[ENTRIES];
static uint64_t tickets[POOL_SHARE_COUNT][4096];
static uint32_t first[POOL_SHARE_COUNT], last[POOL_SHARE_COUNT];

static size_t any_in(int wanted, uint64_t random)
{
    for (size_t i = 0; i < ENTRIES; i++) {
        size_t at = (i + random) % ENTRIES;
        if ((int)conns[at].state == wanted)
            return at;
    }
    return ENTRIES;
}

static void check_counts(void)
{
    uint32_t n[4] = { 0 }, lent[POOL_SHARE_COUNT] = { 0 };

    for (size_t i = 0; i < ENTRIES; i++) {
        n[conns[i].state]++;
        if (conns[i].state == LENT)
            lent[conns[i].entry.share]++;
    }
    assert_int_equal(n[IDLE], pool.idle);
    assert_int_equal(n[CHECKING], pool.checking);
    for (size_t s = 0; s < POOL_SHARE_COUNT; s++) {
        assert_int_equal(lent[s], pool.lent[s]);
        assert_int_equal(last[s] - first[s], pool.waiting[s]);
        assert_true(pool_limit(&pool, (enum pool_share)s) <= options.share_max[s]);
    }
    assert_true(pool_total(&pool) + pool.opening <= options.max);
}

static void lend_all(void)
{
    for (;;) {
        uint64_t heads[POOL_SHARE_COUNT];
        enum pool_share share = POOL_BATCHES;
        size_t i = any_in(IDLE, 0);
        for (size_t s = 0; s < POOL_SHARE_COUNT; s++)
            heads[s] = first[s] < last[s] ? tickets[s][first[s] % 4096] : UINT64_MAX;
        if (i == ENTRIES || !pool_turn(&pool, heads, &share))
            return;
        for (size_t s = 0; s < POOL_SHARE_COUNT; s++) /* nobody who could be served came before */
            assert_true(heads[s] >= heads[share] ||
                        pool.lent[s] >= pool_limit(&pool, (enum pool_share)s));
        first[share]++;
        pool_lend(&pool, &conns[i].entry, share);
        conns[i].state = LENT;
        assert_true(pool.lent[share] <= pool_limit(&pool, share));
    }
}

static void open_wanted(void)
{
    for (uint32_t n = pool_wanted(&pool); n > 0; n--) {
        assert_in_range(pool_open(&pool), 1, options.connection_timeout_ms);
        opening_since[opening_since_count++] = pool.now_ms;
    }
}

static void end_opening(uint64_t random)
{
    if (opening_since_count == 0)
        return;
    uint64_t began_ms = opening_since[--opening_since_count];
    size_t i = any_in(NONE, 0);
    if (random % 3 == 0) {
        pool_open_failed(&pool, began_ms, random % 5 == 0);
        return;
    }
    pool_opened(&pool, &conns[i].entry, began_ms);
    conns[i].state = IDLE;
}

static void end_use(uint64_t random)
{
    size_t i = any_in(LENT, random);

    if (i < ENTRIES)
        conns[i].state = pool_return(&pool, &conns[i].entry, random % 7 != 0) ? IDLE : NONE;
}

static void check_one(uint64_t random)
{
    size_t i = any_in(IDLE, random), j = any_in(CHECKING, random);

    if (random % 2 && i < ENTRIES) {
        pool_check(&pool, &conns[i].entry);
        conns[i].state = CHECKING;
    } else if (j < ENTRIES) {
        bool alive = random % 5 != 0;
        conns[j].state =
            pool_checked(&pool, &conns[j].entry, alive, !alive && random % 3 == 0) ? IDLE : NONE;
    }
}

static void look(void)
{
    uint64_t next_ms = UINT64_MAX;

    for (size_t i = 0; i < ENTRIES; i++)
        if (conns[i].state == IDLE &&
            pool_idle_due(&pool, &conns[i].entry, &next_ms) == POOL_DUE_EVICT) {
            pool_drop_idle(&pool, false);
            conns[i].state = NONE;
        } else if (conns[i].state == LENT) {
            enum pool_due due = pool_lent_due(&pool, &conns[i].entry, &next_ms);
            assert_true(due != POOL_DUE_EVICT && due != POOL_DUE_CHECK);
        }
    pool_pass(&pool, &next_ms);
    assert_true(next_ms > pool.now_ms);
}

static void step(uint64_t random)
{
    enum pool_share share = (enum pool_share)(random / 16 % POOL_SHARE_COUNT);

    switch (random % 8) {
    case 0:
        if (pool.waiting[share] < 4000)
            tickets[share][last[share]++ % 4096] = pool_wait(&pool, share);
        break;
    case 1:
        if (pool.waiting[share] > 0 && random / 64 % 4 == 0) {
            pool_give_up(&pool, share);
            last[share]--;
        }
        break;
    case 2:
    case 3:
        end_use(random / 64);
        break;
    case 4:
        end_opening(random / 64);
        break;
    case 5:
        check_one(random / 64);
        break;
    case 6:
        pool_time(&pool,
                  random / 64 % 5000 == 0 ? pool.now_ms - 10000 : pool.now_ms + random / 64 % 300);
        break;
    default:
        look();
    }
}

static void test_counts_hold_whatever_happens(void **state)
{
    uint64_t random = 42;

    (void)state;
    begin();
    options.adaptive = true;
    options.idle_timeout_ms = 5000;
    options.max_lifetime_ms = 20000;
    pool_init(&pool, &options, START_MS);
    for (int i = 0; i < STEPS; i++) {
        random = hash_u64(random);
        step(random >> 8);
        lend_all();
        open_wanted();
        check_counts();
        /* whoever waits is not forgotten */
        if (pool_checks_wanted(&pool) > 0 && pool.idle + pool.checking + pool.opening == 0 &&
            pool_total(&pool) < pool.ceiling)
            assert_true(pool.now_ms <= pool.failed_ms + POOL_PROBE_MS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fills_to_min_idle),
        cmocka_unit_test(test_a_burst_opens_none_for_idling),
        cmocka_unit_test(test_one_is_opened_for_those_who_wait),
        cmocka_unit_test(test_as_many_as_are_worth_it),
        cmocka_unit_test(test_none_for_those_who_are_gone),
        cmocka_unit_test(test_never_more_than_max),
        cmocka_unit_test(test_back_off),
        cmocka_unit_test(test_probes_while_somebody_waits_or_nothing_is_there),
        cmocka_unit_test(test_probes_overlap),
        cmocka_unit_test(test_failures_at_once_are_one),
        cmocka_unit_test(test_too_many_clients),
        cmocka_unit_test(test_first_come_over_shares),
        cmocka_unit_test(test_fresh_ones_are_not_looked_at),
        cmocka_unit_test(test_suspicion),
        cmocka_unit_test(test_idle_timeout),
        cmocka_unit_test(test_lifetime_has_jitter),
        cmocka_unit_test(test_keepalive),
        cmocka_unit_test(test_leaks),
        cmocka_unit_test(test_a_clock_that_steps_back),
        cmocka_unit_test(test_recommended),
        cmocka_unit_test(test_climb_finds_the_smallest_that_is_good),
        cmocka_unit_test(test_climb_follows_a_change),
        cmocka_unit_test(test_climb_stands_while_nobody_waits),
        cmocka_unit_test(test_counts_hold_whatever_happens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
