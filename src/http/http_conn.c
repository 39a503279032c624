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
#include "base/clock.h"
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

/* ---- requests ---- */

static enum http_method method_of(struct str token)
{
    static const struct {
        struct str name;
        enum http_method method;
    } methods[] = {
        { STR("GET"), HTTP_GET },         { STR("POST"), HTTP_POST },
        { STR("PUT"), HTTP_PUT },         { STR("PATCH"), HTTP_PATCH },
        { STR("DELETE"), HTTP_DELETE },   { STR("HEAD"), HTTP_HEAD },
        { STR("OPTIONS"), HTTP_OPTIONS },
    };

    for (size_t i = 0; i < ARRAY_COUNT(methods); i++)
        if (str_equal(token, methods[i].name))
            return methods[i].method;
    return HTTP_OTHER;
}

static void new_id(struct http_conn *conn)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t id = http_server_new_id(conn->server);

    for (int i = 0; i < HTTP_CONN_ID_BYTES; i++, id >>= 4)
        conn->id[i] = digits[id & 15];
}

static void fill_request(struct http_conn *conn, const struct http_head *head)
{
    struct http_request *req = &conn->req;

    req->method = method_of(head->method);
    req->method_token = head->method;
    req->path = head->path;
    req->query = head->query;
    req->request_id = head->request_id;
    if (head->request_id.len == 0) {
        new_id(conn);
        req->request_id = (struct str){ conn->id, HTTP_CONN_ID_BYTES };
    }
    req->peer_text = (struct str){ conn->peer, conn->peer_len };
    req->peer_is_loopback = conn->peer_is_loopback;
    req->app = conn->server->options.app;
    req->started_ns = clock_mono_ns();
    conn->version_10 = head->version_minor == 0;
}

/* What is known of it, for the answer and the log. */
static void fill_refused(struct http_conn *conn)
{
    const struct http_server *server = conn->server;
    const char *bytes = conn->in + conn->in_start;
    struct http_head head = { 0 };

    if (conn->head_len > 0)
        (void)http_head_parse((struct str){ bytes, conn->head_len }, server->fields,
                              server->options.header_fields_max, &head);
    else if (conn->scan.fields_at > 0)
        http_head_parse_line((struct str){ bytes, conn->scan.fields_at }, &head);
    head.version_minor = 1;
    fill_request(conn, &head);
}

void http_conn_refuse(struct http_conn *conn, enum http_refusal why)
{
    struct http_server *server = conn->server;

    server->stats.refused[why]++;
    fill_refused(conn);
    conn->refused = conn->close_after = true;
    conn->linger_after = why != HTTP_REFUSAL_TIMEOUT;
    http_conn_move(conn, HTTP_CONN_APP);
    server->options.on_refusal(&conn->req, why);
}

/* The request is complete. False: no memory, the connection is closed. */
static bool deliver(struct http_conn *conn, const struct http_head *head)
{
    struct http_server *server = conn->server;
    struct http_request *req = &conn->req;
    size_t bytes = head->field_count * sizeof *req->headers;

    fill_request(conn, head);
    if (bytes > 0) {
        struct http_field *fields = arena_alloc(&req->arena, bytes);
        if (!fields) {
            http_conn_close(conn);
            return false;
        }
        memcpy(fields, server->fields, bytes);
        req->headers = fields;
        req->header_count = head->field_count;
    }
    req->body = (struct str){ conn->in + conn->in_start + conn->head_len, conn->body_len };
    conn->close_after = !head->keep_alive || req->method == HTTP_OTHER || server->draining;
    conn->linger_after = req->method == HTTP_OTHER;
    server->stats.requests++;
    http_conn_move(conn, HTTP_CONN_APP);
    server->options.on_request(req);
    return true;
}

static size_t input_left(const struct http_conn *conn)
{
    return conn->in_len - conn->in_start;
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
    conn->linger_after |= input_left(conn) > 0;
    http_conn_move(conn, HTTP_CONN_IDLE);
    if (conn->processing)
        return;
    if (input_left(conn) > 0 && !conn->close_after)
        http_conn_resume_later(conn);
    else
        settle(conn);
}

/* ---- input ---- */

/* The head is complete. Decides how long the body is; false: refused. */
static bool begin_body(struct http_conn *conn, const struct http_head *head)
{
    const struct http_server *server = conn->server;

    if (head->content_length > server->options.body_bytes_max) {
        http_conn_refuse(conn, HTTP_REFUSAL_BODY_TOO_LARGE);
        return false;
    }
    conn->body_len = (uint32_t)head->content_length;
    conn->body_kind = head->chunked ? HTTP_BODY_CHUNKS : HTTP_BODY_LENGTH;
    if (head->chunked) {
        conn->chunks = http_chunks_new();
        if (!conn->chunks) {
            http_conn_close(conn);
            return false;
        }
    }
    bool expected = head->chunked || head->content_length > 0;
    if (head->expect_continue && expected && input_left(conn) == conn->head_len)
        buf_literal(&conn->out, "HTTP/1.1 100 Continue\r\n\r\n");
    return true;
}

enum body { BODY_MORE, BODY_COMPLETE, BODY_REFUSED };

static enum body refuse_body(struct http_conn *conn, enum http_refusal why)
{
    http_conn_refuse(conn, why);
    return BODY_REFUSED;
}

/* Chunks are decoded in place, behind what is decoded already; what is not body moves up. */
static enum body read_chunks(struct http_conn *conn)
{
    uint32_t at = conn->in_start + conn->head_len + conn->body_len;
    uint32_t limit = conn->server->options.body_bytes_max;
    size_t n = conn->in_len - at, used, made;

