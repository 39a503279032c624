// SPDX-License-Identifier: Apache-2.0
/* The pool against a real server, with a door in between. */
#include "pg/pg_door_test.h"
#include "pg/pg_pool_fixture_test.h"

static void begin_pool(void)
{
    callers_left = 0;
    log_set_level(LOG_ERROR);
    door_begin();
    begin_at(door.url);
    pool = pg_pool_new(loop, source, &options);
    assert_non_null(pool);
}

static void begin(void)
{
    set_defaults();
    begin_pool();
}

static void end(void)
{
    run_for(1);
    pool = pg_pool_free(pool);
    finish();
    door_end();
}

/* ---- tests ---- */

static void test_fills_and_lends(void **state)
{
    (void)state;
    begin();
    fill(2);
    assert_int_equal(stats().total, 2);
    assert_int_equal(ask("SELECT 1"), ERR_OK);
    assert_int_equal(stats().active, 0);
    assert_int_equal(stats().peak, 1);
    assert_int_equal(stats().recommended_max, 2);
    end();
}

static void test_first_come_first_served(void **state)
{
    struct caller callers[20];

    (void)state;
    set_defaults();
    options.rules.max = 1;
    options.rules.min_idle = 1;
    begin_pool();
    for (size_t i = 0; i < 20; i++)
        caller_begin(&callers[i], "SELECT 1", i % 2 ? POOL_READS : POOL_BATCHES);
    loop_run(loop);
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(callers[i].err, ERR_OK);
        if (i > 0)
            assert_true(callers[i].took_ns + callers[i].began_ns >
                        callers[i - 1].took_ns + callers[i - 1].began_ns);
    }
    assert_int_equal(stats().total, 1);
    end();
}

static void test_shares_have_limits_of_their_own(void **state)
{
    struct caller reads[4];

    (void)state;
    set_defaults();
    options.rules.share_max[POOL_READS] = 1;
    begin_pool();
    fill(2);
    for (size_t i = 0; i < 4; i++)
        caller_begin(&reads[i], "SELECT pg_sleep(0.02)", POOL_READS);
    run_for(1);
    assert_int_equal(stats().active, 1);
    callers_left++;                              /* not the last */
    struct pg_borrow batch = take(POOL_BATCHES); /* passes those who wait for their share */
    callers_left--;
    assert_int_equal(batch.err, ERR_OK);
    assert_false(reads[3].over);
    pg_pool_return(pool, batch.conn);
    loop_run(loop);
    assert_true(reads[3].over);
    end();
}

static void test_an_open_transaction_is_rolled_back(void **state)
{
    (void)state;
    begin();
    fill(2);
    assert_int_equal(ask("BEGIN"), ERR_OK);
    WAIT_UNTIL(stats().total == 2);
    for (int i = 0; i < 5; i++) { /* whichever it is */
        struct pg_borrow borrow = take(POOL_READS);
        assert_int_equal(borrow.err, ERR_OK);
        assert_false(pg_conn_in_transaction(borrow.conn));
        pg_pool_return(pool, borrow.conn);
    }
    end();
}

static void test_waiting_ends(void **state)
{
    (void)state;
    set_defaults();
    options.rules.max = options.rules.min_idle = 1;
    options.rules.connection_timeout_ms = 60;
    begin_pool();
    fill(1);
    struct pg_borrow first = take(POOL_READS);
    uint64_t began_ms = loop_now_ms(loop);
    struct pg_borrow second = take(POOL_READS);
    assert_int_equal(second.err, ERR_TIMEOUT);
    assert_in_range(loop_now_ms(loop) - began_ms, 60, 500);
    assert_int_equal(stats().timeouts, 1);
    assert_int_equal(stats().breaker.counts.failed, 0); /* the database is well */
    pg_pool_return(pool, first.conn);
    end();
}

enum { CALLERS = 50, BURST_IDLE = 5, BURST_MS = 25 };
static const char burst_sql[] = "SELECT pg_sleep(0.002)";

static uint64_t burst_ns(void)
{
    static struct caller callers[CALLERS];
    uint64_t began_ns = clock_mono_ns();

    for (size_t i = 0; i < CALLERS; i++)
        caller_begin(&callers[i], burst_sql, POOL_READS);
    loop_run(loop);
    for (size_t i = 0; i < CALLERS; i++)
        assert_int_equal(callers[i].err, ERR_OK);
    return clock_mono_ns() - began_ns;
}

/* What one connection would take for its part of them: on a machine that is busy, more than 20 ms.
 */
static uint64_t part_ns(void)
{
    uint64_t began_ns = clock_mono_ns();

    for (size_t i = 0; i < CALLERS / BURST_IDLE; i++)
        assert_int_equal(ask(burst_sql), ERR_OK);
    return clock_mono_ns() - began_ns;
}

