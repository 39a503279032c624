// SPDX-License-Identifier: Apache-2.0
/* Orders with their lines and keys, coupons in use, attempts, sums: into the database. */
#include "ledger/ledger_pg_internal.h"
#include "ledger/ledger_pg_store.h"

/* ---- orders ---- */

/* What may change. */
static void put_order(struct pg_trip *trip, unsigned at, const struct ledger_order *order)
{
    trip_put(trip, at, order->order_id);
    trip_put(trip, at + 1, (int64_t)order->status);
    trip_put_or_null(trip, at + 2, order->paid_at_ms);
    trip_put_or_null(trip, at + 3, order->cancelled_at_ms);
    trip_put_or_null(trip, at + 4, order->sold_day);
    trip_put_text(trip, at + 5, order->transaction_id);
    trip_put(trip, at + 6, order->attempts);
    trip_put(trip, at + 7, order->open_attempt);
}

static void put_order_whole(struct pg_trip *trip, unsigned at, const struct ledger_order *order)
{
    put_order(trip, at, order);
    trip_put(trip, at + 8, order->user_id);
    trip_put_or_null(trip, at + 9, order->coupon_id);
    trip_put(trip, at + 10, order->subtotal);
    trip_put(trip, at + 11, order->discount);
    trip_put(trip, at + 12, order->created_at_ms);
}

static void add_orders_created(struct pg_trip *trip, const struct ledger_table *table)
{
    struct pg_store_rows orders = {
        .trip = trip,
        .sql = "INSERT INTO orders (order_id, status, paid_at, cancelled_at, sold_day,"
               " transaction_id, attempts, open_attempt, user_id, coupon_id, subtotal, discount,"
               " created_at) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[],"
               " $4::bigint[], $5::bigint[], $6::text[], $7::bigint[], $8::bigint[],"
               " $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[])",
        .kinds = "iiiiitiiiiiii",
    };

    for (size_t i = 0; i < table->count; i++) {
        const struct ledger_order_row *row = table->rows[i];
        if (row->created && !row->removed)
            put_order_whole(trip, pg_store_begin(&orders), &row->order);
    }
}

static void put_lines(struct pg_store_rows *rows, const struct ledger_order *order)
{
    for (size_t i = 0; i < order->line_count; i++) {
        const struct order_line *line = &order->lines[i];
        unsigned at = pg_store_begin(rows);
        trip_put(rows->trip, at, order->order_id);
        trip_put(rows->trip, at + 1, line->product_id);
        trip_put_text(rows->trip, at + 2, line->name);
        trip_put(rows->trip, at + 3, line->quantity);
        trip_put(rows->trip, at + 4, line->unit_price);
    }
}

static void add_lines(struct pg_trip *trip, const struct ledger_table *table)
{
    struct pg_store_rows lines = {
        .trip = trip,
        .sql = "INSERT INTO order_lines (order_id, product_id, name, quantity, unit_price)"
               " SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[],"
               " $5::bigint[])",
        .kinds = "iitii",
    };

    for (size_t i = 0; i < table->count; i++) {
        const struct ledger_order_row *row = table->rows[i];
        if (row->created && !row->removed)
            put_lines(&lines, &row->order);
    }
}

static void add_orders_changed(struct pg_trip *trip, const struct ledger_table *table)
{
    struct pg_store_rows orders = {
        .trip = trip,
        .sql = "UPDATE orders o SET status = v.status, paid_at = v.paid_at,"
               " cancelled_at = v.cancelled_at, sold_day = v.sold_day,"
               " transaction_id = v.transaction_id, attempts = v.attempts,"
               " open_attempt = v.open_attempt FROM unnest($1::bigint[], $2::bigint[],"
               " $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::bigint[],"
               " $8::bigint[]) AS v(order_id, status, paid_at, cancelled_at, sold_day,"
               " transaction_id, attempts, open_attempt) WHERE o.order_id = v.order_id",
        .kinds = "iiiiitii",
    };

    for (size_t i = 0; i < table->count; i++) {
        const struct ledger_order_row *row = table->rows[i];
        if (row->changed && !row->created && !row->removed)
            put_order(trip, pg_store_begin(&orders), &row->order);
    }
}

static void add_orders_removed(struct pg_trip *trip, const struct ledger_table *table)
{
    struct pg_store_rows removed[] = {
        { .trip = trip, .sql = "DELETE FROM orders WHERE order_id = ANY($1)", .kinds = "i" },
        { .trip = trip, .sql = "DELETE FROM order_lines WHERE order_id = ANY($1)", .kinds = "i" },
    };

    for (size_t of = 0; of < ARRAY_COUNT(removed); of++)
        for (size_t i = 0; i < table->count; i++) {
            const struct ledger_order_row *row = table->rows[i];
            if (row->removed && row->row.found)
                trip_put(trip, pg_store_begin(&removed[of]), row->order.order_id);
        }
}

