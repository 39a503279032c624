// SPDX-License-Identifier: Apache-2.0
/*
 * An endpoint: its connection, and the breaker before it.
 *
 * A connection that ends is made again at once, and calls wait for that: a server that restarts, or
 * that closed an idle connection, costs nobody anything. When that attempt fails, or the server was
 * silent, the endpoint is known to be dead: its breaker opens by hand, calls fail at once, and the
 * next attempts, each after a short pause, are the breaker's probe. The first one that is greeted
 * lets the trial calls through.
 */
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "redis/redis_internal.h"

enum {
    PAUSE_MS_MAX = 200, /* back within this and a little once the server is */
    PAUSE_MS_MIN = 25,
    SHORT_LIFE_MS = 100, /* of a connection: making the next one at once would be a storm */
    PROBE_EVERY_MS = 250,
    SAY_AGAIN_MS = 1000,
    BACK_OFF_MS = 10,
    BACK_OFF_MS_MAX = 100,
};

/* ---- the breaker ---- */

static uint64_t now_of(const struct redis_node *node)
{
    return loop_now_ms(node->redis->loop);
}

static void on_probe(struct loop_timer *timer);

static void tell_state(const struct redis_node *node, enum breaker_state before,
                       enum breaker_state after)
{
    if (before == after)
        return;
    LOG(LOG_WARN, "a breaker of Redis has changed",
        LOG_CSTR("name", metrics_breaker_name(node->redis->options.metrics_breaker)),
        LOG_CSTR("host", node->place.host), LOG_INT("port", node->place.port),
        LOG_CSTR("from", breaker_state_name(before)), LOG_CSTR("to", breaker_state_name(after)));
}

/* While it is open, one asks every now and then, whether or not anybody else does. */
static void probe_later(struct redis_node *node)
{
    if (!node->probe.impl)
        err_ignore(loop_timer_start(node->redis->loop, &node->probe, PROBE_EVERY_MS),
                   "it becomes half-open by itself, too");
}

static bool ask_breaker(struct redis_node *node, struct redis_call *call)
{
    struct redis *redis = node->redis;

    pthread_mutex_lock(&redis->lock);
    bool permitted = breaker_ask(&node->breaker, now_of(node), &call->permit);
    pthread_mutex_unlock(&redis->lock);
    call->started_ns = now_of(node) * 1000000;
    return permitted;
}

void redis_node_told(struct redis_call *call, bool failed)
{
    struct redis_node *node = call->at;
    struct redis *redis = node->redis;
    uint64_t now = now_of(node), took_ms = now - call->started_ns / 1000000;

    pthread_mutex_lock(&redis->lock);
    enum breaker_state before = node->breaker.state;
    breaker_done(&node->breaker, now, call->permit, failed, took_ms);
    enum breaker_state after = node->breaker.state;
    pthread_mutex_unlock(&redis->lock);
    tell_state(node, before, after);
    if (after == BREAKER_OPEN)
        probe_later(node);
    if (redis->options.metrics)
        metrics_breaker(redis->options.metrics, redis->options.metrics_breaker, failed,
                        took_ms * 1000000);
}

static void force_open(struct redis_node *node)
{
    struct redis *redis = node->redis;

    pthread_mutex_lock(&redis->lock);
    enum breaker_state before = node->breaker.state;
    if (before == BREAKER_CLOSED || before == BREAKER_HALF_OPEN) /* else it is so by hand */
        breaker_set(&node->breaker, BREAKER_OPEN, now_of(node));
    enum breaker_state after = node->breaker.state;
    pthread_mutex_unlock(&redis->lock);
    tell_state(node, before, after);
}

static void let_try(struct redis_node *node)
{
    struct redis *redis = node->redis;

    pthread_mutex_lock(&redis->lock);
    enum breaker_state before = node->breaker.state;
    breaker_probed(&node->breaker, now_of(node));
    node->is_ready = node->state == REDIS_NODE_READY;
    enum breaker_state after = node->breaker.state;
    pthread_mutex_unlock(&redis->lock);
    tell_state(node, before, after);
}

static bool is_open(struct redis_node *node)
{
    struct redis *redis = node->redis;

    pthread_mutex_lock(&redis->lock);
    bool open = node->breaker.state == BREAKER_OPEN;
    pthread_mutex_unlock(&redis->lock);
    return open;
}

