// SPDX-License-Identifier: Apache-2.0
/*
 * HTTP/1.1 server: complete requests in, answers out. Knows nothing of routes or JSON.
 *
 * One server per loop. Everything here is called on the loop's thread, and calls back there. A
 * request may be answered inside on_request or at any time later, exactly once; it stays valid
 * until then, whatever its connection does meanwhile. Answers go out in the order of the requests:
 * the next request of a connection is delivered when the one before has been answered, and never
 * from inside the call that answered it.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "http/http_client_ip.h"
#include "http/http_field.h"
#include "loop/loop.h"

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_OTHER, /* any other token, known to HTTP or not; the connection closes after the answer */
};

struct http_request {
    enum http_method method;
    struct str method_token; /* as sent */
    struct str path;         /* as sent, undecoded; starts with '/', or is "*" (OPTIONS) */
    struct str query;        /* undecoded, without the '?'; ptr NULL if there is none */
    struct str body;         /* decoded from chunks */
    const struct http_field *headers;
    size_t header_count;
    struct str request_id; /* the caller's X-Request-Id if usable, else a new one; is echoed */
    struct str peer_text;  /* address without port */
    bool peer_is_loopback;
    const struct http_ip *peer_ip; /* the same address; of the connection */
    uint64_t started_ns;           /* clock_mono_ns() when it was complete */
    struct arena arena; /* for whoever handles the request; reset when it has been answered */
    void *app;          /* http_server_options.app */
    const void *user;   /* the application's own */

    /* Streaming only, set by the application before http_stream_begin(): what was queued has gone
     * out, or the peer has gone (http_request_peer_gone()). */
    void (*on_drain)(struct http_request *req);
};

/* Requests that never become one. The application renders the answer, as for a request; whatever
 * could not be understood is empty (method HTTP_OTHER). The connection closes afterwards. */
enum http_refusal {
    HTTP_REFUSAL_MALFORMED,            /* 400 */
    HTTP_REFUSAL_URI_TOO_LONG,         /* 414 */
    HTTP_REFUSAL_HEADERS_TOO_LARGE,    /* 431 */
    HTTP_REFUSAL_BODY_TOO_LARGE,       /* 413 */
    HTTP_REFUSAL_TIMEOUT,              /* 408 */
    HTTP_REFUSAL_TOO_MANY_CONNECTIONS, /* 503 */
    HTTP_REFUSAL_COUNT,
};
unsigned http_refusal_status(enum http_refusal why);

/* Zero means the default in brackets. */
struct http_server_options {
    uint32_t connections_max;   /* [10000] more are answered 503, many more are closed */
    uint32_t header_timeout_ms; /* [10000] from the first byte (or the accept) to the last */
    uint32_t body_grace_ms;     /* [5000] and body_rate_min on top */
    uint32_t body_rate_min;     /* [500] bytes/s */
    uint32_t write_timeout_ms;  /* [10000] and body_rate_min on top, for a peer to take an answer */
    uint32_t idle_timeout_ms;   /* [60000] between requests */
    uint32_t drain_idle_ms;     /* [1000] draining: how long a quiet connection may still ask */
    uint32_t request_line_max;  /* [8000] bytes */
    uint32_t header_fields_max; /* [100] */
    uint32_t header_bytes_max;  /* [16384] */
    uint32_t body_bytes_max;    /* [65536] */
    uint32_t stream_bytes_max;  /* [1 MiB] queued by a streamed answer that ignores "pause" */

    void *app;
    void (*on_request)(struct http_request *req);
    void (*on_refusal)(struct http_request *req, enum http_refusal why);
    /* After every answer, also one that nobody was there for. May be NULL. `bytes`: of the body. */
    void (*on_answered)(struct http_request *req, unsigned status, size_t bytes);
};

struct http_server;

struct http_server_stats {
    uint32_t connections;      /* open now */
    uint32_t connections_busy; /* of these, with a request being answered */
    uint64_t accepted, requests;
    uint64_t refused[HTTP_REFUSAL_COUNT];
    uint64_t turned_away; /* closed without a word: far too many connections, or no memory */
    uint64_t timed_out;   /* closed without an answer: idle, or not taking what was sent */
};

/* NULL without memory. on_request and on_refusal are required. */
struct http_server *http_server_new(struct loop *loop,
                                    const struct http_server_options *options) MUST_CHECK;
/* As loop_listen(); once per server. */
enum err http_server_listen(struct http_server *server, const struct loop_addr *addr,
                            struct loop_addr *ret_bound) MUST_CHECK;
const struct http_server_stats *http_server_stats(const struct http_server *server);
/*
 * Graceful end: no new connections (those already waiting are served), what is in flight is
 * answered, and every answer says Connection: close. `done` when the last connection is gone.
 */
void http_server_drain(struct http_server *server, void (*done)(struct http_server *, void *),
                       void *arg);
/* Hard end: every connection is closed now. Requests the application still holds must be answered
 * (into the void) before `done`. After a drain it replaces it; that one's `done` is not called. Not
 * from inside a callback of this server: post a task. */
void http_server_stop(struct http_server *server, void (*done)(struct http_server *, void *),
                      void *arg);
/* After `done`, or if it never listened. */
struct http_server *http_server_free(struct http_server *server);

/* ---- reading a request ---- */

/* The first field of that name, any case; ptr NULL if there is none. */
struct str http_request_header(const struct http_request *req, struct str name);
/* "%20" and the like; '+' stays. ERR_INVALID: a broken escape, or one for NUL. ERR_NOMEM. Without
 * an escape in it, *ret_text is `text` itself. */
enum err http_percent_decode(struct arena *arena, struct str text, struct str *ret_text) MUST_CHECK;
bool http_request_peer_gone(const struct http_request *req);

/* ---- answering ----
 * No failures to handle here: without memory the connection is closed, nothing half sent. */

/* A further header; before begin. Both are copied. */
void http_response_header(struct http_request *req, struct str name, struct str value);
/* Append the body to the buffer (nothing else may be done with it), then call end. The
 * answer to HEAD, and 204 and 304, are sent without it. */
struct buf *http_response_begin(struct http_request *req, unsigned status,
                                struct str content_type) MUST_CHECK;
void http_response_end(struct http_request *req); /* `req` is gone afterwards */
void http_respond(struct http_request *req, unsigned status, struct str content_type,
                  struct str body);

/* An answer of unknown length, sent as it is made. */
enum http_stream {
    HTTP_STREAM_GO,
    HTTP_STREAM_PAUSE, /* enough is queued: go on in on_drain */
    HTTP_STREAM_GONE,  /* nobody listens: end it */
};
void http_stream_begin(struct http_request *req, unsigned status, struct str content_type);
enum http_stream http_stream_write(struct http_request *req, struct str bytes);
void http_stream_end(struct http_request *req); /* `req` is gone afterwards */
/* Instead of end: the rest cannot be had. The connection is cut, so that nobody takes what was sent
 * for all of it. */
void http_stream_abort(struct http_request *req);
