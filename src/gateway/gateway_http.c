// SPDX-License-Identifier: Apache-2.0
/*
 * A call's life: room and permission, a transfer, its judgement. Every call has a timer of its own
 * besides curl's, so that it ends whatever happens there.
 */
#include "gateway/gateway_http.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/gateway_http_internal.h"
#include "hook/hook.h"

/* After curl's own time-out. */
enum { GRACE_MS = 500 };

static struct http_gateway *of(struct gateway *gateway)
{
    return CONTAINER_OF(gateway, struct http_gateway, base);
}

/* ---- room and permission ---- */

static uint64_t now_ms(void)
{
    return clock_mono_ns() / 1000000;
}

static bool take_room(struct http_gateway *gateway)
{
    if (atomic_fetch_add(&gateway->in_flight, 1) < gateway->in_flight_max)
        return true;
    atomic_fetch_sub(&gateway->in_flight, 1);
    return false;
}

static bool ask_breaker(struct http_gateway *gateway, struct breaker_permit *ret_permit)
{
    pthread_mutex_lock(&gateway->lock);
    bool permitted = breaker_ask(&gateway->breaker, now_ms(), ret_permit);
    pthread_mutex_unlock(&gateway->lock);
    return permitted;
}

static void give_back(struct http_gateway *gateway, struct breaker_permit permit)
{
    pthread_mutex_lock(&gateway->lock);
    breaker_give_back(&gateway->breaker, permit);
    pthread_mutex_unlock(&gateway->lock);
}

static void tell_state(enum breaker_state before, enum breaker_state after)
{
    if (before != after)
        LOG(LOG_WARN, "the payment gateway's breaker has changed",
            LOG_CSTR("from", breaker_state_name(before)),
            LOG_CSTR("to", breaker_state_name(after)));
}

/* Failed is what did not end in a clear word. */
static void tell_breaker(struct http_call *http, uint64_t took_ns)
{
    struct http_gateway *gateway = of(http->client->base.gateway);
    enum gateway_outcome outcome = http->call->outcome;
    bool failed = outcome != GATEWAY_APPROVED && outcome != GATEWAY_REFUSED;

    pthread_mutex_lock(&gateway->lock);
    enum breaker_state before = gateway->breaker.state;
    breaker_done(&gateway->breaker, now_ms(), http->permit, failed, took_ns / 1000000);
    enum breaker_state after = gateway->breaker.state;
    pthread_mutex_unlock(&gateway->lock);
    tell_state(before, after);
    if (http->client->metrics)
        metrics_breaker(http->client->metrics, METRICS_BREAKER_GATEWAY, failed, took_ns);
}

/* ---- calls ---- */

static void tell_done(struct loop_task *task)
{
    struct gateway_call *call = CONTAINER_OF(task, struct gateway_call, task);

    call->done(call);
}

static void end_unsent(struct gateway_call *call)
{
    call->outcome = GATEWAY_UNSENT;
    call->task.run = tell_done;
    loop_post(call->client->loop, &call->task);
}

/* The outcome is set. `http` ends here, and the caller may end `call`. */
static void end(struct http_call *http)
{
    struct gateway_call *call = http->call;
    struct http_gateway *gateway = of(call->client->gateway);

    loop_timer_stop(&call->timer);
    tell_breaker(http, clock_mono_ns() - call->started_ns);
    hook_multi_remove(&http->client->multi, http->easy);
    call->impl = http_call_free(http);
    atomic_fetch_sub(&gateway->in_flight, 1);
    call->done(call);
}

static void tell_trouble(const struct http_call *http, long status, const char *why)
{
    LOG(LOG_WARN, "no clear answer of the payment gateway", LOG_CSTR("key", http->call->key),
        LOG_CSTR("sent", http->sent ? "yes" : "no"), LOG_INT("status", status),
        LOG_CSTR("why", why));
}

static void on_over(CURL *easy, CURLcode result)
{
    struct http_call *http = NULL;
    char *content_type = NULL;
    long status = 0;

    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&http);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &content_type);
    if (result == CURLE_OK)
        gateway_http_judge(http->call, status, content_type, buf_str(&http->answer));
    else
        http->call->outcome = http->sent ? GATEWAY_UNKNOWN : GATEWAY_UNSENT;
    if (http->call->outcome == GATEWAY_UNKNOWN || http->call->outcome == GATEWAY_UNSENT)
        tell_trouble(http, status,
                     result == CURLE_OK ? "not as docs/gateway.md says"
                                        : curl_easy_strerror(result));
    end(http);
}

/* curl had its time and has not said anything. */
static void on_timeout(struct loop_timer *timer)
{
    struct http_call *http = CONTAINER_OF(timer, struct gateway_call, timer)->impl;

    http->call->outcome = http->sent ? GATEWAY_UNKNOWN : GATEWAY_UNSENT;
    tell_trouble(http, 0, "time is over");
    end(http);
}

