// SPDX-License-Identifier: Apache-2.0
/*
 * The backup: finished boards. A board's version is the sum of the versions of its days; they only
 * grow, so a higher one is a later state of the same sums, whoever made it and when. The board of
 * all products is the last of its days to be handed out: once it is stored, so are those of the
 * categories. When a product moves to another category, the boards made until then are made again.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "ledger/ledger_sqlite_sales.h"

/* A move has the time at which its batch began, and is seen when that is committed: a board made in
 * between, or a little later, may not know it. */
#define MOVED_FOR_CERTAIN "category_moved_at + 10000"

/* ---- storing, on the writer's thread ---- */

static void render(struct buf *out, const struct ledger_board *board)
{
    buf_reset(out);
    buf_char(out, '[');
    for (size_t i = 0; i < board->entry_count; i++) {
        const struct sales_sum *entry = &board->entries[i];
        buf_printf(out, "%s[%lld,%lld,%lld,%lld]", i ? "," : "", (long long)entry->product_id,
                   (long long)entry->units, (long long)entry->revenue,
                   (long long)entry->reached_ms);
    }
    buf_char(out, ']');
}

static enum err store_each(struct sqlite_ledger *ledger, sqlite3_stmt *stmt,
                           struct ledger_boards_store *store)
{
    CLEANUP(buf_fini) struct buf entries = { 0 };