struct burst {
    uint64_t took_ns, allowed_ns;
    uint32_t connections;
};

static struct burst run_burst(void)
{
    struct burst burst;

    set_defaults();
    options.rules.max = 60;
    options.rules.min_idle = BURST_IDLE;
    options.rules.share_max[POOL_READS] = 60;
    begin_pool();
    door.late_ms = 150;
    fill(BURST_IDLE);
    burst.took_ns = burst_ns();
    run_for(400); /* for all that may still be on their way in */
    burst.connections = stats().total;
    burst.allowed_ns = MAX(part_ns() * 5 / 4, BURST_MS * 1000000ull);
    end();
    return burst;
}

/* 50 callers on 5 idle connections; 150 ms to connect, 2 ms a query. */
static void test_a_burst_is_served_by_what_is_there(void **state)
{
    bool good = false;

    (void)state;
    for (int tries = 0; tries < 6 && !good; tries++) {
        struct burst burst = run_burst();
        print_message("burst of 50 on 5: %.1f ms, %u connections\n", (double)burst.took_ns / 1e6,
                      burst.connections);
        good = burst.took_ns <= burst.allowed_ns && burst.connections <= BURST_IDLE + 1;
    }
    assert_true(good);
}

/* Broken, and the next good answer soon after it is back; asked all the while. */
static void test_database_back(void **state)
{
    uint64_t worst_ms = 0;

    (void)state;
    begin();
    for (uint64_t away_ms = 100; away_ms <= 3200; away_ms *= 2) {
        fill(2);
        assert_int_equal(ask("SELECT 1"), ERR_OK);
        door.shut = true;
        uint64_t began_ms = loop_now_ms(loop);
        while (loop_now_ms(loop) < began_ms + away_ms) {
            struct caller caller;
            caller_begin(&caller, "SELECT 1", POOL_READS);
            caller.borrow.deadline_ms = 0;
            run_for(20);
            if (!caller.over) { /* waits in line: that ends when it is back */
                run_for(began_ms + away_ms > loop_now_ms(loop)
                            ? began_ms + away_ms - loop_now_ms(loop)
                            : 1);
                door.shut = false;
                uint64_t back_ms = loop_now_ms(loop);
                while (!caller.over)
                    run_for(1);
                if (caller.err == ERR_OK)
                    worst_ms = MAX(worst_ms, loop_now_ms(loop) - back_ms);
                break;
            }
        }
        door.shut = false;
        uint64_t back_ms = loop_now_ms(loop);
        while (ask("SELECT 1") != ERR_OK)
            run_for(5);
        worst_ms = MAX(worst_ms, loop_now_ms(loop) - back_ms);
    }
    print_message("database back: first good query after %u ms at most\n", (unsigned)worst_ms);
    assert_true(worst_ms <= 1000);
    end();
}

/* All idle connections are silent: gone within twice the time for validation, and whoever came
 * first has got a new one by then. */
static void test_silent_peers_are_evicted(void **state)
{
    enum { IDLE = 5 };
    struct caller caller;

    (void)state;
    set_defaults();
    options.rules.min_idle = IDLE;
    begin_pool();
    fill(IDLE);
    run_for(600); /* no longer trusted */
    uint64_t evicted = stats().evicted;
    door.silent = true;
    uint64_t began_ms = loop_now_ms(loop);
    caller_begin(&caller, "SELECT 1", POOL_READS);
    while (stats().evicted < evicted + IDLE && loop_now_ms(loop) < began_ms + 5000)
        run_for(1);
    uint64_t took_ms = loop_now_ms(loop) - began_ms;
    print_message("%u silent peers evicted after %u ms (validation %u ms)\n", IDLE,
                  (unsigned)took_ms, (unsigned)options.rules.validation_timeout_ms);
    assert_true(took_ms <= 2 * options.rules.validation_timeout_ms);
    door.silent = false;
    loop_run(loop);
    assert_int_equal(caller.err, ERR_OK);
    end();
}

static void test_leak_is_told(void **state)
{
    enum { LEAK_MS = 120, RECLAIM_MS = 400 };

    (void)state;
    set_defaults();
    options.rules.leak_ms = LEAK_MS;
    options.rules.reclaim_ms = RECLAIM_MS;
    begin_pool();
    fill(2);
    struct pg_borrow kept = take(POOL_READS);
    const struct pg_pooled *pooled = kept.conn->owner;
    assert_non_null(strstr(pooled->where, "pg_pool_fixture_test.h:"));
    assert_string_equal(pooled->request_id, "r-1");
    uint64_t began_ms = loop_now_ms(loop);
    while (stats().leaked == 0 && loop_now_ms(loop) < began_ms + 5000)
        run_for(1);
    uint64_t late_ms = loop_now_ms(loop) - began_ms - LEAK_MS;
    print_message("leak told %u ms after its threshold\n", (unsigned)late_ms);
    assert_true(late_ms <= 100);
    while (stats().active > 0 && loop_now_ms(loop) < began_ms + 5000)
        run_for(1);
    assert_in_range(loop_now_ms(loop) - began_ms, RECLAIM_MS, RECLAIM_MS + 100);
    assert_int_equal(stats().leaked, 1);
    assert_false(pg_conn_is_good(kept.conn));
    pg_pool_return(pool, kept.conn);
    assert_int_equal(ask("SELECT 1"), ERR_OK);
    end();
}

