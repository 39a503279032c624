// SPDX-License-Identifier: Apache-2.0
/*
 * Places. The fences of the database say which are stored: one row per slot, one row per user, no
 * slot above the quantity.
 *
 * Where nobody has tried to store any of the batch's before, they are simply inserted, and the
 * witness takes them: a third of the work. If one meets a fence, nothing of the batch is stored,
 * and it is tried again with care: one statement inserts those that can be, has the witness take
 * what went in, and only that, and says whose row each user has now.
 */
#include "base/assert.h"
#include "ledger/ledger_pg_internal.h"
#include "ledger/ledger_pg_store.h"

/* ---- with care ---- */

/* A sum modulo 2^64, as bigint. */
#define WRAPPED(sum)                                                \
    "(mod(mod(" sum " + 9223372036854775808, 18446744073709551616)" \
    " + 18446744073709551616, 18446744073709551616) - 9223372036854775808)::bigint"

/* What goes in. */
#define STORED                                                                                \
    "WITH p AS (SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]," \
    " $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[]) WITH ORDINALITY"  \
    " AS p(coupon_id, slot, user_id, user_coupon_id, issued_at, expires_at, uses, hash,"      \
    " tried, n)), stored AS (INSERT INTO user_coupons (coupon_id, slot, user_id,"             \
    " user_coupon_id, issued_at, expires_at, uses, used_at)"                                  \
    " SELECT p.coupon_id, p.slot, p.user_id, p.user_coupon_id, p.issued_at, p.expires_at,"    \
    " p.uses, CASE WHEN p.uses > 0 THEN p.issued_at ELSE 0 END"                               \
    " FROM p JOIN coupons c ON c.coupon_id = p.coupon_id AND p.slot <= c.total_quantity"      \
    " WHERE p.tried = 1 ORDER BY p.n ON CONFLICT DO NOTHING"                                  \
    " RETURNING coupon_id, slot, user_id, user_coupon_id, issued_at, expires_at),"
/* Each is an event of its coupon, with the next number. */
#define EVENTS                                                                           \
    " told AS (INSERT INTO events (kind, key_id, number, type, subject_id, occurred_at," \
    " stream_at, webhook_at) SELECT 1, coupon_id, c.events + row_number() OVER"          \
    " (PARTITION BY coupon_id ORDER BY s.user_coupon_id), 1, s.slot, s.issued_at, $10,"  \
    " $11 FROM stored s JOIN coupons c USING (coupon_id)),"
/* Of those that were tried: one of an older epoch has the number that the next one got, too. */
#define WITNESS(events)                                                                     \
    " sums AS (SELECT stored.coupon_id, count(*) AS rows, max(stored.slot) AS highest,"     \
    " sum(p.hash) AS hash FROM stored JOIN p USING (coupon_id, user_coupon_id)"             \
    " WHERE p.tried = 1 GROUP BY 1),"                                                       \
    " kept AS (UPDATE coupons c SET issued = c.issued + sums.rows,"                         \
    " highest_slot = greatest(c.highest_slot, sums.highest)," events " witness = " WRAPPED( \
        "c.witness + sums.hash") " FROM sums WHERE c.coupon_id = sums.coupon_id)"
/* Whose row each user has now: one that went in, or one that was there before. That is looked for
 * only where none went in, and by the user: the planner takes the other index for as good while it
 * knows little of the table, and reads all rows of the coupon for each of them. */
#define LOOK                                                                               \
    " SELECT p.n, coalesce(s.slot, h.slot), coalesce(s.user_coupon_id, h.user_coupon_id)," \
    " coalesce(s.issued_at, h.issued_at), coalesce(s.expires_at, h.expires_at)"            \
    " FROM p LEFT JOIN stored s ON s.coupon_id = p.coupon_id AND s.user_id = p.user_id"    \
    " LEFT JOIN LATERAL (SELECT * FROM user_coupons h WHERE s.slot IS NULL"                \
    " AND h.user_id = p.user_id AND h.coupon_id + 0 = p.coupon_id OFFSET 0) h ON TRUE"     \
    " WHERE coalesce(s.slot, h.slot) IS NOT NULL ORDER BY p.n"

