// SPDX-License-Identifier: Apache-2.0
/* The client on the real loop against a real server of its own. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "redis/redis_internal.h"

enum { CALL_MS = 2000, WORDS_MAX = 8, LONG_BYTES = 300000, MANY = 20000 };

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

static void ask_ok(const char *text)
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
    options = (struct redis_options){ .target = &target, .silence_ms = silence_ms };
    redis = redis_new(loop, &options);
    assert_non_null(redis);
}

static void begin(void)
{
    begin_with(0);
}

static void end(void)
{
    redis = redis_free(redis);
    loop = loop_free(loop);
    assert_int_equal(mem_live_count(), blocks);
}

static pid_t server_pid(void)
{
    const char *pid = getenv("DOORBUSTER_TEST_REDIS_PID");

    assert_non_null(pid);
    return (pid_t)strtol(pid, NULL, 10);
}

static void on_settled(struct loop_timer *timer)
{
    (void)timer;
    loop_stop(loop);
}

/* The loop turns for a while: what is under way happens. */
static void settle(uint64_t ms)
{
    struct loop_timer timer = { .run = on_settled };

    assert_int_equal(loop_timer_start(loop, &timer, ms), ERR_OK);
    loop_run(loop);
}

/* ---- answers ---- */

static void test_answers(void **state)
{
    (void)state;
    begin();
    ask_ok("SET a hello");
    assert_string_equal(ask("GET a").text, "hello");
    assert_int_equal(ask("GET none").type, REDIS_REPLY_NIL);
    assert_int_equal(ask("INCR n").integer, 1);
    struct asked wrong = ask("INCR a");
    assert_int_equal(wrong.call.err, ERR_OK);
    assert_int_equal(wrong.type, REDIS_REPLY_ERROR);
    assert_non_null(strstr(ask("CLIENT INFO").text, "doorbuster"));
    end();
}

static void test_many(void **state)
{
    static struct asked many[MANY];

    (void)state;
    begin();
    ask_ok("SET n 0");
    for (size_t i = 0; i < MANY; i++)
        start(&many[i], "INCR n", loop_now_ms(loop) + CALL_MS);
    loop_run(loop);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(many[i].done, 1);
        assert_int_equal(many[i].integer, i + 1); /* in order */
    }
    struct redis_stats stats = redis_stats(redis);
    assert_int_equal(stats.in_flight, 0);
    assert_int_equal(stats.ready, 1);
    assert_int_equal(stats.breaker.state, BREAKER_CLOSED);
    end();
}

static void test_large(void **state)
{
    char *value = malloc(LONG_BYTES);
    struct asked asked;

    (void)state;
    begin();
    memset(value, 'x', LONG_BYTES);
    asked = (struct asked){ .call = { .done = on_done, .argc = 3 },
                            .words = { "SET", "long", value },
                            .bytes = { 3, 4, LONG_BYTES } };
    asked.call.argv = asked.words;
    asked.call.argv_bytes = asked.bytes;
    asked.call.deadline_ms = loop_now_ms(loop) + CALL_MS;
    waiting++;
    redis_call(redis, &asked.call);
    loop_run(loop);
    assert_int_equal(asked.call.err, ERR_OK);
    assert_int_equal(ask("STRLEN long").integer, LONG_BYTES);
    assert_int_equal(ask("GET long").type, REDIS_REPLY_STRING);
    free(value);
    end();
}

/* ---- deadlines ---- */

/* Ended at its deadline, the answer that comes later is nobody's, the next one gets its own. */
static void test_deadline(void **state)
{
    (void)state;
    begin_with(2000);
    ask_ok("DEL list");
    uint64_t before = clock_mono_ns();
    struct asked late = ask_for("BLPOP list 0.3", 100);
    uint64_t took_ms = (clock_mono_ns() - before) / 1000000;
    assert_int_equal(late.call.err, ERR_UNCERTAIN);
    assert_in_range(took_ms, 95, 250);
    assert_string_equal(ask("ECHO mine").text, "mine");
    assert_int_equal(redis_stats(redis).reconnects, 0);
    end();
}

static void test_past_deadline(void **state)
{
    (void)state;
    begin();
    ask_ok("SET a 1");
    assert_int_equal(ask_for("INCR a", 0).call.err, ERR_UNAVAILABLE);
    assert_string_equal(ask("GET a").text, "1");
    end();
}

/* ---- the server's troubles ---- */

static void test_killed_connection(void **state)
{
    (void)state;
    begin();
    ask_ok("SET a 1");
    settle(150); /* not a life too short for another at once */
    struct asked killed = ask("CLIENT KILL TYPE normal SKIPME no");
    assert_true(killed.call.err == ERR_UNCERTAIN || killed.call.err == ERR_OK);
    settle(5);
    assert_string_equal(ask("GET a").text, "1");
    assert_int_equal(redis_stats(redis).reconnects, 1);
    assert_int_equal(redis_stats(redis).breaker.state, BREAKER_CLOSED);
    end();
}

static void wait_until_ready(void)
{
    for (int i = 0; i < 200; i++) {
        if (ask("PING").call.err == ERR_OK && redis_stats(redis).breaker.state == BREAKER_CLOSED)
            return;
        settle(5);
    }
    fail_msg("it did not come back");
}

