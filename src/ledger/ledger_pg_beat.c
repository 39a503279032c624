// SPDX-License-Identifier: Apache-2.0
/*
 * Signs of life (ledger_servers.h), beside the queue, in one round trip. The lease is committed
 * before it is read what is closing: whoever closes a gate either sees the lease, or it is seen
 * here that the gate is closing. A server that is to be the sole one looks for others under a lock,
 * so that of two that come at once one is refused.
 */
#include <stdio.h>

#include "base/mem.h"
#include "ledger/ledger_pg_internal.h"

enum beat_tag { BEAT_NOTHING, BEAT_SERVERS, BEAT_COUPONS, BEAT_CLOSINGS };

struct pg_beat {
    struct pg_ledger *ledger;
    struct ledger_beat *beat;
    struct pg_borrow borrow;
    struct pg_conn *conn;
    struct pg_exchange exchange;
    struct pg_trip trip;
};

#define NOW_MS "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
#define SOLE_LOCK "SELECT pg_advisory_xact_lock(7230816934450262118)"

/* ---- back to its loop ---- */

static void tell_done(struct loop_task *task)
{
    struct ledger_beat *beat = CONTAINER_OF(task, struct ledger_beat, task);

    beat->done(beat);
}

static struct loop *loop_of(const struct ledger_beat *beat)
{
    return beat->client->loop;
}

static void beat_over(struct ledger_beat *beat, enum err e)
{
    beat->err = e == ERR_OK || e == ERR_NOMEM ? e : ERR_UNAVAILABLE;
    beat->task.run = tell_done;
    loop_send(loop_of(beat), &beat->task);
}

static void over(struct pg_beat *self, enum err e)
{
    struct pg_ledger *ledger = self->ledger;

    pg_exchange_fini(&self->exchange);
    if (self->conn)
        pg_pool_return(ledger->pool, TAKE(self->conn));
    beat_over(self->beat, e);
    trip_fini(&self->trip);
    mem_free(self);
    ledger->beats--;
    ledger->look = true;
}

/* ---- asking ---- */

#define OTHERS "SELECT 1 FROM servers WHERE server_id <> $1 AND lease_until > " NOW_MS

static void add_lease(struct pg_trip *trip, const struct ledger_beat *beat)
{
    if (beat->sole)
        trip_add(trip, BEAT_NOTHING, SOLE_LOCK);
    if (beat->leave || beat->sole) {
        trip_add(trip, BEAT_NOTHING,
                 beat->leave ? "DELETE FROM servers WHERE server_id = $1"
                             : "DELETE FROM servers WHERE server_id = $1 AND EXISTS (" OTHERS ")");
        trip_int(trip, beat->server_id);
    }
    if (beat->leave)
        return;
    trip_add(trip, BEAT_NOTHING,
             beat->sole
                 ? "INSERT INTO servers (server_id, url, lease_until) SELECT $1, $2, " NOW_MS
                   " + $3 WHERE NOT EXISTS (" OTHERS ") ON CONFLICT (server_id)"
                   " DO UPDATE SET url = excluded.url, lease_until = excluded.lease_until"
                 : "INSERT INTO servers (server_id, url, lease_until) VALUES ($1, $2, " NOW_MS
                   " + $3) ON CONFLICT (server_id)"
                   " DO UPDATE SET url = excluded.url, lease_until = excluded.lease_until");
    trip_int(trip, beat->server_id);
    trip_text(trip, str_from(beat->url));
    trip_int(trip, beat->lease_ms);
}

/* Of no more use: what was handed in of earlier epochs, and servers that died long ago. Whoever
 * else is at it is not waited for. */
static void add_tidying(struct pg_trip *trip)
{
    trip_add(trip, BEAT_NOTHING,
             "DELETE FROM hand_ins WHERE (coupon_id, epoch, server_id) IN"
             " (SELECT h.coupon_id, h.epoch, h.server_id FROM hand_ins h JOIN coupons c"
             " USING (coupon_id) WHERE h.epoch < c.epoch FOR UPDATE OF h SKIP LOCKED)");
    trip_add(trip, BEAT_NOTHING,
             "DELETE FROM servers WHERE server_id IN (SELECT server_id FROM servers"
             " WHERE lease_until < " NOW_MS " - 3600000 FOR UPDATE SKIP LOCKED)");
}

