// SPDX-License-Identifier: Apache-2.0
/* Connections of a pool: how they are opened, looked at and closed. Who gets one is in pg_pool.c.
 */
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "pg/pg_pool_internal.h"

/* While the database is away, so often in the log. */
enum { TELL_EVERY_MS = 10000 };

static const char ping_sql[] = "SELECT 1";

/* The last used is the first to be used again: so the others may be let go. */
void pg_pooled_move(struct pg_pooled *pooled, enum pg_pooled_state state)
{
    struct list *head = &pooled->pool->in[state];

    list_remove(&pooled->node);
    pooled->state = state;
    if (state == PG_POOLED_IDLE)
        list_append(head->next, &pooled->node); /* before the first */
    else
        list_append(head, &pooled->node);
}

void pg_pooled_close(struct pg_pooled *pooled)
{
    list_remove(&pooled->node);
    if (pooled->state != PG_POOLED_OPENING)
        atomic_fetch_add(&pooled->pool->evicted, 1);
    pg_conn_free(pooled->conn);
    mem_free(pooled);
}

/* ---- looking at one ---- */

static void close_checked(struct pg_pooled *pooled, bool silent)
{
    LOG(LOG_INFO, "pool: a connection is closed", LOG_CSTR("peer", pg_conn_peer(pooled->conn)),
        LOG_CSTR("why", silent ? "its server does not answer" : "it is broken, or old"));
    pg_pooled_close(pooled);
}

static void pinged(struct pg_exchange *ping)
{
    struct pg_pooled *pooled = CONTAINER_OF(ping, struct pg_pooled, ping);
    struct pg_pool *pool = pooled->pool;

    pg_exchange_fini(ping);
    if (!pool) { /* gone meanwhile */
        pg_conn_free(pooled->conn);
        mem_free(pooled);
        return;
    }
    bool alive = ping->err == ERR_OK;
    bool silent = ping->err == ERR_UNCERTAIN &&
                  ping->took_ns / 1000000 + 1 >= pool->rules.options.validation_timeout_ms;
    pool_time(&pool->rules, loop_now_ms(pool->loop));
    if (pool_checked(&pool->rules, &pooled->entry, alive, silent))
        pg_pooled_move(pooled, PG_POOLED_IDLE);
    else
        close_checked(pooled, silent);
    if (alive)
        pg_pool_probed(pool);
    pg_pool_settle(pool);
}

void pg_pooled_ping(struct pg_pooled *pooled, const char *sql)
{
    static const struct pg_statement rollback = { .sql = "ROLLBACK" };
    static const struct pg_statement ping = { .sql = ping_sql };
    struct pg_pool *pool = pooled->pool;

    pool_check(&pool->rules, &pooled->entry);
    pg_pooled_move(pooled, PG_POOLED_CHECKING);
    pooled->ping = (struct pg_exchange){
        .done = pinged,
        .statements = sql ? &rollback : &ping,
        .count = 1,
        .deadline_ms = loop_now_ms(pool->loop) + pool->rules.options.validation_timeout_ms,
    };
    pg_exchange(pooled->conn, &pooled->ping);
}

/* The server has hung up. One that is lent or being looked at is found broken at the end of that.
 */
static void broken(void *context)
{
    struct pg_pooled *pooled = context;
    struct pg_pool *pool = pooled->pool;

    if (pooled->state != PG_POOLED_IDLE)
        return;
    pool_time(&pool->rules, loop_now_ms(pool->loop));
    pool_drop_idle(&pool->rules, true);
    close_checked(pooled, false);
    pg_pool_settle(pool);
}

/* ---- opening ---- */

static void tell_failure(struct pg_pool *pool, const struct pg_open *open)
{
    uint64_t now_ms = loop_now_ms(pool->loop);

    if (pool->told_ms != 0 && now_ms < pool->told_ms + TELL_EVERY_MS)
        return;
    pool->told_ms = now_ms;
    LOG(LOG_WARN, "pool: a connection could not be opened", LOG_CSTR("error", err_name(open->err)),
        LOG_CSTR("sqlstate", open->reason.sqlstate), LOG_CSTR("why", open->reason.text));
}

static void took_over(struct pg_pool *pool, struct pg_pooled *pooled)
{
    uint64_t took_ns = clock_mono_ns() - pooled->began_ns;

    if (pool->told_ms != 0)
        LOG(LOG_INFO, "pool: connections can be opened again",
            LOG_CSTR("peer", pg_conn_peer(pooled->conn)));
    pool->told_ms = 0;
    pool_opened(&pool->rules, &pooled->entry, pooled->began_ms);
    pg_pooled_move(pooled, PG_POOLED_IDLE);
    pg_conn_on_broken(pooled->conn, broken, pooled);
    atomic_fetch_add(&pool->created, 1);
    if (pool->metrics)
        metrics_pool(pool->metrics, METRIC_pool_creation, took_ns);
    pg_pool_probed(pool);
}

static void opened(struct pg_open *open)
{
    struct pg_pooled *pooled = CONTAINER_OF(open, struct pg_pooled, open);
    struct pg_pool *pool = pooled->pool;

    pool_time(&pool->rules, loop_now_ms(pool->loop));
    if (open->err == ERR_OK) {
        took_over(pool, pooled);
    } else {
        bool too_many = strcmp(open->reason.sqlstate, PG_TOO_MANY_CLIENTS) == 0;
        pool_open_failed(&pool->rules, pooled->began_ms, too_many);
        tell_failure(pool, open);
        if (!too_many)
            pg_pool_tell_unopened(pool, clock_mono_ns() - pooled->began_ns);
        pg_pooled_close(pooled);
    }
    pg_pool_settle(pool);
}

static bool open_one(struct pg_pool *pool)
{
    struct pg_pooled *pooled = mem_alloc(sizeof *pooled);
    struct pg_conn *conn = pooled ? pg_conn_new(pool->loop, pool->source) : NULL;
    uint64_t now_ms = loop_now_ms(pool->loop);
    uint64_t timeout_ms = pool_open(&pool->rules);

    if (!conn) {
        mem_free(pooled);
        pool_open_failed(&pool->rules, now_ms, false);
        return false;
    }
    conn->owner = pooled;
    list_init(&pooled->node);
    pooled->pool = pool;
    pooled->conn = conn;
    pooled->began_ms = now_ms;
    pooled->began_ns = clock_mono_ns();
    pooled->open = (struct pg_open){ .done = opened, .deadline_ms = now_ms + timeout_ms };
    pg_pooled_move(pooled, PG_POOLED_OPENING);
    pg_conn_open(conn, &pooled->open);
    return true;
}

void pg_pool_open_more(struct pg_pool *pool)
{
    for (uint32_t n = pool_wanted(&pool->rules); n > 0 && open_one(pool); n--)
        ;
}