    if (n == 0)
        return BODY_MORE;
    enum http_chunk verdict =
        http_chunks_decode(conn->chunks, conn->in + at, n, conn->in + at, &used, &made);
    memmove(conn->in + at + made, conn->in + at + used, n - used);
    conn->in_len -= (uint32_t)(used - made);
    conn->body_len += (uint32_t)made;
    conn->raw_bytes += (uint32_t)(used - made);
    /* Framing has a bound, too: a megabyte of chunk extensions is not a small body. */
    if (conn->body_len > limit || conn->raw_bytes > limit)
        return refuse_body(conn, HTTP_REFUSAL_BODY_TOO_LARGE);
    if (verdict == HTTP_CHUNK_MALFORMED)
        return refuse_body(conn, HTTP_REFUSAL_MALFORMED);
    if (verdict == HTTP_CHUNK_MORE)
        return BODY_MORE;
    conn->body_kind = HTTP_BODY_TRAILERS;
    conn->scan = (struct http_scan_state){ 0 };
    return BODY_COMPLETE;
}

static enum body read_trailers(struct http_conn *conn)
{
    uint32_t at = conn->in_start + conn->head_len + conn->body_len;
    struct str rest = { conn->in + at, conn->in_len - at };
    size_t n;

    switch (http_trailer_scan(&conn->scan, rest, &conn->server->limits, &n)) {
    case HTTP_SCAN_MORE:
        return BODY_MORE;
    case HTTP_SCAN_DONE:
        memmove(conn->in + at, conn->in + at + n, rest.len - n);
        conn->in_len -= (uint32_t)n;
        return BODY_COMPLETE;
    case HTTP_SCAN_LINE_TOO_LONG:
    case HTTP_SCAN_HEADERS_TOO_LARGE:
        return refuse_body(conn, HTTP_REFUSAL_HEADERS_TOO_LARGE);
    case HTTP_SCAN_MALFORMED:
        break;
    }
    return refuse_body(conn, HTTP_REFUSAL_MALFORMED);
}

static enum body read_body(struct http_conn *conn)
{
    enum body verdict;

    switch (conn->body_kind) {
    case HTTP_BODY_LENGTH:
        return input_left(conn) - conn->head_len >= conn->body_len ? BODY_COMPLETE : BODY_MORE;
    case HTTP_BODY_CHUNKS:
        verdict = read_chunks(conn);
        if (verdict != BODY_COMPLETE)
            return verdict;
        break;
    case HTTP_BODY_TRAILERS:
        break;
    }
    return read_trailers(conn);
}

/* The head, up to its empty line. False: incomplete or refused. */
static bool read_head(struct http_conn *conn)
{
    struct str bytes = { conn->in + conn->in_start, input_left(conn) };
    enum http_refusal why = HTTP_REFUSAL_MALFORMED;
    size_t n;

    if (conn->overflow) {
        http_conn_refuse(conn, HTTP_REFUSAL_TOO_MANY_CONNECTIONS);
        return false;
    }
    switch (http_head_scan(&conn->scan, bytes, &conn->server->limits, &n)) {
    case HTTP_SCAN_DONE:
        conn->head_len = (uint32_t)n;
        return true;
    case HTTP_SCAN_MORE:
        if (conn->state == HTTP_CONN_IDLE)
            http_conn_move(conn, HTTP_CONN_HEAD);
        return false;
    case HTTP_SCAN_MALFORMED:
        break;
    case HTTP_SCAN_LINE_TOO_LONG:
        why = HTTP_REFUSAL_URI_TOO_LONG;
        break;
    case HTTP_SCAN_HEADERS_TOO_LARGE:
        why = HTTP_REFUSAL_HEADERS_TOO_LARGE;
        break;
    }
    http_conn_refuse(conn, why);
    return false;
}

static bool parse_head(struct http_conn *conn, struct http_head *ret_head)
{
    const struct http_server *server = conn->server;
    struct str bytes = { conn->in + conn->in_start, conn->head_len };

    if (http_head_parse(bytes, server->fields, server->options.header_fields_max, ret_head))
        return true;
    http_conn_refuse(conn, HTTP_REFUSAL_MALFORMED);
    return false;
}

/*
 * One request out of the input. False: it is not complete, or was refused.
 *
 * A head whose body is still to come is parsed a second time when that is there, rather than kept:
 * the buffer may grow and move until then, and waiting connections stay small.
 */
static bool step(struct http_conn *conn)
{
    bool first = conn->head_len == 0;
    struct http_head head;

    if (first && (!read_head(conn) || !parse_head(conn, &head) || !begin_body(conn, &head)))
        return false;
    switch (read_body(conn)) {
    case BODY_MORE:
        if (conn->state != HTTP_CONN_BODY)
            http_conn_move(conn, HTTP_CONN_BODY);
        return false;
    case BODY_REFUSED:
        return false;
    case BODY_COMPLETE:
        break;
    }
    return (first || parse_head(conn, &head)) && deliver(conn, &head);
}

void http_conn_process(struct http_conn *conn)
{
    ASSERT(!conn->processing);
    conn->processing = true;
    while (is_reading(conn) && !conn->close_after && input_left(conn) > 0) {
        bool full = conn->out.len - conn->out_sent >= HTTP_CONN_OUT_HIGH;
        if ((full && !http_conn_flush(conn)) || !step(conn))
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
        memmove(conn->in, conn->in + conn->in_start, input_left(conn));
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
