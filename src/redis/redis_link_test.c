// SPDX-License-Identifier: Apache-2.0
/* A link to Redis that is slow, cut into pieces, reset, or silent. */
#include "redis/redis_fixture_test.h"

enum { CALLS = 300, LONG_BYTES = 100000, SILENCE_MS = 150, SLOW_MS = 50 };

/* ---- toxiproxy ---- */

static void curl(const char *method, const char *path, const char *body)
{
    const char *proxy = getenv("DOORBUSTER_TEST_TOXIPROXY");
    char url[256];

    if (!proxy)
        fail_msg("DOORBUSTER_TEST_TOXIPROXY is not set: run by test/with_stores.py");
    snprintf(url, sizeof url, "%s%s", proxy, path);
    run_program((const char *const[]){ "curl", "-sfo", "/dev/null", "-A", "doorbuster", "-X",
                                       method, "-d", body, url, NULL });
}

/* In both directions. */
static void poison(const char *kind, const char *attributes)
{
    static const char *const streams[] = { "upstream", "downstream" };
    char body[256];

    for (int i = 0; i < 2; i++) {
        snprintf(body, sizeof body,
                 "{\"name\":\"%s\",\"type\":\"%s\",\"stream\":\"%s\",\"attributes\":{%s}}",
                 streams[i], kind, streams[i], attributes);
        curl("POST", "/proxies/redis/toxics", body);
    }
    settle(1); /* the loop's clock has stood still meanwhile */
}

static void heal(void)
{
    curl("DELETE", "/proxies/redis/toxics/upstream", "");
    curl("DELETE", "/proxies/redis/toxics/downstream", "");
}

/* ---- calls that count ---- */

static struct asked many[CALLS];

static void ask_many(uint64_t ms)
{
    for (int i = 0; i < CALLS; i++)
        start(&many[i], "INCR n", loop_now_ms(loop) + ms);
    loop_run(loop);
}

static int count(enum err e)
{
    int n = 0;

    for (int i = 0; i < CALLS; i++) {
        assert_int_equal(many[i].done, 1);
        n += many[i].call.err == e;
    }
    return n;
}

static void begin_strict(void)
{
    begin_with(SILENCE_MS);
    redis_free(redis);
    options.slow_ms = SLOW_MS;
    options.connect_timeout_ms = 500;
    redis = redis_new(loop, &options);
    assert_non_null(redis);
    ask_ok("SET n 0");
}

static void wait_until_well(void)
{
    for (int i = 0; i < 500; i++) {
        if (ask_for("PING", 500).call.err == ERR_OK &&
            redis_stats(redis).breaker.state == BREAKER_CLOSED)
            return;
        settle(10);
    }
    fail_msg("it did not come back");
}

/* What the server counted is what was told, and some of what was not known. */
static void check_count(int ok, int unknown)
{
    struct asked n = ask("GET n");

    assert_int_equal(n.call.err, ERR_OK);
    assert_in_range(strtol(n.text, NULL, 10), ok, ok + unknown);
}

/* ---- tests ---- */

/* Every call is answered, all of them too slowly: the breaker opens, and closes by itself. */
static void test_latency(void **state)
{
    (void)state;
    begin_strict();
    poison("latency", "\"latency\":40");
    ask_many(CALL_MS);
    assert_int_equal(count(ERR_OK), CALLS);
    assert_int_equal(redis_stats(redis).breaker.state, BREAKER_OPEN);
    assert_int_equal(ask("PING").call.err, ERR_UNAVAILABLE);
    heal();
    wait_until_well();
    check_count(CALLS, 0);
    assert_int_equal(redis_stats(redis).reconnects, 0);
    end();
}

static void test_slicer(void **state)
{
    static char value[LONG_BYTES + 1];
    struct asked asked = { .call = { .done = on_done, .argc = 3 },
                           .words = { "SET", "long", value },
                           .bytes = { 3, 4, LONG_BYTES } };

    (void)state;
    begin();
    ask_ok("SET n 0");
    poison("slicer", "\"average_size\":7,\"size_variation\":5,\"delay\":1");
    ask_many(CALL_MS);
    assert_int_equal(count(ERR_OK), CALLS);
    memset(value, '\r', LONG_BYTES);
    asked.call.argv = asked.words;
    asked.call.argv_bytes = asked.bytes;
    asked.call.deadline_ms = loop_now_ms(loop) + 10 * CALL_MS;
    waiting++;
    redis_call(redis, &asked.call);
    loop_run(loop);
    assert_int_equal(asked.call.err, ERR_OK);
    heal();
    assert_int_equal(ask("STRLEN long").integer, LONG_BYTES);
    check_count(CALLS, 0);
    end();
}

static void test_reset(void **state)
{
    (void)state;
    begin_strict();
    settle(150);
    poison("reset_peer", "\"timeout\":1");
    ask_many(CALL_MS);
    int ok = count(ERR_OK), unknown = count(ERR_UNCERTAIN);
    assert_int_equal(ok + unknown + count(ERR_UNAVAILABLE), CALLS);
    assert_true(ok < CALLS);
    heal();
    wait_until_well();
    check_count(ok, unknown);
    end();
}

static void test_blackhole(void **state)
{
    (void)state;
    begin_strict();
    poison("timeout", "\"timeout\":0");
    uint64_t before = clock_mono_ns();
    ask_many(CALL_MS);
    assert_in_range((clock_mono_ns() - before) / 1000000, SILENCE_MS / 2, 1000);
    assert_int_equal(count(ERR_UNCERTAIN), CALLS);
    assert_int_equal(ask("INCR n").call.err, ERR_UNAVAILABLE);
    heal();
    wait_until_well();
    check_count(0, CALLS);
    end();
}

static int fresh(void **state)
{
    (void)state;
    curl("POST", "/reset", "");
    return use_store("DOORBUSTER_TEST_REDIS_LINK");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_latency, fresh),
        cmocka_unit_test_setup(test_slicer, fresh),
        cmocka_unit_test_setup(test_reset, fresh),
        cmocka_unit_test_setup(test_blackhole, fresh),
    };

    return cmocka_run_group_tests_name("redis/link", tests, NULL, NULL);
}
