// SPDX-License-Identifier: Apache-2.0
/*
 * Sums in the order of sales_compare(), counted: a B+ tree whose inner nodes know how many entries
 * are below each child, so that a rank is found, and an entry by its rank, in O(log n). At most
 * 2^32 entries; 46 bytes each after a load, about as many later, never more than 140. Not
 * thread-safe.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "core/sales.h"
#include "ranking/ranking.h"

struct ranking_tree_chunk;
union ranking_tree_node;

struct ranking_tree {
    enum sales_window window; /* whose order */
    unsigned height;          /* levels of inner nodes above the leaves */
    size_t count;             /* entries */
    /* private */
    union ranking_tree_node *root;
    union ranking_tree_node *spare; /* given back */
    union ranking_tree_node *fresh; /* never used, in the newest chunk */
    struct ranking_tree_chunk *chunks;
    size_t spare_count, fresh_count, node_count;
};

void ranking_tree_init(struct ranking_tree *tree, enum sales_window window);
void ranking_tree_fini(struct ranking_tree *tree);

/* Into an empty tree; `sums` are in order and all different. ERR_NOMEM: it is still empty. */
enum err ranking_tree_load(struct ranking_tree *tree, const struct sales_sum *sums,
                           size_t count) MUST_CHECK;
/* Not there yet. ERR_NOMEM: the tree is as it was. */
enum err ranking_tree_add(struct ranking_tree *tree, const struct sales_sum *sum) MUST_CHECK;
/* It is there, exactly so. */
void ranking_tree_remove(struct ranking_tree *tree, const struct sales_sum *sum);

/* How many stand before `sum`, which need not be there. */
size_t ranking_tree_before(const struct ranking_tree *tree, const struct sales_sum *sum);
/* Entries `offset`.. with their ranks, at most `max`; returns how many. */
size_t ranking_tree_page(const struct ranking_tree *tree, size_t offset, size_t max,
                         struct ranking_entry *ret_entries);

/* Panics if the tree is not what it should be; for tests. */
void ranking_tree_check(const struct ranking_tree *tree);
