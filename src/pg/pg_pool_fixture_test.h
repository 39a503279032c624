// SPDX-License-Identifier: Apache-2.0
/* A pool, and callers who borrow, ask and return. */
#pragma once
#include "base/log.h"
#include "base/mem.h"
#include "pg/pg_fixture_test.h"
#include "pg/pg_pool_internal.h"

static struct pg_pool *pool;
static struct pg_pool_options options;
static size_t callers_left;

static inline void set_defaults(void)
{
    options = (struct pg_pool_options){
        .rules = { .max = 10,
                   .min_idle = 2,
                   .share_max = { 10, 10 },
                   .connection_timeout_ms = 5000,
                   .validation_timeout_ms = 300,
                   .leak_ms = 30000,
                   .seed = 1 },
        .breaker = breaker_options_default(250, 1),
    };
}

static inline struct pg_pool_stats stats(void)
{
    return pg_pool_stats(pool);
}

/* At most 10 s for `condition`, a look every ms. */
#define WAIT_UNTIL(condition)                                  \
    do {                                                       \
        uint64_t wait_began_ = clock_mono_ns();                \
        while (!(condition)) {                                 \
            if (clock_mono_ns() - wait_began_ > 10000000000u)  \
                fail_msg("waited in vain for %s", #condition); \
            run_for(1);                                        \
        }                                                      \
    } while (0)

static inline void fill(uint32_t idle)
{
    WAIT_UNTIL(stats().idle >= idle);
}

/* ---- one who borrows, asks and returns ---- */

struct caller {
    struct pg_borrow borrow;
    struct pg_exchange exchange;
    struct pg_statement statement;
    bool over;
    enum err err;
    uint64_t began_ns, took_ns;
};

static inline void caller_ends(struct caller *caller, enum err e)
{
    caller->over = true;
    caller->err = e;
    caller->took_ns = clock_mono_ns() - caller->began_ns;
    if (--callers_left == 0)
        loop_stop(loop);
}

static inline void caller_asked(struct pg_exchange *exchange)
{
    struct caller *caller = CONTAINER_OF(exchange, struct caller, exchange);
    enum err e = exchange->err;

    pg_exchange_fini(exchange);
    pg_pool_return(pool, caller->borrow.conn);
    caller_ends(caller, e);
}

static inline void caller_has_one(struct pg_borrow *borrow)
{
    struct caller *caller = CONTAINER_OF(borrow, struct caller, borrow);

    if (borrow->err != ERR_OK) {
        caller_ends(caller, borrow->err);
        return;
    }
    caller->exchange = (struct pg_exchange){ .done = caller_asked,
                                             .statements = &caller->statement,
                                             .count = 1,
                                             .deadline_ms = loop_now_ms(loop) + 5000 };
    pg_exchange(borrow->conn, &caller->exchange);
}

static inline void caller_begin(struct caller *caller, const char *sql, enum pool_share share)
{
    *caller = (struct caller){ .borrow = { .done = caller_has_one, .share = share },
                               .statement = { .sql = sql },
                               .began_ns = clock_mono_ns() };
    callers_left++;
    PG_BORROW(pool, &caller->borrow);
}

static inline enum err ask(const char *sql)
{
    struct caller caller;

    caller_begin(&caller, sql, POOL_READS);
    loop_run(loop);
    return caller.err;
}

/* One who keeps what they got. */
static inline void got(struct pg_borrow *borrow)
{
    (void)borrow;
    loop_stop(loop);
}

static inline struct pg_borrow take(enum pool_share share)
{
    struct pg_borrow borrow = { .done = got, .share = share, .request_id = "r-1" };

    PG_BORROW(pool, &borrow);
    loop_run(loop);
    return borrow;
}