/* ---- keys ---- */

static void put_key(struct pg_trip *trip, unsigned at, const struct ledger_row_key *key)
{
    trip_put(trip, at, key->a);
    trip_put(trip, at + 1, key->b);
    trip_put_text(trip, at + 2, key->text);
}

static void put_key_whole(struct pg_trip *trip, unsigned at, const struct ledger_order_key_row *row)
{
    put_key(trip, at, &row->row.key);
    trip_put_text(trip, at + 3,
                  (struct str){ (const char *)row->fingerprint, sizeof row->fingerprint });
    trip_put(trip, at + 4, row->order_id);
    trip_put(trip, at + 5, row->status);
    trip_put(trip, at + 6, row->balance_after);
    trip_put(trip, at + 7, row->answered_at_ms);
    trip_put_text(trip, at + 8, row->answer);
}

/* New ones apart from those that were there: where nothing can be in the way, that is half the
 * work. If something is, after all, the batch is tried again, and finds it. */
static void add_keys(struct pg_trip *trip, const struct ledger_table *table, bool found)
{
#define KEYS_INSERTED                                                                             \
    "INSERT INTO order_keys (user_id, operation, idempotency_key, fingerprint, order_id, status," \
    " balance_after, answered_at, answer) SELECT * FROM unnest($1::bigint[], $2::bigint[],"       \
    " $3::text[], $4::bytea[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],"           \
    " $9::bytea[])"
    struct pg_store_rows keys = {
        .trip = trip,
        .sql = found ? KEYS_INSERTED
                   " ON CONFLICT (user_id, operation, idempotency_key) DO UPDATE SET"
                   " fingerprint = excluded.fingerprint, order_id = excluded.order_id,"
                   " status = excluded.status, balance_after = excluded.balance_after,"
                   " answered_at = excluded.answered_at, answer = excluded.answer"
                     : KEYS_INSERTED,
        .kinds = "iitbiiiib",
    };

    for (size_t i = 0; i < table->count; i++) {
        const struct ledger_order_key_row *row = table->rows[i];
        if ((row->created || row->changed) && !row->removed && row->row.found == found)
            put_key_whole(trip, pg_store_begin(&keys), row);
    }
}

static void add_keys_removed(struct pg_trip *trip, const struct ledger_table *table)
{
    struct pg_store_rows keys = {
        .trip = trip,
        .sql = "DELETE FROM order_keys WHERE (user_id, operation, idempotency_key) IN"
               " (SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[]))",
        .kinds = "iit",
    };

    for (size_t i = 0; i < table->count; i++) {
        const struct ledger_order_key_row *row = table->rows[i];
        if (row->removed && row->row.found)
            put_key(trip, pg_store_begin(&keys), &row->row.key);
    }
}

/* ---- coupons in use, attempts ---- */

static void add_held(struct pg_trip *trip, const struct ledger_table *table)
{
    struct pg_store_rows held = {
        .trip = trip,
        .sql = "UPDATE user_coupons h SET uses = v.uses, used_at = v.used_at FROM"
               " unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])"
               " AS v(user_id, coupon_id, uses, used_at)"
               " WHERE h.user_id = v.user_id AND h.coupon_id + 0 = v.coupon_id",
        .kinds = "iiii",
    };

    for (size_t i = 0; i < table->count; i++) {
        const struct ledger_held_row *row = table->rows[i];
        if (!row->changed)
            continue;
        unsigned at = pg_store_begin(&held);
        trip_put(trip, at, row->row.key.a);
        trip_put(trip, at + 1, row->row.key.b);
        trip_put(trip, at + 2, row->uses);
        trip_put(trip, at + 3, row->used_at_ms);
    }
}

static void put_attempt(struct pg_trip *trip, unsigned at, const struct ledger_attempt_row *row)
{
    trip_put(trip, at, (int64_t)row->attempt.kind);
    trip_put(trip, at + 1, row->attempt.subject_id);
    trip_put(trip, at + 2, row->attempt.number);
    trip_put(trip, at + 3, (int64_t)row->state);
    trip_put(trip, at + 4, row->attempt.claim);
    trip_put_or_null(trip, at + 5, row->settled_at_ms);
    trip_put_text(trip, at + 6, row->transaction_id.len ? row->transaction_id : STR_NONE);
}

