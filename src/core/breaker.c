// SPDX-License-Identifier: Apache-2.0
#include "core/breaker.h"

#include <string.h>

#include "base/assert.h"
#include "base/hash.h"

struct breaker_options breaker_options_default(uint32_t slow_ms, uint64_t seed)
{
    return (struct breaker_options){ .window_ms = 10000,
                                     .calls_min = 20,
                                     .failed_percent = 50,
                                     .slow_percent = 50,
                                     .slow_ms = slow_ms,
                                     .open_ms = 1000,
                                     .open_ms_max = 30000,
                                     .jitter_percent = 20,
                                     .trial_calls = 5,
                                     .seed = seed };
}

static uint64_t bucket_number(const struct breaker *breaker)
{
    return breaker->now_ms / (breaker->options.window_ms / BREAKER_BUCKETS);
}

static struct breaker_counts window_counts(const struct breaker *breaker)
{
    struct breaker_counts sum = { 0 };
    uint64_t now = bucket_number(breaker);

    for (unsigned i = 0; i < BREAKER_BUCKETS; i++) {
        const struct breaker_counts *counts = &breaker->bucket[i].counts;
        if (breaker->bucket[i].number + BREAKER_BUCKETS <= now)
            continue;
        sum.calls += counts->calls;
        sum.failed += counts->failed;
        sum.slow += counts->slow;
    }
    return sum;
}

static void count(struct breaker_counts *counts, bool failed, bool slow)
{
    counts->calls++;
    counts->failed += failed;
    counts->slow += slow;
}

static void count_in_window(struct breaker *breaker, bool failed, bool slow)
{
    uint64_t number = bucket_number(breaker);
    unsigned i = (unsigned)(number % BREAKER_BUCKETS);

    if (breaker->bucket[i].number != number)
        breaker->bucket[i].counts = (struct breaker_counts){ 0 };
    breaker->bucket[i].number = number;
    count(&breaker->bucket[i].counts, failed, slow);
}

static bool is_bad(const struct breaker_options *options, struct breaker_counts counts)
{
    return (uint64_t)counts.failed * 100 >= (uint64_t)options->failed_percent * counts.calls ||
           (uint64_t)counts.slow * 100 >= (uint64_t)options->slow_percent * counts.calls;
}

static uint64_t next_open_ms(struct breaker *breaker)
{
    const struct breaker_options *options = &breaker->options;
    uint64_t ms = options->open_ms;

    for (uint32_t i = 0; i < breaker->openings && ms < options->open_ms_max; i++)
        ms *= 2;
    if (ms > options->open_ms_max)
        ms = options->open_ms_max;
    uint64_t reach = ms * options->jitter_percent / 100;
    breaker->random = hash_u64(breaker->random);
    return ms - reach + breaker->random % (2 * reach + 1);
}

/* The one mover. */
static void enter(struct breaker *breaker, enum breaker_state state)
{
    breaker->state = state;
    breaker->generation++;
    breaker->trials = 0;
    breaker->trial = (struct breaker_counts){ 0 };
    switch (state) {
    case BREAKER_OPEN:
        breaker->until_ms = breaker->now_ms + next_open_ms(breaker);
        breaker->openings++;
        break;
    case BREAKER_HALF_OPEN:
        break;
    case BREAKER_CLOSED:
    case BREAKER_FORCED_OPEN:
    case BREAKER_DISABLED:
        breaker->openings = 0;
        memset(breaker->bucket, 0, sizeof breaker->bucket);
        break;
    case BREAKER_STATE_COUNT:
        ASSERT(false);
    }
}

static void advance(struct breaker *breaker, uint64_t now_ms)
{
    if (now_ms > breaker->now_ms)
        breaker->now_ms = now_ms;
    if (breaker->state == BREAKER_OPEN && breaker->now_ms >= breaker->until_ms)
        enter(breaker, BREAKER_HALF_OPEN);
}