/* Stopped, it takes connections and says nothing. */
static void test_hung(void **state)
{
    (void)state;
    begin();
    ask_ok("SET a 1");
    kill(server_pid(), SIGSTOP);
    uint64_t before = clock_mono_ns();
    assert_int_equal(ask("INCR a").call.err, ERR_UNCERTAIN);
    assert_in_range((clock_mono_ns() - before) / 1000000, 100, 300);
    before = clock_mono_ns();
    for (int i = 0; i < 100; i++)
        assert_int_equal(ask("INCR a").call.err, ERR_UNAVAILABLE);
    assert_true((clock_mono_ns() - before) / 1000000 < 50);
    assert_int_equal(redis_stats(redis).breaker.state, BREAKER_OPEN);
    kill(server_pid(), SIGCONT);
    wait_until_ready();
    assert_string_equal(ask("GET a").text, "2"); /* it was executed, after all */
    end();
}

static void test_nobody_there(void **state)
{
    struct redis_target there = target;

    (void)state;
    target.place[0].port = 1;
    begin();
    assert_int_equal(ask("PING").call.err, ERR_UNAVAILABLE);
    assert_int_equal(ask("PING").call.err, ERR_UNAVAILABLE);
    assert_int_equal(redis_stats(redis).breaker.state, BREAKER_OPEN);
    assert_int_equal(redis_stats(redis).ready, 0);
    end();
    target = there;
}

static void test_names(void **state)
{
    struct redis_target there = target;

    (void)state;
    snprintf(target.place[0].host, sizeof target.place[0].host, "%s", "localhost.");
    begin();
    struct asked asked = ask("PING"); /* some resolvers do not know it */
    assert_true(asked.call.err == ERR_OK || asked.call.err == ERR_UNAVAILABLE);
    end();
    snprintf(target.place[0].host, sizeof target.place[0].host, "%s", "no.such.host.invalid");
    begin();
    assert_int_equal(ask("PING").call.err, ERR_UNAVAILABLE);
    end();
    target = there;
}

static void test_wrong_password(void **state)
{
    struct redis_target there = target;

    (void)state;
    snprintf(target.user, sizeof target.user, "%s", "nobody");
    snprintf(target.password, sizeof target.password, "%s", "wrong");
    begin();
    assert_int_equal(ask("PING").call.err, ERR_UNAVAILABLE);
    end();
    target = there;
    begin();
    ask_ok("ACL SETUSER shop on >pw allcommands allkeys");
    end();
    snprintf(target.user, sizeof target.user, "%s", "shop");
    snprintf(target.password, sizeof target.password, "%s", "pw");
    target.database = 3;
    begin();
    assert_string_equal(ask("ACL WHOAMI").text, "shop");
    assert_non_null(strstr(ask("CLIENT INFO").text, " db=3 "));
    end();
    target = there;
}

/* A replica is not written to, and not taken for the primary. */
static void test_read_only(void **state)
{
    (void)state;
    begin();
    ask_ok("SET a 1");
    ask_ok("REPLICAOF 127.0.0.1 1");
    assert_int_equal(ask("SET a 2").call.err, ERR_UNAVAILABLE);
    assert_int_equal(ask("GET a").call.err, ERR_UNAVAILABLE);
    char command[256];
    snprintf(command, sizeof command, "redis-cli -p %u replicaof no one >/dev/null",
             (unsigned)target.place[0].port);
    assert_int_equal(system(command), 0);
    wait_until_ready();
    assert_string_equal(ask("GET a").text, "1");
    end();
}

static void test_shed(void **state)
{
    (void)state;
    begin();
    ask_ok("CONFIG SET min-replicas-to-write 1");
    assert_int_equal(ask("SET a 2").call.err, ERR_UNAVAILABLE);
    ask_ok("CONFIG SET min-replicas-to-write 0");
    ask_ok("CONFIG SET maxmemory 1");
    assert_int_equal(ask("SET a 2").call.err, ERR_UNAVAILABLE);
    ask_ok("CONFIG SET maxmemory 0");
    assert_string_equal(ask("GET a").text, "1");
    end();
}

/* ---- the end ---- */

static void on_idle(struct loop_task *task)
{
    (void)task;
    loop_stop(loop);
}

static void test_idle(void **state)
{
    struct asked asked;
    struct loop_task idle = { .run = on_idle };

    (void)state;
    begin();
    waiting = 1; /* so that its end does not stop the loop */
    start(&asked, "BLPOP none 0.1", loop_now_ms(loop) + CALL_MS);
    redis_when_idle(redis, &idle);
    loop_run(loop);
    assert_int_equal(asked.done, 1);
    waiting = 0;
    redis_when_idle(redis, &idle);
    loop_run(loop);
    end();
}

static int fresh(void **state)
{
    char why[REDIS_WHY_BYTES];
    const char *url = getenv("DOORBUSTER_TEST_REDIS");

    (void)state;
    if (!url) {
        print_error("DOORBUSTER_TEST_REDIS is not set: run by test/with_stores.py --redis\n");
        return -1;
    }
    LOG(LOG_ERROR, "a test begins"); /* its memory is there from here on */
    blocks = mem_live_count();
    waiting = 0;
    return redis_target_parse(&target, url, why) == ERR_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_answers, fresh),
        cmocka_unit_test_setup(test_many, fresh),
        cmocka_unit_test_setup(test_large, fresh),
        cmocka_unit_test_setup(test_deadline, fresh),
        cmocka_unit_test_setup(test_past_deadline, fresh),
        cmocka_unit_test_setup(test_killed_connection, fresh),
        cmocka_unit_test_setup(test_hung, fresh),
        cmocka_unit_test_setup(test_nobody_there, fresh),
        cmocka_unit_test_setup(test_names, fresh),
        cmocka_unit_test_setup(test_wrong_password, fresh),
        cmocka_unit_test_setup(test_read_only, fresh),
        cmocka_unit_test_setup(test_shed, fresh),
        cmocka_unit_test_setup(test_idle, fresh),
    };

    return cmocka_run_group_tests_name("redis/redis", tests, NULL, NULL);
}
