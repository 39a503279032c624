// SPDX-License-Identifier: Apache-2.0
/*
 * The exposition: Prometheus text 0.0.4 and OpenMetrics 1.0. They differ in the name that HELP and
 * TYPE give to a counter (with and without _total) and in the last line. Appended by pieces, not
 * printed: a scrape is thousands of lines and runs on a loop thread.
 */
#include <math.h>

#include "metrics/metrics_internal.h"

/* Upper bounds as Prometheus writes floats; the numbers are in metrics.c. */
const char *const metrics_bounds_seconds[METRICS_BUCKETS + 1] = {
    "0.00005", "0.0001", "0.00025", "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05",
    "0.1",     "0.25",   "0.3",     "0.5",    "0.8",   "1.0",    "2.5",   "5.0",  "10.0",  "+Inf",
};
const char *const metrics_bounds_pool[METRICS_BUCKETS + 1] = {
    "0.000001", "0.000005", "0.00001", "0.000025", "0.00005", "0.0001", "0.00025",
    "0.0005",   "0.001",    "0.0025",  "0.005",    "0.01",    "0.025",  "0.05",
    "0.1",      "0.25",     "1.0",     "5.0",      "30.0",    "+Inf",
};
static const char *const bounds_sizes[METRICS_BUCKETS + 1] = {
    "1.0",     "2.0",     "4.0",     "8.0",      "16.0",     "32.0",   "64.0",
    "128.0",   "256.0",   "512.0",   "1024.0",   "2048.0",   "4096.0", "8192.0",
    "16384.0", "32768.0", "65536.0", "131072.0", "262144.0", "+Inf",
};
static const char *const result_names[METRICS_RESULT_COUNT] = { "SUCCESS", "REDIRECTION",
                                                                "CLIENT_ERROR", "SERVER_ERROR" };
static const char *const operation_names[METRICS_OPERATION_COUNT] = { "issue", "reserve" };
static const char *const outcome_names[METRICS_OUTCOME_COUNT] = {
    "issued", "reserved", "already",    "sold_out",    "not_started", "expired",
    "ended",  "closed",   "overloaded", "unavailable", "invalid",
};

static const char *const breaker_names[METRICS_BREAKER_COUNT] = { "gateway", "redis", "ranking",
                                                                  "postgres" };

const char *metrics_breaker_name(enum metrics_breaker name)
{
    return breaker_names[name];
}

const char *metrics_outcome_name(enum metrics_outcome outcome)
{
    return outcome_names[outcome];
}

struct render {
    struct metrics *metrics;
    struct buf *buf;
    enum metrics_format format;
};

static void append(struct buf *buf, const char *text)
{
    buf_str_append(buf, str_from(text));
}

static void append_label_value(struct buf *buf, struct str value)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (c == '"' || c == '\\')
            buf_char(buf, '\\');
        if (c == '\n')
            buf_literal(buf, "\\n");
        else
            buf_char(buf, c);
    }
}

static void append_double(struct buf *buf, double value)
{
    if (isnan(value))
        append(buf, "NaN");
    else if (isinf(value))
        append(buf, value > 0 ? "+Inf" : "-Inf");
    else
        buf_printf(buf, "%.15g", value);
}

const char *metrics_type_name(const struct metrics_row *row)
{
    switch (row->kind) {
    case METRICS_KIND_SECONDS:
    case METRICS_KIND_SIZES:
    case METRICS_KIND_HTTP_SECONDS:
    case METRICS_KIND_BREAKER_SECONDS:
    case METRICS_KIND_POOL_SECONDS:
        return "histogram";
    default:
        return metrics_is_counter(row) ? "counter" : "gauge";
    }
}

bool metrics_is_counter(const struct metrics_row *row)
{
    size_t n = strlen(row->name);

    return n > 6 && strcmp(row->name + n - 6, "_total") == 0;
}

static void append_head(struct render *render, const struct metrics_row *row)
{
    struct str name = str_from(row->name);

    if (render->format == METRICS_OPENMETRICS && metrics_is_counter(row))
        name.len -= 6;
    append(render->buf, "# HELP ");
    buf_str_append(render->buf, name);
    buf_char(render->buf, ' ');
    append(render->buf, row->help); /* needs no escape, says the test */
    append(render->buf, "\n# TYPE ");
    buf_str_append(render->buf, name);
    buf_char(render->buf, ' ');
    append(render->buf, metrics_type_name(row));
    buf_char(render->buf, '\n');
}

/* `name{labels} value`; labels without the braces, may be empty. */
static void append_uint(struct buf *buf, const char *name, const char *suffix, struct str labels,
                        uint64_t value)
{
    append(buf, name);
    append(buf, suffix);
    if (labels.len > 0) {
        buf_char(buf, '{');
        buf_str_append(buf, labels);
        buf_char(buf, '}');
    }
    buf_char(buf, ' ');
    buf_uint(buf, value);
    buf_char(buf, '\n');
}

/* What all threads have seen: buckets, then the sum. */
struct total {
    uint64_t bucket[METRICS_BUCKETS + 1], sum, count;
};

