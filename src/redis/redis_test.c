// SPDX-License-Identifier: Apache-2.0
/* The client on the real loop against a real server of its own. */
#include <signal.h>
#include <unistd.h>

#include "redis/redis_fixture_test.h"

static pid_t server_pid(void)
{
    const char *pid = getenv("DOORBUSTER_TEST_REDIS_PID");

    if (!pid)
        fail_msg("DOORBUSTER_TEST_REDIS_PID is not set: run by test/with_stores.py --redis");
    return pid ? (pid_t)strtol(pid, NULL, 10) : 0;
}

/* ---- deadlines ---- */

/* Ended at its deadline, the answer that comes later is nobody's, the next one gets its own. */
static void test_deadline(void **state)
{
    (void)state;
    begin();
    ask_ok("DEL list");
    uint64_t before = clock_mono_ns();
    struct asked late = ask_for("BLPOP list 1", 100);
    uint64_t took_ms = (clock_mono_ns() - before) / 1000000;
    assert_int_equal(late.call.err, ERR_UNCERTAIN);
    assert_in_range(took_ms, 95, 900);
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
    begin_with(150);
    ask_ok("SET a 1");
    kill(server_pid(), SIGSTOP);
    uint64_t before = clock_mono_ns();
    assert_int_equal(ask("INCR a").call.err, ERR_UNCERTAIN);
    assert_in_range((clock_mono_ns() - before) / 1000000, 100, 1000);
    before = clock_mono_ns();
    for (int i = 0; i < 100; i++)
        assert_int_equal(ask("INCR a").call.err, ERR_UNAVAILABLE);
    assert_true((clock_mono_ns() - before) / 1000000 < 150);
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
    char port[8];
    snprintf(port, sizeof port, "%u", (unsigned)target.place[0].port);
    run_program((const char *const[]){ "redis-cli", "-p", port, "replicaof", "no", "one", NULL });
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

/* A server that stops does not wait for what nobody waits for. */
static void test_forgotten(void **state)
{
    static struct asked sent, unsent, waits;
    struct redis_target there = target;

    (void)state;
    begin();
    ask_ok("SET a 1");
    start(&sent, "BLPOP none 1", loop_now_ms(loop) + CALL_MS);
    settle(20);
    start(&unsent, "INCR a", loop_now_ms(loop) + CALL_MS);
    end();
    assert_int_equal(sent.done + unsent.done, 0);
    snprintf(target.place[0].host, sizeof target.place[0].host, "%s", "192.0.2.1");
    begin();
    start(&waits, "INCR a", loop_now_ms(loop) + CALL_MS);
    settle(20);
    end();
    assert_true(waits.done == 0 || waits.call.err == ERR_UNAVAILABLE);
    target = there;
}

static int fresh(void **state)
{
    (void)state;
    return use_store("DOORBUSTER_TEST_REDIS");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_deadline, fresh),
        cmocka_unit_test_setup(test_past_deadline, fresh),
        cmocka_unit_test_setup(test_killed_connection, fresh),
        cmocka_unit_test_setup(test_hung, fresh),
        cmocka_unit_test_setup(test_nobody_there, fresh),
        cmocka_unit_test_setup(test_names, fresh),
        cmocka_unit_test_setup(test_wrong_password, fresh),
        cmocka_unit_test_setup(test_read_only, fresh),
        cmocka_unit_test_setup(test_shed, fresh),
        cmocka_unit_test_setup(test_forgotten, fresh),
        cmocka_unit_test_setup(test_idle, fresh),
    };

    return cmocka_run_group_tests_name("redis/redis", tests, NULL, NULL);
}
