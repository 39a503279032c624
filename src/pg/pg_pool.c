// SPDX-License-Identifier: Apache-2.0
/*
 * Whatever happens ends in pg_pool_settle(): lend what there is to whoever is next, look at what
 * has been idle for too long to be trusted, open what is worth opening, and say when to look again.
 * The timer's look besides goes over everything that has a date.
 */
#include "pg/pg_pool.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "pg/pg_pool_internal.h"

/* ---- those who wait ---- */

static void tell_borrower(struct loop_task *task)
{
    struct pg_borrow *borrow = CONTAINER_OF(task, struct pg_borrow, task);

    borrow->done(borrow);
}

static void end_borrow(struct pg_pool *pool, struct pg_borrow *borrow, enum err e)
{
    borrow->err = e;
    borrow->task.run = tell_borrower;
    loop_post(pool->loop, &borrow->task);
}

static void leave_line(struct pg_pool *pool, struct pg_borrow *borrow, enum err e)
{
    list_remove(&borrow->node);
    pool_give_up(&pool->rules, borrow->share);
    atomic_fetch_add(&pool->timeouts, e == ERR_TIMEOUT);
    /* waiting for others to return theirs is no failure of the database */
    if (e == ERR_TIMEOUT && pool->rules.failures > 0)
        pg_pool_tell_breaker(pool, borrow->permit, true, clock_mono_ns() - borrow->began_ns);
    else
        pg_pool_give_back(pool, borrow->permit);
    end_borrow(pool, borrow, e);
}

static void send_all_away(struct pg_pool *pool)
{
    struct pg_borrow *borrow;

    for (size_t s = 0; s < POOL_SHARE_COUNT; s++)
        LIST_FOREACH (borrow, &pool->waiting[s], struct pg_borrow, node)
            leave_line(pool, borrow, ERR_UNAVAILABLE);
}

static struct pg_borrow *first_in_line(struct pg_pool *pool, unsigned share)
{
    struct list *head = &pool->waiting[share];

    return list_empty(head) ? NULL : CONTAINER_OF(head->next, struct pg_borrow, node);
}

static struct pg_borrow *whose_turn(struct pg_pool *pool)
{
    uint64_t heads[POOL_SHARE_COUNT];
    enum pool_share share = POOL_BATCHES;

    for (unsigned s = 0; s < POOL_SHARE_COUNT; s++) {
        struct pg_borrow *first = first_in_line(pool, s);
        heads[s] = first ? first->ticket : UINT64_MAX;
    }
    return pool_turn(&pool->rules, heads, &share) ? first_in_line(pool, share) : NULL;
}

/* ---- lending ---- */

static void arm(struct pg_pool *pool, uint64_t at_ms)
{
    uint64_t now_ms = loop_now_ms(pool->loop);

    if (at_ms >= pool->armed_ms)
        return;
    if (loop_timer_start(pool->loop, &pool->timer, at_ms > now_ms ? at_ms - now_ms : 0) == ERR_OK)
        pool->armed_ms = at_ms;
}

static void lend(struct pg_pool *pool, struct pg_pooled *pooled, struct pg_borrow *borrow)
{
    uint64_t next_ms = UINT64_MAX;

    list_remove(&borrow->node);
    pool_lend(&pool->rules, &pooled->entry, borrow->share);
    pg_pooled_move(pooled, PG_POOLED_LENT);
    pooled->permit = borrow->permit;
    pooled->where = borrow->where ? borrow->where : "?";
    snprintf(pooled->request_id, sizeof pooled->request_id, "%s",
             borrow->request_id ? borrow->request_id : "");
    pooled->began_ns = clock_mono_ns();
    pooled->conn->tally = (struct pg_tally){ 0 };
    if (pool->metrics)
        metrics_pool(pool->metrics, METRIC_pool_acquire, pooled->began_ns - borrow->began_ns);
    borrow->conn = pooled->conn;
    end_borrow(pool, borrow, ERR_OK);
    (void)pool_lent_due(&pool->rules, &pooled->entry, &next_ms); /* not due yet: when? */
    arm(pool, next_ms);
}

static struct pg_pooled *last_used(struct pg_pool *pool)
{
    struct list *head = &pool->in[PG_POOLED_IDLE];

