// SPDX-License-Identifier: Apache-2.0
/* Rows of the sums, added up by product and put in the order of a board. Not thread-safe. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "core/sales.h"

struct ledger_sums {
    struct sales_sum *items; /* of different products */
    size_t count, max;
    uint32_t *cells; /* number of the item + 1, by the hash of its product; 0: empty */
    size_t cell_count;
};

void ledger_sums_fini(struct ledger_sums *sums); /* a zeroed one will do */
void ledger_sums_clear(struct ledger_sums *sums);
/* One more row: units and revenue add up (a sum beyond int64 stays at its end), the latest time
 * counts. Not after ledger_sums_rank(). ERR_NOMEM. */
enum err ledger_sums_add(struct ledger_sums *sums, const struct sales_sum *row) MUST_CHECK;
/* What is not sold is not ranked and goes; the rest is now in the order of that window. */
void ledger_sums_rank(struct ledger_sums *sums, enum sales_window window);
