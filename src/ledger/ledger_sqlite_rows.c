// SPDX-License-Identifier: Apache-2.0
#include "base/assert.h"
#include "ledger/ledger_sqlite_internal.h"

enum err ledger_sqlite_prepare_all(sqlite3 *db, const struct sqlite_sql *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        TRY(sqlite_db_prepare(db, rows[i].sql, rows[i].stmt));
    return ERR_OK;
}

enum err ledger_sqlite_prepare(struct sqlite_ledger *ledger)
{
    struct sqlite_statements *s = &ledger->stmt;
    const struct sqlite_sql rows[] = {
        { &s->begin, "BEGIN IMMEDIATE" },
        { &s->commit, "COMMIT" },
        { &s->rollback, "ROLLBACK" },
        { &s->load_user, "SELECT balance, held, incoming, orders_pending, orders_completed,"
                         " orders_cancelled, has_cart, events FROM users WHERE user_id = ?" },
        { &s->load_coupon, "SELECT " COUPON_COLUMNS ", events FROM coupons"
                           " WHERE coupon_id = ?" },
        { &s->load_charge, "SELECT fingerprint, amount, balance_after, charged_at, status,"
                           " charge_id, answer FROM charges"
                           " WHERE user_id = ? AND idempotency_key = ?" },
        { &s->load_sequences,
          "SELECT next_user_coupon_id, next_order_id, next_charge_id, products FROM store" },
        { &s->load_next_coupon, "SELECT coalesce(max(coupon_id), 0) + 1 FROM coupons" },
        { &s->load_next_user, "SELECT coalesce(max(user_id), 0) + 1 FROM users" },
        { &s->load_next_product, "SELECT coalesce(max(product_id), 0) + 1 FROM products" },
        { &s->insert_user, "INSERT INTO users (user_id, balance, held, incoming, orders_pending,"
                           " orders_completed, orders_cancelled, has_cart, events)"
                           " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)" },
        { &s->store_user, "UPDATE users SET balance = ?2, held = ?3, incoming = ?4,"
                          " orders_pending = ?5, orders_completed = ?6, orders_cancelled = ?7,"
                          " has_cart = ?8, events = ?9 WHERE user_id = ?1" },
        { &s->store_coupon, "UPDATE coupons SET total_quantity = ?2, starts_at = ?3, ends_at = ?4,"
                            " closed = ?5, version = ?6, epoch = ?7, issued = ?8,"
                            " highest_slot = ?9, witness = ?10, closing = ?11, events = ?12"
                            " WHERE coupon_id = ?1" },
        { &s->insert_coupon, "INSERT INTO coupons (coupon_id, total_quantity, starts_at, ends_at,"
                             " closed, version, epoch, issued, highest_slot, witness, closing,"
                             " name, discount_rate, uses_per_user) VALUES"
                             " (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)" },
        { &s->store_charge,
          "INSERT OR REPLACE INTO charges (user_id, idempotency_key, fingerprint, amount,"
          " balance_after, charged_at, status, charge_id, answer)"
          " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)" },
        { &s->delete_charge, "DELETE FROM charges WHERE user_id = ? AND idempotency_key = ?" },
        { &s->store_sequences, "UPDATE store SET next_user_coupon_id = ?, next_order_id = ?,"
                               " next_charge_id = ?, products = ?" },
        { &s->store_clock, "UPDATE store SET clock_offset_ms = ?" },
        { &s->store_load_data, "UPDATE store SET load_data = ?" },
        { &s->forget_charges, "UPDATE charges SET answer = NULL WHERE (user_id, idempotency_key) IN"
                              " (SELECT user_id, idempotency_key FROM charges"
                              " WHERE answer IS NOT NULL AND charged_at < ? LIMIT ?)" },
        { &s->forget_keys,
          "UPDATE order_keys SET answer = NULL WHERE (user_id, operation, idempotency_key) IN"
          " (SELECT user_id, operation, idempotency_key FROM order_keys"
          " WHERE answer IS NOT NULL AND answered_at < ? LIMIT ?)" },
    };