/* NULL: it was lost, which others tell. */
static void on_pong(struct redis_call *call, const redisReply *reply)
{
    struct redis_node *node = call->at;

    node->pinging = false;
    if (reply && reply->type != REDIS_REPLY_ERROR)
        let_try(node);
}

static void on_probe(struct loop_timer *timer)
{
    static const char *const words[] = { "PING" };
    struct redis_node *node = CONTAINER_OF(timer, struct redis_node, probe);

    if (node->state != REDIS_NODE_READY || !is_open(node))
        return; /* the attempts to connect are the probe; or it is over */
    if (!node->pinging) {
        node->ping = (struct redis_call){ .argc = 1,
                                          .argv = words,
                                          .deadline_ms = now_of(node) + PROBE_EVERY_MS,
                                          .redis = node->redis,
                                          .at = node,
                                          .internal = on_pong };
        node->pinging = redis_conn_send(node->conn, &node->ping) == ERR_OK;
    }
    probe_later(node);
}

/* ---- its connection ---- */

static void fail_attempt(struct redis_node *node, const char *why)
{
    struct redis *redis = node->redis;
    uint64_t pause = PAUSE_MS_MIN;

    for (unsigned i = 0; i < node->failures && pause < PAUSE_MS_MAX; i++)
        pause *= 2;
    pause = MIN(pause, PAUSE_MS_MAX);
    pause = pause / 2 + redis_random(redis, pause / 2 + 1);
    node->failures++;
    node->state = REDIS_NODE_PAUSING;
    node->hopeful = redis->options.patient;
    if (strncmp(node->why, why, sizeof node->why - 1) != 0) {
        LOG(LOG_WARN, "Redis is not there", LOG_CSTR("host", node->place.host),
            LOG_INT("port", node->place.port), LOG_CSTR("why", why));
        snprintf(node->why, sizeof node->why, "%s", why);
    }
    force_open(node);
    err_ignore(loop_timer_start(redis->loop, &node->retry, pause), "the next call tries again");
    if (!node->hopeful)
        redis_call_wake(redis, node);
    if (redis->cluster)
        redis_cluster_node_changed(redis->cluster, node);
}

static void connect_to(struct redis_node *node, const struct loop_addr *addr)
{
    const struct redis *redis = node->redis;
    struct redis_conn_options options = {
        .use = &redis_node_conn_use,
        .owner = node,
        .target = redis->target,
        .user = redis->target->user,
        .password = redis->target->password,
        .name = redis->options.name,
        .primary_only = redis->target->topology != REDIS_CLUSTER,
        .connect_timeout_ms = redis->options.connect_timeout_ms,
        .silence_ms = redis->options.silence_ms,
    };

    loop_timer_stop(&node->retry);
    node->state = REDIS_NODE_CONNECTING;
    node->conn = redis_conn_new(redis->loop, addr, &options);
    if (!node->conn)
        fail_attempt(node, "no descriptor, no memory or no route");
}

static void on_resolved(void *owner, enum err e, const struct loop_addr *addr)
{
    struct redis_node *node = owner;

    node->resolve = NULL;
    if (e == ERR_OK)
        connect_to(node, addr);
    else
        fail_attempt(node, "there is no such host");
}

void redis_node_located(struct redis_node *node, const struct redis_place *place)
{
    struct redis *redis = node->redis;
    struct loop_addr addr;

    node->place = *place;
    if (loop_addr_parse(str_from(place->host), place->port, &addr) == ERR_OK)
        connect_to(node, &addr);
    else if (redis_resolve_start(redis->loop, place, on_resolved, node, &node->resolve) != ERR_OK)
        fail_attempt(node, "no memory");
    else /* a look-up has no end of its own */
        err_ignore(loop_timer_start(redis->loop, &node->retry, redis->options.connect_timeout_ms),
                   "it ends some time");
}

void redis_node_lost(struct redis_node *node, const char *why)
{
    fail_attempt(node, why);
}

void redis_node_connect(struct redis_node *node)
{
    if (node->state != REDIS_NODE_IDLE && node->state != REDIS_NODE_PAUSING)
        return;
    loop_timer_stop(&node->retry);
    if (node->state == REDIS_NODE_IDLE) /* nothing is known against it */
        node->hopeful = true;
    node->state = REDIS_NODE_LOCATING;
    if (node->redis->sentinels) {
        redis_sentinels_locate(node->redis->sentinels, node);
    } else {
        struct redis_place same = node->place;
        redis_node_located(node, &same);
    }
}

