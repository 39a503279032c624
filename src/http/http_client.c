// SPDX-License-Identifier: Apache-2.0
#include "http/http_client.h"

#include <llhttp.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"

enum { READ_BYTES = 16 * 1024, TIMEOUT_MS = 30000, KEEP_BYTES_MAX = 64 * 1024 };

enum client_state {
    CLOSED,     /* no socket */
    CONNECTING, /* the request waits in `out` */
    OPEN,       /* in an exchange, or between two */
    CLOSING,    /* an exchange started now connects when that is done */
};

struct http_client_conn {
    struct loop *loop;
    struct loop_addr addr;
    struct loop_stream stream;
    struct loop_task report; /* posted: `x` has ended with `failure` */
    struct loop_timer timer; /* lazy: looks at `deadline_ms` when it fires */
    uint64_t deadline_ms;
    enum client_state state;
    struct http_exchange *x; /* in flight, or NULL */
    enum err failure;
    bool reporting, freed, close_after;
    llhttp_t parser;
    struct buf out, headers, body;
    size_t out_sent;
    char host[LOOP_ADDR_TEXT_BYTES + 8];
};

static struct http_client_conn *of_parser(llhttp_t *parser)
{
    return parser->data;
}

static void free_if_done(struct http_client_conn *conn)
{
    if (!conn->freed || conn->state != CLOSED)
        return;
    loop_timer_stop(&conn->timer);
    buf_fini(&conn->out);
    buf_fini(&conn->headers);
    buf_fini(&conn->body);
    mem_free(conn);
}

static void close_socket(struct http_client_conn *conn)
{
    if (conn->state != CONNECTING && conn->state != OPEN)
        return;
    conn->state = CLOSING;
    loop_stream_close(&conn->stream);
}

static void trim(struct buf *buf)
{
    if (buf->cap > KEEP_BYTES_MAX)
        buf_fini(buf);
}

static void report(struct loop_task *task)
{
    struct http_client_conn *conn = CONTAINER_OF(task, struct http_client_conn, report);
    struct http_exchange *x = conn->x;

    conn->reporting = false;
    conn->x = NULL;
    x->err = conn->failure;
    x->status = conn->failure == ERR_OK ? conn->parser.status_code : 0;
    x->response_headers = buf_str(&conn->headers);
    x->response_body = buf_str(&conn->body);
    x->done(x);
}

/* `done` is called from a task: what called us may be the start of the exchange. */
static void end_exchange(struct http_client_conn *conn, enum err e)
{
    if (!conn->x || conn->reporting)
        return;
    if (e != ERR_OK) {
        close_socket(conn);
        buf_reset(&conn->headers);
        buf_reset(&conn->body);
    }
    conn->failure = e;
    conn->reporting = true;
    loop_post(conn->loop, &conn->report);
}

/* ---- answers ---- */

static int on_header_field(llhttp_t *parser, const char *at, size_t n)
{
    buf_bytes(&of_parser(parser)->headers, at, n);
    return 0;
}

static int on_header_field_complete(llhttp_t *parser)
{
    buf_literal(&of_parser(parser)->headers, ": ");
    return 0;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t n)
{
    buf_bytes(&of_parser(parser)->headers, at, n);
    return 0;
}

static int on_header_value_complete(llhttp_t *parser)
{
    buf_char(&of_parser(parser)->headers, '\n');
    return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    const struct http_client_conn *conn = of_parser(parser);
    bool head = str_equal(conn->x->method, STR("HEAD"));

    return head && parser->status_code >= 200; /* 1: there is no body */
}

static int on_body(llhttp_t *parser, const char *at, size_t n)
{
    struct http_client_conn *conn = of_parser(parser);

    if (conn->body.len + n > HTTP_CLIENT_BODY_BYTES_MAX)
        return -1;
    buf_bytes(&conn->body, at, n);
    return 0;
}

