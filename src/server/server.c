// SPDX-License-Identifier: Apache-2.0
#include "server/server.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "api/api_route.h"
#include "api/orders.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gate/gate_memory.h"
#include "ops/ops.h"
#include "ranking/ranking_memory.h"
#include "server/server_events.h"
#include "server/server_gateway.h"
#include "server/verb.h"
#include "server/version.h"

/* ---- what is there before the stores ---- */

static enum err open_keys(struct server *server, struct config_error *error)
{
    if (server->config->profile != CONFIG_PROD)
        return ERR_OK;
    TRY(key_files_open(server->config, &server->key_files, error));
    server->api.keys = key_files_keys(server->key_files);
    return ERR_OK;
}

/* The operations port serves the first table of the main one, so that both count alike. */
static enum err open_api(struct server *server, struct config_error *error)
{
    static const struct api_route *const tables[] = { ops_routes, api_routes, NULL };
    static const struct api_route *const ops_tables[] = { ops_routes, NULL };
    const struct metrics_route *routes;
    size_t count;

    server->api.config = server->config;
    server->api.shop = &server->shop;
    TRY(api_policy_new(server->config, &server->api.policy, error));
    TRY(api_init(&server->api, tables));
    routes = api_metric_routes(&server->api, &count);
    server->metrics =
        metrics_new(routes, count, server->thread_count + 1, version_number, version_commit);
    if (!server->metrics)
        return ERR_NOMEM;
    server->api.metrics = server->metrics;
    ops_metrics_register(&server->api);
    if (!server->config->ops_listen.host[0])
        return ERR_OK;
    server->ops_config = *server->config;
    server->ops_config.metrics_public = true;
    server->ops_api = server->api;
    server->ops_api.config = &server->ops_config;
    server->ops_api.openapi = (struct buf){ 0 };
    return api_init(&server->ops_api, ops_tables);
}

/* ---- stores ---- */

/*
 * On the writer's thread. Whatever is answered now may be wrong, so nothing is granted any more,
 * the answers that are true ("not known: ask again") get a moment to go out, and the process ends:
 * what the disk really holds is seen by its successor.
 */
static void end_uncertain(void *context)
{
    struct server *server = context;
    const struct timespec moment = { .tv_nsec = 200 * 1000000 };

    if (server->gate)
        gate_memory_shut(server->gate, true);
    atomic_store(&server->api.ready, false);
    LOG(LOG_ERROR, "the outcome of a commit is unknown: ending, the next start recovers");
    log_flush();
    nanosleep(&moment, NULL);
    _exit(VERB_UNCERTAIN);
}

static enum err open_ledger(struct server *server, struct config_error *error)
{
    const struct config *config = server->config;
    const struct ledger_sqlite_options options = {
        .path = server->store->database,
        .queue_max = (size_t)config->ledger_queue_max,
        .batch_max = (size_t)config->ledger_batch_max,
        .queue_age_max_ms = (uint64_t)config->ledger_queue_age_max_ms,
        .reserve_linger_ms = (uint64_t)config->ledger_reserve_linger_ms,
        .users_external = config->users_external,
        .consumers = server_events_consumers(config),
        .metrics = metrics_slot(server->metrics, server->thread_count),
        .on_uncertain = end_uncertain,
        .context = server,
    };
    enum err e = ledger_sqlite_open(&options, &server->ledger);

    if (e == ERR_OK || e == ERR_NOMEM)
        return e;
    return config_refuse(error, "%.300s cannot be opened: %s", server->store->database,
                         err_text(e));
}

static enum err open_gate(struct server *server, struct config_error *error)
{
    struct gate_memory_options options = {
        .journal = { .directory = server->store->directory,
                     .generation_bytes_max = (size_t)server->config->journal_generation_bytes_max },
    };
    struct journal_report report;

    _Static_assert(sizeof options.journal.database_id == sizeof server->store->stamp.database_id,
                   "one id");
    memcpy(options.journal.database_id, server->store->stamp.database_id,
           sizeof options.journal.database_id);
    enum err e = gate_memory_open(&options, &report, &server->gate);
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

static enum err add_load_data(struct server *server, struct config_error *error)
{
    const struct ledger_stamp *stamp = &server->store->stamp;
    bool begun = stamp->load_data == LEDGER_LOAD_DATA_STARTED;
    bool wanted = begun || (stamp->load_data == LEDGER_LOAD_DATA_NONE && stamp->empty);
    struct load_data_report report;