    TRY(ledger_sqlite_prepare_all(ledger->db, rows, ARRAY_COUNT(rows)));
    TRY(ledger_sqlite_places_prepare(ledger));
    TRY(ledger_sqlite_orders_prepare(ledger));
    TRY(ledger_sqlite_events_prepare(ledger));
    return ledger_sqlite_shop_prepare(ledger);
}

void ledger_sqlite_coupon(sqlite3_stmt *stmt, struct coupon *ret_coupon)
{
    *ret_coupon = (struct coupon){
        .coupon_id = sqlite3_column_int64(stmt, 0),
        .discount_rate = sqlite3_column_int64(stmt, 2),
        .uses_per_user = sqlite3_column_int64(stmt, 3),
        .settings = { .total_quantity = sqlite3_column_int64(stmt, 4),
                      .starts_at_ms = sqlite3_column_int64(stmt, 5),
                      .ends_at_ms = sqlite3_column_int64(stmt, 6),
                      .closed = sqlite3_column_int64(stmt, 7) != 0,
                      .version = sqlite3_column_int64(stmt, 8) },
        .epoch = sqlite3_column_int64(stmt, 9),
        .closing = sqlite3_column_int64(stmt, 13) != 0,
        .witness = { .issued = sqlite3_column_int64(stmt, 10),
                     .highest = sqlite3_column_int64(stmt, 11),
                     .hash = (uint64_t)sqlite3_column_int64(stmt, 12) },
    };
    str_cstr(sqlite_db_text(stmt, 1), ret_coupon->name, sizeof ret_coupon->name);
}

enum err ledger_sqlite_step_one(sqlite3_stmt *stmt, bool *ret_found)
{
    int code = sqlite3_step(stmt);

    *ret_found = code == SQLITE_ROW;
    if (code != SQLITE_ROW)
        sqlite3_reset(stmt);
    return sqlite_db_err(code);
}

enum err ledger_sqlite_text(struct arena *arena, sqlite3_stmt *stmt, int column,
                            struct str *ret_text)
{
    *ret_text = STR_NONE;
    if (sqlite3_column_type(stmt, column) == SQLITE_NULL)
        return ERR_OK;
    *ret_text = arena_copy(arena, sqlite_db_text(stmt, column));
    return ret_text->ptr ? ERR_OK : ERR_NOMEM;
}

void ledger_sqlite_bind_text(sqlite3_stmt *stmt, int number, struct str text)
{
    if (text.ptr)
        sqlite3_bind_text(stmt, number, text.ptr, (int)text.len, SQLITE_STATIC);
    else
        sqlite3_bind_null(stmt, number);
}

/* ---- load ---- */

static enum err load_int(sqlite3_stmt *stmt, int64_t *ret_value)
{
    bool found;

    TRY(ledger_sqlite_step_one(stmt, &found));
    if (!found)
        return ERR_CORRUPT;
    *ret_value = sqlite3_column_int64(stmt, 0);
    sqlite3_reset(stmt);
    return ERR_OK;
}

static enum err load_user(sqlite3_stmt *stmt, struct ledger_user_row *row)
{
    sqlite3_bind_int64(stmt, 1, row->row.key.a);
    TRY(ledger_sqlite_step_one(stmt, &row->row.found));
    if (!row->row.found)
        return ERR_OK;
    row->balance = sqlite3_column_int64(stmt, 0);
    row->held = sqlite3_column_int64(stmt, 1);
    row->incoming = sqlite3_column_int64(stmt, 2);
    for (int status = 0; status < ORDER_STATUS_N; status++)
        row->orders[status] = sqlite3_column_int64(stmt, 3 + status);
    row->has_cart = sqlite3_column_int64(stmt, 6) != 0;
    row->events = sqlite3_column_int64(stmt, 7);
    sqlite3_reset(stmt);
    return ERR_OK;
}

