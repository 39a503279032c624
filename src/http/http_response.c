// SPDX-License-Identifier: Apache-2.0
/*
 * Answers are written straight into the connection's output. The length of a body is known when
 * the application has appended it, so Content-Length is the last field, with room for any number,
 * and is put in afterwards.
 */
#include "base/assert.h"
#include "http/http_conn_internal.h"

enum { LENGTH_DIGITS = 10, SHORT_BODY = 2048 };

static struct str status_line(unsigned status)
{
    switch (status) {
#define STATUS(code, text) \
    case code:             \
        return STR("HTTP/1.1 " #code " " text "\r\n");
        STATUS(200, "OK")
        STATUS(201, "Created")
        STATUS(202, "Accepted")
        STATUS(204, "No Content")
        STATUS(301, "Moved Permanently")
        STATUS(302, "Found")
        STATUS(303, "See Other")
        STATUS(304, "Not Modified")
        STATUS(307, "Temporary Redirect")
        STATUS(308, "Permanent Redirect")
        STATUS(400, "Bad Request")
        STATUS(401, "Unauthorized")
        STATUS(402, "Payment Required")
        STATUS(403, "Forbidden")
        STATUS(404, "Not Found")
        STATUS(405, "Method Not Allowed")
        STATUS(406, "Not Acceptable")
        STATUS(408, "Request Timeout")
        STATUS(409, "Conflict")
        STATUS(410, "Gone")
        STATUS(412, "Precondition Failed")
        STATUS(413, "Content Too Large")
        STATUS(414, "URI Too Long")
        STATUS(415, "Unsupported Media Type")
        STATUS(422, "Unprocessable Content")
        STATUS(429, "Too Many Requests")
        STATUS(431, "Request Header Fields Too Large")
        STATUS(500, "Internal Server Error")
        STATUS(501, "Not Implemented")
        STATUS(502, "Bad Gateway")
        STATUS(503, "Service Unavailable")
        STATUS(504, "Gateway Timeout")
#undef STATUS
    default:
        return STR_NONE;
    }
}

unsigned http_refusal_status(enum http_refusal why)
{
    switch (why) {
    case HTTP_REFUSAL_URI_TOO_LONG:
        return 414;
    case HTTP_REFUSAL_HEADERS_TOO_LARGE:
        return 431;
    case HTTP_REFUSAL_BODY_TOO_LARGE:
        return 413;
    case HTTP_REFUSAL_TIMEOUT:
        return 408;
    case HTTP_REFUSAL_TOO_MANY_CONNECTIONS:
        return 503;
    case HTTP_REFUSAL_MALFORMED:
    case HTTP_REFUSAL_COUNT:
        break;
    }
    return 400;
}

static bool has_no_body(unsigned status)
{
    return status == 204 || status == 304;
}

/* A line end in a value would let its author write the rest of the answer. */
static struct str copy_value(struct arena *arena, struct str value)
{
    char *copy = arena_alloc(arena, value.len + 1);

    if (!copy)
        return STR_NONE;
    for (size_t i = 0; i < value.len; i++)
        copy[i] = (char)((unsigned char)value.ptr[i] < 0x20 ? ' ' : value.ptr[i]);
    return (struct str){ copy, value.len };
}

void http_response_header(struct http_request *req, struct str name, struct str value)
{
    struct http_conn *conn = http_conn_of(req);
    struct extra *extra = arena_alloc(&req->arena, sizeof *extra);

    ASSERT(!conn->answering);
    if (!extra) {
        conn->extra_failed = true;
        return;
    }
    *extra = (struct extra){ conn->extra, arena_copy(&req->arena, name),
                             copy_value(&req->arena, value) };
    conn->extra = extra;
    conn->extra_failed |= !extra->name.ptr || !extra->value.ptr;
}

static void append_field(struct buf *out, struct str name, struct str value)
{
    buf_str_append(out, name);
    buf_literal(out, ": ");
    buf_str_append(out, value);
    buf_literal(out, "\r\n");
}

static void append_head(struct http_conn *conn, unsigned status, struct str content_type)
{
    struct buf *out = &conn->out;
    struct str line = status_line(status);

    ASSERT(!conn->answering && (conn->state == HTTP_CONN_APP || conn->state == HTTP_CONN_GONE));
    conn->answering = true;
    if (conn->server->draining)
        conn->close_after = conn->linger_after = true;
    conn->status = status;
    conn->answer_at = out->len;
    buf_reserve(out, 512);
    if (line.ptr)
        buf_str_append(out, line);
    else
        buf_printf(out, "HTTP/1.1 %03u Status\r\n", status);
    buf_str_append(out, http_server_date(conn->server));
    if (content_type.len > 0)
        append_field(out, STR("Content-Type"), content_type);
    append_field(out, STR("X-Request-Id"), conn->req.request_id);
    for (const struct extra *extra = conn->extra; extra; extra = extra->next)
        append_field(out, extra->name, extra->value);
    if (conn->close_after)
        buf_literal(out, "Connection: close\r\n");
    else if (conn->version_10)
        buf_literal(out, "Connection: keep-alive\r\n");
}

/* `bytes`: of the body. */
static void finish(struct http_conn *conn, size_t bytes)
{
    struct http_request *req = &conn->req;

    if (conn->server->options.on_answered)
        conn->server->options.on_answered(req, conn->status, bytes);
    conn->answering = conn->extra_failed = false;
    http_conn_answered(conn);
}

/* ---- answers of known length ---- */

struct buf *http_response_begin(struct http_request *req, unsigned status, struct str content_type)
{
    struct http_conn *conn = http_conn_of(req);
    struct buf *out = &conn->out;

