// SPDX-License-Identifier: Apache-2.0
/*
 * The thread that sends what is queued, one call after the other, so that what it sends is done in
 * that order. With nothing to send it asks four times a second how the copy is: others change it.
 */
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "ranking/ranking_redis_internal.h"

#include <stdio.h>

enum {
    TICK_MS = 50,
    STATUS_EVERY_MS = 250,
    CALL_MS = 250,
    RETRY_MS = 50,
    STOP_MS = 500,
    FAILURES_SAID = 5, /* in a row: about a quarter of a second */
    SWEEP_PRODUCTS = 200,
};

static void next(struct redis_ranking *ranking);
static void done(struct redis_call *call);

static void send_call(struct redis_ranking *ranking, enum sending what, bool read_only)
{
    ranking->sending = what;
    ranking->call = (struct redis_call){ .done = done,
                                         .argc = ranking->args.argc,
                                         .argv = ranking->argv,
                                         .argv_bytes = ranking->bytes,
                                         .key = STR(RANKING_REDIS_KEY),
                                         .deadline_ms = loop_now_ms(ranking->loop) + CALL_MS,
                                         .read_only = read_only };
    redis_call(ranking->redis, &ranking->call);
}

/* ---- commands ---- */

static void load_args(struct rr_args *args)
{
    args->argc = args->used = 0;
    rr_args_text(args, STR("FUNCTION"));
    rr_args_text(args, STR("LOAD"));
    rr_args_text(args, STR("REPLACE"));
    rr_args_text(args, (struct str){ ranking_redis_library, ranking_redis_library_bytes });
}

static void sweep_args(struct redis_ranking *ranking)
{
    struct rr_args *args = &ranking->args;

    rr_args_call(args, RANKING_REDIS_NAME("sweep"), false);
    rr_args_text(args, str_from(ranking->sweep_at));
    rr_args_int(args, SWEEP_PRODUCTS);
}

/* As many sums as there are at the front of the queue, up to a batch. */
static void sums_args(struct redis_ranking *ranking)
{
    struct rr_args *args = &ranking->args;

    rr_args_call(args, RANKING_REDIS_NAME("put"), false);
    rr_args_text(args, STR(""));
    rr_args_int(args, clock_wall_ms());
    for (size_t i = 0; i < SUMS_AT_ONCE && !list_empty(&ranking->queue); i++) {
        struct feed_item *item = CONTAINER_OF(ranking->queue.next, struct feed_item, node);
        if (item->kind != ITEM_SUM)
            break;
        rr_queue_take(ranking, item);
        rr_args_sum(args, &item->sum);
    }
}

static void awaited_args(struct redis_ranking *ranking, const struct feed_item *item)
{
    struct rr_args *args = &ranking->args;

    rr_args_call(args, RANKING_REDIS_NAME("put"), false);
    rr_args_text(args, item->of_copy ? str_from(ranking->token) : STR(""));
    rr_args_int(args, clock_wall_ms());
    for (size_t i = 0; i < item->count; i++)
        rr_args_sum(args, &item->sums[i]);
}

static void item_args(struct redis_ranking *ranking, struct feed_item *item)
{
    struct rr_args *args = &ranking->args;

    if (item->kind == ITEM_SUM) {
        sums_args(ranking);
        return;
    }
    rr_queue_take(ranking, item);
    switch (item->kind) {
    case ITEM_MOVE:
        rr_args_call(args, RANKING_REDIS_NAME("move"), false);
        rr_args_int(args, item->sum.sum.product_id);
        rr_args_text(args, item->sum.category);
        rr_args_int(args, item->sum.category_version);
        return;
    case ITEM_FORGET:
        rr_args_call(args, RANKING_REDIS_NAME("forget"), false);
        rr_args_int(args, item->sum.day);
        return;
    case ITEM_BEGIN:
        rr_args_call(args, RANKING_REDIS_NAME("copy_begin"), false);
        rr_args_text(args, str_from(ranking->token));
        rr_args_int(args, item->sum.day);
        return;
    case ITEM_PUT:
        awaited_args(ranking, item);
        return;
    case ITEM_END:
        rr_args_call(args, RANKING_REDIS_NAME("copy_end"), false);
        rr_args_text(args, str_from(ranking->token));
        return;
    case ITEM_SUM:
        return;
    }
}

