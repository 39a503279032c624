// SPDX-License-Identifier: Apache-2.0
/* Events to a webhook: any answer of 200 to 299 has taken it. */
#include <stdio.h>

#include "base/mem.h"
#include "hook/hook.h"
#include "shop/events_internal.h"

struct webhook {
    struct events_sink sink;
    struct hook_client *client;
};

struct call {
    struct hook_call hook;
    struct events_delivery *delivery;
};
_Static_assert(sizeof(struct call) <= EVENTS_SINK_BYTES, "it has its place in the delivery");

static void call_done(struct hook_call *hook)
{
    struct call *call = CONTAINER_OF(hook, struct call, hook);
    struct events_delivery *delivery = call->delivery;

    delivery->delivered = hook->status >= 200 && hook->status < 300;
    if (hook->status == 0)
        snprintf(delivery->why, sizeof delivery->why, "%s", hook->why);
    else if (!delivery->delivered)
        snprintf(delivery->why, sizeof delivery->why, "answered %ld", hook->status);
    delivery->done(delivery);
}

static void webhook_send(struct events_sink *sink, struct events_delivery *delivery)
{
    struct webhook *webhook = CONTAINER_OF(sink, struct webhook, sink);
    struct call *call = (struct call *)delivery->room;

    *call =
        (struct call){ .hook = { .done = call_done, .body = delivery->body, .id = delivery->id },
                       .delivery = delivery };
    hook_call(webhook->client, &call->hook);
}

static void webhook_cut(struct events_sink *sink)
{
    hook_client_cut(CONTAINER_OF(sink, struct webhook, sink)->client);
}

static void webhook_free(struct events_sink *sink)
{
    struct webhook *webhook = CONTAINER_OF(sink, struct webhook, sink);

    webhook->client = hook_client_free(webhook->client);
    mem_free(webhook);
}

struct events_sink *events_webhook_new(struct hook *hook, struct loop *loop)
{
    struct webhook *webhook = mem_alloc(sizeof *webhook);

    if (!webhook)
        return NULL;
    webhook->sink =
        (struct events_sink){ .send = webhook_send, .cut = webhook_cut, .free = webhook_free };
    webhook->client = hook_client_new(hook, loop);
    if (webhook->client)
        return &webhook->sink;
    mem_free(webhook);
    return NULL;
}
