// SPDX-License-Identifier: Apache-2.0
/*
 * A round trip. All statements go into libpq's buffer at once; from the first of them on they count
 * as sent, because libpq may write whenever it likes. Sync ends what an error has begun to skip,
 * and, where no transaction was opened, commits: so a connection that is lost on the way leaves the
 * outcome unknown, whatever the server said last. (A server that is shut down while a commit waits
 * for its standby says that it was shut down, and has committed.)
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "pg/pg_internal.h"

/* ---- ends ---- */

void pg_exchange_fini(struct pg_exchange *exchange)
{
    for (size_t i = 0; exchange->results && i < exchange->count; i++)
        PQclear(exchange->results[i]);
    exchange->results = mem_free(exchange->results);
}

static void count(struct pg_tally *tally, const struct pg_exchange *exchange)
{
    enum err e = exchange->err;

    tally->exchanges++;
    tally->failed += e == ERR_UNAVAILABLE || e == ERR_UNCERTAIN || e == ERR_TIMEOUT;
    tally->slowest_ns = MAX(tally->slowest_ns, exchange->took_ns);
    tally->read_only |= strcmp(exchange->sqlstate, PG_READ_ONLY) == 0;
}

static void close_broken(struct pg_conn *conn)
{
    loop_timer_stop(&conn->timer);
    pg_conn_drop(conn);
    pg_conn_enter(conn, PG_CONN_BROKEN);
}

/* The caller may free the conn in `done`. */
static void end(struct pg_conn *conn, enum err e)
{
    struct pg_exchange *exchange = TAKE(conn->exchange);

    loop_timer_stop(&conn->timer);
    exchange->err = e;
    exchange->took_ns = clock_mono_ns() - conn->began_ns;
    count(&conn->tally, exchange);
    if (conn->lost)
        close_broken(conn);
    else
        pg_conn_enter(conn, PG_CONN_IDLE);
    exchange->done(exchange);
}

static void tell_done(struct loop_task *task)
{
    struct pg_exchange *exchange = CONTAINER_OF(task, struct pg_exchange, task);

    exchange->done(exchange);
}

/* Ends it on its own, later in this turn. */
static void end_later(struct pg_conn *conn, struct pg_exchange *exchange, enum err e)
{
    exchange->err = e;
    count(&conn->tally, exchange);
    exchange->task.run = tell_done;
    loop_post(conn->loop, &exchange->task);
}

void pg_conn_break(struct pg_conn *conn)
{
    struct pg_exchange *exchange = TAKE(conn->exchange);

    ASSERT(!conn->open); /* that is called off by pg_conn_free() */
    if (conn->state == PG_CONN_BROKEN)
        return;
    close_broken(conn);
    if (exchange) {
        exchange->took_ns = clock_mono_ns() - conn->began_ns;
        end_later(conn, exchange, ERR_UNCERTAIN);
    }
}

/* ---- results ---- */

static void note_failure(struct pg_exchange *exchange, size_t i, const PGresult *result)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    if (exchange->failed < exchange->count)
        return;
    exchange->failed = i;
    if (sqlstate)
        snprintf(exchange->sqlstate, sizeof exchange->sqlstate, "%s", sqlstate);
}

static bool is_failure(ExecStatusType status)
{
    return status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE;
}

static void take_result(struct pg_conn *conn, PGresult *result)
{
    struct pg_exchange *exchange = conn->exchange;
    ExecStatusType status = PQresultStatus(result);

    if (status == PGRES_PIPELINE_SYNC) {
        conn->synced = true;
    } else if (conn->at < conn->sent_count && status != PGRES_PIPELINE_ABORTED) {
        const struct pg_sent *sent = &conn->sent[conn->at];
        if (is_failure(status))
            note_failure(exchange, sent->statement, result);
        if (is_failure(status) || !sent->is_ready_maker) {
            PQclear(exchange->results[sent->statement]);
            exchange->results[sent->statement] = result;
            return;
        }
    }
    PQclear(result);
}