/* ---- answers ---- */

static void say_away(struct redis_ranking *ranking, enum err e, const redisReply *reply)
{
    if (++ranking->failures == FAILURES_SAID)
        LOG(LOG_WARN, "ranking: the store does not answer", LOG_CSTR("error", err_name(e)),
            LOG_CSTR("reply", reply && reply->type == REDIS_REPLY_ERROR ? reply->str : ""));
}

static void failed(struct redis_ranking *ranking, const struct redis_call *call)
{
    struct feed_item *first = CONTAINER_OF(ranking->flight.next, struct feed_item, node);

    if (rr_is_unknown_function(call->reply))
        ranking->loaded = false;
    else
        say_away(ranking, call->err, call->reply);
    rr_view_away(ranking);
    ranking->retry_at_ms = loop_now_ms(ranking->loop) + RETRY_MS;
    if (list_empty(&ranking->flight))
        return;
    if (first->kind >= ITEM_BEGIN && !rr_is_unknown_function(call->reply))
        rr_flight_end(ranking, RR_FAILED);
    else
        rr_queue_give_back(ranking);
}

static void sweep_on(struct redis_ranking *ranking, const redisReply *reply)
{
    const redisReply *at = reply->elements > 5 ? reply->element[5] : NULL;
    bool more =
        at && at->type == REDIS_REPLY_STRING && at->len > 0 && at->len < sizeof ranking->sweep_at;

    ranking->sweeping = more;
    snprintf(ranking->sweep_at, sizeof ranking->sweep_at, "%s", more ? at->str : "-inf");
}

static void answered(struct redis_ranking *ranking, const struct rr_header *header,
                     const struct redis_call *call)
{
    if (ranking->failures >= FAILURES_SAID)
        LOG(LOG_INFO, "ranking: the store answers again");
    ranking->failures = 0;
    rr_view_take(ranking, ranking->ticket, header);
    if (ranking->sending == SENDING_LOSE)
        ranking->lost = false;
    if (ranking->sending == SENDING_SWEEP)
        sweep_on(ranking, call->reply);
    rr_flight_end(ranking, header->code);
}

static bool is_loaded(const struct redis_call *call)
{
    return call->err == ERR_OK && call->reply->type != REDIS_REPLY_ERROR;
}

static void done(struct redis_call *call)
{
    struct redis_ranking *ranking = CONTAINER_OF(call, struct redis_ranking, call);
    struct rr_header header = rr_header_of(call->err, call->reply);

    pthread_mutex_lock(&ranking->lock);
    if (ranking->sending == SENDING_LOAD && is_loaded(call))
        ranking->loaded = true;
    else if (header.code == RR_FAILED)
        failed(ranking, call);
    else
        answered(ranking, &header, call);
    if (ranking->sending == SENDING_ITEMS)
        ranking->flush_at_ms = loop_now_ms(ranking->loop) + ranking->options.flush_every_ms;
    if (ranking->sending != SENDING_LOAD)
        ranking->status_at_ms = loop_now_ms(ranking->loop) + STATUS_EVERY_MS;
    ranking->sending = SENDING_NOTHING;
    pthread_cond_broadcast(&ranking->changed);
    pthread_mutex_unlock(&ranking->lock);
    next(ranking);
}

/* ---- what is next; with the lock ---- */

static bool queue_is_due(const struct redis_ranking *ranking, uint64_t now_ms)
{
    const struct feed_item *first;

    if (list_empty(&ranking->queue))
        return false;
    first = CONTAINER_OF(ranking->queue.next, struct feed_item, node);
    return first->kind != ITEM_SUM || now_ms >= ranking->flush_at_ms ||
           ranking->queued >= SUMS_AT_ONCE || ranking->stopping;
}