static enum err begin(struct http_call *http)
{
    struct gateway_call *call = http->call;

    call->impl = http;
    call->timer.run = on_timeout;
    TRY(loop_timer_start(call->client->loop, &call->timer, call->client->gateway->timeout_ms));
    enum err e = hook_multi_add(&http->client->multi, http->easy);
    if (e != ERR_OK)
        loop_timer_stop(&call->timer);
    return e;
}

static void http_start(struct gateway_client *base, struct gateway_call *call)
{
    struct http_client *client = CONTAINER_OF(base, struct http_client, base);
    struct http_gateway *gateway = of(base->gateway);
    struct breaker_permit permit;

    call->started_ns = clock_mono_ns();
    if (!take_room(gateway)) {
        end_unsent(call);
        return;
    }
    bool permitted = ask_breaker(gateway, &permit);
    struct http_call *http = permitted ? http_call_new(client, call) : NULL;
    if (http) {
        http->permit = permit;
        if (begin(http) == ERR_OK)
            return;
    }
    call->impl = http_call_free(http);
    if (permitted)
        give_back(gateway, permit);
    atomic_fetch_sub(&gateway->in_flight, 1);
    end_unsent(call);
}

/* ---- clients, the gateway ---- */

static struct gateway_client *http_client_new(struct gateway *gateway, struct loop *loop,
                                              struct metrics_slot *metrics)
{
    struct http_client *client = mem_alloc(sizeof *client);

    if (!client)
        return NULL;
    client->base = (struct gateway_client){ .gateway = gateway, .loop = loop };
    client->metrics = metrics;
    if (hook_multi_init(&client->multi, loop, on_over) == ERR_OK)
        return &client->base;
    mem_free(client);
    return NULL;
}

static struct gateway_client *http_client_free(struct gateway_client *base)
{
    struct http_client *client = CONTAINER_OF(base, struct http_client, base);

    hook_multi_fini(&client->multi);
    return mem_free(client);
}

static struct gateway_stats http_stats(struct gateway *base)
{
    struct http_gateway *gateway = of(base);
    struct gateway_stats stats = { .in_flight = gateway->in_flight, .has_breaker = true };

    pthread_mutex_lock(&gateway->lock);
    stats.breaker = breaker_status(&gateway->breaker, now_ms());
    pthread_mutex_unlock(&gateway->lock);
    return stats;
}

static struct gateway *http_free(struct gateway *base)
{
    struct http_gateway *gateway = of(base);

    ASSERT(gateway->in_flight == 0);
    if (gateway->secret.ptr)
        explicit_bzero(gateway->secret.ptr, gateway->secret.len);
    buf_fini(&gateway->secret);
    mem_free(gateway->url);
    pthread_mutex_destroy(&gateway->lock);
    curl_global_cleanup();
    return mem_free(gateway);
}

static enum err fill(struct http_gateway *gateway, const struct gateway_http_options *options)
{
    size_t bytes = strlen(options->url) + 1;

    TRY(hook_check_url(options->url));
    gateway->url = mem_alloc(bytes);
    buf_str_append(&gateway->secret, options->secret);
    if (!gateway->url || !buf_ok(&gateway->secret))
        return ERR_NOMEM;
    memcpy(gateway->url, options->url, bytes);
    if (options->ca_file && options->ca_file[0])
        gateway->ca_file = options->ca_file;
    gateway->connect_timeout_ms = options->connect_timeout_ms;
    gateway->timeout_ms = options->timeout_ms;
    gateway->in_flight_max = options->in_flight_max;
    breaker_init(&gateway->breaker, &options->breaker, now_ms());
    return ERR_OK;
}

enum err gateway_http_new(const struct gateway_http_options *options, struct gateway **ret_gateway)
{
    static const struct gateway_backend backend = { .start = http_start,
                                                    .stats = http_stats,
                                                    .client_new = http_client_new,
                                                    .client_free = http_client_free,
                                                    .free = http_free };
    struct http_gateway *gateway;

    ASSERT(options->secret.len >= GATEWAY_HTTP_SECRET_BYTES_MIN && options->timeout_ms > 0);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return ERR_NOMEM;
    gateway = mem_alloc(sizeof *gateway);
    if (!gateway) {
        curl_global_cleanup();
        return ERR_NOMEM;
    }
    gateway->base = (struct gateway){ .backend = &backend,
                                      .timeout_ms = options->timeout_ms + (uint64_t)GRACE_MS };
    ASSERT(pthread_mutex_init(&gateway->lock, NULL) == 0);
    enum err e = fill(gateway, options);
    if (e == ERR_OK)
        *ret_gateway = &gateway->base;
    else
        http_free(&gateway->base);
    return e;
}
