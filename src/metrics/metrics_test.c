// SPDX-License-Identifier: Apache-2.0
#include "metrics/metrics.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/mem.h"

static const struct metrics_route routes[] = {
    { "GET", "/health/live" },
    { "POST", "/api/coupons/{id}/issue" },
};
enum { LIVE, ISSUE, UNMATCHED };

static struct metrics *new_metrics(size_t threads)
{
    struct metrics *metrics = metrics_new(routes, ARRAY_COUNT(routes), threads, "1.2\"3", "abc");

    assert_non_null(metrics);
    return metrics;
}

/* With a NUL at the end. */
static struct buf render(struct metrics *metrics, enum metrics_format format)
{
    struct buf text = { 0 };

    metrics_render(metrics, format, &text);
    buf_char(&text, '\0');
    assert_true(buf_ok(&text));
    return text;
}

static void expect_line(const struct buf *text, const char *line)
{
    char wanted[256];

    snprintf(wanted, sizeof wanted, "\n%s\n", line);
    if (!strstr(text->ptr, wanted))
        fail_msg("no line '%s'", line);
}

static void test_sums(void **state)
{
    struct metrics *metrics = new_metrics(3);

    (void)state;
    metrics_add(metrics_slot(metrics, 0), METRIC_http_accepted, 2);
    metrics_add(metrics_slot(metrics, 2), METRIC_http_accepted, 40);
    metrics_level(metrics_slot(metrics, 0), METRIC_http_connections, 5);
    metrics_level(metrics_slot(metrics, 1), METRIC_http_connections, -3);
    metrics_coupon(metrics_slot(metrics, 0), METRICS_ISSUE, METRICS_ISSUED);
    metrics_coupon(metrics_slot(metrics, 1), METRICS_ISSUE, METRICS_ISSUED);
    metrics_coupon(metrics_slot(metrics, 1), METRICS_RESERVE, METRICS_SOLD_OUT);
    metrics_set(metrics, METRIC_ready, 1);
    assert_int_equal(metrics_read(metrics, METRIC_http_accepted), 42);
    assert_int_equal(metrics_read_coupon(metrics, METRICS_ISSUE, METRICS_ISSUED), 2);
    struct buf text = render(metrics, METRICS_PROMETHEUS);
    expect_line(&text, "http_server_accepted_total 42");
    expect_line(&text, "http_server_connections 2");
    expect_line(&text, "coupon_requests_total{operation=\"issue\",outcome=\"issued\"} 2");
    expect_line(&text, "coupon_requests_total{operation=\"reserve\",outcome=\"sold_out\"} 1");
    expect_line(&text, "coupon_requests_total{operation=\"reserve\",outcome=\"issued\"} 0");
    expect_line(&text, "ready 1");
    expect_line(&text, "build_info{version=\"1.2\\\"3\",commit=\"abc\"} 1");
    buf_fini(&text);
    metrics_free(metrics);
}

static void test_buckets(void **state)
{
    static const uint64_t bounds_ns[] = {
        50000,     100000,     250000,     500000,     1000000,     2500000,   5000000,
        10000000,  25000000,   50000000,   100000000,  250000000,   300000000, 500000000,
        800000000, 1000000000, 2500000000, 5000000000, 10000000000,
    };
    struct metrics *metrics = new_metrics(1);
    struct metrics_slot *slot = metrics_slot(metrics, 0);
    const struct metrics_histogram *h = slot->histogram[METRIC_ledger_commit];

    (void)state;
    assert_int_equal(ARRAY_COUNT(bounds_ns), METRICS_BUCKETS);
    for (size_t i = 0; i < METRICS_BUCKETS; i++) {
        metrics_observe_ns(slot, METRIC_ledger_commit, bounds_ns[i]); /* `le`: the bound itself */
        metrics_observe_ns(slot, METRIC_ledger_commit, bounds_ns[i] + 1);
    }
    assert_int_equal(h->bucket[0], 1);
    for (size_t i = 1; i < METRICS_BUCKETS; i++)
        assert_int_equal(h->bucket[i], 2);
    assert_int_equal(h->bucket[METRICS_BUCKETS], 1);

    static const struct {
        uint64_t value;
        size_t bucket;
    } sizes[] = { { 0, 0 },       { 1, 0 },       { 2, 1 },          { 3, 2 },
                  { 4, 2 },       { 5, 3 },       { 1024, 10 },      { 1025, 11 },
                  { 262144, 18 }, { 262145, 19 }, { UINT64_MAX, 19 } };
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        h = slot->histogram[METRIC_ledger_batch_size];
        uint64_t before = h->bucket[sizes[i].bucket];
        metrics_observe(slot, METRIC_ledger_batch_size, sizes[i].value);
        assert_int_equal(h->bucket[sizes[i].bucket], before + 1);
    }
    metrics_free(metrics);
}

