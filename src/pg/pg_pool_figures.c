// SPDX-License-Identifier: Apache-2.0
/* What a pool is made of and what it tells: options and metrics. */
#include "base/clock.h"
#include "config/config.h"
#include "pg/pg_pool_internal.h"

/* An exchange that took longer is slow to the breaker. */
enum { SLOW_MS = 250 };

struct pg_pool_options pg_pool_options_of(const struct config *config)
{
    uint64_t seed = clock_mono_ns();

    return (struct pg_pool_options){
        .rules = {
            .max = (uint32_t)config->pool_max,
            .min_idle = (uint32_t)MIN(config->pool_min_idle, config->pool_max),
            .share_max = { [POOL_BATCHES] = (uint32_t)config->pool_batches_max,
                           [POOL_READS] = (uint32_t)config->pool_reads_max },
            .adaptive = config->pool_adaptive,
            .connection_timeout_ms = (uint64_t)config->pool_connection_timeout_ms,
            .validation_timeout_ms = (uint64_t)config->pool_validation_timeout_ms,
            .idle_timeout_ms = (uint64_t)config->pool_idle_timeout_ms,
            .max_lifetime_ms = (uint64_t)config->pool_max_lifetime_ms,
            .keepalive_ms = (uint64_t)config->pool_keepalive_ms,
            .leak_ms = (uint64_t)config->pool_leak_detection_ms,
            .reclaim_ms = (uint64_t)config->pool_leak_reclaim_ms,
            .seed = seed,
        },
        .breaker = breaker_options_default(SLOW_MS, seed),
    };
}

struct pg_pool_stats pg_pool_stats(struct pg_pool *pool)
{
    struct pg_pool_stats stats = {
        .total = atomic_load(&pool->total),
        .active = atomic_load(&pool->active),
        .idle = atomic_load(&pool->idle),
        .pending = atomic_load(&pool->pending),
        .max = pool->rules.options.max,
        .min = pool->rules.options.min_idle,
        .peak = atomic_load(&pool->peak),
        .recommended_max = atomic_load(&pool->recommended_max),
        .timeouts = atomic_load(&pool->timeouts),
        .leaked = atomic_load(&pool->leaked),
        .created = atomic_load(&pool->created),
        .evicted = atomic_load(&pool->evicted),
    };

    for (size_t s = 0; s < POOL_SHARE_COUNT; s++)
        stats.limit[s] = atomic_load(&pool->limit[s]);
    pthread_mutex_lock(&pool->lock);
    stats.breaker = breaker_status(&pool->breaker, clock_mono_ns() / 1000000);
    pthread_mutex_unlock(&pool->lock);
    return stats;
}

#define READ(field)                                                                                \
    static void read_##field(void *context, struct metrics_writer *writer)                         \
    {                                                                                              \
        metrics_sample_int(writer, STR(METRICS_POOL_NAME), (int64_t)pg_pool_stats(context).field); \
    }
READ(total)
READ(active)
READ(idle)
READ(pending)
READ(max)
READ(min)
READ(peak)
READ(recommended_max)
READ(timeouts)
READ(leaked)

static void read_limit(void *context, struct metrics_writer *writer)
{
    struct pg_pool_stats stats = pg_pool_stats(context);

    metrics_sample_labels(writer, STR("pool=\"" METRICS_POOL_NAME "\",share=\"batches\""),
                          stats.limit[POOL_BATCHES]);
    metrics_sample_labels(writer, STR("pool=\"" METRICS_POOL_NAME "\",share=\"reads\""),
                          stats.limit[POOL_READS]);
}

void pg_pool_tell_metrics(struct pg_pool *pool, struct metrics *metrics)
{
    metrics_source(metrics, METRIC_pool_total, read_total, pool);
    metrics_source(metrics, METRIC_pool_active, read_active, pool);
    metrics_source(metrics, METRIC_pool_idle, read_idle, pool);
    metrics_source(metrics, METRIC_pool_pending, read_pending, pool);
    metrics_source(metrics, METRIC_pool_max, read_max, pool);
    metrics_source(metrics, METRIC_pool_min, read_min, pool);
    metrics_source(metrics, METRIC_pool_peak, read_peak, pool);
    metrics_source(metrics, METRIC_pool_recommended, read_recommended_max, pool);
    metrics_source(metrics, METRIC_pool_timeouts, read_timeouts, pool);
    metrics_source(metrics, METRIC_pool_leaked, read_leaked, pool);
    metrics_source(metrics, METRIC_pool_limit, read_limit, pool);
}