/* What has arrived. Each statement's results end with a NULL; Sync's has none. */
static void take_results(struct pg_conn *conn)
{
    unsigned nulls = 0;

    while (!conn->synced && nulls < 2 && !PQisBusy(conn->pg)) {
        PGresult *result = PQgetResult(conn->pg);
        if (result) {
            nulls = 0;
            take_result(conn, result);
        } else if (nulls++ == 0) {
            conn->at++;
        }
    }
}

static enum err outcome(struct pg_conn *conn)
{
    const struct pg_exchange *exchange = conn->exchange;

    if (exchange->failed == exchange->count)
        return ERR_OK;
    if (pg_keep_failed(&conn->keep, exchange->sqlstate))
        return ERR_CONFLICT;
    return exchange->sqlstate[0] ? pg_sqlstate_err(exchange->sqlstate) : ERR_IO;
}

/* ---- events ---- */

static void lose(struct pg_conn *conn)
{
    void (*hook)(void *) = conn->on_broken;

    conn->lost = true;
    if (conn->exchange) {
        end(conn, ERR_UNCERTAIN);
        return;
    }
    close_broken(conn);
    if (hook)
        hook(conn->on_broken_context);
}

static enum err watch(struct pg_conn *conn)
{
    return loop_poll_start(conn->loop, &conn->poll,
                           conn->flushed ? LOOP_POLL_READ : LOOP_POLL_READ | LOOP_POLL_WRITE);
}

/* False: the connection is gone. */
static bool flush(struct pg_conn *conn)
{
    int left = PQflush(conn->pg);
    bool flushed = left == 0;

    if (left < 0)
        return false;
    if (flushed == conn->flushed)
        return true;
    conn->flushed = flushed;
    return watch(conn) == ERR_OK;
}

static void ready(struct loop_poll *poll, int events)
{
    struct pg_conn *conn = CONTAINER_OF(poll, struct pg_conn, poll);
    bool alive = true;

    if (events & LOOP_POLL_READ)
        alive = PQconsumeInput(conn->pg) == 1;
    if (conn->exchange)
        take_results(conn);
    else
        alive = PQisBusy(conn->pg) == 0 && alive; /* parses what the server says by itself */
    if (conn->exchange && conn->synced) {
        conn->lost = !alive || PQstatus(conn->pg) != CONNECTION_OK;
        end(conn, outcome(conn));
        return;
    }
    if (alive && !conn->flushed)
        alive = flush(conn);
    if (!alive || conn->lost || PQstatus(conn->pg) != CONNECTION_OK)
        lose(conn);
}

static void timed_out(struct loop_timer *timer)
{
    lose(CONTAINER_OF(timer, struct pg_conn, timer));
}

void pg_conn_on_notice(void *context, const PGresult *notice)
{
    struct pg_conn *conn = context;

    if (conn->exchange && pg_notice_is_unreplicated(notice))
        conn->exchange->not_replicated = true;
    /* last words, to nobody in particular; the end of the stream may still be on its way */
    if (!conn->exchange && pg_notice_is_fatal(notice))
        conn->lost = true;
}

/* ---- begins ---- */

enum err pg_conn_begin(struct pg_conn *conn)
{
    PQsetErrorVerbosity(conn->pg, PQERRORS_DEFAULT);
    if (conn->lost || PQsetnonblocking(conn->pg, 1) != 0 || PQenterPipelineMode(conn->pg) != 1)
        return ERR_UNAVAILABLE;
    conn->poll.fd = PQsocket(conn->pg);
    conn->poll.run = ready;
    conn->flushed = true;
    return watch(conn);
}

static bool note_sent(struct pg_conn *conn, size_t statement, bool is_ready_maker, int sent)
{
    conn->sent[conn->sent_count++] = (struct pg_sent){ statement, is_ready_maker };
    return sent == 1;
}

