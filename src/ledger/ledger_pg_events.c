// SPDX-License-Identifier: Apache-2.0
/* Events into the database, and what is done with them: one statement for all commands of a kind.
 */
#include "ledger/ledger_pg_events.h"

#include "ledger/ledger_pg_internal.h"
#include "ledger/ledger_pg_store.h"

/* ---- those that the batch has made (those of places are made where places are stored) ---- */

static void put_id(struct pg_trip *trip, unsigned at, const struct ledger_event_id *id)
{
    trip_put(trip, at, (int64_t)id->kind);
    trip_put(trip, at + 1, id->key_id);
    trip_put(trip, at + 2, id->number);
}

void ledger_pg_event_consumer_add(struct pg_trip *trip, unsigned consumers,
                                  enum ledger_consumer consumer)
{
    if (consumers & LEDGER_CONSUMER_BIT(consumer))
        trip_null(trip);
    else
        trip_int(trip, 0);
}

void ledger_pg_events_add(struct pg_writer *writer)
{
    const struct ledger_rows *rows = &writer->rows;
    struct pg_trip *trip = &writer->trip;

    if (rows->event_count == 0)
        return;
    trip_add(trip, PG_STORE_ROWS,
             "INSERT INTO events (kind, key_id, number, type, subject_id, occurred_at, stream_at,"
             " webhook_at) SELECT e.*, $7, $8 FROM unnest($1::bigint[], $2::bigint[],"
             " $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[]) e");
    unsigned at = trip_arrays(trip, "iiiiii");
    for (size_t i = 0; i < rows->event_count; i++) {
        const struct ledger_event_row *event = &rows->events[i];
        put_id(trip, at, &event->id);
        trip_put(trip, at + 3, (int64_t)event->type);
        trip_put(trip, at + 4, event->subject_id);
        trip_put(trip, at + 5, event->occurred_at_ms);
    }
    ledger_pg_event_consumer_add(trip, rows->consumers, LEDGER_STREAM);
    ledger_pg_event_consumer_add(trip, rows->consumers, LEDGER_WEBHOOK);
}

/* ---- commands ---- */

#define MARKED(mark)                                                  \
    "UPDATE events SET " mark " = $4 WHERE (kind, key_id, number) IN" \
    " (SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])) AND " mark " IS NULL"

static void add_marks(struct pg_writer *writer, enum ledger_consumer consumer)
{
    struct pg_trip *trip = &writer->trip;
    struct ledger_command *command;
    unsigned at = 0;
    bool any = false;

    LIST_FOREACH (command, &writer->batch, struct ledger_command, node) {
        const struct ledger_events_mark *mark = &command->events_mark;
        if (command->op != LEDGER_EVENTS_MARK || mark->consumer != consumer || mark->count == 0)
            continue;
        if (!any) {
            trip_add(trip, PG_STORE_ROWS,
                     consumer == LEDGER_STREAM ? MARKED("stream_at") : MARKED("webhook_at"));
            at = trip_arrays(trip, "iii");
            any = true;
        }
        for (size_t i = 0; i < mark->count; i++)
            put_id(trip, at, &mark->ids[i]);
    }
    if (any)
        trip_int(trip, MAX(writer->rows.now_ms, 1));
}

static void add_deaths(struct pg_writer *writer)
{
    struct pg_trip *trip = &writer->trip;
    struct ledger_command *command;
    unsigned at = 0;
    bool any = false;

    LIST_FOREACH (command, &writer->batch, struct ledger_command, node) {
        const struct ledger_event_die *die = &command->event_die;
        if (command->op != LEDGER_EVENT_DIE)
            continue;
        if (!any) {
            trip_add(trip, PG_STORE_ROWS,
                     "INSERT INTO dead_events (kind, key_id, number, consumer, tries, why, died_at)"
                     " SELECT kind, key_id, number, d.consumer, d.tries, d.why, $7 FROM"
                     " unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[],"
                     " $5::bigint[], $6::text[]) AS d(kind, key_id, number, consumer, tries, why)"
                     " JOIN events e USING (kind, key_id, number)"
                     " WHERE CASE d.consumer WHEN 0 THEN e.stream_at ELSE e.webhook_at END IS NULL"
                     " ON CONFLICT DO NOTHING");
            at = trip_arrays(trip, "iiiiit");
            any = true;
        }
        put_id(trip, at, &die->id);
        trip_put(trip, at + 3, (int64_t)die->consumer);
        trip_put(trip, at + 4, die->tries);
        trip_put_text(trip, at + 5, die->why.ptr ? die->why : STR(""));
    }
    if (any)
        trip_int(trip, writer->rows.now_ms);
}

