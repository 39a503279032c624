// SPDX-License-Identifier: Apache-2.0
#include "base/assert.h"
#include "ledger/ledger_sqlite_internal.h"

enum err ledger_sqlite_prepare(struct sqlite_ledger *ledger)
{
    struct sqlite_statements *s = &ledger->stmt;
    const struct {
        sqlite3_stmt **stmt;
        const char *sql;
    } rows[] = {
        { &s->begin, "BEGIN IMMEDIATE" },
        { &s->commit, "COMMIT" },
        { &s->rollback, "ROLLBACK" },
        { &s->load_user, "SELECT balance FROM users WHERE user_id = ?" },
        { &s->load_coupon, "SELECT " COUPON_COLUMNS " FROM coupons WHERE coupon_id = ?" },
        { &s->load_charge, "SELECT fingerprint, amount, balance_after, charged_at, answer"
                           " FROM charges WHERE user_id = ? AND idempotency_key = ?" },
        { &s->load_sequence, "SELECT next_user_coupon_id FROM store" },
        { &s->load_next_coupon, "SELECT coalesce(max(coupon_id), 0) + 1 FROM coupons" },
        { &s->load_next_user, "SELECT coalesce(max(user_id), 0) + 1 FROM users" },
        { &s->store_user, "UPDATE users SET balance = ?2 WHERE user_id = ?1" },
        { &s->store_coupon, "UPDATE coupons SET total_quantity = ?2, starts_at = ?3, ends_at = ?4,"
                            " closed = ?5, version = ?6, epoch = ?7, issued = ?8,"
                            " highest_slot = ?9, witness = ?10 WHERE coupon_id = ?1" },
        { &s->insert_coupon, "INSERT INTO coupons (coupon_id, total_quantity, starts_at, ends_at,"
                             " closed, version, epoch, issued, highest_slot, witness, name,"
                             " discount_rate, uses_per_user)"
                             " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)" },
        { &s->insert_charge, "INSERT INTO charges (user_id, idempotency_key, fingerprint, amount,"
                             " balance_after, charged_at, answer) VALUES (?, ?, ?, ?, ?, ?, ?)" },
        { &s->insert_place,
          "INSERT INTO user_coupons (coupon_id, slot, user_id, user_coupon_id, issued_at,"
          " expires_at, uses, used_at)"
          " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, iif(?7 > 0, ?5, 0) FROM coupons"
          " WHERE coupon_id = ?1 AND ?2 <= total_quantity ON CONFLICT DO NOTHING" },
        { &s->insert_user, "INSERT INTO users (user_id, username, email, balance)"
                           " VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING" },
        { &s->store_sequence, "UPDATE store SET next_user_coupon_id = ?" },
        { &s->store_clock, "UPDATE store SET clock_offset_ms = ?" },
        { &s->store_load_data, "UPDATE store SET load_data = ?" },
        { &s->forget, "UPDATE charges SET answer = NULL WHERE (user_id, idempotency_key) IN"
                      " (SELECT user_id, idempotency_key FROM charges"
                      " WHERE answer IS NOT NULL AND charged_at < ? LIMIT ?)" },
        { &s->find_place, "SELECT " HELD_COLUMNS " FROM user_coupons"
                          " WHERE user_id = ? AND coupon_id = ?" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        TRY(sqlite_db_prepare(ledger->db, rows[i].sql, rows[i].stmt));
    return ERR_OK;
}

void ledger_sqlite_coupon(sqlite3_stmt *stmt, struct coupon *ret_coupon)
{
    struct str name = sqlite_db_text(stmt, 1);

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
        .witness = { .issued = sqlite3_column_int64(stmt, 10),
                     .highest = sqlite3_column_int64(stmt, 11),
                     .hash = (uint64_t)sqlite3_column_int64(stmt, 12) },
    };
    memcpy(ret_coupon->name, name.ptr ? name.ptr : "",
           MIN(name.len, (size_t)COUPON_NAME_BYTES_MAX));
}

void ledger_sqlite_held(sqlite3_stmt *stmt, struct ledger_held *ret_held)
{
    *ret_held = (struct ledger_held){ .coupon_id = sqlite3_column_int64(stmt, 0),
                                      .slot = sqlite3_column_int64(stmt, 1),
                                      .user_id = sqlite3_column_int64(stmt, 2),
                                      .user_coupon_id = sqlite3_column_int64(stmt, 3),
                                      .issued_at_ms = sqlite3_column_int64(stmt, 4),
                                      .expires_at_ms = sqlite3_column_int64(stmt, 5),
                                      .uses = sqlite3_column_int64(stmt, 6),
                                      .used_at_ms = sqlite3_column_int64(stmt, 7) };
}

/* One row or none. On ERR_OK with *ret_found the caller reads the columns, then resets. */
static enum err step_one(sqlite3_stmt *stmt, bool *ret_found)
{
    int code = sqlite3_step(stmt);

