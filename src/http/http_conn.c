// SPDX-License-Identifier: Apache-2.0
/*
 * A connection: bytes in, one request at a time to the application, answers out in order.
 *
 * http_conn_process() takes requests out of the input buffer for as long as they are complete and
 * answered at once; their answers are collected and sent with one write. When the application
 * keeps a request, everything waits for http_conn_answered(). Nothing is allocated for a request:
 * the input buffer, the output buffer and one block of the arena stay with a busy connection, and
 * go when it has been quiet for a second.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "http/http_conn_internal.h"

#define BIT(name) (1u << HTTP_CONN_##name)

static const unsigned successors[HTTP_CONN_STATES] = {
    [HTTP_CONN_HEAD] = BIT(BODY) | BIT(APP) | BIT(CLOSING),
    [HTTP_CONN_BODY] = BIT(APP) | BIT(CLOSING),
    [HTTP_CONN_APP] = BIT(STREAM) | BIT(IDLE) | BIT(GONE),
    [HTTP_CONN_STREAM] = BIT(IDLE) | BIT(GONE),
    [HTTP_CONN_FLUSH] = BIT(IDLE) | BIT(CLOSING),
    [HTTP_CONN_IDLE] =
        BIT(HEAD) | BIT(BODY) | BIT(APP) | BIT(FLUSH) | BIT(COLD) | BIT(LINGER) | BIT(CLOSING),
    [HTTP_CONN_COLD] = BIT(IDLE) | BIT(CLOSING),
    [HTTP_CONN_LINGER] = BIT(CLOSING),
    [HTTP_CONN_GONE] = BIT(CLOSING),
    [HTTP_CONN_CLOSING] = 0,
};

static bool is_busy(enum http_conn_state state)
{
    return state == HTTP_CONN_APP || state == HTTP_CONN_STREAM || state == HTTP_CONN_GONE;
}

void http_conn_move(struct http_conn *conn, enum http_conn_state to)
{
    struct http_server *server = conn->server;

    ASSERT(successors[conn->state] & (1u << to));
    server->stats.connections_busy -= is_busy(conn->state);
    server->stats.connections_busy += is_busy(to);
    conn->state = to;
    conn->since_ms = loop_now_ms(server->loop);
    list_remove(&conn->node);
    list_append(&server->conns[to], &conn->node);
}

/* It may have requests in its input that nobody has seen yet. */
static bool is_reading(const struct http_conn *conn)
{
    return conn->state == HTTP_CONN_HEAD || conn->state == HTTP_CONN_BODY ||
           conn->state == HTTP_CONN_IDLE;
}

static void set_reading(struct http_conn *conn, bool on)
{
    if (conn->reading == on || http_conn_is_closed(conn))
        return;
    conn->reading = on;
    if (on)
        loop_stream_read_start(&conn->stream);
    else
        loop_stream_read_stop(&conn->stream);
}

/* ---- end of a connection ---- */

static void drop_buffers(struct http_conn *conn)
{
    conn->in = mem_free(conn->in);
    conn->in_start = conn->in_len = conn->in_cap = 0;
    conn->chunks = http_chunks_free(conn->chunks);
    buf_fini(&conn->out);
    conn->out_sent = 0;
    arena_fini(&conn->req.arena);
}

static void free_if_done(struct http_conn *conn)
{
    struct http_server *server = conn->server;

    if (conn->state != HTTP_CONN_CLOSING || !conn->stream_closed || conn->resuming ||
        conn->processing)
        return;
    drop_buffers(conn);
    list_remove(&conn->node);
    mem_free(conn);
    http_server_conn_freed(server);
}

static void on_closed(struct loop_stream *stream)
{
    struct http_conn *conn = CONTAINER_OF(stream, struct http_conn, stream);

    conn->stream_closed = true;
    if (!http_conn_is_closed(conn)) /* it never opened */
        http_conn_move(conn, HTTP_CONN_CLOSING);
    free_if_done(conn);
}

void http_conn_close(struct http_conn *conn)
{
    bool streaming = conn->state == HTTP_CONN_STREAM;

    if (http_conn_is_closed(conn))
        return;
    loop_stream_close(&conn->stream);
    http_conn_move(conn, is_busy(conn->state) ? HTTP_CONN_GONE : HTTP_CONN_CLOSING);
    if (streaming) { /* the application may be waiting for on_drain */
        conn->drain_due = true;
        http_conn_resume_later(conn);
    }
}

/* Everything is sent, and this was the last. With input left unread a close would make the kernel
 * send a reset, and the peer might lose the answer: then say only that no more will come. */