static void add_histogram(struct total *total, const struct metrics_histogram *histogram)
{
    for (size_t i = 0; i <= METRICS_BUCKETS; i++) {
        uint64_t n = atomic_load_explicit(&histogram->bucket[i], memory_order_relaxed);
        total->bucket[i] += n;
        total->count += n;
    }
    total->sum += atomic_load_explicit(&histogram->sum, memory_order_relaxed);
}

static void append_histogram(struct buf *buf, const struct metrics_row *row, struct str labels,
                             const struct total *total)
{
    bool seconds = row->kind != METRICS_KIND_SIZES;
    const char *const *bounds = row->kind == METRICS_KIND_POOL_SECONDS ? metrics_bounds_pool
                                : seconds                              ? metrics_bounds_seconds
                                                                       : bounds_sizes;
    uint64_t below = 0;

    for (size_t i = 0; i <= METRICS_BUCKETS; i++) {
        below += total->bucket[i];
        append(buf, row->name);
        append(buf, "_bucket{");
        buf_str_append(buf, labels);
        append(buf, labels.len > 0 ? ",le=\"" : "le=\"");
        append(buf, bounds[i]);
        append(buf, "\"} ");
        buf_uint(buf, below);
        buf_char(buf, '\n');
    }
    append_uint(buf, row->name, "_count", labels, total->count);
    append(buf, row->name);
    append(buf, "_sum");
    if (labels.len > 0) {
        buf_char(buf, '{');
        buf_str_append(buf, labels);
        buf_char(buf, '}');
    }
    buf_char(buf, ' ');
    if (seconds)
        buf_printf(buf, "%llu.%09llu", (unsigned long long)(total->sum / 1000000000u),
                   (unsigned long long)(total->sum % 1000000000u));
    else
        buf_uint(buf, total->sum);
    buf_char(buf, '\n');
}

static void render_histogram(struct render *render, enum metric id, struct str labels)
{
    struct metrics *metrics = render->metrics;
    struct total total = { .sum = 0 };

    for (size_t i = 0; i < metrics->slot_count; i++)
        add_histogram(&total, metrics->slots[i]->histogram[id]);
    if (total.count > 0 || labels.len == 0) /* a pool that was never used has no series */
        append_histogram(render->buf, &metrics_rows[id], labels, &total);
}

/* `method="GET",uri="/x"`; the last route is what no route took. */
static void route_labels(struct buf *labels, const struct metrics *metrics, size_t route)
{
    bool known = route < metrics->route_count;

    buf_reset(labels);
    append(labels, "method=\"");
    append(labels, known ? metrics->routes[route].method : "other");
    append(labels, "\",uri=\"");
    append(labels, known ? metrics->routes[route].uri : "unmatched");
    buf_char(labels, '"');
}

/* Success and server errors are there from the start, so that a first error is a change of 0 to 1.
 */
static void render_http_seconds(struct render *render, enum metric id)
{
    CLEANUP(buf_fini) struct buf labels = { 0 };
    struct metrics *metrics = render->metrics;

    for (size_t route = 0; route <= metrics->route_count; route++)
        for (size_t result = 0; result < METRICS_RESULT_COUNT; result++) {
            struct total total = { .sum = 0 };
            for (size_t i = 0; i < metrics->slot_count; i++)
                add_histogram(&total, &metrics->slots[i]->route[route].seconds[result]);
            if (total.count == 0 && result != METRICS_SUCCESS && result != METRICS_SERVER_ERROR)
                continue;
            route_labels(&labels, metrics, route);
            append(&labels, ",outcome=\"");
            append(&labels, result_names[result]);
            buf_char(&labels, '"');
            append_histogram(render->buf, &metrics_rows[id], buf_str(&labels), &total);
        }
}

static const char *status_outcome(int status)
{
    return status == 0 ? "UNKNOWN" : result_names[metrics_result_of(status)];
}

static void render_http_counter(struct render *render, enum metric id)
{
    CLEANUP(buf_fini) struct buf labels = { 0 };
    struct metrics *metrics = render->metrics;

    for (size_t route = 0; route <= metrics->route_count; route++)
        for (size_t s = 0; s < METRICS_STATUS_COUNT; s++) {
            int status = metrics_statuses[s];
            uint64_t sum = 0;
            for (size_t i = 0; i < metrics->slot_count; i++)
                sum += atomic_load_explicit(&metrics->slots[i]->route[route].status[s],
                                            memory_order_relaxed);
            if (sum == 0 && status != 200 && status != 500 && status != 503)
                continue;
            route_labels(&labels, metrics, route);
            append(&labels, ",status=\"");
            if (status == 0)
                append(&labels, "other");
            else
                buf_int(&labels, status);
            append(&labels, "\",outcome=\"");
            append(&labels, status_outcome(status));
            buf_char(&labels, '"');
            append_uint(render->buf, metrics_rows[id].name, "", buf_str(&labels), sum);
        }
}