static enum sending choose(struct redis_ranking *ranking)
{
    uint64_t now_ms = loop_now_ms(ranking->loop);

    if (ranking->fault || now_ms < ranking->retry_at_ms)
        return SENDING_NOTHING;
    if (!ranking->loaded)
        return SENDING_LOAD;
    if (ranking->lost)
        return SENDING_LOSE;
    if (queue_is_due(ranking, now_ms))
        return SENDING_ITEMS;
    if (now_ms < ranking->status_at_ms)
        return SENDING_NOTHING;
    return ranking->sweeping ? SENDING_SWEEP : SENDING_STATUS;
}

static void prepare(struct redis_ranking *ranking, enum sending what)
{
    struct rr_args *args = &ranking->args;

    switch (what) {
    case SENDING_LOAD:
        load_args(args);
        break;
    case SENDING_LOSE:
        rr_args_call(args, RANKING_REDIS_NAME("lose"), false);
        break;
    case SENDING_ITEMS:
        item_args(ranking, CONTAINER_OF(ranking->queue.next, struct feed_item, node));
        break;
    case SENDING_SWEEP:
        sweep_args(ranking);
        break;
    case SENDING_STATUS:
        rr_args_call(args, RANKING_REDIS_NAME("status"), true);
        break;
    case SENDING_NOTHING:
        break;
    }
}

/* Nothing left to send, or no way to. */
static bool is_over(struct redis_ranking *ranking)
{
    uint64_t now_ms = loop_now_ms(ranking->loop);

    if (!ranking->stopping)
        return false;
    if (!ranking->stop_by_ms)
        ranking->stop_by_ms = now_ms + STOP_MS;
    return list_empty(&ranking->queue) || ranking->fault || ranking->lost || !ranking->reachable ||
           now_ms >= ranking->stop_by_ms;
}

static void next(struct redis_ranking *ranking)
{
    if (ranking->sending != SENDING_NOTHING)
        return;
    pthread_mutex_lock(&ranking->lock);
    bool over = is_over(ranking);
    enum sending what = over ? SENDING_NOTHING : choose(ranking);
    if (what != SENDING_NOTHING) {
        prepare(ranking, what);
        ranking->ticket = rr_ticket(ranking);
    }
    pthread_mutex_unlock(&ranking->lock);
    if (over) {
        loop_timer_stop(&ranking->timer);
        loop_stop(ranking->loop);
    } else if (what != SENDING_NOTHING) {
        send_call(ranking, what, what == SENDING_STATUS);
    }
}

static void woken(struct loop_task *task)
{
    struct redis_ranking *ranking = CONTAINER_OF(task, struct redis_ranking, wake);

    pthread_mutex_lock(&ranking->lock);
    ranking->woken = false;
    pthread_mutex_unlock(&ranking->lock);
    next(ranking);
}

static void tick(struct loop_timer *timer)
{
    struct redis_ranking *ranking = CONTAINER_OF(timer, struct redis_ranking, timer);
    uint64_t every_ms = MIN(ranking->options.flush_every_ms, TICK_MS);

    err_ignore(loop_timer_start(ranking->loop, timer, every_ms), "its slot is there");
    next(ranking);
}

void rr_thread_init(struct redis_ranking *ranking)
{
    ranking->args = (struct rr_args){ .argv = ranking->argv,
                                      .bytes = ranking->bytes,
                                      .text = ranking->text,
                                      .argc_max = ARGS_MAX,
                                      .room = sizeof ranking->text };
    ranking->wake.run = woken;
    ranking->timer.run = tick;
    strcpy(ranking->sweep_at, "-inf");
}

void *rr_thread(void *context)
{
    struct redis_ranking *ranking = context;

    loop_run(ranking->loop);
    return NULL;
}
