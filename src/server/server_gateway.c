// SPDX-License-Identifier: Apache-2.0
#include "server/server_gateway.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/gateway_http.h"
#include "gateway/gateway_mock.h"
#include "server/server_secret.h"

/* A call that took longer is slow to the breaker. */
enum { SLOW_MS = 2000 };

static enum err http_is_configured(const struct config *config, struct config_error *error)
{
    bool url = config->payment_http_url[0];
    bool secret = config->payment_http_secret[0] || config->payment_http_secret_file[0];

    if (config->payment_http_secret[0] && config->payment_http_secret_file[0])
        return config_refuse(error,
                             "payment.http_secret and payment.http_secret_file are both given: "
                             "keep one");
    if (url && secret)
        return ERR_OK;
    return config_refuse(
        error,
        "payment.gateway http does not start without %s%s%s. Add to the file of "
        "--config:\n%s%s(What the gateway has to do: docs/gateway.md.)",
        url ? "" : "the gateway's URL", !url && !secret ? " and " : "",
        secret ? "" : "the key that signs its calls",
        url ? "" : "    payment.http_url = https://gateway.example/doorbuster\n",
        secret ? ""
               : "    # 32 bytes at least: openssl rand -hex 32 > /etc/doorbuster/gateway\n"
                 "    payment.http_secret_file = /etc/doorbuster/gateway\n");
}

static enum err open_mock(const struct config *config, struct gateway **ret_gateway)
{
    *ret_gateway = gateway_mock_new((uint64_t)config->payment_mock_latency_ms);
    return *ret_gateway ? ERR_OK : ERR_NOMEM;
}

static enum err open_http(const struct config *config, struct gateway **ret_gateway,
                          struct config_error *error)
{
    CLEANUP(server_secret_wipe) struct buf secret = { 0 };
    struct gateway_http_options options = {
        .url = config->payment_http_url,
        .ca_file = config->payment_http_ca_file,
        .connect_timeout_ms = (uint32_t)config->payment_http_connect_timeout_ms,
        .timeout_ms = (uint32_t)config->payment_http_timeout_ms,
        .in_flight_max = (uint32_t)config->payment_http_in_flight_max,
        .breaker = breaker_options_default(SLOW_MS, clock_mono_ns()),
    };

    if (config->payment_http_ca_file[0] && access(config->payment_http_ca_file, R_OK) != 0)
        return config_refuse(error, "payment.http_ca_file %.300s cannot be read: %s",
                             config->payment_http_ca_file, strerror(errno));
    TRY(server_secret(config->payment_http_secret, config->payment_http_secret_file,
                      "payment.http_secret", GATEWAY_HTTP_SECRET_BYTES_MIN, &secret, error));
    options.secret = buf_str(&secret);
    enum err e = gateway_http_new(&options, ret_gateway);
    return e == ERR_INVALID
               ? config_refuse(error, "payment.http_url is not a URL that can be called")
               : e;
}

/* By opening it, and letting go of it. */
enum err server_gateway_may_serve(const struct config *config, struct config_error *ret_error)
{
    struct gateway *gateway = NULL;

    if (config->payment_gateway != CONFIG_GATEWAY_HTTP)
        return ERR_OK;
    TRY(http_is_configured(config, ret_error));
    TRY(open_http(config, &gateway, ret_error));
    gateway_free(gateway);
    return ERR_OK;
}

static void warn(const struct config *config)
{
    if (config->profile != CONFIG_PROD)
        return;
    if (config->payment_gateway == CONFIG_GATEWAY_MOCK)
        LOG(LOG_WARN, "payment.gateway is mock: payments are a pretence, no money is taken");
    if (config->payment_gateway == CONFIG_GATEWAY_HTTP &&
        str_has_prefix(str_from(config->payment_http_url), STR("http:")))
        LOG(LOG_WARN, "payment.http_url is without TLS: answers can be forged on the way");
}

enum err server_gateway_open(const struct config *config, struct gateway **ret_gateway,
                             struct config_error *ret_error)
{
    *ret_gateway = NULL;
    warn(config);
    switch (config->payment_gateway) {
    case CONFIG_GATEWAY_UNSET: /* not in prod, says store_may_serve() */
    case CONFIG_GATEWAY_NONE:
        return ERR_OK;
    case CONFIG_GATEWAY_MOCK:
        return open_mock(config, ret_gateway);
    case CONFIG_GATEWAY_HTTP:
        return open_http(config, ret_gateway, ret_error);
    }
    return ERR_INVALID;
}
