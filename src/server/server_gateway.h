// SPDX-License-Identifier: Apache-2.0
/* The payment gateway of the configuration. */
#pragma once
#include "config/config.h"
#include "gateway/gateway.h"

/* What `payment.gateway` needs is there; nothing is opened. ERR_INVALID with a sentence; ERR_NOMEM.
 */
enum err server_gateway_may_serve(const struct config *config,
                                  struct config_error *ret_error) MUST_CHECK;
/* *ret_gateway: NULL for `none`. Errors as above. */
enum err server_gateway_open(const struct config *config, struct gateway **ret_gateway,
                             struct config_error *ret_error) MUST_CHECK;