    return list_empty(head) ? NULL : CONTAINER_OF(head->next, struct pg_pooled, node);
}

static void serve(struct pg_pool *pool)
{
    struct pg_borrow *borrow;
    struct pg_pooled *pooled;
    uint64_t never = UINT64_MAX;

    while ((pooled = last_used(pool)) && (borrow = whose_turn(pool))) {
        if (pool_idle_due(&pool->rules, &pooled->entry, &never) == POOL_DUE_EVICT) {
            pool_drop_idle(&pool->rules, false);
            pg_pooled_close(pooled);
        } else if (pool_is_fresh(&pool->rules, &pooled->entry)) {
            lend(pool, pooled, borrow);
        } else {
            break;
        }
    }
    for (uint32_t n = pool_checks_wanted(&pool->rules); n > 0 && (pooled = last_used(pool)); n--)
        pg_pooled_ping(pooled, NULL);
}

static void publish(struct pg_pool *pool)
{
    const struct pool *rules = &pool->rules;
    uint32_t active = 0, pending = 0;

    for (unsigned s = 0; s < POOL_SHARE_COUNT; s++) {
        active += rules->lent[s];
        pending += rules->waiting[s];
        atomic_store_explicit(&pool->limit[s], pool_limit(rules, (enum pool_share)s),
                              memory_order_relaxed);
    }
    atomic_store_explicit(&pool->total, pool_total(rules), memory_order_relaxed);
    atomic_store_explicit(&pool->active, active, memory_order_relaxed);
    atomic_store_explicit(&pool->idle, pool_total(rules) - active, memory_order_relaxed);
    atomic_store_explicit(&pool->pending, pending, memory_order_relaxed);
    atomic_store_explicit(&pool->peak, rules->peak, memory_order_relaxed);
    atomic_store_explicit(&pool->recommended_max, pool_recommended_max(rules),
                          memory_order_relaxed);
}

/* Of those that are being looked at, the first is the oldest. */
static uint64_t when_slow(struct pg_pool *pool)
{
    struct list *head = &pool->in[PG_POOLED_CHECKING];
    uint64_t next_ms = UINT64_MAX;

    if (!list_empty(head))
        (void)pool_is_slow(&pool->rules, &CONTAINER_OF(head->next, struct pg_pooled, node)->entry,
                           &next_ms);
    return next_ms;
}

void pg_pool_settle(struct pg_pool *pool)
{
    uint64_t next_ms = UINT64_MAX;

    if (pool->closing)
        return;
    bool open = pg_pool_is_open(pool);
    pool_set_probing(&pool->rules, open);
    if (open) {
        send_all_away(pool);
        next_ms = loop_now_ms(pool->loop) + POOL_PROBE_MS;
    }
    serve(pool);
    pg_pool_open_more(pool);
    next_ms = MIN(next_ms, when_slow(pool));
    pool_pass(&pool->rules, &next_ms);
    arm(pool, next_ms);
    publish(pool);
}

/* ---- as time goes by ---- */

static void look_at_idle(struct pg_pool *pool, uint64_t *next_ms)
{
    struct pg_pooled *pooled;

    LIST_FOREACH (pooled, &pool->in[PG_POOLED_IDLE], struct pg_pooled, node)
        switch (pool_idle_due(&pool->rules, &pooled->entry, next_ms)) {
        case POOL_DUE_EVICT:
            pool_drop_idle(&pool->rules, false);
            pg_pooled_close(pooled);
            break;
        case POOL_DUE_CHECK:
            pg_pooled_ping(pooled, NULL);
            break;
        case POOL_DUE_NOTHING:
        case POOL_DUE_LEAK:
        case POOL_DUE_RECLAIM:
            break;
        }
}

static void tell_leak(struct pg_pool *pool, const struct pg_pooled *pooled, const char *event)
{
    LOG(LOG_WARN, event, LOG_CSTR("borrowed_at", pooled->where),
        LOG_CSTR("request", pooled->request_id),
        LOG_INT("held_ms", pool->rules.now_ms - pooled->entry.lent_ms));
}

