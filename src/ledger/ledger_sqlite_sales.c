// SPDX-License-Identifier: Apache-2.0
/*
 * The sums of what was sold. A row is one product on one day; a board of many days adds many of
 * them up, which takes as long as it takes: on a thread for such work, with a connection of its
 * own.
 */
#include "ledger/ledger_sqlite_sales.h"

#include "ledger/ledger_sums_read.h"

static sqlite3 *db_close(sqlite3 *db)
{
    return sqlite_db_close(db);
}
DEFINE_CLEANUP(sqlite3, db_close)

enum err ledger_sqlite_sales_open(struct ledger *base, sqlite3 **ret_db)
{
    struct sqlite_ledger *ledger = CONTAINER_OF(base, struct sqlite_ledger, base);
    CLEANUP(db_closep) sqlite3 *db = NULL;

    if (ledger_has_fault(&ledger->base))
        return ERR_UNAVAILABLE;
    TRY(sqlite_db_open(ledger->path, ledger->scan_mode, &db));
    TRY(sqlite_db_exec(db, "BEGIN"));
    *ret_db = TAKE(db);
    return ERR_OK;
}

enum err ledger_sqlite_scan_sales(struct ledger *ledger, int64_t from_day,
                                  bool (*each)(void *context, const struct ledger_sale *sale),
                                  void *context)
{
    CLEANUP(db_closep) sqlite3 *db = NULL;
    sqlite3_stmt *stmt;
    int code;

    TRY(ledger_sqlite_sales_open(ledger, &db));
    TRY(sqlite_db_prepare(db,
                          "SELECT day, version, product_id, units, revenue, reached_at, category,"
                          " category_version"
                          " FROM sales LEFT JOIN products USING (product_id)"
                          " WHERE day >= ? ORDER BY day",
                          &stmt));
    sqlite3_bind_int64(stmt, 1, from_day);
    while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct ledger_sale sale = { .day = sqlite3_column_int64(stmt, 0),
                                    .version = sqlite3_column_int64(stmt, 1),
                                    .sum = { .product_id = sqlite3_column_int64(stmt, 2),
                                             .units = sqlite3_column_int64(stmt, 3),
                                             .revenue = sqlite3_column_int64(stmt, 4),
                                             .reached_ms = sqlite3_column_int64(stmt, 5) },
                                    .category = sqlite_db_text(stmt, 6),
                                    .category_version = sqlite3_column_int64(stmt, 7) };
        if (!each(context, &sale))
            return ERR_NOMEM;
    }
    return sqlite_db_err(code);
}

enum err ledger_sqlite_sums_read(sqlite3 *db, struct sales_days days, struct str category,
                                 struct ledger_sums *sums)
{
    sqlite3_stmt *stmt;
    enum err e = ERR_OK;
    int code = SQLITE_DONE;

    TRY(sqlite_db_prepare(db,
                          category.ptr ? "SELECT product_id, units, revenue, reached_at FROM sales"
                                         " WHERE day BETWEEN ? AND ? AND product_id IN"
                                         " (SELECT product_id FROM products WHERE category = ?)"
                                       : "SELECT product_id, units, revenue, reached_at FROM sales"
                                         " WHERE day BETWEEN ? AND ?",
                          &stmt));
    sqlite3_bind_int64(stmt, 1, days.from);
    sqlite3_bind_int64(stmt, 2, days.to);
    if (category.ptr)
        sqlite3_bind_text(stmt, 3, category.ptr, (int)category.len, SQLITE_STATIC);
    while (e == ERR_OK && (code = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct sales_sum row = { .product_id = sqlite3_column_int64(stmt, 0),
                                 .units = sqlite3_column_int64(stmt, 1),
                                 .revenue = sqlite3_column_int64(stmt, 2),
                                 .reached_ms = sqlite3_column_int64(stmt, 3) };
        e = ledger_sums_add(sums, &row);
    }
    sqlite3_finalize(stmt);
    return e != ERR_OK ? e : sqlite_db_err(code);
}

/* ---- reads ---- */

static enum err read_sums(struct ledger_read *read)
{
    CLEANUP(db_closep) sqlite3 *db = NULL;
    CLEANUP(ledger_sums_fini) struct ledger_sums sums = { 0 };

    TRY(ledger_sqlite_sales_open(read->client->ledger, &db));
    TRY(ledger_sqlite_sums_read(db, sales_window_days(read->window, read->day), read->category,
                                &sums));
    return ledger_sums_answer(read, &sums);
}

static void sums_work(struct loop_work *work)
{
    struct ledger_read *read = CONTAINER_OF(work, struct ledger_read, work);

    read->err = ledger_sums_read_err(read, read_sums(read));
}

void ledger_sqlite_sales_read(struct sqlite_client *client, struct ledger_read *read)
{
    read->client = &client->base;
    ledger_sums_read_start(client->base.loop, read, sums_work);
}
