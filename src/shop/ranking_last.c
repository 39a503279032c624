// SPDX-License-Identifier: Apache-2.0
#include "base/mem.h"
#include "shop/ranking_internal.h"

enum { KEPT = 64, CATEGORY_BYTES = 4 * LEDGER_PRODUCT_CATEGORY_CHARS_MAX };

struct kept {
    bool used, has_category;
    enum sales_window window;
    int64_t day, limit, as_of_ms;
    char category[CATEGORY_BYTES];
    size_t category_len;
    struct sales_sum *sums; /* owned */
    size_t count;
};

struct ranking_last {
    struct kept kept[KEPT];
};

struct ranking_last *ranking_last_new(void)
{
    return mem_alloc(sizeof(struct ranking_last));
}

struct ranking_last *ranking_last_free(struct ranking_last *last)
{
    for (size_t i = 0; last && i < KEPT; i++)
        mem_free(last->kept[i].sums);
    return mem_free(last);
}

static bool same_board(const struct kept *kept, const struct ranking_top *top)
{
    bool has_category = top->category.ptr != NULL;

    return kept->used && kept->window == top->window && kept->day == top->day &&
           kept->has_category == has_category &&
           (!has_category ||
            str_equal((struct str){ kept->category, kept->category_len }, top->category));
}

/* The same question's, else the one that was asked least recently. */
static struct kept *place_for(struct ranking_last *last, const struct ranking_top *top)
{
    struct kept *oldest = &last->kept[0];

    for (size_t i = 0; i < KEPT; i++) {
        struct kept *kept = &last->kept[i];
        if (same_board(kept, top) && kept->limit == top->limit)
            return kept;
        if (oldest->used && (!kept->used || kept->as_of_ms < oldest->as_of_ms))
            oldest = kept;
    }
    return oldest;
}

void ranking_last_put(struct ranking_last *last, const struct ranking_top *top)
{
    struct kept *kept = place_for(last, top);

    if (top->category.len > CATEGORY_BYTES)
        return;
    struct sales_sum *sums = mem_resize(kept->sums, (top->count + 1) * sizeof *sums);
    if (!sums)
        return;
    for (size_t i = 0; i < top->count; i++)
        sums[i] = top->rows[i].sum;
    *kept = (struct kept){ .used = true,
                           .has_category = top->category.ptr != NULL,
                           .window = top->window,
                           .day = top->day,
                           .limit = top->limit,
                           .as_of_ms = top->said.as_of_ms,
                           .category_len = top->category.len,
                           .sums = sums,
                           .count = top->count };
    if (top->category.ptr && top->category.len)
        memcpy(kept->category, top->category.ptr, top->category.len);
}

static bool answers(const struct kept *kept, const struct ranking_top *top)
{
    return same_board(kept, top) &&
           (top->limit <= kept->limit || (int64_t)kept->count < kept->limit);
}

bool ranking_last_find(const struct ranking_last *last, int64_t after_ms, struct ranking_top *top)
{
    const struct kept *best = NULL;

    for (size_t i = 0; i < KEPT; i++)
        if (answers(&last->kept[i], top) && last->kept[i].as_of_ms > after_ms) {
            best = &last->kept[i];
            after_ms = best->as_of_ms;
        }
    if (!best)
        return false;
    top->count = MIN(best->count, (size_t)top->limit);
    top->rows = arena_alloc(top->arena, (top->count + 1) * sizeof *top->rows);
    top->err = top->rows ? ERR_OK : ERR_NOMEM;
    for (size_t i = 0; top->rows && i < top->count; i++)
        top->rows[i] = (struct ranking_row){ .rank = (int64_t)i + 1, .sum = best->sums[i] };
    top->said.as_of_ms = best->as_of_ms;
    return true;
}