static enum err load_coupon(sqlite3_stmt *stmt, struct ledger_coupon_row *row)
{
    sqlite3_bind_int64(stmt, 1, row->row.key.a);
    TRY(ledger_sqlite_step_one(stmt, &row->row.found));
    if (!row->row.found)
        return ERR_OK;
    ledger_sqlite_coupon(stmt, &row->coupon);
    row->events = sqlite3_column_int64(stmt, sqlite3_column_count(stmt) - 1);
    sqlite3_reset(stmt);
    return ERR_OK;
}

enum err ledger_sqlite_fingerprint(sqlite3_stmt *stmt, int column, uint8_t out[16])
{
    if (sqlite3_column_bytes(stmt, column) != 16)
        return ERR_CORRUPT;
    memcpy(out, sqlite3_column_blob(stmt, column), 16);
    return ERR_OK;
}

static enum err load_charge(struct arena *arena, sqlite3_stmt *stmt, struct ledger_charge_row *row)
{
    sqlite3_bind_int64(stmt, 1, row->row.key.a);
    ledger_sqlite_bind_text(stmt, 2, row->row.key.text);
    TRY(ledger_sqlite_step_one(stmt, &row->row.found));
    if (!row->row.found)
        return ERR_OK;
    enum err e = ledger_sqlite_fingerprint(stmt, 0, row->fingerprint);
    row->amount = sqlite3_column_int64(stmt, 1);
    row->balance_after = sqlite3_column_int64(stmt, 2);
    row->charged_at_ms = sqlite3_column_int64(stmt, 3);
    row->status = sqlite3_column_int64(stmt, 4);
    row->charge_id = sqlite3_column_int64(stmt, 5);
    if (e == ERR_OK)
        e = ledger_sqlite_text(arena, stmt, 6, &row->answer);
    sqlite3_reset(stmt);
    return e;
}

static enum err load_sequences(struct sqlite_ledger *ledger)
{
    struct ledger_rows *rows = &ledger->rows;
    sqlite3_stmt *stmt = ledger->stmt.load_sequences;
    bool found;

    TRY(ledger_sqlite_step_one(stmt, &found));
    if (!found)
        return ERR_CORRUPT;
    rows->next_user_coupon_id = sqlite3_column_int64(stmt, 0);
    rows->next_order_id = sqlite3_column_int64(stmt, 1);
    rows->next_charge_id = sqlite3_column_int64(stmt, 2);
    rows->product_count = sqlite3_column_int64(stmt, 3);
    sqlite3_reset(stmt);
    if (rows->needs_next_coupon_id)
        TRY(load_int(ledger->stmt.load_next_coupon, &rows->next_coupon_id));
    if (rows->needs_next_user_id)
        TRY(load_int(ledger->stmt.load_next_user, &rows->next_user_id));
    if (rows->needs_next_product_id)
        TRY(load_int(ledger->stmt.load_next_product, &rows->next_product_id));
    return ERR_OK;
}

static enum err load_rows(struct sqlite_ledger *ledger)
{
    struct ledger_rows *rows = &ledger->rows;
    struct sqlite_statements *s = &ledger->stmt;

    for (; rows->users.loaded < rows->users.count; rows->users.loaded++)
        TRY(load_user(s->load_user, rows->users.rows[rows->users.loaded]));
    for (; rows->coupons.loaded < rows->coupons.count; rows->coupons.loaded++)
        TRY(load_coupon(s->load_coupon, rows->coupons.rows[rows->coupons.loaded]));
    for (; rows->charges.loaded < rows->charges.count; rows->charges.loaded++)
        TRY(load_charge(&rows->arena, s->load_charge, rows->charges.rows[rows->charges.loaded]));
    TRY(ledger_sqlite_orders_load(ledger));
    return ledger_sqlite_shop_load(ledger);
}

enum err ledger_sqlite_load(struct sqlite_ledger *ledger)
{
    bool more = true;

