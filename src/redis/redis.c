// SPDX-License-Identifier: Apache-2.0
/*
 * Where a call goes and how it ends. A call is either at a node (sent, and in its connection's
 * ring), or in `waiting`, or its task is posted and `done` follows.
 */
#include "redis/redis.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "redis/redis_internal.h"

enum { CONNECT_TIMEOUT_MS = 1000, SILENCE_MS = 500, SLOW_MS = 50 };

uint64_t redis_random(struct redis *redis, uint64_t below)
{
    redis->random = hash_u64(redis->random);
    return redis->random % below;
}

/* ---- ends ---- */

static void count_end(struct redis *redis, enum err e)
{
    pthread_mutex_lock(&redis->lock);
    uint64_t left = --redis->stats.in_flight;
    redis->stats.unavailable += e == ERR_UNAVAILABLE;
    redis->stats.uncertain += e == ERR_UNCERTAIN;
    pthread_mutex_unlock(&redis->lock);
    if (left == 0 && redis->idle)
        loop_post(redis->loop, TAKE(redis->idle));
}

bool redis_call_end(struct redis_call *call, enum err e, const redisReply *reply)
{
    bool keeps = call->keeps_reply;

    call->err = e;
    call->reply = reply;
    count_end(call->redis, e);
    call->done(call);
    return keeps;
}

static void end_failed(struct loop_task *task)
{
    struct redis_call *call = CONTAINER_OF(task, struct redis_call, task);

    redis_call_end(call, call->err, NULL);
}

void redis_call_fail(struct redis_call *call, enum err e)
{
    call->err = e;
    call->task.run = end_failed;
    loop_post(call->redis->loop, &call->task);
}

/* ---- waiting ---- */

static void start_wake(struct redis *redis, uint64_t at_ms)
{
    uint64_t now = loop_now_ms(redis->loop);

    if (redis->wake.impl && redis->wake_at_ms <= at_ms)
        return;
    redis->wake_at_ms = at_ms;
    err_ignore(loop_timer_start(redis->loop, &redis->wake, at_ms > now ? at_ms - now : 0),
               "the next one that waits starts it, too");
}

void redis_call_wait(struct redis_call *call, struct redis_node *at, uint64_t wake_ms)
{
    call->at = at;
    call->wake_ms = wake_ms;
    list_append(&call->redis->waiting, &call->node);
    start_wake(call->redis, wake_ms);
}

static void on_wake(struct loop_timer *timer)
{
    struct redis *redis = CONTAINER_OF(timer, struct redis, wake);
    uint64_t now = loop_now_ms(redis->loop), next = UINT64_MAX;
    struct list due;
    struct redis_call *call;

    list_init(&due);
    LIST_FOREACH (call, &redis->waiting, struct redis_call, node) {
        if (call->wake_ms <= now) {
            list_remove(&call->node);
            list_append(&due, &call->node);
        } else {
            next = MIN(next, call->wake_ms);
        }
    }
    if (next != UINT64_MAX)
        start_wake(redis, next);
    while (!list_empty(&due)) {
        call = CONTAINER_OF(due.next, struct redis_call, node);
        list_remove(&call->node);
        redis_call_route(call);
    }
}

static void wake(struct redis *redis, const struct redis_node *node, bool all)
{
    struct list due;
    struct redis_call *call;

    list_init(&due);
    LIST_FOREACH (call, &redis->waiting, struct redis_call, node) {
        if (call->wake_ms != call->deadline_ms || /* backs off */
            (all ? call->pinned != NULL : call->at != node))
            continue;
        list_remove(&call->node);
        list_append(&due, &call->node);
    }
    while (!list_empty(&due)) {
        call = CONTAINER_OF(due.next, struct redis_call, node);
        list_remove(&call->node);
        redis_call_route(call);
    }
}

void redis_call_wake(struct redis *redis, struct redis_node *node)
{
    wake(redis, node, false);
}

void redis_call_wake_all(struct redis *redis)
{
    wake(redis, NULL, true);
}

/* ---- starts ---- */

static struct redis_node *pick(struct redis *redis, const struct redis_call *call)
{
    if (call->pinned)
        return call->pinned;
    if (redis->cluster)
        return redis_cluster_pick(redis->cluster, call->key);
    return CONTAINER_OF(redis->nodes.next, struct redis_node, node);
}

size_t redis_primaries(struct redis *redis, struct redis_node **nodes, size_t max)
{
    if (redis->cluster)
        return redis_cluster_primaries(redis->cluster, nodes, max);
    nodes[0] = CONTAINER_OF(redis->nodes.next, struct redis_node, node);
    return 1;
}

void redis_call_route(struct redis_call *call)
{
    struct redis *redis = call->redis;

    if (loop_now_ms(redis->loop) >= call->deadline_ms) {
        redis_call_fail(call, ERR_UNAVAILABLE);
        return;
    }
    call->asking = false;
    struct redis_node *node = pick(redis, call);
    if (node)
        redis_node_start(node, call);
    else
        redis_call_wait(call, NULL, call->deadline_ms);
}

