// SPDX-License-Identifier: Apache-2.0
/* A gate in a private Redis, on a loop of its own. redis_variable names the variable that says
 * where. */
#pragma once
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "gate/gate_fixture_test.h"
#include "gate/gate_redis_internal.h"
#include "loop/loop.h"

static const char *redis_variable = "DOORBUSTER_TEST_REDIS";
static struct redis_target redis_target;
static struct redis_options redis_where;
static struct redis_sync *redis_hand;
static struct gate *redis_gate;
static struct loop *redis_loop;
static long redis_live;

static inline void redis_connect(void)
{
    const char *url = getenv(redis_variable);
    char why[REDIS_WHY_BYTES];

    if (redis_hand)
        return;
    if (!url)
        fail_msg("%s is not set: run it by test/with_stores.py", redis_variable);
    if (redis_target_parse(&redis_target, url, why) != ERR_OK)
        fail_msg("%s", why);
    redis_where = (struct redis_options){ .target = &redis_target, .slow_ms = 5000 };
    for (int i = 0; i < 50 && redis_sync_open(&redis_where, 5000, &redis_hand) != ERR_OK; i++)
        usleep(100000);
    assert_non_null(redis_hand);
}

/* By hand, behind the gate's back; at every primary when `key` is NULL. */
static inline redisReply *redis_do(const char *key, size_t argc, const char *const *argv)
{
    size_t bytes[16];
    redisReply *reply = NULL;
    char why[REDIS_WHY_BYTES];

    for (size_t i = 0; i < argc; i++)
        bytes[i] = strlen(argv[i]);
    struct redis_command command = { .argc = argc, .argv = argv, .argv_bytes = bytes };
    if (!key) {
        assert_ok(redis_sync_everywhere(redis_hand, &command, why));
        return NULL;
    }
    command.key = (struct str){ key, strlen(key) };
    assert_ok(redis_sync_call(redis_hand, &command, &reply));
    if (reply->type == REDIS_REPLY_ERROR)
        fail_msg("%s: %s", argv[0], reply->str);
    return reply;
}

#define REDIS_DO(key, ...)                                                    \
    redis_do((key), sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *), \
             (const char *const[]){ __VA_ARGS__ })
/* Without looking at the reply. */
#define REDIS_TELL(key, ...)                            \
    do {                                                \
        redisReply *told_ = REDIS_DO(key, __VA_ARGS__); \
        if (told_)                                      \
            freeReplyObject(told_);                     \
    } while (0)

static inline void redis_begin(void)
{
    redis_connect();
    REDIS_TELL(NULL, "FLUSHALL");
    log_write(LOG_ERROR, "a test begins", NULL, 0); /* its buffer is not counted */
    redis_live = mem_live_count();
    redis_loop = loop_new();
    assert_non_null(redis_loop);
    struct gate_redis_options options = {
        .redis = &redis_where, .test_clock = true, .call_ms = 5000, .deadline_ms = 10000
    };
    assert_ok(gate_redis_open(&options, &redis_gate));
}

static inline void redis_end(void)
{
    redis_gate = gate_redis_free(redis_gate);
    redis_loop = loop_free(redis_loop);
    assert_int_equal(mem_live_count(), redis_live);
}

static inline bool redis_is_idle(void)
{
    struct redis_client *client;

    LIST_FOREACH (client, &redis_gate_self(redis_gate)->clients, struct redis_client, node)
        if (!gate_redis_client_is_idle(&client->base))
            return false;
    return true;
}

static inline void redis_poll(struct loop_timer *timer)
{
    if (redis_is_idle())
        loop_stop(timer->loop);
    else
        assert_ok(loop_timer_start(timer->loop, timer, 1));
}

/* Until everything is answered. */
static inline void redis_turn(void)
{
    struct loop_timer timer = { .run = redis_poll };

    assert_ok(loop_timer_start(redis_loop, &timer, 0));
    loop_run(redis_loop);
}

/* Everything pending is older by so much. */
static inline void redis_pass(uint64_t ms)
{
    static const char script[] = "for _, m in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do "
                                 "redis.call('ZINCRBY', KEYS[1], -ARGV[1], m) end";
    char text[24];
    struct redis_drop *drop;

    snprintf(text, sizeof text, "%llu", (unsigned long long)ms);
    for (size_t i = 0; (drop = redis_drop_at(redis_gate_self(redis_gate), i)); i++)
        REDIS_TELL(drop->keys[2], "EVAL", script, "1", drop->keys[2], text);
}
