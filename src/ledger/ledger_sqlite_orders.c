// SPDX-License-Identifier: Apache-2.0
/* Orders with their lines and keys, coupons in use, attempts, and what was sold: a batch's rows in
 * and out of the database. */
#include "ledger/ledger_sqlite_internal.h"

enum err ledger_sqlite_orders_prepare(struct sqlite_ledger *ledger)
{
    struct sqlite_order_statements *s = &ledger->stmt.order;
    const struct sqlite_sql rows[] = {
        { &s->load_order, "SELECT " ORDER_COLUMNS " FROM orders WHERE order_id = ?" },
        { &s->load_lines, ORDER_LINES_SQL },
        { &s->load_key, "SELECT fingerprint, order_id, status, balance_after, answered_at, answer"
                        " FROM order_keys WHERE user_id = ? AND operation = ?"
                        " AND idempotency_key = ?" },
        { &s->load_held, "SELECT uses, used_at, expires_at FROM user_coupons"
                         " WHERE user_id = ? AND coupon_id = ?" },
        { &s->load_attempt, "SELECT state, claim, user_id, amount, operation, idempotency_key,"
                            " started_at, settled_at, transaction_id FROM attempts"
                            " WHERE kind = ? AND subject_id = ? AND number = ?" },
        { &s->load_sale, "SELECT units, revenue, reached_at, version FROM sales"
                         " WHERE day = ? AND product_id = ?" },
        { &s->load_day, "SELECT version FROM sales_days WHERE day = ?" },
        { &s->insert_order, "INSERT INTO orders (order_id, status, paid_at, cancelled_at, sold_day,"
                            " transaction_id, attempts, open_attempt, user_id, coupon_id, subtotal,"
                            " discount, created_at)"
                            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)" },
        { &s->update_order,
          "UPDATE orders SET status = ?2, paid_at = ?3, cancelled_at = ?4, sold_day = ?5,"
          " transaction_id = ?6, attempts = ?7, open_attempt = ?8 WHERE order_id = ?1" },
        { &s->delete_order, "DELETE FROM orders WHERE order_id = ?" },
        { &s->insert_line, "INSERT INTO order_lines (order_id, product_id, name, quantity,"
                           " unit_price) VALUES (?, ?, ?, ?, ?)" },
        { &s->delete_lines, "DELETE FROM order_lines WHERE order_id = ?" },
        { &s->store_key, "INSERT OR REPLACE INTO order_keys (user_id, operation, idempotency_key,"
                         " fingerprint, order_id, status, balance_after, answered_at, answer)"
                         " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)" },
        { &s->delete_key, "DELETE FROM order_keys WHERE user_id = ? AND operation = ?"
                          " AND idempotency_key = ?" },
        { &s->store_held, "UPDATE user_coupons SET uses = ?3, used_at = ?4"
                          " WHERE user_id = ?1 AND coupon_id = ?2" },
        { &s->insert_attempt,
          "INSERT INTO attempts (kind, subject_id, number, state, claim, settled_at,"
          " transaction_id, user_id, amount, operation, idempotency_key, started_at)"
          " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)" },
        { &s->update_attempt,
          "UPDATE attempts SET state = ?4, claim = ?5, settled_at = ?6, transaction_id = ?7"
          " WHERE kind = ?1 AND subject_id = ?2 AND number = ?3" },
        { &s->store_sale, "INSERT OR REPLACE INTO sales (day, product_id, units, revenue,"
                          " reached_at, version) VALUES (?, ?, ?, ?, ?, ?)" },
        { &s->store_day, "INSERT OR REPLACE INTO sales_days (day, version) VALUES (?, ?)" },
    };

    return ledger_sqlite_prepare_all(ledger->db, rows, ARRAY_COUNT(rows));
}

/* ---- load ---- */