    TRY(load_sequences(ledger));
    while (more) {
        TRY(load_rows(ledger));
        TRY(ledger_rows_follow(&ledger->rows, &more));
    }
    return ERR_OK;
}

/* ---- store ---- */

static enum err forget(struct sqlite_ledger *ledger, struct ledger_forget *forget)
{
    sqlite3_stmt *const stmts[] = { ledger->stmt.forget_charges, ledger->stmt.forget_keys };
    int64_t most = 0;

    for (size_t i = 0; i < ARRAY_COUNT(stmts); i++) {
        sqlite3_bind_int64(stmts[i], 1, ledger->rows.now_ms - LEDGER_ANSWERS_KEPT_MS);
        sqlite3_bind_int64(stmts[i], 2, LEDGER_FORGET_PIECE);
        TRY(sqlite_db_run(stmts[i]));
        most = MAX(most, (int64_t)sqlite3_changes(ledger->db));
    }
    forget->forgotten = most;
    return ERR_OK;
}

static enum err store_int(sqlite3_stmt *stmt, int64_t value)
{
    sqlite3_bind_int64(stmt, 1, value);
    return sqlite_db_run(stmt);
}

/* Those that write more than the rows they decided on. */
static enum err store_commands(struct sqlite_ledger *ledger, struct list *batch)
{
    struct ledger_command *command;

    LIST_FOREACH (command, batch, struct ledger_command, node) {
        if (command->op == LEDGER_PLACE)
            TRY(ledger_sqlite_place_store(ledger, &command->place));
        else if (command->op == LEDGER_USERS_CREATE)
            TRY(ledger_sqlite_users_store(ledger, &command->users_create));
        else if (command->op == LEDGER_CLOCK_SET)
            TRY(store_int(ledger->stmt.store_clock, command->clock_set.offset_ms));
        else if (command->op == LEDGER_LOAD_DATA_SET)
            TRY(store_int(ledger->stmt.store_load_data, (int64_t)command->load_data));
        else if (command->op == LEDGER_FORGET)
            TRY(forget(ledger, &command->forget));
        else if (command->op == LEDGER_BOARDS_STORE)
            TRY(ledger_sqlite_boards_store(ledger, &command->boards_store));
        else
            TRY(ledger_sqlite_events_command(ledger, command));
    }
    return ERR_OK;
}

static void bind_coupon(sqlite3_stmt *stmt, const struct coupon *coupon)
{
    sqlite3_bind_int64(stmt, 1, coupon->coupon_id);
    sqlite3_bind_int64(stmt, 2, coupon->settings.total_quantity);
    sqlite3_bind_int64(stmt, 3, coupon->settings.starts_at_ms);
    sqlite3_bind_int64(stmt, 4, coupon->settings.ends_at_ms);
    sqlite3_bind_int64(stmt, 5, coupon->settings.closed);
    sqlite3_bind_int64(stmt, 6, coupon->settings.version);
    sqlite3_bind_int64(stmt, 7, coupon->epoch);
    sqlite3_bind_int64(stmt, 8, coupon->witness.issued);
    sqlite3_bind_int64(stmt, 9, coupon->witness.highest);
    sqlite3_bind_int64(stmt, 10, (int64_t)coupon->witness.hash);
    sqlite3_bind_int64(stmt, 11, coupon->closing);
}

static enum err store_coupon(struct sqlite_statements *s, const struct ledger_coupon_row *row,
                             bool create)
{
    const struct coupon *coupon = &row->coupon;

    if (!create) {
        bind_coupon(s->store_coupon, coupon);
        sqlite3_bind_int64(s->store_coupon, 12, row->events);
        return sqlite_db_run(s->store_coupon);
    }
    bind_coupon(s->insert_coupon, coupon);
    sqlite3_bind_text(s->insert_coupon, 12, coupon->name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s->insert_coupon, 13, coupon->discount_rate);
    sqlite3_bind_int64(s->insert_coupon, 14, coupon->uses_per_user);
    return sqlite_db_run(s->insert_coupon);
}