static void add_attempts_created(struct pg_trip *trip, const struct ledger_table *table)
{
    struct pg_store_rows attempts = {
        .trip = trip,
        .sql = "INSERT INTO attempts (kind, subject_id, number, state, claim, settled_at,"
               " transaction_id, user_id, amount, operation, idempotency_key, started_at)"
               " SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[],"
               " $5::bigint[], $6::bigint[], $7::text[], $8::bigint[], $9::bigint[],"
               " $10::bigint[], $11::text[], $12::bigint[])",
        .kinds = "iiiiiitiiiti",
    };

    for (size_t i = 0; i < table->count; i++) {
        const struct ledger_attempt_row *row = table->rows[i];
        if (!row->created)
            continue;
        struct str key = str_from(row->attempt.client_key);
        unsigned at = pg_store_begin(&attempts);
        put_attempt(trip, at, row);
        trip_put(trip, at + 7, row->attempt.user_id);
        trip_put(trip, at + 8, row->attempt.amount);
        trip_put(trip, at + 9, (int64_t)row->attempt.operation);
        trip_put_text(trip, at + 10, key.len ? key : STR_NONE);
        trip_put(trip, at + 11, row->attempt.started_at_ms);
    }
}

static void add_attempts_changed(struct pg_trip *trip, const struct ledger_table *table)
{
    struct pg_store_rows attempts = {
        .trip = trip,
        .sql = "UPDATE attempts a SET state = v.state, claim = v.claim,"
               " settled_at = v.settled_at, transaction_id = v.transaction_id FROM"
               " unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],"
               " $6::bigint[], $7::text[])"
               " AS v(kind, subject_id, number, state, claim, settled_at, transaction_id)"
               " WHERE a.kind = v.kind AND a.subject_id = v.subject_id AND a.number = v.number",
        .kinds = "iiiiiit",
    };

    for (size_t i = 0; i < table->count; i++) {
        const struct ledger_attempt_row *row = table->rows[i];
        if (row->changed && !row->created)
            put_attempt(trip, pg_store_begin(&attempts), row);
    }
}

/* ---- what was sold ---- */

/* With a note for those who copy them to a shared ranking. */
static void add_sales(struct pg_trip *trip, const struct ledger_table *table)
{
    struct pg_store_rows sales = {
        .trip = trip,
        .sql = "WITH stored AS (INSERT INTO sales (day, product_id, units, revenue, reached_at, "
               "version)"
               " SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[],"
               " $5::bigint[], $6::bigint[]) ON CONFLICT (day, product_id) DO UPDATE SET"
               " units = excluded.units, revenue = excluded.revenue,"
               " reached_at = excluded.reached_at, version = excluded.version"
               " RETURNING day, product_id) INSERT INTO sales_outbox (day, product_id)"
               " SELECT day, product_id FROM stored",
        .kinds = "iiiiii",
    };

    for (size_t i = 0; i < table->count; i++) {
        const struct ledger_sale_row *row = table->rows[i];
        if (!row->changed)
            continue;
        unsigned at = pg_store_begin(&sales);
        trip_put(trip, at, row->sale.day);
        trip_put(trip, at + 1, row->sale.sum.product_id);
        trip_put(trip, at + 2, row->sale.sum.units);
        trip_put(trip, at + 3, row->sale.sum.revenue);
        trip_put(trip, at + 4, row->sale.sum.reached_ms);
        trip_put(trip, at + 5, row->sale.version);
    }
}

/* Days are never loaded: what is stored is by how much their versions grow. */
static void add_days(struct pg_trip *trip, const struct ledger_table *table)
{
    struct pg_store_rows days = {
        .trip = trip,
        .sql = "INSERT INTO sales_days (day, version)"
               " SELECT * FROM unnest($1::bigint[], $2::bigint[]) ORDER BY 1"
               " ON CONFLICT (day) DO UPDATE SET version = sales_days.version + excluded.version",
        .kinds = "ii",
    };

    for (size_t i = 0; i < table->count; i++) {
        const struct ledger_day_row *row = table->rows[i];
        if (!row->changed)
            continue;
        unsigned at = pg_store_begin(&days);
        trip_put(trip, at, row->row.key.a);
        trip_put(trip, at + 1, row->version);
    }
}

void ledger_pg_store_orders_add(struct pg_writer *writer)
{
    const struct ledger_rows *rows = &writer->rows;
    struct pg_trip *trip = &writer->trip;

    add_orders_created(trip, &rows->orders);
    add_lines(trip, &rows->orders);
    add_orders_changed(trip, &rows->orders);
    add_orders_removed(trip, &rows->orders);
    add_keys(trip, &rows->order_keys, false);
    add_keys(trip, &rows->order_keys, true);
    add_keys_removed(trip, &rows->order_keys);
    add_held(trip, &rows->held);
    add_attempts_created(trip, &rows->attempts);
    add_attempts_changed(trip, &rows->attempts);
    add_sales(trip, &rows->sales);
    add_days(trip, &rows->days);
}
