// SPDX-License-Identifier: Apache-2.0
/* The pool behind toxiproxy, a network that somebody else has made bad. */
#include <stdio.h>

#include "pg/pg_pool_fixture_test.h"

/* ---- toxiproxy's HTTP interface ---- */

static int dial_api(const char **ret_host)
{
    const char *url = getenv("DOORBUSTER_TEST_TOXIPROXY");
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

    if (!url)
        fail_msg("DOORBUSTER_TEST_TOXIPROXY is not set: run this by test/with_stores.py");
    addr.sin_port = htons(port_of(url));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    const char *host = url ? strstr(url, "://") : NULL;
    *ret_host = host ? host + 3 : "";
    return fd;
}

static void call_api(const char *method, const char *path, const char *body)
{
    char text[1024];
    const char *host;
    int fd = dial_api(&host);
    int n = snprintf(text, sizeof text,
                     "%s /proxies/postgres%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n"
                     "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                     method, path, host, strlen(body), body);

    assert_int_equal(send(fd, text, (size_t)n, MSG_NOSIGNAL), n);
    ssize_t got = recv(fd, text, sizeof text - 1, MSG_WAITALL);
    close(fd);
    assert_true(got > 12);
    text[got] = '\0';
    if (strncmp(text + 9, "20", 2) != 0)
        fail_msg("toxiproxy: %s %s: %s", method, path, text);
}

static void add_toxic(const char *type, const char *attributes)
{
    char body[256];

    snprintf(body, sizeof body,
             "{\"name\":\"toxic\",\"type\":\"%s\",\"stream\":\"downstream\",\"attributes\":{%s}}",
             type, attributes);
    call_api("POST", "/toxics", body);
}

static void remove_toxic(void)
{
    call_api("DELETE", "/toxics/toxic", "");
}

static void set_enabled(bool enabled)
{
    call_api("POST", "", enabled ? "{\"enabled\":true}" : "{\"enabled\":false}");
}

static void begin_behind(void)
{
    const char *url = getenv("DOORBUSTER_TEST_POSTGRES_LINK");

    if (!url)
        fail_msg("DOORBUSTER_TEST_POSTGRES_LINK is not set: run this by test/with_stores.py");
    callers_left = 0;
    log_set_level(LOG_ERROR);
    begin_at(url);
    pool = pg_pool_new(loop, source, &options);
    assert_non_null(pool);
}

static void end_behind(void)
{
    run_for(1);
    pool = pg_pool_free(pool);
    finish();
}

/* ---- tests ---- */

static void test_silent_network(void **state)
{
    enum { IDLE = 5 };
    struct caller caller;

    (void)state;
    set_defaults();
    options.rules.min_idle = IDLE;
    begin_behind();
    fill(IDLE);
    run_for(POOL_FRESH_MS + 50); /* no longer trusted */
    uint64_t evicted = stats().evicted;
    add_toxic("timeout", "\"timeout\":0");
    uint64_t began_ms = loop_now_ms(loop);
    caller_begin(&caller, "SELECT 1", POOL_READS);
    WAIT_UNTIL(stats().evicted >= evicted + IDLE);
    uint64_t took_ms = loop_now_ms(loop) - began_ms;
    remove_toxic();
    print_message("%u silent peers evicted after %u ms (validation %u ms)\n", IDLE,
                  (unsigned)took_ms, (unsigned)options.rules.validation_timeout_ms);
    assert_true(took_ms <= 2 * options.rules.validation_timeout_ms);
    loop_run(loop);
    assert_int_equal(caller.err, ERR_OK);
    end_behind();
}

static uint64_t back_after(uint64_t away_ms)
{
    fill(2);
    set_enabled(false);
    run_for(away_ms);
    set_enabled(true);
    uint64_t back_ms = loop_now_ms(loop);
    while (ask("SELECT 1") != ERR_OK)
        run_for(1);
    return loop_now_ms(loop) - back_ms;
}

static void test_database_back(void **state)
{
    uint64_t worst_ms = 0;

    (void)state;
    set_defaults();
    begin_behind();
    for (uint64_t away_ms = 50; away_ms <= 1600; away_ms *= 2) {
        uint64_t took_ms = back_after(away_ms);
        worst_ms = MAX(worst_ms, took_ms);
    }
    print_message("database back: first good query after %u ms at most\n", (unsigned)worst_ms);
    assert_true(worst_ms <= 1000);
    end_behind();
}

/* Silent while away, connections that are being opened, too. */
static void test_back_after_silence(void **state)
{
    uint64_t worst_ms = 0;

    (void)state;
    set_defaults();
    begin_behind();
    for (uint64_t away_ms = 300; away_ms <= 2400; away_ms *= 2) {
        struct caller caller;
        fill(2);
        run_for(POOL_FRESH_MS + 50);
        add_toxic("timeout", "\"timeout\":0");
        caller_begin(&caller, "SELECT 1", POOL_READS);
        run_for(away_ms);
        remove_toxic();
        uint64_t back_ms = loop_now_ms(loop);
        WAIT_UNTIL(caller.over);
        while (ask("SELECT 1") != ERR_OK)
            run_for(1);
        uint64_t took_ms = loop_now_ms(loop) - back_ms;
        worst_ms = MAX(worst_ms, took_ms);
    }
    print_message("back after silence: first good query after %u ms at most\n", (unsigned)worst_ms);
    assert_true(worst_ms <= 1000);
    end_behind();
}

/* It answers, but so late that it is better left alone for a while. */
static void test_slow_database_opens_the_breaker(void **state)
{
    static struct caller callers[30];

    (void)state;
    set_defaults();
    options.rules.validation_timeout_ms = 2000;
    begin_behind();
    fill(2);
    add_toxic("latency", "\"latency\":300");
    for (size_t i = 0; i < ARRAY_COUNT(callers); i++)
        caller_begin(&callers[i], "SELECT 1", POOL_READS);
    loop_run(loop);
    assert_int_not_equal(stats().breaker.state, BREAKER_CLOSED);
    assert_int_equal(stats().breaker.counts.failed, 0);
    remove_toxic();
    WAIT_UNTIL(ask("SELECT 1") == ERR_OK);
    WAIT_UNTIL(ask("SELECT 1") == ERR_OK && stats().breaker.state == BREAKER_CLOSED);
    end_behind();
}

static void test_reset_connections(void **state)
{
    (void)state;
    set_defaults();
    begin_behind();
    fill(2);
    add_toxic("reset_peer", "\"timeout\":0");
    enum err e = ask("SELECT 1");
    assert_true(e == ERR_UNCERTAIN || e == ERR_UNAVAILABLE);
    remove_toxic();
    WAIT_UNTIL(ask("SELECT 1") == ERR_OK);
    end_behind();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_silent_network),
        cmocka_unit_test(test_database_back),
        cmocka_unit_test(test_back_after_silence),
        cmocka_unit_test(test_slow_database_opens_the_breaker),
        cmocka_unit_test(test_reset_connections),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