static void end_connection(struct http_conn *conn)
{
    bool all_read = conn->reading && !conn->linger_after;

    if (all_read || conn->in_ended) {
        http_conn_close(conn);
        return;
    }
    loop_stream_shutdown(&conn->stream);
    drop_buffers(conn);
    http_conn_move(conn, HTTP_CONN_LINGER);
    set_reading(conn, true);
}

static void linger(struct http_conn *conn)
{
    size_t n = 0;

    switch (
        loop_stream_read(&conn->stream, conn->server->scratch, sizeof conn->server->scratch, &n)) {
    case LOOP_IO_OK:
        conn->raw_bytes += (uint32_t)n;
        if (conn->raw_bytes > HTTP_CONN_LINGER_BYTES)
            http_conn_close(conn);
        break;
    case LOOP_IO_AGAIN:
        break;
    case LOOP_IO_EOF:
    case LOOP_IO_GONE:
        http_conn_close(conn);
        break;
    }
}

/* ---- output ---- */

static void wait_writable(struct http_conn *conn)
{
    if (!conn->stalled) {
        conn->stalled = true;
        conn->out_since_ms = loop_now_ms(conn->server->loop);
        conn->out_taken = 0;
    }
    if (!conn->waiting) {
        conn->waiting = true;
        loop_stream_wait_writable(&conn->stream);
    }
}

bool http_conn_flush(struct http_conn *conn)
{
    size_t left = conn->out.len - conn->out_sent, n = 0;

    if (left > 0 && !http_conn_is_closed(conn)) {
        enum loop_io io =
            loop_stream_write(&conn->stream, conn->out.ptr + conn->out_sent, left, &n);
        if (io == LOOP_IO_GONE) {
            http_conn_close(conn);
        } else if (io == LOOP_IO_AGAIN || n < left) {
            conn->out_sent += n;
            conn->out_taken += n;
            wait_writable(conn);
            return false;
        }
    }
    buf_reset(&conn->out);
    conn->out_sent = 0;
    conn->stalled = false;
    return true;
}

/* After requests were taken out of the input, or an answer was given later. */
static void settle(struct http_conn *conn)
{
    bool all_out = http_conn_flush(conn);

    if (!is_reading(conn) || conn->resuming)
        return;
    if (!all_out) {
        if (conn->state == HTTP_CONN_IDLE) /* else the next request may arrive meanwhile */
            http_conn_move(conn, HTTP_CONN_FLUSH);
        return;
    }
    if (conn->state == HTTP_CONN_IDLE && conn->close_after)
        end_connection(conn);
    else if (!conn->in_ended)
        set_reading(conn, true);
    else if (conn->in_start < conn->in_len)
        http_conn_refuse(conn, HTTP_REFUSAL_MALFORMED); /* the end, in the middle of a request */
    else
        http_conn_close(conn);
}

static void on_writable(struct loop_stream *stream)
{
    struct http_conn *conn = CONTAINER_OF(stream, struct http_conn, stream);

    conn->waiting = false;
    if (!http_conn_flush(conn))
        return;
    if (conn->state == HTTP_CONN_FLUSH) {
        http_conn_move(conn, HTTP_CONN_IDLE);
        http_conn_process(conn);
    } else if (conn->state == HTTP_CONN_STREAM && conn->drain_due) {
        conn->drain_due = false;
        conn->req.on_drain(&conn->req);
    } else {
        settle(conn);
    }
}

void http_conn_answered(struct http_conn *conn)
{
    struct http_request *req = &conn->req;
    struct arena arena = req->arena;
    uint32_t used = conn->refused ? conn->in_len - conn->in_start : conn->head_len + conn->body_len;

    arena_reset(&arena);
    *req = (struct http_request){ .arena = arena };
    conn->extra = NULL;
    conn->in_start += used;
    conn->head_len = conn->body_len = conn->raw_bytes = 0;
    conn->scan = (struct http_scan_state){ 0 };
    conn->chunks = http_chunks_free(conn->chunks);
    conn->body_kind = HTTP_BODY_LENGTH;
    if (conn->state == HTTP_CONN_GONE) {
        http_conn_move(conn, HTTP_CONN_CLOSING);
        free_if_done(conn);
        return;
    }
    conn->linger_after |= http_conn_input_left(conn) > 0;
    http_conn_move(conn, HTTP_CONN_IDLE);
    if (conn->processing)
        return;
    if (http_conn_input_left(conn) > 0 && !conn->close_after)
        http_conn_resume_later(conn);
    else
        settle(conn);
}

/* ---- input ---- */