static void test_pool_histogram(void **state)
{
    struct metrics *metrics = new_metrics(2);

    (void)state;
    struct buf text = render(metrics, METRICS_PROMETHEUS);
    assert_null(strstr(text.ptr, "hikaricp_connections_acquire_seconds_count")); /* no pool */
    buf_fini(&text);
    metrics_pool(metrics_slot(metrics, 0), METRIC_pool_acquire, 1000); /* `le`: the bound itself */
    metrics_pool(metrics_slot(metrics, 1), METRIC_pool_acquire, 1001);
    metrics_pool(metrics_slot(metrics, 1), METRIC_pool_acquire, 40000000000);
    text = render(metrics, METRICS_PROMETHEUS);
#define ACQUIRE(suffix) "hikaricp_connections_acquire_seconds_" suffix "{pool=\"postgres\""
    expect_line(&text, ACQUIRE("bucket") ",le=\"0.000001\"} 1");
    expect_line(&text, ACQUIRE("bucket") ",le=\"0.000005\"} 2");
    expect_line(&text, ACQUIRE("bucket") ",le=\"30.0\"} 2");
    expect_line(&text, ACQUIRE("bucket") ",le=\"+Inf\"} 3");
    expect_line(&text, ACQUIRE("count") "} 3");
    expect_line(&text, ACQUIRE("sum") "} 40.000002001");
    buf_fini(&text);
    metrics_free(metrics);
}

static void test_histogram_text(void **state)
{
    struct metrics *metrics = new_metrics(2);

    (void)state;
    metrics_observe_ns(metrics_slot(metrics, 0), METRIC_ledger_commit, 700000);
    metrics_observe_ns(metrics_slot(metrics, 1), METRIC_ledger_commit, 20000000000);
    metrics_observe(metrics_slot(metrics, 1), METRIC_ledger_batch_size, 64);
    struct buf text = render(metrics, METRICS_PROMETHEUS);
    expect_line(&text, "# TYPE ledger_commit_seconds histogram");
    expect_line(&text, "ledger_commit_seconds_bucket{le=\"0.0005\"} 0");
    expect_line(&text, "ledger_commit_seconds_bucket{le=\"0.001\"} 1");
    expect_line(&text, "ledger_commit_seconds_bucket{le=\"10.0\"} 1");
    expect_line(&text, "ledger_commit_seconds_bucket{le=\"+Inf\"} 2");
    expect_line(&text, "ledger_commit_seconds_count 2");
    expect_line(&text, "ledger_commit_seconds_sum 20.000700000");
    expect_line(&text, "ledger_batch_commands_bucket{le=\"32.0\"} 0");
    expect_line(&text, "ledger_batch_commands_bucket{le=\"64.0\"} 1");
    expect_line(&text, "ledger_batch_commands_sum 64");
    buf_fini(&text);
    metrics_free(metrics);
}

static void breaker_state_read(void *context, struct metrics_writer *writer)
{
    (void)context;
    metrics_sample_labels(writer, STR("name=\"gateway\",state=\"open\""), 1);
}

