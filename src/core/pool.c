// SPDX-License-Identifier: Apache-2.0
/*
 * Counts, and what follows from them. A connection is idle, being looked at, lent, or being opened;
 * each call moves one of them and says so. Nothing is ever queued here: how many to open is asked
 * again whenever something has changed, so that nobody opens for callers who are gone.
 */
#include "core/pool.h"

#include "base/assert.h"
#include "base/attr.h"
#include "base/hash.h"

enum { AVERAGE_SHIFT = 4, JITTER_PER_MILLE = 25, POOL_SLOW_PART = 4, BURST_PART = 2 };

/* ---- beginning, time ---- */

void pool_init(struct pool *pool, const struct pool_options *options, uint64_t now_ms)
{
    ASSERT(options->max > 0);
    *pool = (struct pool){ .options = *options,
                           .now_ms = now_ms,
                           .ceiling = options->max,
                           .ceiling_ms = now_ms,
                           .window_ms = now_ms,
                           .short_ms = UINT64_MAX,
                           .line_ms = UINT64_MAX,
                           .random = options->seed };
    for (size_t s = 0; s < POOL_SHARE_COUNT; s++) {
        uint32_t max = MAX(MIN(options->share_max[s], options->max), 1u);
        uint32_t start =
            options->adaptive ? MAX(options->min_idle, (uint32_t)POOL_CLIMB_START) : max;
        pool_climb_init(&pool->climb[s], options->adaptive ? 1 : max, max, start);
    }
}

bool pool_time(struct pool *pool, uint64_t now_ms)
{
    bool back = now_ms + POOL_CLOCK_STEP_MS < pool->now_ms;

    if (back) {
        pool->generation++;
        pool->ceiling_ms = MIN(pool->ceiling_ms, now_ms);
        pool->window_ms = now_ms;
        pool->failed_ms = MIN(pool->failed_ms, now_ms);
        pool->opened_ms = MIN(pool->opened_ms, now_ms);
        pool->short_ms = pool->line_ms = UINT64_MAX;
        pool->suspect_ms = MIN(pool->suspect_ms, now_ms);
    }
    if (back || now_ms > pool->now_ms)
        pool->now_ms = now_ms;
    return back;
}

/* ---- sums ---- */

static void sooner(uint64_t *next_ms, uint64_t at_ms)
{
    *next_ms = MIN(*next_ms, at_ms);
}

static uint32_t all_lent(const struct pool *pool)
{
    uint32_t sum = 0;

    for (size_t s = 0; s < POOL_SHARE_COUNT; s++)
        sum += pool->lent[s];
    return sum;
}

uint32_t pool_total(const struct pool *pool)
{
    return pool->idle + pool->checking + all_lent(pool);
}

uint32_t pool_limit(const struct pool *pool, enum pool_share share)
{
    return pool->climb[share].limit;
}

uint32_t pool_recommended_max(const struct pool *pool)
{
    return (pool->peak * 5 + 3) / 4;
}

/* How many of those who wait may have one, were there enough. */
static uint32_t eligible(const struct pool *pool)
{
    uint32_t sum = 0;

    for (unsigned s = 0; s < POOL_SHARE_COUNT; s++) {
        uint32_t limit = pool_limit(pool, (enum pool_share)s);
        uint32_t room = limit > pool->lent[s] ? limit - pool->lent[s] : 0;
        sum += MIN(room, pool->waiting[s]);
    }
    return sum;
}

static void average(uint64_t *x16, uint64_t ms)
{
    uint64_t sample = MAX(ms << AVERAGE_SHIFT, (uint64_t)1);

    *x16 = *x16 == 0 ? sample : *x16 - (*x16 >> 3) + (sample >> 3);
}

/* ---- callers ---- */

static bool is_busy(const struct pool *pool)
{
    bool busy = false;

    for (size_t s = 0; s < POOL_SHARE_COUNT; s++)
        busy |= pool->lent[s] > 0 || pool->waiting[s] > 0;
    return busy;
}

static bool has_room(const struct pool *pool, enum pool_share share)
{
    return pool->lent[share] < pool_limit(pool, share);
}

static void note_use(struct pool *pool, enum pool_share share)
{
    bool held = pool->waiting[share] > 0 && !has_room(pool, share);

    pool_climb_use(&pool->climb[share], pool->lent[share], held);
    pool->peak = MAX(pool->peak, all_lent(pool));
}

/* A window does not reach over a time when nobody wanted anything. */
static void begin_window(struct pool *pool)
{
    pool->window_ms = pool->now_ms;
    for (size_t s = 0; s < POOL_SHARE_COUNT; s++)
        pool_climb_turn(&pool->climb[s], 0);
}

