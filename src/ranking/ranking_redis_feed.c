// SPDX-License-Identifier: Apache-2.0
/*
 * The queue. What comes is sent in the order in which it came, copies among it; a sum that is still
 * waiting is overwritten by a newer one of its day and product, so at most one of each waits,
 * however much is sold while the store is slow or away.
 */
#include <string.h>
#include <time.h>

#include "base/hash.h"
#include "base/mem.h"
#include "ranking/ranking_redis_internal.h"

enum { WAIT_MS = 3000 };

/* ---- the queue; with the lock ---- */

static struct feed_item **cell_of(struct redis_ranking *ranking, const struct ranking_sum *sum)
{
    uint64_t hash = hash_u64((uint64_t)sum->sum.product_id ^ hash_u64((uint64_t)sum->day));

    return &ranking->cells[hash % QUEUE_CELLS];
}

static struct feed_item *queued_sum(struct redis_ranking *ranking, const struct ranking_sum *sum)
{
    struct feed_item *item = *cell_of(ranking, sum);

    while (item && (item->sum.day != sum->day || item->sum.sum.product_id != sum->sum.product_id))
        item = item->chain;
    return item;
}

static void cell_add(struct redis_ranking *ranking, struct feed_item *item)
{
    struct feed_item **cell = cell_of(ranking, &item->sum);

    item->chain = *cell;
    item->in_cell = true;
    *cell = item;
}

static void cell_remove(struct redis_ranking *ranking, struct feed_item *item)
{
    struct feed_item **slot = cell_of(ranking, &item->sum);

    if (!item->in_cell)
        return;
    while (*slot != item)
        slot = &(*slot)->chain;
    *slot = item->chain;
    item->in_cell = false;
}

static bool is_waited_for(const struct feed_item *item)
{
    return item->kind >= ITEM_BEGIN;
}

void rr_wake(struct redis_ranking *ranking)
{
    if (ranking->woken)
        return;
    ranking->woken = true;
    loop_send(ranking->loop, &ranking->wake);
}

static void queue_add(struct redis_ranking *ranking, struct feed_item *item)
{
    list_append(&ranking->queue, &item->node);
    ranking->queued++;
    if (item->kind == ITEM_SUM)
        cell_add(ranking, item);
    rr_wake(ranking);
}

void rr_queue_take(struct redis_ranking *ranking, struct feed_item *item)
{
    cell_remove(ranking, item);
    list_remove(&item->node);
    ranking->queued--;
    list_append(&ranking->flight, &item->node);
}

/* To the front, in their order. They are not found there any more: a newer one comes after them. */
void rr_queue_give_back(struct redis_ranking *ranking)
{
    for (struct list *node = ranking->flight.next; node != &ranking->flight; node = node->next)
        ranking->queued++;
    list_splice(&ranking->flight, &ranking->queue);
    list_splice(&ranking->queue, &ranking->flight);
}

void rr_flight_end(struct redis_ranking *ranking, enum rr_code code)
{
    struct feed_item *item;

    LIST_FOREACH (item, &ranking->flight, struct feed_item, node) {
        list_remove(&item->node);
        item->code = code;
        item->over = true;
        if (!is_waited_for(item))
            mem_free(item);
    }
    pthread_cond_broadcast(&ranking->changed);
}

void rr_queue_drop(struct redis_ranking *ranking)
{
    struct feed_item *item;

    LIST_FOREACH (item, &ranking->queue, struct feed_item, node)
        if (!is_waited_for(item)) {
            cell_remove(ranking, item);
            list_remove(&item->node);
            ranking->queued--;
            mem_free(item);
        }
}

static struct feed_item *item_new(struct redis_ranking *ranking, enum item_kind kind,
                                  const struct ranking_sum *sum)
{
    struct feed_item *item =
        ranking->queued < QUEUE_MAX ? mem_alloc(sizeof *item + sum->category.len + 1) : NULL;

    if (!item)
        return NULL;
    item->kind = kind;
    item->sum = *sum;
    if (sum->category.len)
        memcpy(item->category, sum->category.ptr, sum->category.len);
    item->sum.category.ptr = item->category;
    return item;
}

/* ---- what comes from outside ---- */

/* False: what comes now is lost. */
static bool accepts(struct redis_ranking *ranking)
{
    if (ranking->fault)
        rr_lose(ranking);
    return !ranking->lost;
}

static void add(struct redis_ranking *ranking, enum item_kind kind, const struct ranking_sum *sum)
{
    struct feed_item *item = item_new(ranking, kind, sum);

    if (item)
        queue_add(ranking, item);
    else
        rr_lose(ranking);
}

static void put_one(struct redis_ranking *ranking, const struct ranking_sum *sum)
{
    struct feed_item *item = queued_sum(ranking, sum);

    if (!item) {
        add(ranking, ITEM_SUM, sum);
        return;
    }
    if (sum->category_version > item->sum.category_version)
        add(ranking, ITEM_MOVE, sum); /* what is waiting keeps its own */
    if (sum->version <= item->sum.version)
        return;
    item->sum.version = sum->version;
    item->sum.sum = sum->sum;
}

static bool is_copier(const struct redis_ranking *ranking)
{
    return ranking->copying && pthread_equal(ranking->copier, pthread_self());
}