    *ret_found = code == SQLITE_ROW;
    if (code != SQLITE_ROW)
        sqlite3_reset(stmt);
    return sqlite_db_err(code);
}

static enum err load_int(sqlite3_stmt *stmt, int64_t *ret_value)
{
    bool found;

    TRY(step_one(stmt, &found));
    if (!found)
        return ERR_CORRUPT;
    *ret_value = sqlite3_column_int64(stmt, 0);
    sqlite3_reset(stmt);
    return ERR_OK;
}

static enum err load_user(sqlite3_stmt *stmt, struct ledger_user_row *row)
{
    sqlite3_bind_int64(stmt, 1, row->user_id);
    TRY(step_one(stmt, &row->found));
    if (row->found) {
        row->balance = sqlite3_column_int64(stmt, 0);
        sqlite3_reset(stmt);
    }
    return ERR_OK;
}

static enum err load_coupon(sqlite3_stmt *stmt, struct ledger_coupon_row *row)
{
    sqlite3_bind_int64(stmt, 1, row->coupon_id);
    TRY(step_one(stmt, &row->found));
    if (row->found) {
        ledger_sqlite_coupon(stmt, &row->coupon);
        sqlite3_reset(stmt);
    }
    return ERR_OK;
}

static enum err load_charge(sqlite3_stmt *stmt, struct ledger_charge_row *row)
{
    sqlite3_bind_int64(stmt, 1, row->user_id);
    sqlite3_bind_text(stmt, 2, row->key.ptr, (int)row->key.len, SQLITE_STATIC);
    TRY(step_one(stmt, &row->found));
    if (!row->found)
        return ERR_OK;
    const void *fingerprint = sqlite3_column_blob(stmt, 0);
    const void *answer = sqlite3_column_blob(stmt, 4);
    size_t answer_bytes = (size_t)sqlite3_column_bytes(stmt, 4);
    bool whole = sqlite3_column_bytes(stmt, 0) == (int)sizeof row->fingerprint;
    if (whole)
        memcpy(row->fingerprint, fingerprint, sizeof row->fingerprint);
    row->amount = sqlite3_column_int64(stmt, 1);
    row->balance_after = sqlite3_column_int64(stmt, 2);
    row->charged_at_ms = sqlite3_column_int64(stmt, 3);
    row->has_answer = answer != NULL;
    row->answer = (struct buf){ 0 };
    if (answer)
        buf_bytes(&row->answer, answer, answer_bytes);
    sqlite3_reset(stmt);
    return !whole ? ERR_CORRUPT : buf_ok(&row->answer) ? ERR_OK : ERR_NOMEM;
}

enum err ledger_sqlite_load(struct sqlite_ledger *ledger)
{
    struct ledger_rows *rows = &ledger->rows;
    struct sqlite_statements *s = &ledger->stmt;

