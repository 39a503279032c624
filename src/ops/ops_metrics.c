// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"
#include "ops/ops.h"

enum { COUPONS_SHOWN = 50 };

/* `each` for the newest open coupons, highest id first: series are bounded. */
static void newest_open(struct api *api, struct metrics_writer *writer,
                        void (*each)(struct metrics_writer *writer, struct str label,
                                     const struct gate_status *gate))
{
    const struct catalog_list *list = catalog_list(api->shop->catalog);
    int64_t now_ms = clock_wall_ms();
    struct buf label = { 0 };

    for (size_t i = list->count, shown = 0; i > 0 && shown < COUPONS_SHOWN; i--) {
        const struct coupon *coupon = list->items[i - 1];
        struct gate_status gate = gate_status(api->shop->gate, coupon->coupon_id);
        if (!gate.counted || coupon_window(&coupon->settings, now_ms) != COUPON_WITHIN)
            continue;
        buf_reset(&label);
        buf_int(&label, coupon->coupon_id);
        if (buf_ok(&label))
            each(writer, buf_str(&label), &gate);
        shown++;
    }
    buf_fini(&label);
}

static void remaining_each(struct metrics_writer *writer, struct str label,
                           const struct gate_status *gate)
{
    metrics_sample_int(writer, label, gate->remaining);
}

static void epoch_each(struct metrics_writer *writer, struct str label,
                       const struct gate_status *gate)
{
    metrics_sample_int(writer, label, gate->epoch);
}

static void coupon_remaining_read(void *context, struct metrics_writer *writer)
{
    newest_open(context, writer, remaining_each);
}

static void gate_epoch_read(void *context, struct metrics_writer *writer)
{
    newest_open(context, writer, epoch_each);
}

struct gate_sum {
    int64_t pending, returned, closed;
};

static struct gate_sum gate_sum(struct api *api)
{
    const struct catalog_list *list = catalog_list(api->shop->catalog);
    struct gate_sum sum = { 0 };

    for (size_t i = 0; i < list->count; i++) {
        struct gate_status gate = gate_status(api->shop->gate, list->items[i]->coupon_id);
        if (!gate.known)
            continue;
        sum.pending += gate.pending;
        sum.returned += gate.returned;
        sum.closed += !gate.open;
    }
    return sum;
}

static void gate_pending_read(void *context, struct metrics_writer *writer)
{
    metrics_sample_int(writer, STR(""), gate_sum(context).pending);
}

static void gate_returned_read(void *context, struct metrics_writer *writer)
{
    metrics_sample_int(writer, STR(""), gate_sum(context).returned);
}

static void gate_closed_read(void *context, struct metrics_writer *writer)
{
    metrics_sample_int(writer, STR(""), gate_sum(context).closed);
}

static void gate_oldest_read(void *context, struct metrics_writer *writer)
{
    const struct api *api = context;
    const struct catalog_list *list = catalog_list(api->shop->catalog);
    uint64_t oldest_ms = 0;

    for (size_t i = 0; i < list->count; i++) {
        uint64_t ms = gate_oldest_pending_ms(api->shop->gate, list->items[i]->coupon_id);
        oldest_ms = MAX(oldest_ms, ms);
    }
    metrics_sample(writer, STR(""), (double)oldest_ms / 1000);
}

static void ledger_queue_read(void *context, struct metrics_writer *writer)
{
    const struct api *api = context;

    metrics_sample_int(writer, STR(""), (int64_t)ledger_stats(api->shop->ledger).queue_length);
}

static void ledger_oldest_read(void *context, struct metrics_writer *writer)
{
    const struct api *api = context;

    metrics_sample(writer, STR(""), (double)ledger_stats(api->shop->ledger).oldest_wait_ms / 1000);
}

/* ---- breakers ---- */

static bool breaker_of(struct api *api, enum metrics_breaker name,
                       struct breaker_status *ret_status)
{
    struct gateway *gateway = api->shop->gateway;

    if (name != METRICS_BREAKER_GATEWAY)
        return api->breaker && api->breaker(api, name, ret_status);
    struct gateway_stats stats = gateway ? gateway_stats(gateway) : (struct gateway_stats){ 0 };
    *ret_status = stats.breaker;
    return stats.has_breaker;
}

