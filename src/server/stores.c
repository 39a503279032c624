// SPDX-License-Identifier: Apache-2.0
#include "server/stores.h"

#include "base/log.h"
#include "gate/gate_memory.h"
#include "gate/gate_redis.h"
#include "ledger/ledger_pg.h"
#include "ledger/ledger_sqlite.h"
#include "ranking/ranking_memory.h"
#include "ranking/ranking_redis.h"
#include "server/server_events.h"
#include "server/server_redis.h"

static bool has_redis(const struct stores *stores)
{
    return stores->config->redis[0];
}

/* ---- ledger ---- */

static enum err open_sqlite(struct stores *stores, struct metrics_slot *metrics,
                            struct stores_uncertain uncertain, struct config_error *error)
{
    const struct config *config = stores->config;
    const struct ledger_sqlite_options options = {
        .path = stores->store->database,
        .queue_max = (size_t)config->ledger_queue_max,
        .batch_max = (size_t)config->ledger_batch_max,
        .queue_age_max_ms = (uint64_t)config->ledger_queue_age_max_ms,
        .reserve_linger_ms = (uint64_t)config->ledger_reserve_linger_ms,
        .users_external = config->users_external,
        .consumers = server_events_consumers(config),
        .metrics = metrics,
        .on_uncertain = uncertain.happened,
        .context = uncertain.context,
    };
    enum err e = ledger_sqlite_open(&options, &stores->ledger);

    if (e == ERR_OK || e == ERR_NOMEM)
        return e;
    return config_refuse(error, "%.300s cannot be opened: %s", options.path, err_text(e));
}

static enum err open_postgres(struct stores *stores, struct metrics_slot *metrics,
                              struct config_error *error)
{
    const struct config *config = stores->config;
    const struct ledger_pg_options options = {
        .url = config->postgres,
        .queue_max = (size_t)config->ledger_queue_max,
        .batch_max = (size_t)config->ledger_batch_max,
        .queue_age_max_ms = (uint64_t)config->ledger_queue_age_max_ms,
        .reserve_linger_ms = (uint64_t)config->ledger_reserve_linger_ms,
        .writers = (size_t)config->ledger_writers,
        .pool = pg_pool_options_of(config),
        .borrow_timeout_ms = (uint64_t)config->pool_connection_timeout_ms,
        .users_external = config->users_external,
        .consumers = server_events_consumers(config),
        .test_clock = config->profile == CONFIG_TEST,
        .metrics = metrics,
    };
    enum err e = ledger_pg_open(&options, &stores->ledger);

    if (e == ERR_OK || e == ERR_NOMEM)
        return e;
    return config_refuse(error, "%.300s cannot be opened: %s", stores->store->database,
                         err_text(e));
}

enum err stores_open_ledger(struct stores *stores, struct metrics_slot *metrics,
                            struct stores_uncertain uncertain, struct config_error *ret_error)
{
    return stores->store->postgres ? open_postgres(stores, metrics, ret_error)
                                   : open_sqlite(stores, metrics, uncertain, ret_error);
}

void stores_stop_ledger(struct stores *stores)
{
    if (!stores->ledger)
        return;
    if (stores->store->postgres)
        ledger_pg_stop(stores->ledger);
    else
        ledger_sqlite_stop(stores->ledger);
}

void stores_tell_metrics(struct stores *stores, struct metrics *metrics)
{
    if (stores->store->postgres)
        pg_pool_tell_metrics(ledger_pg_pool(stores->ledger), metrics);
}

bool stores_breaker(struct stores *stores, enum metrics_breaker name,
                    struct breaker_status *ret_status)
{
    if (name == METRICS_BREAKER_POSTGRES && stores->store->postgres)
        *ret_status = pg_pool_stats(ledger_pg_pool(stores->ledger)).breaker;
    else if (name == METRICS_BREAKER_REDIS && has_redis(stores))
        *ret_status = gate_redis_stats(stores->gate).breaker;
    else if (name == METRICS_BREAKER_RANKING && has_redis(stores))
        *ret_status = ranking_redis_stats(stores->ranking).breaker;
    else
        return false;
    return true;
}