uint64_t pool_wait(struct pool *pool, enum pool_share share)
{
    if (!is_busy(pool) && pool->now_ms >= pool->window_ms + POOL_WINDOW_MS)
        begin_window(pool);
    pool->waiting[share]++;
    note_use(pool, share);
    return pool->next_ticket++;
}

void pool_give_up(struct pool *pool, enum pool_share share)
{
    ASSERT(pool->waiting[share] > 0);
    pool->waiting[share]--;
}

bool pool_turn(const struct pool *pool, const uint64_t heads[POOL_SHARE_COUNT],
               enum pool_share *ret_share)
{
    bool any = false;

    for (unsigned i = 0; i < POOL_SHARE_COUNT; i++) {
        enum pool_share share = (enum pool_share)i;
        if (pool->waiting[i] == 0 || !has_room(pool, share))
            continue;
        if (!any || heads[i] < heads[*ret_share])
            *ret_share = share;
        any = true;
    }
    return any;
}

uint32_t pool_checks_wanted(const struct pool *pool)
{
    uint32_t n = eligible(pool);

    return n > pool->checking ? n - pool->checking : 0;
}

/* ---- a connection's moves ---- */

static void suspect_all(struct pool *pool)
{
    pool->suspect_ms = pool->now_ms;
}

static bool is_over(const struct pool *pool, const struct pool_entry *entry)
{
    return entry->generation != pool->generation || pool->now_ms >= entry->until_ms;
}

void pool_lend(struct pool *pool, struct pool_entry *entry, enum pool_share share)
{
    ASSERT(pool->idle > 0 && pool->waiting[share] > 0 && has_room(pool, share));
    pool->idle--;
    pool->waiting[share]--;
    pool->lent[share]++;
    entry->share = share;
    entry->lent_ms = pool->now_ms;
    entry->leaked = false;
    note_use(pool, share);
}

bool pool_return(struct pool *pool, struct pool_entry *entry, bool alive)
{
    ASSERT(pool->lent[entry->share] > 0);
    pool->lent[entry->share]--;
    pool_climb_done(&pool->climb[entry->share]);
    if (pool->now_ms >= entry->lent_ms)
        average(&pool->usage_x16, pool->now_ms - entry->lent_ms);
    entry->used_ms = entry->good_ms = pool->now_ms;
    if (!alive) {
        suspect_all(pool);
        return false;
    }
    if (is_over(pool, entry))
        return false;
    pool->idle++;
    return true;
}

void pool_reclaim(struct pool *pool, struct pool_entry *entry)
{
    ASSERT(pool->lent[entry->share] > 0);
    pool->lent[entry->share]--;
}

bool pool_is_fresh(const struct pool *pool, const struct pool_entry *entry)
{
    return entry->good_ms + POOL_FRESH_MS > pool->now_ms && entry->good_ms >= pool->suspect_ms;
}

void pool_check(struct pool *pool, struct pool_entry *entry)
{
    ASSERT(pool->idle > 0);
    pool->idle--;
    pool->checking++;
    entry->lent_ms = pool->now_ms;
}

bool pool_is_slow(struct pool *pool, const struct pool_entry *entry, uint64_t *next_ms)
{
    uint64_t slow_ms = entry->lent_ms + pool->options.validation_timeout_ms / POOL_SLOW_PART;

    if (pool->now_ms < slow_ms) {
        sooner(next_ms, slow_ms);
        return false;
    }
    pool->suspect_ms = MAX(pool->suspect_ms, entry->lent_ms);
    return true;
}

bool pool_checked(struct pool *pool, struct pool_entry *entry, bool alive, bool silent)
{
    ASSERT(pool->checking > 0);
    pool->checking--;
    if (silent)
        suspect_all(pool);
    if (!alive || is_over(pool, entry))
        return false;
    entry->good_ms = pool->now_ms;
    pool->idle++;
    return true;
}

void pool_drop_idle(struct pool *pool, bool broken)
{
    ASSERT(pool->idle > 0);
    pool->idle--;
    if (broken)
        suspect_all(pool);
}

/* ---- opening ---- */

bool pool_is_down(const struct pool *pool)
{
    return pool->failures > 0 && pool_total(pool) == 0;
}

static uint64_t backoff_ms(const struct pool *pool)
{
    uint64_t ms = POOL_BACKOFF_MS;

    for (uint32_t i = 1; i < pool->failures && ms < POOL_BACKOFF_MS_MAX; i++)
        ms *= 2;
    return MIN(ms, (uint64_t)POOL_BACKOFF_MS_MAX);
}

/* Those who wait, less those for whom there is one already. While connections are found dead, those
 * that are being looked at are not counted on. */
static uint32_t unserved(const struct pool *pool)
{
    bool dying = pool->suspect_ms > 0 &&
                 pool->now_ms < pool->suspect_ms + pool->options.validation_timeout_ms;
    uint32_t n = eligible(pool), there = pool->idle + (dying ? 0 : pool->checking);

    return n > there ? n - there : 0;
}

