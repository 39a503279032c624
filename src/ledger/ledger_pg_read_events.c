// SPDX-License-Identifier: Apache-2.0
/*
 * Reads of events. Keys with something to deliver are found by going from key to key in the index
 * of what a consumer does not have: one look-up for each key, however much is waiting behind it.
 */
#include "ledger/ledger_pg_events.h"
#include "ledger/ledger_pg_internal.h"

/* $1 kind, $2 key_id, $3 limit */
#define HEADS(mark, consumer)                                                                 \
    "WITH RECURSIVE keys AS ((SELECT kind, key_id FROM events WHERE " mark " IS NULL"         \
    " AND (kind, key_id) > ($1, $2) ORDER BY kind, key_id LIMIT 1) UNION ALL"                 \
    " SELECT n.* FROM keys k CROSS JOIN LATERAL (SELECT kind, key_id FROM events WHERE " mark \
    " IS NULL AND (kind, key_id) > (k.kind, k.key_id) ORDER BY kind, key_id LIMIT 1) n)"      \
    " SELECT k.kind, k.key_id, e.number, e.occurred_at, coalesce(d.dead_id, 0)"               \
    " FROM (SELECT * FROM keys LIMIT $3) k CROSS JOIN LATERAL (SELECT number, occurred_at"    \
    " FROM events e WHERE " mark " IS NULL AND e.kind = k.kind AND e.key_id = k.key_id"       \
    " ORDER BY number LIMIT 1) e LEFT JOIN dead_events d ON d.consumer = " consumer           \
    " AND d.kind = k.kind AND d.key_id = k.key_id AND d.number = e.number ORDER BY 1, 2"

/* $1, $2, $3 keys, $4 limit of each */
#define EVENTS(mark, consumer)                                                               \
    "SELECT e.kind, e.key_id, e.number, e.occurred_at, coalesce(d.dead_id, 0), e.type,"      \
    " e.subject_id, h.coupon_id, h.slot, h.user_id, h.user_coupon_id, h.issued_at,"          \
    " h.expires_at, h.uses, h.used_at, o.order_id, o.user_id, o.status, o.coupon_id,"        \
    " o.subtotal, o.discount, o.created_at, o.paid_at, o.cancelled_at, o.sold_day,"          \
    " o.transaction_id, o.attempts, o.open_attempt, l.product_id, l.quantity, l.unit_price," \
    " l.name, k.n FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) WITH ORDINALITY"     \
    " AS k(kind, key_id, after, n) CROSS JOIN LATERAL (SELECT * FROM events e WHERE " mark   \
    " IS NULL AND e.kind = k.kind AND e.key_id = k.key_id AND e.number > k.after"            \
    " ORDER BY number LIMIT $4) e LEFT JOIN dead_events d ON d.consumer = " consumer         \
    " AND d.kind = e.kind AND d.key_id = e.key_id AND d.number = e.number"                   \
    " LEFT JOIN user_coupons h ON e.type = 1 AND h.coupon_id = e.key_id"                     \
    " AND h.slot = e.subject_id LEFT JOIN orders o ON e.type IN (2, 3)"                      \
    " AND o.order_id = e.subject_id LEFT JOIN order_lines l ON l.order_id = o.order_id"      \
    " ORDER BY k.n, e.number, l.product_id"
enum { HELD_COLUMN = 7, ORDER_COLUMN = 15, LINE_COLUMN = 28, KEY_COLUMN = 32 };

#define COUNT(mark)                                                                               \
    "SELECT (SELECT count(*) FROM (SELECT 1 FROM events WHERE " mark " IS NULL LIMIT 100000) e)," \
    " (SELECT count(*) FROM dead_events WHERE consumer = $1)"