static void add_hand_ins(struct pg_trip *trip, const struct ledger_beat *beat)
{
    if (beat->hand_in_count == 0)
        return;
    trip_add(trip, BEAT_NOTHING,
             "INSERT INTO hand_ins (coupon_id, epoch, server_id) SELECT h.*, $3 FROM"
             " unnest($1::bigint[], $2::bigint[]) h ORDER BY 1, 2 ON CONFLICT DO NOTHING");
    unsigned at = trip_arrays(trip, "ii");
    for (size_t i = 0; i < beat->hand_in_count; i++) {
        trip_put(trip, at, beat->hand_ins[i].coupon_id);
        trip_put(trip, at + 1, beat->hand_ins[i].epoch);
    }
    trip_int(trip, beat->server_id);
    add_tidying(trip);
}

static void add_coupons(struct pg_trip *trip, const struct ledger_beat *beat)
{
    trip_add(trip, BEAT_COUPONS,
             "SELECT " PG_COUPON_COLUMNS " FROM coupons c WHERE NOT EXISTS (SELECT 1 FROM"
             " unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])"
             " AS k(coupon_id, version, epoch, closing) WHERE k.coupon_id = c.coupon_id"
             " AND k.version = c.version AND k.epoch = c.epoch AND k.closing = c.closing)"
             " ORDER BY coupon_id");
    unsigned at = trip_arrays(trip, "iiii");
    for (size_t i = 0; i < beat->known_count; i++) {
        trip_put(trip, at, beat->known[i].coupon_id);
        trip_put(trip, at + 1, beat->known[i].version);
        trip_put(trip, at + 2, beat->known[i].epoch);
        trip_put(trip, at + 3, beat->known[i].closing);
    }
}