/* After a failure: when is the next try? */
static uint64_t retry_ms(const struct pool *pool)
{
    uint64_t ms = backoff_ms(pool);

    if (unserved(pool) > 0 || pool_is_down(pool) || pool->probing)
        ms = MIN(ms, (uint64_t)POOL_PROBE_MS);
    return pool->failed_ms + ms;
}

static uint32_t room(const struct pool *pool)
{
    uint32_t taken = pool_total(pool) + pool->opening;

    return pool->ceiling > taken ? pool->ceiling - taken : 0;
}

/* A line that is there for so long is no mere burst. */
static uint64_t burst_over_ms(const struct pool *pool)
{
    return pool->line_ms + (pool->creation_x16 >> AVERAGE_SHIFT) / BURST_PART;
}

/*
 * How many of those who wait would still do so when a new connection is there? Those that exist
 * get through so many uses meanwhile. At least one is worth it; just one before anything is known,
 * unless there is nothing at all, and while it may be a burst: what is measured then, of a machine
 * that is suddenly busy, tells little.
 */
static uint32_t worth_opening(const struct pool *pool)
{
    uint32_t n = unserved(pool), there = pool_total(pool);

    if (n == 0)
        return 0;
    if (there == 0)
        return MIN(n, (uint32_t)POOL_OPENING_MAX);
    if (pool->usage_x16 == 0 || pool->creation_x16 == 0 || pool->now_ms < burst_over_ms(pool))
        return 1;
    uint64_t through = there * pool->creation_x16 / pool->usage_x16;
    uint64_t left = n > through ? n - through : 0;
    return (uint32_t)MIN(MAX(left, (uint64_t)1), (uint64_t)POOL_OPENING_MAX);
}

/* To min_idle in all, at once; for those that are lent, only if that lasts: a burst is over before
 * a new connection is there. */
static uint32_t refill(const struct pool *pool)
{
    bool lasts = pool->short_ms != UINT64_MAX && pool->now_ms >= pool->short_ms + POOL_REFILL_MS;
    uint32_t ready = lasts ? pool->idle + pool->checking : pool_total(pool);
    uint32_t n = pool->options.min_idle > ready ? pool->options.min_idle - ready : 0;

    return MIN(n, (uint32_t)POOL_REFILLING_MAX);
}

static uint32_t wanted_after_failure(const struct pool *pool)
{
    bool wanted = unserved(pool) > 0 || refill(pool) > 0 || pool_is_down(pool) || pool->probing;

    if (!wanted || pool->now_ms < retry_ms(pool))
        return 0;
    if (pool->opening == 0)
        return 1;
    /* one that hangs does not keep the next from finding the server back */
    return pool_is_down(pool) && pool->opening < POOL_PROBES_MAX &&
           pool->now_ms >= pool->opened_ms + POOL_PROBE_MS;
}

static void note_shortage(struct pool *pool)
{
    if (unserved(pool) == 0)
        pool->line_ms = UINT64_MAX;
    else if (pool->line_ms == UINT64_MAX)
        pool->line_ms = pool->now_ms;
    if (pool->idle + pool->checking >= pool->options.min_idle)
        pool->short_ms = UINT64_MAX;
    else if (pool->short_ms == UINT64_MAX)
        pool->short_ms = pool->now_ms;
}

uint32_t pool_wanted(struct pool *pool)
{
    uint32_t n;

    note_shortage(pool);

    if (pool->failures > 0)
        n = wanted_after_failure(pool);
    else {
        uint32_t all = MAX(worth_opening(pool), refill(pool));
        n = all > pool->opening ? all - pool->opening : 0;
    }
    return MIN(n, room(pool));
}

uint64_t pool_open(struct pool *pool)
{
    uint64_t known_ms = 4 * (pool->creation_x16 >> AVERAGE_SHIFT);
    uint64_t probe_ms = MAX(pool->options.validation_timeout_ms, known_ms);
    uint64_t all_ms = MAX(pool->options.connection_timeout_ms, probe_ms);

    pool->opening++;
    pool->opened_ms = pool->now_ms;
    /* now and then one has all the time: a way that is long may be longer than it was */
    return pool->failures > 0 && pool->failures % 8 != 0 ? probe_ms : all_ms;
}

static uint64_t lifetime_ms(struct pool *pool)
{
    uint64_t ms = pool->options.max_lifetime_ms;

    pool->random = hash_u64(pool->random + 1);
    return ms - pool->random % (ms * JITTER_PER_MILLE / 1000 + 1);
}

