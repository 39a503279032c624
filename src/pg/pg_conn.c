// SPDX-License-Identifier: Apache-2.0
#include "pg/pg_conn.h"

#include "base/assert.h"
#include "base/mem.h"
#include "pg/pg_internal.h"

#define MAY(state) (1u << PG_CONN_##state)

static const unsigned may_follow[] = {
    [PG_CONN_NEW] = MAY(RESOLVING),
    [PG_CONN_RESOLVING] = MAY(RESOLVING) | MAY(CONNECTING) | MAY(BROKEN),
    [PG_CONN_CONNECTING] = MAY(CONNECTING) | MAY(RESOLVING) | MAY(IDLE) | MAY(BROKEN),
    [PG_CONN_IDLE] = MAY(BUSY) | MAY(BROKEN),
    [PG_CONN_BUSY] = MAY(IDLE) | MAY(BROKEN),
    [PG_CONN_BROKEN] = MAY(BROKEN),
};

void pg_conn_enter(struct pg_conn *conn, enum pg_conn_state state)
{
    ASSERT(may_follow[conn->state] & (1u << state));
    conn->state = state;
    ASSERT((state == PG_CONN_BUSY) == (conn->exchange != NULL));
}

void pg_conn_drop(struct pg_conn *conn)
{
    loop_poll_stop(&conn->poll);
    if (conn->pg)
        PQfinish(conn->pg);
    conn->pg = NULL;
}

struct pg_conn *pg_conn_new(struct loop *loop, const struct pg_source *source)
{
    struct pg_conn *conn = mem_alloc(sizeof *conn);

    if (!conn)
        return NULL;
    conn->loop = loop;
    conn->source = source;
    conn->poll.fd = -1;
    return conn;
}

struct pg_conn *pg_conn_free(struct pg_conn *conn)
{
    if (!conn)
        return NULL;
    ASSERT(!conn->exchange);
    pg_conn_call_off(conn);
    loop_timer_stop(&conn->timer);
    pg_conn_drop(conn);
    conn->sent = mem_free(conn->sent);
    return conn->beginning ? NULL : mem_free(conn);
}

bool pg_conn_is_good(const struct pg_conn *conn)
{
    return conn->state == PG_CONN_IDLE || conn->state == PG_CONN_BUSY;
}

bool pg_conn_in_transaction(const struct pg_conn *conn)
{
    return conn->state == PG_CONN_IDLE && PQtransactionStatus(conn->pg) != PQTRANS_IDLE;
}

void pg_conn_on_broken(struct pg_conn *conn, void (*hook)(void *context), void *context)
{
    conn->on_broken = hook;
    conn->on_broken_context = context;
}

const char *pg_conn_peer(const struct pg_conn *conn)
{
    return conn->peer;
}
