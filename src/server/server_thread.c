// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/ranking_stream.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/server.h"
#include "server/server_gauge.h"

enum { STACK_BYTES = 1 << 20, SETTLE_AGAIN_MS = 5 };

/* ---- HTTP ---- */

static struct http_server_options http_options(const struct config *config, struct api_loop *app)
{
    int64_t connections = config->http_connections_max / config->threads;

    return (struct http_server_options){
        .connections_max = (uint32_t)MAX(connections, 1),
        .header_timeout_ms = (uint32_t)config->http_header_timeout_ms,
        .body_rate_min = (uint32_t)MAX(config->http_body_rate_min_bytes, 1),
        .idle_timeout_ms = (uint32_t)config->http_idle_timeout_ms,
        .drain_idle_ms = (uint32_t)MAX(MIN(config->http_drain_timeout_ms / 5, 1000), 1),
        .request_line_max = (uint32_t)config->http_request_line_bytes_max,
        .header_fields_max = (uint32_t)config->http_header_fields_max,
        .header_bytes_max = (uint32_t)config->http_header_bytes_max,
        .body_bytes_max = (uint32_t)config->http_body_bytes_max,
        .app = app,
        .on_request = api_on_request,
        .on_refusal = api_on_refusal,
        .on_answered = api_on_answered,
    };
}

static const char *listen_why(enum err e)
{
    switch (e) {
    case ERR_CONFLICT:
        return "the port is in use; choose another, or 0 for any free one";
    case ERR_INVALID:
        return "it is not an address of this machine";
    case ERR_IO:
        return "the operating system refuses it; ports below 1024 need privileges";
    default:
        return err_text(e);
    }
}

static void write_url(const struct loop_addr *bound, char url[SERVER_URL_BYTES])
{
    char text[LOOP_ADDR_TEXT_BYTES];
    struct str host = loop_addr_text(bound, text);
    bool v6 = memchr(host.ptr, ':', host.len) != NULL;

    snprintf(url, SERVER_URL_BYTES, v6 ? "http://[%.*s]:%u" : "http://%.*s:%u", (int)host.len,
             host.ptr, loop_addr_port(bound));
}

/*
 * Our threads share one port (SO_REUSEPORT), and so would another server of the same user, without
 * a word, each getting some of the connections. A socket that does not want to share finds out.
 */
static enum err port_is_free(const struct loop_addr *addr)
{
    const int on = 1;
    int fd = socket(addr->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || loop_addr_port(addr) == 0) {
        close(fd);
        return ERR_OK; /* listening will tell */
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    bool taken = bind(fd, &addr->any, loop_addr_bytes(addr)) != 0 && errno == EADDRINUSE;
    close(fd);
    return taken ? ERR_CONFLICT : ERR_OK;
}

/* All threads share the address that the first one got. */
static enum err port_open(struct server_port *port, struct api_loop *app,
                          struct config_address address, const char *option,
                          char url[SERVER_URL_BYTES], struct config_error *ret_error)
{
    struct http_server_options options = http_options(port->thread->server->config, app);
    const char *colon = strrchr(url, ':');
    struct loop_addr wanted, bound;

    port->http = http_server_new(port->thread->loop, &options);
    if (!port->http)
        return ERR_NOMEM;
    if (colon)
        address.port = (uint16_t)strtoul(colon + 1, NULL, 10);
    enum err e = loop_addr_parse(str_from(address.host), address.port, &wanted);
    if (e == ERR_OK && !colon)
        e = port_is_free(&wanted);
    if (e == ERR_OK)
        e = http_server_listen(port->http, &wanted, &bound);
    if (e == ERR_OK) {
        write_url(&bound, url);
        port->open = true;
        return ERR_OK;
    }
    snprintf(ret_error->text, sizeof ret_error->text, "cannot listen on %s:%u (%s): %s",
             address.host, address.port, option, listen_why(e));
    return ERR_INVALID;
}

static enum err ports_open(struct server_thread *thread, bool first, struct config_error *ret_error)
{
    struct server *server = thread->server;

    TRY(port_open(&thread->main, &thread->api, server->config->listen, "listen", server->url,
                  ret_error));
    if (!first || !server->config->ops_listen.host[0])
        return ERR_OK;
    thread->ops_api = thread->api;
    thread->ops_api.api = &server->ops_api;
    return port_open(&thread->ops, &thread->ops_api, server->config->ops_listen, "ops.listen",
                     server->ops_url, ret_error);
}

/* ---- life ---- */

enum err server_thread_init(struct server_thread *thread, struct server *server, bool first,
                            struct config_error *ret_error)
{
    struct metrics_slot *metrics =
        metrics_slot(server->metrics, (size_t)(thread - server->threads));