void http_conn_process(struct http_conn *conn)
{
    ASSERT(!conn->processing);
    conn->processing = true;
    while (is_reading(conn) && !conn->close_after && http_conn_input_left(conn) > 0) {
        bool full = conn->out.len - conn->out_sent >= HTTP_CONN_OUT_HIGH;
        if ((full && !http_conn_flush(conn)) || !http_conn_take_request(conn))
            break;
    }
    conn->processing = false;
    if (http_conn_is_closed(conn))
        free_if_done(conn);
    else
        settle(conn);
}

static void resume(struct loop_task *task)
{
    struct http_conn *conn = CONTAINER_OF(task, struct http_conn, resume);

    conn->resuming = false;
    if (conn->state == HTTP_CONN_GONE && conn->drain_due) {
        conn->drain_due = false;
        if (conn->req.on_drain)
            conn->req.on_drain(&conn->req);
    } else if (conn->state == HTTP_CONN_STREAM) {
        (void)http_conn_flush(conn);
    } else if (is_reading(conn)) {
        http_conn_process(conn);
    } else {
        free_if_done(conn);
    }
}

void http_conn_resume_later(struct http_conn *conn)
{
    if (conn->resuming)
        return;
    conn->resuming = true;
    loop_post(conn->server->loop, &conn->resume);
}

/* Only while the application has no request: it holds slices of the buffer. */
static bool grow_input(struct http_conn *conn)
{
    uint32_t cap = MAX(conn->in_cap * 2, (uint32_t)HTTP_CONN_IN_BYTES_MIN);

    if (conn->in_start > 0) {
        memmove(conn->in, conn->in + conn->in_start, http_conn_input_left(conn));
        conn->in_len -= conn->in_start;
        conn->in_start = 0;
        if (conn->in_len <= conn->in_cap / 2)
            return true;
    }
    char *moved = mem_resize(conn->in, cap);
    if (!moved)
        return false;
    conn->in = moved;
    conn->in_cap = cap;
    return true;
}

static bool make_room(struct http_conn *conn)
{
    if (conn->in_start == conn->in_len && is_reading(conn))
        conn->in_start = conn->in_len = 0;
    if (conn->in_len < conn->in_cap)
        return true;
    if (!is_reading(conn)) {
        set_reading(conn, false); /* on again when it has been answered */
        return false;
    }
    if (grow_input(conn))
        return true;
    http_conn_close(conn);
    return false;
}

static void on_readable(struct loop_stream *stream)
{
    struct http_conn *conn = CONTAINER_OF(stream, struct http_conn, stream);
    size_t n = 0;

    if (conn->state == HTTP_CONN_LINGER) {
        linger(conn);
        return;
    }
    if (conn->state == HTTP_CONN_COLD)
        http_conn_move(conn, HTTP_CONN_IDLE);
    if (!make_room(conn))
        return;
    switch (loop_stream_read(stream, conn->in + conn->in_len, conn->in_cap - conn->in_len, &n)) {
    case LOOP_IO_OK:
        conn->in_len += (uint32_t)n;
        break;
    case LOOP_IO_AGAIN:
        return;
    case LOOP_IO_EOF:
        conn->in_ended = true;
        set_reading(conn, false);
        break;
    case LOOP_IO_GONE:
        http_conn_close(conn);
        return;
    }
    if (is_reading(conn) && !conn->resuming)
        http_conn_process(conn);
}

void http_conn_go_cold(struct http_conn *conn)
{
    drop_buffers(conn);
    http_conn_move(conn, HTTP_CONN_COLD);
}

struct http_conn *http_conn_new(struct http_server *server, const struct loop_addr *peer)
{
    struct http_conn *conn = mem_alloc(sizeof *conn);
    char text[LOOP_ADDR_TEXT_BYTES];

    if (!conn)
        return NULL;
    struct str peer_text = loop_addr_text(peer, text);
    memcpy(conn->peer, peer_text.ptr, peer_text.len);
    conn->peer_len = (unsigned char)peer_text.len;
    conn->peer_is_loopback = loop_addr_is_loopback(peer);
    if (!http_ip_parse(peer_text, &conn->peer_ip))
        conn->peer_ip = (struct http_ip){ { 0 } };
    conn->server = server;
    conn->reading = true;
    conn->stream.on_readable = on_readable;
    conn->stream.on_writable = on_writable;
    conn->stream.on_closed = on_closed;
    conn->resume.run = resume;
    conn->state = HTTP_CONN_HEAD;
    conn->since_ms = loop_now_ms(server->loop);
    list_append(&server->conns[HTTP_CONN_HEAD], &conn->node);
    return conn;
}
