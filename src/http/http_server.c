// SPDX-License-Identifier: Apache-2.0
/*
 * What belongs to no single connection: the listener, deadlines, drain.
 *
 * Deadlines cost nothing per request. Every state has a list ordered by the time of entry, so one
 * timer per server looks at the heads of the lists; only states whose deadline depends on progress
 * (body, output) are looked through, and few connections are in them.
 */
#include <time.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "http/http_conn_internal.h"

enum {
    SWEEP_MS = 100,
    /* Thousands that are late together must not hold up the rest: some now, more in a moment. */
    LATE_PER_SWEEP_MAX = 128,
    SWEEP_AGAIN_MS = 10,
    COLD_AFTER_MS = 1000,
};

static struct http_conn *first(const struct list *list)
{
    return list_empty(list) ? NULL : CONTAINER_OF(list->next, struct http_conn, node);
}

static bool older(const struct http_server *server, const struct http_conn *conn, uint64_t ms)
{
    return conn && loop_now_ms(server->loop) - conn->since_ms >= ms;
}

/* ---- deadlines ---- */

/* How many were late. */
static unsigned sweep_heads(struct http_server *server)
{
    unsigned late = 0;
    struct http_conn *conn;

    while (late < LATE_PER_SWEEP_MAX && older(server, conn = first(&server->conns[HTTP_CONN_HEAD]),
                                              server->options.header_timeout_ms)) {
        late++;
        if (conn->in_len > conn->in_start) {
            http_conn_refuse(conn, HTTP_REFUSAL_TIMEOUT);
        } else {
            server->stats.timed_out++;
            http_conn_close(conn);
        }
    }
    return late;
}

static bool too_slow(const struct http_server *server, uint64_t since_ms, uint64_t bytes,
                     uint32_t grace_ms)
{
    uint64_t earned_ms = bytes * 1000 / server->options.body_rate_min;

    return loop_now_ms(server->loop) - since_ms >= grace_ms + earned_ms;
}

static unsigned sweep_bodies(struct http_server *server)
{
    unsigned late = 0;
    struct http_conn *conn;

    LIST_FOREACH (conn, &server->conns[HTTP_CONN_BODY], struct http_conn, node) {
        size_t bytes = conn->in_len - conn->in_start - conn->head_len;
        if (!too_slow(server, conn->since_ms, bytes, server->options.body_grace_ms))
            continue;
        http_conn_refuse(conn, HTTP_REFUSAL_TIMEOUT);
        if (++late == LATE_PER_SWEEP_MAX)
            break;
    }
    return late;
}

static void sweep_output(struct http_server *server, enum http_conn_state state)
{
    struct http_conn *conn;

    LIST_FOREACH (conn, &server->conns[state], struct http_conn, node)
        if (conn->stalled && too_slow(server, conn->out_since_ms, conn->out_taken,
                                      server->options.write_timeout_ms)) {
            server->stats.timed_out++;
            http_conn_close(conn);
        }
}

static void sweep_idle(struct http_server *server)
{
    uint32_t idle_ms = server->options.idle_timeout_ms;
    uint32_t linger_ms = server->draining ? HTTP_CONN_LINGER_MS / 4 : HTTP_CONN_LINGER_MS;
    struct http_conn *conn;

    while (older(server, conn = first(&server->conns[HTTP_CONN_IDLE]),
                 MIN((uint32_t)COLD_AFTER_MS, idle_ms)))
        http_conn_go_cold(conn);
    while (older(server, conn = first(&server->conns[HTTP_CONN_COLD]),
                 idle_ms - MIN((uint32_t)COLD_AFTER_MS, idle_ms))) {
        server->stats.timed_out++;
        http_conn_close(conn);
    }
    while (older(server, conn = first(&server->conns[HTTP_CONN_LINGER]), linger_ms))
        http_conn_close(conn);
}

