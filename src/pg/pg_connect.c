// SPDX-License-Identifier: Apache-2.0
/*
 * Getting in: target by target, address by address, each attempt with its share of what is left of
 * the time. The first that lets us in and is what target_session_attrs wants is the one.
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "pg/pg_internal.h"

/* A look-up outlives the conn that wanted it: a work thread cannot be called back. */
struct pg_resolve_work {
    struct loop_work work;
    struct pg_conn *conn; /* NULL once nobody waits for it */
    struct pg_addresses addresses;
    enum err err;
    char host[256];
};

static void next_target(struct pg_conn *conn);
static void next_address(struct pg_conn *conn);

/* ---- the end ---- */

/* The last thing that is done: the owner may free the conn in it. */
static void end(struct pg_conn *conn, enum err e)
{
    struct pg_open *open = TAKE(conn->open);

    loop_timer_stop(&conn->timer);
    if (e != ERR_OK) {
        pg_conn_drop(conn);
        pg_conn_enter(conn, PG_CONN_BROKEN);
    }
    open->err = e;
    open->done(open);
}

void pg_conn_call_off(struct pg_conn *conn)
{
    if (conn->resolve)
        conn->resolve->conn = NULL;
    conn->resolve = NULL;
    conn->open = NULL;
}

/* ---- one attempt ---- */

static void fail_attempt(struct pg_conn *conn)
{
    struct pg_reason reason;

    loop_timer_stop(&conn->timer);
    if (conn->pg)
        pg_reason_of_conn(&reason, conn->pg);
    else
        reason = (struct pg_reason){ .text = "libpq is out of memory" };
    if (conn->timed_out) {
        reason = (struct pg_reason){ 0 };
        snprintf(reason.text, sizeof reason.text, "%s does not answer", conn->peer);
    }
    pg_reason_merge(&conn->open->reason, &reason);
    pg_conn_drop(conn);
    conn->address++;
    next_address(conn);
}

static void drive(struct pg_conn *conn);

static void ready(struct loop_poll *poll, int events)
{
    (void)events;
    drive(CONTAINER_OF(poll, struct pg_conn, poll));
}

static void timed_out(struct loop_timer *timer)
{
    struct pg_conn *conn = CONTAINER_OF(timer, struct pg_conn, timer);

    conn->timed_out = true;
    fail_attempt(conn);
}

/* libpq may have closed its socket and opened another one under the same number. */
static enum err watch(struct pg_conn *conn, int events)
{
    conn->poll.fd = PQsocket(conn->pg);
    if (conn->poll.fd < 0)
        return ERR_UNAVAILABLE;
    conn->poll.run = ready;
    return loop_poll_start(conn->loop, &conn->poll, events);
}

static void drive(struct pg_conn *conn)
{
    enum err e = ERR_UNAVAILABLE;

    loop_poll_stop(&conn->poll);
    switch (PQconnectPoll(conn->pg)) {
    case PGRES_POLLING_READING:
        e = watch(conn, LOOP_POLL_READ);
        break;
    case PGRES_POLLING_WRITING:
        e = watch(conn, LOOP_POLL_WRITE);
        break;
    case PGRES_POLLING_OK:
        loop_timer_stop(&conn->timer);
        e = pg_conn_begin(conn);
        if (e == ERR_OK) {
            pg_conn_enter(conn, PG_CONN_IDLE);
            end(conn, ERR_OK);
            return;
        }
        break;
    case PGRES_POLLING_FAILED:
    case PGRES_POLLING_ACTIVE:
        break;
    }
    if (e == ERR_NOMEM)
        end(conn, e);
    else if (e != ERR_OK)
        fail_attempt(conn);
}

static void name_peer(struct pg_conn *conn, const struct pg_target *target, const char *address)
{
    const char *host = address ? address : target->hostaddr ? target->hostaddr : target->host;

    snprintf(conn->peer, sizeof conn->peer, "%s:%s", host ? host : "default",
             target->port ? target->port : "5432");
}

static void attempt(struct pg_conn *conn, const char *address, size_t attempts_left)
{
    uint64_t now_ms = loop_now_ms(conn->loop);
    uint64_t left_ms = conn->open->deadline_ms > now_ms ? conn->open->deadline_ms - now_ms : 0;

    if (left_ms == 0) {
        end(conn, ERR_TIMEOUT);
        return;
    }
    name_peer(conn, &conn->source->target[conn->target], address);
    pg_conn_enter(conn, PG_CONN_CONNECTING);
    conn->timed_out = false;
    conn->timer.run = timed_out;
    if (loop_timer_start(conn->loop, &conn->timer, MAX(left_ms / attempts_left, (uint64_t)1)) !=
        ERR_OK) {
        end(conn, ERR_NOMEM);
        return;
    }
    conn->pg = pg_source_start(conn->source, conn->target, address);
    if (!conn->pg || PQstatus(conn->pg) == CONNECTION_BAD) {
        fail_attempt(conn);
        return;
    }
    conn->lost = false;
    PQsetNoticeReceiver(conn->pg, pg_conn_on_notice, conn); /* libpq's own writes to stderr */
    PQsetErrorVerbosity(conn->pg, PQERRORS_VERBOSE);
    enum err e = watch(conn, LOOP_POLL_WRITE);
    if (e == ERR_NOMEM)
        end(conn, e);
    else if (e != ERR_OK)
        fail_attempt(conn);
}

