// SPDX-License-Identifier: Apache-2.0
/* The same for threads that may block. Deadlines are kept by poll(); libpq never waits. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "pg/pg_internal.h"

enum { CONNECT_TIMEOUT_MS = 10000 };

static uint64_t now_ms(void)
{
    return clock_mono_ns() / 1000000;
}

/* False: not before the deadline. Watching for errors is always on. */
static bool wait_for(PGconn *pg, short events, uint64_t deadline_ms)
{
    struct pollfd fd = { .fd = PQsocket(pg), .events = events };

    for (;;) {
        uint64_t now = now_ms();
        if (now >= deadline_ms)
            return false;
        int n = poll(&fd, 1, (int)MIN(deadline_ms - now, (uint64_t)60000));
        if (n > 0 || (n < 0 && errno != EINTR))
            return true;
    }
}

/* ---- connecting ---- */

/* PQsetNoticeReceiver(): libpq's own writes to stderr. */
static void ignore_notice(void *context, const PGresult *notice)
{
    (void)context, (void)notice;
}

static enum err connect_at(const struct pg_source *source, size_t target, const char *address,
                           uint64_t deadline_ms, PGconn **ret, struct pg_reason *reason)
{
    struct pg_reason why = { 0 };
    PGconn *pg = pg_source_start(source, target, address);
    PostgresPollingStatusType step = PGRES_POLLING_WRITING;

    if (!pg)
        return ERR_NOMEM;
    PQsetNoticeReceiver(pg, ignore_notice, NULL);
    PQsetErrorVerbosity(pg, PQERRORS_VERBOSE);
    bool late = false;
    while (PQstatus(pg) != CONNECTION_BAD && !late &&
           (step == PGRES_POLLING_READING || step == PGRES_POLLING_WRITING)) {
        late = !wait_for(pg, step == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline_ms);
        if (!late)
            step = PQconnectPoll(pg);
    }
    if (step == PGRES_POLLING_OK) {
        PQsetErrorVerbosity(pg, PQERRORS_DEFAULT);
        *ret = pg;
        return ERR_OK;
    }
    if (late)
        pg_reason_set(&why, "it does not answer");
    else
        pg_reason_of_conn(&why, pg);
    pg_reason_merge(reason, &why);
    PQfinish(pg);
    return ERR_UNAVAILABLE;
}

static enum err connect_target(const struct pg_source *source, size_t target, uint64_t deadline_ms,
                               PGconn **ret, struct pg_reason *reason)
{
    struct pg_addresses addresses = { .count = 1 };
    bool plain = pg_target_is_plain(&source->target[target]);
    enum err e = plain ? ERR_OK : pg_resolve(source->target[target].host, &addresses);
    struct pg_reason why = { 0 };

    if (e != ERR_OK) {
        snprintf(why.text, sizeof why.text, "the name %.120s is not known",
                 source->target[target].host);
        pg_reason_merge(reason, &why);
        return e;
    }
    for (size_t i = 0; i < addresses.count; i++) {
        uint64_t now = now_ms();
        uint64_t left_ms = deadline_ms > now ? deadline_ms - now : 0;
        size_t attempts = addresses.count - i + source->target_count - target - 1;
        e = connect_at(source, target, plain ? NULL : addresses.text[i], now + left_ms / attempts,
                       ret, reason);
        if (e != ERR_UNAVAILABLE)
            return e;
    }
    return e;
}

enum err pg_sync_open(const struct pg_options *options, PGconn **ret_conn,
                      struct pg_reason *ret_reason)
{
    uint64_t timeout_ms =
        options->connect_timeout_ms ? options->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    uint64_t deadline_ms = now_ms() + timeout_ms;
    struct pg_source *source = NULL;

    TRY(pg_source_new(options, &source, ret_reason));
    enum err e = ERR_UNAVAILABLE;
    for (size_t i = 0; i < source->target_count && e == ERR_UNAVAILABLE; i++)
        e = connect_target(source, i, deadline_ms, ret_conn, ret_reason);
    pg_source_free(source);
    return e == ERR_UNAVAILABLE && now_ms() >= deadline_ms ? ERR_TIMEOUT : e;
}

/* ---- statements ---- */

/* The last result, or the first that failed. */
static enum err collect(PGconn *pg, uint64_t deadline_ms, PGresult **ret, struct pg_reason *reason)
{
    PGresult *kept = NULL;
    bool failed = false;

    for (;;) {
        while (PQisBusy(pg)) {
            if (!wait_for(pg, POLLIN, deadline_ms)) {
                pg_reason_set(reason, "time is over");
                PQclear(kept);
                return ERR_UNCERTAIN;
            }
            if (PQconsumeInput(pg) != 1)
                break;
        }
        PGresult *result = PQgetResult(pg);
        if (!result)
            break;
        if (failed) {
            PQclear(result);
            continue;
        }
        PQclear(kept);
        kept = result;
        failed = PQresultStatus(result) == PGRES_FATAL_ERROR ||
                 PQresultStatus(result) == PGRES_BAD_RESPONSE;
    }
    *ret = kept;
    if (failed || !kept)
        pg_reason_of_result(reason, kept);
    if (PQstatus(pg) != CONNECTION_OK)
        return ERR_UNCERTAIN;
    if (!failed)
        return kept ? ERR_OK : ERR_IO;
    return reason->sqlstate[0] ? pg_sqlstate_err(reason->sqlstate) : ERR_IO;
}

static enum err finish(PGconn *pg, bool sent, uint64_t timeout_ms, PGresult **ret,
                       struct pg_reason *reason)
{
    PGresult *result = NULL;

    if (!sent) {
        pg_reason_of_conn(reason, pg);
        return PQstatus(pg) == CONNECTION_OK ? ERR_NOMEM : ERR_UNAVAILABLE;
    }
    enum err e = collect(pg, now_ms() + timeout_ms, &result, reason);
    if (e == ERR_OK)
        *ret = result;
    else
        PQclear(result);
    return e;
}

enum err pg_sync_run(PGconn *conn, const struct pg_statement *statement, uint64_t timeout_ms,
                     PGresult **ret_result, struct pg_reason *ret_reason)
{
    const struct pg_statement *s = statement;

    *ret_reason = (struct pg_reason){ 0 };
    bool sent = PQsendQueryParams(conn, s->sql, s->param_count, s->types, s->values, s->lengths,
                                  s->formats, s->result_format) == 1;
    return finish(conn, sent, timeout_ms, ret_result, ret_reason);
}

enum err pg_sync_script(PGconn *conn, const char *sql, uint64_t timeout_ms,
                        struct pg_reason *ret_reason)
{
    PGresult *result = NULL;

    *ret_reason = (struct pg_reason){ 0 };
    TRY(finish(conn, PQsendQuery(conn, sql) == 1, timeout_ms, &result, ret_reason));
    PQclear(result);
    return ERR_OK;
}