/* Queues it and waits for its end. */
static enum rr_code run(struct redis_ranking *ranking, struct feed_item *item)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += WAIT_MS / 1000;
    item->code = RR_FAILED;
    item->over = false;
    queue_add(ranking, item);
    while (!item->over)
        if (pthread_cond_timedwait(&ranking->changed, &ranking->lock, &until) != 0 && !item->over) {
            struct feed_item *waiting;
            LIST_FOREACH (waiting, &ranking->queue, struct feed_item, node)
                if (waiting == item) {
                    list_remove(&item->node);
                    ranking->queued--;
                    return RR_FAILED;
                }
            until.tv_sec++; /* it is being sent, and ends by its own deadline */
        }
    return item->code;
}

static enum err put_awaited(struct redis_ranking *ranking, bool of_copy,
                            const struct ranking_sum *sums, size_t count)
{
    for (size_t at = 0; at < count; at += SUMS_AT_ONCE) {
        struct feed_item item = { .kind = ITEM_PUT,
                                  .of_copy = of_copy,
                                  .sums = sums + at,
                                  .count = MIN(count - at, SUMS_AT_ONCE) };
        if (run(ranking, &item) != RR_OK)
            return ERR_UNAVAILABLE;
    }
    return ERR_OK;
}

static void put_copy(struct redis_ranking *ranking, const struct ranking_sum *sums, size_t count)
{
    if (!ranking->copy_failed && put_awaited(ranking, true, sums, count) != ERR_OK)
        ranking->copy_failed = true;
}

static bool is_away(const struct redis_ranking *ranking)
{
    return ranking->fault || !ranking->reachable;
}

enum err rr_put_surely(struct ranking *base, const struct ranking_sum *sums, size_t count)
{
    struct redis_ranking *ranking = redis_ranking_self(base);
    enum err e = ERR_UNAVAILABLE;

    pthread_mutex_lock(&ranking->lock);
    if (!is_away(ranking))
        e = put_awaited(ranking, false, sums, count);
    pthread_mutex_unlock(&ranking->lock);
    return e;
}

void rr_put(struct ranking *base, const struct ranking_sum *sums, size_t count)
{
    struct redis_ranking *ranking = redis_ranking_self(base);

    pthread_mutex_lock(&ranking->lock);
    if (count && accepts(ranking)) {
        if (is_copier(ranking))
            put_copy(ranking, sums, count);
        else
            for (size_t i = 0; i < count && !ranking->lost; i++)
                put_one(ranking, &sums[i]);
    }
    pthread_mutex_unlock(&ranking->lock);
}

void rr_move(struct ranking *base, int64_t product_id, struct str category, int64_t version)
{
    struct redis_ranking *ranking = redis_ranking_self(base);
    struct ranking_sum sum = { .sum.product_id = product_id,
                               .category = category,
                               .category_version = version };

    pthread_mutex_lock(&ranking->lock);
    if (accepts(ranking))
        add(ranking, ITEM_MOVE, &sum);
    pthread_mutex_unlock(&ranking->lock);
}

void rr_forget_before(struct ranking *base, int64_t day)
{
    struct redis_ranking *ranking = redis_ranking_self(base);
    struct ranking_sum sum = { .day = day };

    pthread_mutex_lock(&ranking->lock);
    if (day > ranking->floor_day) {
        ranking->floor_day = day;
        ranking->version++;
    }
    if (!ranking->lost && !ranking->fault) /* else a copy says the day */
        add(ranking, ITEM_FORGET, &sum);
    pthread_mutex_unlock(&ranking->lock);
}

/* ---- copies ---- */

static enum err copy_begin(struct redis_ranking *ranking, int64_t from_day)
{
    struct feed_item item = { .kind = ITEM_BEGIN, .sum.day = from_day };

    ranking->copying = false;
    if (is_away(ranking))
        return ERR_UNAVAILABLE;
    enum rr_code code = run(ranking, &item);
    if (code != RR_OK)
        return code == RR_BUSY ? ERR_CONFLICT : ERR_UNAVAILABLE;
    ranking->floor_day = from_day;
    ranking->copying = true;
    ranking->copy_failed = false;
    ranking->copier = pthread_self();
    return ERR_OK;
}

enum err rr_copy_begin(struct ranking *base, int64_t from_day)
{
    struct redis_ranking *ranking = redis_ranking_self(base);

    pthread_mutex_lock(&ranking->lock);
    enum err e = copy_begin(ranking, from_day);
    pthread_mutex_unlock(&ranking->lock);
    return e;
}

enum err rr_copy_end(struct ranking *base)
{
    struct redis_ranking *ranking = redis_ranking_self(base);
    struct feed_item item = { .kind = ITEM_END };

    pthread_mutex_lock(&ranking->lock);
    bool whole = ranking->copying && !ranking->copy_failed && !ranking->fault &&
                 run(ranking, &item) == RR_OK;
    ranking->copying = false;
    pthread_mutex_unlock(&ranking->lock);
    return whole ? ERR_OK : ERR_UNAVAILABLE;
}

void rr_settle(struct ranking *base)
{
    struct redis_ranking *ranking = redis_ranking_self(base);

    pthread_mutex_lock(&ranking->lock);
    while (!ranking->fault &&
           (ranking->lost || !list_empty(&ranking->queue) || !list_empty(&ranking->flight)))
        pthread_cond_wait(&ranking->changed, &ranking->lock);
    pthread_mutex_unlock(&ranking->lock);
}
