// SPDX-License-Identifier: Apache-2.0
#include "metrics/metrics.h"

#include "base/assert.h"
#include "base/mem.h"
#include "metrics/metrics_internal.h"

const struct metrics_row metrics_rows[METRIC_COUNT] = {
#define METRIC(kind, id, name, labels, help) { name, labels, help, METRICS_KIND_##kind },
#include "metrics/metrics.def"
#undef METRIC
};

const short metrics_statuses[METRICS_STATUS_COUNT] = {
    200, 201, 202, 204, 301, 302, 304, 400, 401, 402, 403, 404, 405, 406,
    408, 409, 410, 413, 414, 415, 422, 429, 431, 500, 501, 503, 505, 0,
};

/* Upper bounds in ns; the text of each is in metrics_render.c. */
static const uint64_t bounds_ns[METRICS_BUCKETS] = {
    50000,     100000,     250000,     500000,     1000000,     2500000,   5000000,
    10000000,  25000000,   50000000,   100000000,  250000000,   300000000, 500000000,
    800000000, 1000000000, 2500000000, 5000000000, 10000000000,
};

/* From 1 µs to 30 s: a connection that is there is had in no time, a new one takes long. */
static const uint64_t pool_bounds_ns[METRICS_BUCKETS] = {
    1000,      5000,      10000,      25000,      50000,       100000,   250000,
    500000,    1000000,   2500000,    5000000,    10000000,    25000000, 50000000,
    100000000, 250000000, 1000000000, 5000000000, 30000000000,
};

static bool has_histogram(enum metrics_kind kind)
{
    return kind == METRICS_KIND_SECONDS || kind == METRICS_KIND_SIZES ||
           kind == METRICS_KIND_POOL_SECONDS;
}

static struct metrics_slot *free_slot(struct metrics_slot *slot)
{
    if (slot) {
        for (size_t i = 0; i < METRIC_COUNT; i++)
            mem_free(slot->histogram[i]);
        mem_free(slot->route);
        mem_free(slot->block);
    }
    return NULL;
}

static struct metrics_slot *new_slot(size_t route_count)
{
    /* calloc() aligns to 16 */
    char *block = mem_alloc(sizeof(struct metrics_slot) + _Alignof(struct metrics_slot));

    if (!block)
        return NULL;
    uintptr_t aligned = ((uintptr_t)block + _Alignof(struct metrics_slot) - 1) &
                        ~(uintptr_t)(_Alignof(struct metrics_slot) - 1);
    struct metrics_slot *slot = (void *)(block + (aligned - (uintptr_t)block));
    slot->block = block;
    slot->route_count = route_count;
    slot->route = mem_alloc((route_count + 1) * sizeof *slot->route);
    if (!slot->route)
        return free_slot(slot);
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        if (!has_histogram(metrics_rows[i].kind))
            continue;
        slot->histogram[i] = mem_alloc(sizeof *slot->histogram[i]);
        if (!slot->histogram[i])
            return free_slot(slot);
    }
    return slot;
}

struct metrics *metrics_new(const struct metrics_route *routes, size_t route_count,
                            size_t thread_count, const char *version, const char *commit)
{
    ASSERT(route_count <= METRICS_ROUTES_MAX && thread_count <= METRICS_THREADS_MAX);
    struct metrics *metrics = mem_alloc(sizeof *metrics);
    if (!metrics)
        return NULL;
    metrics->routes = routes;
    metrics->route_count = route_count;
    metrics->version = version;
    metrics->commit = commit;
    metrics->slots = mem_alloc(MAX(thread_count, (size_t)1) * sizeof *metrics->slots);
    if (!metrics->slots)
        return metrics_free(metrics);
    for (; metrics->slot_count < thread_count; metrics->slot_count++) {
        metrics->slots[metrics->slot_count] = new_slot(route_count);
        if (!metrics->slots[metrics->slot_count])
            return metrics_free(metrics);
    }
    return metrics;
}