static void reclaim(struct pg_pool *pool, struct pg_pooled *pooled)
{
    tell_leak(pool, pooled, "pool: a connection was taken away from who did not return it");
    pool_reclaim(&pool->rules, &pooled->entry);
    pg_pooled_move(pooled, PG_POOLED_LOST);
    pg_pool_give_back(pool, pooled->permit);
    pg_conn_break(pooled->conn);
}

/* A server that does not answer one is likely not to answer the others. */
static void look_at_checked(struct pg_pool *pool, uint64_t *next_ms)
{
    struct pg_pooled *pooled;

    LIST_FOREACH (pooled, &pool->in[PG_POOLED_CHECKING], struct pg_pooled, node)
        (void)pool_is_slow(&pool->rules, &pooled->entry, next_ms);
}

static void look_at_lent(struct pg_pool *pool, uint64_t *next_ms)
{
    struct pg_pooled *pooled;

    LIST_FOREACH (pooled, &pool->in[PG_POOLED_LENT], struct pg_pooled, node)
        switch (pool_lent_due(&pool->rules, &pooled->entry, next_ms)) {
        case POOL_DUE_LEAK:
            atomic_fetch_add(&pool->leaked, 1);
            tell_leak(pool, pooled, "pool: a connection has not been returned");
            break;
        case POOL_DUE_RECLAIM:
            reclaim(pool, pooled);
            break;
        case POOL_DUE_NOTHING:
        case POOL_DUE_CHECK:
        case POOL_DUE_EVICT:
            break;
        }
}

static void look_at_line(struct pg_pool *pool, uint64_t *next_ms)
{
    struct pg_borrow *borrow;

    for (size_t s = 0; s < POOL_SHARE_COUNT; s++)
        LIST_FOREACH (borrow, &pool->waiting[s], struct pg_borrow, node) {
            if (borrow->until_ms <= pool->rules.now_ms)
                leave_line(pool, borrow, ERR_TIMEOUT);
            else
                *next_ms = MIN(*next_ms, borrow->until_ms);
        }
}

/* The breaker is open: ask the database whether it is back, beside the calls that are refused. */
static void probe(struct pg_pool *pool)
{
    struct pg_pooled *pooled = last_used(pool);
    uint64_t now_ms = pool->rules.now_ms;

    if (!pooled || !pool->rules.probing || now_ms < pool->probed_ms + POOL_PROBE_MS)
        return;
    pool->probed_ms = now_ms;
    pg_pooled_ping(pooled, NULL);
}

static void look(struct loop_timer *timer)
{
    struct pg_pool *pool = CONTAINER_OF(timer, struct pg_pool, timer);
    uint64_t next_ms = UINT64_MAX;

    pool->armed_ms = UINT64_MAX;
    if (pool_time(&pool->rules, loop_now_ms(pool->loop)))
        LOG(LOG_WARN, "pool: the clock has stepped back, connections are renewed");
    look_at_line(pool, &next_ms);
    look_at_checked(pool, &next_ms);
    look_at_lent(pool, &next_ms);
    look_at_idle(pool, &next_ms);
    probe(pool);
    pg_pool_settle(pool);
    /* what became idle or was lent meanwhile has a date later than these */
    arm(pool, MIN(next_ms, pool->rules.now_ms + POOL_WINDOW_MS));
}

/* ---- what callers see ---- */

void pg_pool_borrow(struct pg_pool *pool, struct pg_borrow *borrow)
{
    uint64_t now_ms = loop_now_ms(pool->loop);
    uint64_t until_ms = now_ms + pool->rules.options.connection_timeout_ms;

    list_init(&borrow->node);
    borrow->pool = pool;
    borrow->conn = NULL;
    borrow->began_ns = clock_mono_ns();
    borrow->until_ms = borrow->deadline_ms ? MIN(borrow->deadline_ms, until_ms) : until_ms;
    if (pool->closing || !pg_pool_ask_breaker(pool, &borrow->permit)) {
        end_borrow(pool, borrow, ERR_UNAVAILABLE);
        return;
    }
    pool_time(&pool->rules, now_ms);
    borrow->ticket = pool_wait(&pool->rules, borrow->share);
    list_append(&pool->waiting[borrow->share], &borrow->node);
    pg_pool_settle(pool);
    if (!borrow->conn)
        arm(pool, borrow->until_ms);
}

