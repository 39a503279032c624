// SPDX-License-Identifier: Apache-2.0
/*
 * A set of ids as a sparse bitmap: 64 neighbouring ids share one 16-byte cell, so dense ranges
 * cost two bits an id. Ids are >= 1. Not thread-safe.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct id_cell {
    uint64_t key; /* id / 64 + 1; 0: empty */
    uint64_t mask;
};

struct id_set {
    struct id_cell *cells;
    size_t size, used; /* cells, and those not empty: at most two thirds */
    size_t count;      /* ids */
};

bool id_set_has(const struct id_set *set, int64_t id);
/* ERR_NOMEM: the set is as it was. *ret_added (may be NULL): it was not there before. */
enum err id_set_add(struct id_set *set, int64_t id, bool *ret_added) MUST_CHECK;
/* Adds the ids `first`..`first`+63 whose bit is set; `first` is a multiple of 64. */
enum err id_set_add_mask(struct id_set *set, int64_t first, uint64_t mask) MUST_CHECK;
void id_set_fini(struct id_set *set); /* empty and usable again */