void breaker_init(struct breaker *breaker, const struct breaker_options *options, uint64_t now_ms)
{
    ASSERT(options->window_ms > 0 && options->window_ms % BREAKER_BUCKETS == 0);
    ASSERT(options->calls_min > 0 && options->trial_calls > 0 && options->jitter_percent <= 100);
    *breaker = (struct breaker){ .options = *options, .now_ms = now_ms, .random = options->seed };
    enter(breaker, BREAKER_CLOSED);
}

static bool permits(struct breaker *breaker)
{
    switch (breaker->state) {
    case BREAKER_CLOSED:
    case BREAKER_DISABLED:
        return true;
    case BREAKER_HALF_OPEN:
        if (breaker->trials == breaker->options.trial_calls)
            return false;
        breaker->trials++;
        return true;
    case BREAKER_OPEN:
    case BREAKER_FORCED_OPEN:
    case BREAKER_STATE_COUNT:
        break;
    }
    return false;
}

bool breaker_ask(struct breaker *breaker, uint64_t now_ms, struct breaker_permit *ret_permit)
{
    advance(breaker, now_ms);
    if (!permits(breaker)) {
        breaker->not_permitted++;
        return false;
    }
    ret_permit->generation = breaker->generation;
    return true;
}

void breaker_done(struct breaker *breaker, uint64_t now_ms, struct breaker_permit permit,
                  bool failed, uint64_t took_ms)
{
    bool slow = took_ms > breaker->options.slow_ms;

    advance(breaker, now_ms);
    if (permit.generation != breaker->generation)
        return;
    if (breaker->state == BREAKER_CLOSED) {
        count_in_window(breaker, failed, slow);
        struct breaker_counts counts = window_counts(breaker);
        if (counts.calls >= breaker->options.calls_min && is_bad(&breaker->options, counts))
            enter(breaker, BREAKER_OPEN);
    } else if (breaker->state == BREAKER_HALF_OPEN) {
        count(&breaker->trial, failed, slow);
        if (breaker->trial.calls == breaker->options.trial_calls)
            enter(breaker,
                  is_bad(&breaker->options, breaker->trial) ? BREAKER_OPEN : BREAKER_CLOSED);
    }
}

void breaker_give_back(struct breaker *breaker, struct breaker_permit permit)
{
    if (permit.generation == breaker->generation && breaker->state == BREAKER_HALF_OPEN)
        breaker->trials--;
}

void breaker_probed(struct breaker *breaker, uint64_t now_ms)
{
    advance(breaker, now_ms);
    if (breaker->state == BREAKER_OPEN)
        enter(breaker, BREAKER_HALF_OPEN);
}

void breaker_set(struct breaker *breaker, enum breaker_state state, uint64_t now_ms)
{
    advance(breaker, now_ms);
    breaker->openings = 0;
    enter(breaker, state);
}

struct breaker_status breaker_status(struct breaker *breaker, uint64_t now_ms)
{
    advance(breaker, now_ms);
    bool trying = breaker->state == BREAKER_HALF_OPEN;
    struct breaker_status status = { .state = breaker->state,
                                     .counts = trying ? breaker->trial : window_counts(breaker),
                                     .failed_percent = -1,
                                     .slow_percent = -1,
                                     .not_permitted = breaker->not_permitted };
    uint32_t enough = trying ? breaker->options.trial_calls : breaker->options.calls_min;

    if (status.counts.calls >= enough) {
        status.failed_percent = 100.0 * status.counts.failed / status.counts.calls;
        status.slow_percent = 100.0 * status.counts.slow / status.counts.calls;
    }
    return status;
}

const char *breaker_state_name(enum breaker_state state)
{
    static const char *const names[BREAKER_STATE_COUNT] = {
        [BREAKER_CLOSED] = "closed",       [BREAKER_OPEN] = "open",
        [BREAKER_HALF_OPEN] = "half_open", [BREAKER_FORCED_OPEN] = "forced_open",
        [BREAKER_DISABLED] = "disabled",
    };

    return names[state];
}
