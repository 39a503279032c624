// SPDX-License-Identifier: Apache-2.0
/* Reads of orders and of open attempts, on the loop's own connection. */
#include "ledger/ledger_sqlite_internal.h"

static enum err read_lines(struct sqlite_client *client, struct arena *arena,
                           struct ledger_order *order)
{
    return ledger_sqlite_order_lines(arena, client->order_lines, order);
}

enum err ledger_sqlite_read_order(struct sqlite_client *client, struct ledger_read *read)
{
    sqlite3_stmt *stmt = client->read[LEDGER_READ_ORDER];

    sqlite3_bind_int64(stmt, 1, read->order_id);
    int code = sqlite3_step(stmt);
    read->found = code == SQLITE_ROW;
    if (!read->found)
        return sqlite_db_err(code);
    TRY(ledger_sqlite_order(read->arena, stmt, &read->order));
    return read_lines(client, read->arena, &read->order);
}

/* How many there are is on the user's row. */
static enum err read_counts(struct sqlite_client *client, struct ledger_read *read)
{
    sqlite3_stmt *stmt = client->order_counts;

    sqlite3_bind_int64(stmt, 1, read->user_id);
    int code = sqlite3_step(stmt);
    read->found = code == SQLITE_ROW;
    read->total_count = 0;
    for (int status = 0; read->found && status < ORDER_STATUS_N; status++)
        if (read->status < 0 || read->status == status)
            read->total_count += sqlite3_column_int64(stmt, status);
    sqlite3_reset(stmt);
    return sqlite_db_err(code);
}

/* One row more than the limit only sets `more`. */
static enum err read_page(struct sqlite_client *client, struct ledger_read *read)
{
    sqlite3_stmt *stmt = client->read[LEDGER_READ_ORDERS];
    int code;

    sqlite3_bind_int64(stmt, 1, read->user_id);
    sqlite3_bind_int64(stmt, 2, read->status);
    sqlite3_bind_int64(stmt, 3, read->after ? read->after : INT64_MAX);
    sqlite3_bind_int64(stmt, 4, read->limit + 1);
    while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
        if (read->order_count == (size_t)read->limit) {
            read->more = true;
            return ERR_OK;
        }
        TRY(ledger_sqlite_order(read->arena, stmt, &read->orders[read->order_count++]));
    }
    return sqlite_db_err(code);
}

enum err ledger_sqlite_read_orders(struct sqlite_client *client, struct ledger_read *read)
{
    read->more = false;
    read->order_count = 0;
    read->orders = arena_alloc(read->arena, (size_t)read->limit * sizeof *read->orders);
    if (!read->orders)
        return ERR_NOMEM;
    TRY(read_counts(client, read));
    if (!read->found)
        return ERR_OK;
    TRY(read_page(client, read));
    for (size_t i = 0; i < read->order_count; i++)
        TRY(read_lines(client, read->arena, &read->orders[i]));
    return ERR_OK;
}

enum err ledger_sqlite_read_attempts(sqlite3_stmt *stmt, struct ledger_read *read)
{
    int code;

    read->attempt_count = 0;
    read->attempts = arena_alloc(read->arena, (size_t)read->limit * sizeof *read->attempts);
    if (!read->attempts)
        return ERR_NOMEM;
    sqlite3_bind_int64(stmt, 1, read->before_ms);
    sqlite3_bind_int64(stmt, 2, read->limit);
    while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct ledger_attempt *attempt = &read->attempts[read->attempt_count++];
        *attempt = (struct ledger_attempt){
            .kind = (enum ledger_attempt_kind)sqlite3_column_int64(stmt, 0),
            .subject_id = sqlite3_column_int64(stmt, 1),
            .number = sqlite3_column_int64(stmt, 2),
        };
        ledger_sqlite_attempt(stmt, 3, attempt);
    }
    return sqlite_db_err(code);
}