struct metrics *metrics_free(struct metrics *metrics)
{
    if (metrics) {
        for (size_t i = 0; metrics->slots && i < metrics->slot_count; i++)
            free_slot(metrics->slots[i]);
        mem_free(metrics->slots);
        mem_free(metrics);
    }
    return NULL;
}

struct metrics_slot *metrics_slot(struct metrics *metrics, size_t index)
{
    ASSERT(index < metrics->slot_count);
    return metrics->slots[index];
}

static void observe(struct metrics_histogram *histogram, size_t bucket, uint64_t value)
{
    metrics_bump(&histogram->bucket[bucket], 1);
    metrics_bump(&histogram->sum, value);
}

/* A bound belongs to its bucket (`le`). Most requests take a few ms: a scan is as good as any. */
static size_t bucket_among(const uint64_t bounds[METRICS_BUCKETS], uint64_t ns)
{
    size_t i = 0;

    while (i < METRICS_BUCKETS && ns > bounds[i])
        i++;
    return i;
}

static size_t bucket_of_ns(uint64_t ns)
{
    return bucket_among(bounds_ns, ns);
}

void metrics_observe_ns(struct metrics_slot *slot, enum metric id, uint64_t ns)
{
    ASSERT(metrics_rows[id].kind == METRICS_KIND_SECONDS);
    observe(slot->histogram[id], bucket_of_ns(ns), ns);
}

/* Bounds 1, 2, 4, … */
void metrics_observe(struct metrics_slot *slot, enum metric id, uint64_t value)
{
    size_t bucket = value <= 1 ? 0 : 64 - (size_t)__builtin_clzll(value - 1);

    ASSERT(metrics_rows[id].kind == METRICS_KIND_SIZES);
    observe(slot->histogram[id], MIN(bucket, (size_t)METRICS_BUCKETS), value);
}

void metrics_pool(struct metrics_slot *slot, enum metric id, uint64_t ns)
{
    ASSERT(metrics_rows[id].kind == METRICS_KIND_POOL_SECONDS);
    observe(slot->histogram[id], bucket_among(pool_bounds_ns, ns), ns);
}

void metrics_breaker(struct metrics_slot *slot, enum metrics_breaker name, bool failed, uint64_t ns)
{
    observe(&slot->breaker[name][failed], bucket_of_ns(ns), ns);
}

enum metrics_result metrics_result_of(int status)
{
    return status >= 500   ? METRICS_SERVER_ERROR
           : status >= 400 ? METRICS_CLIENT_ERROR
           : status >= 300 ? METRICS_REDIRECTION
                           : METRICS_SUCCESS;
}

void metrics_http(struct metrics_slot *slot, size_t route, int status, uint64_t ns)
{
    struct metrics_route_slot *of = &slot->route[MIN(route, slot->route_count)];
    size_t i = 0;

    while (i < METRICS_STATUS_COUNT - 1 && metrics_statuses[i] != status)
        i++;
    metrics_bump(&of->status[i], 1);
    observe(&of->seconds[metrics_result_of(status)], bucket_of_ns(ns), ns);
}

void metrics_set(struct metrics *metrics, enum metric id, int64_t value)
{
    ASSERT(metrics_rows[id].kind == METRICS_KIND_GAUGE);
    atomic_store_explicit(&metrics->gauge[id], value, memory_order_relaxed);
}

void metrics_source(struct metrics *metrics, enum metric id,
                    void (*read)(void *context, struct metrics_writer *writer), void *context)
{
    ASSERT(metrics_rows[id].kind == METRICS_KIND_SOURCE);
    metrics->feed[id] = (struct metrics_feed){ read, context };
}

uint64_t metrics_read(const struct metrics *metrics, enum metric id)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < metrics->slot_count; i++)
        sum += atomic_load_explicit(&metrics->slots[i]->value[id], memory_order_relaxed);
    return sum;
}

uint64_t metrics_read_coupon(const struct metrics *metrics, enum metrics_operation operation,
                             enum metrics_outcome outcome)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < metrics->slot_count; i++)
        sum += atomic_load_explicit(&metrics->slots[i]->coupon[operation][outcome],
                                    memory_order_relaxed);
    return sum;
}