static enum err store_coupons(struct sqlite_ledger *ledger, bool created)
{
    const struct ledger_table *table = &ledger->rows.coupons;

    for (size_t i = 0; i < table->count; i++) {
        const struct ledger_coupon_row *row = table->rows[i];
        if (created ? row->created : row->changed)
            TRY(store_coupon(&ledger->stmt, row, created));
    }
    return ERR_OK;
}

static enum err store_user(struct sqlite_statements *s, const struct ledger_user_row *row)
{
    sqlite3_stmt *stmt = row->row.found ? s->store_user : s->insert_user;

    sqlite3_bind_int64(stmt, 1, row->row.key.a);
    sqlite3_bind_int64(stmt, 2, row->balance);
    sqlite3_bind_int64(stmt, 3, row->held);
    sqlite3_bind_int64(stmt, 4, row->incoming);
    for (int status = 0; status < ORDER_STATUS_N; status++)
        sqlite3_bind_int64(stmt, 5 + status, row->orders[status]);
    sqlite3_bind_int64(stmt, 8, row->has_cart);
    sqlite3_bind_int64(stmt, 9, row->events);
    return sqlite_db_run(stmt);
}

static enum err store_charge(struct sqlite_statements *s, const struct ledger_charge_row *row)
{
    sqlite3_stmt *stmt = row->removed ? s->delete_charge : s->store_charge;

    sqlite3_bind_int64(stmt, 1, row->row.key.a);
    ledger_sqlite_bind_text(stmt, 2, row->row.key.text);
    if (row->removed)
        return sqlite_db_run(stmt);
    sqlite3_bind_blob(stmt, 3, row->fingerprint, sizeof row->fingerprint, SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 4, row->amount);
    sqlite3_bind_int64(stmt, 5, row->balance_after);
    sqlite3_bind_int64(stmt, 6, row->charged_at_ms);
    sqlite3_bind_int64(stmt, 7, row->status);
    sqlite3_bind_int64(stmt, 8, row->charge_id);
    ledger_sqlite_bind_text(stmt, 9, row->answer);
    return sqlite_db_run(stmt);
}

static enum err store_sequences(struct sqlite_ledger *ledger)
{
    sqlite3_stmt *stmt = ledger->stmt.store_sequences;

    if (!ledger->rows.sequences_changed)
        return ERR_OK;
    sqlite3_bind_int64(stmt, 1, ledger->rows.next_user_coupon_id);
    sqlite3_bind_int64(stmt, 2, ledger->rows.next_order_id);
    sqlite3_bind_int64(stmt, 3, ledger->rows.next_charge_id);
    sqlite3_bind_int64(stmt, 4, ledger->rows.product_count);
    return sqlite_db_run(stmt);
}

enum err ledger_sqlite_store(struct sqlite_ledger *ledger, struct list *batch)
{
    struct ledger_rows *rows = &ledger->rows;
    struct sqlite_statements *s = &ledger->stmt;

    /* New coupons first: the INSERT of a place reads its coupon's quantity. */
    TRY(store_coupons(ledger, true));
    TRY(store_commands(ledger, batch));
    TRY(store_coupons(ledger, false));
    for (size_t i = 0; i < rows->users.count; i++) {
        const struct ledger_user_row *row = rows->users.rows[i];
        if (row->changed)
            TRY(store_user(s, row));
    }
    for (size_t i = 0; i < rows->charges.count; i++) {
        const struct ledger_charge_row *row = rows->charges.rows[i];
        if (row->created || row->changed || row->removed)
            TRY(store_charge(s, row));
    }
    TRY(ledger_sqlite_orders_store(ledger));
    TRY(ledger_sqlite_events_store(ledger));
    TRY(ledger_sqlite_shop_store(ledger));
    return store_sequences(ledger);
}
