// SPDX-License-Identifier: Apache-2.0
#include "ranking/ranking_redis.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>

#include "base/assert.h"
#include "base/mem.h"
#include "ranking/ranking_redis_internal.h"

enum { TIMEOUT_MS = 10, FLUSH_EVERY_MS = 20, STEP_PRODUCTS = 128, FIRST_ANSWER_S = 1 };

/* ---- what is known; with the lock ---- */

uint64_t rr_ticket(struct redis_ranking *ranking)
{
    return ++ranking->tickets;
}

/*
 * Answers come over several connections. One that was asked for later tells more, and so does one
 * of a higher version; what is neither is old.
 */
void rr_view_take(struct redis_ranking *ranking, uint64_t ticket, const struct rr_header *header)
{
    bool newer = header->readable && header->version > ranking->remote_version;

    if (ticket < ranking->newest && !newer)
        return;
    ranking->newest = MAX(ranking->newest, ticket);
    if (!ranking->reachable || ranking->readable != header->readable ||
        ranking->remote_version != header->version || ranking->from_day != header->from_day)
        ranking->version++;
    ranking->reachable = true;
    ranking->readable = header->readable;
    ranking->remote_version = header->version;
    ranking->as_of_ms = header->as_of_ms;
    ranking->from_day = header->from_day;
}

void rr_view_away(struct redis_ranking *ranking)
{
    ranking->version += ranking->reachable;
    ranking->reachable = false;
}

static bool is_incomplete(const struct redis_ranking *ranking)
{
    return ranking->lost || !ranking->readable;
}

void rr_lose(struct redis_ranking *ranking)
{
    ranking->version += !is_incomplete(ranking);
    ranking->lost = true;
    rr_queue_drop(ranking);
    rr_wake(ranking);
}

static struct ranking_status status(struct ranking *base)
{
    struct redis_ranking *ranking = redis_ranking_self(base);

    pthread_mutex_lock(&ranking->lock);
    struct ranking_status result = { .readable = ranking->reachable && !is_incomplete(ranking) &&
                                                 !ranking->fault,
                                     .incomplete = is_incomplete(ranking),
                                     .from_day = MAX(ranking->from_day, ranking->floor_day),
                                     .version = ranking->version,
                                     .as_of_ms = ranking->as_of_ms };
    pthread_mutex_unlock(&ranking->lock);
    return result;
}

static void fault_set(struct ranking *base, bool on)
{
    struct redis_ranking *ranking = redis_ranking_self(base);

    pthread_mutex_lock(&ranking->lock);
    ranking->version += ranking->fault != on;
    ranking->fault = on;
    rr_wake(ranking);
    pthread_cond_broadcast(&ranking->changed);
    pthread_mutex_unlock(&ranking->lock);
}

/* ---- open, close ---- */

static const struct ranking_backend redis_backend = {
    .source = "redis",
    .put = rr_put,
    .put_surely = rr_put_surely,
    .move = rr_move,
    .copy_begin = rr_copy_begin,
    .copy_end = rr_copy_end,
    .forget_before = rr_forget_before,
    .status = status,
    .fault_set = fault_set,
    .read = rr_read,
    .client_new = rr_client_new,
    .client_free = rr_client_free,
};

static struct redis_ranking *parts_free(struct redis_ranking *ranking)
{
    if (ranking->loop)
        loop_timer_stop(&ranking->timer);
    if (ranking->redis)
        ranking->redis = redis_free(ranking->redis);
    ranking->loop = loop_free(ranking->loop);
    rr_queue_drop(ranking);
    pthread_cond_destroy(&ranking->changed);
    pthread_mutex_destroy(&ranking->lock);
    return mem_free(ranking);
}

static void fill_in(struct ranking_redis_options *options)
{
    if (!options->timeout_ms)
        options->timeout_ms = TIMEOUT_MS;
    if (!options->flush_every_ms)
        options->flush_every_ms = FLUSH_EVERY_MS;
    if (!options->step_products)
        options->step_products = STEP_PRODUCTS;
}

static void init(struct redis_ranking *ranking, const struct ranking_redis_options *options)
{
    pthread_condattr_t attr;
    uint64_t random = 0;

    ranking->base.backend = &redis_backend;
    ranking->options = *options;
    fill_in(&ranking->options);
    ASSERT(getrandom(&random, sizeof random, 0) == sizeof random);
    snprintf(ranking->token, sizeof ranking->token, "%016" PRIx64, random);
    pthread_mutex_init(&ranking->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&ranking->changed, &attr);
    pthread_condattr_destroy(&attr);
    list_init(&ranking->queue);
    list_init(&ranking->flight);
    list_init(&ranking->clients);
    rr_thread_init(ranking);
}

static enum err start(struct redis_ranking *ranking)
{
    struct redis_options options = ranking->options.redis;

    ranking->loop = loop_new();
    if (!ranking->loop)
        return ERR_NOMEM;
    /* The thread has no slot of metrics. */
    options.metrics = NULL;
    ranking->redis = redis_new(ranking->loop, &options);
    if (!ranking->redis)
        return ERR_NOMEM;
    TRY(loop_timer_start(ranking->loop, &ranking->timer, 1));
    return pthread_create(&ranking->thread, NULL, rr_thread, ranking) == 0 ? ERR_OK : ERR_NOMEM;
}

static void wait_for_answer(struct redis_ranking *ranking)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += FIRST_ANSWER_S;
    pthread_mutex_lock(&ranking->lock);
    while (!ranking->reachable &&
           pthread_cond_timedwait(&ranking->changed, &ranking->lock, &until) == 0)
        ;
    pthread_mutex_unlock(&ranking->lock);
}

enum err ranking_redis_open(const struct ranking_redis_options *options,
                            struct ranking **ret_ranking)
{
    struct redis_ranking *ranking = mem_alloc(sizeof *ranking);

    ASSERT(options->boards_max > 0);
    if (!ranking)
        return ERR_NOMEM;
    init(ranking, options);
    enum err e = start(ranking);
    if (e != ERR_OK) {
        parts_free(ranking);
        return e;
    }
    wait_for_answer(ranking);
    *ret_ranking = &ranking->base;
    return ERR_OK;
}

struct ranking *ranking_redis_close(struct ranking *base)
{
    struct redis_ranking *ranking;

    if (!base)
        return NULL;
    ranking = redis_ranking_self(base);
    pthread_mutex_lock(&ranking->lock);
    ranking->stopping = true;
    rr_wake(ranking);
    pthread_mutex_unlock(&ranking->lock);
    pthread_join(ranking->thread, NULL);
    parts_free(ranking);
    return NULL;
}

struct redis_stats ranking_redis_stats(struct ranking *base)
{
    struct redis_ranking *ranking = redis_ranking_self(base);
    struct redis_stats sum = redis_stats(ranking->redis);
    struct redis_client *client;

    pthread_mutex_lock(&ranking->lock);
    LIST_FOREACH (client, &ranking->clients, struct redis_client, node) {
        struct redis_stats one = redis_stats(client->redis);
        redis_stats_add(&sum, &one);
    }
    pthread_mutex_unlock(&ranking->lock);
    return sum;
}
