// SPDX-License-Identifier: Apache-2.0
/* From the input of a connection to a request that the application sees, or to a refusal. */
#include "base/clock.h"
#include "http/http_conn_internal.h"

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
    req->peer_ip = &conn->peer_ip;
    req->app = conn->server->options.app;
    req->started_ns = clock_mono_ns();
    conn->version_10 = head->version_minor == 0;
}

/* From the server's scratch to the request. False: no memory. */
static bool keep_fields(struct http_conn *conn, const struct http_head *head)
{
    struct http_request *req = &conn->req;
    size_t bytes = head->field_count * sizeof *req->headers;

    if (bytes == 0)
        return true;
    struct http_field *fields = arena_alloc(&req->arena, bytes);
    if (!fields)
        return false;
    memcpy(fields, conn->server->fields, bytes);
    req->headers = fields;
    req->header_count = head->field_count;
    return true;
}

/* What is known of it, for the answer and the log. */
static void fill_refused(struct http_conn *conn)
{
    const struct http_server *server = conn->server;
    const char *bytes = conn->in + conn->in_start;
    struct http_head head = { 0 };

    if (conn->head_len > 0) {
        if (http_head_parse((struct str){ bytes, conn->head_len }, server->fields,
                            server->options.header_fields_max, &head))
            (void)keep_fields(conn, &head);
    } else if (conn->scan.fields_at > 0)
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

    fill_request(conn, head);
    if (!keep_fields(conn, head)) {
        http_conn_close(conn);
        return false;
    }
    req->body = (struct str){ conn->in + conn->in_start + conn->head_len, conn->body_len };
    conn->close_after = !head->keep_alive || req->method == HTTP_OTHER || server->draining;
    conn->linger_after = req->method == HTTP_OTHER;
    server->stats.requests++;
    http_conn_move(conn, HTTP_CONN_APP);
    server->options.on_request(req);
    return true;
}

/* ---- from bytes ---- */

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
    if (head->expect_continue && expected && http_conn_input_left(conn) == conn->head_len)
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
        return http_conn_input_left(conn) - conn->head_len >= conn->body_len ? BODY_COMPLETE
                                                                             : BODY_MORE;
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
    struct str bytes = { conn->in + conn->in_start, http_conn_input_left(conn) };
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

/* A head whose body is still to come is parsed a second time when that is there, rather than kept:
 * the buffer may grow and move until then, and waiting connections stay small. */
bool http_conn_take_request(struct http_conn *conn)
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