void pool_opened(struct pool *pool, struct pool_entry *entry, uint64_t began_ms)
{
    bool forever = pool->options.max_lifetime_ms == 0;

    ASSERT(pool->opening > 0);
    pool->opening--;
    pool->idle++;
    pool->failures = 0;
    if (pool->now_ms >= began_ms)
        average(&pool->creation_x16, pool->now_ms - began_ms);
    *entry =
        (struct pool_entry){ .generation = pool->generation,
                             .until_ms = forever ? UINT64_MAX : pool->now_ms + lifetime_ms(pool),
                             .used_ms = pool->now_ms,
                             .good_ms = pool->now_ms };
}

void pool_open_failed(struct pool *pool, uint64_t began_ms, bool too_many)
{
    ASSERT(pool->opening > 0);
    pool->opening--;
    if (too_many) {
        pool->ceiling = MAX(pool_total(pool), 1u);
        pool->ceiling_ms = pool->now_ms;
        if (pool_total(pool) > 0)
            return;
    }
    /* several that failed together are one failure */
    if (pool->failures == 0 || began_ms >= pool->failed_ms)
        pool->failures++;
    pool->failed_ms = pool->now_ms;
}

void pool_renew(struct pool *pool)
{
    pool->generation++;
}

void pool_set_probing(struct pool *pool, bool probing)
{
    pool->probing = probing;
}

/* ---- as time goes by ---- */

/* Whether `span_ms` (0: for ever) after `since_ms` has come. */
static bool is_due(const struct pool *pool, uint64_t since_ms, uint64_t span_ms, uint64_t *next_ms)
{
    if (span_ms == 0)
        return false;
    if (pool->now_ms >= since_ms + span_ms)
        return true;
    sooner(next_ms, since_ms + span_ms);
    return false;
}

enum pool_due pool_idle_due(const struct pool *pool, const struct pool_entry *entry,
                            uint64_t *next_ms)
{
    bool spare = pool->idle + pool->checking > pool->options.min_idle;

    if (is_over(pool, entry))
        return POOL_DUE_EVICT;
    sooner(next_ms, entry->until_ms);
    if (spare && is_due(pool, entry->used_ms, pool->options.idle_timeout_ms, next_ms))
        return POOL_DUE_EVICT;
    if (entry->good_ms < pool->suspect_ms)
        return POOL_DUE_CHECK;
    return is_due(pool, entry->good_ms, pool->options.keepalive_ms, next_ms) ? POOL_DUE_CHECK
                                                                             : POOL_DUE_NOTHING;
}

enum pool_due pool_lent_due(const struct pool *pool, struct pool_entry *entry, uint64_t *next_ms)
{
    if (entry->lent_ms > pool->now_ms)
        entry->lent_ms = pool->now_ms; /* the clock has stepped back */
    if (is_due(pool, entry->lent_ms, pool->options.reclaim_ms, next_ms))
        return POOL_DUE_RECLAIM;
    if (entry->leaked || !is_due(pool, entry->lent_ms, pool->options.leak_ms, next_ms))
        return POOL_DUE_NOTHING;
    entry->leaked = true;
    return POOL_DUE_LEAK;
}

static void turn_window(struct pool *pool, uint64_t *next_ms)
{
    if (pool->now_ms - pool->window_ms >= POOL_WINDOW_MS) {
        for (size_t s = 0; s < POOL_SHARE_COUNT && pool->options.adaptive; s++)
            pool_climb_turn(&pool->climb[s], pool->now_ms - pool->window_ms);
        pool->window_ms = pool->now_ms;
    }
    if (is_busy(pool) && pool->options.adaptive)
        sooner(next_ms, pool->window_ms + POOL_WINDOW_MS);
}

void pool_pass(struct pool *pool, uint64_t *next_ms)
{
    turn_window(pool, next_ms);
    if (pool->short_ms != UINT64_MAX && pool->now_ms < pool->short_ms + POOL_REFILL_MS)
        sooner(next_ms, pool->short_ms + POOL_REFILL_MS);
    if (pool->line_ms != UINT64_MAX && pool->now_ms < burst_over_ms(pool))
        sooner(next_ms, burst_over_ms(pool));
    if (pool->ceiling < pool->options.max) {
        if (pool->now_ms >= pool->ceiling_ms + POOL_CEILING_MS) {
            pool->ceiling = MIN(pool->ceiling + MAX(pool->ceiling / 4, 1u), pool->options.max);
            pool->ceiling_ms = pool->now_ms;
        }
        sooner(next_ms, pool->ceiling_ms + POOL_CEILING_MS);
    }
    if (pool->failures == 0)
        return;
    uint64_t retry = retry_ms(pool);
    if (pool->now_ms < retry)
        sooner(next_ms, retry);
    else if (pool_is_down(pool) && pool->opening > 0)
        sooner(next_ms, MAX(pool->opened_ms + POOL_PROBE_MS, pool->now_ms + 1));
}
