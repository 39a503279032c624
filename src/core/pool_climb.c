// SPDX-License-Identifier: Apache-2.0
/*
 * Each window that counts leaves its limit and rate in a ring. The target is the smallest limit of
 * the ring that is good enough; standing on it, the neighbours that the ring does not know are
 * tried in turn: a step up, a step down, one down. As the ring forgets, they are tried again.
 */
#include "core/pool_climb.h"

#include <string.h>

#include "base/assert.h"
#include "base/attr.h"

void pool_climb_init(struct pool_climb *climb, uint32_t min, uint32_t max, uint32_t start)
{
    ASSERT(min > 0 && min <= max);
    *climb = (struct pool_climb){ .min = min, .max = max, .limit = MIN(MAX(start, min), max) };
}

void pool_climb_use(struct pool_climb *climb, uint32_t in_use, bool held)
{
    climb->peak = MAX(climb->peak, in_use);
    climb->held |= held;
}

void pool_climb_done(struct pool_climb *climb)
{
    climb->done++;
}

static uint32_t remembered(const struct pool_climb *climb)
{
    return MIN(climb->seen, (uint32_t)POOL_CLIMB_MEMORY);
}

/* Mean over the ring; negative: not in it. */
static double rate_of(const struct pool_climb *climb, uint32_t limit)
{
    double sum = 0;
    uint32_t n = 0;

    for (uint32_t i = 0; i < remembered(climb); i++)
        if (climb->window[i].limit == limit) {
            sum += climb->window[i].rate;
            n++;
        }
    return n > 0 ? sum / n : -1;
}

static uint32_t target_of(const struct pool_climb *climb)
{
    double best = 0;
    uint32_t target = climb->limit;
    double good;

    for (uint32_t i = 0; i < remembered(climb); i++)
        best = MAX(best, rate_of(climb, climb->window[i].limit));
    good = best * POOL_CLIMB_GOOD_PERCENT / 100;
    bool any = false;
    for (uint32_t i = 0; i < remembered(climb); i++) {
        uint32_t limit = climb->window[i].limit;
        if (rate_of(climb, limit) >= good && (!any || limit < target)) {
            target = limit;
            any = true;
        }
    }
    return target;
}

static uint32_t step_of(uint32_t limit)
{
    return MAX(limit * POOL_CLIMB_STEP_PERCENT / 100, 1u);
}

static uint32_t up(const struct pool_climb *climb, uint32_t by)
{
    return MIN(climb->limit + by, climb->max);
}

static uint32_t down(const struct pool_climb *climb, uint32_t by)
{
    return climb->limit > climb->min + by ? climb->limit - by : climb->min;
}

static uint32_t explore(struct pool_climb *climb)
{
    uint32_t step = step_of(climb->limit);
    const uint32_t neighbours[] = { up(climb, step), down(climb, step), down(climb, 1) };

    for (size_t i = 0; i < ARRAY_COUNT(neighbours); i++)
        if (rate_of(climb, neighbours[i]) < 0)
            return neighbours[i];
    return climb->limit;
}

static void move(struct pool_climb *climb)
{
    uint32_t target = target_of(climb), step = step_of(climb->limit);

    if (target > climb->limit)
        climb->limit = MIN(target, up(climb, step));
    else if (target < climb->limit)
        climb->limit = MAX(target, down(climb, step));
    else
        climb->limit = explore(climb);
}

void pool_climb_turn(struct pool_climb *climb, uint64_t ms)
{
    bool counts = climb->held && climb->done > 0 && ms > 0 && climb->peak * 2 >= climb->limit;
    double rate = ms > 0 ? (double)climb->done * 1000 / (double)ms : 0;

    climb->held = false;
    climb->done = climb->peak = 0;
    if (!counts)
        return;
    climb->window[climb->seen % POOL_CLIMB_MEMORY].limit = climb->limit;
    climb->window[climb->seen % POOL_CLIMB_MEMORY].rate = rate;
    climb->seen++;
    move(climb);
}