    for (size_t i = 0; i < store->board_count; i++) {
        const struct ledger_board *board = &store->boards[i];
        render(&entries, board);
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
                          " AND made_at <= (SELECT " MOVED_FOR_CERTAIN " FROM store))",
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

/* ---- making those that are out of date ---- */

/* A ranked product and its category. */
struct item {
    struct sales_sum sum;
    struct str category; /* of the arena; ptr NULL: none */
};

struct scan {
    sqlite3 *db;
    sqlite3_stmt *version, *stored, *category, *categories;
    bool (*each)(void *context, const struct ledger_board *board);
    void *context;
    struct ledger_sums sums;
    struct item *items; /* of the arena */
    size_t item_count;
    struct arena arena; /* of one board's days */
    int64_t made_at_ms; /* from before the moment that the scan sees */
    struct ledger_board board;
    struct sales_sum entries[LEDGER_BOARD_ENTRIES_MAX];
};

static void scan_fini(struct scan *scan)
{
    ledger_sums_fini(&scan->sums);
    arena_fini(&scan->arena);
    sqlite_db_close(scan->db);
}

static int order(const void *a, const void *b, void *window)
{
    const struct item *x = a, *y = b;
    size_t common = MIN(x->category.len, y->category.len);
    int by = common ? memcmp(x->category.ptr, y->category.ptr, common) : 0;

    if (by != 0)
        return by;
    if (x->category.len != y->category.len)
        return x->category.len < y->category.len ? -1 : 1;
    return sales_compare(*(const enum sales_window *)window, &x->sum, &y->sum);
}

static enum err copy_column(struct scan *scan, sqlite3_stmt *stmt, struct str *ret_text)
{
    struct str text = sqlite_db_text(stmt, 0);

    *ret_text = text.len ? arena_copy(&scan->arena, text) : STR_NONE;
    return text.len && !ret_text->ptr ? ERR_NOMEM : ERR_OK;
}

static enum err category_of(struct scan *scan, int64_t product_id, struct str *ret_category)
{
    enum err e = ERR_OK;

    *ret_category = STR_NONE;
    sqlite3_bind_int64(scan->category, 1, product_id);
    int code = sqlite3_step(scan->category);
    if (code == SQLITE_ROW)
        e = copy_column(scan, scan->category, ret_category);
    else
        e = sqlite_db_err(code);
    sqlite3_reset(scan->category);
    return e;
}

/* The ranked products, by category, and within it in the order of the board. */
static enum err items_make(struct scan *scan)
{
    enum sales_window window = scan->board.window;

    scan->item_count = scan->sums.count;
    scan->items = arena_alloc(&scan->arena, (scan->item_count + 1) * sizeof *scan->items);
    if (!scan->items)
        return ERR_NOMEM;
    for (size_t i = 0; i < scan->item_count; i++) {
        scan->items[i].sum = scan->sums.items[i];
        TRY(category_of(scan, scan->items[i].sum.product_id, &scan->items[i].category));
    }
    if (scan->item_count)
        qsort_r(scan->items, scan->item_count, sizeof *scan->items, order, &window);
    return ERR_OK;
}

static enum err give(struct scan *scan, struct str category)
{
    scan->board.category = category;
    scan->board.entries = scan->entries;
    return scan->each(scan->context, &scan->board) ? ERR_OK : ERR_NOMEM;
}

static enum err give_all(struct scan *scan)
{
    scan->board.entry_count = MIN(scan->sums.count, (size_t)LEDGER_BOARD_ENTRIES_MAX);
    if (scan->board.entry_count)
        memcpy(scan->entries, scan->sums.items, scan->board.entry_count * sizeof *scan->entries);
    return give(scan, STR_NONE);
}

static enum err give_categories(struct scan *scan)
{
    for (size_t at = 0, next; at < scan->item_count; at = next) {
        struct str category = scan->items[at].category;
        scan->board.entry_count = 0;
        for (next = at; next < scan->item_count && str_equal(scan->items[next].category, category);
             next++)
            if (next - at < LEDGER_BOARD_ENTRIES_MAX)
                scan->entries[scan->board.entry_count++] = scan->items[next].sum;
        if (category.len)
            TRY(give(scan, category));
    }
    return ERR_OK;
}

static bool has_category(const struct scan *scan, struct str category)
{
    const struct item wanted = { .sum.units = INT64_MAX,
                                 .sum.product_id = INT64_MIN,
                                 .category = category }; /* before all of that category */
    enum sales_window window = scan->board.window;
    size_t low = 0, high = scan->item_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (order(&scan->items[middle], &wanted, &window) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < scan->item_count && str_equal(scan->items[low].category, category);
}

/* Boards that are stored and whose products are all gone or given back: now they are empty. */
static enum err give_emptied(struct scan *scan)
{
    struct str category;
    enum err e = ERR_OK;
    int code = SQLITE_DONE;

    scan->board.entry_count = 0;
    sqlite3_bind_int64(scan->categories, 1, scan->board.window);
    sqlite3_bind_int64(scan->categories, 2, scan->board.day);
    while (e == ERR_OK && (code = sqlite3_step(scan->categories)) == SQLITE_ROW) {
        e = copy_column(scan, scan->categories, &category);
        if (e == ERR_OK && category.len && !has_category(scan, category))
            e = give(scan, category);
    }
    sqlite3_reset(scan->categories);
    return e != ERR_OK ? e : sqlite_db_err(code);
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

/* All boards of the window that contains, or ends on, `day`. */
static enum err scan_window(struct scan *scan, enum sales_window window, int64_t day)
{
    struct sales_days days = sales_window_days(window, day);
    int64_t version, stored;

    TRY(ask(scan->version, days.from, days.to, &version));
    TRY(ask(scan->stored, window, days.to, &stored));
    if (version <= stored)
        return ERR_OK;
    scan->board = (struct ledger_board){
        .window = window, .day = days.to, .version = version, .made_at_ms = scan->made_at_ms
    };
    arena_reset(&scan->arena);
    ledger_sums_clear(&scan->sums);
    TRY(ledger_sqlite_sums_read(scan->db, days, STR_NONE, &scan->sums));
    ledger_sums_rank(&scan->sums, window);
    TRY(items_make(scan));
    TRY(give_categories(scan));
    TRY(give_emptied(scan));
    return give_all(scan);
}

static enum err scan_open(struct ledger *ledger, struct scan *scan)
{
    TRY(ledger_sqlite_sales_open(ledger, &scan->db));
    TRY(sqlite_db_prepare(
        scan->db, "SELECT coalesce(sum(version), 0) FROM sales_days WHERE day BETWEEN ? AND ?",
        &scan->version));
    TRY(sqlite_db_prepare(
        scan->db,
        "SELECT version FROM boards WHERE sales_window = ? AND day = ? AND category = ''"
        " AND made_at > (SELECT " MOVED_FOR_CERTAIN " FROM store)",
        &scan->stored));
    TRY(sqlite_db_prepare(scan->db, "SELECT category FROM products WHERE product_id = ?",
                          &scan->category));
    return sqlite_db_prepare(scan->db,
                             "SELECT category FROM boards WHERE sales_window = ? AND day = ?",
                             &scan->categories);
}

enum err ledger_sqlite_scan_boards(struct ledger *ledger, int64_t from_day, int64_t to_day,
                                   bool (*each)(void *context, const struct ledger_board *board),
                                   void *context)
{
    static const enum sales_window windows[] = { SALES_DAILY, SALES_WEEKLY, SALES_MONTHLY,
                                                 SALES_ROLLING };
    CLEANUP(scan_fini)
    struct scan scan = { .each = each, .context = context, .made_at_ms = clock_wall_ms() };

    TRY(scan_open(ledger, &scan));
    for (size_t i = 0; i < ARRAY_COUNT(windows); i++) {
        bool whole = windows[i] == SALES_WEEKLY || windows[i] == SALES_MONTHLY;
        for (int64_t day = from_day; day <= to_day;) {
            TRY(scan_window(&scan, windows[i], day));
            day = whole ? sales_window_days(windows[i], day).to + 1 : day + 1;
        }
    }
    return ERR_OK;
}
