// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "http/http.h"
#include "http/http_head.h"

/* Where a connection is, and so which list of its server it stands in, ordered by since_ms. */
enum http_conn_state {
    HTTP_CONN_HEAD,    /* reading a head; new ones wait for their first byte here */
    HTTP_CONN_BODY,    /* head complete and good, body is not complete */
    HTTP_CONN_APP,     /* the application has the request */
    HTTP_CONN_STREAM,  /* the application sends a streamed answer */
    HTTP_CONN_FLUSH,   /* answered, and the peer has not taken it all */
    HTTP_CONN_IDLE,    /* between requests */
    HTTP_CONN_COLD,    /* the same, buffers given back */
    HTTP_CONN_LINGER,  /* last answer sent: drop what still comes, so that no reset destroys it */
    HTTP_CONN_GONE,    /* closed while the application has the request: freed when it answers */
    HTTP_CONN_CLOSING, /* closed: freed in on_closed */
    HTTP_CONN_STATES,
};

enum {
    HTTP_CONN_IN_BYTES_MIN = 1024,      /* first input buffer: 10,000 slow heads are 10 MiB */
    HTTP_CONN_OUT_HIGH = 64 * 1024,     /* more output than this is not collected */
    HTTP_CONN_STREAM_FLUSH = 16 * 1024, /* a streamed answer is sent in pieces like this */
    HTTP_CONN_LINGER_MS = 2000,
    HTTP_CONN_LINGER_BYTES = 1024 * 1024,
    HTTP_CONN_ID_BYTES = 16,
};

struct http_conn {
    struct loop_stream stream;
    struct list node; /* server->conns[state] */
    struct http_server *server;
    struct loop_task resume; /* posted: go on after an answer that was not given in on_request */
    enum http_conn_state state;
    uint64_t since_ms; /* when `state` was entered */

    /* Input: [consumed | head | body | what follows]. While the application has the request nothing
     * is moved, so that slices of it stay where they are. */
    char *in;
    uint32_t in_start, in_len, in_cap;
    struct http_scan_state scan;
    uint32_t head_len;  /* 0 until the head is complete */
    uint32_t body_len;  /* expected (Content-Length) or so far (chunks) */
    uint32_t raw_bytes; /* chunked: bytes of framing so far */
    enum { HTTP_BODY_LENGTH, HTTP_BODY_CHUNKS, HTTP_BODY_TRAILERS } body_kind;
    struct http_chunks *chunks;

    struct buf out;
    size_t out_sent;
    uint64_t out_since_ms; /* the peer has to take something since then */
    uint64_t out_taken;    /* and took that much */
    size_t answer_at;      /* in `out`: start of the current answer, */
    size_t length_at;      /* its Content-Length, */
    size_t body_at;        /* its body */
    size_t streamed;
    unsigned status;

    bool processing;   /* inside http_conn_process() */
    bool resuming;     /* `resume` is posted */
    bool in_ended;     /* the peer sends nothing more */
    bool reading;      /* the loop reports input */
    bool waiting;      /* the loop will report room for output */
    bool stalled;      /* `out_since_ms` counts */
    bool refused;      /* what follows in the input is dropped */
    bool close_after;  /* this answer is the last */
    bool linger_after; /* and unread input may follow */
    bool answering;    /* between begin and end */
    bool chunked_out, drain_due, extra_failed;
    bool overflow;      /* over connections_max: to be refused */
    bool stream_closed; /* GONE: on_closed has been called */
    bool version_10, peer_is_loopback;
    unsigned char peer_len;
    char peer[LOOP_ADDR_TEXT_BYTES];
    struct http_ip peer_ip;
    char id[HTTP_CONN_ID_BYTES];
    struct extra *extra; /* further headers of the answer, in the request's arena */
    struct http_request req;
};

struct extra {
    struct extra *next;
    struct str name, value;
};

struct http_server {
    struct loop *loop;
    struct http_server_options options;
    struct http_head_limits limits;
    struct loop_listener listener;
    struct loop_timer sweep;
    struct loop_task finish;
    struct list conns[HTTP_CONN_STATES];
    struct http_server_stats stats;
    bool listening, draining, stopping, finishing;
    uint64_t drain_since_ms;
    void (*done)(struct http_server *, void *);
    void *done_arg;
    uint64_t id_seed, id_count;
    uint64_t date_until_ms;
    char date[40]; /* "Date: ...\r\n" */
    uint32_t date_len;
    struct http_field *fields; /* scratch: header_fields_max of them */
    char scratch[16384];       /* what is read only to be dropped */
};

/* ---- http_conn.c ---- */
struct http_conn *http_conn_new(struct http_server *server, const struct loop_addr *peer);
void http_conn_process(struct http_conn *conn);
void http_conn_close(struct http_conn *conn); /* now; the request may still be out */
void http_conn_move(struct http_conn *conn, enum http_conn_state to);
void http_conn_go_cold(struct http_conn *conn);
/* The application has finished its answer. */
void http_conn_answered(struct http_conn *conn);
/* Send what is queued; true if all of it is out, or nobody is there to take it. */
bool http_conn_flush(struct http_conn *conn);
void http_conn_resume_later(struct http_conn *conn);

static inline bool http_conn_is_closed(const struct http_conn *conn)
{
    return conn->state == HTTP_CONN_GONE || conn->state == HTTP_CONN_CLOSING;
}

static inline size_t http_conn_input_left(const struct http_conn *conn)
{
    return conn->in_len - conn->in_start;
}

/* ---- http_conn_input.c ---- */
/* One request out of the input, and to the application. False: it is not complete, or was refused,
 * or there was no memory and the connection is closed. */
bool http_conn_take_request(struct http_conn *conn);
void http_conn_refuse(struct http_conn *conn, enum http_refusal why);

/* ---- http_server.c ---- */
void http_server_conn_freed(struct http_server *server);
uint64_t http_server_new_id(struct http_server *server);
struct str http_server_date(struct http_server *server);

static inline struct http_conn *http_conn_of(struct http_request *req)
{
    return CONTAINER_OF(req, struct http_conn, req);
}
