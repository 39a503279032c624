// SPDX-License-Identifier: Apache-2.0
/*
 * Counters of changes, for whoever keeps an answer: it is as good as new while the counters of what
 * it was made from say what they said *before* that was read. A counter is odd from just before a
 * commit that changes what it counts until just after: what is read then is not to be kept, and
 * nothing kept is to be used, so that nobody hears the old once anybody has heard the new.
 *
 * Written by the ledger's thread, read by any.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "ledger/ledger.h"

enum { CHANGES_CELLS = 4096 };

struct changes {
    _Atomic uint64_t products;            /* of anything of any product, its stock, too */
    _Atomic uint64_t listed;              /* of more than stock: name, price, category, a new one */
    _Atomic uint64_t sales;               /* of the sums */
    _Atomic uint64_t cell[CHANGES_CELLS]; /* of a product; some share one */
};

/* The counter of one product. */
const _Atomic uint64_t *changes_of_product(const struct changes *changes, int64_t product_id);

/* What the counter says; false: something is changing. */
bool changes_look(const _Atomic uint64_t *counter, uint64_t *ret_value) MUST_CHECK;

/* As of the ledger's watch; begun before the commit, ended after it, whatever came of it. */
void changes_begin(struct changes *changes, const struct ledger_changes *what);
void changes_end(struct changes *changes, const struct ledger_changes *what);