void redis_call(struct redis *redis, struct redis_call *call)
{
    ASSERT(call->done && call->argc > 0);
    call->redis = redis;
    call->at = NULL;
    call->conn = NULL;
    call->reply = NULL;
    call->tries = call->redirects = 0;
    call->asking = false;
    list_init(&call->node);
    pthread_mutex_lock(&redis->lock);
    redis->stats.in_flight++;
    pthread_mutex_unlock(&redis->lock);
    retry_budget_call(&redis->budget, loop_now_ms(redis->loop));
    redis_call_route(call);
}

/* ---- figures ---- */

/* How bad a state is, when there are several endpoints to tell of. */
static int badness(enum breaker_state state)
{
    switch (state) {
    case BREAKER_DISABLED:
    case BREAKER_CLOSED:
        return 0;
    case BREAKER_HALF_OPEN:
        return 1;
    case BREAKER_OPEN:
        return 2;
    case BREAKER_FORCED_OPEN:
        return 3;
    case BREAKER_STATE_COUNT:
        break;
    }
    ASSERT(false && "a state that exists");
    return 0;
}

static void add_breaker(struct breaker_status *sum, const struct breaker_status *one)
{
    if (badness(one->state) > badness(sum->state))
        sum->state = one->state;
    sum->failed_percent = MAX(sum->failed_percent, one->failed_percent);
    sum->slow_percent = MAX(sum->slow_percent, one->slow_percent);
    sum->counts.calls += one->counts.calls;
    sum->counts.failed += one->counts.failed;
    sum->counts.slow += one->counts.slow;
    sum->not_permitted += one->not_permitted;
}

static const struct breaker_status nothing = { .failed_percent = -1, .slow_percent = -1 };

struct redis_stats redis_stats(struct redis *redis)
{
    struct redis_node *node;

    pthread_mutex_lock(&redis->lock);
    struct redis_stats stats = redis->stats;
    stats.breaker = nothing;
    LIST_FOREACH (node, &redis->nodes, struct redis_node, node) {
        if (node->unused)
            continue;
        /* The latest time that it knows: this may be another thread than the loop's. */
        struct breaker_status one = breaker_status(&node->breaker, node->breaker.now_ms);
        add_breaker(&stats.breaker, &one);
        stats.nodes++;
        stats.ready += node->is_ready;
    }
    pthread_mutex_unlock(&redis->lock);
    return stats;
}

void redis_stats_add(struct redis_stats *sum, const struct redis_stats *stats)
{
    if (sum->nodes == 0)
        sum->breaker = nothing;
    add_breaker(&sum->breaker, &stats->breaker);
    sum->ready += stats->ready;
    sum->nodes += stats->nodes;
    sum->reconnects += stats->reconnects;
    sum->unavailable += stats->unavailable;
    sum->uncertain += stats->uncertain;
    sum->retries += stats->retries;
    sum->redirects += stats->redirects;
    sum->in_flight += stats->in_flight;
}

/* ---- the client ---- */

void redis_when_idle(struct redis *redis, struct loop_task *idle)
{
    if (redis->stats.in_flight == 0)
        loop_post(redis->loop, idle);
    else
        redis->idle = idle;
}

static void set_defaults(struct redis_options *options)
{
    if (!options->name)
        options->name = "doorbuster";
    if (!options->connect_timeout_ms)
        options->connect_timeout_ms = CONNECT_TIMEOUT_MS;
    if (!options->silence_ms)
        options->silence_ms = SILENCE_MS;
    if (!options->slow_ms)
        options->slow_ms = SLOW_MS;
}

static bool start(struct redis *redis)
{
    const struct redis_target *target = redis->target;

    if (target->topology == REDIS_CLUSTER) {
        redis->cluster = redis_cluster_new(redis);
        if (redis->cluster)
            redis_cluster_refresh(redis->cluster);
        return redis->cluster != NULL;
    }
    if (target->topology == REDIS_SENTINEL && !(redis->sentinels = redis_sentinels_new(redis)))
        return false;
    struct redis_node *node = redis_node_new(redis, &target->place[0]);
    if (!node)
        return false;
    redis_node_connect(node);
    return true;
}

struct redis *redis_new(struct loop *loop, const struct redis_options *options)
{
    struct redis *redis = mem_alloc(sizeof *redis);

    if (!redis)
        return NULL;
    redis->loop = loop;
    redis->options = *options;
    set_defaults(&redis->options);
    redis->target = options->target;
    redis->random = options->seed;
    redis->wake.run = on_wake;
    list_init(&redis->nodes);
    list_init(&redis->waiting);
    ASSERT(pthread_mutex_init(&redis->lock, NULL) == 0);
    return start(redis) ? redis : redis_free(redis);
}

struct redis *redis_free(struct redis *redis)
{
    if (!redis)
        return NULL;
    loop_timer_stop(&redis->wake);
    redis->sentinels = redis_sentinels_free(redis->sentinels);
    while (!list_empty(&redis->nodes))
        redis_node_free(CONTAINER_OF(redis->nodes.next, struct redis_node, node));
    redis->cluster = redis_cluster_free(redis->cluster);
    pthread_mutex_destroy(&redis->lock);
    return mem_free(redis);
}
