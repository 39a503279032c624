// SPDX-License-Identifier: Apache-2.0
/*
 * Connections of one loop, lent first come, first served. What to do is decided by core/pool.h, and
 * core/breaker.h says whether the database is worth asking at all; here are the connections.
 *
 * A borrower never waits for a connection of its own: whichever is there first goes to whoever is
 * first in line. Connections are looked at, refilled and let go beside that.
 *
 *     struct pg_borrow borrow = { .done = got_one, .share = POOL_READS, .request_id = "…" };
 *     PG_BORROW(pool, &borrow);
 *     …
 *     static void got_one(struct pg_borrow *borrow)
 *         if (borrow->err == ERR_OK)
 *             pg_exchange(borrow->conn, …), and when that is done pg_pool_return(pool, conn)
 */
#pragma once
#include "core/breaker.h"
#include "core/pool.h"
#include "loop/loop.h"
#include "metrics/metrics.h"
#include "pg/pg_conn.h"

struct config;

struct pg_pool_options {
    struct pool_options rules;
    struct breaker_options breaker;
    struct metrics_slot *metrics; /* of the loop's thread, or NULL */
};
/* As configured by pool.*, with what operations.md sets for the breaker. */
struct pg_pool_options pg_pool_options_of(const struct config *config);

struct pg_pool;

/* It begins to fill at once. `source` outlives it. NULL without memory. */
struct pg_pool *pg_pool_new(struct loop *loop, const struct pg_source *source,
                            const struct pg_pool_options *options) MUST_CHECK;
/* Nothing is lent any more; who waits is told UNAVAILABLE, now: `done` runs in here. */
struct pg_pool *pg_pool_free(struct pg_pool *pool);

enum { PG_REQUEST_ID_BYTES = 64 };

struct pg_borrow {
    void (*done)(struct pg_borrow *borrow);
    enum pool_share share;
    uint64_t deadline_ms;   /* loop_now_ms(); 0, or later than pool.connection_timeout: that */
    const char *where;      /* "file:line", for good; see PG_BORROW() */
    const char *request_id; /* whose request it is, for the log; borrowed until `done`; or NULL */

    /* out: OK; UNAVAILABLE at once: the breaker is open, the pool is closing; TIMEOUT */
    enum err err;
    struct pg_conn *conn; /* until pg_pool_return() */

    struct list node; /* private, and all below */
    struct loop_task task;
    struct pg_pool *pool;
    uint64_t ticket, until_ms, began_ns;
    struct breaker_permit permit;
};

#define PG_TEXT_(x) #x
#define PG_TEXT(x) PG_TEXT_(x)
#define PG_BORROW(pool_, borrow_)                           \
    do {                                                    \
        struct pg_borrow *pg_borrow_ = (borrow_);           \
        pg_borrow_->where = __FILE__ ":" PG_TEXT(__LINE__); \
        pg_pool_borrow((pool_), pg_borrow_);                \
    } while (0)

void pg_pool_borrow(struct pg_pool *pool, struct pg_borrow *borrow);
/* Between exchanges. A transaction that was left open is rolled back, a broken one is closed. What
 * its exchanges met is told to the breaker. */
void pg_pool_return(struct pg_pool *pool, struct pg_conn *conn);
/* The server may be another one than before (it says read-only, say): no connection of now is lent
 * again. */
void pg_pool_renew(struct pg_pool *pool);

struct pg_pool_stats {
    uint32_t total, active, idle, pending, max, min, peak, recommended_max;
    uint32_t limit[POOL_SHARE_COUNT];
    uint64_t timeouts, leaked, created, evicted;
    struct breaker_status breaker;
};
struct pg_pool_stats pg_pool_stats(struct pg_pool *pool); /* any thread */
/* Rows hikaricp_*; before the first scrape. The breaker's rows take pg_pool_stats(). */
void pg_pool_tell_metrics(struct pg_pool *pool, struct metrics *metrics);
