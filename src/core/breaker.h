// SPDX-License-Identifier: Apache-2.0
/*
 * A circuit breaker, with resilience4j's words and rules: what is asked of a back end that fails is
 * refused here, until it answers again.
 *
 *     CLOSED     everything passes; too many of the calls of the last window failed or were slow:
 *     OPEN       nothing passes, for a time that doubles with every opening in a row; then by
 * itself HALF_OPEN  exactly so many trial calls pass; when the last of them is done it is CLOSED or
 * OPEN FORCED_OPEN, DISABLED   by hand: nothing passes, or everything; only breaker_set() ends it
 *
 * Time is passed in, in ms of any clock; one that goes back stands still here. Not locked.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum breaker_state {
    BREAKER_CLOSED,
    BREAKER_OPEN,
    BREAKER_HALF_OPEN,
    BREAKER_FORCED_OPEN,
    BREAKER_DISABLED,
    BREAKER_STATE_COUNT,
};

enum { BREAKER_BUCKETS = 10 };

/* Rates are met with >=. */
struct breaker_options {
    uint32_t window_ms; /* of BREAKER_BUCKETS buckets, a multiple of their number; 10 s */
    uint32_t calls_min; /* in a window, before its rates count; 20 */
    uint32_t failed_percent, slow_percent; /* 50; over 100: never */
    uint32_t slow_ms;                      /* a call that took longer is slow, failed or not */
    uint32_t open_ms, open_ms_max;         /* 1 s, doubling to 30 s */
    uint32_t jitter_percent;               /* of the open time, up or down; 20 */
    uint32_t trial_calls;                  /* 5 */
    uint64_t seed;                         /* of the jitter */
};

/* What operations.md sets; `slow_ms` is the back end's. */
struct breaker_options breaker_options_default(uint32_t slow_ms, uint64_t seed);

struct breaker_counts {
    uint32_t calls, failed, slow;
};

/* Private. */
struct breaker {
    struct breaker_options options;
    enum breaker_state state;
    uint64_t now_ms;     /* the latest that was passed in */
    uint64_t until_ms;   /* OPEN: its end */
    uint32_t openings;   /* in a row, since it was last closed */
    uint32_t generation; /* of the state: what began in an earlier one does not count */
    uint32_t trials;     /* HALF_OPEN: let through */
    struct breaker_counts trial;
    struct {
        uint64_t number; /* time / width */
        struct breaker_counts counts;
    } bucket[BREAKER_BUCKETS];
    uint64_t random;
    uint64_t not_permitted;
};

struct breaker_permit {
    uint32_t generation;
};

void breaker_init(struct breaker *breaker, const struct breaker_options *options, uint64_t now_ms);

/* May a call be made? If so, breaker_done() or breaker_give_back() follows, once. */
bool breaker_ask(struct breaker *breaker, uint64_t now_ms, struct breaker_permit *ret_permit);
void breaker_done(struct breaker *breaker, uint64_t now_ms, struct breaker_permit permit,
                  bool failed, uint64_t took_ms);
/* The call was not made after all. */
void breaker_give_back(struct breaker *breaker, struct breaker_permit permit);
/* A probe beside the calls found the back end alive: OPEN is HALF_OPEN at once. */
void breaker_probed(struct breaker *breaker, uint64_t now_ms);
/* By hand: to any state, with counts and open time as at the beginning. */
void breaker_set(struct breaker *breaker, enum breaker_state state, uint64_t now_ms);

struct breaker_status {
    enum breaker_state state;
    struct breaker_counts counts; /* HALF_OPEN: of the trial calls done; else of the window */
    /* -1: fewer calls than the minimum */
    double failed_percent, slow_percent;
    uint64_t not_permitted;
};
struct breaker_status breaker_status(struct breaker *breaker, uint64_t now_ms);
const char *breaker_state_name(enum breaker_state state); /* "half_open", as resilience4j has it */
