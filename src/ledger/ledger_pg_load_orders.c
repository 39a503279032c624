// SPDX-License-Identifier: Apache-2.0
/* Orders with their lines and keys, charges, attempts, coupons in use: out of the database. */
#include "ledger/ledger_pg_load.h"

/* ---- asking ---- */

static void add_orders(struct pg_trip *trip, const struct ledger_table *orders, bool lock)
{
#define ORDERS_BY_ID "SELECT " PG_ORDER_COLUMNS " FROM orders WHERE order_id = ANY($1)"
    if (!ledger_table_is_unlooked(orders))
        return;
    trip_add(trip, PG_LOAD_ORDERS,
             lock ? ORDERS_BY_ID " ORDER BY order_id FOR UPDATE" : ORDERS_BY_ID);
    ledger_pg_load_keys(trip, orders, "a");
}

static const struct pg_load_statement statements[] = {
    { PG_LOAD_LINES, PG_TABLE(orders), "a", 0, NULL,
      "SELECT order_id, product_id, quantity, unit_price, name FROM order_lines"
      " WHERE order_id = ANY($1) ORDER BY order_id, product_id" },
    { PG_LOAD_ATTEMPTS, PG_TABLE(attempts), "kan", 0, NULL,
      "SELECT kind, subject_id, number, claim, user_id, amount, operation, idempotency_key,"
      " started_at, state, settled_at, transaction_id FROM attempts"
      " JOIN unnest($1::bigint[], $2::bigint[], $3::bigint[])"
      " AS k(kind, subject_id, number) USING (kind, subject_id, number)" },
    { PG_LOAD_CHARGES, PG_TABLE(charges), "at", PG_TABLE(attempts), "kan",
      "SELECT user_id, idempotency_key, fingerprint, amount, balance_after, charged_at,"
      " status, charge_id, answer FROM charges WHERE (user_id, idempotency_key) IN"
      " (SELECT * FROM unnest($1::bigint[], $2::text[]) UNION"
      " SELECT user_id, idempotency_key FROM attempts WHERE kind = 2"
      " AND (kind, subject_id, number) IN"
      " (SELECT * FROM unnest($3::bigint[], $4::bigint[], $5::bigint[])))" },
    { PG_LOAD_KEYS, PG_TABLE(order_keys), "abt", PG_TABLE(attempts), "kan",
      "SELECT user_id, operation, idempotency_key, fingerprint, order_id, status,"
      " balance_after, answered_at, answer FROM order_keys"
      " WHERE (user_id, operation, idempotency_key) IN"
      " (SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[]) UNION"
      " SELECT user_id, operation, idempotency_key FROM attempts"
      " WHERE (kind, subject_id, number) IN"
      " (SELECT * FROM unnest($4::bigint[], $5::bigint[], $6::bigint[])))" },
    /* By the user: the other index would read all rows of the coupon. */
    { PG_LOAD_HELD, PG_TABLE(held), "ab", PG_TABLE(orders), "a",
      "SELECT user_id, coupon_id, uses, used_at, expires_at FROM user_coupons"
      " WHERE (user_id, coupon_id + 0) IN"
      " (SELECT * FROM unnest($1::bigint[], $2::bigint[])"
      " UNION SELECT user_id, coupon_id FROM orders"
      " WHERE order_id = ANY($3) AND coupon_id IS NOT NULL)" },
};

void ledger_pg_load_orders_add(struct pg_writer *writer)
{
    add_orders(&writer->trip, &writer->rows.orders, writer->passes == 0);
    ledger_pg_load_ask(writer, statements, ARRAY_COUNT(statements));
}

/* ---- taking ---- */

enum err ledger_pg_order(struct arena *arena, const PGresult *result, int row, int column,
                         struct ledger_order *ret_order)
{
    *ret_order = (struct ledger_order){
        .order_id = trip_get(result, row, column),
        .user_id = trip_get(result, row, column + 1),
        .status = (enum order_status)trip_get(result, row, column + 2),
        .coupon_id = trip_get(result, row, column + 3),
        .subtotal = trip_get(result, row, column + 4),
        .discount = trip_get(result, row, column + 5),
        .created_at_ms = trip_get(result, row, column + 6),
        .paid_at_ms = trip_get(result, row, column + 7),
        .cancelled_at_ms = trip_get(result, row, column + 8),
        .sold_day = trip_get(result, row, column + 9),
        .attempts = trip_get(result, row, column + 11),
        .open_attempt = trip_get(result, row, column + 12),
    };
    return trip_copy_text(arena, result, row, column + 10, &ret_order->transaction_id);
}

static enum err take_order(struct ledger_rows *rows, const PGresult *result, int i)
{
    struct ledger_order_row *row =
        ledger_pg_load_row(rows, &rows->orders, trip_get(result, i, 0), 0, STR_NONE);

    return row ? ledger_pg_order(&rows->arena, result, i, 0, &row->order) : ERR_NOMEM;
}

