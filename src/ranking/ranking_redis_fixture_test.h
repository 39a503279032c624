// SPDX-License-Identifier: Apache-2.0
/* A Redis ranking on real loops and a real store. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "ranking/ranking_conformance.h"
#include "ranking/ranking_redis_internal.h"

#define assert_here(expr) assert_int_equal((expr), ERR_OK)

static struct redis_target target;
static struct loop *loop;
static struct redis *plain; /* beside the ranking */
static struct loop_timer turn_timer;
static bool plain_done;

static inline void turn_over(struct loop_timer *timer)
{
    loop_stop(timer->loop);
}

static inline bool turn_end(struct loop_hook *hook)
{
    (void)hook;
    loop_stop(loop);
    return false;
}

/* Until something has happened. */
static inline void here_turn(void)
{
    struct loop_hook hook = { .run = turn_end };

    turn_timer.run = turn_over;
    assert_here(loop_timer_start(loop, &turn_timer, 5));
    loop_hook_add(loop, &hook);
    loop_run(loop);
    loop_hook_remove(&hook);
    loop_timer_stop(&turn_timer);
}

static inline void plain_answered(struct redis_call *call)
{
    if (call->err != ERR_OK)
        fail_msg("%s: %s", call->argv[0], err_name(call->err));
    plain_done = true;
}

static inline void plain_call(size_t argc, const char *const *argv)
{
    size_t bytes[16];
    struct redis_call call = { .done = plain_answered,
                               .argc = argc,
                               .argv = argv,
                               .argv_bytes = bytes,
                               .key = STR(RANKING_REDIS_KEY),
                               .deadline_ms = loop_now_ms(loop) + 2000 };

    for (size_t i = 0; i < argc; i++)
        bytes[i] = strlen(argv[i]);
    plain_done = false;
    redis_call(plain, &call);
    while (!plain_done)
        here_turn();
}

#define PLAIN(...)                                                       \
    plain_call(sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *), \
               (const char *[]){ __VA_ARGS__ })

/* `variable` has the URL. */
static inline void store_use(const char *variable)
{
    const char *url = getenv(variable);
    char why[REDIS_WHY_BYTES] = "";

    if (!url)
        fail_msg("%s is not set: test/with_stores.py", variable);
    if (redis_target_parse(&target, url, why) != ERR_OK)
        fail_msg("%s", why);
}

static inline struct ranking *here_open_more(size_t boards_max, uint32_t step)
{
    struct ranking_redis_options options = {
        .redis = { .target = &target, .connect_timeout_ms = 2000, .silence_ms = 2000 },
        .timeout_ms = 2000,
        .flush_every_ms = 1,
        .boards_max = boards_max,
        .step_products = step
    };
    struct ranking *ranking;

    assert_here(ranking_redis_open(&options, &ranking));
    return ranking;
}

static inline void store_open(void)
{
    struct redis_options options = { .target = &target };

    loop = loop_new();
    assert_non_null(loop);
    plain = redis_new(loop, &options);
    assert_non_null(plain);
    PLAIN("DEL", "{ranking}:v2:meta", "{ranking}:v2:sums", "{ranking}:v2:ids",
          "{ranking}:v2:boards");
}

static inline void store_close(void)
{
    plain = redis_free(plain);
    loop = loop_free(loop);
}

static inline struct loop *here_loop(void)
{
    return loop;
}