/* Of a coupon that there is: the others are decided. */
static bool is_of_coupon(struct ledger_rows *rows, const struct ledger_command *command)
{
    return command->op == LEDGER_PLACE &&
           ledger_rows_coupon(rows, command->place.coupon_id)->row.found;
}

static void put_row(struct pg_trip *trip, unsigned at, const struct ledger_place *place)
{
    trip_put(trip, at, place->coupon_id);
    trip_put(trip, at + 1, place->slot);
    trip_put(trip, at + 2, place->user_id);
    trip_put(trip, at + 3, place->user_coupon_id);
    trip_put(trip, at + 4, place->issued_at_ms);
    trip_put(trip, at + 5, place->expires_at_ms);
    trip_put(trip, at + 6, place->uses);
}

static void put_place(struct pg_trip *trip, unsigned at, const struct ledger_place *place)
{
    struct witness alone = { 0 };

    witness_add(&alone, place->slot, place->user_id);
    put_row(trip, at, place);
    trip_put(trip, at + 7, (int64_t)alone.hash);
    trip_put(trip, at + 8, place->outcome != LEDGER_PLACE_STALE);
}

/* All of the batch, each with `put`. */
static void put_places(struct pg_writer *writer, const char *kinds,
                       void (*put)(struct pg_trip *trip, unsigned at,
                                   const struct ledger_place *place))
{
    unsigned at = trip_arrays(&writer->trip, kinds);
    struct ledger_command *command;

    LIST_FOREACH (command, &writer->batch, struct ledger_command, node)
        if (is_of_coupon(&writer->rows, command))
            put(&writer->trip, at, &command->place);
}

static void add_carefully(struct pg_writer *writer)
{
    unsigned consumers = writer->rows.consumers;

    trip_add(&writer->trip, PG_STORE_PLACES,
             consumers ? STORED EVENTS WITNESS(" events = c.events + sums.rows,") LOOK
                       : STORED WITNESS("") LOOK);
    put_places(writer, "iiiiiiiii", put_place);
    if (consumers) {
        ledger_pg_event_consumer_add(&writer->trip, consumers, LEDGER_STREAM);
        ledger_pg_event_consumer_add(&writer->trip, consumers, LEDGER_WEBHOOK);
    }
}

/* ---- simply ---- */

#define INSERTED                                                                              \
    "WITH stored AS (INSERT INTO user_coupons (coupon_id, slot, user_id, user_coupon_id,"     \
    " issued_at, expires_at, uses, used_at) SELECT coupon_id, slot, user_id, user_coupon_id," \
    " issued_at, expires_at, uses, CASE WHEN uses > 0 THEN issued_at ELSE 0 END"              \
    " FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],"      \
    " $6::bigint[], $7::bigint[]) AS p(coupon_id, slot, user_id, user_coupon_id, issued_at,"  \
    " expires_at, uses))"
/* A number above the quantity makes a NULL, which the column refuses; so does a coupon that is not
 * as it was when the batch was decided, if that was a guess. */
#define WITNESSED                                                                       \
    " UPDATE coupons c SET issued = v.issued, witness = v.witness,"                     \
    " highest_slot = CASE WHEN v.highest <= c.total_quantity AND c.version = v.version" \
    " AND c.epoch = v.epoch AND c.issued = v.issued_before"                             \
    " AND c.witness = v.witness_before THEN v.highest END"                              \
    " FROM unnest($8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[],"            \
    " $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[])"                      \
    " AS v(coupon_id, issued, witness, highest, version, epoch, issued_before,"         \
    " witness_before) WHERE c.coupon_id = v.coupon_id"

/* What the witness of a coupon is with these places. */
static struct witness witness_with(struct pg_writer *writer, const struct ledger_coupon_row *row)
{
    struct witness witness = row->coupon.witness;
    struct ledger_command *command;

    LIST_FOREACH (command, &writer->batch, struct ledger_command, node)
        if (command->op == LEDGER_PLACE && command->place.coupon_id == row->coupon.coupon_id)
            witness_add(&witness, command->place.slot, command->place.user_id);
    return witness;
}

