// SPDX-License-Identifier: Apache-2.0
#include "ledger/ledger_table.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

enum { ROWS_MIN = 64 };

void ledger_table_init(struct ledger_table *table, size_t row_bytes)
{
    *table = (struct ledger_table){ .row_bytes = row_bytes };
}

void ledger_table_fini(struct ledger_table *table)
{
    mem_free(table->rows);
    mem_free(table->cells);
    *table = (struct ledger_table){ 0 };
}

void ledger_table_clear(struct ledger_table *table)
{
    if (table->count)
        memset(table->cells, 0, table->cell_count * sizeof *table->cells);
    table->count = table->loaded = 0;
}

static uint64_t key_hash(const struct ledger_row_key *key)
{
    uint64_t hash = (uint64_t)key->a ^ (uint64_t)key->b << 40;

    if (key->text.len)
        hash ^= (uint64_t)hash_crc32c(0, key->text.ptr, key->text.len) << 32;
    return hash_u64(hash);
}

static bool key_equal(const struct ledger_row_key *a, const struct ledger_row_key *b)
{
    return a->a == b->a && a->b == b->b && str_equal(a->text, b->text);
}

void *ledger_table_find(const struct ledger_table *table, const struct ledger_row_key *key)
{
    if (table->count == 0)
        return NULL;
    for (size_t i = key_hash(key);; i++) {
        uint32_t number = table->cells[i & (table->cell_count - 1)];
        if (number == 0)
            return NULL;
        struct ledger_row *row = table->rows[number - 1];
        if (key_equal(&row->key, key))
            return row;
    }
}

static void cell_add(struct ledger_table *table, const struct ledger_row_key *key, size_t number)
{
    size_t i = key_hash(key) & (table->cell_count - 1);

    while (table->cells[i] != 0)
        i = (i + 1) & (table->cell_count - 1);
    table->cells[i] = (uint32_t)number + 1;
}

/* Twice the rows; cells are four times as many, so that a search is short. */
static enum err table_grow(struct ledger_table *table)
{
    size_t max = table->max ? table->max * 2 : ROWS_MIN;
    void **rows = mem_alloc(max * sizeof *rows);
    uint32_t *cells = mem_alloc(max * 4 * sizeof *cells);

    if (!rows || !cells) {
        mem_free(rows);
        mem_free(cells);
        return ERR_NOMEM;
    }
    if (table->count)
        memcpy(rows, table->rows, table->count * sizeof *rows);
    mem_free(table->rows);
    mem_free(table->cells);
    table->rows = rows;
    table->cells = cells;
    table->max = max;
    table->cell_count = max * 4;
    for (size_t i = 0; i < table->count; i++)
        cell_add(table, &((struct ledger_row *)rows[i])->key, i);
    return ERR_OK;
}

void *ledger_table_need(struct ledger_table *table, struct arena *arena,
                        const struct ledger_row_key *key)
{
    struct ledger_row *row = ledger_table_find(table, key);

    if (row)
        return row;
    if (table->count == table->max && table_grow(table) != ERR_OK)
        return NULL;
    row = arena_alloc(arena, table->row_bytes);
    if (!row)
        return NULL;
    memset(row, 0, table->row_bytes);
    row->key = *key;
    cell_add(table, key, table->count);
    table->rows[table->count++] = row;
    return row;
}