static void tell_call(struct pg_pool *pool, const struct pg_pooled *pooled)
{
    const struct pg_tally *tally = &pooled->conn->tally;

    if (tally->exchanges > 0)
        pg_pool_tell_breaker(pool, pooled->permit, tally->failed > 0, tally->slowest_ns);
    else
        pg_pool_give_back(pool, pooled->permit);
    if (tally->read_only)
        pool_renew(&pool->rules);
    if (pool->metrics)
        metrics_pool(pool->metrics, METRIC_pool_usage, clock_mono_ns() - pooled->began_ns);
}

void pg_pool_return(struct pg_pool *pool, struct pg_conn *conn)
{
    struct pg_pooled *pooled = conn->owner;

    ASSERT(pooled->pool == pool && !conn->exchange);
    if (pooled->state == PG_POOLED_LOST) {
        pg_pooled_close(pooled);
        return;
    }
    ASSERT(pooled->state == PG_POOLED_LENT);
    pool_time(&pool->rules, loop_now_ms(pool->loop));
    tell_call(pool, pooled);
    if (!pool_return(&pool->rules, &pooled->entry, pg_conn_is_good(conn))) {
        pg_pooled_close(pooled);
    } else {
        pg_pooled_move(pooled, PG_POOLED_IDLE);
        if (pg_conn_in_transaction(conn))
            pg_pooled_ping(pooled, "ROLLBACK");
    }
    pg_pool_settle(pool);
}

void pg_pool_renew(struct pg_pool *pool)
{
    pool_renew(&pool->rules);
    arm(pool, 0); /* those that are idle go at once */
}

/* ---- beginning and end ---- */

struct pg_pool *pg_pool_new(struct loop *loop, const struct pg_source *source,
                            const struct pg_pool_options *options)
{
    struct pg_pool *pool = mem_alloc(sizeof *pool);

    if (!pool)
        return NULL;
    pool->loop = loop;
    pool->source = source;
    pool->metrics = options->metrics;
    pool->armed_ms = UINT64_MAX;
    pool->timer.run = look;
    for (size_t i = 0; i < PG_POOLED_STATE_COUNT; i++)
        list_init(&pool->in[i]);
    for (size_t s = 0; s < POOL_SHARE_COUNT; s++)
        list_init(&pool->waiting[s]);
    ASSERT(pthread_mutex_init(&pool->lock, NULL) == 0);
    pool_init(&pool->rules, &options->rules, loop_now_ms(loop));
    breaker_init(&pool->breaker, &options->breaker, loop_now_ms(loop));
    arm(pool, 0); /* begins to fill on the loop's own thread */
    if (pool->armed_ms == UINT64_MAX)
        return pg_pool_free(pool);
    return pool;
}

static void close_all(struct pg_pool *pool, enum pg_pooled_state state)
{
    struct pg_pooled *pooled;

    LIST_FOREACH (pooled, &pool->in[state], struct pg_pooled, node) {
        bool ended = state == PG_POOLED_CHECKING && !pooled->conn->exchange;
        if (ended) { /* `pinged` is on its way */
            list_remove(&pooled->node);
            pooled->pool = NULL;
            continue;
        }
        pooled->conn->exchange = NULL;
        pg_exchange_fini(&pooled->ping);
        pg_pooled_close(pooled);
    }
}

struct pg_pool *pg_pool_free(struct pg_pool *pool)
{
    struct pg_borrow *borrow;

    if (!pool)
        return NULL;
    ASSERT(list_empty(&pool->in[PG_POOLED_LENT]) && list_empty(&pool->in[PG_POOLED_LOST]));
    pool->closing = true;
    loop_timer_stop(&pool->timer);
    for (size_t s = 0; s < POOL_SHARE_COUNT; s++)
        LIST_FOREACH (borrow, &pool->waiting[s], struct pg_borrow, node) {
            list_remove(&borrow->node);
            borrow->err = ERR_UNAVAILABLE;
            borrow->done(borrow);
        }
    close_all(pool, PG_POOLED_OPENING);
    close_all(pool, PG_POOLED_IDLE);
    close_all(pool, PG_POOLED_CHECKING);
    pthread_mutex_destroy(&pool->lock);
    return mem_free(pool);
}