/* A request may be on its way to us when we decide to end: quiet connections get a moment. */
static void sweep_drain(struct http_server *server)
{
    static const enum http_conn_state quiet[] = { HTTP_CONN_HEAD, HTTP_CONN_IDLE, HTTP_CONN_COLD };
    struct http_conn *conn;

    if (loop_now_ms(server->loop) - server->drain_since_ms < server->options.drain_idle_ms)
        return;
    for (size_t i = 0; i < ARRAY_COUNT(quiet); i++)
        LIST_FOREACH (conn, &server->conns[quiet[i]], struct http_conn, node)
            if (conn->in_len == conn->in_start)
                http_conn_close(conn);
}

static void start_sweep(struct http_server *server, uint64_t after_ms)
{
    /* Without memory for a timer there are no deadlines until the next connection comes. */
    err_ignore(loop_timer_start(server->loop, &server->sweep, after_ms), "tried again");
}

static void sweep(struct loop_timer *timer)
{
    struct http_server *server = CONTAINER_OF(timer, struct http_server, sweep);

    if (server->stats.connections == 0)
        return;
    bool many = sweep_heads(server) + sweep_bodies(server) >= LATE_PER_SWEEP_MAX;
    start_sweep(server, many ? SWEEP_AGAIN_MS : SWEEP_MS);
    sweep_output(server, HTTP_CONN_FLUSH);
    sweep_output(server, HTTP_CONN_STREAM);
    sweep_idle(server);
    if (server->draining)
        sweep_drain(server);
}

/* ---- connections ---- */

static struct loop_stream *on_connection(struct loop_listener *listener,
                                         const struct loop_addr *peer)
{
    struct http_server *server = CONTAINER_OF(listener, struct http_server, listener);
    struct http_server_stats *stats = &server->stats;
    uint32_t max = server->options.connections_max;
    struct http_conn *conn = NULL;

    /* Those over the limit are told so, but not without limit. */
    if (!server->stopping && stats->connections < max + max / 16 + 16)
        conn = http_conn_new(server, peer);
    if (!conn) {
        stats->turned_away++;
        return NULL;
    }
    conn->overflow = stats->connections >= max;
    stats->connections++;
    stats->accepted++;
    if (!server->sweep.impl)
        start_sweep(server, SWEEP_MS);
    return &conn->stream;
}

static void finish(struct loop_task *task)
{
    struct http_server *server = CONTAINER_OF(task, struct http_server, finish);

    server->finishing = false;
    if (server->done && !server->listening && server->stats.connections == 0) {
        void (*done)(struct http_server *, void *) = TAKE(server->done);
        loop_timer_stop(&server->sweep);
        done(server, server->done_arg);
    }
}

static void finish_later(struct http_server *server)
{
    if (server->finishing || !server->done)
        return;
    server->finishing = true;
    loop_post(server->loop, &server->finish);
}

void http_server_conn_freed(struct http_server *server)
{
    server->stats.connections--;
    finish_later(server);
}

static void listener_closed(struct loop_listener *listener)
{
    struct http_server *server = CONTAINER_OF(listener, struct http_server, listener);

    server->listening = false;
    finish_later(server);
}

/* ---- shared by all answers ---- */

uint64_t http_server_new_id(struct http_server *server)
{
    return hash_u64(server->id_seed + server->id_count++); /* a bijection: never the same twice */
}

struct str http_server_date(struct http_server *server)
{
    uint64_t now_ms = loop_now_ms(server->loop);

