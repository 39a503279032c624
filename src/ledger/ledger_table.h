// SPDX-License-Identifier: Apache-2.0
/* Rows of one kind in a batch's working set, found by key. Rows never move until the next batch. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct ledger_row_key {
    int64_t a, b;
    struct str text; /* borrowed from a command, or of the batch's arena */
};

/* First member of every row. */
struct ledger_row {
    struct ledger_row_key key;
    bool found; /* it was there when the batch began */
    bool locks; /* it may change: where there are other writers, it is kept from them */
};

struct ledger_table {
    size_t row_bytes;
    void **rows;
    size_t count, max;
    size_t loaded;   /* rows[0..loaded) have been looked up */
    uint32_t *cells; /* number of the row + 1; 0: empty */
    size_t cell_count;
};

void ledger_table_init(struct ledger_table *table, size_t row_bytes);
void ledger_table_fini(struct ledger_table *table);
void ledger_table_clear(struct ledger_table *table);

/* The row of that key, or NULL. */
void *ledger_table_find(const struct ledger_table *table, const struct ledger_row_key *key);
/* The same, made (zeroed, in `arena`) where there is none. NULL: no memory. */
void *ledger_table_need(struct ledger_table *table, struct arena *arena,
                        const struct ledger_row_key *key) MUST_CHECK;
static inline bool ledger_table_is_unlooked(const struct ledger_table *table)
{
    return table->loaded < table->count;
}