static void test_breakers(void **state)
{
    struct metrics *metrics = new_metrics(2);

    (void)state;
    struct buf text = render(metrics, METRICS_PROMETHEUS);
    expect_line(&text, "# TYPE resilience4j_circuitbreaker_calls_seconds histogram");
    assert_null(strstr(text.ptr, "resilience4j_circuitbreaker_calls_seconds_count"));
    buf_fini(&text);
    metrics_source(metrics, METRIC_breaker_state, breaker_state_read, NULL);
    metrics_breaker(metrics_slot(metrics, 0), METRICS_BREAKER_GATEWAY, true, 700000);
    metrics_breaker(metrics_slot(metrics, 1), METRICS_BREAKER_GATEWAY, true, 700000);
    text = render(metrics, METRICS_PROMETHEUS);
    expect_line(&text, "resilience4j_circuitbreaker_state{name=\"gateway\",state=\"open\"} 1");
#define CALLS(suffix) "resilience4j_circuitbreaker_calls_seconds_" suffix "{name=\"gateway\",kind="
    expect_line(&text, CALLS("count") "\"successful\"} 0");
    expect_line(&text, CALLS("count") "\"failed\"} 2");
    expect_line(&text, CALLS("bucket") "\"failed\",le=\"0.001\"} 2");
    expect_line(&text, CALLS("sum") "\"failed\"} 0.001400000");
    buf_fini(&text);
    metrics_free(metrics);
}

#define ISSUE_LABELS "method=\"POST\",uri=\"/api/coupons/{id}/issue\""

static void test_http(void **state)
{
    struct metrics *metrics = new_metrics(2);

    (void)state;
    metrics_http(metrics_slot(metrics, 0), ISSUE, 200, 900000);
    metrics_http(metrics_slot(metrics, 1), ISSUE, 200, 900000);
    metrics_http(metrics_slot(metrics, 1), ISSUE, 409, 100);
    metrics_http(metrics_slot(metrics, 1), ISSUE, 418, 100);
    metrics_http(metrics_slot(metrics, 0), UNMATCHED, 404, 100);
    metrics_http(metrics_slot(metrics, 0), 9999, 404, 100);
    struct buf text = render(metrics, METRICS_PROMETHEUS);
    expect_line(&text, "http_server_requests_total{" ISSUE_LABELS
                       ",status=\"200\",outcome=\"SUCCESS\"} 2");
    expect_line(&text, "http_server_requests_total{" ISSUE_LABELS
                       ",status=\"409\",outcome=\"CLIENT_ERROR\"} 1");
    expect_line(&text, "http_server_requests_total{" ISSUE_LABELS
                       ",status=\"other\",outcome=\"UNKNOWN\"} 1");
    expect_line(&text, "http_server_requests_total{" ISSUE_LABELS
                       ",status=\"500\",outcome=\"SERVER_ERROR\"} 0");
    expect_line(&text, "http_server_requests_total{method=\"other\",uri=\"unmatched\","
                       "status=\"404\",outcome=\"CLIENT_ERROR\"} 2");
    expect_line(&text, "http_server_requests_seconds_bucket{" ISSUE_LABELS
                       ",outcome=\"SUCCESS\",le=\"0.001\"} 2");
    expect_line(&text,
                "http_server_requests_seconds_count{" ISSUE_LABELS ",outcome=\"CLIENT_ERROR\"} 2");
    expect_line(&text, "http_server_requests_seconds_sum{" ISSUE_LABELS
                       ",outcome=\"SUCCESS\"} 0.001800000");
    assert_null(strstr(text.ptr, "uri=\"/health/live\",outcome=\"CLIENT_ERROR\""));
    assert_non_null(strstr(text.ptr, "uri=\"/health/live\",outcome=\"SERVER_ERROR\""));
    buf_fini(&text);
    metrics_free(metrics);
}

static void read_remaining(void *context, struct metrics_writer *writer)
{
    metrics_sample_int(writer, STR("1"), *(const int *)context);
    metrics_sample(writer, STR("a\"\\\nb"), 0.5);
}

static void read_age(void *context, struct metrics_writer *writer)
{
    (void)context;
    metrics_sample(writer, STR_NONE, 0.25);
}

