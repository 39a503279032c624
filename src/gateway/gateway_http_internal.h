// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "gateway/gateway_backend.h"
#include "gateway/gateway_http.h"
#include "hook/hook_multi.h"
#include "hook/hook_sign.h"

/* ---- what is sent and answered: gateway_http_message.c; no network ---- */

/* The body of `call`, sent at `now_ms` (Unix time). */
void gateway_http_render(struct buf *buf, const struct gateway_call *call, int64_t now_ms);
/* What a whole answer means for `call`: its outcome, and with GATEWAY_APPROVED its transaction_id.
 * Never GATEWAY_UNSENT. `content_type` may be NULL. */
void gateway_http_judge(struct gateway_call *call, long status, const char *content_type,
                        struct str body);

/* ---- gateway_http.c ---- */

struct http_gateway {
    struct gateway base;
    char *url;
    const char *ca_file; /* NULL: the system's */
    struct buf secret;
    uint32_t connect_timeout_ms, timeout_ms;
    uint64_t in_flight_max;
    _Atomic uint64_t in_flight;
    pthread_mutex_t lock;
    struct breaker breaker; /* under `lock` */
};

struct http_client {
    struct gateway_client base;
    struct metrics_slot *metrics; /* or NULL */
    struct hook_multi multi;
};

/* One call under way: one transfer of curl's. */
struct http_call {
    struct gateway_call *call;
    struct http_client *client;
    struct breaker_permit permit;
    CURL *easy;
    struct curl_slist *headers;
    struct buf body, answer;
    size_t header_bytes;
    /* A connection was there and the request was about to be written to it, at least once: from
     * here on the gateway may have got it. */
    bool sent;
};

/* gateway_http_call.c: the transfer, set up but not begun. NULL without memory. */
struct http_call *http_call_new(struct http_client *client, struct gateway_call *call);
struct http_call *http_call_free(struct http_call *http);