static void render_coupons(struct render *render, enum metric id)
{
    CLEANUP(buf_fini) struct buf labels = { 0 };

    for (size_t operation = 0; operation < METRICS_OPERATION_COUNT; operation++)
        for (size_t outcome = 0; outcome < METRICS_OUTCOME_COUNT; outcome++) {
            buf_reset(&labels);
            append(&labels, "operation=\"");
            append(&labels, operation_names[operation]);
            append(&labels, "\",outcome=\"");
            append(&labels, outcome_names[outcome]);
            buf_char(&labels, '"');
            append_uint(render->buf, metrics_rows[id].name, "", buf_str(&labels),
                        metrics_read_coupon(render->metrics, (enum metrics_operation)operation,
                                            (enum metrics_outcome)outcome));
        }
}

/* A breaker that was never asked has no series. */
static void render_breakers(struct render *render, enum metric id)
{
    static const char *const kinds[2] = { "successful", "failed" };
    CLEANUP(buf_fini) struct buf labels = { 0 };

    for (size_t name = 0; name < METRICS_BREAKER_COUNT; name++) {
        struct total total[2] = { { .sum = 0 }, { .sum = 0 } };
        for (size_t i = 0; i < render->metrics->slot_count; i++)
            for (size_t failed = 0; failed < 2; failed++)
                add_histogram(&total[failed], &render->metrics->slots[i]->breaker[name][failed]);
        for (size_t failed = 0; failed < 2 && total[0].count + total[1].count > 0; failed++) {
            buf_reset(&labels);
            buf_printf(&labels, "name=\"%s\",kind=\"%s\"", breaker_names[name], kinds[failed]);
            append_histogram(render->buf, &metrics_rows[id], buf_str(&labels), &total[failed]);
        }
    }
}

static void start_sample(struct metrics_writer *writer, struct str label_value)
{
    append(writer->buf, writer->row->name);
    if (writer->row->labels[0]) {
        buf_char(writer->buf, '{');
        append(writer->buf, writer->row->labels);
        append(writer->buf, "=\"");
        append_label_value(writer->buf, label_value);
        append(writer->buf, "\"}");
    }
    buf_char(writer->buf, ' ');
}

void metrics_sample(struct metrics_writer *writer, struct str label_value, double value)
{
    start_sample(writer, label_value);
    append_double(writer->buf, value);
    buf_char(writer->buf, '\n');
}

void metrics_sample_labels(struct metrics_writer *writer, struct str labels, double value)
{
    append(writer->buf, writer->row->name);
    buf_char(writer->buf, '{');
    buf_str_append(writer->buf, labels);
    append(writer->buf, "} ");
    append_double(writer->buf, value);
    buf_char(writer->buf, '\n');
}

void metrics_sample_int(struct metrics_writer *writer, struct str label_value, int64_t value)
{
    start_sample(writer, label_value);
    buf_int(writer->buf, value);
    buf_char(writer->buf, '\n');
}

static void render_row(struct render *render, enum metric id)
{
    struct metrics *metrics = render->metrics;
    const struct metrics_row *row = &metrics_rows[id];
    struct metrics_writer writer = { .buf = render->buf, .row = row };

    append_head(render, row);
    switch (row->kind) {
    case METRICS_KIND_COUNTER:
        append_uint(render->buf, row->name, "", STR_NONE, metrics_read(metrics, id));
        break;
    case METRICS_KIND_LEVEL:
        metrics_sample_int(&writer, STR_NONE, (int64_t)metrics_read(metrics, id));
        break;
    case METRICS_KIND_GAUGE:
        metrics_sample_int(&writer, STR_NONE,
                           atomic_load_explicit(&metrics->gauge[id], memory_order_relaxed));
        break;
    case METRICS_KIND_SECONDS:
    case METRICS_KIND_SIZES:
        render_histogram(render, id, STR_NONE);
        break;
    case METRICS_KIND_POOL_SECONDS:
        render_histogram(render, id, STR("pool=\"" METRICS_POOL_NAME "\""));
        break;
    case METRICS_KIND_SOURCE:
        if (metrics->feed[id].read)
            metrics->feed[id].read(metrics->feed[id].context, &writer);
        break;
    case METRICS_KIND_PROCESS:
        metrics_sample(&writer, STR_NONE, metrics_process(id));
        break;
    case METRICS_KIND_INFO:
        append(render->buf, row->name);
        append(render->buf, "{version=\"");
        append_label_value(render->buf, str_from(metrics->version));
        append(render->buf, "\",commit=\"");
        append_label_value(render->buf, str_from(metrics->commit));
        append(render->buf, "\"} 1\n");
        break;
    case METRICS_KIND_COUPON:
        render_coupons(render, id);
        break;
    case METRICS_KIND_BREAKER_SECONDS:
        render_breakers(render, id);
        break;
    case METRICS_KIND_HTTP_COUNTER:
        render_http_counter(render, id);
        break;
    case METRICS_KIND_HTTP_SECONDS:
        render_http_seconds(render, id);
        break;
    }
}

void metrics_render(struct metrics *metrics, enum metrics_format format, struct buf *buf)
{
    struct render render = { .metrics = metrics, .buf = buf, .format = format };

    for (size_t id = 0; id < METRIC_COUNT; id++)
        render_row(&render, (enum metric)id);
    if (format == METRICS_OPENMETRICS)
        append(buf, "# EOF\n");
}
