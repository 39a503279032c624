// SPDX-License-Identifier: Apache-2.0
/* Against a real server. */
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "pg/pg_conn_fixture_test.h"

#define TEXT(sql_) ((struct pg_statement){ .sql = (sql_) })

static const char *cell(size_t i)
{
    return PQgetvalue(exchange.results[i], 0, 0);
}

static void test_many_statements_in_one_exchange(void **state)
{
    const char *const values[] = { "20", "22" };
    const struct pg_statement statements[] = {
        TEXT("BEGIN"),
        { .sql = "SELECT $1::int + $2::int", .param_count = 2, .values = values },
        TEXT("SELECT 'x' WHERE false"),
        TEXT("COMMIT"),
    };

    (void)state;
    begin();
    assert_int_equal(run(statements, 4), ERR_OK);
    assert_int_equal(exchange.failed, 4);
    assert_string_equal(cell(1), "42");
    assert_int_equal(PQntuples(exchange.results[2]), 0);
    assert_int_equal(PQresultStatus(exchange.results[3]), PGRES_COMMAND_OK);
    assert_true(pg_conn_is_good(conn));
    assert_false(pg_conn_in_transaction(conn));
    assert_false(exchange.not_replicated);
    assert_true(exchange.took_ns > 0);
    end();
}

static void test_one_after_another(void **state)
{
    (void)state;
    begin();
    for (int i = 0; i < 100; i++)
        assert_int_equal(run_sql(conn, "SELECT 1"), ERR_OK);
    end();
}

/* More than any buffer holds, both ways: neither side may wait for the other. */
static void test_much_both_ways(void **state)
{
    enum { COUNT = 40, BYTES = 400000 };
    struct pg_statement statements[COUNT];
    char *text = malloc(BYTES + 1);
    const char *const values[] = { text };

    (void)state;
    assert_non_null(text);
    memset(text, 'x', BYTES);
    text[BYTES] = '\0';
    for (size_t i = 0; i < COUNT; i++)
        statements[i] =
            (struct pg_statement){ .sql = "SELECT $1::text", .param_count = 1, .values = values };
    begin();
    assert_int_equal(run(statements, COUNT), ERR_OK);
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(PQgetlength(exchange.results[i], 0, 0), BYTES);
    end();
    free(text);
}

static void test_an_error_skips_the_rest(void **state)
{
    const struct pg_statement statements[] = { TEXT("BEGIN"), TEXT("SELECT 1"), TEXT("SELECT 1/0"),
                                               TEXT("SELECT 2"), TEXT("COMMIT") };

    (void)state;
    begin();
    assert_int_equal(run(statements, 5), ERR_INVALID);
    assert_int_equal(exchange.failed, 2);
    assert_string_equal(exchange.sqlstate, "22012");
    assert_non_null(exchange.results[1]);
    assert_non_null(exchange.results[2]);
    assert_null(exchange.results[3]);
    assert_true(pg_conn_in_transaction(conn));
    assert_int_equal(run_sql(conn, "ROLLBACK"), ERR_OK);
    assert_false(pg_conn_in_transaction(conn));
    assert_int_equal(run_sql(conn, "no such statement"), ERR_IO);
    assert_int_equal(run_sql(conn, "SELECT 1"), ERR_OK);
    end();
}

static void test_statement_timeout(void **state)
{
    const struct pg_statement statements[] = { TEXT("BEGIN"),
                                               TEXT("SET LOCAL statement_timeout = 30"),
                                               TEXT("SELECT pg_sleep(10)"), TEXT("COMMIT") };

    (void)state;
    begin();
    assert_int_equal(run(statements, 4), ERR_TIMEOUT);
    assert_string_equal(exchange.sqlstate, PG_STATEMENT_CANCELLED);
    assert_int_equal(exchange.failed, 2);
    assert_true(pg_conn_is_good(conn));
    end();
}

static void test_deadline_breaks_it(void **state)
{
    const struct pg_statement statement = TEXT("SELECT pg_sleep(10)");

    (void)state;
    begin();
    uint64_t began = loop_now_ms(loop);
    assert_int_equal(run_statements(conn, &exchange, &statement, 1, 50), ERR_UNCERTAIN);
    assert_in_range(loop_now_ms(loop) - began, 50, 1000);
    assert_false(pg_conn_is_good(conn));
    assert_int_equal(run_sql(conn, "SELECT 1"), ERR_UNAVAILABLE);
    end();
}