static void add_all(struct pg_beat *self)
{
    struct pg_trip *trip = &self->trip;
    const struct ledger_beat *beat = self->beat;

    trip_add(trip, BEAT_NOTHING, "BEGIN");
    trip_add(trip, BEAT_NOTHING, self->ledger->settings_sql);
    add_lease(trip, beat);
    add_hand_ins(trip, beat);
    trip_add(trip, BEAT_NOTHING, "COMMIT");
    trip_add(trip, BEAT_NOTHING, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    trip_add(trip, BEAT_SERVERS,
             "SELECT count(*), min(url) FILTER (WHERE server_id <> $1), " NOW_MS ","
             " substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) FROM servers"
             " WHERE lease_until > " NOW_MS);
    trip_int(trip, beat->server_id);
    add_coupons(trip, beat);
    trip_add(
        trip, BEAT_CLOSINGS,
        "SELECT c.coupon_id, c.epoch, (SELECT count(*) FROM servers s WHERE s.lease_until > " NOW_MS
        " AND NOT EXISTS (SELECT 1 FROM hand_ins h WHERE h.coupon_id = c.coupon_id"
        " AND h.epoch = c.epoch AND h.server_id = s.server_id)) FROM coupons c"
        " WHERE c.closing <> 0 ORDER BY 1");
    trip_add(trip, BEAT_NOTHING, "COMMIT");
}

/* ---- taking ---- */

static void take_servers(struct ledger_beat *beat, const PGresult *result)
{
    struct str other = trip_get_text(result, 0, 1);

    beat->live = trip_get(result, 0, 0);
    beat->refused = beat->sole && other.ptr;
    str_cstr(other, beat->other_url, sizeof beat->other_url);
    beat->database_ms = trip_get(result, 0, 2);
    str_cstr(trip_get_text(result, 0, 3), beat->timeline, sizeof beat->timeline);
}

static enum err take_coupons(struct ledger_beat *beat, const PGresult *result)
{
    beat->coupon_count = (size_t)PQntuples(result);
    beat->coupons = arena_alloc(beat->arena, (beat->coupon_count + 1) * sizeof *beat->coupons);
    if (!beat->coupons)
        return ERR_NOMEM;
    for (size_t i = 0; i < beat->coupon_count; i++)
        ledger_pg_coupon(result, (int)i, &beat->coupons[i]);
    return ERR_OK;
}

static enum err take_closings(struct ledger_beat *beat, const PGresult *result)
{
    beat->closing_count = (size_t)PQntuples(result);
    beat->closings = arena_alloc(beat->arena, (beat->closing_count + 1) * sizeof *beat->closings);
    if (!beat->closings)
        return ERR_NOMEM;
    for (size_t i = 0; i < beat->closing_count; i++)
        beat->closings[i] = (struct ledger_closing){ .coupon_id = trip_get(result, (int)i, 0),
                                                     .epoch = trip_get(result, (int)i, 1),
                                                     .waiting_for = trip_get(result, (int)i, 2) };
    return ERR_OK;
}

static enum err take_all(struct pg_beat *self)
{
    for (size_t i = 0; i < self->trip.count; i++) {
        const PGresult *result = self->exchange.results[i];
        switch ((enum beat_tag)self->trip.tags[i]) {
        case BEAT_NOTHING:
            break;
        case BEAT_SERVERS:
            take_servers(self->beat, result);
            break;
        case BEAT_COUPONS:
            TRY(take_coupons(self->beat, result));
            break;
        case BEAT_CLOSINGS:
            TRY(take_closings(self->beat, result));
            break;
        }
    }
    return ERR_OK;
}

/* ---- the round trip ---- */

static void answered(struct pg_exchange *exchange)
{
    struct pg_beat *self = CONTAINER_OF(exchange, struct pg_beat, exchange);

    enum err e = exchange->err;

    /* A lease that a standby does not have ends with a fail-over. */
    if (e == ERR_OK)
        e = exchange->not_replicated ? ERR_UNAVAILABLE : take_all(self);
    over(self, e);
}

static void borrowed(struct pg_borrow *borrow)
{
    struct pg_beat *self = CONTAINER_OF(borrow, struct pg_beat, borrow);

    if (borrow->err != ERR_OK) {
        over(self, borrow->err);
        return;
    }
    self->conn = borrow->conn;
    add_all(self);
    if (trip_finish(&self->trip) != ERR_OK) {
        over(self, ERR_NOMEM);
        return;
    }
    self->exchange = (struct pg_exchange){ .done = answered,
                                           .statements = self->trip.statements,
                                           .count = self->trip.count,
                                           .deadline_ms = self->beat->deadline_ms };
    pg_exchange(self->conn, &self->exchange);
}

/* On the store loop. */
static void arrived(struct loop_task *task)
{
    struct ledger_beat *beat = CONTAINER_OF(task, struct ledger_beat, task);
    struct pg_ledger *ledger = CONTAINER_OF(beat->client->ledger, struct pg_ledger, base);
    struct pg_beat *self = mem_alloc(sizeof *self);

    if (!self) {
        beat_over(beat, ERR_NOMEM);
        return;
    }
    self->ledger = ledger;
    self->beat = beat;
    self->borrow = (struct pg_borrow){ .done = borrowed,
                                       .share = POOL_READS,
                                       .deadline_ms = beat->deadline_ms };
    ledger->beats++;
    PG_BORROW(ledger->pool, &self->borrow);
}

void ledger_pg_beat(struct ledger_client *client, struct ledger_beat *beat)
{
    struct pg_ledger *ledger = CONTAINER_OF(client->ledger, struct pg_ledger, base);

    beat->client = client;
    if (ledger_has_fault(&ledger->base)) {
        beat->err = ERR_UNAVAILABLE;
        beat->task.run = tell_done;
        loop_post(loop_of(beat), &beat->task);
        return;
    }
    beat->task.run = arrived;
    loop_send(ledger->loop, &beat->task);
}
