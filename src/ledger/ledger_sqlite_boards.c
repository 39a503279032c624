// SPDX-License-Identifier: Apache-2.0
/* The backup (ledger_boards.h) in SQLite: boards stored, read, and what they are made of. */
#include "base/clock.h"
#include "base/log.h"
#include "ledger/ledger_boards.h"
#include "ledger/ledger_sqlite_sales.h"

/* ---- storing, on the writer's thread ---- */

static enum err store_each(struct sqlite_ledger *ledger, sqlite3_stmt *stmt,
                           struct ledger_boards_store *store)
{
    CLEANUP(buf_fini) struct buf entries = { 0 };

    for (size_t i = 0; i < store->board_count; i++) {
        const struct ledger_board *board = &store->boards[i];
        ledger_board_render(&entries, board);
        if (!buf_ok(&entries))
            return ERR_NOMEM;
        sqlite3_bind_int64(stmt, 1, board->window);
        sqlite3_bind_int64(stmt, 2, board->day);
        sqlite3_bind_text(stmt, 3, board->category.len ? board->category.ptr : "",
                          (int)board->category.len, SQLITE_STATIC);
        sqlite3_bind_int64(stmt, 4, board->version);
        sqlite3_bind_int64(stmt, 5, board->made_at_ms);
        sqlite3_bind_text(stmt, 6, entries.ptr, (int)entries.len, SQLITE_STATIC);
        TRY(sqlite_db_run(stmt));
        store->written += sqlite3_changes(ledger->db);
    }
    return ERR_OK;
}

static enum err forget(struct sqlite_ledger *ledger, struct ledger_boards_store *store)
{
    sqlite3_stmt *stmt;

    TRY(sqlite_db_prepare(ledger->db, "DELETE FROM boards WHERE day < ?", &stmt));
    sqlite3_bind_int64(stmt, 1, store->forget_before_day);
    enum err e = sqlite_db_run(stmt);
    store->forgotten = sqlite3_changes(ledger->db);
    sqlite3_finalize(stmt);
    return e;
}

/* Every ten minutes: statements are made for it each time. */
enum err ledger_sqlite_boards_store(struct sqlite_ledger *ledger, struct ledger_boards_store *store)
{
    sqlite3_stmt *stmt;

    store->written = store->forgotten = 0;
    TRY(sqlite_db_prepare(ledger->db,
                          "INSERT INTO boards"
                          " (sales_window, day, category, version, made_at, entries)"
                          " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                          " version = excluded.version, made_at = excluded.made_at,"
                          " entries = excluded.entries WHERE excluded.version > version"
                          " OR (excluded.version = version AND excluded.made_at > made_at"
                          " AND made_at <= (SELECT " LEDGER_MOVED_FOR_CERTAIN " FROM store))",
                          &stmt));
    enum err e = store_each(ledger, stmt, store);
    sqlite3_finalize(stmt);
    return e != ERR_OK ? e : forget(ledger, store);
}

/* ---- reading one ---- */

enum err ledger_sqlite_board_read(sqlite3_stmt *stmt, struct ledger_read *read)
{
    int code;

    read->found = false;
    read->entry_count = 0;
    read->first_rank = 1;
    read->entries = arena_alloc(read->arena, LEDGER_BOARD_ENTRIES_MAX * sizeof *read->entries);
    if (!read->entries)
        return ERR_NOMEM;
    sqlite3_bind_int64(stmt, 1, read->window);
    sqlite3_bind_int64(stmt, 2, read->day);
    ledger_sqlite_bind_text(stmt, 3, read->category);
    while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
        read->found = true;
        read->made_at_ms = sqlite3_column_int64(stmt, 0);
        if (sqlite3_column_type(stmt, 1) == SQLITE_NULL ||
            read->entry_count == LEDGER_BOARD_ENTRIES_MAX)
            continue;
        read->entries[read->entry_count++] =
            (struct sales_sum){ .product_id = sqlite3_column_int64(stmt, 1),
                                .units = sqlite3_column_int64(stmt, 2),
                                .revenue = sqlite3_column_int64(stmt, 3),
                                .reached_ms = sqlite3_column_int64(stmt, 4) };
    }
    return sqlite_db_err(code);
}

/* ---- what they are made of ---- */