/* From here on the rows have them, too: whoever tries again loads again. */
static void put_witnesses(struct pg_writer *writer)
{
    const struct ledger_table *table = &writer->rows.coupons;
    struct pg_trip *trip = &writer->trip;
    unsigned at = trip_arrays(trip, "iiiiiiii");

    for (size_t i = 0; i < table->count; i++) {
        struct ledger_coupon_row *row = table->rows[i];
        struct coupon *coupon = &row->coupon;
        struct witness witness = witness_with(writer, row);
        if (witness.issued == coupon->witness.issued)
            continue;
        trip_put(trip, at, coupon->coupon_id);
        trip_put(trip, at + 1, witness.issued);
        trip_put(trip, at + 2, (int64_t)witness.hash);
        trip_put(trip, at + 3, witness.highest);
        trip_put(trip, at + 4, coupon->settings.version);
        trip_put(trip, at + 5, coupon->epoch);
        trip_put(trip, at + 6, coupon->witness.issued);
        trip_put(trip, at + 7, (int64_t)coupon->witness.hash);
        coupon->witness = witness;
    }
}

static void add_simply(struct pg_writer *writer)
{
    trip_add(&writer->trip, PG_STORE_NEW_PLACES, INSERTED WITNESSED);
    put_places(writer, "iiiiiii", put_row);
    put_witnesses(writer);
}

static bool is_new(struct ledger_rows *rows, const struct ledger_place *place)
{
    const struct coupon *coupon = &ledger_rows_coupon(rows, place->coupon_id)->coupon;

    return place->fresh && place->outcome != LEDGER_PLACE_STALE &&
           place->slot <= coupon->settings.total_quantity;
}

/* Nothing but places that are expected to go in. */
static bool are_new(struct pg_writer *writer)
{
    struct ledger_command *command;

    if (writer->tries > 1 || writer->one_by_one || writer->rows.consumers)
        return false;
    LIST_FOREACH (command, &writer->batch, struct ledger_command, node)
        if (is_of_coupon(&writer->rows, command) && !is_new(&writer->rows, &command->place))
            return false;
    return true;
}

void ledger_pg_places_add(struct pg_writer *writer)
{
    struct ledger_command *command;
    bool any = false;

    LIST_FOREACH (command, &writer->batch, struct ledger_command, node)
        any |= is_of_coupon(&writer->rows, command);
    writer->places_new = any && are_new(writer);
    ASSERT(writer->places_new || !writer->recalled);
    if (!any)
        return;
    if (writer->places_new)
        add_simply(writer);
    else
        add_carefully(writer);
}

/* ---- what came of it ---- */

/* The user's row is what was asked for, just now or before; or another one. Numbers are given in
 * the order of the batch: a row with a higher one came later, it was not there yet. */
static void classify(struct ledger_place *place, const PGresult *result, int row)
{
    int64_t slot = trip_get(result, row, 1), user_coupon_id = trip_get(result, row, 2);
    bool tried = place->outcome != LEDGER_PLACE_STALE;

    if (user_coupon_id > place->user_coupon_id ||
        (!tried && user_coupon_id == place->user_coupon_id))
        return;
    place->outcome = user_coupon_id == place->user_coupon_id ? LEDGER_PLACE_STORED
                     : slot == place->slot                   ? LEDGER_PLACE_THERE
                                                             : LEDGER_PLACE_OTHER;
    place->other_slot = slot;
    place->user_coupon_id = user_coupon_id;
    place->issued_at_ms = trip_get(result, row, 3);
    place->expires_at_ms = trip_get(result, row, 4);
}

void ledger_pg_places_take(struct pg_writer *writer, const PGresult *result)
{
    struct ledger_command *command;
    int64_t n = 0;
    int row = 0;

    LIST_FOREACH (command, &writer->batch, struct ledger_command, node) {
        if (!is_of_coupon(&writer->rows, command))
            continue;
        n++; /* without a row it is as it was decided */
        if (row < PQntuples(result) && trip_get(result, row, 0) == n)
            classify(&command->place, result, row++);
    }
}

void ledger_pg_places_new(struct pg_writer *writer)
{
    struct ledger_command *command;

    LIST_FOREACH (command, &writer->batch, struct ledger_command, node)
        if (is_of_coupon(&writer->rows, command))
            command->place.outcome = LEDGER_PLACE_STORED;
}
