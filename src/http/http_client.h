// SPDX-License-Identifier: Apache-2.0
/*
 * A small HTTP/1.1 client: one connection, one exchange at a time, kept alive between them. For
 * load and checks by the thousands, so light. It reconnects when the server has closed; it never
 * repeats a request by itself.
 */
#pragma once
#include "http/http_field.h"
#include "loop/loop.h"

struct http_client_conn;

/* The caller owns it and keeps it, and what it points to, until `done`, which is called exactly
 * once, later, on the loop's thread. From there the next exchange may be started. */
struct http_exchange {
    struct str method;                /* "POST" */
    struct str target;                /* "/api/coupons/1/issue" */
    const struct http_field *headers; /* beyond Host, Content-Type and Content-Length */
    size_t header_count;
    struct str content_type;
    struct str body;     /* ptr NULL: none */
    uint32_t timeout_ms; /* for all of it, connecting included; 0: 30 s */
    void (*done)(struct http_exchange *x);
    void *user; /* the caller's */

    /* The answer, for `done`:
     * ERR_OK           status and body are there
     * ERR_UNAVAILABLE  no connection, nothing was sent
     * ERR_TIMEOUT      deadline passed, nothing was sent
     * ERR_UNCERTAIN    sent (perhaps in part), but no complete answer came
     * ERR_TOO_LARGE    the answer is over HTTP_CLIENT_BODY_BYTES_MAX
     * ERR_NOMEM        nothing was sent */
    enum err err;
    unsigned status;
    struct str response_body;    /* valid inside `done` */
    struct str response_headers; /* "name: value\n" lines, likewise */
};

enum { HTTP_CLIENT_BODY_BYTES_MAX = 64 * 1024 * 1024 };

/* Connects with the first exchange. NULL without memory. */
struct http_client_conn *http_client_conn_new(struct loop *loop,
                                              const struct loop_addr *addr) MUST_CHECK;
/* No exchange may be in flight. Answers NULL; the loop needs one more turn to close the socket. */
struct http_client_conn *http_client_conn_free(struct http_client_conn *conn);
/* The one before must have ended. */
void http_client_send(struct http_client_conn *conn, struct http_exchange *x);
/* A wish: the exchange in flight, if any, ends soon, as if its deadline had passed. */
void http_client_cancel(struct http_client_conn *conn);
/* Close the socket after the answer (to measure new connections). */
void http_client_set_keep_alive(struct http_client_conn *conn, bool on);

/* Of the answer, any case; ptr NULL if there is none. Inside `done` only. */
struct str http_exchange_header(const struct http_exchange *x, struct str name);
