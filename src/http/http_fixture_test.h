// SPDX-License-Identifier: Apache-2.0
/* A server on a simulated network, and a strict reader of what it answers. */
#pragma once
#include "base/assert.h"
#include "http/http.h"
#include "loop/loop_sim.h"

struct fixture {
    struct loop *loop;
    struct http_server *server;
    uint16_t port;
    struct http_request *held[16]; /* of "/hold", to be answered by the test */
    unsigned held_count, requests, refusals, answers, drains;
    enum http_refusal last_refusal;
    unsigned last_status;
    bool done;
    char last[512]; /* "METHOD path?query body" of the last request */
};

static inline void fixture_describe(struct fixture *f, const struct http_request *req)
{
    snprintf(f->last, sizeof f->last, "%.*s %.*s%s%.*s %.*s", (int)req->method_token.len,
             req->method_token.ptr, (int)req->path.len, req->path.ptr, req->query.ptr ? "?" : "",
             (int)req->query.len, req->query.ptr ? req->query.ptr : "",
             (int)MIN(req->body.len, (size_t)200), req->body.ptr ? req->body.ptr : "");
}

static inline void fixture_on_request(struct http_request *req)
{
    struct fixture *f = req->app;

    f->requests++;
    fixture_describe(f, req);
    if (str_equal(req->path, STR("/hold")) && f->held_count < ARRAY_COUNT(f->held))
        f->held[f->held_count++] = req;
    else if (req->method == HTTP_OTHER)
        http_respond(req, 405, STR("text/plain"), STR("method\n"));
    else if (str_equal(req->path, STR("/echo")))
        http_respond(req, 200, STR("text/plain"), req->body);
    else if (str_equal(req->path, STR("/none")))
        http_respond(req, 204, STR_NONE, STR_NONE);
    else
        http_respond(req, 200, STR("text/plain"), STR("hello\n"));
}

static inline void fixture_on_refusal(struct http_request *req, enum http_refusal why)
{
    struct fixture *f = req->app;

    f->refusals++;
    f->last_refusal = why;
    fixture_describe(f, req);
    http_respond(req, http_refusal_status(why), STR("text/plain"), STR("refused\n"));
}

static inline void fixture_on_answered(struct http_request *req, unsigned status, size_t bytes)
{
    struct fixture *f = req->app;

    (void)bytes;
    f->answers++;
    f->last_status = status;
}

static inline void fixture_done(struct http_server *server, void *arg)
{
    (void)server;
    ((struct fixture *)arg)->done = true;
}

static inline void fixture_init(struct fixture *f, struct http_server_options options)
{
    struct loop_addr addr, bound;

    *f = (struct fixture){ .loop = loop_new() };
    options.app = f;
    options.on_request = fixture_on_request;
    options.on_refusal = fixture_on_refusal;
    options.on_answered = fixture_on_answered;
    ASSERT(f->loop);
    f->server = http_server_new(f->loop, &options);
    ASSERT(f->server);
    ASSERT(loop_addr_parse(STR("127.0.0.1"), 0, &addr) == ERR_OK);
    ASSERT(http_server_listen(f->server, &addr, &bound) == ERR_OK);
    f->port = loop_addr_port(&bound);
}

/* Everything is answered, whoever holds it, and everything is given back. */
static inline void fixture_fini(struct fixture *f)
{
    http_server_stop(f->server, fixture_done, f);
    for (unsigned i = 0; i < f->held_count; i++)
        if (f->held[i])
            http_respond(f->held[i], 200, STR("text/plain"), STR("late\n"));
    loop_sim_turn(f->loop);
    ASSERT(f->done && f->answers == f->requests + f->refusals);
    http_server_free(f->server);
    loop_free(f->loop);
}

/* ---- answers ---- */

struct answer {
    unsigned status;
    bool close, chunked;
    struct str head, body;
};