enum err ledger_sqlite_order(struct arena *arena, sqlite3_stmt *stmt,
                             struct ledger_order *ret_order)
{
    *ret_order = (struct ledger_order){
        .order_id = sqlite3_column_int64(stmt, 0),
        .user_id = sqlite3_column_int64(stmt, 1),
        .status = (enum order_status)sqlite3_column_int64(stmt, 2),
        .coupon_id = sqlite3_column_int64(stmt, 3),
        .subtotal = sqlite3_column_int64(stmt, 4),
        .discount = sqlite3_column_int64(stmt, 5),
        .created_at_ms = sqlite3_column_int64(stmt, 6),
        .paid_at_ms = sqlite3_column_int64(stmt, 7),
        .cancelled_at_ms = sqlite3_column_int64(stmt, 8),
        .sold_day = sqlite3_column_int64(stmt, 9),
        .attempts = sqlite3_column_int64(stmt, 11),
        .open_attempt = sqlite3_column_int64(stmt, 12),
    };
    return ledger_sqlite_text(arena, stmt, 10, &ret_order->transaction_id);
}

enum err ledger_sqlite_order_lines(struct arena *arena, sqlite3_stmt *stmt,
                                   struct ledger_order *order)
{
    int code;

    order->lines = arena_alloc(arena, ORDER_LINES_MAX * sizeof *order->lines);
    if (!order->lines)
        return ERR_NOMEM;
    sqlite3_bind_int64(stmt, 1, order->order_id);
    while ((code = sqlite3_step(stmt)) == SQLITE_ROW && order->line_count < ORDER_LINES_MAX) {
        struct order_line *line = &order->lines[order->line_count++];
        line->product_id = sqlite3_column_int64(stmt, 0);
        line->quantity = sqlite3_column_int64(stmt, 1);
        line->unit_price = sqlite3_column_int64(stmt, 2);
        line->name = arena_copy(arena, sqlite_db_text(stmt, 3));
        if (!line->name.ptr)
            code = SQLITE_NOMEM;
        if (code != SQLITE_ROW)
            break;
    }
    sqlite3_reset(stmt);
    return sqlite_db_err(code);
}

static enum err load_order(struct arena *arena, struct sqlite_order_statements *s,
                           struct ledger_order_row *row)
{
    sqlite3_bind_int64(s->load_order, 1, row->row.key.a);
    TRY(ledger_sqlite_step_one(s->load_order, &row->row.found));
    if (!row->row.found)
        return ERR_OK;
    enum err e = ledger_sqlite_order(arena, s->load_order, &row->order);
    sqlite3_reset(s->load_order);
    return e == ERR_OK ? ledger_sqlite_order_lines(arena, s->load_lines, &row->order) : e;
}

static void bind_key(sqlite3_stmt *stmt, const struct ledger_row_key *key)
{
    sqlite3_bind_int64(stmt, 1, key->a);
    sqlite3_bind_int64(stmt, 2, key->b);
    ledger_sqlite_bind_text(stmt, 3, key->text);
}

static enum err load_key(struct arena *arena, sqlite3_stmt *stmt, struct ledger_order_key_row *row)
{
    bind_key(stmt, &row->row.key);
    TRY(ledger_sqlite_step_one(stmt, &row->row.found));
    if (!row->row.found)
        return ERR_OK;
    enum err e = ledger_sqlite_fingerprint(stmt, 0, row->fingerprint);
    row->order_id = sqlite3_column_int64(stmt, 1);
    row->status = sqlite3_column_int64(stmt, 2);
    row->balance_after = sqlite3_column_int64(stmt, 3);
    row->answered_at_ms = sqlite3_column_int64(stmt, 4);
    if (e == ERR_OK)
        e = ledger_sqlite_text(arena, stmt, 5, &row->answer);
    sqlite3_reset(stmt);
    return e;
}

static enum err load_held(sqlite3_stmt *stmt, struct ledger_held_row *row)
{
    sqlite3_bind_int64(stmt, 1, row->row.key.a);
    sqlite3_bind_int64(stmt, 2, row->row.key.b);
    TRY(ledger_sqlite_step_one(stmt, &row->row.found));
    if (!row->row.found)
        return ERR_OK;
    row->uses = sqlite3_column_int64(stmt, 0);
    row->used_at_ms = sqlite3_column_int64(stmt, 1);
    row->expires_at_ms = sqlite3_column_int64(stmt, 2);
    sqlite3_reset(stmt);
    return ERR_OK;
}

