// SPDX-License-Identifier: Apache-2.0
#include "server/server_gateway.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"
#include "gateway/gateway_mock.h"

PRINTF_LIKE(2, 3) static enum err refuse(struct config_error *error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    return ERR_INVALID;
}

static enum err http_is_configured(const struct config *config, struct config_error *error)
{
    bool url = config->payment_http_url[0];
    bool secret = config->payment_http_secret[0] || config->payment_http_secret_file[0];

    if (config->payment_http_secret[0] && config->payment_http_secret_file[0])
        return refuse(error, "payment.http_secret and payment.http_secret_file are both given: "
                             "keep one");
    if (url && secret)
        return ERR_OK;
    return refuse(error,
                  "payment.gateway http does not start without %s%s%s. Add to the file of "
                  "--config:\n%s%s(What the gateway has to do: docs/gateway.md.)",
                  url ? "" : "the gateway's URL", !url && !secret ? " and " : "",
                  secret ? "" : "the key that signs its calls",
                  url ? "" : "    payment.http_url = https://gateway.example/doorbuster\n",
                  secret
                      ? ""
                      : "    # 32 bytes at least: openssl rand -hex 32 > /etc/doorbuster/gateway\n"
                        "    payment.http_secret_file = /etc/doorbuster/gateway\n");
}

enum err server_gateway_may_serve(const struct config *config, struct config_error *ret_error)
{
    return config->payment_gateway == CONFIG_GATEWAY_HTTP ? http_is_configured(config, ret_error)
                                                          : ERR_OK;
}

static enum err open_mock(const struct config *config, struct gateway **ret_gateway)
{
    if (config->profile == CONFIG_PROD)
        LOG(LOG_WARN, "payment.gateway is mock: payments are a pretence, no money is taken");
    *ret_gateway = gateway_mock_new((uint64_t)config->payment_mock_latency_ms);
    return *ret_gateway ? ERR_OK : ERR_NOMEM;
}

enum err server_gateway_open(const struct config *config, struct gateway **ret_gateway,
                             struct config_error *ret_error)
{
    *ret_gateway = NULL;
    switch (config->payment_gateway) {
    case CONFIG_GATEWAY_UNSET: /* not in prod, says store_may_serve() */
    case CONFIG_GATEWAY_NONE:
        return ERR_OK;
    case CONFIG_GATEWAY_MOCK:
        return open_mock(config, ret_gateway);
    case CONFIG_GATEWAY_HTTP:
        return refuse(ret_error, "payment.gateway http comes later");
    }
    return ERR_INVALID;
}