    if (server->config->profile == CONFIG_PROD || !wanted)
        return ERR_OK;
    enum err e = shop_load_data(server->ledger, clock_wall_ms(), begun, &report);
    if (e != ERR_OK)
        return config_refuse(error, "the load-test data could not be written: %s", err_text(e));
    LOG(LOG_INFO, "load-test data written", LOG_INT("users", report.users),
        LOG_INT("coupons", report.coupons));
    return ERR_OK;
}

/* ---- the shop ---- */

struct coupon_set {
    struct id_set ids;
    bool failed;
};

static bool coupon_note(void *context, const struct gate_memory_entry *entry)
{
    struct coupon_set *set = context;

    set->failed = entry->coupon_id > 0 && id_set_add(&set->ids, entry->coupon_id, NULL) != ERR_OK;
    return !set->failed;
}

static bool coupon_is_in(void *context, int64_t coupon_id)
{
    const struct coupon_set *set = context;

    return id_set_has(&set->ids, coupon_id);
}

/* A coupon that has ended needs its gate once more if the journal remembers places of it. */
static enum err open_shop(struct server *server, struct config_error *error)
{
    const uint8_t *id = server->store->stamp.database_id;
    struct coupon_set remembered = { 0 };

    TRY(shop_init(&server->shop, server->config, server->ledger, server->gate, server->gateway,
                  server->ranking));
    server->shop.render_settled = orders_render;
    TRY(server_events_open(server->config, &server->shop, &server->events, error));
    snprintf(server->shop.gateway_key_end, sizeof server->shop.gateway_key_end, "-%02x%02x%02x%02x",
             id[0], id[1], id[2], id[3]);
    gate_memory_remembered(server->gate, coupon_note, &remembered);
    enum err e = remembered.failed
                     ? ERR_NOMEM
                     : shop_open(&server->shop, coupon_is_in, &remembered, &server->holders);
    id_set_fini(&remembered.ids);
    if (e == ERR_OK || e == ERR_NOMEM)
        return e;
    return config_refuse(error, "the coupons of %.300s cannot be read: %s", server->store->database,
                         err_text(e));
}

static enum err open_threads(struct server *server, struct config_error *error)
{
    server->threads = mem_alloc(server->thread_count * sizeof *server->threads);
    if (!server->threads)
        return ERR_NOMEM;
    for (size_t i = 0; i < server->thread_count; i++)
        TRY(server_thread_init(&server->threads[i], server, i == 0, error));
    return ERR_OK;
}

enum err server_open(struct server *server, struct config *config, struct store *store,
                     struct config_error *ret_error)
{
    *server = (struct server){ .config = config,
                               .store = store,
                               .thread_count = (size_t)config->threads };
    TRY(open_keys(server, ret_error));
    TRY(open_api(server, ret_error));
    TRY(open_ledger(server, ret_error));
    TRY(open_gate(server, ret_error));
    TRY(server_gateway_open(config, &server->gateway, ret_error));
    server->ranking = ranking_memory_new((size_t)config->ranking_boards_max);
    if (!server->ranking)
        return ERR_NOMEM;
    TRY(add_load_data(server, ret_error));
    TRY(open_shop(server, ret_error));
    return open_threads(server, ret_error);
}

enum err server_start(struct server *server)
{
    atomic_store(&server->api.ready, true);
    atomic_store(&server->ops_api.ready, true);
    metrics_set(server->metrics, METRIC_ready, 1);
    for (size_t i = 0; i < server->thread_count; i++)
        TRY(server_thread_start(&server->threads[i]));
    return ERR_OK;
}

void server_close(struct server *server)
{
    if (server->ledger)
        ledger_sqlite_stop(server->ledger);
    for (size_t i = 0; server->threads && i < server->thread_count; i++)
        server_thread_fini(&server->threads[i]);
    server->threads = mem_free(server->threads);
    shop_fini(&server->shop);
    server->events = server_events_close(server->events);
    server->gate = gate_memory_free(server->gate);
    server->gateway = gateway_free(server->gateway);
    server->ranking = ranking_memory_free(server->ranking);
    server->ledger = ledger_sqlite_free(server->ledger);
    api_fini(&server->api);
    api_fini(&server->ops_api);
    server->metrics = metrics_free(server->metrics);
    server->api.policy = api_policy_free(server->api.policy);
    server->key_files = key_files_free(server->key_files);
}
