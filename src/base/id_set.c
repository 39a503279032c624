// SPDX-License-Identifier: Apache-2.0
#include "base/id_set.h"

#include "base/hash.h"
#include "base/mem.h"

static struct id_cell *cell_find(const struct id_set *set, uint64_t key)
{
    size_t i = hash_cell(hash_u64(key), set->size);

    while (set->cells[i].key != key && set->cells[i].key != 0)
        i = i + 1 < set->size ? i + 1 : 0;
    return &set->cells[i];
}

static enum err set_grow(struct id_set *set)
{
    struct id_set bigger = { .size = set->size ? set->size * 2 : 64, .count = set->count };

    bigger.cells = mem_alloc(bigger.size * sizeof *bigger.cells);
    if (!bigger.cells)
        return ERR_NOMEM;
    for (size_t i = 0; i < set->size; i++)
        if (set->cells[i].key) {
            *cell_find(&bigger, set->cells[i].key) = set->cells[i];
            bigger.used++;
        }
    mem_free(set->cells);
    *set = bigger;
    return ERR_OK;
}

/* The cell of `key`, made if it is not there. */
static enum err cell_get(struct id_set *set, uint64_t key, struct id_cell **ret_cell)
{
    if ((set->used + 1) * 3 > set->size * 2)
        TRY(set_grow(set));
    struct id_cell *cell = cell_find(set, key);
    set->used += !cell->key;
    cell->key = key;
    *ret_cell = cell;
    return ERR_OK;
}

bool id_set_has(const struct id_set *set, int64_t id)
{
    if (set->size == 0 || id < 1)
        return false;
    const struct id_cell *cell = cell_find(set, (uint64_t)id / 64 + 1);
    return cell->key && (cell->mask >> ((uint64_t)id % 64) & 1);
}

enum err id_set_add(struct id_set *set, int64_t id, bool *ret_added)
{
    uint64_t bit = UINT64_C(1) << ((uint64_t)id % 64);
    struct id_cell *cell;

    TRY(cell_get(set, (uint64_t)id / 64 + 1, &cell));
    bool added = !(cell->mask & bit);
    cell->mask |= bit;
    set->count += added;
    if (ret_added)
        *ret_added = added;
    return ERR_OK;
}

enum err id_set_add_mask(struct id_set *set, int64_t first, uint64_t mask)
{
    struct id_cell *cell;

    if (mask == 0)
        return ERR_OK;
    TRY(cell_get(set, (uint64_t)first / 64 + 1, &cell));
    set->count += (size_t)__builtin_popcountll(mask & ~cell->mask);
    cell->mask |= mask;
    return ERR_OK;
}

void id_set_fini(struct id_set *set)
{
    mem_free(set->cells);
    *set = (struct id_set){ 0 };
}