    append_head(conn, status, content_type);
    if (!has_no_body(status)) {
        buf_literal(out, "Content-Length: ");
        conn->length_at = out->len;
        buf_literal(out, "          \r\n");
    }
    buf_literal(out, "\r\n");
    conn->body_at = out->len;
    return out;
}

/* The digits, and the room that is left over closed, unless that would move many bytes: then the
 * blanks stay in front, where a field may have them. */
static void put_length(struct http_conn *conn, size_t length)
{
    struct buf *out = &conn->out;
    char *at = out->ptr + conn->length_at;
    char digits[LENGTH_DIGITS];
    size_t n = 0;

    ASSERT(length <= 9999999999u);
    do
        digits[n++] = (char)('0' + length % 10);
    while (length /= 10);
    size_t room = LENGTH_DIGITS - n;
    if (out->len - conn->body_at > SHORT_BODY) {
        at += room;
        room = 0;
    }
    while (n > 0)
        *at++ = digits[--n];
    if (room > 0) {
        memmove(at, at + room, (size_t)(out->ptr + out->len - (at + room)));
        out->len -= room;
    }
}

void http_response_end(struct http_request *req)
{
    struct http_conn *conn = http_conn_of(req);
    struct buf *out = &conn->out;
    size_t length = 0;

    ASSERT(conn->answering);
    if (!buf_ok(out) || conn->extra_failed) {
        /* Nothing half sent: answers before this one still go out, then the connection closes. */
        out->len = MIN(out->len, conn->answer_at);
        out->failed = false;
        conn->close_after = true;
    } else {
        length = out->len - conn->body_at;
        if (req->method == HTTP_HEAD || has_no_body(conn->status))
            out->len = conn->body_at;
        if (!has_no_body(conn->status))
            put_length(conn, length);
    }
    finish(conn, length);
}

void http_respond(struct http_request *req, unsigned status, struct str content_type,
                  struct str body)
{
    buf_str_append(http_response_begin(req, status, content_type), body);
    http_response_end(req);
}

/* ---- streamed answers ---- */

static size_t queued(const struct http_conn *conn)
{
    return conn->out.len - conn->out_sent;
}

/* Part of the answer may be out already, so there is no way to take it back. */
static bool stream_broken(struct http_conn *conn)
{
    if (!buf_ok(&conn->out) || conn->extra_failed ||
        queued(conn) > conn->server->options.stream_bytes_max)
        http_conn_close(conn);
    return http_conn_is_closed(conn);
}

void http_stream_begin(struct http_request *req, unsigned status, struct str content_type)
{
    struct http_conn *conn = http_conn_of(req);

    conn->chunked_out = !conn->version_10;
    if (conn->version_10)
        conn->close_after = true;
    append_head(conn, status, content_type);
    if (conn->chunked_out)
        buf_literal(&conn->out, "Transfer-Encoding: chunked\r\n");
    buf_literal(&conn->out, "\r\n");
    conn->streamed = 0;
    if (conn->state == HTTP_CONN_APP)
        http_conn_move(conn, HTTP_CONN_STREAM);
    if (!stream_broken(conn))
        http_conn_resume_later(conn);
}

static void append_chunk(struct http_conn *conn, struct str bytes)
{
    if (conn->chunked_out)
        buf_printf(&conn->out, "%zx\r\n", bytes.len);
    buf_str_append(&conn->out, bytes);
    if (conn->chunked_out)
        buf_literal(&conn->out, "\r\n");
}

enum http_stream http_stream_write(struct http_request *req, struct str bytes)
{
    struct http_conn *conn = http_conn_of(req);

    ASSERT(conn->answering);
    if (http_conn_is_closed(conn))
        return HTTP_STREAM_GONE;
    if (bytes.len == 0 || req->method == HTTP_HEAD)
        return HTTP_STREAM_GO;
    append_chunk(conn, bytes);
    conn->streamed += bytes.len;
    if (stream_broken(conn))
        return HTTP_STREAM_GONE;
    if (queued(conn) < HTTP_CONN_STREAM_FLUSH)
        http_conn_resume_later(conn); /* small pieces of one turn go out together */
    else if (!conn->waiting)
        (void)http_conn_flush(conn);
    if (http_conn_is_closed(conn))
        return HTTP_STREAM_GONE;
    conn->drain_due = queued(conn) > HTTP_CONN_OUT_HIGH && req->on_drain;
    return queued(conn) > HTTP_CONN_OUT_HIGH ? HTTP_STREAM_PAUSE : HTTP_STREAM_GO;
}

void http_stream_end(struct http_request *req)
{
    struct http_conn *conn = http_conn_of(req);

    ASSERT(conn->answering);
    conn->drain_due = false;
    if (!http_conn_is_closed(conn)) {
        if (conn->chunked_out && req->method != HTTP_HEAD)
            buf_literal(&conn->out, "0\r\n\r\n");
        (void)stream_broken(conn);
    }
    finish(conn, conn->streamed);
}

void http_stream_abort(struct http_request *req)
{
    struct http_conn *conn = http_conn_of(req);

    ASSERT(conn->answering);
    conn->drain_due = false;
    if (!http_conn_is_closed(conn))
        http_conn_close(conn);
    finish(conn, conn->streamed);
}

bool http_request_peer_gone(const struct http_request *req)
{
    const struct http_conn *conn =
        (const struct http_conn *)((const char *)req - offsetof(struct http_conn, req));

    return http_conn_is_closed(conn);
}