static void test_deadline_already_over(void **state)
{
    const struct pg_statement statement = TEXT("SELECT 1");

    (void)state;
    begin();
    assert_int_equal(run_statements(conn, &exchange, &statement, 1, 0), ERR_TIMEOUT);
    assert_true(pg_conn_is_good(conn));
    end();
}

static void test_terminated_while_busy(void **state)
{
    const struct pg_statement statement =
        TEXT("SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(1)");

    (void)state;
    begin();
    assert_int_equal(run(&statement, 1), ERR_UNCERTAIN);
    assert_string_equal(exchange.sqlstate, "57P01");
    assert_false(pg_conn_is_good(conn));
    end();
}

static void note_broken(void *context)
{
    *(bool *)context = true;
    loop_stop(loop);
}

static void test_terminated_while_idle(void **state)
{
    bool told = false;

    (void)state;
    begin();
    pg_conn_on_broken(conn, note_broken, &told);
    run_apart("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
              "WHERE pid <> pg_backend_pid() AND application_name = 'doorbuster'");
    loop_run(loop);
    assert_true(told);
    assert_false(pg_conn_is_good(conn));
    assert_int_equal(run_sql(conn, "SELECT 1"), ERR_UNAVAILABLE);
    end();
}

/* The loop has not run since: nothing was sent all the same. */
static void test_terminated_and_not_yet_seen(void **state)
{
    (void)state;
    begin();
    run_apart("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
              "WHERE pid <> pg_backend_pid() AND application_name = 'doorbuster'");
    usleep(50000);
    enum err e = run_sql(conn, "SELECT 1");
    assert_int_equal(e, ERR_UNAVAILABLE);
    end();
}

static void test_break(void **state)
{
    const struct pg_statement statement = TEXT("SELECT pg_sleep(10)");

    (void)state;
    begin();
    exchange = (struct pg_exchange){ .done = exchanged,
                                     .statements = &statement,
                                     .count = 1,
                                     .deadline_ms = loop_now_ms(loop) + 10000 };
    pg_exchange(conn, &exchange);
    pg_conn_break(conn);
    loop_run(loop);
    assert_int_equal(exchange.err, ERR_UNCERTAIN);
    assert_false(pg_conn_is_good(conn));
    end();
}

static void test_serialization_failure(void **state)
{
    (void)state;
    run_apart(
        "CREATE TABLE IF NOT EXISTS pg_conn_test (n int); INSERT INTO pg_conn_test VALUES (1)");
    begin();
    assert_int_equal(run_sql(conn, "BEGIN ISOLATION LEVEL REPEATABLE READ"), ERR_OK);
    assert_int_equal(run_sql(conn, "SELECT * FROM pg_conn_test"), ERR_OK);
    run_apart("UPDATE pg_conn_test SET n = n + 1");
    assert_int_equal(run_sql(conn, "UPDATE pg_conn_test SET n = n + 1"), ERR_CONFLICT);
    end();
    run_apart("DROP TABLE pg_conn_test");
}