static void test_sources(void **state)
{
    struct metrics *metrics = new_metrics(1);
    int remaining = 17;

    (void)state;
    metrics_source(metrics, METRIC_coupon_remaining, read_remaining, &remaining);
    metrics_source(metrics, METRIC_gate_oldest_pending, read_age, NULL);
    struct buf text = render(metrics, METRICS_PROMETHEUS);
    expect_line(&text, "coupon_remaining{coupon=\"1\"} 17");
    expect_line(&text, "coupon_remaining{coupon=\"a\\\"\\\\\\nb\"} 0.5");
    expect_line(&text, "gate_oldest_pending_seconds 0.25");
    buf_fini(&text);
    metrics_free(metrics);
}

/* Of one line of the kernel's, that it is there and sensible. */
static double value_of(const struct buf *text, const char *name)
{
    char wanted[80];

    snprintf(wanted, sizeof wanted, "\n%s ", name);
    const char *line = strstr(text->ptr, wanted);
    assert_non_null(line);
    return strtod(line + strlen(wanted), NULL);
}

static void test_process(void **state)
{
    struct metrics *metrics = new_metrics(1);
    struct buf text = render(metrics, METRICS_PROMETHEUS);

    (void)state;
    assert_true(value_of(&text, "process_resident_memory_bytes") > 1e6);
    assert_true(value_of(&text, "process_open_fds") >= 1);
    assert_true(value_of(&text, "process_cpu_seconds_total") > 0);
    double started = value_of(&text, "process_start_time_seconds");
    assert_true(started > 1.7e9 && started <= (double)time(NULL) + 1);
    buf_fini(&text);
    metrics_free(metrics);
}

/* No family twice, also when OpenMetrics takes _total away; one head each, samples right behind. */
static void test_openmetrics(void **state)
{
    struct metrics *metrics = new_metrics(1);
    struct buf text = render(metrics, METRICS_OPENMETRICS);
    size_t families = 0;

    (void)state;
    assert_true(text.len > 6 && strcmp(text.ptr + text.len - 7, "# EOF\n") == 0);
    expect_line(&text, "# TYPE http_server_accepted counter");
    expect_line(&text, "http_server_accepted_total 0");
    for (const char *p = strstr(text.ptr, "# TYPE "); p; p = strstr(p + 1, "# TYPE ")) {
        char head[128];
        snprintf(head, sizeof head, "%.*s", (int)strcspn(p + 7, " ") + 8, p);
        assert_null(strstr(p + 1, head));
        families++;
    }
    assert_int_equal(families, METRIC_COUNT);
    buf_fini(&text);
    metrics_free(metrics);
}

