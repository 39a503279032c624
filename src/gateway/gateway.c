// SPDX-License-Identifier: Apache-2.0
#include "gateway/gateway.h"

#include "base/assert.h"
#include "gateway/gateway_backend.h"

/* It goes into a header. */
static bool is_key(const char *key)
{
    for (const char *p = key; *p; p++)
        if (*p <= ' ' || *p > '~')
            return false;
    return key[0] != '\0';
}

void gateway_start(struct gateway_client *client, struct gateway_call *call)
{
    ASSERT(call->done && is_key(call->key) && call->amount >= 0 && !call->timer.impl);
    call->client = client;
    call->impl = NULL;
    call->transaction_id[0] = '\0';
    client->gateway->backend->start(client, call);
}

uint64_t gateway_timeout_ms(const struct gateway *gateway)
{
    return gateway->timeout_ms;
}

struct gateway_stats gateway_stats(struct gateway *gateway)
{
    return gateway->backend->stats(gateway);
}

struct gateway_client *gateway_client_new(struct gateway *gateway, struct loop *loop,
                                          struct metrics_slot *metrics)
{
    return gateway->backend->client_new(gateway, loop, metrics);
}

struct gateway_client *gateway_client_free(struct gateway_client *client)
{
    return client ? client->gateway->backend->client_free(client) : NULL;
}

struct gateway *gateway_free(struct gateway *gateway)
{
    return gateway ? gateway->backend->free(gateway) : NULL;
}
