// SPDX-License-Identifier: Apache-2.0
/*
 * What a batch changed, into the database: one statement for all rows of a kind, whatever their
 * number. Nothing is waited for here that another writer could be waiting with: what is written was
 * locked when it was loaded; what is new, or only added to, is written in one order by all.
 */
#include "ledger/ledger_pg_store.h"

#include "ledger/ledger_pg_internal.h"

static const struct ledger_coupon_row *coupon_at(const struct ledger_rows *rows, size_t i)
{
    return rows->coupons.rows[i];
}

static void add_coupons_created(struct pg_writer *writer)
{
    struct pg_trip *trip = &writer->trip;

    for (size_t i = 0; i < writer->rows.coupons.count; i++) {
        const struct coupon *coupon = &coupon_at(&writer->rows, i)->coupon;
        if (!coupon_at(&writer->rows, i)->created)
            continue;
        trip_add(trip, PG_STORE_ROWS,
                 "INSERT INTO coupons (" PG_COUPON_COLUMNS ") VALUES"
                 " ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)");
        trip_int(trip, coupon->coupon_id);
        trip_text(trip, str_from(coupon->name));
        trip_int(trip, coupon->discount_rate);
        trip_int(trip, coupon->uses_per_user);
        trip_int(trip, coupon->settings.total_quantity);
        trip_int(trip, coupon->settings.starts_at_ms);
        trip_int(trip, coupon->settings.ends_at_ms);
        trip_int(trip, coupon->settings.closed);
        trip_int(trip, coupon->settings.version);
        trip_int(trip, coupon->epoch);
        trip_int(trip, coupon->witness.issued);
        trip_int(trip, coupon->witness.highest);
        trip_int(trip, (int64_t)coupon->witness.hash);
        trip_int(trip, coupon->closing);
    }
}

/* Settings and epoch only: the witness is added to by the places themselves. */
static void add_coupons_changed(struct pg_writer *writer)
{
    struct pg_trip *trip = &writer->trip;

    for (size_t i = 0; i < writer->rows.coupons.count; i++) {
        const struct coupon *coupon = &coupon_at(&writer->rows, i)->coupon;
        if (!coupon_at(&writer->rows, i)->changed || coupon_at(&writer->rows, i)->created)
            continue;
        trip_add(trip, PG_STORE_ROWS,
                 "UPDATE coupons SET total_quantity = $2, starts_at = $3, ends_at = $4,"
                 " closed = $5, version = $6, epoch = $7, closing = $8 WHERE coupon_id = $1");
        trip_int(trip, coupon->coupon_id);
        trip_int(trip, coupon->settings.total_quantity);
        trip_int(trip, coupon->settings.starts_at_ms);
        trip_int(trip, coupon->settings.ends_at_ms);
        trip_int(trip, coupon->settings.closed);
        trip_int(trip, coupon->settings.version);
        trip_int(trip, coupon->epoch);
        trip_int(trip, coupon->closing);
    }
}

/* ---- commands that write more than the rows they decided on; each is alone in its batch ---- */

static void add_users_piece(struct pg_trip *trip, const struct ledger_users_create *create)
{
    int64_t count, next = ledger_users_piece(create, &count);

    trip_add(trip, PG_STORE_USERS,
             "INSERT INTO users (user_id, username, email, balance) SELECT user_id, $3, $4, $5"
             " FROM generate_series($1::bigint, $2::bigint) AS user_id ON CONFLICT DO NOTHING");
    trip_int(trip, next);
    trip_int(trip, next + (count - 1));
    trip_text(trip, create->username);
    trip_text(trip, create->email);
    trip_int(trip, create->balance);
}

static void add_int(struct pg_trip *trip, const char *sql, int64_t value)
{
    trip_add(trip, PG_STORE_ROWS, sql);
    trip_int(trip, value);
}

/* What another writer has in its hands is left for the next time. */
static void add_forget(struct pg_writer *writer)
{
    static const char *const sql[] = {
        "UPDATE charges SET answer = NULL WHERE (user_id, idempotency_key) IN"
        " (SELECT user_id, idempotency_key FROM charges WHERE answer IS NOT NULL"
        " AND charged_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
        "UPDATE order_keys SET answer = NULL WHERE (user_id, operation, idempotency_key) IN"
        " (SELECT user_id, operation, idempotency_key FROM order_keys WHERE answer IS NOT NULL"
        " AND answered_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
    };

    for (size_t i = 0; i < ARRAY_COUNT(sql); i++) {
        trip_add(&writer->trip, PG_STORE_FORGOTTEN, sql[i]);
        trip_int(&writer->trip, writer->rows.now_ms - LEDGER_ANSWERS_KEPT_MS);
        trip_int(&writer->trip, LEDGER_FORGET_PIECE);
    }
}