void ledger_sqlite_attempt(sqlite3_stmt *stmt, int column, struct ledger_attempt *attempt)
{
    attempt->claim = sqlite3_column_int64(stmt, column);
    attempt->user_id = sqlite3_column_int64(stmt, column + 1);
    attempt->amount = sqlite3_column_int64(stmt, column + 2);
    attempt->operation = (enum ledger_operation)sqlite3_column_int64(stmt, column + 3);
    attempt->started_at_ms = sqlite3_column_int64(stmt, column + 5);
    str_cstr(sqlite_db_text(stmt, column + 4), attempt->client_key, sizeof attempt->client_key);
}

static enum err load_attempt(struct arena *arena, sqlite3_stmt *stmt,
                             struct ledger_attempt_row *row)
{
    struct ledger_attempt *attempt = &row->attempt;

    attempt->kind = (enum ledger_attempt_kind)(row->row.key.b & 3);
    attempt->subject_id = row->row.key.a;
    attempt->number = row->row.key.b >> 2;
    sqlite3_bind_int64(stmt, 1, (int64_t)attempt->kind);
    sqlite3_bind_int64(stmt, 2, attempt->subject_id);
    sqlite3_bind_int64(stmt, 3, attempt->number);
    TRY(ledger_sqlite_step_one(stmt, &row->row.found));
    if (!row->row.found)
        return ERR_OK;
    row->state = (enum ledger_attempt_state)sqlite3_column_int64(stmt, 0);
    ledger_sqlite_attempt(stmt, 1, attempt);
    row->settled_at_ms = sqlite3_column_int64(stmt, 7);
    enum err e = ledger_sqlite_text(arena, stmt, 8, &row->transaction_id);
    sqlite3_reset(stmt);
    return e;
}

static enum err load_sale(sqlite3_stmt *stmt, struct ledger_sale_row *row)
{
    struct ledger_sale *sale = &row->sale;

    sale->day = row->row.key.a;
    sale->sum.product_id = row->row.key.b;
    sqlite3_bind_int64(stmt, 1, row->row.key.a);
    sqlite3_bind_int64(stmt, 2, row->row.key.b);
    TRY(ledger_sqlite_step_one(stmt, &row->row.found));
    if (!row->row.found)
        return ERR_OK;
    sale->sum.units = sqlite3_column_int64(stmt, 0);
    sale->sum.revenue = sqlite3_column_int64(stmt, 1);
    sale->sum.reached_ms = sqlite3_column_int64(stmt, 2);
    sale->version = sqlite3_column_int64(stmt, 3);
    sqlite3_reset(stmt);
    return ERR_OK;
}

static enum err load_day(sqlite3_stmt *stmt, struct ledger_day_row *row)
{
    sqlite3_bind_int64(stmt, 1, row->row.key.a);
    TRY(ledger_sqlite_step_one(stmt, &row->row.found));
    if (!row->row.found)
        return ERR_OK;
    row->version = sqlite3_column_int64(stmt, 0);
    sqlite3_reset(stmt);
    return ERR_OK;
}

enum err ledger_sqlite_orders_load(struct sqlite_ledger *ledger)
{
    struct ledger_rows *rows = &ledger->rows;
    struct sqlite_order_statements *s = &ledger->stmt.order;
    struct arena *arena = &rows->arena;

