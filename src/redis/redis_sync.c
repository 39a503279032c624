// SPDX-License-Identifier: Apache-2.0
/* A client of a loop of its own, which turns while somebody waits. */
#include <stdio.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "redis/redis_internal.h"

enum { NODES_MAX = 1024 };

struct redis_sync {
    struct loop *loop;
    struct redis *redis;
    struct redis_options options;
    uint32_t timeout_ms;
    struct redis_flight *waited; /* for this one */
};

/* One command under way. */
struct sync_call {
    struct redis_call call;
    struct redis_flight *flight;
    redisReply *reply;
};

struct redis_flight {
    struct redis_sync *sync;
    size_t count, left;
    struct sync_call *calls;
};

struct turn {
    struct loop_task task;
    struct loop *loop;
};

static void on_turn(struct loop_task *task)
{
    loop_stop(CONTAINER_OF(task, struct turn, task)->loop);
}

/* What has happened since the last call, such as a connection's end, is seen, and the clock too. */
static void turn(struct redis_sync *sync)
{
    struct turn one = { .task.run = on_turn, .loop = sync->loop };

    loop_post(sync->loop, &one.task);
    loop_run(sync->loop);
}

static void on_done(struct redis_call *call)
{
    struct sync_call *one = CONTAINER_OF(call, struct sync_call, call);

    /* Kept: `keeps_reply` says so to whoever read it. */
    one->reply = (redisReply *)(uintptr_t)call->reply;
    if (--one->flight->left == 0 && one->flight->sync->waited == one->flight)
        loop_stop(one->flight->sync->loop);
}

static void start(struct redis_flight *flight, struct sync_call *one,
                  const struct redis_command *command, struct redis_node *at, uint64_t deadline_ms)
{
    *one = (struct sync_call){ .call = { .done = on_done,
                                         .argc = command->argc,
                                         .argv = command->argv,
                                         .argv_bytes = command->argv_bytes,
                                         .key = command->key,
                                         .deadline_ms = deadline_ms,
                                         .keeps_reply = true,
                                         .pinned = at },
                               .flight = flight };
    flight->left++;
    redis_call(flight->sync->redis, &one->call);
}

static void wait_for(struct redis_flight *flight)
{
    if (flight->left == 0)
        return;
    flight->sync->waited = flight;
    loop_run(flight->sync->loop);
    flight->sync->waited = NULL;
}

enum err redis_sync_call_at(struct redis_sync *sync, const struct redis_command *command,
                            struct redis_node *at, redisReply **ret_reply)
{
    struct sync_call one;
    struct redis_flight flight = { .sync = sync };

    turn(sync);
    start(&flight, &one, command, at, loop_now_ms(sync->loop) + sync->timeout_ms);
    wait_for(&flight);
    if (one.call.err == ERR_OK)
        *ret_reply = one.reply;
    return one.call.err;
}

enum err redis_sync_call(struct redis_sync *sync, const struct redis_command *command,
                         redisReply **ret_reply)
{
    return redis_sync_call_at(sync, command, NULL, ret_reply);
}

enum err redis_sync_begin(struct redis_sync *sync, const struct redis_command *commands,
                          size_t count, struct redis_flight **ret_flight)
{
    struct redis_flight *flight = mem_alloc(sizeof *flight);

    if (!flight)
        return ERR_NOMEM;
    *flight = (struct redis_flight){ .sync = sync, .count = count };
    flight->calls = mem_alloc((count ? count : 1) * sizeof *flight->calls);
    if (!flight->calls) {
        mem_free(flight);
        return ERR_NOMEM;
    }
    turn(sync);
    uint64_t deadline_ms = loop_now_ms(sync->loop) + sync->timeout_ms;
    for (size_t i = 0; i < count; i++)
        start(flight, &flight->calls[i], &commands[i], NULL, deadline_ms);
    turn(sync); /* as much is sent as goes out at once */
    *ret_flight = flight;
    return ERR_OK;
}

