// SPDX-License-Identifier: Apache-2.0
/* Nodes of 1 KiB. Every node but the root is at least a quarter full. */
#pragma once
#include "base/assert.h"
#include "ranking/ranking_tree.h"

enum {
    LEAF_MAX = 31,
    LEAF_MIN = 8,
    LEAF_MERGE = 24, /* two neighbours with at most this many become one */
    LEAF_FILL = 23,  /* after a load */
    INNER_MAX = 23,
    INNER_MIN = 6,
    INNER_MERGE = 18,
    INNER_FILL = 17,
    HEIGHT_MAX = 13, /* 2^32 entries in nodes as empty as they may be */
    NODE_ALIGN = 64,
};

struct tree_leaf {
    uint32_t count;
    union ranking_tree_node *next; /* the leaf that follows */
    struct sales_sum entries[LEAF_MAX];
};

/* Child i has what does not stand before keys[i] and stands before keys[i + 1]. keys[0] is what the
 * parent has as this node's key; on the left edge, where there is none, it says nothing. */
struct tree_inner {
    uint32_t count;
    uint32_t sizes[INNER_MAX]; /* entries below */
    union ranking_tree_node *children[INNER_MAX];
    struct sales_sum keys[INNER_MAX];
};

union ranking_tree_node {
    struct tree_leaf leaf;
    struct tree_inner inner;
    union ranking_tree_node *next_spare;
    _Alignas(NODE_ALIGN) char bytes[1024];
};
_Static_assert(sizeof(union ranking_tree_node) == 1024, "a node is 1 KiB");

/* A node on its way into its parent. */
struct tree_carry {
    union ranking_tree_node *node; /* NULL: none */
    uint32_t size;
    struct sales_sum key; /* nothing in it stands before this */
};

/* ranking_tree_load.c: memory. After a reserve of n, n nodes can be taken. */
enum err ranking_tree_reserve(struct ranking_tree *tree, size_t count) MUST_CHECK;
union ranking_tree_node *ranking_tree_take(struct ranking_tree *tree);
void ranking_tree_give(struct ranking_tree *tree, union ranking_tree_node *node);