    if (now_ms >= server->date_until_ms) {
        int64_t wall_ms = clock_wall_ms();
        time_t wall_s = (time_t)(wall_ms / 1000);
        struct tm utc;
        gmtime_r(&wall_s, &utc);
        server->date_len = (uint32_t)strftime(server->date, sizeof server->date,
                                              "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &utc);
        server->date_until_ms = now_ms + 1000 - (uint64_t)(wall_ms % 1000);
    }
    return (struct str){ server->date, server->date_len };
}

/* ---- life ---- */

static void set_defaults(struct http_server_options *options)
{
    static const struct {
        size_t offset;
        uint32_t value;
    } defaults[] = {
#define DEFAULT(name, value) { offsetof(struct http_server_options, name), value }
        DEFAULT(connections_max, 10000),  DEFAULT(header_timeout_ms, 10000),
        DEFAULT(body_grace_ms, 5000),     DEFAULT(body_rate_min, 500),
        DEFAULT(write_timeout_ms, 10000), DEFAULT(idle_timeout_ms, 60000),
        DEFAULT(drain_idle_ms, 1000),     DEFAULT(request_line_max, 8000),
        DEFAULT(header_fields_max, 100),  DEFAULT(header_bytes_max, 16384),
        DEFAULT(body_bytes_max, 65536),   DEFAULT(stream_bytes_max, 1u << 20),
#undef DEFAULT
    };

    for (size_t i = 0; i < ARRAY_COUNT(defaults); i++) {
        uint32_t *option = (uint32_t *)(void *)((char *)options + defaults[i].offset);
        if (*option == 0)
            *option = defaults[i].value;
    }
}

struct http_server *http_server_new(struct loop *loop, const struct http_server_options *options)
{
    struct http_server *server = mem_alloc(sizeof *server);

    if (!server)
        return NULL;
    ASSERT(options->on_request && options->on_refusal);
    server->loop = loop;
    server->options = *options;
    set_defaults(&server->options);
    server->limits = (struct http_head_limits){
        .request_line_max = server->options.request_line_max,
        .header_fields_max = server->options.header_fields_max,
        .header_bytes_max = server->options.header_bytes_max,
    };
    server->fields = mem_alloc(server->options.header_fields_max * sizeof *server->fields);
    if (!server->fields)
        return mem_free(server);
    for (int i = 0; i < HTTP_CONN_STATES; i++)
        list_init(&server->conns[i]);
    server->listener.on_connection = on_connection;
    server->listener.on_closed = listener_closed;
    server->sweep.run = sweep;
    server->finish.run = finish;
    server->id_seed = hash_u64(clock_mono_ns() ^ (uint64_t)clock_wall_ms() << 20);
    return server;
}

struct http_server *http_server_free(struct http_server *server)
{
    if (!server)
        return NULL;
    ASSERT(!server->listening && server->stats.connections == 0 && !server->finishing);
    loop_timer_stop(&server->sweep);
    mem_free(server->fields);
    return mem_free(server);
}

enum err http_server_listen(struct http_server *server, const struct loop_addr *addr,
                            struct loop_addr *ret_bound)
{
    TRY(loop_listen(server->loop, &server->listener, addr, ret_bound));
    server->listening = true;
    return ERR_OK;
}

const struct http_server_stats *http_server_stats(const struct http_server *server)
{
    return &server->stats;
}

static void close_listener(struct http_server *server)
{
    if (server->listening && !server->draining && !server->stopping)
        loop_listener_close(&server->listener);
}

void http_server_drain(struct http_server *server, void (*done)(struct http_server *, void *),
                       void *arg)
{
    ASSERT(!server->draining && !server->stopping);
    close_listener(server);
    server->done = done;
    server->done_arg = arg;
    server->draining = true;
    server->drain_since_ms = loop_now_ms(server->loop);
    finish_later(server);
}

void http_server_stop(struct http_server *server, void (*done)(struct http_server *, void *),
                      void *arg)
{
    struct http_conn *conn;

    ASSERT(!server->stopping);
    close_listener(server);
    server->done = done;
    server->done_arg = arg;
    server->stopping = true;
    for (int i = 0; i < HTTP_CONN_STATES; i++)
        LIST_FOREACH (conn, &server->conns[i], struct http_conn, node)
            http_conn_close(conn);
    finish_later(server);
}