static void on_retry(struct loop_timer *timer)
{
    struct redis_node *node = CONTAINER_OF(timer, struct redis_node, retry);

    if (node->resolve) {
        redis_resolve_cancel(TAKE(node->resolve));
        fail_attempt(node, "its name was not found in time");
    } else if (node->unused) { /* until somebody asks for it */
        node->state = REDIS_NODE_IDLE;
    } else {
        redis_node_connect(node);
    }
}

static void on_ready(void *owner)
{
    struct redis_node *node = owner;

    if (node->why[0])
        LOG(LOG_INFO, "Redis is there", LOG_CSTR("host", node->place.host),
            LOG_INT("port", node->place.port));
    node->why[0] = 0;
    node->failures = 0;
    node->state = REDIS_NODE_READY;
    node->hopeful = false;
    node->ready_at_ms = now_of(node);
    let_try(node);
    if (node->redis->cluster)
        redis_cluster_node_changed(node->redis->cluster, node);
    redis_call_wake(node->redis, node);
}

static void reconnect(struct redis_node *node, const char *why, bool at_once)
{
    struct redis *redis = node->redis;

    pthread_mutex_lock(&redis->lock);
    redis->stats.reconnects++;
    node->is_ready = false;
    pthread_mutex_unlock(&redis->lock);
    if (!at_once || now_of(node) < node->ready_at_ms + SHORT_LIFE_MS) {
        fail_attempt(node, why);
        return;
    }
    node->state = REDIS_NODE_IDLE;
    redis_node_connect(node);
}

static void on_lost(void *owner, const char *why)
{
    struct redis_node *node = owner;

    node->conn = NULL;
    if (node->state == REDIS_NODE_READY)
        reconnect(node, why, strcmp(why, "the connection was closed") == 0);
    else
        fail_attempt(node, why);
}

void redis_node_turn_to(struct redis_node *node, const struct redis_place *place)
{
    if (node->state != REDIS_NODE_CONNECTING)
        return;
    redis_conn_close(TAKE(node->conn));
    node->state = REDIS_NODE_LOCATING;
    redis_node_located(node, place);
}

void redis_node_drop(struct redis_node *node, const char *why)
{
    if (node->state != REDIS_NODE_READY)
        return;
    redis_conn_close(TAKE(node->conn));
    reconnect(node, why, false);
}

/* ---- calls ---- */

static void send_call(struct redis_node *node, struct redis_call *call)
{
    struct redis *redis = node->redis;

    if (redis_conn_send(node->conn, call) == ERR_OK)
        return;
    pthread_mutex_lock(&redis->lock);
    breaker_give_back(&node->breaker, call->permit);
    pthread_mutex_unlock(&redis->lock);
    redis_call_fail(call, ERR_NOMEM);
}

void redis_node_start(struct redis_node *node, struct redis_call *call)
{
    call->at = node;
    if (node->state == REDIS_NODE_IDLE || (node->state == REDIS_NODE_PAUSING && !node->retry.impl))
        redis_node_connect(node);
    if (node->state != REDIS_NODE_READY && node->hopeful) {
        redis_call_wait(call, node, call->deadline_ms);
    } else if (!ask_breaker(node, call)) {
        redis_call_fail(call, ERR_UNAVAILABLE);
    } else if (node->state == REDIS_NODE_READY) {
        send_call(node, call);
    } else {
        redis_node_told(call, true);
        redis_call_fail(call, ERR_UNAVAILABLE);
    }
}

/* Nothing was executed. */
static void try_later(struct redis_call *call)
{
    struct redis *redis = call->redis;
    uint64_t now = loop_now_ms(redis->loop);
    uint64_t at =
        now + 1 +
        retry_delay_ms(BACK_OFF_MS, BACK_OFF_MS_MAX, call->tries, redis_random(redis, 1 << 20));

    if (at >= call->deadline_ms || !retry_budget_take(&redis->budget, now, call->tries)) {
        redis_call_fail(call, ERR_UNAVAILABLE);
        return;
    }
    call->tries++;
    pthread_mutex_lock(&redis->lock);
    redis->stats.retries++;
    pthread_mutex_unlock(&redis->lock);
    redis_call_wait(call, NULL, at);
}