    for (size_t i = 0; i < rows->user_count; i++)
        TRY(load_user(s->load_user, &rows->users[i]));
    for (size_t i = 0; i < rows->coupon_count; i++)
        TRY(load_coupon(s->load_coupon, &rows->coupons[i]));
    for (size_t i = 0; i < rows->charge_count; i++)
        TRY(load_charge(s->load_charge, &rows->charges[i]));
    TRY(load_int(s->load_sequence, &rows->next_user_coupon_id));
    if (rows->needs_next_coupon_id)
        TRY(load_int(s->load_next_coupon, &rows->next_coupon_id));
    if (rows->needs_next_user_id)
        TRY(load_int(s->load_next_user, &rows->next_user_id));
    return ERR_OK;
}

/* The fences did not let the place in: whose is it? */
static enum err place_refused(struct sqlite_ledger *ledger, struct ledger_place *place)
{
    sqlite3_stmt *stmt = ledger->stmt.find_place;
    struct ledger_held held;
    bool found;

    sqlite3_bind_int64(stmt, 1, place->user_id);
    sqlite3_bind_int64(stmt, 2, place->coupon_id);
    TRY(step_one(stmt, &found));
    if (!found) {
        place->outcome = LEDGER_PLACE_CONFLICT;
        return ERR_OK;
    }
    ledger_sqlite_held(stmt, &held);
    sqlite3_reset(stmt);
    place->outcome = held.slot == place->slot ? LEDGER_PLACE_THERE : LEDGER_PLACE_OTHER;
    place->slot = held.slot;
    place->user_coupon_id = held.user_coupon_id;
    place->issued_at_ms = held.issued_at_ms;
    place->expires_at_ms = held.expires_at_ms;
    return ERR_OK;
}

static enum err store_place(struct sqlite_ledger *ledger, struct ledger_place *place)
{
    sqlite3_stmt *stmt = ledger->stmt.insert_place;

    sqlite3_bind_int64(stmt, 1, place->coupon_id);
    sqlite3_bind_int64(stmt, 2, place->slot);
    sqlite3_bind_int64(stmt, 3, place->user_id);
    sqlite3_bind_int64(stmt, 4, place->user_coupon_id);
    sqlite3_bind_int64(stmt, 5, place->issued_at_ms);
    sqlite3_bind_int64(stmt, 6, place->expires_at_ms);
    sqlite3_bind_int64(stmt, 7, place->uses);
    TRY(sqlite_db_run(stmt));
    if (sqlite3_changes(ledger->db) != 1)
        return place_refused(ledger, place);
    ledger_place_stored(&ledger->rows, place);
    return ERR_OK;
}

static enum err insert_user(struct sqlite_ledger *ledger, const struct ledger_users_create *create,
                            int64_t user_id, bool *ret_created)
{
    sqlite3_stmt *stmt = ledger->stmt.insert_user;

    sqlite3_bind_int64(stmt, 1, user_id);
    sqlite3_bind_text(stmt, 2, create->username.ptr, (int)create->username.len, SQLITE_STATIC);
    sqlite3_bind_text(stmt, 3, create->email.ptr, (int)create->email.len, SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 4, create->balance);
    TRY(sqlite_db_run(stmt));
    *ret_created = sqlite3_changes(ledger->db) == 1;
    return ERR_OK;
}

/* The next piece of the range. Nothing of the command moves on before the commit. */
static enum err store_users(struct sqlite_ledger *ledger, struct ledger_users_create *create)
{
    int64_t next = create->next_user_id ? create->next_user_id : create->from_user_id;
    int64_t count = MIN(create->to_user_id - next + 1, (int64_t)LEDGER_USERS_PIECE);

    create->piece_created = 0;
    for (int64_t i = 0; i < count; i++) {
        bool is_new;
        TRY(insert_user(ledger, create, next + i, &is_new));
        create->piece_created += is_new;
    }
    return ERR_OK;
}

bool ledger_sqlite_users_committed(struct ledger_users_create *create)
{
    int64_t next = create->next_user_id ? create->next_user_id : create->from_user_id;

    create->created += create->piece_created;
    create->taken = create->refuse_taken && create->created == 0;
    if (create->to_user_id - next < LEDGER_USERS_PIECE)
        return true;
    create->next_user_id = next + LEDGER_USERS_PIECE;
    return false;
}

static enum err store_commands(struct sqlite_ledger *ledger, struct list *batch, bool *ret_places)
{
    struct ledger_command *command;

