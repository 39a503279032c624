// SPDX-License-Identifier: Apache-2.0
#include "server/server_events.h"

#include <errno.h>
#include <unistd.h>

#include "api/orders.h"
#include "base/log.h"
#include "base/mem.h"
#include "hook/hook.h"
#include "redis/redis.h"
#include "server/server_secret.h"

enum { CONNECT_TIMEOUT_MS = 5000, STREAM_IN_FLIGHT = 256 };

struct server_events {
    struct hook *hook; /* NULL: no webhook */
    struct redis_target target;
    struct events_stream_options stream;
};

unsigned server_events_consumers(const struct config *config)
{
    return (config->events_stream[0] ? LEDGER_CONSUMER_BIT(LEDGER_STREAM) : 0) |
           (config->events_webhook_url[0] ? LEDGER_CONSUMER_BIT(LEDGER_WEBHOOK) : 0);
}

/* ---- the webhook ---- */

static enum err webhook_is_configured(const struct config *config, struct config_error *error)
{
    bool secret = config->events_webhook_secret[0], file = config->events_webhook_secret_file[0];

    if (secret && file)
        return config_refuse(error, "events.webhook_secret and events.webhook_secret_file are both "
                                    "given: keep one");
    if (secret || file)
        return ERR_OK;
    return config_refuse(error,
                         "events.webhook_url does not go without the key that signs what is sent. "
                         "Add to the file of --config:\n"
                         "    # 32 bytes at least: openssl rand -hex 32 > /etc/doorbuster/events\n"
                         "    events.webhook_secret_file = /etc/doorbuster/events\n"
                         "(How a receiver checks it: docs/integrate.md.)");
}

static enum err open_webhook(const struct config *config, struct hook **ret_hook,
                             struct config_error *error)
{
    CLEANUP(server_secret_wipe) struct buf secret = { 0 };
    uint32_t timeout_ms = (uint32_t)config->events_webhook_timeout_ms;
    struct hook_options options = { .url = config->events_webhook_url,
                                    .ca_file = config->events_webhook_ca_file,
                                    .connect_timeout_ms =
                                        MIN(timeout_ms, (uint32_t)CONNECT_TIMEOUT_MS),
                                    .timeout_ms = timeout_ms };

    TRY(webhook_is_configured(config, error));
    if (config->events_webhook_ca_file[0] && access(config->events_webhook_ca_file, R_OK) != 0)
        return config_refuse(error, "events.webhook_ca_file %.300s cannot be read: %s",
                             config->events_webhook_ca_file, strerror(errno));
    TRY(server_secret(config->events_webhook_secret, config->events_webhook_secret_file,
                      "events.webhook_secret", HOOK_SECRET_BYTES_MIN, &secret, error));
    options.secret = buf_str(&secret);
    enum err e = hook_new(&options, ret_hook);
    return e == ERR_INVALID
               ? config_refuse(error, "events.webhook_url is not a URL that can be called")
               : e;
}

/* ---- the stream ---- */

static enum err find_redis(const struct config *config, struct redis_target *target,
                           struct config_error *error)
{
    const char *url = config->events_redis[0] ? config->events_redis : config->redis;
    char why[REDIS_WHY_BYTES];

    if (!url[0])
        return config_refuse(error, "events.stream does not go without a Redis: add events.redis = "
                                    "redis://…, or redis, to the file of --config");
    enum err e = redis_target_parse(target, url, why);
    return e == ERR_INVALID ? config_refuse(error, "%s: %s",
                                            config->events_redis[0] ? "events.redis" : "redis", why)
                            : e;
}

/* ---- both ---- */

enum err server_events_may_serve(const struct config *config, struct config_error *ret_error)
{
    struct redis_target target;
    struct hook *hook = NULL;

    if (config->events_stream[0])
        TRY(find_redis(config, &target, ret_error));
    if (!config->events_webhook_url[0])
        return ERR_OK;
    TRY(open_webhook(config, &hook, ret_error));
    hook_free(hook);
    return ERR_OK;
}

static struct events_sink *new_webhook(void *context, struct loop *loop)
{
    const struct server_events *events = context;

    return events_webhook_new(events->hook, loop);
}

static struct events_sink *new_stream(void *context, struct loop *loop)
{
    const struct server_events *events = context;

    return events_stream_new(&events->stream, loop);
}

static struct events_consumer consumer(const struct config *config, struct server_events *events)
{
    return (struct events_consumer){ .on = true,
                                     .retry_ms = (uint64_t)config->events_retry_after_ms,
                                     .retry_ms_max = (uint64_t)MAX(config->events_retry_after_ms,
                                                                   config->events_retry_max_ms),
                                     .context = events };
}

/* A stream has nothing against single events: none of them is ever given up. */
static enum err use_stream(const struct config *config, struct shop *shop,
                           struct server_events *events, struct config_error *error)
{
    struct events_consumer *self = &shop->consumers[LEDGER_STREAM];

    TRY(find_redis(config, &events->target, error));
    events->stream =
        (struct events_stream_options){ .target = &events->target,
                                        .key = config->events_stream,
                                        .length_max = config->events_stream_length_max };
    *self = consumer(config, events);
    self->in_flight_max = STREAM_IN_FLIGHT;
    self->sink_new = new_stream;
    return ERR_OK;
}

static enum err use_webhook(const struct config *config, struct shop *shop,
                            struct server_events *events, struct config_error *error)
{
    struct events_consumer *self = &shop->consumers[LEDGER_WEBHOOK];

    TRY(open_webhook(config, &events->hook, error));
    *self = consumer(config, events);
    self->in_flight_max = (uint32_t)config->events_webhook_in_flight_max;
    self->tries_max = config->events_tries_max;
    self->sink_new = new_webhook;
    if (config->profile == CONFIG_PROD &&
        str_has_prefix(str_from(config->events_webhook_url), STR("http:")))
        LOG(LOG_WARN, "events.webhook_url is without TLS: events can be read on the way");
    return ERR_OK;
}

enum err server_events_open(const struct config *config, struct shop *shop,
                            struct server_events **ret_events, struct config_error *ret_error)
{
    unsigned consumers = server_events_consumers(config);

    *ret_events = NULL;
    shop->render_event = events_render;
    if (!consumers)
        return ERR_OK;
    *ret_events = mem_alloc(sizeof **ret_events);
    if (!*ret_events)
        return ERR_NOMEM;
    if (consumers & LEDGER_CONSUMER_BIT(LEDGER_STREAM))
        TRY(use_stream(config, shop, *ret_events, ret_error));
    if (consumers & LEDGER_CONSUMER_BIT(LEDGER_WEBHOOK))
        TRY(use_webhook(config, shop, *ret_events, ret_error));
    return ERR_OK;
}

struct server_events *server_events_close(struct server_events *events)
{
    if (events)
        hook_free(events->hook);
    return mem_free(events);
}