static bool send_one(struct pg_conn *conn, size_t i)
{
    const struct pg_statement *s = &conn->exchange->statements[i];
    char name[PG_KEEP_NAME_BYTES];

    switch (pg_keep_look(&conn->keep, s, name)) {
    case PG_KEPT_NOT:
        return note_sent(conn, i, false,
                         PQsendQueryParams(conn->pg, s->sql, s->param_count, s->types, s->values,
                                           s->lengths, s->formats, s->result_format));
    case PG_KEPT_NEW:
        if (!note_sent(conn, i, true,
                       PQsendPrepare(conn->pg, name, s->sql, s->param_count, s->types)))
            return false;
        break;
    case PG_KEPT_THERE:
        break;
    }
    return note_sent(conn, i, false,
                     PQsendQueryPrepared(conn->pg, name, s->param_count, s->values, s->lengths,
                                         s->formats, s->result_format));
}

/* What is forgotten is forgotten where something is kept: there is no failed transaction there. */
static bool send_forget(struct pg_conn *conn)
{
    const struct pg_exchange *exchange = conn->exchange;
    uint64_t now_ms = loop_now_ms(conn->loop);

    if (exchange->count == 0 || !exchange->statements[exchange->count - 1].keep ||
        !pg_keep_is_over(&conn->keep, now_ms))
        return true;
    bool any = conn->keep.count > 0;
    pg_keep_forget(&conn->keep, now_ms);
    if (!any)
        return true;
    return note_sent(conn, 0, true,
                     PQsendQueryParams(conn->pg, "DEALLOCATE ALL", 0, NULL, NULL, NULL, NULL, 1));
}

static bool send_all(struct pg_conn *conn)
{
    conn->sent_count = 0;
    if (!send_forget(conn))
        return false;
    for (size_t i = 0; i < conn->exchange->count; i++)
        if (!send_one(conn, i))
            return false;
    return PQpipelineSync(conn->pg) == 1;
}

/* Room for each statement, for what makes it ready, and for what forgets them all. */
static enum err make_room(struct pg_conn *conn, struct pg_exchange *exchange)
{
    struct pg_sent *sent = mem_resize(conn->sent, (2 * exchange->count + 1) * sizeof *sent);

    if (!sent)
        return ERR_NOMEM;
    conn->sent = sent;
    exchange->results = mem_alloc(MAX(exchange->count, (size_t)1) * sizeof(PGresult *));
    return exchange->results ? ERR_OK : ERR_NOMEM;
}

/* Before anything is sent: nothing of it happened. */
static enum err prepare(struct pg_conn *conn, struct pg_exchange *exchange)
{
    uint64_t now_ms = loop_now_ms(conn->loop);

    if (conn->state == PG_CONN_BROKEN)
        return ERR_UNAVAILABLE;
    ASSERT(conn->state == PG_CONN_IDLE);
    if (exchange->deadline_ms <= now_ms)
        return ERR_TIMEOUT;
    TRY(make_room(conn, exchange));
    /* a server that has hung up since the loop last looked */
    if (PQconsumeInput(conn->pg) != 1 || PQisBusy(conn->pg) || conn->lost ||
        PQstatus(conn->pg) != CONNECTION_OK) {
        close_broken(conn); /* the hook may free it: not from inside a call */
        return ERR_UNAVAILABLE;
    }
    conn->timer.run = timed_out;
    return loop_timer_start(conn->loop, &conn->timer, exchange->deadline_ms - now_ms);
}

void pg_exchange(struct pg_conn *conn, struct pg_exchange *exchange)
{
    exchange->results = NULL;
    exchange->failed = exchange->count;
    exchange->sqlstate[0] = '\0';
    exchange->not_replicated = false;
    exchange->took_ns = 0;
    conn->began_ns = clock_mono_ns();
    enum err e = prepare(conn, exchange);
    if (e != ERR_OK) {
        end_later(conn, exchange, e);
        return;
    }
    conn->exchange = exchange;
    conn->at = 0;
    conn->synced = conn->lost = false;
    pg_conn_enter(conn, PG_CONN_BUSY);
    if (!send_all(conn) || !flush(conn))
        pg_conn_break(conn);
}
