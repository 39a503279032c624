// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "pg/pg_conn.h"

/* ---- pg_source.c ---- */

enum { PG_TARGETS_MAX = 16, PG_ADDRESSES_MAX = 8 };

/* One host of the URL. */
struct pg_target {
    char *host;     /* NULL: libpq's default; begins with '/' or '@': a socket of this machine */
    char *hostaddr; /* numeric; NULL: to be found out, if `host` is a name */
    char *port;     /* NULL: libpq's default */
};

struct pg_source {
    struct pg_target target[PG_TARGETS_MAX];
    size_t target_count;
    PQconninfoOption *options; /* the URL's */
    char *application_name;
    char silence_ms[24];
};

/* Numeric addresses of a host. */
struct pg_addresses {
    char text[PG_ADDRESSES_MAX][LOOP_ADDR_TEXT_BYTES];
    size_t count;
};

/* No name to be resolved: a numeric address, a socket, or libpq's default. */
bool pg_target_is_plain(const struct pg_target *target);
/* Blocks. UNAVAILABLE: no such name. */
enum err pg_resolve(const char *host, struct pg_addresses *ret_addresses) MUST_CHECK;
/* Begins to connect. `hostaddr`: NULL where the target is plain. NULL without memory. */
PGconn *pg_source_start(const struct pg_source *source, size_t target, const char *hostaddr);

/* ---- pg_error.c ---- */

void pg_reason_set(struct pg_reason *reason, const char *text);
/* Of a connection that did not come about: libpq tells the SQLSTATE in its text only. */
void pg_reason_of_conn(struct pg_reason *reason, PGconn *pg);
void pg_reason_of_result(struct pg_reason *reason, const PGresult *result);
/* The later one, but too many clients is kept. */
void pg_reason_merge(struct pg_reason *reason, const struct pg_reason *other);
/* The server tells that a commit may not have reached its synchronous standby. */
bool pg_notice_is_unreplicated(const PGresult *notice);
bool pg_notice_is_fatal(const PGresult *notice);

/* ---- pg_keep.c ---- */

enum { PG_KEEP_MAX = 96, PG_KEEP_NAME_BYTES = 32 };

/* The statements that a connection's session has. */
struct pg_keep {
    uint64_t names[PG_KEEP_MAX];
    size_t count;
    uint64_t since_ms;
    bool failed; /* it is not known which there are */
};

enum pg_kept {
    PG_KEPT_NOT,
    PG_KEPT_NEW, /* to be prepared under that name, then run */
    PG_KEPT_THERE,
};

enum pg_kept pg_keep_look(struct pg_keep *keep, const struct pg_statement *statement,
                          char name[PG_KEEP_NAME_BYTES]);
/* All are to be forgotten before anything is run; also where there is none yet. */
bool pg_keep_is_over(const struct pg_keep *keep, uint64_t now_ms);
void pg_keep_forget(struct pg_keep *keep, uint64_t now_ms);
/* An exchange has failed with that. True: because of what was kept; it may be tried again. */
bool pg_keep_failed(struct pg_keep *keep, const char *sqlstate);

/* ---- pg_connect.c: what pg_conn.c is while it is being opened ---- */

struct pg_resolve_work;

enum pg_conn_state {
    PG_CONN_NEW,
    PG_CONN_RESOLVING,
    PG_CONN_CONNECTING,
    PG_CONN_IDLE,
    PG_CONN_BUSY, /* an exchange is under way */
    PG_CONN_BROKEN,
};

/* What the exchanges of one borrower met. */
struct pg_tally {
    uint32_t exchanges, failed; /* failed: the database did not do its part */
    uint64_t slowest_ns;
    bool read_only; /* a standby, or made one */
};

/* A statement of an exchange, or what makes one ready. */
struct pg_sent {
    size_t statement;
    bool is_ready_maker;
};

struct pg_conn {
    struct loop *loop;
    const struct pg_source *source;
    enum pg_conn_state state;
    PGconn *pg; /* NULL before, between attempts and when broken */
    struct loop_poll poll;
    struct loop_timer timer; /* of the attempt, or of the exchange */
    char peer[96];

    /* while being opened */
    struct pg_open *open;
    struct loop_task open_task;
    struct pg_resolve_work *resolve;
    struct pg_addresses addresses;
    size_t target, address;    /* which one is being tried */
    bool timed_out, beginning; /* beginning: `open_task` waits to run */

    /* while busy */
    struct pg_exchange *exchange;
    struct pg_sent *sent; /* what was sent, `sent_count` of them */
    size_t sent_count;
    size_t at;    /* the one of them whose result is awaited */
    bool lost;    /* the server has hung up */
    bool synced;  /* Sync has been answered */
    bool flushed; /* nothing waits to be sent */
    uint64_t began_ns;

    void (*on_broken)(void *context);
    void *on_broken_context;
    void *owner; /* whose pool it is in */
    struct pg_tally tally;
    struct pg_keep keep;
};

/* The one mover. */
void pg_conn_enter(struct pg_conn *conn, enum pg_conn_state state);
/* Ends libpq's side, watcher first. */
void pg_conn_drop(struct pg_conn *conn);
/* pg_exchange.c: connected; from here on it reads. NOMEM, UNAVAILABLE. */
enum err pg_conn_begin(struct pg_conn *conn) MUST_CHECK;
void pg_conn_on_notice(void *context, const PGresult *notice); /* PQsetNoticeReceiver() */
void pg_conn_call_off(struct pg_conn *conn);                   /* pg_connect.c */