static void redirect(struct redis_call *call, enum redis_error error, const redisReply *reply)
{
    struct redis *redis = call->redis;

    redis_node_told(call, false);
    if (redis->cluster && redis_cluster_redirect(redis->cluster, call, error, redis_text(reply)))
        return;
    LOG(LOG_ERROR,
        redis->cluster ? "nodes of the cluster send a call to and fro"
                       : "Redis is a cluster: its URL must be redis+cluster://",
        LOG_STR("reply", redis_text(reply)));
    redis_call_fail(call, ERR_UNAVAILABLE);
}

static void refuse(struct redis_call *call, const redisReply *reply)
{
    struct redis_node *node = call->at;

    redis_node_told(call, true);
    if (now_of(node) >= node->refused_at_ms + SAY_AGAIN_MS) {
        node->refused_at_ms = now_of(node);
        LOG(LOG_ERROR, "Redis refuses", LOG_CSTR("host", node->place.host),
            LOG_INT("port", node->place.port), LOG_STR("reply", redis_text(reply)));
    }
    redis_call_fail(call, ERR_UNAVAILABLE);
}

static void on_refused(struct redis_call *call, enum redis_error error, const redisReply *reply)
{
    struct redis_node *node = call->at;

    if (error == REDIS_ERROR_LATER) {
        redis_node_told(call, true);
        if (node->redis->cluster && str_has_prefix(redis_text(reply), STR("CLUSTERDOWN")))
            redis_cluster_refresh(node->redis->cluster);
        try_later(call);
        return;
    }
    refuse(call, reply);
    if (error == REDIS_ERROR_READONLY)
        redis_node_drop(node, "it is not the primary any more");
    else if (error == REDIS_ERROR_DENIED)
        redis_node_drop(node, "it wants a password");
}

static bool on_replied(struct redis_call *call, redisReply *reply)
{
    enum redis_error error = redis_error_of(reply);

    if (call->internal) {
        call->internal(call, reply);
        return false;
    }
    switch (error) {
    case REDIS_ERROR_NONE:
    case REDIS_ERROR_OTHER:
        redis_node_told(call, false);
        return redis_call_end(call, ERR_OK, reply);
    case REDIS_ERROR_MOVED:
    case REDIS_ERROR_ASK:
        redirect(call, error, reply);
        break;
    case REDIS_ERROR_LATER:
    case REDIS_ERROR_SHED:
    case REDIS_ERROR_READONLY:
    case REDIS_ERROR_DENIED:
        on_refused(call, error, reply);
        break;
    }
    return false;
}

static void on_failed(struct redis_call *call, enum err e)
{
    if (call->internal) {
        call->internal(call, NULL);
        return;
    }
    redis_node_told(call, true);
    redis_call_fail(call, e);
}

const struct redis_conn_use redis_node_conn_use = {
    .ready = on_ready, .lost = on_lost, .replied = on_replied, .failed = on_failed
};

/* ---- */

struct redis_node *redis_node_new(struct redis *redis, const struct redis_place *place)
{
    struct redis_node *node = mem_alloc(sizeof *node);
    struct breaker_options options =
        breaker_options_default(redis->options.slow_ms, redis_random(redis, UINT64_MAX));

    if (!node)
        return NULL;
    node->redis = redis;
    node->place = *place;
    node->retry.run = on_retry;
    node->probe.run = on_probe;
    breaker_init(&node->breaker, &options, loop_now_ms(redis->loop));
    if (redis->options.patient)
        breaker_set(&node->breaker, BREAKER_DISABLED, loop_now_ms(redis->loop));
    pthread_mutex_lock(&redis->lock);
    list_append(&redis->nodes, &node->node);
    pthread_mutex_unlock(&redis->lock);
    return node;
}

struct redis_node *redis_node_free(struct redis_node *node)
{
    if (!node)
        return NULL;
    struct redis *redis = node->redis;
    loop_timer_stop(&node->retry);
    loop_timer_stop(&node->probe);
    redis_resolve_cancel(TAKE(node->resolve));
    if (node->conn)
        redis_conn_abandon(TAKE(node->conn));
    pthread_mutex_lock(&redis->lock);
    list_remove(&node->node);
    pthread_mutex_unlock(&redis->lock);
    return mem_free(node);
}
