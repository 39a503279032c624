// SPDX-License-Identifier: Apache-2.0
/*
 * The decisions of a pool of connections: whom to lend to, when to open one, when one is to be
 * looked at or let go. No connection is here: whoever has them tells what happened and asks what to
 * do. HikariCP's rules, where it has one.
 *
 * Time is passed in, in ms of any clock. One that goes back makes every connection of before go, as
 * soon as it is not lent. Not locked.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/pool_climb.h"

/* What a connection is borrowed for. Each has a limit of its own, because one number is wrong for
 * both: few are best for reads, many for small durable writes. */
enum pool_share { POOL_BATCHES, POOL_READS, POOL_SHARE_COUNT };

struct pool_options {
    uint32_t max;      /* connections, lent and idle and being opened */
    uint32_t min_idle; /* kept ready, best effort */
    uint32_t share_max[POOL_SHARE_COUNT];
    bool adaptive; /* the shares' limits, up to share_max; off: share_max */
    uint64_t connection_timeout_ms;
    uint64_t validation_timeout_ms;
    /* 0: never */
    uint64_t idle_timeout_ms, max_lifetime_ms, keepalive_ms, leak_ms, reclaim_ms;
    uint64_t seed; /* of the jitter */
};

enum {
    POOL_FRESH_MS = 500,  /* used so lately: not looked at before it is lent */
    POOL_PROBE_MS = 250,  /* at least so often while somebody waits, or nothing is there */
    POOL_BACKOFF_MS = 10, /* doubling to */
    POOL_BACKOFF_MS_MAX = 5000,
    POOL_OPENING_MAX = 8,     /* at once */
    POOL_REFILL_MS = 1000,    /* that too few are idle lasts so long before more are opened */
    POOL_REFILLING_MAX = 4,   /* at once, where nobody waits */
    POOL_PROBES_MAX = 4,      /* at once, while nothing is there */
    POOL_CEILING_MS = 10000,  /* after too many clients: so long until one more is tried */
    POOL_WINDOW_MS = 1000,    /* of throughput */
    POOL_CLOCK_STEP_MS = 128, /* back by more than this is a step */
};

/* Private. */
struct pool {
    struct pool_options options;
    uint64_t now_ms;
    uint32_t generation; /* of connections: older ones go */
    uint32_t ceiling;    /* <= max: what the server lets us have */
    uint64_t ceiling_ms; /* since when */
    uint64_t suspect_ms; /* what was last good before is to be looked at */
    uint32_t idle, checking, opening;
    uint32_t lent[POOL_SHARE_COUNT], waiting[POOL_SHARE_COUNT];
    uint64_t next_ticket;
    uint64_t short_ms; /* since when fewer than min_idle are ready; UINT64_MAX: they are not */
    /* opening */
    uint32_t failures; /* in a row */
    uint64_t failed_ms, opened_ms;
    uint64_t line_ms; /* since when there are fewer than could be lent; UINT64_MAX: enough */
    bool probing;     /* the breaker is open */
    /* ms * 16, moving averages; 0: not known */
    uint64_t usage_x16, creation_x16;
    struct pool_climb climb[POOL_SHARE_COUNT];
    uint64_t window_ms; /* its begin */
    uint32_t peak;
    uint64_t random;
};

/* One connection, beside whatever it is. */
struct pool_entry {
    uint32_t generation;
    uint64_t until_ms;     /* its lifetime's end, jitter and all */
    uint64_t used_ms;      /* last lent, or opened */
    uint64_t good_ms;      /* last known to be alive */
    uint64_t lent_ms;      /* or since when it is being looked at */
    enum pool_share share; /* while lent */
    bool leaked;           /* and told */
};

void pool_init(struct pool *pool, const struct pool_options *options, uint64_t now_ms);
/* Before each of the calls below, at least once a turn. True: the clock stepped back. */
bool pool_time(struct pool *pool, uint64_t now_ms);

/* ---- callers: first come, first served ---- */

/* One more waits. Its ticket tells who came first. */
uint64_t pool_wait(struct pool *pool, enum pool_share share);
void pool_give_up(struct pool *pool, enum pool_share share);
/* Whose turn is it? `heads`: the ticket of each share's first in line. False: nobody's; all wait
 * for others to return theirs, or nobody waits. */
bool pool_turn(const struct pool *pool, const uint64_t heads[POOL_SHARE_COUNT],
               enum pool_share *ret_share);
/* How many more may be looked at for those who could have one now. */
uint32_t pool_checks_wanted(const struct pool *pool);

/* ---- what happens to a connection ---- */

void pool_lend(struct pool *pool, struct pool_entry *entry, enum pool_share share); /* was idle */
/* Comes back. `alive` false: it is broken. Answers whether it is to be kept: then it is idle. */
bool pool_return(struct pool *pool, struct pool_entry *entry, bool alive);
/* The borrower has it still, and nobody counts on it any more. */
void pool_reclaim(struct pool *pool, struct pool_entry *entry);
bool pool_is_fresh(const struct pool *pool, const struct pool_entry *entry);
void pool_check(struct pool *pool, struct pool_entry *entry); /* idle to being looked at */
/* One that is being looked at takes its time: others may be gone the same way, so look now. */
bool pool_is_slow(struct pool *pool, const struct pool_entry *entry, uint64_t *next_ms);
/* `silent`: it did not answer in time, so others may be gone the same way. As pool_return(). */
bool pool_checked(struct pool *pool, struct pool_entry *entry, bool alive, bool silent);
void pool_drop_idle(struct pool *pool, bool broken); /* an idle one was closed */

/* ---- opening ---- */

/* How many are to be opened now. */
uint32_t pool_wanted(struct pool *pool);
/* One is. Answers how long it may take. */
uint64_t pool_open(struct pool *pool);
/* It is there, and idle. */
void pool_opened(struct pool *pool, struct pool_entry *entry, uint64_t began_ms);
/* It is not. `too_many`: the server has too many clients, which is no failure of it. */
void pool_open_failed(struct pool *pool, uint64_t began_ms, bool too_many);
/* The back end is taken for dead (the breaker is open): probe, whoever waits. */
void pool_set_probing(struct pool *pool, bool probing);
void pool_renew(struct pool *pool);         /* what there is now goes when it is not lent */
bool pool_is_down(const struct pool *pool); /* nothing is there, and nothing could be opened */

/* ---- as time goes by ---- */

enum pool_due {
    POOL_DUE_NOTHING,
    POOL_DUE_CHECK,   /* idle: look whether it is alive */
    POOL_DUE_EVICT,   /* idle: close it */
    POOL_DUE_LEAK,    /* lent for too long: tell, once */
    POOL_DUE_RECLAIM, /* lent for far too long: take it away */
};

/* Each lowers *next_ms to when it is worth asking again. */
enum pool_due pool_idle_due(const struct pool *pool, const struct pool_entry *entry,
                            uint64_t *next_ms);
enum pool_due pool_lent_due(const struct pool *pool, struct pool_entry *entry, uint64_t *next_ms);
/* Windows of throughput, the ceiling, the next try to open. */
void pool_pass(struct pool *pool, uint64_t *next_ms);

/* ---- figures ---- */

uint32_t pool_total(const struct pool *pool); /* without those being opened */
uint32_t pool_limit(const struct pool *pool, enum pool_share share);
uint32_t pool_recommended_max(const struct pool *pool); /* peak * 1.25 */