    for (; rows->orders.loaded < rows->orders.count; rows->orders.loaded++)
        TRY(load_order(arena, s, rows->orders.rows[rows->orders.loaded]));
    for (; rows->order_keys.loaded < rows->order_keys.count; rows->order_keys.loaded++)
        TRY(load_key(arena, s->load_key, rows->order_keys.rows[rows->order_keys.loaded]));
    for (; rows->held.loaded < rows->held.count; rows->held.loaded++)
        TRY(load_held(s->load_held, rows->held.rows[rows->held.loaded]));
    for (; rows->attempts.loaded < rows->attempts.count; rows->attempts.loaded++)
        TRY(load_attempt(arena, s->load_attempt, rows->attempts.rows[rows->attempts.loaded]));
    for (; rows->sales.loaded < rows->sales.count; rows->sales.loaded++)
        TRY(load_sale(s->load_sale, rows->sales.rows[rows->sales.loaded]));
    for (; rows->days.loaded < rows->days.count; rows->days.loaded++)
        TRY(load_day(s->load_day, rows->days.rows[rows->days.loaded]));
    return ERR_OK;
}

/* ---- store ---- */

/* 0 means "not yet", "none". */
static void bind_or_null(sqlite3_stmt *stmt, int number, int64_t value)
{
    if (value)
        sqlite3_bind_int64(stmt, number, value);
    else
        sqlite3_bind_null(stmt, number);
}

static void bind_order(sqlite3_stmt *stmt, const struct ledger_order *order)
{
    sqlite3_bind_int64(stmt, 1, order->order_id);
    sqlite3_bind_int64(stmt, 2, (int64_t)order->status);
    bind_or_null(stmt, 3, order->paid_at_ms);
    bind_or_null(stmt, 4, order->cancelled_at_ms);
    bind_or_null(stmt, 5, order->sold_day);
    ledger_sqlite_bind_text(stmt, 6, order->transaction_id);
    sqlite3_bind_int64(stmt, 7, order->attempts);
    sqlite3_bind_int64(stmt, 8, order->open_attempt);
}

static enum err insert_order(struct sqlite_order_statements *s, const struct ledger_order *order)
{
    sqlite3_stmt *stmt = s->insert_order;

    bind_order(stmt, order);
    sqlite3_bind_int64(stmt, 9, order->user_id);
    bind_or_null(stmt, 10, order->coupon_id);
    sqlite3_bind_int64(stmt, 11, order->subtotal);
    sqlite3_bind_int64(stmt, 12, order->discount);
    sqlite3_bind_int64(stmt, 13, order->created_at_ms);
    TRY(sqlite_db_run(stmt));
    for (size_t i = 0; i < order->line_count; i++) {
        const struct order_line *line = &order->lines[i];
        sqlite3_bind_int64(s->insert_line, 1, order->order_id);
        sqlite3_bind_int64(s->insert_line, 2, line->product_id);
        ledger_sqlite_bind_text(s->insert_line, 3, line->name);
        sqlite3_bind_int64(s->insert_line, 4, line->quantity);
        sqlite3_bind_int64(s->insert_line, 5, line->unit_price);
        TRY(sqlite_db_run(s->insert_line));
    }
    return ERR_OK;
}

static enum err store_order(struct sqlite_order_statements *s, const struct ledger_order_row *row)
{
    if (row->removed) {
        sqlite3_bind_int64(s->delete_order, 1, row->order.order_id);
        TRY(sqlite_db_run(s->delete_order));
        sqlite3_bind_int64(s->delete_lines, 1, row->order.order_id);
        return sqlite_db_run(s->delete_lines);
    }
    if (row->created)
        return insert_order(s, &row->order);
    if (!row->changed)
        return ERR_OK;
    bind_order(s->update_order, &row->order);
    return sqlite_db_run(s->update_order);
}

static enum err store_key(struct sqlite_order_statements *s, const struct ledger_order_key_row *row)
{
    sqlite3_stmt *stmt = row->removed ? s->delete_key : s->store_key;

    if (!row->created && !row->changed && !row->removed)
        return ERR_OK;
    bind_key(stmt, &row->row.key);
    if (row->removed)
        return sqlite_db_run(stmt);
    sqlite3_bind_blob(stmt, 4, row->fingerprint, sizeof row->fingerprint, SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 5, row->order_id);
    sqlite3_bind_int64(stmt, 6, row->status);
    sqlite3_bind_int64(stmt, 7, row->balance_after);
    sqlite3_bind_int64(stmt, 8, row->answered_at_ms);
    ledger_sqlite_bind_text(stmt, 9, row->answer);
    return sqlite_db_run(stmt);
}

