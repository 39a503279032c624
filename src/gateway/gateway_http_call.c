// SPDX-License-Identifier: Apache-2.0
/*
 * One transfer. What matters for money: `sent` is set by the callback that curl runs when a
 * connection, TLS and all, is there and nothing of the request has been written to it. As long as
 * that has not run, nothing was sent; from then on nobody knows. curl may send a request again when
 * a connection that it kept is found closed: it is the same key, so it is the same payment.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "gateway/gateway_http_internal.h"

enum { HEADER_BYTES_MAX = 64 * 1024 };

/* CURLOPT_PREREQFUNCTION, of curl's type */
/* NOLINTNEXTLINE(readability-non-const-parameter) */
static int on_connected(void *context, char *peer_ip, char *own_ip, int peer_port, int own_port)
{
    struct http_call *http = context;

    (void)peer_ip, (void)own_ip, (void)peer_port, (void)own_port;
    http->sent = true;
    return CURL_PREREQFUNC_OK;
}

/* CURLOPT_HEADERFUNCTION, of curl's type; interim answers count, too */
/* NOLINTNEXTLINE(readability-non-const-parameter) */
static size_t on_header(char *bytes, size_t one, size_t n, void *context)
{
    struct http_call *http = context;

    (void)bytes, (void)one;
    http->header_bytes += n;
    return http->header_bytes <= HEADER_BYTES_MAX ? n : 0;
}

/* CURLOPT_WRITEFUNCTION */
static size_t on_body(char *bytes, size_t one, size_t n, void *context)
{
    struct http_call *http = context;

    (void)one;
    if (n > GATEWAY_HTTP_ANSWER_BYTES_MAX - http->answer.len)
        return 0;
    buf_bytes(&http->answer, bytes, n);
    return buf_ok(&http->answer) ? n : 0;
}

PRINTF_LIKE(2, 3) static bool add_header(struct http_call *http, const char *format, ...)
{
    char line[256];
    va_list args;

    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    struct curl_slist *longer =
        n < (int)sizeof line ? curl_slist_append(http->headers, line) : NULL;
    if (longer)
        http->headers = longer;
    return longer != NULL;
}

/* Real time, whatever the clock of profile `test` says: a gateway checks that it is fresh. */
static bool write_message(struct http_call *http, const struct http_gateway *gateway)
{
    int64_t now_ms = clock_wall_ms() - clock_offset_ms();
    char timestamp[24], signature[HOOK_SIGNATURE_BYTES];

    snprintf(timestamp, sizeof timestamp, "%" PRId64, now_ms / 1000);
    gateway_http_render(&http->body, http->call, now_ms);
    return buf_ok(&http->body) &&
           hook_sign(buf_str(&gateway->secret), str_from(timestamp), buf_str(&http->body),
                     signature) == ERR_OK &&
           add_header(http, "Content-Type: application/json") &&
           add_header(http, "Accept: application/json") && add_header(http, "Expect:") &&
           add_header(http, "Idempotency-Key: %s", http->call->key) &&
           add_header(http, "X-Doorbuster-Timestamp: %s", timestamp) &&
           add_header(http, "X-Doorbuster-Signature: v1=%s", signature);
}

#define SET(option, value) (curl_easy_setopt(http->easy, (option), (value)) == CURLE_OK)

/* Nothing of the environment or of the answer leads it elsewhere: no proxy, no redirect. A name
 * that takes too long to resolve must not hold the loop, which is what QUICK_EXIT is for. */
static bool set_where(struct http_call *http, const struct http_gateway *gateway)
{
    return SET(CURLOPT_URL, gateway->url) && SET(CURLOPT_PROTOCOLS_STR, "http,https") &&
           SET(CURLOPT_FOLLOWLOCATION, 0L) && SET(CURLOPT_PROXY, "") && SET(CURLOPT_NOSIGNAL, 1L) &&
           SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
           (!gateway->ca_file || SET(CURLOPT_CAINFO, gateway->ca_file)) &&
           SET(CURLOPT_USERAGENT, "doorbuster") && SET(CURLOPT_QUICK_EXIT, 1L) &&
           SET(CURLOPT_CONNECTTIMEOUT_MS, (long)gateway->connect_timeout_ms) &&
           SET(CURLOPT_TIMEOUT_MS, (long)gateway->timeout_ms);
}

static bool set_what(struct http_call *http)
{
    return SET(CURLOPT_PRIVATE, http) && SET(CURLOPT_HTTPHEADER, http->headers) &&
           SET(CURLOPT_POSTFIELDSIZE, (long)http->body.len) &&
           SET(CURLOPT_POSTFIELDS, http->body.ptr) && SET(CURLOPT_PREREQFUNCTION, on_connected) &&
           SET(CURLOPT_PREREQDATA, http) && SET(CURLOPT_HEADERFUNCTION, on_header) &&
           SET(CURLOPT_HEADERDATA, http) && SET(CURLOPT_WRITEFUNCTION, on_body) &&
           SET(CURLOPT_WRITEDATA, http);
}

struct http_call *http_call_new(struct http_client *client, struct gateway_call *call)
{
    const struct http_gateway *gateway =
        CONTAINER_OF(client->base.gateway, struct http_gateway, base);
    struct http_call *http = mem_alloc(sizeof *http);

    if (!http)
        return NULL;
    http->client = client;
    http->call = call;
    http->easy = curl_easy_init();
    if (http->easy && write_message(http, gateway) && set_where(http, gateway) && set_what(http))
        return http;
    return http_call_free(http);
}

struct http_call *http_call_free(struct http_call *http)
{
    if (!http)
        return NULL;
    if (http->easy)
        curl_easy_cleanup(http->easy);
    curl_slist_free_all(http->headers);
    buf_fini(&http->body);
    buf_fini(&http->answer);
    return mem_free(http);
}