/* ---- gate ---- */

static enum err open_memory(struct stores *stores, struct config_error *error)
{
    struct gate_memory_options options = {
        .journal = { .directory = stores->store->directory,
                     .generation_bytes_max = (size_t)stores->config->journal_generation_bytes_max },
    };
    struct journal_report report;

    _Static_assert(sizeof options.journal.database_id == sizeof stores->store->stamp.database_id,
                   "one id");
    memcpy(options.journal.database_id, stores->store->stamp.database_id,
           sizeof options.journal.database_id);
    enum err e = gate_memory_open(&options, &report, &stores->gate);
    if (report.torn_bytes)
        LOG(LOG_INFO, "journal: a write that did not finish was cut off; nobody was told of it",
            LOG_INT("bytes", report.torn_bytes));
    if (report.damaged)
        LOG(LOG_ERROR,
            "journal: damaged records; reservations of theirs that were not stored are "
            "lost. The damaged file is kept beside the journal",
            LOG_INT("damaged", report.damaged), LOG_INT("good", report.records));
    if (e == ERR_OK || e == ERR_NOMEM)
        return e;
    return config_refuse(error, "%s",
                         report.problem[0] ? report.problem : "the journal cannot be opened");
}

enum err stores_look_at_gate(struct stores *stores, struct config_error *ret_error)
{
    TRY(server_redis_target(stores->config, &stores->redis, ret_error));
    struct redis_options redis = server_redis_options(stores->config, &stores->redis);
    const struct gate_redis_options options = {
        .redis = &redis,
        .test_clock = stores->config->profile == CONFIG_TEST,
    };
    return gate_redis_open(&options, &stores->gate);
}

/* A Redis that is away is no reason not to start: everything but coupons goes on without it, and
 * the library goes there with the first question. */
static enum err open_redis_gate(struct stores *stores, struct config_error *error)
{
    char why[REDIS_WHY_BYTES] = "";

    TRY(stores_look_at_gate(stores, error));
    enum err e = server_redis_check(stores->config, &stores->redis, error);
    if (e == ERR_UNAVAILABLE) {
        LOG(LOG_WARN, "coupons are closed until Redis answers; its settings were not looked at",
            LOG_CSTR("why", error->text));
        return ERR_OK;
    }
    TRY(e);
    e = gate_redis_load(stores->gate, why);
    return e == ERR_INVALID ? config_refuse(error, "redis: %s", why) : ERR_OK;
}

enum err stores_open_gate(struct stores *stores, struct config_error *ret_error)
{
    return has_redis(stores) ? open_redis_gate(stores, ret_error) : open_memory(stores, ret_error);
}

void stores_shut_gate(struct stores *stores)
{
    if (stores->gate && !has_redis(stores))
        gate_memory_shut(stores->gate, true);
}

/* ---- ranking ---- */

enum err stores_open_ranking(struct stores *stores)
{
    struct ranking_redis_options options = {
        .redis = server_redis_options(stores->config, &stores->redis),
        .timeout_ms = (uint32_t)stores->config->redis_ranking_timeout_ms,
        .boards_max = (size_t)stores->config->ranking_boards_max,
    };

    options.redis.metrics_breaker = METRICS_BREAKER_RANKING;
    if (has_redis(stores))
        return ranking_redis_open(&options, &stores->ranking);
    stores->ranking = ranking_memory_new((size_t)stores->config->ranking_boards_max);
    return stores->ranking ? ERR_OK : ERR_NOMEM;
}

void stores_close(struct stores *stores)
{
    if (!stores->config)
        return; /* nothing was opened */
    if (has_redis(stores)) {
        stores->gate = gate_redis_free(stores->gate);
        stores->ranking = ranking_redis_close(stores->ranking);
    } else {
        stores->gate = gate_memory_free(stores->gate);
        stores->ranking = ranking_memory_free(stores->ranking);
    }
    if (stores->store->postgres)
        stores->ledger = ledger_pg_free(stores->ledger);
    else
        stores->ledger = ledger_sqlite_free(stores->ledger);
}