static enum err store_held(sqlite3_stmt *stmt, const struct ledger_held_row *row)
{
    if (!row->changed)
        return ERR_OK;
    sqlite3_bind_int64(stmt, 1, row->row.key.a);
    sqlite3_bind_int64(stmt, 2, row->row.key.b);
    sqlite3_bind_int64(stmt, 3, row->uses);
    sqlite3_bind_int64(stmt, 4, row->used_at_ms);
    return sqlite_db_run(stmt);
}

static enum err store_attempt(struct sqlite_order_statements *s,
                              const struct ledger_attempt_row *row)
{
    const struct ledger_attempt *attempt = &row->attempt;
    sqlite3_stmt *stmt = row->created ? s->insert_attempt : s->update_attempt;

    if (!row->created && !row->changed)
        return ERR_OK;
    sqlite3_bind_int64(stmt, 1, (int64_t)attempt->kind);
    sqlite3_bind_int64(stmt, 2, attempt->subject_id);
    sqlite3_bind_int64(stmt, 3, attempt->number);
    sqlite3_bind_int64(stmt, 4, (int64_t)row->state);
    sqlite3_bind_int64(stmt, 5, attempt->claim);
    bind_or_null(stmt, 6, row->settled_at_ms);
    ledger_sqlite_bind_text(stmt, 7, row->transaction_id.len ? row->transaction_id : STR_NONE);
    if (!row->created)
        return sqlite_db_run(stmt);
    sqlite3_bind_int64(stmt, 8, attempt->user_id);
    sqlite3_bind_int64(stmt, 9, attempt->amount);
    sqlite3_bind_int64(stmt, 10, (int64_t)attempt->operation);
    struct str key = str_from(attempt->client_key);
    ledger_sqlite_bind_text(stmt, 11, key.len ? key : STR_NONE);
    sqlite3_bind_int64(stmt, 12, attempt->started_at_ms);
    return sqlite_db_run(stmt);
}

static enum err store_sale(sqlite3_stmt *stmt, const struct ledger_sale_row *row)
{
    const struct ledger_sale *sale = &row->sale;

    if (!row->changed)
        return ERR_OK;
    sqlite3_bind_int64(stmt, 1, sale->day);
    sqlite3_bind_int64(stmt, 2, sale->sum.product_id);
    sqlite3_bind_int64(stmt, 3, sale->sum.units);
    sqlite3_bind_int64(stmt, 4, sale->sum.revenue);
    sqlite3_bind_int64(stmt, 5, sale->sum.reached_ms);
    sqlite3_bind_int64(stmt, 6, sale->version);
    return sqlite_db_run(stmt);
}

static enum err store_day(sqlite3_stmt *stmt, const struct ledger_day_row *row)
{
    if (!row->changed)
        return ERR_OK;
    sqlite3_bind_int64(stmt, 1, row->row.key.a);
    sqlite3_bind_int64(stmt, 2, row->version);
    return sqlite_db_run(stmt);
}

enum err ledger_sqlite_orders_store(struct sqlite_ledger *ledger)
{
    const struct ledger_rows *rows = &ledger->rows;
    struct sqlite_order_statements *s = &ledger->stmt.order;

    for (size_t i = 0; i < rows->orders.count; i++)
        TRY(store_order(s, rows->orders.rows[i]));
    for (size_t i = 0; i < rows->order_keys.count; i++)
        TRY(store_key(s, rows->order_keys.rows[i]));
    for (size_t i = 0; i < rows->held.count; i++)
        TRY(store_held(s->store_held, rows->held.rows[i]));
    for (size_t i = 0; i < rows->attempts.count; i++)
        TRY(store_attempt(s, rows->attempts.rows[i]));
    for (size_t i = 0; i < rows->sales.count; i++)
        TRY(store_sale(s->store_sale, rows->sales.rows[i]));
    for (size_t i = 0; i < rows->days.count; i++)
        TRY(store_day(s->store_day, rows->days.rows[i]));
    return ERR_OK;
}