static enum err add_command(struct pg_writer *writer, struct ledger_command *command)
{
    switch (command->op) {
    case LEDGER_USERS_CREATE:
        add_users_piece(&writer->trip, &command->users_create);
        return ERR_OK;
    case LEDGER_CLOCK_SET:
        add_int(&writer->trip, "UPDATE store SET clock_offset_ms = $1",
                command->clock_set.offset_ms);
        return ERR_OK;
    case LEDGER_LOAD_DATA_SET:
        add_int(&writer->trip, "UPDATE store SET load_data = $1", (int64_t)command->load_data);
        return ERR_OK;
    case LEDGER_FORGET:
        add_forget(writer);
        return ERR_OK;
    case LEDGER_BOARDS_STORE:
        return ledger_pg_boards_add(writer, &command->boards_store);
    default:
        return ERR_OK;
    }
}

unsigned pg_store_begin(struct pg_store_rows *rows)
{
    if (!rows->any) {
        trip_add(rows->trip, PG_STORE_ROWS, rows->sql);
        rows->at = trip_arrays(rows->trip, rows->kinds);
        rows->any = true;
    }
    return rows->at;
}

/* ---- users, charges ---- */

static void put_user(struct pg_trip *trip, unsigned at, const struct ledger_user_row *row)
{
    trip_put(trip, at, row->row.key.a);
    trip_put(trip, at + 1, row->balance);
    trip_put(trip, at + 2, row->held);
    trip_put(trip, at + 3, row->incoming);
    for (unsigned status = 0; status < ORDER_STATUS_N; status++)
        trip_put(trip, at + 4 + status, row->orders[status]);
    trip_put(trip, at + 7, row->has_cart);
    trip_put(trip, at + 8, row->events);
}

#define USER_ARRAYS                                                                \
    "unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]," \
    " $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[])"

static void add_users(struct pg_writer *writer, bool found)
{
    const struct ledger_table *table = &writer->rows.users;
    struct pg_store_rows users = {
        .trip = &writer->trip,
        .sql = found ? "UPDATE users u SET balance = v.balance, held = v.held,"
                       " incoming = v.incoming, orders_pending = v.pending,"
                       " orders_completed = v.completed, orders_cancelled = v.cancelled,"
                       " has_cart = v.has_cart, events = v.events FROM " USER_ARRAYS
                       " AS v(user_id, balance, held, incoming, pending, completed,"
                       " cancelled, has_cart, events) WHERE u.user_id = v.user_id"
                     : "INSERT INTO users (user_id, balance, held, incoming, orders_pending,"
                       " orders_completed, orders_cancelled, has_cart, events)"
                       " SELECT * FROM " USER_ARRAYS " ORDER BY 1",
        .kinds = "iiiiiiiii",
    };

    for (size_t i = 0; i < table->count; i++) {
        const struct ledger_user_row *row = table->rows[i];
        if (row->changed && row->row.found == found)
            put_user(users.trip, pg_store_begin(&users), row);
    }
}

static void put_charge(struct pg_trip *trip, unsigned at, const struct ledger_charge_row *row)
{
    trip_put(trip, at, row->row.key.a);
    trip_put_text(trip, at + 1, row->row.key.text);
    trip_put_text(trip, at + 2,
                  (struct str){ (const char *)row->fingerprint, sizeof row->fingerprint });
    trip_put(trip, at + 3, row->amount);
    trip_put(trip, at + 4, row->balance_after);
    trip_put(trip, at + 5, row->charged_at_ms);
    trip_put(trip, at + 6, row->status);
    trip_put(trip, at + 7, row->charge_id);
    trip_put_text(trip, at + 8, row->answer);
}

/* New ones apart from those that were there, as of keys: see add_keys(). */
static void add_charges(struct pg_writer *writer, bool found)
{
#define CHARGES_INSERTED                                                                     \
    "INSERT INTO charges (user_id, idempotency_key, fingerprint, amount, balance_after,"     \
    " charged_at, status, charge_id, answer) SELECT * FROM unnest($1::bigint[], $2::text[]," \
    " $3::bytea[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],"    \
    " $9::bytea[])"
    const struct ledger_table *table = &writer->rows.charges;
    struct pg_store_rows charges = {
        .trip = &writer->trip,
        .sql = found ? CHARGES_INSERTED
                   " ON CONFLICT (user_id, idempotency_key) DO UPDATE SET"
                   " fingerprint = excluded.fingerprint, amount = excluded.amount,"
                   " balance_after = excluded.balance_after,"
                   " charged_at = excluded.charged_at, status = excluded.status,"
                   " charge_id = excluded.charge_id, answer = excluded.answer"
                     : CHARGES_INSERTED,
        .kinds = "itbiiiiib",
    };

    for (size_t i = 0; i < table->count; i++) {
        const struct ledger_charge_row *row = table->rows[i];
        if ((row->created || row->changed) && !row->removed && row->row.found == found)
            put_charge(charges.trip, pg_store_begin(&charges), row);
    }
}