struct many {
    struct pg_borrow borrow;
    uint64_t left;
};

static void again(struct pg_borrow *borrow)
{
    struct many *many = CONTAINER_OF(borrow, struct many, borrow);

    assert_int_equal(borrow->err, ERR_OK);
    pg_pool_return(pool, borrow->conn);
    if (--many->left == 0)
        loop_stop(loop);
    else
        PG_BORROW(pool, borrow);
}

static void test_no_leak_is_told_falsely(void **state)
{
    enum { BORROWS = 1000000 };
    struct many many = { .borrow = { .done = again, .share = POOL_READS }, .left = BORROWS };

    (void)state;
    set_defaults();
    options.rules.leak_ms = 1000;
    begin_pool();
    fill(2);
    uint64_t began_ns = clock_mono_ns();
    PG_BORROW(pool, &many.borrow);
    loop_run(loop);
    print_message("%u borrows: %.0f ns each\n", BORROWS,
                  (double)(clock_mono_ns() - began_ns) / BORROWS);
    assert_int_equal(stats().leaked, 0);
    end();
}

static void test_keepalive_and_lifetime(void **state)
{
    (void)state;
    set_defaults();
    options.rules.max_lifetime_ms = 300;
    begin_pool();
    fill(2);
    uint64_t created = stats().created;
    struct pg_borrow kept = take(POOL_READS);
    run_for(1500);
    assert_true(pg_conn_is_good(kept.conn)); /* never one that is lent */
    assert_true(stats().created >= created + 2);
    pg_pool_return(pool, kept.conn);
    end();
}

static void test_idle_ones_above_the_minimum_go(void **state)
{
    struct caller callers[6];

    (void)state;
    set_defaults();
    options.rules.idle_timeout_ms = 700;
    begin_pool();
    fill(2);
    for (size_t i = 0; i < 6; i++)
        caller_begin(&callers[i], "SELECT pg_sleep(0.3)", POOL_READS);
    loop_run(loop);
    assert_true(stats().total > 2);
    WAIT_UNTIL(stats().total == 2);
    end();
}

/* The database is away: the breaker opens, borrowing ends at once, and soon after it is back it is
 * half open. */
static void test_breaker(void **state)
{
    struct caller callers[8];

    (void)state;
    begin();
    fill(2);
    door.shut = true;
    WAIT_UNTIL(stats().breaker.state == BREAKER_OPEN);
    uint64_t began_ns = clock_mono_ns();
    assert_int_equal(ask("SELECT 1"), ERR_UNAVAILABLE);
    assert_true(clock_mono_ns() - began_ns < 50000000);
    assert_true(stats().breaker.not_permitted > 0);
    door.shut = false;
    WAIT_UNTIL(stats().breaker.state == BREAKER_HALF_OPEN);
    for (size_t i = 0; i < 8; i++)
        caller_begin(&callers[i], "SELECT 1", POOL_READS);
    loop_run(loop);
    assert_int_equal(callers[4].err, ERR_OK);
    assert_int_equal(callers[5].err, ERR_UNAVAILABLE); /* five are let through for trial */
    assert_int_equal(stats().breaker.state, BREAKER_CLOSED);
    assert_int_equal(ask("SELECT 1"), ERR_OK);
    end();
}

static void test_too_many_clients_lowers_the_limit(void **state)
{
    struct caller callers[10];
    char text[512];

    (void)state;
    run_apart("DROP ROLE IF EXISTS few_clients; CREATE ROLE few_clients LOGIN CONNECTION LIMIT 3");
    set_defaults();
    log_set_level(LOG_ERROR);
    snprintf(text, sizeof text, "postgresql://few_clients%s", strchr(test_url(), '@'));
    begin_at(text);
    pool = pg_pool_new(loop, source, &options);
    for (size_t i = 0; i < 10; i++)
        caller_begin(&callers[i], "SELECT pg_sleep(0.05)", POOL_READS);
    loop_run(loop);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(callers[i].err, ERR_OK);
    assert_int_equal(stats().total, 3);
    assert_int_equal(stats().breaker.state, BREAKER_CLOSED);
    assert_int_equal(stats().breaker.counts.failed, 0);
    pool = pg_pool_free(pool);
    finish();
    run_apart("DROP ROLE few_clients");
}