static inline struct str answer_field(struct str head, const char *name)
{
    size_t n = strlen(name);

    for (const char *at = head.ptr, *end = head.ptr + head.len; at < end;) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        ASSERT(newline && newline > at && newline[-1] == '\r');
        if ((size_t)(newline - at) > n + 1 && memcmp(at, name, n) == 0 && at[n] == ':') {
            struct str value = { at + n + 1, (size_t)(newline - 1 - (at + n + 1)) };
            while (value.len > 0 && value.ptr[0] == ' ')
                value = (struct str){ value.ptr + 1, value.len - 1 };
            return value;
        }
        at = newline + 1;
    }
    return STR_NONE;
}

static inline size_t answer_chunks(struct str rest)
{
    size_t at = 0;

    for (;;) {
        size_t size = 0, digits = 0;
        for (; at < rest.len && strchr("0123456789abcdef", rest.ptr[at]); at++, digits++)
            size =
                size * 16 + (size_t)(strchr("0123456789abcdef", rest.ptr[at]) - "0123456789abcdef");
        ASSERT(digits > 0 && at + 2 + size + 2 <= rest.len);
        ASSERT(memcmp(rest.ptr + at, "\r\n", 2) == 0);
        ASSERT(memcmp(rest.ptr + at + 2 + size, "\r\n", 2) == 0);
        at += 2 + size + 2;
        if (size == 0)
            return at;
    }
}

/* The first answer in `bytes`, which must be well formed; the number of bytes it takes, 0 if there
 * is none. `to_head`: it answers a HEAD. */
static inline size_t answer_read(struct str bytes, bool to_head, struct answer *ret_answer)
{
    const char *end = bytes.len ? memmem(bytes.ptr, bytes.len, "\r\n\r\n", 4) : NULL;
    struct answer a = { 0 };

    if (bytes.len == 0)
        return 0;
    ASSERT(end && bytes.len > 15 && memcmp(bytes.ptr, "HTTP/1.1 ", 9) == 0);
    a.head = (struct str){ bytes.ptr, (size_t)(end + 2 - bytes.ptr) };
    a.status = (unsigned)(bytes.ptr[9] - '0') * 100 + (unsigned)(bytes.ptr[10] - '0') * 10 +
               (unsigned)(bytes.ptr[11] - '0');
    ASSERT(a.status >= 100 && a.status < 600 && bytes.ptr[12] == ' ');
    size_t used = a.head.len + 2;
    if (a.status >= 200) {
        ASSERT(answer_field(a.head, "Date").len == 29);
        ASSERT(answer_field(a.head, "X-Request-Id").len > 0);
        a.close = str_equal(answer_field(a.head, "Connection"), STR("close"));
        a.chunked = str_equal(answer_field(a.head, "Transfer-Encoding"), STR("chunked"));
        struct str length = answer_field(a.head, "Content-Length");
        int64_t n = 0;
        ASSERT(!length.ptr || str_parse_int64(length, &n));
        ASSERT(length.ptr || a.chunked || a.close || a.status == 204);
        a.body = (struct str){ bytes.ptr + used, (size_t)n };
        if (to_head)
            a.body.len = 0;
        else if (a.chunked)
            a.body.len = answer_chunks((struct str){ bytes.ptr + used, bytes.len - used });
        else if (!length.ptr && a.status != 204)
            a.body.len = bytes.len - used;
        used += a.body.len;
        ASSERT(used <= bytes.len);
    }
    *ret_answer = a;
    return used;
}

/* All answers as "200 200 400x" (x: the connection ended after it), into `out`. */
static inline void answers_text(struct loop_sim_peer *peer, char *out, size_t room)
{
    struct str rest = loop_sim_received(peer);
    struct answer a;
    size_t n, at = 0;

    out[0] = '\0';
    while ((n = answer_read(rest, false, &a)) > 0) {
        at += (size_t)snprintf(out + at, room - at, "%s%u", at ? " " : "", a.status);
        ASSERT(at < room);
        rest = (struct str){ rest.ptr + n, rest.len - n };
        if (a.status >= 200)
            ASSERT(!a.close || rest.len == 0); /* nothing follows the last answer */
    }
    if (loop_sim_ended(peer))
        snprintf(out + at, room - at, "x");
}