static void write_state(struct metrics_writer *writer, enum metrics_breaker name,
                        enum breaker_state state)
{
    CLEANUP(buf_fini) struct buf labels = { 0 };

    for (int i = 0; i < BREAKER_STATE_COUNT; i++) {
        buf_reset(&labels);
        buf_printf(&labels, "name=\"%s\",state=\"%s\"", metrics_breaker_name(name),
                   breaker_state_name((enum breaker_state)i));
        metrics_sample_labels(writer, buf_str(&labels), state == (enum breaker_state)i);
    }
}

static void breaker_state_read(void *context, struct metrics_writer *writer)
{
    struct breaker_status status;

    for (int name = 0; name < METRICS_BREAKER_COUNT; name++)
        if (breaker_of(context, (enum metrics_breaker)name, &status))
            write_state(writer, (enum metrics_breaker)name, status.state);
}

static struct str label_of(int name)
{
    return str_from(metrics_breaker_name((enum metrics_breaker)name));
}

static void breaker_failure_rate_read(void *context, struct metrics_writer *writer)
{
    struct breaker_status status;

    for (int name = 0; name < METRICS_BREAKER_COUNT; name++)
        if (breaker_of(context, (enum metrics_breaker)name, &status))
            metrics_sample(writer, label_of(name), status.failed_percent);
}

static void breaker_slow_rate_read(void *context, struct metrics_writer *writer)
{
    struct breaker_status status;

    for (int name = 0; name < METRICS_BREAKER_COUNT; name++)
        if (breaker_of(context, (enum metrics_breaker)name, &status))
            metrics_sample(writer, label_of(name), status.slow_percent);
}

static void breaker_refused_read(void *context, struct metrics_writer *writer)
{
    struct breaker_status status;

    for (int name = 0; name < METRICS_BREAKER_COUNT; name++)
        if (breaker_of(context, (enum metrics_breaker)name, &status))
            metrics_sample_int(writer, label_of(name), (int64_t)status.not_permitted);
}

/* ---- the gateway ---- */

static void gateway_in_flight_read(void *context, struct metrics_writer *writer)
{
    const struct api *api = context;

    if (api->shop->gateway)
        metrics_sample_int(writer, STR(""), (int64_t)gateway_stats(api->shop->gateway).in_flight);
}

/* ---- payments under way ---- */

static void payment_open_read(void *context, struct metrics_writer *writer)
{
    const struct api *api = context;

    metrics_sample_int(writer, STR(""), atomic_load(&api->shop->attempts_open));
}

static void payment_oldest_read(void *context, struct metrics_writer *writer)
{
    const struct api *api = context;
    int64_t since_ms = atomic_load(&api->shop->attempts_oldest_ms);
    int64_t age_ms = since_ms ? MAX(clock_wall_ms() - since_ms, 0) : 0;

    metrics_sample(writer, STR(""), (double)age_ms / 1000);
}

/* ---- the ranking ---- */

static void ranking_answers_read(void *context, struct metrics_writer *writer)
{
    const struct api *api = context;
    struct ranking_numbers numbers = ranking_numbers(api->shop);
    const char *primary = api->shop->ranking ? ranking_source(api->shop->ranking) : "memory";

    metrics_sample_int(writer, str_from(primary), (int64_t)numbers.answers[RANKING_FROM_PRIMARY]);
    metrics_sample_int(writer, STR("last_good"), (int64_t)numbers.last_good);
    metrics_sample_int(writer, STR("backup"), (int64_t)numbers.answers[RANKING_FROM_BACKUP]);
    metrics_sample_int(writer, STR("none"), (int64_t)numbers.answers[RANKING_FROM_NOWHERE]);
}

static bool ranking_is_readable(const struct api *api)
{
    return api->shop->ranking && ranking_status(api->shop->ranking).readable;
}

static void ranking_readable_read(void *context, struct metrics_writer *writer)
{
    metrics_sample_int(writer, STR(""), ranking_is_readable(context));
}

static void sample_backup_age(const struct api *api, struct metrics_writer *writer)
{
    int64_t at_ms = ranking_numbers(api->shop).backup_at_ms;

    if (at_ms)
        metrics_sample(writer, STR(""), (double)(clock_wall_ms() - at_ms) / 1000);
}