static void next_address(struct pg_conn *conn)
{
    const struct pg_target *target = &conn->source->target[conn->target];
    bool plain = pg_target_is_plain(target);
    size_t count = plain ? 1 : conn->addresses.count;
    size_t targets_after = conn->source->target_count - conn->target - 1;

    if (conn->address < count) {
        attempt(conn, plain ? NULL : conn->addresses.text[conn->address],
                count - conn->address + targets_after);
        return;
    }
    conn->target++;
    next_target(conn);
}

/* ---- names ---- */

static void resolve_on_thread(struct loop_work *work)
{
    struct pg_resolve_work *resolve = CONTAINER_OF(work, struct pg_resolve_work, work);

    resolve->err = pg_resolve(resolve->host, &resolve->addresses);
}

static void skip_name(struct pg_conn *conn, const char *host, const char *why)
{
    struct pg_reason reason = { 0 };

    snprintf(reason.text, sizeof reason.text, "the name %.120s %s", host, why);
    pg_reason_merge(&conn->open->reason, &reason);
    conn->target++;
    next_target(conn);
}

static void resolved(struct loop_work *work)
{
    struct pg_resolve_work *resolve = CONTAINER_OF(work, struct pg_resolve_work, work);
    struct pg_conn *conn = resolve->conn;
    enum err e = resolve->err;

    if (conn) {
        loop_timer_stop(&conn->timer);
        conn->resolve = NULL;
        conn->addresses = resolve->addresses;
        conn->address = 0;
    }
    mem_free(resolve);
    if (!conn)
        return;
    if (e == ERR_NOMEM)
        end(conn, e);
    else if (e == ERR_OK)
        next_address(conn);
    else
        skip_name(conn, conn->source->target[conn->target].host, "is not known");
}

static void resolve_timed_out(struct loop_timer *timer)
{
    struct pg_conn *conn = CONTAINER_OF(timer, struct pg_conn, timer);

    conn->resolve->conn = NULL;
    conn->resolve = NULL;
    skip_name(conn, conn->source->target[conn->target].host, "was not resolved in time");
}

static enum err start_resolve(struct pg_conn *conn, const char *host)
{
    uint64_t now_ms = loop_now_ms(conn->loop);
    uint64_t left_ms = conn->open->deadline_ms > now_ms ? conn->open->deadline_ms - now_ms : 0;
    struct pg_resolve_work *resolve = mem_alloc(sizeof *resolve);

    if (!resolve)
        return ERR_NOMEM;
    snprintf(resolve->host, sizeof resolve->host, "%s", host);
    resolve->work = (struct loop_work){ .work = resolve_on_thread, .done = resolved };
    conn->timer.run = resolve_timed_out;
    enum err e = loop_timer_start(conn->loop, &conn->timer,
                                  left_ms / (conn->source->target_count - conn->target));
    if (e == ERR_OK)
        e = loop_work_start(conn->loop, &resolve->work);
    if (e != ERR_OK) {
        mem_free(resolve);
        return e;
    }
    resolve->conn = conn;
    conn->resolve = resolve;
    return ERR_OK;
}

/* ---- one target ---- */

static void next_target(struct pg_conn *conn)
{
    if (conn->target == conn->source->target_count) {
        bool late = loop_now_ms(conn->loop) >= conn->open->deadline_ms;
        end(conn, late ? ERR_TIMEOUT : ERR_UNAVAILABLE);
        return;
    }
    const struct pg_target *target = &conn->source->target[conn->target];
    conn->address = 0;
    if (pg_target_is_plain(target)) {
        next_address(conn);
        return;
    }
    pg_conn_enter(conn, PG_CONN_RESOLVING);
    enum err e = start_resolve(conn, target->host);
    if (e != ERR_OK)
        end(conn, e);
}

static void begin(struct loop_task *task)
{
    struct pg_conn *conn = CONTAINER_OF(task, struct pg_conn, open_task);

    conn->beginning = false;
    if (conn->open)
        next_target(conn);
    else
        pg_conn_free(conn); /* given up before it began */
}

void pg_conn_open(struct pg_conn *conn, struct pg_open *open)
{
    ASSERT(conn->state == PG_CONN_NEW);
    open->reason = (struct pg_reason){ 0 };
    conn->open = open;
    conn->beginning = true;
    conn->open_task.run = begin;
    pg_conn_enter(conn, PG_CONN_RESOLVING);
    loop_post(conn->loop, &conn->open_task);
}
