// SPDX-License-Identifier: Apache-2.0
/* What an implementation of the gateway provides: the functions of gateway.h, behind one table. */
#pragma once
#include "gateway/gateway.h"

struct gateway_backend {
    void (*start)(struct gateway_client *client, struct gateway_call *call);
    struct gateway_stats (*stats)(struct gateway *gateway);
    struct gateway_client *(*client_new)(struct gateway *gateway, struct loop *loop,
                                         struct metrics_slot *metrics);
    struct gateway_client *(*client_free)(struct gateway_client *client);
    struct gateway *(*free)(struct gateway *gateway);
};

/* First member of every implementation's own struct. */
struct gateway {
    const struct gateway_backend *backend;
    uint64_t timeout_ms;
};
struct gateway_client {
    struct gateway *gateway;
    struct loop *loop;
};