static void ranking_age_read(void *context, struct metrics_writer *writer)
{
    if (ranking_is_readable(context))
        metrics_sample_int(writer, STR(""), 0);
    else
        sample_backup_age(context, writer);
}

static void ranking_backup_age_read(void *context, struct metrics_writer *writer)
{
    sample_backup_age(context, writer);
}

static void ranking_copies_read(void *context, struct metrics_writer *writer)
{
    const struct api *api = context;

    metrics_sample_int(writer, STR(""), (int64_t)ranking_numbers(api->shop).copies);
}

static void ranking_boards_read(void *context, struct metrics_writer *writer)
{
    const struct api *api = context;

    metrics_sample_int(writer, STR(""), (int64_t)ranking_numbers(api->shop).boards_written);
}

static void ranking_relayed_read(void *context, struct metrics_writer *writer)
{
    const struct api *api = context;

    metrics_sample_int(writer, STR(""), (int64_t)ranking_numbers(api->shop).relayed);
}

static void ranking_outbox_age_read(void *context, struct metrics_writer *writer)
{
    const struct api *api = context;

    metrics_sample(writer, STR(""), (double)ranking_numbers(api->shop).outbox_age_ms / 1000);
}

static void ranking_failures_read(void *context, struct metrics_writer *writer)
{
    const struct api *api = context;

    metrics_sample_int(writer, STR(""), (int64_t)ranking_numbers(api->shop).backup_failures);
}

/* ---- events ---- */

static void each_consumer(const struct api *api, struct metrics_writer *writer,
                          double (*value)(const struct events_stats *stats))
{
    for (int i = 0; i < LEDGER_CONSUMER_N; i++)
        if (api->shop->consumers[i].on)
            metrics_sample(writer, str_from(events_consumer_name((enum ledger_consumer)i)),
                           value(&api->shop->events_stats[i]));
}

static double delivered_of(const struct events_stats *stats)
{
    return (double)atomic_load(&stats->delivered);
}

static double failures_of(const struct events_stats *stats)
{
    return (double)atomic_load(&stats->failures);
}

static double undelivered_of(const struct events_stats *stats)
{
    return (double)atomic_load(&stats->undelivered);
}

static double dead_of(const struct events_stats *stats)
{
    return (double)atomic_load(&stats->dead);
}

static double oldest_of(const struct events_stats *stats)
{
    int64_t since_ms = atomic_load(&stats->oldest_ms);

    return since_ms ? (double)MAX(clock_wall_ms() - since_ms, 0) / 1000 : 0;
}

static void events_delivered_read(void *context, struct metrics_writer *writer)
{
    each_consumer(context, writer, delivered_of);
}

static void events_failures_read(void *context, struct metrics_writer *writer)
{
    each_consumer(context, writer, failures_of);
}

static void events_undelivered_read(void *context, struct metrics_writer *writer)
{
    each_consumer(context, writer, undelivered_of);
}

static void events_oldest_read(void *context, struct metrics_writer *writer)
{
    each_consumer(context, writer, oldest_of);
}

static void events_dead_read(void *context, struct metrics_writer *writer)
{
    each_consumer(context, writer, dead_of);
}

/* ---- promises ---- */

static void over_issued_read(void *context, struct metrics_writer *writer)
{
    const struct api *api = context;

    metrics_sample_int(writer, STR(""),
                       atomic_load_explicit(&api->shop->over_issued, memory_order_relaxed));
}

static void gate_minus_sql_read(void *context, struct metrics_writer *writer)
{
    const struct api *api = context;

    metrics_sample_int(writer, STR(""),
                       atomic_load_explicit(&api->shop->gate_minus_sql, memory_order_relaxed));
}

static void gate_released_read(void *context, struct metrics_writer *writer)
{
    const struct api *api = context;

    metrics_sample_int(writer, STR(""), (int64_t)gate_stats(api->shop->gate).released);
}

static void gate_calls_read(void *context, struct metrics_writer *writer)
{
    const struct api *api = context;

    metrics_sample_int(writer, STR(""), (int64_t)gate_stats(api->shop->gate).calls);
}