static void add_events(struct pg_trip *trip, const struct ledger_read *read)
{
    const struct ledger_events_read *events = &read->events;

    trip_add(trip, 0,
             events->consumer == LEDGER_STREAM ? EVENTS("stream_at", "0")
                                               : EVENTS("webhook_at", "1"));
    unsigned at = trip_arrays(trip, "iii");
    for (size_t i = 0; i < events->key_count; i++) {
        trip_put(trip, at, (int64_t)events->keys[i].kind);
        trip_put(trip, at + 1, events->keys[i].key_id);
        trip_put(trip, at + 2, events->keys[i].number);
    }
    trip_int(trip, read->limit);
}

bool ledger_pg_read_events_add(struct pg_trip *trip, const struct ledger_read *read)
{
    const struct ledger_events_read *events = &read->events;
    bool stream = events->consumer == LEDGER_STREAM;

    _Static_assert(LEDGER_EVENTS_COUNTED_MAX == 100000, "the statement says it, too");
    switch (read->op) {
    case LEDGER_READ_EVENT_HEADS:
        trip_add(trip, 0, stream ? HEADS("stream_at", "0") : HEADS("webhook_at", "1"));
        trip_int(trip, (int64_t)events->after.kind);
        trip_int(trip, events->after.key_id);
        trip_int(trip, read->limit);
        return true;
    case LEDGER_READ_EVENTS:
        add_events(trip, read);
        return true;
    case LEDGER_READ_EVENTS_DEAD:
        trip_add(trip, 0,
                 "SELECT p.*, c.n FROM (SELECT count(*) AS n FROM dead_events) c LEFT JOIN (SELECT"
                 " d.dead_id, d.consumer, d.kind, d.key_id, d.number, e.type, e.subject_id,"
                 " e.occurred_at, d.tries, d.died_at, d.why FROM dead_events d"
                 " JOIN events e USING (kind, key_id, number) WHERE d.dead_id > $1"
                 " ORDER BY d.dead_id LIMIT $2) p ON true ORDER BY p.dead_id");
        trip_int(trip, read->after);
        trip_int(trip, read->limit + 1);
        return true;
    case LEDGER_READ_EVENT_COUNT:
        trip_add(trip, 0, stream ? COUNT("stream_at") : COUNT("webhook_at"));
        trip_int(trip, (int64_t)events->consumer);
        return true;
    default:
        return false;
    }
}

/* ---- taking ---- */

static enum err take_heads(struct ledger_read *read, const PGresult *result)
{
    struct ledger_events_read *events = &read->events;

    events->head_count = (size_t)PQntuples(result);
    read->more = events->head_count >= (size_t)read->limit;
    events->heads = arena_alloc(read->arena, (events->head_count + 1) * sizeof *events->heads);
    if (!events->heads)
        return ERR_NOMEM;
    for (int i = 0; i < PQntuples(result); i++)
        events->heads[i] = (struct ledger_event_head){
            .id = { (enum ledger_event_kind)trip_get(result, i, 0), trip_get(result, i, 1),
                    trip_get(result, i, 2) },
            .occurred_at_ms = trip_get(result, i, 3),
            .dead_id = trip_get(result, i, 4),
        };
    return ERR_OK;
}

static enum err take_held(struct arena *arena, const PGresult *result, int row,
                          struct ledger_event *event)
{
    struct ledger_held *held = arena_alloc(arena, sizeof *held);

    if (!held)
        return ERR_NOMEM;
    ledger_pg_held(result, row, HELD_COLUMN, held);
    event->held = held;
    return ERR_OK;
}

/* With its lines, in this row and those behind it. */
static enum err take_order(struct arena *arena, const PGresult *result, int row, int end,
                           struct ledger_event *event)
{
    struct ledger_order *order = arena_alloc(arena, sizeof *order);

    if (!order)
        return ERR_NOMEM;
    TRY(ledger_pg_order(arena, result, row, ORDER_COLUMN, order));
    for (; row < end; row++)
        if (!trip_is_null(result, row, LINE_COLUMN))
            TRY(ledger_pg_line(arena, result, row, LINE_COLUMN, order));
    event->order = order;
    return ERR_OK;
}