static void add_charges_removed(struct pg_writer *writer)
{
    const struct ledger_table *table = &writer->rows.charges;
    struct pg_trip *trip = &writer->trip;
    struct pg_store_rows charges = {
        .trip = trip,
        .sql = "DELETE FROM charges WHERE (user_id, idempotency_key) IN"
               " (SELECT * FROM unnest($1::bigint[], $2::text[]))",
        .kinds = "it",
    };

    for (size_t i = 0; i < table->count; i++) {
        const struct ledger_charge_row *row = table->rows[i];
        if (!row->removed)
            continue;
        unsigned at = pg_store_begin(&charges);
        trip_put(trip, at, row->row.key.a);
        trip_put_text(trip, at + 1, row->row.key.text);
    }
}

static void add_sequences(struct pg_writer *writer)
{
    const struct ledger_rows *rows = &writer->rows;
    struct pg_trip *trip = &writer->trip;

    if (!rows->sequences_changed)
        return;
    if (writer->recalled) {
        ledger_pg_recall_numbers_add(writer);
        return;
    }
    trip_add(trip, PG_STORE_ROWS,
             "UPDATE store SET next_user_coupon_id = $1, next_order_id = $2,"
             " next_charge_id = $3, products = $4");
    trip_int(trip, rows->next_user_coupon_id);
    trip_int(trip, rows->next_order_id);
    trip_int(trip, rows->next_charge_id);
    trip_int(trip, rows->product_count);
}

enum err ledger_pg_store_add(struct pg_writer *writer)
{
    struct ledger_command *command;

    if (writer->recalled)
        ledger_pg_recall_add(writer);
    add_coupons_created(writer);
    add_coupons_changed(writer);
    ledger_pg_places_add(writer);
    LIST_FOREACH (command, &writer->batch, struct ledger_command, node)
        TRY(add_command(writer, command));
    ledger_pg_event_commands_add(writer);
    add_users(writer, true);
    add_users(writer, false);
    add_charges(writer, false);
    add_charges(writer, true);
    add_charges_removed(writer);
    ledger_pg_store_orders_add(writer);
    ledger_pg_events_add(writer);
    ledger_pg_store_shop_add(writer);
    add_sequences(writer);
    trip_add(&writer->trip, PG_STORE_COMMIT, "COMMIT");
    return trip_finish(&writer->trip);
}

/* ---- what came of it ---- */

static int64_t touched(const PGresult *result)
{
    int64_t count;

    /* PQcmdTuples() is not const-correct. */
    return str_parse_int64(str_from(PQcmdTuples((PGresult *)(uintptr_t)result)), &count) ? count
                                                                                         : 0;
}

static enum err take_result(struct pg_writer *writer, enum pg_store tag, const PGresult *result)
{
    struct ledger_command *command = CONTAINER_OF(writer->batch.next, struct ledger_command, node);

    switch (tag) {
    case PG_STORE_ROWS:
        return ERR_OK;
    case PG_STORE_PLACES:
        ledger_pg_places_take(writer, result);
        return ERR_OK;
    case PG_STORE_NEW_PLACES:
        ledger_pg_places_new(writer);
        return ERR_OK;
    case PG_STORE_USERS:
        command->users_create.piece_created = touched(result);
        return ERR_OK;
    case PG_STORE_BOARDS:
        command->boards_store.written = touched(result);
        return ERR_OK;
    case PG_STORE_FORGOTTEN_BOARDS:
        command->boards_store.forgotten = touched(result);
        return ERR_OK;
    case PG_STORE_FORGOTTEN:
        command->forget.forgotten = MAX(command->forget.forgotten, touched(result));
        return ERR_OK;
    case PG_STORE_FORGOTTEN_EVENTS:
        command->events_forget.forgotten = touched(result);
        return ERR_OK;
    case PG_STORE_LEASED:
        command->relay_lease.held = command->relay_lease.lease_ms && touched(result) == 1;
        return ERR_OK;
    case PG_STORE_REVIVED:
        ledger_pg_events_revived(writer, result);
        return ERR_OK;
    case PG_STORE_COMMIT:
        /* A failed transaction is "committed" with ROLLBACK. */
        return strcmp(PQcmdStatus((PGresult *)(uintptr_t)result), "COMMIT") == 0 ? ERR_OK : ERR_IO;
    }
    return ERR_OK;
}

enum err ledger_pg_store_take(struct pg_writer *writer)
{
    struct ledger_command *command = CONTAINER_OF(writer->batch.next, struct ledger_command, node);

    if (command->op == LEDGER_FORGET)
        command->forget.forgotten = 0;
    for (size_t i = 0; i < writer->trip.count; i++)
        TRY(take_result(writer, (enum pg_store)writer->trip.tags[i], writer->exchange.results[i]));
    return ERR_OK;
}
