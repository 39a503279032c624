// SPDX-License-Identifier: Apache-2.0
/* Where a tree's nodes come from, the load of a whole one, and whether it is in order. */
#include <string.h>

#include "base/mem.h"
#include "ranking/ranking_tree_internal.h"

enum { CHUNK_MIN = 3, CHUNK_MAX = 256, GROWTH = 8 };

struct ranking_tree_chunk {
    struct ranking_tree_chunk *next;
    char bytes[]; /* nodes, from the first aligned address */
};

void ranking_tree_init(struct ranking_tree *tree, enum sales_window window)
{
    *tree = (struct ranking_tree){ .window = window };
}

void ranking_tree_fini(struct ranking_tree *tree)
{
    while (tree->chunks) {
        struct ranking_tree_chunk *next = tree->chunks->next;
        mem_free(tree->chunks);
        tree->chunks = next;
    }
    ranking_tree_init(tree, tree->window);
}

/* ---- nodes ---- */

enum err ranking_tree_reserve(struct ranking_tree *tree, size_t count)
{
    size_t there = tree->spare_count + tree->fresh_count;

    if (LIKELY(there >= count))
        return ERR_OK;
    size_t nodes = MAX(count - there, MIN(MAX(tree->node_count / GROWTH, CHUNK_MIN), CHUNK_MAX));
    struct ranking_tree_chunk *chunk =
        mem_alloc(sizeof *chunk + NODE_ALIGN + nodes * sizeof(union ranking_tree_node));
    if (!chunk)
        return ERR_NOMEM;
    chunk->next = tree->chunks;
    tree->chunks = chunk;
    while (tree->fresh_count > 0) {
        tree->fresh_count--;
        ranking_tree_give(tree, tree->fresh++);
    }
    size_t past = (uintptr_t)chunk->bytes % NODE_ALIGN;
    tree->fresh = (void *)(chunk->bytes + (past ? NODE_ALIGN - past : 0));
    tree->fresh_count = nodes;
    tree->node_count += nodes;
    return ERR_OK;
}

union ranking_tree_node *ranking_tree_take(struct ranking_tree *tree)
{
    union ranking_tree_node *node = tree->spare;

    if (node) {
        tree->spare = node->next_spare;
        tree->spare_count--;
        return node;
    }
    ASSERT(tree->fresh_count > 0);
    tree->fresh_count--;
    return tree->fresh++;
}

void ranking_tree_give(struct ranking_tree *tree, union ranking_tree_node *node)
{
    node->next_spare = tree->spare;
    tree->spare = node;
    tree->spare_count++;
}

/* ---- loading: leaves from left to right, then level by level, all evenly filled ---- */

static size_t groups_of(size_t count, size_t fill)
{
    return (count + fill - 1) / fill;
}

static size_t nodes_for(size_t count)
{
    size_t level = groups_of(count, LEAF_FILL), nodes = level;

    while (level > 1) {
        level = groups_of(level, INNER_FILL);
        nodes += level;
    }
    return nodes;
}

static void load_leaves(struct ranking_tree *tree, const struct sales_sum *sums, size_t count,
                        struct tree_carry *level, size_t leaves)
{
    for (size_t i = 0; i < leaves; i++) {
        size_t from = count * i / leaves, to = count * (i + 1) / leaves;
        union ranking_tree_node *node = ranking_tree_take(tree);
        node->leaf.count = (uint32_t)(to - from);
        node->leaf.next = NULL;
        memcpy(node->leaf.entries, &sums[from], (to - from) * sizeof *sums);
        if (i > 0)
            level[i - 1].node->leaf.next = node;
        level[i] = (struct tree_carry){ node, node->leaf.count, sums[from] };
    }
}

/* In place: a group's place is never behind its members'. */
static void load_level(struct ranking_tree *tree, struct tree_carry *level, size_t count,
                       size_t groups)
{
    for (size_t i = 0; i < groups; i++) {
        size_t from = count * i / groups, to = count * (i + 1) / groups;
        union ranking_tree_node *node = ranking_tree_take(tree);
        struct tree_carry whole = { node, 0, level[from].key };
        node->inner.count = (uint32_t)(to - from);
        for (size_t j = from; j < to; j++) {
            node->inner.keys[j - from] = level[j].key;
            node->inner.sizes[j - from] = level[j].size;
            node->inner.children[j - from] = level[j].node;
            whole.size += level[j].size;
        }
        level[i] = whole;
    }
}

enum err ranking_tree_load(struct ranking_tree *tree, const struct sales_sum *sums, size_t count)
{
    size_t width = groups_of(count, LEAF_FILL);

    ASSERT(!tree->root);
    if (count == 0)
        return ERR_OK;
    CLEANUP(mem_freep) struct tree_carry *level = mem_alloc(width * sizeof *level);
    if (!level)
        return ERR_NOMEM;
    TRY(ranking_tree_reserve(tree, nodes_for(count)));
    load_leaves(tree, sums, count, level, width);
    while (width > 1) {
        size_t groups = groups_of(width, INNER_FILL);
        load_level(tree, level, width, groups);
        width = groups;
        tree->height++;
    }
    tree->root = level[0].node;
    tree->count = count;
    return ERR_OK;
}

/* ---- checking ---- */

struct check {
    const struct ranking_tree *tree;
    const union ranking_tree_node *leaf; /* the one before, from left to right */
    const struct sales_sum *last;        /* entry before */
    const struct sales_sum *begin;       /* nothing from here on stands before this */
};

static size_t check_leaf(struct check *check, const union ranking_tree_node *node)
{
    ASSERT(node == check->tree->root || node->leaf.count >= LEAF_MIN);
    ASSERT(node->leaf.count <= LEAF_MAX);
    ASSERT(!check->leaf || check->leaf->leaf.next == node);
    check->leaf = node;
    for (size_t i = 0; i < node->leaf.count; i++) {
        const struct sales_sum *entry = &node->leaf.entries[i];
        ASSERT(!check->last || sales_compare(check->tree->window, check->last, entry) < 0);
        ASSERT(!check->begin || sales_compare(check->tree->window, check->begin, entry) <= 0);
        check->last = entry;
    }
    return node->leaf.count;
}

static size_t check_node(struct check *check, const union ranking_tree_node *node, unsigned level)
{
    size_t count = 0;

    if (level == 0)
        return check_leaf(check, node);
    ASSERT(node->inner.count >= (node == check->tree->root ? 2 : INNER_MIN));
    ASSERT(node->inner.count <= INNER_MAX);
    for (size_t i = 0; i < node->inner.count; i++) {
        const struct sales_sum *key = &node->inner.keys[i];
        ASSERT(i == 0 || sales_compare(check->tree->window, check->last, key) < 0);
        check->begin = i > 0 ? key : check->begin;
        size_t size = check_node(check, node->inner.children[i], level - 1);
        ASSERT(size == node->inner.sizes[i]);
        count += size;
    }
    return count;
}

void ranking_tree_check(const struct ranking_tree *tree)
{
    struct check check = { .tree = tree };

    ASSERT(!tree->root || check_node(&check, tree->root, tree->height) == tree->count);
    ASSERT(tree->root || tree->count == 0);
    ASSERT(!check.leaf || !check.leaf->leaf.next);
}