static void add_revivals(struct pg_writer *writer)
{
    struct pg_trip *trip = &writer->trip;
    struct ledger_command *command;
    unsigned at = 0;
    bool any = false;

    LIST_FOREACH (command, &writer->batch, struct ledger_command, node) {
        if (command->op != LEDGER_EVENT_REVIVE)
            continue;
        if (!any) {
            trip_add(trip, PG_STORE_REVIVED,
                     "WITH gone AS (DELETE FROM dead_events d USING unnest($1::bigint[],"
                     " $2::bigint[]) AS a(dead_id, skip) WHERE d.dead_id = a.dead_id"
                     " RETURNING d.*, a.skip), skipped AS (SELECT kind, key_id, number,"
                     " bool_or(consumer = 0) AS stream, bool_or(consumer = 1) AS webhook"
                     " FROM gone WHERE skip = 1 GROUP BY 1, 2, 3), marked AS (UPDATE events e SET"
                     " stream_at = CASE WHEN s.stream THEN coalesce(stream_at, $3) ELSE stream_at"
                     " END, webhook_at = CASE WHEN s.webhook THEN coalesce(webhook_at, $3) ELSE"
                     " webhook_at END FROM skipped s WHERE (e.kind, e.key_id, e.number) ="
                     " (s.kind, s.key_id, s.number))"
                     " SELECT g.dead_id, g.consumer, g.tries, g.died_at, e.kind, e.key_id,"
                     " e.number, e.type, e.subject_id, e.occurred_at FROM gone g"
                     " JOIN events e USING (kind, key_id, number)");
            at = trip_arrays(trip, "ii");
            any = true;
        }
        trip_put(trip, at, command->event_revive.dead_id);
        trip_put(trip, at + 1, command->event_revive.skip);
    }
    if (any)
        trip_int(trip, MAX(writer->rows.now_ms, 1));
}

/* Alone in its batch, as are leases. */
static void add_forget(struct pg_writer *writer, const struct ledger_events_forget *forget)
{
    trip_add(&writer->trip, PG_STORE_FORGOTTEN_EVENTS,
             "DELETE FROM events WHERE (kind, key_id, number) IN (SELECT kind, key_id, number"
             " FROM events WHERE stream_at IS NOT NULL AND webhook_at IS NOT NULL"
             " AND greatest(stream_at, webhook_at) < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)");
    trip_int(&writer->trip, writer->rows.now_ms - forget->keep_ms);
    trip_int(&writer->trip, LEDGER_EVENTS_FORGET_PIECE);
}

static void add_lease(struct pg_writer *writer, const struct ledger_relay_lease *lease)
{
    struct pg_trip *trip = &writer->trip;

    trip_add(trip, PG_STORE_LEASED,
             lease->lease_ms
                 ? "INSERT INTO event_relays AS r (consumer, owner, lease_until)"
                   " VALUES ($1, $2, $3 + $4) ON CONFLICT (consumer) DO UPDATE SET owner = $2,"
                   " lease_until = $3 + $4 WHERE r.owner = $2 OR r.lease_until <= $3"
                 : "DELETE FROM event_relays WHERE consumer = $1 AND owner = $2");
    trip_int(trip, (int64_t)lease->consumer);
    trip_int(trip, lease->owner);
    if (lease->lease_ms) {
        trip_int(trip, writer->rows.now_ms);
        trip_int(trip, lease->lease_ms);
    }
}

void ledger_pg_event_commands_add(struct pg_writer *writer)
{
    const struct ledger_command *first =
        CONTAINER_OF(writer->batch.next, struct ledger_command, node);

    if (first->op == LEDGER_EVENTS_FORGET)
        add_forget(writer, &first->events_forget);
    if (first->op == LEDGER_RELAY_LEASE)
        add_lease(writer, &first->relay_lease);
    add_marks(writer, LEDGER_STREAM);
    add_marks(writer, LEDGER_WEBHOOK);
    add_deaths(writer);
    add_revivals(writer);
}

static bool find_revived(const PGresult *result, struct ledger_dead_event *event)
{
    for (int i = 0; i < PQntuples(result); i++) {
        if (trip_get(result, i, 0) != event->dead_id)
            continue;
        event->consumer = (enum ledger_consumer)trip_get(result, i, 1);
        event->tries = trip_get(result, i, 2);
        event->died_at_ms = trip_get(result, i, 3);
        event->row = (struct ledger_event_row){
            .id = { (enum ledger_event_kind)trip_get(result, i, 4), trip_get(result, i, 5),
                    trip_get(result, i, 6) },
            .type = (enum ledger_event_type)trip_get(result, i, 7),
            .subject_id = trip_get(result, i, 8),
            .occurred_at_ms = trip_get(result, i, 9),
        };
        return true;
    }
    return false;
}

void ledger_pg_events_revived(struct pg_writer *writer, const PGresult *result)
{
    struct ledger_command *command;

    LIST_FOREACH (command, &writer->batch, struct ledger_command, node) {
        struct ledger_event_revive *revive = &command->event_revive;
        if (command->op != LEDGER_EVENT_REVIVE)
            continue;
        revive->event = (struct ledger_dead_event){ .dead_id = revive->dead_id };
        revive->found = find_revived(result, &revive->event);
    }
}
