// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "metrics/metrics.h"

enum metrics_kind {
    METRICS_KIND_COUNTER,
    METRICS_KIND_LEVEL,
    METRICS_KIND_GAUGE,
    METRICS_KIND_SECONDS,
    METRICS_KIND_SIZES,
    METRICS_KIND_SOURCE,
    METRICS_KIND_PROCESS,
    METRICS_KIND_INFO,
    METRICS_KIND_COUPON,
    METRICS_KIND_BREAKER_SECONDS,
    METRICS_KIND_POOL_SECONDS,
    METRICS_KIND_HTTP_COUNTER,
    METRICS_KIND_HTTP_SECONDS,
};

struct metrics_row {
    const char *name, *labels, *help;
    enum metrics_kind kind;
};
extern const struct metrics_row metrics_rows[METRIC_COUNT];

/* Spring's names of what became of a request, by the hundreds of its status. */
enum metrics_result {
    METRICS_SUCCESS,
    METRICS_REDIRECTION,
    METRICS_CLIENT_ERROR,
    METRICS_SERVER_ERROR,
    METRICS_RESULT_COUNT,
};

/* The statuses that are counted apart; the others together as the last one. */
extern const short metrics_statuses[];
enum { METRICS_STATUS_COUNT = 28 };

enum metrics_result metrics_result_of(int status);

struct metrics_route_slot {
    struct metrics_histogram seconds[METRICS_RESULT_COUNT];
    _Atomic uint64_t status[METRICS_STATUS_COUNT];
};

struct metrics_feed {
    void (*read)(void *context, struct metrics_writer *writer);
    void *context;
};

struct metrics {
    const struct metrics_route *routes;
    size_t route_count; /* without the unmatched one */
    const char *version, *commit;
    _Atomic int64_t gauge[METRIC_COUNT];
    struct metrics_feed feed[METRIC_COUNT];
    struct metrics_slot **slots;
    size_t slot_count;
};

struct metrics_writer {
    struct buf *buf;
    const struct metrics_row *row;
};

bool metrics_is_counter(const struct metrics_row *row); /* by its name */
/* The rows about the process: memory, CPU, descriptors, start. */
double metrics_process(enum metric id);
const char *metrics_type_name(const struct metrics_row *row);
extern const char *const metrics_bounds_seconds[METRICS_BUCKETS + 1];
extern const char *const metrics_bounds_pool[METRICS_BUCKETS + 1];
const char *metrics_outcome_name(enum metrics_outcome outcome);
