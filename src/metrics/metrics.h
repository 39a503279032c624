// SPDX-License-Identifier: Apache-2.0
/*
 * Counters, gauges and histograms, one row each in metrics/metrics.def. Each thread owns a slot:
 * it alone writes it, with relaxed loads and stores, and whoever renders sums over all of them; so
 * the hot path never shares a cache line. Label sets are known at start, never made on the way.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/str.h"

enum metric {
#define METRIC(kind, id, ...) METRIC_##id,
#include "metrics/metrics.def"
#undef METRIC
    METRIC_COUNT,
};

enum metrics_format { METRICS_PROMETHEUS, METRICS_OPENMETRICS };

enum metrics_operation { METRICS_ISSUE, METRICS_RESERVE, METRICS_OPERATION_COUNT };
/* What a caller of issue or reserve was told. */
enum metrics_outcome {
    METRICS_ISSUED,
    METRICS_RESERVED,
    METRICS_ALREADY,
    METRICS_SOLD_OUT,
    METRICS_NOT_STARTED,
    METRICS_EXPIRED,
    METRICS_ENDED,
    METRICS_CLOSED,
    METRICS_OVERLOADED,
    METRICS_UNAVAILABLE,
    METRICS_INVALID, /* unknown user or coupon, bad input */
    METRICS_OUTCOME_COUNT,
};

/* A back end that is behind a circuit breaker: the label `name`. */
enum metrics_breaker {
    METRICS_BREAKER_GATEWAY,
    METRICS_BREAKER_REDIS,   /* the gate's */
    METRICS_BREAKER_RANKING, /* the ranking's, of Redis, too */
    METRICS_BREAKER_POSTGRES,
    METRICS_BREAKER_COUNT,
};

/* Index = the number given to metrics_http(). Strings are borrowed for good. */
struct metrics_route {
    const char *method, *uri; /* "POST", "/api/coupons/{id}/issue" */
};

enum { METRICS_BUCKETS = 19, METRICS_ROUTES_MAX = 256, METRICS_THREADS_MAX = 128 };

/* Not cumulative; the last one is +Inf. `sum` in ns, or in what was observed. */
struct metrics_histogram {
    _Atomic uint64_t bucket[METRICS_BUCKETS + 1];
    _Atomic uint64_t sum;
};

struct metrics; /* of the process */
struct metrics_route_slot;

/* Of one thread; see metrics_internal.h for the rest. */
struct metrics_slot {
    _Alignas(128) _Atomic uint64_t value[METRIC_COUNT]; /* LEVEL: two's complement */
    _Atomic uint64_t coupon[METRICS_OPERATION_COUNT][METRICS_OUTCOME_COUNT];
    struct metrics_histogram *histogram[METRIC_COUNT];          /* NULL where the row is none */
    struct metrics_histogram breaker[METRICS_BREAKER_COUNT][2]; /* successful, failed */
    struct metrics_route_slot *route;
    size_t route_count;
    void *block; /* what was allocated */
};

/*
 * routes        the label sets of the HTTP families; one more, method "other" and uri "unmatched",
 *               is added at index `route_count` for requests that no route takes
 * thread_count  slots: loops, the ledger's writer, …
 * version, commit  labels of build_info, borrowed for good
 * NULL when there is no memory.
 */
struct metrics *metrics_new(const struct metrics_route *routes, size_t route_count,
                            size_t thread_count, const char *version,
                            const char *commit) MUST_CHECK;
struct metrics *metrics_free(struct metrics *metrics);
/* The slot of thread `index`; only that thread writes it. */
struct metrics_slot *metrics_slot(struct metrics *metrics, size_t index);

static inline void metrics_bump(_Atomic uint64_t *cell, uint64_t n)
{
    /* sole writer: no read-modify-write needed */
    atomic_store_explicit(cell, atomic_load_explicit(cell, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/* COUNTER */
static inline void metrics_add(struct metrics_slot *slot, enum metric id, uint64_t n)
{
    metrics_bump(&slot->value[id], n);
}

/* LEVEL, up or down; a thread's own part may be negative, the sum is what counts */
static inline void metrics_level(struct metrics_slot *slot, enum metric id, int64_t change)
{
    metrics_bump(&slot->value[id], (uint64_t)change);
}

static inline void metrics_coupon(struct metrics_slot *slot, enum metrics_operation operation,
                                  enum metrics_outcome outcome)
{
    metrics_bump(&slot->coupon[operation][outcome], 1);
}

/* SECONDS */
void metrics_observe_ns(struct metrics_slot *slot, enum metric id, uint64_t ns);
/* SIZES */
void metrics_observe(struct metrics_slot *slot, enum metric id, uint64_t value);
/* POOL_SECONDS */
#define METRICS_POOL_NAME "postgres" /* the label `pool`: there is one */
void metrics_pool(struct metrics_slot *slot, enum metric id, uint64_t ns);
/* One call that a breaker let through. */
void metrics_breaker(struct metrics_slot *slot, enum metrics_breaker name, bool failed,
                     uint64_t ns);
/* One request answered: both HTTP families. A route out of range counts as unmatched. */
void metrics_http(struct metrics_slot *slot, size_t route, int status, uint64_t ns);

/* GAUGE; any thread */
void metrics_set(struct metrics *metrics, enum metric id, int64_t value);

/*
 * SOURCE: `read` is called at each scrape, on the thread that renders, and calls metrics_sample()
 * for each series, once with an empty label where the row has none. A row without a source is
 * rendered without samples. Before the first scrape only.
 */
struct metrics_writer;
void metrics_source(struct metrics *metrics, enum metric id,
                    void (*read)(void *context, struct metrics_writer *writer), void *context);
void metrics_sample(struct metrics_writer *writer, struct str label_value, double value);
/* Of a row with several labels: `labels` are as they are printed, `name="gateway",state="open"`. */
void metrics_sample_labels(struct metrics_writer *writer, struct str labels, double value);
void metrics_sample_int(struct metrics_writer *writer, struct str label_value, int64_t value);

/* Append the exposition. Any thread. */
void metrics_render(struct metrics *metrics, enum metrics_format format, struct buf *buf);
/* By an Accept field's value, which may be empty. */
enum metrics_format metrics_negotiate(struct str accept);
const char *metrics_breaker_name(enum metrics_breaker name);
const char *metrics_content_type(enum metrics_format format);
/* docs/metrics.md */
void metrics_markdown(struct buf *buf);
/* Summed over all threads: a COUNTER or LEVEL; a cell of COUPON. */
uint64_t metrics_read(const struct metrics *metrics, enum metric id);
uint64_t metrics_read_coupon(const struct metrics *metrics, enum metrics_operation operation,
                             enum metrics_outcome outcome);
