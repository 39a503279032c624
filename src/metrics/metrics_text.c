// SPDX-License-Identifier: Apache-2.0
/* The format by Accept; docs/metrics.md. */
#include "metrics/metrics_internal.h"

static struct str trim(struct str s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = (struct str){ s.ptr + 1, s.len - 1 };
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* Up to `separator`, trimmed; `rest` goes on behind it. */
static struct str cut(struct str *rest, char separator)
{
    const char *at = memchr(rest->ptr, separator, rest->len);
    struct str part = { rest->ptr, at ? (size_t)(at - rest->ptr) : rest->len };

    rest->ptr += part.len + (at != NULL);
    rest->len -= part.len + (at != NULL);
    return trim(part);
}

/* "0.75" in thousandths; 0 for what is none. */
static int parse_weight(struct str text)
{
    int weight = 0, scale = 1000;

    for (size_t i = 0; i < text.len && i < 5; i++) {
        if (text.ptr[i] == '.' && i == 1)
            continue;
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return 0;
        weight += (text.ptr[i] - '0') * scale;
        scale /= 10;
    }
    return MIN(weight, 1000);
}

/* RFC 9110, as far as Prometheus uses it: OpenMetrics where it weighs no less than text. */
enum metrics_format metrics_negotiate(struct str accept)
{
    int openmetrics = 0, text = 0;

    while (accept.len > 0) {
        struct str parameters = cut(&accept, ',');
        struct str type = cut(&parameters, ';');
        bool other_version = false;
        int weight = 1000;
        while (parameters.len > 0) {
            struct str value = cut(&parameters, ';');
            struct str name = cut(&value, '=');
            if (str_equal_nocase(name, STR("q")))
                weight = parse_weight(value);
            else if (str_equal_nocase(name, STR("version")))
                other_version = !str_equal(value, STR("1.0.0"));
        }
        if (str_equal_nocase(type, STR("application/openmetrics-text")) && !other_version)
            openmetrics = MAX(openmetrics, weight);
        else if (str_equal_nocase(type, STR("text/plain")) || str_equal(type, STR("*/*")))
            text = MAX(text, weight);
    }
    return openmetrics > 0 && openmetrics >= text ? METRICS_OPENMETRICS : METRICS_PROMETHEUS;
}

const char *metrics_content_type(enum metrics_format format)
{
    return format == METRICS_OPENMETRICS
               ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
               : "text/plain; version=0.0.4; charset=utf-8";
}

void metrics_markdown(struct buf *buf)
{
    buf_literal(buf, "# Metrics\n\n"
                     "Made by `doorbuster config --docs` from `src/metrics/metrics.def`: change it "
                     "there.\n\n"
                     "`GET /metrics` (also `/actuator/prometheus`) answers Prometheus text 0.0.4, "
                     "or OpenMetrics 1.0 where `Accept` prefers it. Durations are in seconds, "
                     "sizes in bytes.\n\n"
                     "| metric | type | labels | meaning |\n|---|---|---|---|\n");
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        const struct metrics_row *row = &metrics_rows[i];
        buf_printf(buf, "| `%s` | %s | %s | %s |\n", row->name, metrics_type_name(row), row->labels,
                   row->help);
    }
    buf_literal(buf, "\n`outcome` of a request: `SUCCESS`, `REDIRECTION`, `CLIENT_ERROR`, "
                     "`SERVER_ERROR`; `uri` is the route's template.\n"
                     "`outcome` of `issue` and `reserve`: ");
    for (int i = 0; i < METRICS_OUTCOME_COUNT; i++)
        buf_printf(buf, "%s`%s`", i > 0 ? ", " : "", metrics_outcome_name((enum metrics_outcome)i));
    buf_literal(buf, ".\nBuckets of durations, in seconds: ");
    for (size_t i = 0; i < METRICS_BUCKETS; i++)
        buf_printf(buf, "%s%s", i > 0 ? ", " : "", metrics_bounds_seconds[i]);
    buf_literal(buf, "; of a pool's: ");
    for (size_t i = 0; i < METRICS_BUCKETS; i++)
        buf_printf(buf, "%s%s", i > 0 ? ", " : "", metrics_bounds_pool[i]);
    buf_literal(buf, ".\n");
}
