// SPDX-License-Identifier: Apache-2.0
/*
 * May something that failed be tried again? A budget over all callers (Finagle's): retries are at
 * most a tenth of the calls of the last ten seconds, so that they never double the load of what is
 * failing because of its load; with a small floor, for when there are hardly any calls.
 *
 * Time is passed in, in ms of any clock; not locked.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum {
    RETRY_BUCKETS = 10,
    RETRY_BUCKET_MS = 1000,
    RETRY_PERCENT = 10,
    RETRY_FLOOR = 10, /* that a window always allows */
    RETRY_TRIES_MAX = 2,
};

struct retry_budget {
    struct {
        uint64_t number; /* time / RETRY_BUCKET_MS */
        uint32_t calls, retries;
    } bucket[RETRY_BUCKETS];
};

/* A first try was made. */
void retry_budget_call(struct retry_budget *budget, uint64_t now_ms);
/* `tries` have been made again already. True: one more, and it is counted. */
bool retry_budget_take(struct retry_budget *budget, uint64_t now_ms, unsigned tries);
/* Full jitter: anything from 0 to `base_ms` doubled for each of `tries`, at most `max_ms`. */
uint64_t retry_delay_ms(uint64_t base_ms, uint64_t max_ms, unsigned tries, uint64_t random);
