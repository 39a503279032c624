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

static bool read_breaker(struct api *api, enum metrics_breaker name,
                         struct breaker_status *ret_status)
{
    struct server *server = CONTAINER_OF(api, struct server, api);

    return stores_breaker(&server->stores, name, ret_status);
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
    server->api.breaker = read_breaker;
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

    stores_shut_gate(&server->stores);
    atomic_store(&server->api.ready, false);
    LOG(LOG_ERROR, "the outcome of a commit is unknown: ending, the next start recovers");
    log_flush();
    nanosleep(&moment, NULL);
    _exit(VERB_UNCERTAIN);
}

static bool wants_load_data(const struct server *server)
{
    const struct ledger_stamp *stamp = &server->store->stamp;

    return server->config->profile != CONFIG_PROD &&
           (stamp->load_data == LEDGER_LOAD_DATA_STARTED ||
            (stamp->load_data == LEDGER_LOAD_DATA_NONE && stamp->empty));
}

static enum err add_load_data(struct server *server, struct config_error *error)
{
    CLEANUP(store_alone_end) struct store_alone alone = { 0 };
    struct load_data_report report;

    if (!wants_load_data(server))
        return ERR_OK;
    TRY(store_alone_begin(server->store, &alone, error));
    if (!wants_load_data(server)) /* another server has done it meanwhile */
        return ERR_OK;
    bool begun = server->store->stamp.load_data == LEDGER_LOAD_DATA_STARTED;
    enum err e = shop_load_data(server->stores.ledger, clock_wall_ms(), begun, &report);
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

static const char *other_server(const struct server *server)
{
    return server->shop.servers ? server->shop.servers->beat.other_url : "";
}

/* A coupon that has ended needs its gate once more if the journal remembers places of it. */
static enum err open_shop(struct server *server, struct config_error *error)
{
    const uint8_t *id = server->store->stamp.database_id;
    struct gate *gate = server->stores.gate;
    struct coupon_set remembered = { 0 };

    TRY(shop_init(&server->shop, server->config, server->stores.ledger, gate, server->gateway,
                  server->stores.ranking));
    server->shop.render_settled = orders_render;
    TRY(server_events_open(server->config, &server->shop, &server->events, error));
    snprintf(server->shop.gateway_key_end, sizeof server->shop.gateway_key_end, "-%02x%02x%02x%02x",
             id[0], id[1], id[2], id[3]);
    if (!gate_is_shared(gate))
        gate_memory_remembered(gate, coupon_note, &remembered);
    enum err e = remembered.failed
                     ? ERR_NOMEM
                     : shop_open(&server->shop, coupon_is_in, &remembered, &server->holders);
    id_set_fini(&remembered.ids);
    if (e == ERR_OK || e == ERR_NOMEM)
        return e;
    if (e == ERR_CONFLICT)
        return config_refuse(error,
                             "another server (%.100s) works on %.200s, and this one's gate is in "
                             "its own memory: give both of them --redis, or stop the other one",
                             other_server(server), server->store->database);
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
                               .stores = { .config = config, .store = store },
                               .thread_count = (size_t)config->threads };
    TRY(open_keys(server, ret_error));
    TRY(open_api(server, ret_error));
    TRY(stores_open_ledger(&server->stores, metrics_slot(server->metrics, server->thread_count),
                           (struct stores_uncertain){ end_uncertain, server }, ret_error));
    TRY(stores_open_gate(&server->stores, ret_error));
    TRY(server_gateway_open(config, &server->gateway, ret_error));
    TRY(stores_open_ranking(&server->stores));
    stores_tell_metrics(&server->stores, server->metrics);
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
    stores_stop_ledger(&server->stores);
    for (size_t i = 0; server->threads && i < server->thread_count; i++)
        server_thread_fini(&server->threads[i]);
    server->threads = mem_free(server->threads);
    shop_fini(&server->shop);
    server->events = server_events_close(server->events);
    server->gateway = gateway_free(server->gateway);
    stores_close(&server->stores);
    api_fini(&server->api);
    api_fini(&server->ops_api);
    server->metrics = metrics_free(server->metrics);
    server->api.policy = api_policy_free(server->api.policy);
    server->key_files = key_files_free(server->key_files);
}