static void cancel_wait(struct loop_timer *timer)
{
    (void)timer;
    run_apart("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
}

/* The server waits for a standby that does not exist, until it is told not to. */
static void test_not_replicated(void **state)
{
    const struct pg_statement statement = TEXT("INSERT INTO pg_conn_standby VALUES (1)");
    struct loop_timer timer = { .run = cancel_wait };
    bool seen = false;

    (void)state;
    begin();
    run_apart("CREATE TABLE pg_conn_standby (n int)");
    run_apart("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    run_apart("SELECT pg_reload_conf()");
    enum err e = ERR_OK;
    uint64_t until_ms = clock_boot_ms() + 10000; /* the reload takes its time */
    while (!seen && e == ERR_OK && clock_boot_ms() < until_ms) {
        err_ignore(loop_timer_start(loop, &timer, 200), "then it takes 10 s");
        e = run(&statement, 1);
        loop_timer_stop(&timer);
        seen = exchange.not_replicated;
    }
    run_apart("ALTER SYSTEM RESET synchronous_standby_names");
    run_apart("SELECT pg_reload_conf()");
    assert_int_equal(e, ERR_OK);
    assert_true(seen);
    end();
    run_apart("DROP TABLE pg_conn_standby");
}

/* ---- getting in ---- */

static char url[512];

/* The test's URL with `hosts` in front of its own host and `rest` behind. */
static void make_url(const char *hosts, const char *rest)
{
    const char *all = test_url(), *at = strchr(all, '@');

    assert_non_null(at);
    snprintf(url, sizeof url, "%.*s%s%s%s", (int)(at + 1 - all), all, hosts, at + 1, rest);
}

static void test_refused_host_is_passed_over(void **state)
{
    char hosts[64];

    (void)state;
    snprintf(hosts, sizeof hosts, "127.0.0.1:%u,", dead_port());
    make_url(hosts, "");
    begin_at(url);
    conn = connect_one();
    assert_int_equal(run_sql(conn, "SELECT 1"), ERR_OK);
    end();
}

static void test_silent_host_is_passed_over(void **state)
{
    char hosts[64];
    uint16_t port;
    int fd = silent_peer(&port);

    (void)state;
    snprintf(hosts, sizeof hosts, "127.0.0.1:%u,", port);
    make_url(hosts, "");
    begin_at(url);
    conn = pg_conn_new(loop, source);
    uint64_t began = loop_now_ms(loop);
    assert_int_equal(open_within(conn, 600), ERR_OK);
    assert_in_range(loop_now_ms(loop) - began, 300, 550);
    end();
    close(fd);
}

static void test_names_are_resolved(void **state)
{
    const char *port = strrchr(test_url(), ':');

    (void)state;
    snprintf(url, sizeof url, "postgresql://doorbuster@no-such-host.invalid%.*s,localhost%s",
             (int)strcspn(port, "/"), port, port);
    begin_at(url);
    conn = connect_one();
    assert_int_equal(run_sql(conn, "SELECT 1"), ERR_OK);
    end();
}

static void test_nobody_there(void **state)
{
    (void)state;
    snprintf(url, sizeof url, "postgresql://127.0.0.1:%u/x", dead_port());
    begin_at(url);
    conn = pg_conn_new(loop, source);
    assert_int_equal(open_within(conn, 1000), ERR_UNAVAILABLE);
    assert_non_null(strstr(reason.text, "refused"));
    end();
}

static void test_silence_ends_at_the_deadline(void **state)
{
    uint16_t port;
    int fd = silent_peer(&port);

    (void)state;
    snprintf(url, sizeof url, "postgresql://127.0.0.1:%u/x", port);
    begin_at(url);
    conn = pg_conn_new(loop, source);
    uint64_t began = loop_now_ms(loop);
    assert_int_equal(open_within(conn, 100), ERR_TIMEOUT);
    assert_in_range(loop_now_ms(loop) - began, 100, 1000);
    end();
    close(fd);
}

/* What takes no writes, as a standby does not, is passed over unless it is asked for. */
static void test_read_only_is_passed_over(void **state)
{
    (void)state;
    make_url("", "?options=-c%20default_transaction_read_only%3Don");
    begin_at(url);
    conn = pg_conn_new(loop, source);
    assert_int_equal(open_within(conn, 1000), ERR_UNAVAILABLE);
    assert_non_null(strstr(reason.text, "read-only"));
    end();
    make_url("", "?options=-c%20default_transaction_read_only%3Don&target_session_attrs=any");
    begin_at(url);
    conn = connect_one();
    assert_int_equal(run_sql(conn, "CREATE TABLE pg_conn_x ()"), ERR_UNAVAILABLE); /* 25006 */
    end();
}

static void test_too_many_clients(void **state)
{
    (void)state;
    run_apart("DROP ROLE IF EXISTS few_clients; CREATE ROLE few_clients LOGIN CONNECTION LIMIT 0");
    const char *at = strchr(test_url(), '@');
    snprintf(url, sizeof url, "postgresql://few_clients%s", at);
    begin_at(url);
    conn = pg_conn_new(loop, source);
    assert_int_equal(open_within(conn, 10000), ERR_UNAVAILABLE);
    assert_string_equal(reason.sqlstate, PG_TOO_MANY_CLIENTS);
    end();
    run_apart("DROP ROLE few_clients");
}

static void called_back(struct pg_open *open)
{
    (void)open;
    fail_msg("called off, and called back");
}

static void test_called_off(void **state)
{
    struct pg_open open = { .done = called_back };
    char text[64];
    uint16_t port;
    int fd = silent_peer(&port);

    (void)state;
    snprintf(text, sizeof text, "postgresql://127.0.0.1:%u/x", port);
    for (int turns = 0; turns < 2; turns++) {
        begin_at(text);
        open.deadline_ms = loop_now_ms(loop) + 10000;
        conn = pg_conn_new(loop, source);
        pg_conn_open(conn, &open);
        if (turns > 0)
            run_for(20);
        conn = pg_conn_free(conn);
        run_for(20);
        finish();
    }
    close(fd);
}

/* ---- blocking ---- */

static void test_sync(void **state)
{
    const char *const values[] = { "5" };
    const struct pg_statement statement = { .sql = "SELECT $1::int",
                                            .param_count = 1,
                                            .values = values };
    const struct pg_statement slow = { .sql = "SELECT pg_sleep(10)" };
    struct pg_options options = { .url = test_url() };
    PGresult *result = NULL;
    PGconn *pg = NULL;

    (void)state;
    assert_int_equal(pg_sync_open(&options, &pg, &reason), ERR_OK);
    assert_int_equal(pg_sync_run(pg, &statement, 1000, &result, &reason), ERR_OK);
    assert_string_equal(PQgetvalue(result, 0, 0), "5");
    PQclear(result);
    assert_int_equal(pg_sync_script(pg, "SELECT 1; SELECT 1/0; SELECT 2", 1000, &reason),
                     ERR_INVALID);
    assert_string_equal(reason.sqlstate, "22012");
    assert_int_equal(pg_sync_run(pg, &slow, 50, &result, &reason), ERR_UNCERTAIN);
    PQfinish(pg);
    snprintf(url, sizeof url, "postgresql://127.0.0.1:%u/x", dead_port());
    options.url = url;
    assert_int_equal(pg_sync_open(&options, &pg, &reason), ERR_UNAVAILABLE);
}

static void test_every_allocation_fails(void **state)
{
    int failed = 0;

    (void)state;
    begin_at(test_url());
    run_for(1); /* the loop keeps what it needs for a timer */
    for (int after = 0;; after++) {
        long live = mem_live_count();
        mem_fault_set(after);
        conn = pg_conn_new(loop, source);
        enum err e = conn ? open_within(conn, 10000) : ERR_NOMEM;
        if (e == ERR_OK)
            e = run_sql(conn, "SELECT 1");
        int hits = mem_fault_hits();
        mem_fault_set(-1);
        if (hits == 0)
            assert_int_equal(e, ERR_OK);
        conn = pg_conn_free(conn);
        run_for(1); /* the loop lets go of what was watched */
        assert_int_equal(mem_live_count(), live);
        if (hits == 0)
            break;
        failed++;
    }
    assert_true(failed >= 3);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_statements_in_one_exchange),
        cmocka_unit_test(test_one_after_another),
        cmocka_unit_test(test_much_both_ways),
        cmocka_unit_test(test_an_error_skips_the_rest),
        cmocka_unit_test(test_statement_timeout),
        cmocka_unit_test(test_deadline_breaks_it),
        cmocka_unit_test(test_deadline_already_over),
        cmocka_unit_test(test_terminated_while_busy),
        cmocka_unit_test(test_terminated_while_idle),
        cmocka_unit_test(test_terminated_and_not_yet_seen),
        cmocka_unit_test(test_break),
        cmocka_unit_test(test_serialization_failure),
        cmocka_unit_test(test_not_replicated),
        cmocka_unit_test(test_refused_host_is_passed_over),
        cmocka_unit_test(test_silent_host_is_passed_over),
        cmocka_unit_test(test_names_are_resolved),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_silence_ends_at_the_deadline),
        cmocka_unit_test(test_read_only_is_passed_over),
        cmocka_unit_test(test_too_many_clients),
        cmocka_unit_test(test_called_off),
        cmocka_unit_test(test_sync),
        cmocka_unit_test(test_every_allocation_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
