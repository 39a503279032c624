// SPDX-License-Identifier: Apache-2.0
/* One client on the real loop, and calls that a test waits for. Include it once a test. */
#pragma once
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "redis/redis_internal.h"

#define MAYBE_UNUSED __attribute__((unused))

enum { CALL_MS = 3000, WORDS_MAX = 8 };

static struct redis_target target;
static struct redis_options options;
static struct loop *loop;
static struct redis *redis;
static int waiting;
static long blocks;

struct asked {
    struct redis_call call;
    const char *words[WORDS_MAX];
    size_t bytes[WORDS_MAX];
    int done;
    int type;
    long long integer;
    char text[256];
};

static void on_done(struct redis_call *call)
{
    struct asked *asked = CONTAINER_OF(call, struct asked, call);

    asked->done++;
    assert_true((call->err == ERR_OK) == (call->reply != NULL));
    if (call->reply) {
        asked->type = call->reply->type;
        asked->integer = call->reply->integer;
        snprintf(asked->text, sizeof asked->text, "%s", call->reply->str ? call->reply->str : "");
    }
    if (--waiting == 0)
        loop_stop(loop);
}

/* `text` is split at spaces. */
static void start(struct asked *asked, const char *text, uint64_t deadline_ms)
{
    *asked = (struct asked){ .call.done = on_done };
    for (const char *at = text; *at && asked->call.argc < WORDS_MAX; asked->call.argc++) {
        size_t n = strcspn(at, " ");
        asked->words[asked->call.argc] = at;
        asked->bytes[asked->call.argc] = n;
        at += n + (at[n] == ' ');
    }
    if (asked->call.argc > 1)
        asked->call.key = (struct str){ asked->words[1], asked->bytes[1] };
    asked->call.argv = asked->words;
    asked->call.argv_bytes = asked->bytes;
    asked->call.deadline_ms = deadline_ms;
    waiting++;
    redis_call(redis, &asked->call);
    assert_int_equal(asked->done, 0); /* never from inside */
}

static struct asked ask_for(const char *text, uint64_t ms)
{
    static struct asked asked;

    start(&asked, text, loop_now_ms(loop) + ms);
    loop_run(loop);
    assert_int_equal(asked.done, 1);
    return asked;
}

static struct asked ask(const char *text)
{
    return ask_for(text, CALL_MS);
}

MAYBE_UNUSED static void ask_ok(const char *text)
{
    struct asked asked = ask(text);

    assert_int_equal(asked.call.err, ERR_OK);
    if (asked.type == REDIS_REPLY_ERROR)
        fail_msg("%s: %s", text, asked.text);
}

static void begin_with(uint32_t silence_ms)
{
    loop = loop_new();
    assert_non_null(loop);
    /* A machine that has other things to do makes nothing slow here. */
    options = (struct redis_options){ .target = &target,
                                      .silence_ms = silence_ms,
                                      .slow_ms = CALL_MS,
                                      .connect_timeout_ms = CALL_MS };
    redis = redis_new(loop, &options);
    assert_non_null(redis);
}

MAYBE_UNUSED static void begin(void)
{
    begin_with(CALL_MS);
}

static void end(void)
{
    redis = redis_free(redis);
    loop = loop_free(loop);
    assert_int_equal(mem_live_count(), blocks);
}

static void on_settled(struct loop_timer *timer)
{
    (void)timer;
    loop_stop(loop);
}

/* The loop turns for a while: what is under way happens. */
MAYBE_UNUSED static void settle(uint64_t ms)
{
    struct loop_timer timer = { .run = on_settled };

    assert_int_equal(loop_timer_start(loop, &timer, ms), ERR_OK);
    loop_run(loop);
}

/* A program, until it ends well. */
MAYBE_UNUSED static void run_program(const char *const *words)
{
    pid_t child;
    int status;

    assert_int_equal(
        posix_spawnp(&child, words[0], NULL, NULL, (char *const *)(uintptr_t)words, environ), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

MAYBE_UNUSED static int use_store(const char *variable)
{
    char why[REDIS_WHY_BYTES];
    const char *url = getenv(variable);

    if (!url) {
        print_error("%s is not set: run by test/with_stores.py\n", variable);
        return -1;
    }
    LOG(LOG_ERROR, "a test begins"); /* its memory is there from here on */
    blocks = mem_live_count();
    waiting = 0;
    return redis_target_parse(&target, url, why) == ERR_OK ? 0 : -1;
}