static void test_negotiate(void **state)
{
    static const struct {
        const char *accept;
        enum metrics_format want;
    } rows[] = {
        { "", METRICS_PROMETHEUS },
        { "*/*", METRICS_PROMETHEUS },
        { "text/plain", METRICS_PROMETHEUS },
        { "text/html,application/xhtml+xml,*/*;q=0.8", METRICS_PROMETHEUS },
        { "application/openmetrics-text", METRICS_OPENMETRICS },
        { "application/openmetrics-text; version=1.0.0; charset=utf-8", METRICS_OPENMETRICS },
        { "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;"
          "version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
          METRICS_OPENMETRICS },
        { "application/openmetrics-text;version=0.0.1,text/plain;q=0.1", METRICS_PROMETHEUS },
        { "application/openmetrics-text;version=9.0.0", METRICS_PROMETHEUS },
        { "text/plain;q=0.9, application/openmetrics-text ; q=0.1", METRICS_PROMETHEUS },
        { "text/plain;q=0.09, APPLICATION/OpenMetrics-Text;Q=0.1", METRICS_OPENMETRICS },
        { "application/openmetrics-text;q=0", METRICS_PROMETHEUS },
        { "application/openmetrics-text;q=x", METRICS_PROMETHEUS },
        { ",,;;q=;=", METRICS_PROMETHEUS },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        if (metrics_negotiate(str_from(rows[i].accept)) != rows[i].want)
            fail_msg("%s", rows[i].accept);
}

/* Texts that mean the same, unescaped, in both formats and in a cell of a table. */
static void test_help(void **state)
{
    static const char *const helps[] = {
#define METRIC(kind, id, name, labels, help) help,
#include "metrics/metrics.def"
#undef METRIC
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(helps); i++)
        assert_int_equal(strcspn(helps[i], "\"\\\n|"), strlen(helps[i]));
}

static void test_markdown(void **state)
{
    struct buf text = { 0 };

    (void)state;
    metrics_markdown(&text);
    buf_char(&text, '\0');
    assert_true(buf_ok(&text));
    assert_non_null(strstr(text.ptr, "\n| `http_server_requests_seconds` | histogram | "
                                     "method, uri, outcome | "));
    assert_non_null(strstr(text.ptr, "`not_started`, `expired`"));
    buf_fini(&text);
}

/* What the specification allows a scrape: with 40 routes and 50 coupons at most 5,000 series. */
static void read_fifty(void *context, struct metrics_writer *writer)
{
    (void)context;
    for (int i = 0; i < 50; i++)
        metrics_sample_int(writer, STR("1234567890"), i);
}

static void test_series(void **state)
{
    struct metrics_route many[40];
    size_t series = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(many); i++)
        many[i] = (struct metrics_route){ "POST", "/api/some/route/{id}" };
    struct metrics *metrics = metrics_new(many, ARRAY_COUNT(many), 4, "1", "a");
    assert_non_null(metrics);
    metrics_source(metrics, METRIC_coupon_remaining, read_fifty, NULL);
    metrics_source(metrics, METRIC_gate_epoch, read_fifty, NULL);
    for (size_t i = 0; i < ARRAY_COUNT(many); i++)
        for (int status = 200; status < 600; status++)
            if (status % 100 < 10 && status / 100 != 3)
                metrics_http(metrics_slot(metrics, 0), i, status, 1000);
    struct buf text = render(metrics, METRICS_PROMETHEUS);
    for (const char *p = text.ptr; *p; p = strchr(p, '\n') + 1)
        series += *p != '#';
    assert_in_range(series, 1000, 5000);
    buf_fini(&text);
    metrics_free(metrics);
}

static void test_no_memory(void **state)
{
    long live = mem_live_count();
    int hits = 1;

    (void)state;
    for (int after = 0; hits > 0; after++) {
        mem_fault_set(after);
        struct metrics *metrics = metrics_new(routes, ARRAY_COUNT(routes), 2, "1", "a");
        hits = mem_fault_hits();
        mem_fault_set(-1);
        assert_true((metrics == NULL) == (hits > 0));
        metrics_free(metrics);
        assert_int_equal(mem_live_count(), live);
    }
}

enum { ROUNDS = 200000 };

static void *count_up(void *slot)
{
    for (int i = 0; i < ROUNDS; i++) {
        metrics_add(slot, METRIC_http_accepted, 1);
        metrics_http(slot, ISSUE, 200, 1000);
    }
    return NULL;
}

/* Scraped while written: never backwards, and in the end exact. ThreadSanitizer looks on. */
static void test_threads(void **state)
{
    struct metrics *metrics = new_metrics(2);
    pthread_t writers[2];
    uint64_t before = 0;

    (void)state;
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&writers[i], NULL, count_up, metrics_slot(metrics, i)), 0);
    while (before < ROUNDS) {
        uint64_t now = metrics_read(metrics, METRIC_http_accepted);
        assert_true(now >= before);
        before = now;
        struct buf text = render(metrics, METRICS_OPENMETRICS);
        buf_fini(&text);
    }
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_join(writers[i], NULL), 0);
    assert_int_equal(metrics_read(metrics, METRIC_http_accepted), 2 * ROUNDS);
    metrics_free(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums),           cmocka_unit_test(test_buckets),
        cmocka_unit_test(test_pool_histogram), cmocka_unit_test(test_histogram_text),
        cmocka_unit_test(test_breakers),       cmocka_unit_test(test_http),
        cmocka_unit_test(test_sources),        cmocka_unit_test(test_process),
        cmocka_unit_test(test_openmetrics),    cmocka_unit_test(test_negotiate),
        cmocka_unit_test(test_help),           cmocka_unit_test(test_markdown),
        cmocka_unit_test(test_series),         cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