static int on_message_complete(llhttp_t *parser)
{
    struct http_client_conn *conn = of_parser(parser);

    if (parser->status_code < 200) { /* 100 Continue and the like: the answer is still to come */
        buf_reset(&conn->headers);
        return 0;
    }
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_header_field = on_header_field,
    .on_header_field_complete = on_header_field_complete,
    .on_header_value = on_header_value,
    .on_header_value_complete = on_header_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

static void answered(struct http_client_conn *conn, bool more_bytes)
{
    bool keep = llhttp_should_keep_alive(&conn->parser) && !conn->close_after && !more_bytes;

    if (!buf_ok(&conn->body) || !buf_ok(&conn->headers)) {
        end_exchange(conn, ERR_UNCERTAIN);
        return;
    }
    if (!keep)
        close_socket(conn);
    end_exchange(conn, ERR_OK);
}

static void take_bytes(struct http_client_conn *conn, const char *bytes, size_t n)
{
    if (!conn->x || conn->reporting) { /* nobody asked */
        close_socket(conn);
        return;
    }
    llhttp_errno_t e = llhttp_execute(&conn->parser, bytes, n);
    if (e == HPE_PAUSED)
        answered(conn, llhttp_get_error_pos(&conn->parser) != bytes + n);
    else if (e != HPE_OK)
        end_exchange(conn, conn->body.len > 0 && e == HPE_USER ? ERR_TOO_LARGE : ERR_UNCERTAIN);
}

/* An answer without length ends with the connection. */
static void take_end(struct http_client_conn *conn)
{
    if (conn->x && !conn->reporting && llhttp_finish(&conn->parser) == HPE_PAUSED)
        answered(conn, true);
    end_exchange(conn, ERR_UNCERTAIN);
    close_socket(conn);
}

static void on_readable(struct loop_stream *stream)
{
    struct http_client_conn *conn = CONTAINER_OF(stream, struct http_client_conn, stream);
    char bytes[READ_BYTES];
    size_t n = 0;

    switch (loop_stream_read(stream, bytes, sizeof bytes, &n)) {
    case LOOP_IO_OK:
        take_bytes(conn, bytes, n);
        break;
    case LOOP_IO_AGAIN:
        break;
    case LOOP_IO_EOF:
    case LOOP_IO_GONE:
        take_end(conn);
        break;
    }
}

/* ---- requests ---- */

static void send_some(struct http_client_conn *conn)
{
    size_t left = conn->out.len - conn->out_sent, n = 0;

    if (left == 0 || conn->state != OPEN)
        return;
    switch (loop_stream_write(&conn->stream, conn->out.ptr + conn->out_sent, left, &n)) {
    case LOOP_IO_OK:
        conn->out_sent += n;
        break;
    case LOOP_IO_AGAIN:
        break;
    case LOOP_IO_EOF:
    case LOOP_IO_GONE:
        end_exchange(conn, conn->out_sent == 0 ? ERR_UNAVAILABLE : ERR_UNCERTAIN);
        return;
    }
    if (n < left)
        loop_stream_wait_writable(&conn->stream);
}

static void on_writable(struct loop_stream *stream)
{
    send_some(CONTAINER_OF(stream, struct http_client_conn, stream));
}

static void on_connected(struct loop_stream *stream, enum err e)
{
    struct http_client_conn *conn = CONTAINER_OF(stream, struct http_client_conn, stream);

    if (e != ERR_OK) {
        end_exchange(conn, e);
        close_socket(conn);
        return;
    }
    conn->state = OPEN;
    send_some(conn);
}

static void connect_now(struct http_client_conn *conn)
{
    conn->state = CONNECTING;
    enum err e = loop_connect(conn->loop, &conn->stream, &conn->addr);
    if (e != ERR_OK) {
        conn->state = CLOSED;
        end_exchange(conn, e);
    }
}

static void on_closed(struct loop_stream *stream)
{
    struct http_client_conn *conn = CONTAINER_OF(stream, struct http_client_conn, stream);

    conn->state = CLOSED;
    if (conn->x && !conn->reporting)
        connect_now(conn);
    free_if_done(conn);
}

static void append_request(struct http_client_conn *conn, const struct http_exchange *x)
{
    struct buf *out = &conn->out;

    buf_reset(out);
    conn->out_sent = 0;
    buf_str_append(out, x->method);
    buf_char(out, ' ');
    buf_str_append(out, x->target);
    buf_literal(out, " HTTP/1.1\r\nHost: ");
    buf_str_append(out, str_from(conn->host));
    if (x->content_type.len > 0) {
        buf_literal(out, "\r\nContent-Type: ");
        buf_str_append(out, x->content_type);
    }
    if (x->body.ptr) {
        buf_literal(out, "\r\nContent-Length: ");
        buf_uint(out, x->body.len);
    }
    for (size_t i = 0; i < x->header_count; i++) {
        buf_literal(out, "\r\n");
        buf_str_append(out, x->headers[i].name);
        buf_literal(out, ": ");
        buf_str_append(out, x->headers[i].value);
    }
    if (conn->close_after)
        buf_literal(out, "\r\nConnection: close");
    buf_literal(out, "\r\n\r\n");
    if (x->body.ptr)
        buf_str_append(out, x->body);
}

static void start_deadline(struct http_client_conn *conn, uint32_t timeout_ms)
{
    uint64_t wait_ms = timeout_ms ? timeout_ms : TIMEOUT_MS;

    /* A timer that runs already fires in time, or this exchange has a shorter deadline. */
    bool soon_enough = conn->timer.impl && conn->deadline_ms <= loop_now_ms(conn->loop) + wait_ms;
    conn->deadline_ms = loop_now_ms(conn->loop) + wait_ms;
    if (!soon_enough && loop_timer_start(conn->loop, &conn->timer, wait_ms) != ERR_OK)
        end_exchange(conn, ERR_NOMEM);
}

static void on_timer(struct loop_timer *timer)
{
    struct http_client_conn *conn = CONTAINER_OF(timer, struct http_client_conn, timer);
    uint64_t now_ms = loop_now_ms(conn->loop);

    if (!conn->x)
        return;
    if (now_ms >= conn->deadline_ms)
        end_exchange(conn, conn->out_sent == 0 ? ERR_TIMEOUT : ERR_UNCERTAIN);
    else if (loop_timer_start(conn->loop, &conn->timer, conn->deadline_ms - now_ms) != ERR_OK)
        end_exchange(conn, ERR_UNCERTAIN);
}

void http_client_send(struct http_client_conn *conn, struct http_exchange *x)
{
    ASSERT(!conn->x && !conn->freed);
    conn->x = x;
    trim(&conn->headers);
    trim(&conn->body);
    buf_reset(&conn->headers);
    buf_reset(&conn->body);
    llhttp_init(&conn->parser, HTTP_RESPONSE, &settings);
    conn->parser.data = conn;
    append_request(conn, x);
    start_deadline(conn, x->timeout_ms);
    if (conn->reporting)
        return;
    if (!buf_ok(&conn->out))
        end_exchange(conn, ERR_NOMEM);
    else if (conn->state == OPEN)
        send_some(conn);
    else if (conn->state == CLOSED)
        connect_now(conn);
}

void http_client_cancel(struct http_client_conn *conn)
{
    end_exchange(conn, conn->out_sent == 0 ? ERR_TIMEOUT : ERR_UNCERTAIN);
}

void http_client_set_keep_alive(struct http_client_conn *conn, bool on)
{
    conn->close_after = !on;
}

/* ---- life ---- */

struct http_client_conn *http_client_conn_new(struct loop *loop, const struct loop_addr *addr)
{
    struct http_client_conn *conn = mem_alloc(sizeof *conn);
    char text[LOOP_ADDR_TEXT_BYTES];

    if (!conn)
        return NULL;
    struct str host = loop_addr_text(addr, text);
    bool v6 = memchr(host.ptr, ':', host.len);
    snprintf(conn->host, sizeof conn->host, v6 ? "[%s]:%u" : "%s:%u", text, loop_addr_port(addr));
    conn->loop = loop;
    conn->addr = *addr;
    conn->report.run = report;
    conn->timer.run = on_timer;
    conn->stream.on_readable = on_readable;
    conn->stream.on_writable = on_writable;
    conn->stream.on_connected = on_connected;
    conn->stream.on_closed = on_closed;
    return conn;
}

struct http_client_conn *http_client_conn_free(struct http_client_conn *conn)
{
    if (!conn)
        return NULL;
    ASSERT(!conn->x);
    conn->freed = true;
    loop_timer_stop(&conn->timer);
    close_socket(conn);
    free_if_done(conn);
    return NULL;
}

struct str http_exchange_header(const struct http_exchange *x, struct str name)
{
    const char *at = x->response_headers.ptr;
    const char *end = at ? at + x->response_headers.len : at;

    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *colon = memchr(at, ':', (size_t)(newline - at));
        if (str_equal_nocase((struct str){ at, (size_t)(colon - at) }, name))
            return (struct str){ colon + 2, (size_t)(newline - colon - 2) };
        at = newline + 1;
    }
    return STR_NONE;
}
