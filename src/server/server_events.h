// SPDX-License-Identifier: Apache-2.0
/* Events out, as the configuration says. */
#pragma once
#include "config/config.h"
#include "shop/shop.h"

struct server_events;

/* LEDGER_CONSUMER_BIT of those that are configured. */
unsigned server_events_consumers(const struct config *config);
/* Complete, and such as can be called. ERR_INVALID with a sentence. */
enum err server_events_may_serve(const struct config *config,
                                 struct config_error *ret_error) MUST_CHECK;
/* Before the loops: the shop's consumers. Errors as above, ERR_NOMEM. */
enum err server_events_open(const struct config *config, struct shop *shop,
                            struct server_events **ret_events,
                            struct config_error *ret_error) MUST_CHECK;
struct server_events *server_events_close(struct server_events *events); /* after the loops */
