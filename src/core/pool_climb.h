// SPDX-License-Identifier: Apache-2.0
/*
 * How many at once is best? A hill climb on throughput: the smallest limit whose throughput is at
 * least 97 % of the best that was seen lately. (Rules on latency drift to many times the right size
 * once the back end is saturated: there every further one only waits in line.)
 *
 * A window counts only if somebody had to wait for the limit: otherwise callers, not the limit,
 * say how much goes through. So nothing grows while less than half is used.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum {
    POOL_CLIMB_GOOD_PERCENT = 97,
    POOL_CLIMB_STEP_PERCENT = 15, /* at most, and at least one */
    POOL_CLIMB_MEMORY = 24,       /* windows that "lately" is */
    POOL_CLIMB_START = 8,
};

/* Private. */
struct pool_climb {
    uint32_t min, max, limit;
    uint32_t peak; /* in use, this window */
    bool held;     /* somebody waited for the limit, this window */
    uint32_t done; /* this window */
    uint32_t seen; /* windows that counted, ever */
    struct {
        uint32_t limit;
        double rate;
    } window[POOL_CLIMB_MEMORY]; /* ring */
};

void pool_climb_init(struct pool_climb *climb, uint32_t min, uint32_t max, uint32_t start);
/* So many are in use; somebody waits because no more may be. */
void pool_climb_use(struct pool_climb *climb, uint32_t in_use, bool held);
void pool_climb_done(struct pool_climb *climb); /* one use is over */
/* The window is over, and took `ms`: the limit for the next one. */
void pool_climb_turn(struct pool_climb *climb, uint64_t ms);
