// SPDX-License-Identifier: Apache-2.0
/* What is not decided in memory: the fences of the database say whether a place is stored, and a
 * range of users goes in as it is. */
#include "ledger/ledger_sqlite_internal.h"

enum err ledger_sqlite_places_prepare(struct sqlite_ledger *ledger)
{
    struct sqlite_place_statements *s = &ledger->stmt.place;
    const struct sqlite_sql rows[] = {
        { &s->insert_place,
          "INSERT INTO user_coupons (coupon_id, slot, user_id, user_coupon_id, issued_at,"
          " expires_at, uses, used_at)"
          " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, iif(?7 > 0, ?5, 0) FROM coupons"
          " WHERE coupon_id = ?1 AND ?2 <= total_quantity ON CONFLICT DO NOTHING" },
        { &s->find_place, "SELECT " HELD_COLUMNS " FROM user_coupons"
                          " WHERE user_id = ? AND coupon_id = ?" },
        { &s->insert_user, "INSERT INTO users (user_id, username, email, balance)"
                           " VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING" },
    };

    return ledger_sqlite_prepare_all(ledger->db, rows, ARRAY_COUNT(rows));
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

/* The fences did not let the place in: whose is it? */
static enum err place_refused(struct sqlite_ledger *ledger, struct ledger_place *place)
{
    sqlite3_stmt *stmt = ledger->stmt.place.find_place;
    struct ledger_held held;
    bool found;

    sqlite3_bind_int64(stmt, 1, place->user_id);
    sqlite3_bind_int64(stmt, 2, place->coupon_id);
    TRY(ledger_sqlite_step_one(stmt, &found));
    if (!found)
        return ERR_OK; /* as it was decided */
    ledger_sqlite_held(stmt, &held);
    sqlite3_reset(stmt);
    place->outcome = held.slot == place->slot ? LEDGER_PLACE_THERE : LEDGER_PLACE_OTHER;
    place->other_slot = held.slot;
    place->user_coupon_id = held.user_coupon_id;
    place->issued_at_ms = held.issued_at_ms;
    place->expires_at_ms = held.expires_at_ms;
    return ERR_OK;
}

enum err ledger_sqlite_place_store(struct sqlite_ledger *ledger, struct ledger_place *place)
{
    sqlite3_stmt *stmt = ledger->stmt.place.insert_place;

    if (place->outcome == LEDGER_PLACE_STALE)
        return place_refused(ledger, place);
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
    sqlite3_stmt *stmt = ledger->stmt.place.insert_user;

    sqlite3_bind_int64(stmt, 1, user_id);
    sqlite3_bind_text(stmt, 2, create->username.ptr, (int)create->username.len, SQLITE_STATIC);
    sqlite3_bind_text(stmt, 3, create->email.ptr, (int)create->email.len, SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 4, create->balance);
    TRY(sqlite_db_run(stmt));
    *ret_created = sqlite3_changes(ledger->db) == 1;
    return ERR_OK;
}

/* The next piece of the range. Nothing of the command moves on before the commit. */
enum err ledger_sqlite_users_store(struct sqlite_ledger *ledger, struct ledger_users_create *create)
{
    int64_t count, next = ledger_users_piece(create, &count);

    create->piece_created = 0;
    for (int64_t i = 0; i < count; i++) {
        bool is_new;
        TRY(insert_user(ledger, create, next + i, &is_new));
        create->piece_created += is_new;
    }
    return ERR_OK;
}