struct source {
    struct ledger_boards_source base;
    sqlite3 *db;
    sqlite3_stmt *version, *stored, *category, *categories;
};

static void source_fini(struct source *source)
{
    sqlite_db_close(source->db);
}

static struct source *self(struct ledger_boards_source *base)
{
    return CONTAINER_OF(base, struct source, base);
}

static enum err ask(sqlite3_stmt *stmt, int64_t a, int64_t b, int64_t *ret_value)
{
    sqlite3_bind_int64(stmt, 1, a);
    sqlite3_bind_int64(stmt, 2, b);
    int code = sqlite3_step(stmt);
    *ret_value = code == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : 0;
    sqlite3_reset(stmt);
    return sqlite_db_err(code);
}

static enum err version_of(struct ledger_boards_source *source, struct sales_days days,
                           int64_t *ret_version)
{
    return ask(self(source)->version, days.from, days.to, ret_version);
}

static enum err stored_version(struct ledger_boards_source *source, enum sales_window window,
                               int64_t day, int64_t *ret_version)
{
    return ask(self(source)->stored, window, day, ret_version);
}

static enum err sums_of(struct ledger_boards_source *source, struct sales_days days,
                        struct ledger_sums *sums)
{
    return ledger_sqlite_sums_read(self(source)->db, days, STR_NONE, sums);
}

static enum err copy_column(struct arena *arena, sqlite3_stmt *stmt, struct str *ret_text)
{
    struct str text = sqlite_db_text(stmt, 0);

    *ret_text = text.len ? arena_copy(arena, text) : STR_NONE;
    return text.len && !ret_text->ptr ? ERR_NOMEM : ERR_OK;
}

static enum err category_of(struct ledger_boards_source *source, int64_t product_id,
                            struct arena *arena, struct str *ret_category)
{
    sqlite3_stmt *stmt = self(source)->category;

    *ret_category = STR_NONE;
    sqlite3_bind_int64(stmt, 1, product_id);
    int code = sqlite3_step(stmt);
    enum err e = code == SQLITE_ROW ? copy_column(arena, stmt, ret_category) : sqlite_db_err(code);
    sqlite3_reset(stmt);
    return e;
}

static enum err each_category(struct ledger_boards_source *source, enum sales_window window,
                              int64_t day, enum err (*each)(void *context, struct str category),
                              void *context)
{
    sqlite3_stmt *stmt = self(source)->categories;
    enum err e = ERR_OK;
    int code = SQLITE_DONE;

    sqlite3_bind_int64(stmt, 1, window);
    sqlite3_bind_int64(stmt, 2, day);
    while (e == ERR_OK && (code = sqlite3_step(stmt)) == SQLITE_ROW)
        e = each(context, sqlite_db_text(stmt, 0));
    sqlite3_reset(stmt);
    return e != ERR_OK ? e : sqlite_db_err(code);
}

static enum err source_open(struct ledger *ledger, struct source *source)
{
    const struct sqlite_sql rows[] = {
        { &source->version,
          "SELECT coalesce(sum(version), 0) FROM sales_days WHERE day BETWEEN ? AND ?" },
        { &source->stored,
          "SELECT version FROM boards WHERE sales_window = ? AND day = ? AND category = ''"
          " AND made_at > (SELECT " LEDGER_MOVED_FOR_CERTAIN " FROM store)" },
        { &source->category, "SELECT category FROM products WHERE product_id = ?" },
        { &source->categories, "SELECT category FROM boards WHERE sales_window = ? AND day = ?" },
    };

    TRY(ledger_sqlite_sales_open(ledger, &source->db));
    return ledger_sqlite_prepare_all(source->db, rows, ARRAY_COUNT(rows));
}

enum err ledger_sqlite_scan_boards(struct ledger *ledger, int64_t from_day, int64_t to_day,
                                   bool (*each)(void *context, const struct ledger_board *board),
                                   void *context)
{
    CLEANUP(source_fini)
    struct source source = { .base = { .version = version_of,
                                       .stored = stored_version,
                                       .sums = sums_of,
                                       .category = category_of,
                                       .categories = each_category } };
    int64_t made_at_ms = clock_wall_ms();

    TRY(source_open(ledger, &source));
    return ledger_boards_scan(&source.base, from_day, to_day, made_at_ms, each, context);
}
