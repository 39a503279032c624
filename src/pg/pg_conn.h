// SPDX-License-Identifier: Apache-2.0
/*
 * A connection to PostgreSQL on a loop. Nothing here blocks: names are resolved on a work thread,
 * libpq is given one address at a time, and every step is under a deadline of ours.
 *
 *     source   where the servers are and how one gets in: a URL, read once
 *     conn     one session with one of them
 *     exchange one round trip: any number of statements in a pipeline, then Sync
 *
 * No state of the session but statements that are kept, and none once those turn out not to last
 * (pg_keep.c), so that a PgBouncer in transaction mode may stand between. Several hosts are tried
 * in turn; without a target_session_attrs in the URL only one that takes writes is taken, so that a
 * standby is passed over. Not locked: one thread.
 */
#pragma once
#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "loop/loop.h"

struct pg_options {
    const char *url;              /* of libpq: postgresql://… or "host=… dbname=…" */
    const char *application_name; /* NULL: "doorbuster"; what the URL says wins */
    uint64_t connect_timeout_ms;  /* of pg_sync_open(), over all hosts; 0: 10 s */
    /* What the other side's kernel does not acknowledge for so long ends the connection, also in
     * the middle of an exchange; 0: 2 s. The URL's tcp_user_timeout wins. */
    uint64_t silence_ms;
};

enum { PG_SQLSTATE_BYTES = 6, PG_REASON_BYTES = 256 };

/* What went wrong, for logs. No secret is in it. */
struct pg_reason {
    char sqlstate[PG_SQLSTATE_BYTES]; /* "" when no server said it */
    char text[PG_REASON_BYTES];       /* one line */
};

/* SQLSTATEs that a caller may want to tell apart. */
#define PG_TOO_MANY_CLIENTS "53300"
#define PG_READ_ONLY "25006"           /* a standby, or made one */
#define PG_STATEMENT_CANCELLED "57014" /* statement_timeout, too */

/* ---- source: any thread, does not change ---- */

struct pg_source;

/* ERR_INVALID: not a URL of libpq's, says `ret_reason`; ERR_NOMEM. */
enum err pg_source_new(const struct pg_options *options, struct pg_source **ret_source,
                       struct pg_reason *ret_reason) MUST_CHECK;
struct pg_source *pg_source_free(struct pg_source *source);

/* ---- conn ---- */

struct pg_conn;

struct pg_open {
    void (*done)(struct pg_open *open);
    uint64_t deadline_ms;    /* loop_now_ms(); shared out among the hosts that are left */
    enum err err;            /* out: OK, UNAVAILABLE, TIMEOUT, NOMEM */
    struct pg_reason reason; /* out: of the last host, but too many clients anywhere wins */
};

/* Not connected yet. `source` outlives it. NULL without memory. */
struct pg_conn *pg_conn_new(struct loop *loop, const struct pg_source *source) MUST_CHECK;
/* Once. Should it not come about, the conn is only good for pg_conn_free(). */
void pg_conn_open(struct pg_conn *conn, struct pg_open *open);
/* At any time but between an exchange's start and its `done`; an open under way is called off. */
struct pg_conn *pg_conn_free(struct pg_conn *conn);

/* Connected, and nothing has been heard to the contrary. */
bool pg_conn_is_good(const struct pg_conn *conn);
/* A transaction was left open, or failed and not rolled back. Between exchanges. */
bool pg_conn_in_transaction(const struct pg_conn *conn);
/* Break it off: an exchange under way ends UNCERTAIN, later ones UNAVAILABLE. */
void pg_conn_break(struct pg_conn *conn);
/* `hook` is called when the server hangs up between exchanges, and may free the conn. */
void pg_conn_on_broken(struct pg_conn *conn, void (*hook)(void *context), void *context);
/* Where it leads: "host:port". Borrowed. */
const char *pg_conn_peer(const struct pg_conn *conn);

/* ---- exchange ---- */

/* As of PQsendQueryParams(). */
struct pg_statement {
    const char *sql;
    int param_count;
    const Oid *types;
    const char *const *values;
    const int *lengths;
    const int *formats;
    int result_format; /* 1: binary */
    bool keep;         /* the same text comes often, and a CONFLICT is tried again */
};

/*
 * How it ended:
 *   OK           every statement is done; `results` has one of each
 *   UNAVAILABLE  nothing was sent, or the server refused work (no space, read-only, going down)
 *   UNCERTAIN    sent, then the connection was lost or the deadline passed: what was to be
 *                committed may or may not be
 *   TIMEOUT      the deadline had passed before anything was sent, or the server cancelled a
 *                statement by its own time-out: nothing was applied
 *   CONFLICT     serialization failure or deadlock: the transaction is gone, it may be tried again
 *   INVALID      a statement's data were refused: class 22, 23
 *   IO, CORRUPT  any other error of a statement
 *   NOMEM        nothing was sent
 * After an error of a statement those after it were not run; an open transaction is to be rolled
 * back (pg_pool_return() sees to it).
 */
struct pg_exchange {
    void (*done)(struct pg_exchange *exchange);
    const struct pg_statement *statements; /* with all they point to: borrowed until `done` */
    size_t count;
    uint64_t deadline_ms; /* loop_now_ms() */

    /* out */
    enum err err;
    char sqlstate[PG_SQLSTATE_BYTES]; /* "" when no server said it */
    size_t failed;                    /* index of the statement that failed; `count`: none */
    /* `count` of them, NULL from the one that failed on, whose error result is there. Until
     * pg_exchange_fini(). */
    PGresult **results;
    /* A commit is done here, but a synchronous standby may not have it. */
    bool not_replicated;
    uint64_t took_ns;

    struct loop_task task; /* private */
};

/* One at a time on a conn. `done` may start the next one, and may free the conn. */
void pg_exchange(struct pg_conn *conn, struct pg_exchange *exchange);
void pg_exchange_fini(struct pg_exchange *exchange); /* the results; may be called again */

/* What a SQLSTATE means, as above. */
enum err pg_sqlstate_err(const char *sqlstate);

/* How many hosts a URL names: whoever takes writes is meant. ERR_INVALID with `ret_reason`. */
enum err pg_host_count(const char *url, size_t *ret_count, struct pg_reason *ret_reason) MUST_CHECK;

/* ---- blocking: work threads, verbs ---- */

/* The same choice of a host. Not in pipeline mode; PQfinish() ends it. As pg_open.err, INVALID. */
enum err pg_sync_open(const struct pg_options *options, PGconn **ret_conn,
                      struct pg_reason *ret_reason) MUST_CHECK;
/* One statement under a time-out. As of an exchange; *ret_result on OK only, PQclear() ends it.
 * After UNCERTAIN the connection is of no more use. */
enum err pg_sync_run(PGconn *conn, const struct pg_statement *statement, uint64_t timeout_ms,
                     PGresult **ret_result, struct pg_reason *ret_reason) MUST_CHECK;
/* The same, of several statements separated by semicolons, without parameters or results. */
enum err pg_sync_script(PGconn *conn, const char *sql, uint64_t timeout_ms,
                        struct pg_reason *ret_reason) MUST_CHECK;
