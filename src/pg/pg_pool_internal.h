// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "pg/pg_internal.h"
#include "pg/pg_pool.h"

/* Where a pooled connection is, and in which list. */
enum pg_pooled_state {
    PG_POOLED_OPENING,
    PG_POOLED_IDLE,     /* the last used first */
    PG_POOLED_CHECKING, /* a question to the server is under way */
    PG_POOLED_LENT,
    PG_POOLED_LOST, /* lent and taken away: closed when it comes back */
    PG_POOLED_STATE_COUNT,
};

struct pg_pooled {
    struct list node;
    struct pg_pool *pool; /* NULL: the pool is gone, `ping` is still to end */
    struct pg_conn *conn;
    enum pg_pooled_state state;
    struct pool_entry entry;
    uint64_t began_ms, began_ns; /* of opening, or of being lent */
    struct pg_open open;
    struct pg_exchange ping;
    /* while lent */
    struct breaker_permit permit;
    const char *where;
    char request_id[PG_REQUEST_ID_BYTES];
};

struct pg_pool {
    struct loop *loop;
    const struct pg_source *source;
    struct metrics_slot *metrics;
    struct pool rules;
    struct list in[PG_POOLED_STATE_COUNT];
    struct list waiting[POOL_SHARE_COUNT];
    struct loop_timer timer;
    uint64_t armed_ms;
    uint64_t probed_ms; /* last time that an idle one was asked because the breaker is open */
    uint64_t told_ms;   /* last time that a failure was logged */
    bool closing;

    pthread_mutex_t lock;
    struct breaker breaker; /* under `lock` */
    /* What other threads see. */
    _Atomic uint32_t total, active, idle, pending, peak, recommended_max;
    _Atomic uint32_t limit[POOL_SHARE_COUNT];
    _Atomic uint64_t timeouts, leaked, created, evicted;
};

/* pg_pool_conn.c: connections as they come and go. */
void pg_pool_open_more(struct pg_pool *pool);
void pg_pooled_close(struct pg_pooled *pooled); /* it is in no list of the rules any more */
void pg_pooled_move(struct pg_pooled *pooled, enum pg_pooled_state state);
void pg_pooled_ping(struct pg_pooled *pooled, const char *sql); /* was idle */
/* pg_pool_breaker.c */
bool pg_pool_ask_breaker(struct pg_pool *pool, struct breaker_permit *ret_permit);
void pg_pool_give_back(struct pg_pool *pool, struct breaker_permit permit);
void pg_pool_tell_breaker(struct pg_pool *pool, struct breaker_permit permit, bool failed,
                          uint64_t took_ns);
void pg_pool_tell_unopened(struct pg_pool *pool, uint64_t took_ns); /* one could not be opened */
void pg_pool_probed(struct pg_pool *pool);                          /* the database has answered */
bool pg_pool_is_open(struct pg_pool *pool); /* the breaker: nothing passes */
/* pg_pool.c: something has changed. */
void pg_pool_settle(struct pg_pool *pool);