static enum err take_event(struct arena *arena, const PGresult *result, int row, int end,
                           struct ledger_event *event)
{
    *event = (struct ledger_event){
        .row = { .id = { (enum ledger_event_kind)trip_get(result, row, 0), trip_get(result, row, 1),
                         trip_get(result, row, 2) },
                 .occurred_at_ms = trip_get(result, row, 3),
                 .type = (enum ledger_event_type)trip_get(result, row, 5),
                 .subject_id = trip_get(result, row, 6) },
        .dead_id = trip_get(result, row, 4),
    };
    if (event->dead_id)
        return ERR_OK;
    if (!trip_is_null(result, row, HELD_COLUMN))
        return take_held(arena, result, row, event);
    return trip_is_null(result, row, ORDER_COLUMN) ? ERR_OK
                                                   : take_order(arena, result, row, end, event);
}

/* The first row behind those of the same event. */
static int event_end(const PGresult *result, int row)
{
    int64_t key = trip_get(result, row, KEY_COLUMN), number = trip_get(result, row, 2);

    while (row < PQntuples(result) && trip_get(result, row, KEY_COLUMN) == key &&
           trip_get(result, row, 2) == number)
        row++;
    return row;
}

/* Of each key up to a dead one. */
static enum err take_events(struct ledger_read *read, const PGresult *result)
{
    struct ledger_events_read *events = &read->events;
    int64_t dead_key = 0;

    events->event_count = 0;
    events->events =
        arena_alloc(read->arena, ((size_t)PQntuples(result) + 1) * sizeof *events->events);
    if (!events->events)
        return ERR_NOMEM;
    for (int row = 0, end; row < PQntuples(result); row = end) {
        end = event_end(result, row);
        if (trip_get(result, row, KEY_COLUMN) == dead_key)
            continue;
        struct ledger_event *event = &events->events[events->event_count++];
        TRY(take_event(read->arena, result, row, end, event));
        if (event->dead_id)
            dead_key = trip_get(result, row, KEY_COLUMN);
    }
    return ERR_OK;
}

enum { TOTAL_COLUMN = 11 };

/* One row more than the limit only sets `more`; where there is none, one only has the total. */
static enum err take_dead(struct ledger_read *read, const PGresult *result)
{
    struct ledger_events_read *events = &read->events;
    size_t rows = PQgetisnull(result, 0, 0) ? 0 : (size_t)PQntuples(result);

    events->dead_total = trip_get(result, 0, TOTAL_COLUMN);
    events->dead_count = MIN(rows, (size_t)read->limit);
    read->more = rows > (size_t)read->limit;
    events->dead = arena_alloc(read->arena, (events->dead_count + 1) * sizeof *events->dead);
    if (!events->dead)
        return ERR_NOMEM;
    for (int i = 0; i < (int)events->dead_count; i++) {
        events->dead[i] = (struct ledger_dead_event){
            .dead_id = trip_get(result, i, 0),
            .consumer = (enum ledger_consumer)trip_get(result, i, 1),
            .row = { .id = { (enum ledger_event_kind)trip_get(result, i, 2), trip_get(result, i, 3),
                             trip_get(result, i, 4) },
                     .type = (enum ledger_event_type)trip_get(result, i, 5),
                     .subject_id = trip_get(result, i, 6),
                     .occurred_at_ms = trip_get(result, i, 7) },
            .tries = trip_get(result, i, 8),
            .died_at_ms = trip_get(result, i, 9),
        };
        TRY(trip_copy_text(read->arena, result, i, 10, &events->dead[i].why));
    }
    return ERR_OK;
}

enum err ledger_pg_read_events_take(struct ledger_read *read, const PGresult *result)
{
    switch (read->op) {
    case LEDGER_READ_EVENT_HEADS:
        return take_heads(read, result);
    case LEDGER_READ_EVENTS:
        return take_events(read, result);
    case LEDGER_READ_EVENTS_DEAD:
        return take_dead(read, result);
    default:
        read->events.undelivered = trip_get(result, 0, 0);
        read->events.dead_total = trip_get(result, 0, 1);
        return ERR_OK;
    }
}
