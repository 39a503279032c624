// SPDX-License-Identifier: Apache-2.0
/*
 * The shop's own gateway, called over HTTP: docs/gateway.md is the contract. One POST per call, in
 * JSON, signed, behind a circuit breaker.
 */
#pragma once
#include "gateway/gateway.h"

enum { GATEWAY_HTTP_SECRET_BYTES_MIN = 32, GATEWAY_HTTP_ANSWER_BYTES_MAX = 64 * 1024 };

struct gateway_http_options {
    const char *url;     /* http or https; copied */
    const char *ca_file; /* authorities in PEM, or ""/NULL: the system's; borrowed */
    struct str secret;   /* at least GATEWAY_HTTP_SECRET_BYTES_MIN; copied, wiped at the end */
    uint32_t connect_timeout_ms, timeout_ms;
    uint32_t in_flight_max; /* over all clients */
    struct breaker_options breaker;
};

/* Before threads start, in a process that ignores SIGPIPE. ERR_INVALID: not a URL that can be
 * called; ERR_NOMEM. */
enum err gateway_http_new(const struct gateway_http_options *options,
                          struct gateway **ret_gateway) MUST_CHECK;