static void gate_people_read(void *context, struct metrics_writer *writer)
{
    const struct api *api = context;

    metrics_sample_int(writer, STR(""), (int64_t)gate_stats(api->shop->gate).people);
}

static void gate_unknown_read(void *context, struct metrics_writer *writer)
{
    const struct api *api = context;

    metrics_sample_int(writer, STR(""), (int64_t)gate_stats(api->shop->gate).unknown);
}

static void gate_remembered_read(void *context, struct metrics_writer *writer)
{
    const struct api *api = context;

    metrics_sample_int(writer, STR(""), (int64_t)gate_stats(api->shop->gate).told_sold_out);
}

static void journal_bytes_read(void *context, struct metrics_writer *writer)
{
    const struct api *api = context;

    metrics_sample_int(writer, STR(""), (int64_t)gate_stats(api->shop->gate).journal_bytes);
}

static void journal_generations_read(void *context, struct metrics_writer *writer)
{
    const struct api *api = context;

    metrics_sample_int(writer, STR(""), (int64_t)gate_stats(api->shop->gate).journal_generations);
}

static void journal_writes_read(void *context, struct metrics_writer *writer)
{
    const struct api *api = context;

    metrics_sample_int(writer, STR(""), (int64_t)gate_stats(api->shop->gate).journal_writes);
}

static void journal_failures_read(void *context, struct metrics_writer *writer)
{
    const struct api *api = context;

    metrics_sample_int(writer, STR(""), (int64_t)gate_stats(api->shop->gate).journal_failures);
}

void ops_metrics_register(struct api *api)
{
    static const struct {
        enum metric id;
        void (*read)(void *context, struct metrics_writer *writer);
    } rows[] = {
        { METRIC_coupon_remaining, coupon_remaining_read },
        { METRIC_gate_epoch, gate_epoch_read },
        { METRIC_gate_pending, gate_pending_read },
        { METRIC_gate_returned, gate_returned_read },
        { METRIC_gate_closed, gate_closed_read },
        { METRIC_gate_released, gate_released_read },
        { METRIC_gate_oldest_pending, gate_oldest_read },
        { METRIC_gate_calls, gate_calls_read },
        { METRIC_gate_people, gate_people_read },
        { METRIC_gate_unknown, gate_unknown_read },
        { METRIC_gate_remembered, gate_remembered_read },
        { METRIC_journal_bytes, journal_bytes_read },
        { METRIC_journal_generations, journal_generations_read },
        { METRIC_journal_writes, journal_writes_read },
        { METRIC_journal_failures, journal_failures_read },
        { METRIC_ledger_queue, ledger_queue_read },
        { METRIC_ledger_oldest, ledger_oldest_read },
        { METRIC_breaker_state, breaker_state_read },
        { METRIC_breaker_failure_rate, breaker_failure_rate_read },
        { METRIC_breaker_slow_rate, breaker_slow_rate_read },
        { METRIC_breaker_refused, breaker_refused_read },
        { METRIC_gateway_in_flight, gateway_in_flight_read },
        { METRIC_payment_open, payment_open_read },
        { METRIC_payment_oldest, payment_oldest_read },
        { METRIC_events_delivered, events_delivered_read },
        { METRIC_events_failures, events_failures_read },
        { METRIC_events_undelivered, events_undelivered_read },
        { METRIC_events_oldest, events_oldest_read },
        { METRIC_events_dead, events_dead_read },
        { METRIC_ranking_answers, ranking_answers_read },
        { METRIC_ranking_readable, ranking_readable_read },
        { METRIC_ranking_age, ranking_age_read },
        { METRIC_ranking_copies, ranking_copies_read },
        { METRIC_ranking_boards, ranking_boards_read },
        { METRIC_ranking_failures, ranking_failures_read },
        { METRIC_ranking_relayed, ranking_relayed_read },
        { METRIC_ranking_outbox_age, ranking_outbox_age_read },
        { METRIC_ranking_backup_age, ranking_backup_age_read },
        { METRIC_over_issued, over_issued_read },
        { METRIC_gate_minus_sql, gate_minus_sql_read },
    };

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        metrics_source(api->metrics, rows[i].id, rows[i].read, api);
}
