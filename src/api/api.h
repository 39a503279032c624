// SPDX-License-Identifier: Apache-2.0
/*
 * The HTTP contract: routes, their JSON, their errors. A route is one row (api_route.h) and one
 * handler. One `struct api` per server, one `struct api_loop` per loop.
 */
#pragma once
#include "api/answer_cache.h"
#include "auth/auth.h"
#include "http/http.h"
#include "metrics/metrics.h"
#include "shop/shop.h"

/* What the server itself knows; filled in before the loops run. */
struct api {
    struct shop *shop;
    const struct config *config;
    const struct auth_keys *keys; /* NULL: profiles local and test */
    struct api_policy *policy;    /* NULL: nothing of it is on; shared by all threads */
    struct metrics *metrics;
    _Atomic bool ready;                                       /* the server wants traffic */
    bool (*is_healthy)(struct api *api, struct buf *reasons); /* see ops/ops_health.c */
    /* Breakers of stores, for the metrics: false where there is none of that name. Any thread.
     * NULL: there are none. */
    bool (*breaker)(struct api *api, enum metrics_breaker name, struct breaker_status *ret_status);
    struct api_router *router;
    struct buf openapi; /* the document */
    _Atomic int64_t streams_open;
};

struct api_loop {
    struct api *api;
    struct shop_loop *shop;
    struct auth_cache *auth_cache;   /* NULL without keys */
    struct answer_cache *answers;    /* NULL: none are kept */
    struct ranking_streams *streams; /* NULL: nobody has listened yet */
    struct metrics_slot *metrics;
};

/* Proxies, limits and origins of the config (api_policy.h). NULL in *ret_policy: none of them is
 * on. ERR_INVALID with ret_error; ERR_NOMEM. `config` outlives it. */
enum err api_policy_new(const struct config *config, struct api_policy **ret_policy,
                        struct config_error *ret_error) MUST_CHECK;
struct api_policy *api_policy_free(struct api_policy *policy);

struct api_route;
/* The tables of routes that this server answers, ended by NULL. ERR_NOMEM. */
enum err api_init(struct api *api, const struct api_route *const *tables) MUST_CHECK;
void api_fini(struct api *api);
/* Method and uri template of every route, for metrics_new(): borrowed until api_fini(). */
const struct metrics_route *api_metric_routes(const struct api *api, size_t *ret_count);

/* Callbacks of http_server_options; its `app` is the loop's struct api_loop. */
void api_on_request(struct http_request *request);
void api_on_refusal(struct http_request *request, enum http_refusal why);
void api_on_answered(struct http_request *request, unsigned status, size_t bytes);