static void test_metrics(void **state)
{
    struct metrics *metrics = metrics_new(NULL, 0, 1, "1", "x");
    CLEANUP(buf_fini) struct buf text = { 0 };

    (void)state;
    assert_non_null(metrics);
    set_defaults();
    options.metrics = metrics_slot(metrics, 0);
    begin_pool();
    pg_pool_tell_metrics(pool, metrics);
    fill(2);
    assert_int_equal(ask("SELECT 1"), ERR_OK);
    metrics_render(metrics, METRICS_PROMETHEUS, &text);
    buf_char(&text, '\0');
    static const char *const lines[] = {
        "\nhikaricp_connections{pool=\"postgres\"} 2\n",
        "\nhikaricp_connections_active{pool=\"postgres\"} 0\n",
        "\nhikaricp_connections_idle{pool=\"postgres\"} 2\n",
        "\nhikaricp_connections_pending{pool=\"postgres\"} 0\n",
        "\nhikaricp_connections_max{pool=\"postgres\"} 10\n",
        "\nhikaricp_connections_min{pool=\"postgres\"} 2\n",
        "\nhikaricp_connections_peak{pool=\"postgres\"} 1\n",
        "\nhikaricp_connections_recommended_max{pool=\"postgres\"} 2\n",
        "\nhikaricp_connections_limit{pool=\"postgres\",share=\"reads\"} 10\n",
        "\nhikaricp_connections_timeout_total{pool=\"postgres\"} 0\n",
        "\nhikaricp_connections_leaked_total{pool=\"postgres\"} 0\n",
        "\nhikaricp_connections_acquire_seconds_count{pool=\"postgres\"} 1\n",
        "\nhikaricp_connections_usage_seconds_count{pool=\"postgres\"} 1\n",
        "\nhikaricp_connections_creation_seconds_count{pool=\"postgres\"} 2\n",
        "calls_seconds_count{name=\"postgres\",kind=\"successful\"} 1\n",
    };
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++)
        if (!strstr(text.ptr, lines[i]))
            fail_msg("no line %s", lines[i]);
    end();
    metrics_free(metrics);
}

/* One round with the memory running out on the way: afterwards it works as if nothing was. */
static void pool_without_memory(int after, int *ret_hits)
{
    mem_fault_set(after);
    pool = pg_pool_new(loop, source, &options);
    if (pool)
        run_for(3);
    *ret_hits = mem_fault_hits();
    mem_fault_set(-1);
    if (pool)
        WAIT_UNTIL(ask("SELECT 1") == ERR_OK);
    pool = pg_pool_free(pool);
    run_for(1); /* the loop lets go of what was watched */
}

static void test_every_allocation_fails(void **state)
{
    enum { AFTER_MAX = 30 };
    int hits = 0;

    (void)state;
    set_defaults();
    options.rules.max = options.rules.min_idle = 1;
    log_set_level(LOG_ERROR);
    callers_left = 0;
    begin_at(test_url());
    pool_without_memory(-1, &hits); /* the loop keeps what it needs for timers */
    for (int after = 0; after < AFTER_MAX; after++) {
        long live = mem_live_count();
        pool_without_memory(after, &hits);
        assert_int_equal(mem_live_count(), live);
    }
    finish();
}

static void test_closing_sends_away(void **state)
{
    struct pg_borrow waits = { .done = got, .share = POOL_READS };

    (void)state;
    set_defaults();
    begin_pool();
    door.silent = true;
    PG_BORROW(pool, &waits);
    run_for(20);
    pool = pg_pool_free(pool);
    assert_int_equal(waits.err, ERR_UNAVAILABLE);
    finish();
    door_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fills_and_lends),
        cmocka_unit_test(test_first_come_first_served),
        cmocka_unit_test(test_shares_have_limits_of_their_own),
        cmocka_unit_test(test_an_open_transaction_is_rolled_back),
        cmocka_unit_test(test_waiting_ends),
        cmocka_unit_test(test_a_burst_is_served_by_what_is_there),
        cmocka_unit_test(test_database_back),
        cmocka_unit_test(test_silent_peers_are_evicted),
        cmocka_unit_test(test_leak_is_told),
        cmocka_unit_test(test_no_leak_is_told_falsely),
        cmocka_unit_test(test_keepalive_and_lifetime),
        cmocka_unit_test(test_idle_ones_above_the_minimum_go),
        cmocka_unit_test(test_breaker),
        cmocka_unit_test(test_too_many_clients_lowers_the_limit),
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_every_allocation_fails),
        cmocka_unit_test(test_closing_sends_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
