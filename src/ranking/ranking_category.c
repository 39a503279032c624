// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "ranking/ranking_sums.h"

enum { CATEGORIES_MIN = 8, MEMBERS_MIN = 8 };

/* Its cell, or the empty one where it would be. Half of the cells are empty. */
static uint32_t *cell_of(const struct ranking_sums *sums, struct str name)
{
    uint32_t mask = sums->category_cap * 2 - 1;

    for (uint32_t i = hash_crc32c(0, name.ptr, name.len) & mask;; i = (i + 1) & mask) {
        const struct ranking_category *category = &sums->categories[sums->category_cells[i]];
        if (sums->category_cells[i] == RANKING_ALL ||
            str_equal((struct str){ category->name, category->len }, name))
            return &sums->category_cells[i];
    }
}

static enum err table_make(struct ranking_sums *sums, uint32_t cap)
{
    uint32_t *cells = mem_alloc((size_t)cap * 2 * sizeof *cells);

    if (!cells)
        return ERR_NOMEM;
    struct ranking_category *moved = mem_resize(sums->categories, cap * sizeof *moved);
    if (!moved) {
        mem_free(cells);
        return ERR_NOMEM;
    }
    mem_free(sums->category_cells);
    sums->categories = moved;
    sums->category_cap = cap;
    sums->category_cells = cells;
    for (uint32_t i = RANKING_ALL + 1; i < sums->category_count; i++)
        *cell_of(sums, (struct str){ moved[i].name, moved[i].len }) = i;
    return ERR_OK;
}

enum err ranking_categories_init(struct ranking_sums *sums)
{
    TRY(table_make(sums, CATEGORIES_MIN));
    sums->categories[RANKING_ALL] = (struct ranking_category){ 0 };
    sums->category_count = RANKING_ALL + 1;
    return ERR_OK;
}

void ranking_categories_fini(struct ranking_sums *sums)
{
    for (uint32_t i = 0; i < sums->category_count; i++) {
        mem_free(sums->categories[i].name);
        mem_free(sums->categories[i].members);
    }
    mem_free(sums->categories);
    mem_free(sums->category_cells);
}

bool ranking_category_find(const struct ranking_sums *sums, struct str name, uint32_t *ret_index)
{
    uint32_t index = *cell_of(sums, name);

    if (index == RANKING_ALL)
        return false;
    *ret_index = index;
    return true;
}

enum err ranking_category_get(struct ranking_sums *sums, struct str name, uint32_t *ret_index)
{
    if (ranking_category_find(sums, name, ret_index))
        return ERR_OK;
    if (sums->category_count == sums->category_cap)
        TRY(table_make(sums, sums->category_cap * 2));
    char *copy = mem_alloc(name.len + 1);
    if (!copy)
        return ERR_NOMEM;
    if (name.len > 0)
        memcpy(copy, name.ptr, name.len);
    uint32_t index = sums->category_count++;
    *cell_of(sums, name) = index;
    sums->categories[index] = (struct ranking_category){ .name = copy, .len = name.len };
    *ret_index = index;
    return ERR_OK;
}

static enum err members_reserve(struct ranking_category *category)
{
    bool room = MEM_ROOM(category->members, category->count, category->cap, MEMBERS_MIN);

    return room ? ERR_OK : ERR_NOMEM;
}

enum err ranking_category_join(struct ranking_sums *sums, struct ranking_product *product,
                               uint32_t index)
{
    struct ranking_category *category = &sums->categories[index];

    TRY(members_reserve(category));
    product->category = index;
    product->place = category->count;
    category->members[category->count++] = product;
    return ERR_OK;
}

void ranking_category_leave(struct ranking_sums *sums, struct ranking_product *product)
{
    struct ranking_category *category = &sums->categories[product->category];
    struct ranking_product *last = category->members[--category->count];

    category->members[product->place] = last;
    last->place = product->place;
}

enum err ranking_category_move(struct ranking_sums *sums, struct ranking_product *product,
                               uint32_t index)
{
    TRY(members_reserve(&sums->categories[index]));
    ranking_category_leave(sums, product);
    return ranking_category_join(sums, product, index);
}
