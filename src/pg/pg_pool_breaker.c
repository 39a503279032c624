// SPDX-License-Identifier: Apache-2.0
/* The breaker "postgres". A call is what one borrower did: failed if one of its exchanges was, and
 * as slow as the slowest of them. */
#include "base/log.h"
#include "pg/pg_pool_internal.h"

static void tell_state(enum breaker_state before, enum breaker_state after)
{
    if (before != after)
        LOG(LOG_WARN, "the database's breaker has changed",
            LOG_CSTR("from", breaker_state_name(before)),
            LOG_CSTR("to", breaker_state_name(after)));
}

bool pg_pool_ask_breaker(struct pg_pool *pool, struct breaker_permit *ret_permit)
{
    pthread_mutex_lock(&pool->lock);
    bool permitted = breaker_ask(&pool->breaker, loop_now_ms(pool->loop), ret_permit);
    pthread_mutex_unlock(&pool->lock);
    return permitted;
}

void pg_pool_give_back(struct pg_pool *pool, struct breaker_permit permit)
{
    pthread_mutex_lock(&pool->lock);
    breaker_give_back(&pool->breaker, permit);
    pthread_mutex_unlock(&pool->lock);
}

void pg_pool_tell_breaker(struct pg_pool *pool, struct breaker_permit permit, bool failed,
                          uint64_t took_ns)
{
    pthread_mutex_lock(&pool->lock);
    enum breaker_state before = pool->breaker.state;
    breaker_done(&pool->breaker, loop_now_ms(pool->loop), permit, failed, took_ns / 1000000);
    enum breaker_state after = pool->breaker.state;
    pthread_mutex_unlock(&pool->lock);
    tell_state(before, after);
    if (pool->metrics)
        metrics_breaker(pool->metrics, METRICS_BREAKER_POSTGRES, failed, took_ns);
}

/* Only while it is closed: later it is the calls that are let through for trial that tell. */
void pg_pool_tell_unopened(struct pg_pool *pool, uint64_t took_ns)
{
    struct breaker_permit permit;

    pthread_mutex_lock(&pool->lock);
    bool counts = pool->breaker.state == BREAKER_CLOSED &&
                  breaker_ask(&pool->breaker, loop_now_ms(pool->loop), &permit);
    pthread_mutex_unlock(&pool->lock);
    if (counts)
        pg_pool_tell_breaker(pool, permit, true, took_ns);
}

void pg_pool_probed(struct pg_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    enum breaker_state before = pool->breaker.state;
    breaker_probed(&pool->breaker, loop_now_ms(pool->loop));
    enum breaker_state after = pool->breaker.state;
    pthread_mutex_unlock(&pool->lock);
    tell_state(before, after);
}

bool pg_pool_is_open(struct pg_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    enum breaker_state state = breaker_status(&pool->breaker, loop_now_ms(pool->loop)).state;
    pthread_mutex_unlock(&pool->lock);
    return state == BREAKER_OPEN || state == BREAKER_FORCED_OPEN;
}