    *ret_places = false;
    LIST_FOREACH (command, batch, struct ledger_command, node) {
        if (command->op == LEDGER_PLACE) {
            TRY(store_place(ledger, &command->place));
            *ret_places = true;
        } else if (command->op == LEDGER_USERS_CREATE) {
            TRY(store_users(ledger, &command->users_create));
        } else if (command->op == LEDGER_CLOCK_SET) {
            sqlite3_bind_int64(ledger->stmt.store_clock, 1, command->clock_set.offset_ms);
            TRY(sqlite_db_run(ledger->stmt.store_clock));
        } else if (command->op == LEDGER_LOAD_DATA_SET) {
            sqlite3_bind_int64(ledger->stmt.store_load_data, 1, (int64_t)command->load_data);
            TRY(sqlite_db_run(ledger->stmt.store_load_data));
        } else if (command->op == LEDGER_FORGET) {
            sqlite3_bind_int64(ledger->stmt.forget, 1,
                               ledger->rows.now_ms - LEDGER_ANSWERS_KEPT_MS);
            sqlite3_bind_int64(ledger->stmt.forget, 2, LEDGER_FORGET_PIECE);
            TRY(sqlite_db_run(ledger->stmt.forget));
            command->forget.forgotten = sqlite3_changes(ledger->db);
        }
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
}

static enum err store_coupon(struct sqlite_statements *s, const struct ledger_coupon_row *row)
{
    const struct coupon *coupon = &row->coupon;

    if (!row->created) {
        bind_coupon(s->store_coupon, coupon);
        return sqlite_db_run(s->store_coupon);
    }
    bind_coupon(s->insert_coupon, coupon);
    sqlite3_bind_text(s->insert_coupon, 11, coupon->name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s->insert_coupon, 12, coupon->discount_rate);
    sqlite3_bind_int64(s->insert_coupon, 13, coupon->uses_per_user);
    return sqlite_db_run(s->insert_coupon);
}

static enum err store_charge(sqlite3_stmt *stmt, const struct ledger_charge_row *row)
{
    sqlite3_bind_int64(stmt, 1, row->user_id);
    sqlite3_bind_text(stmt, 2, row->key.ptr, (int)row->key.len, SQLITE_STATIC);
    sqlite3_bind_blob(stmt, 3, row->fingerprint, sizeof row->fingerprint, SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 4, row->amount);
    sqlite3_bind_int64(stmt, 5, row->balance_after);
    sqlite3_bind_int64(stmt, 6, row->charged_at_ms);
    sqlite3_bind_blob(stmt, 7, row->answer.ptr, (int)row->answer.len, SQLITE_STATIC);
    return sqlite_db_run(stmt);
}

enum err ledger_sqlite_store(struct sqlite_ledger *ledger, struct list *batch)
{
    struct ledger_rows *rows = &ledger->rows;
    struct sqlite_statements *s = &ledger->stmt;
    bool places;

    /* New coupons first: the INSERT of a place reads its coupon's quantity. */
    for (size_t i = 0; i < rows->coupon_count; i++)
        if (rows->coupons[i].created)
            TRY(store_coupon(s, &rows->coupons[i]));
    TRY(store_commands(ledger, batch, &places));
    for (size_t i = 0; i < rows->coupon_count; i++) {
        struct ledger_coupon_row *row = &rows->coupons[i];
        bool created = row->created;
        row->created = false;
        if (row->changed)
            TRY(store_coupon(s, row));
        row->created = created;
    }
    for (size_t i = 0; i < rows->user_count; i++)
        if (rows->users[i].changed) {
            sqlite3_bind_int64(s->store_user, 1, rows->users[i].user_id);
            sqlite3_bind_int64(s->store_user, 2, rows->users[i].balance);
            TRY(sqlite_db_run(s->store_user));
        }
    for (size_t i = 0; i < rows->charge_count; i++)
        if (rows->charges[i].created)
            TRY(store_charge(s->insert_charge, &rows->charges[i]));
    if (places) {
        sqlite3_bind_int64(s->store_sequence, 1, rows->next_user_coupon_id);
        TRY(sqlite_db_run(s->store_sequence));
    }
    return ERR_OK;
}
