// SPDX-License-Identifier: Apache-2.0
#include "ledger/ledger_boards.h"

#include <stdlib.h>

void ledger_board_render(struct buf *out, const struct ledger_board *board)
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

/* A ranked product and its category. */
struct item {
    struct sales_sum sum;
    struct str category; /* of the arena; ptr NULL: none */
};

struct scan {
    struct ledger_boards_source *source;
    bool (*each)(void *context, const struct ledger_board *board);
    void *context;
    struct ledger_sums sums;
    struct item *items; /* of the arena */
    size_t item_count;
    struct arena arena; /* of one board's days */
    int64_t made_at_ms;
    struct ledger_board board;
    struct sales_sum entries[LEDGER_BOARD_ENTRIES_MAX];
};

static void scan_fini(struct scan *scan)
{
    ledger_sums_fini(&scan->sums);
    arena_fini(&scan->arena);
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
        TRY(scan->source->category(scan->source, scan->items[i].sum.product_id, &scan->arena,
                                   &scan->items[i].category));
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

/* A board that is stored and whose products are all gone or given back: now it is empty. */
static enum err give_if_emptied(void *context, struct str category)
{
    struct scan *scan = context;

    return category.len && !has_category(scan, category) ? give(scan, category) : ERR_OK;
}

/* All boards of the window that contains, or ends on, `day`. */
static enum err scan_window(struct scan *scan, enum sales_window window, int64_t day)
{
    struct ledger_boards_source *source = scan->source;
    struct sales_days days = sales_window_days(window, day);
    int64_t version, stored;

    TRY(source->version(source, days, &version));
    TRY(source->stored(source, window, days.to, &stored));
    if (version <= stored)
        return ERR_OK;
    scan->board = (struct ledger_board){
        .window = window, .day = days.to, .version = version, .made_at_ms = scan->made_at_ms
    };
    arena_reset(&scan->arena);
    ledger_sums_clear(&scan->sums);
    TRY(source->sums(source, days, &scan->sums));
    ledger_sums_rank(&scan->sums, window);
    TRY(items_make(scan));
    TRY(give_categories(scan));
    scan->board.entry_count = 0;
    TRY(source->categories(source, window, days.to, give_if_emptied, scan));
    return give_all(scan);
}

enum err ledger_boards_scan(struct ledger_boards_source *source, int64_t from_day, int64_t to_day,
                            int64_t made_at_ms,
                            bool (*each)(void *context, const struct ledger_board *board),
                            void *context)
{
    static const enum sales_window windows[] = { SALES_DAILY, SALES_WEEKLY, SALES_MONTHLY,
                                                 SALES_ROLLING };
    CLEANUP(scan_fini)
    struct scan scan = {
        .source = source, .each = each, .context = context, .made_at_ms = made_at_ms
    };

    for (size_t i = 0; i < ARRAY_COUNT(windows); i++) {
        bool whole = windows[i] == SALES_WEEKLY || windows[i] == SALES_MONTHLY;
        for (int64_t day = from_day; day <= to_day;) {
            if (!each(context, NULL))
                return ERR_NOMEM;
            TRY(scan_window(&scan, windows[i], day));
            day = whole ? sales_window_days(windows[i], day).to + 1 : day + 1;
        }
    }
    return ERR_OK;
}
