// SPDX-License-Identifier: Apache-2.0
#include "ledger/ledger_sums.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

enum { ITEMS_MIN = 256 };

void ledger_sums_fini(struct ledger_sums *sums)
{
    mem_free(sums->items);
    mem_free(sums->cells);
    *sums = (struct ledger_sums){ 0 };
}

void ledger_sums_clear(struct ledger_sums *sums)
{
    sums->count = 0;
    if (sums->cells)
        memset(sums->cells, 0, sums->cell_count * sizeof *sums->cells);
}

/* The cell of that product, or the empty one where it belongs. */
static uint32_t *cell_of(const struct ledger_sums *sums, int64_t product_id)
{
    size_t i = hash_cell(hash_u64((uint64_t)product_id), sums->cell_count);

    while (sums->cells[i] && sums->items[sums->cells[i] - 1].product_id != product_id)
        i = i + 1 < sums->cell_count ? i + 1 : 0;
    return &sums->cells[i];
}

static enum err grow(struct ledger_sums *sums)
{
    size_t max = sums->max ? sums->max * 2 : ITEMS_MIN;
    uint32_t *cells = mem_alloc(2 * max * sizeof *cells);
    struct sales_sum *items =
        cells && max < UINT32_MAX ? mem_resize(sums->items, max * sizeof *items) : NULL;

    if (!items) {
        mem_free(cells);
        return ERR_NOMEM;
    }
    mem_free(sums->cells);
    sums->items = items;
    sums->max = max;
    sums->cells = cells;
    sums->cell_count = 2 * max;
    for (size_t i = 0; i < sums->count; i++)
        *cell_of(sums, items[i].product_id) = (uint32_t)i + 1;
    return ERR_OK;
}

static int64_t add(int64_t a, int64_t b)
{
    int64_t sum;

    if (__builtin_add_overflow(a, b, &sum))
        return b < 0 ? INT64_MIN : INT64_MAX;
    return sum;
}

enum err ledger_sums_add(struct ledger_sums *sums, const struct sales_sum *row)
{
    if (sums->count == sums->max)
        TRY(grow(sums));
    uint32_t *cell = cell_of(sums, row->product_id);
    if (*cell == 0) {
        sums->items[sums->count++] = *row;
        *cell = (uint32_t)sums->count;
        return ERR_OK;
    }
    struct sales_sum *item = &sums->items[*cell - 1];
    item->units = add(item->units, row->units);
    item->revenue = add(item->revenue, row->revenue);
    item->reached_ms = MAX(item->reached_ms, row->reached_ms);
    return ERR_OK;
}

static int order(const void *a, const void *b, void *window)
{
    return sales_compare(*(const enum sales_window *)window, a, b);
}

void ledger_sums_rank(struct ledger_sums *sums, enum sales_window window)
{
    size_t kept = 0;

    for (size_t i = 0; i < sums->count; i++)
        if (sums->items[i].units > 0)
            sums->items[kept++] = sums->items[i];
    sums->count = kept;
    if (kept)
        qsort_r(sums->items, kept, sizeof *sums->items, order, &window);
}