enum err redis_sync_end(struct redis_flight *flight, enum err *ret_errs, redisReply **ret_replies)
{
    enum err first = ERR_OK;

    wait_for(flight);
    for (size_t i = 0; i < flight->count; i++) {
        ret_errs[i] = flight->calls[i].call.err;
        ret_replies[i] = flight->calls[i].reply;
        if (first == ERR_OK)
            first = ret_errs[i];
    }
    mem_free(flight->calls);
    mem_free(flight);
    return first;
}

enum err redis_sync_pipeline(struct redis_sync *sync, const struct redis_command *commands,
                             size_t count, enum err *ret_errs, redisReply **ret_replies)
{
    struct redis_flight *flight;

    TRY(redis_sync_begin(sync, commands, count, &flight));
    return redis_sync_end(flight, ret_errs, ret_replies);
}

void redis_sync_turn(struct redis_sync *sync)
{
    turn(sync);
}

size_t redis_sync_primaries(struct redis_sync *sync, struct redis_node **nodes, size_t max)
{
    return redis_primaries(sync->redis, nodes, max);
}

struct redis_node *redis_sync_node_of(struct redis_sync *sync, struct str key)
{
    return redis_cluster_pick(sync->redis->cluster, key);
}

enum err redis_sync_everywhere(struct redis_sync *sync, const struct redis_command *command,
                               char ret_why[REDIS_WHY_BYTES])
{
    struct redis_node *nodes[NODES_MAX];
    size_t count = redis_primaries(sync->redis, nodes, NODES_MAX);

    for (size_t i = 0; i < count; i++) {
        redisReply *reply = NULL;
        enum err e = redis_sync_call_at(sync, command, nodes[i], &reply);
        if (e != ERR_OK) {
            snprintf(ret_why, REDIS_WHY_BYTES, "%.64s:%u: %.150s", nodes[i]->place.host,
                     (unsigned)nodes[i]->place.port, err_text(e));
            return e;
        }
        bool failed = reply->type == REDIS_REPLY_ERROR;
        if (failed)
            snprintf(ret_why, REDIS_WHY_BYTES, "%.64s:%u: %.150s", nodes[i]->place.host,
                     (unsigned)nodes[i]->place.port, reply->str);
        freeReplyObject(reply);
        if (failed)
            return ERR_INVALID;
    }
    return ERR_OK;
}

static enum err greet(struct redis_sync *sync)
{
    static const char *const words[] = { "PING" };
    redisReply *reply = NULL;

    TRY(redis_sync_call(sync, &(struct redis_command){ .argc = 1, .argv = words }, &reply));
    freeReplyObject(reply);
    return ERR_OK;
}

enum err redis_sync_open(const struct redis_options *options, uint32_t timeout_ms,
                         struct redis_sync **ret_redis)
{
    struct redis_sync *sync = mem_alloc(sizeof *sync);

    ASSERT(timeout_ms > 0);
    if (!sync)
        return ERR_NOMEM;
    sync->timeout_ms = timeout_ms;
    sync->options = *options;
    sync->options.patient = true;
    sync->options.metrics = NULL;
    /* It may be busy for as long as we are ready to wait. */
    sync->options.silence_ms = timeout_ms;
    sync->options.seed = options->seed ^ clock_mono_ns();
    sync->loop = loop_new();
    if (sync->loop)
        sync->redis = redis_new(sync->loop, &sync->options);
    enum err e = sync->redis ? greet(sync) : ERR_NOMEM;
    if (e == ERR_OK)
        *ret_redis = sync;
    else
        redis_sync_close(sync);
    return e;
}

struct redis_sync *redis_sync_close(struct redis_sync *sync)
{
    if (!sync)
        return NULL;
    redis_free(sync->redis);
    loop_free(sync->loop);
    return mem_free(sync);
}