enum err ledger_pg_line(struct arena *arena, const PGresult *result, int row, int column,
                        struct ledger_order *order)
{
    if (!order->lines)
        order->lines = arena_alloc(arena, ORDER_LINES_MAX * sizeof *order->lines);
    if (!order->lines)
        return ERR_NOMEM;
    if (order->line_count == ORDER_LINES_MAX)
        return ERR_CORRUPT;
    struct order_line *line = &order->lines[order->line_count++];
    line->product_id = trip_get(result, row, column);
    line->quantity = trip_get(result, row, column + 1);
    line->unit_price = trip_get(result, row, column + 2);
    return trip_copy_text(arena, result, row, column + 3, &line->name);
}

static enum err take_line(struct ledger_rows *rows, const PGresult *result, int i)
{
    struct ledger_order_row *row = ledger_rows_order(rows, trip_get(result, i, 0));

    /* Committed after its order was looked for: then it is not there. */
    return row && row->row.found ? ledger_pg_line(&rows->arena, result, i, 1, &row->order) : ERR_OK;
}

void ledger_pg_attempt(const PGresult *result, int row, int column, struct ledger_attempt *attempt)
{
    attempt->claim = trip_get(result, row, column);
    attempt->user_id = trip_get(result, row, column + 1);
    attempt->amount = trip_get(result, row, column + 2);
    attempt->operation = (enum ledger_operation)trip_get(result, row, column + 3);
    attempt->started_at_ms = trip_get(result, row, column + 5);
    str_cstr(trip_get_text(result, row, column + 4), attempt->client_key,
             sizeof attempt->client_key);
}

static enum err take_attempt(struct ledger_rows *rows, const PGresult *result, int i)
{
    int64_t kind = trip_get(result, i, 0), subject_id = trip_get(result, i, 1),
            number = trip_get(result, i, 2);
    struct ledger_attempt_row *row =
        ledger_pg_load_row(rows, &rows->attempts, subject_id, number * 4 + kind, STR_NONE);

    if (!row)
        return ERR_NOMEM;
    row->attempt = (struct ledger_attempt){ .kind = (enum ledger_attempt_kind)kind,
                                            .subject_id = subject_id,
                                            .number = number };
    ledger_pg_attempt(result, i, 3, &row->attempt);
    row->state = (enum ledger_attempt_state)trip_get(result, i, 9);
    row->settled_at_ms = trip_get(result, i, 10);
    return trip_copy_text(&rows->arena, result, i, 11, &row->transaction_id);
}

static enum err take_fingerprint(const PGresult *result, int row, int column, uint8_t out[16])
{
    struct str bytes = trip_get_text(result, row, column);

    if (bytes.len != 16)
        return ERR_CORRUPT;
    memcpy(out, bytes.ptr, 16);
    return ERR_OK;
}

static enum err take_charge(struct ledger_rows *rows, const PGresult *result, int i)
{
    struct ledger_charge_row *row = ledger_pg_load_row(rows, &rows->charges, trip_get(result, i, 0),
                                                       0, trip_get_text(result, i, 1));

    if (!row)
        return ERR_NOMEM;
    TRY(take_fingerprint(result, i, 2, row->fingerprint));
    row->amount = trip_get(result, i, 3);
    row->balance_after = trip_get(result, i, 4);
    row->charged_at_ms = trip_get(result, i, 5);
    row->status = trip_get(result, i, 6);
    row->charge_id = trip_get(result, i, 7);
    return trip_copy_text(&rows->arena, result, i, 8, &row->answer);
}

static enum err take_key(struct ledger_rows *rows, const PGresult *result, int i)
{
    struct ledger_order_key_row *row =
        ledger_pg_load_row(rows, &rows->order_keys, trip_get(result, i, 0), trip_get(result, i, 1),
                           trip_get_text(result, i, 2));

    if (!row)
        return ERR_NOMEM;
    TRY(take_fingerprint(result, i, 3, row->fingerprint));
    row->order_id = trip_get(result, i, 4);
    row->status = trip_get(result, i, 5);
    row->balance_after = trip_get(result, i, 6);
    row->answered_at_ms = trip_get(result, i, 7);
    return trip_copy_text(&rows->arena, result, i, 8, &row->answer);
}

static enum err take_held(struct ledger_rows *rows, const PGresult *result, int i)
{
    struct ledger_held_row *row = ledger_pg_load_row(rows, &rows->held, trip_get(result, i, 0),
                                                     trip_get(result, i, 1), STR_NONE);

    if (!row)
        return ERR_NOMEM;
    row->uses = trip_get(result, i, 2);
    row->used_at_ms = trip_get(result, i, 3);
    row->expires_at_ms = trip_get(result, i, 4);
    return ERR_OK;
}

enum err ledger_pg_load_orders_take(struct ledger_rows *rows, enum pg_load tag,
                                    const PGresult *result)
{
    static enum err (*const takers[])(struct ledger_rows * rows, const PGresult *result, int i) = {
        [PG_LOAD_ORDERS] = take_order,     [PG_LOAD_LINES] = take_line,
        [PG_LOAD_ATTEMPTS] = take_attempt, [PG_LOAD_CHARGES] = take_charge,
        [PG_LOAD_KEYS] = take_key,         [PG_LOAD_HELD] = take_held,
    };

    for (int i = 0; i < PQntuples(result); i++)
        TRY(takers[tag](rows, result, i));
    return ERR_OK;
}
