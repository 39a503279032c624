// SPDX-License-Identifier: Apache-2.0
/*
 * The sums of what was sold. A row is one product on one day; a board of many days adds many of
 * them up, which takes as long as it takes: on a thread for such work, with a connection of its
 * own.
 */
#include "ledger/ledger_sqlite_sales.h"

#include "base/log.h"

static sqlite3 *db_close(sqlite3 *db)
{
    return sqlite_db_close(db);
}
DEFINE_CLEANUP(sqlite3, db_close)

enum err ledger_sqlite_sales_open(struct ledger *base, sqlite3 **ret_db)
{
    struct sqlite_ledger *ledger = CONTAINER_OF(base, struct sqlite_ledger, base);
    CLEANUP(db_closep) sqlite3 *db = NULL;

    if (atomic_load_explicit(&ledger->fault, memory_order_relaxed))
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
                          "SELECT day, version, product_id, units, revenue, reached_at, category"
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
                                    .category = sqlite_db_text(stmt, 6) };
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

/* Items first.. of the board, at most `count`. */
static enum err take_entries(struct ledger_read *read, const struct ledger_sums *sums, size_t first,
                             size_t count)
{
    first = MIN(first, sums->count);
    read->entry_count = MIN(count, sums->count - first);
    read->first_rank = (int64_t)first + 1;
    read->entries = arena_alloc(read->arena, (read->entry_count + 1) * sizeof *read->entries);
    if (!read->entries)
        return ERR_NOMEM;
    if (read->entry_count)
        memcpy(read->entries, sums->items + first, read->entry_count * sizeof *read->entries);
    return ERR_OK;
}

/* Its neighbours, and itself among them. */
static enum err take_product(struct ledger_read *read, const struct ledger_sums *sums)
{
    size_t at = 0, around = (size_t)read->around;

    while (at < sums->count && sums->items[at].product_id != read->product_id)
        at++;
    read->rank = -1;
    read->sum = (struct sales_sum){ .product_id = read->product_id };
    if (at == sums->count)
        return take_entries(read, sums, 0, 0);
    read->rank = (int64_t)at + 1;
    read->sum = sums->items[at];
    size_t above = MIN(at, around);
    return take_entries(read, sums, at - above, above + 1 + around);
}

static enum err read_sums(struct ledger_read *read)
{
    CLEANUP(db_closep) sqlite3 *db = NULL;
    CLEANUP(ledger_sums_fini) struct ledger_sums sums = { 0 };

    TRY(ledger_sqlite_sales_open(read->client->ledger, &db));
    TRY(ledger_sqlite_sums_read(db, sales_window_days(read->window, read->day), read->category,
                                &sums));
    ledger_sums_rank(&sums, read->window);
    return read->op == LEDGER_READ_SALES_PAGE
               ? take_entries(read, &sums, (size_t)read->after, (size_t)read->limit)
               : take_product(read, &sums);
}

static void sums_work(struct loop_work *work)
{
    struct ledger_read *read = CONTAINER_OF(work, struct ledger_read, work);

    read->err = read_sums(read);
    if (read->err != ERR_OK && read->err != ERR_NOMEM) {
        LOG(LOG_WARN, "read failed", LOG_INT("operation", read->op),
            LOG_CSTR("error", err_name(read->err)));
        read->err = ERR_UNAVAILABLE;
    }
}

static void sums_done(struct loop_work *work)
{
    struct ledger_read *read = CONTAINER_OF(work, struct ledger_read, work);

    read->done(read);
}

static void not_started(struct loop_task *task)
{
    struct ledger_read *read = CONTAINER_OF(task, struct ledger_read, task);

    read->done(read);
}

void ledger_sqlite_sales_read(struct sqlite_client *client, struct ledger_read *read)
{
    read->client = &client->mail.base;
    read->work.work = sums_work;
    read->work.done = sums_done;
    if (loop_work_start(client->mail.loop, &read->work) == ERR_OK)
        return;
    read->err = ERR_NOMEM;
    read->task.run = not_started;
    loop_post(client->mail.loop, &read->task);
}