    thread->server = server;
    thread->main.thread = thread->ops.thread = thread;
    thread->loop = loop_new();
    if (!thread->loop)
        return ERR_NOMEM;
    TRY(shop_loop_init(&thread->shop, &server->shop, thread->loop, metrics, first));
    thread->has_shop = true;
    thread->api =
        (struct api_loop){ .api = &server->api, .shop = &thread->shop, .metrics = metrics };
    if (server->api.keys) {
        thread->api.auth_cache = auth_cache_new((size_t)server->config->auth_cache_max);
        if (!thread->api.auth_cache)
            return ERR_NOMEM;
    }
    if (server->config->answers_cache_max) {
        thread->api.answers = answer_cache_new((size_t)server->config->answers_cache_max,
                                               (size_t)server->config->answers_cache_bytes_max);
        if (!thread->api.answers)
            return ERR_NOMEM;
    }
    TRY(ports_open(thread, first, ret_error));
    if (first && server->key_files)
        TRY(key_files_watch(server->key_files, thread->loop));
    return server_gauge_new(thread, &thread->gauge);
}

/* A start that failed half way: nobody has run the loop yet, so it is run here. */
static void ports_close(struct server_thread *thread)
{
    if (!thread->main.open && !thread->ops.open)
        return;
    thread->stop_when_drained = true;
    server_thread_cut(thread);
    loop_run(thread->loop);
}

void server_thread_fini(struct server_thread *thread)
{
    thread->gauge = server_gauge_free(thread->gauge);
    if (thread == thread->server->threads)
        key_files_stop(thread->server->key_files);
    ports_close(thread);
    thread->main.http = http_server_free(thread->main.http);
    thread->ops.http = http_server_free(thread->ops.http);
    thread->api.auth_cache = auth_cache_free(thread->api.auth_cache);
    thread->api.answers = answer_cache_free(thread->api.answers);
    ranking_streams_fini(&thread->api);
    if (thread->has_shop)
        shop_loop_fini(&thread->shop);
    thread->loop = loop_free(thread->loop);
}

static void *thread_main(void *context)
{
    struct server_thread *thread = context;

    loop_run(thread->loop);
    log_flush();
    return NULL;
}

enum err server_thread_start(struct server_thread *thread)
{
    pthread_attr_t attr;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    thread->runs = pthread_create(&thread->id, &attr, thread_main, thread) == 0;
    pthread_attr_destroy(&attr);
    return thread->runs ? ERR_OK : ERR_NOMEM;
}

void server_thread_join(struct server_thread *thread)
{
    if (thread->runs)
        pthread_join(thread->id, NULL);
    thread->runs = false;
}

/* ---- the end, on the loop's thread ---- */

static void step_take(struct server_thread *thread, enum server_thread_step step)
{
    atomic_store(&thread->step, (int)step);
    server_tell_step();
}

static void port_ended(struct http_server *http, void *arg)
{
    struct server_port *port = arg;
    struct server_thread *thread = port->thread;

    (void)http;
    port->open = false;
    if (thread->main.open || thread->ops.open)
        return;
    step_take(thread, SERVER_THREAD_DRAINED);
    if (thread->stop_when_drained)
        loop_stop(thread->loop);
}

static void run_drain(struct loop_task *task)
{
    struct server_thread *thread = CONTAINER_OF(task, struct server_thread, drain);

    ranking_streams_end(&thread->api);
    if (thread->ops.open)
        http_server_drain(thread->ops.http, port_ended, &thread->ops);
    http_server_drain(thread->main.http, port_ended, &thread->main);
}

static void run_cut(struct loop_task *task)
{
    struct server_thread *thread = CONTAINER_OF(task, struct server_thread, cut);

    if (thread->ops.open)
        http_server_stop(thread->ops.http, port_ended, &thread->ops);
    if (thread->main.open)
        http_server_stop(thread->main.http, port_ended, &thread->main);
    payments_hurry(&thread->shop);
}

static void settle_look(struct server_thread *thread)
{
    const char *waits_for = shop_loop_waits_for(&thread->shop);

    atomic_store(&thread->waits_for, waits_for);
    if (!waits_for) {
        server_gauge_stop(thread->gauge);
        if (thread == thread->server->threads)
            key_files_stop(thread->server->key_files);
        step_take(thread, SERVER_THREAD_SETTLED);
    } else if (loop_timer_start(thread->loop, &thread->settle_again, SETTLE_AGAIN_MS) != ERR_OK) {
        LOG(LOG_ERROR, "no memory to wait for the rows");
    }
}

static void settle_again(struct loop_timer *timer)
{
    settle_look(CONTAINER_OF(timer, struct server_thread, settle_again));
}

static void run_settle(struct loop_task *task)
{
    struct server_thread *thread = CONTAINER_OF(task, struct server_thread, settle);

    thread->settle_again.run = settle_again;
    shop_loop_drain(&thread->shop);
    settle_look(thread);
}

void server_thread_drain(struct server_thread *thread)
{
    thread->drain.run = run_drain;
    loop_send(thread->loop, &thread->drain);
}

void server_thread_cut(struct server_thread *thread)
{
    thread->cut.run = run_cut;
    loop_send(thread->loop, &thread->cut);
}

void server_thread_settle(struct server_thread *thread)
{
    thread->settle.run = run_settle;
    loop_send(thread->loop, &thread->settle);
}
