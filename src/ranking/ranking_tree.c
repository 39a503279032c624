// SPDX-License-Identifier: Apache-2.0
/*
 * Adding goes down once, counting on the way, and up again as long as nodes are full and are split.
 * Removing does the same with nodes that became too empty: they take from a neighbour or become one
 * with it. A key says where its child begins, it need not be an entry any more.
 */
#include "ranking/ranking_tree.h"

#include <string.h>

#include "ranking/ranking_tree_internal.h"

/* Where a way down went: child `at` of `inner`. The path's first step is the lowest. */
struct step {
    struct tree_inner *inner;
    unsigned at;
};

/* sales_compare(), most of it without a call. */
static int compare(const struct ranking_tree *tree, const struct sales_sum *a,
                   const struct sales_sum *b)
{
    if (a->units != b->units)
        return a->units > b->units ? -1 : 1;
    return sales_compare(tree->window, a, b);
}

/* The last child that begins at or before `sum`. */
static unsigned inner_find(const struct ranking_tree *tree, const struct tree_inner *inner,
                           const struct sales_sum *sum)
{
    unsigned low = 0, high = inner->count;

    while (high - low > 1) {
        unsigned middle = (low + high) / 2;
        if (compare(tree, &inner->keys[middle], sum) <= 0)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* How many entries stand before `sum`. */
static unsigned leaf_find(const struct ranking_tree *tree, const struct tree_leaf *leaf,
                          const struct sales_sum *sum)
{
    unsigned low = 0, high = leaf->count;

    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (compare(tree, &leaf->entries[middle], sum) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* A node is looked at in many places, one after the other: bring it all at once. */
static void node_fetch(const union ranking_tree_node *node)
{
    for (size_t i = 0; i < sizeof *node; i += NODE_ALIGN)
        __builtin_prefetch(&node->bytes[i]);
}

/* The leaf where `sum` is or belongs; `change` is counted on the way. */
static struct tree_leaf *go_down(struct ranking_tree *tree, const struct sales_sum *sum,
                                 struct step path[HEIGHT_MAX], uint32_t change)
{
    union ranking_tree_node *node = tree->root;

    for (unsigned level = tree->height; level-- > 0;) {
        struct tree_inner *inner = &node->inner;
        unsigned at = inner_find(tree, inner, sum);
        inner->sizes[at] += change;
        path[level] = (struct step){ inner, at };
        node = inner->children[at];
        node_fetch(node);
    }
    return &node->leaf;
}

/* ---- moving between neighbours ---- */

static void leaf_move(struct tree_leaf *to, unsigned to_at, const struct tree_leaf *from,
                      unsigned from_at, unsigned count)
{
    memmove(&to->entries[to_at], &from->entries[from_at], count * sizeof to->entries[0]);
}

static void inner_move(struct tree_inner *to, unsigned to_at, const struct tree_inner *from,
                       unsigned from_at, unsigned count)
{
    memmove(&to->keys[to_at], &from->keys[from_at], count * sizeof to->keys[0]);
    memmove(&to->sizes[to_at], &from->sizes[from_at], count * sizeof to->sizes[0]);
    memmove(&to->children[to_at], &from->children[from_at], count * sizeof(void *));
}

static uint32_t inner_size(const struct tree_inner *inner)
{
    uint32_t size = 0;

    for (unsigned i = 0; i < inner->count; i++)
        size += inner->sizes[i];
    return size;
}

/* ---- adding ---- */

static void leaf_insert(const struct ranking_tree *tree, struct tree_leaf *leaf,
                        const struct sales_sum *sum)
{
    unsigned at = leaf_find(tree, leaf, sum);

    leaf_move(leaf, at + 1, leaf, at, leaf->count - at);
    leaf->entries[at] = *sum;
    leaf->count++;
}

static struct tree_carry leaf_split(struct ranking_tree *tree, struct tree_leaf *leaf,
                                    const struct sales_sum *sum)
{
    union ranking_tree_node *node = ranking_tree_take(tree);
    struct tree_leaf *right = &node->leaf;

    right->count = LEAF_MAX / 2;
    leaf->count = LEAF_MAX - right->count;
    leaf_move(right, 0, leaf, leaf->count, right->count);
    right->next = leaf->next;
    leaf->next = node;
    struct sales_sum begin = right->entries[0];
    leaf_insert(tree, compare(tree, sum, &begin) < 0 ? leaf : right, sum);
    return (struct tree_carry){ node, right->count, begin };
}

static void inner_insert(struct tree_inner *inner, unsigned at, const struct tree_carry *carry)
{
    inner_move(inner, at + 1, inner, at, inner->count - at);
    inner->keys[at] = carry->key;
    inner->sizes[at] = carry->size;
    inner->children[at] = carry->node;
    inner->count++;
}

static struct tree_carry inner_split(struct ranking_tree *tree, struct tree_inner *inner,
                                     unsigned at, const struct tree_carry *carry)
{
    union ranking_tree_node *node = ranking_tree_take(tree);
    struct tree_inner *right = &node->inner;

    right->count = INNER_MAX / 2;
    inner->count = INNER_MAX - right->count;
    inner_move(right, 0, inner, inner->count, right->count);
    if (at <= inner->count)
        inner_insert(inner, at, carry);
    else
        inner_insert(right, at - inner->count, carry);
    return (struct tree_carry){ node, inner_size(right), right->keys[0] };
}

/* The right half of a child goes in behind it. */
static struct tree_carry step_take(struct ranking_tree *tree, const struct step *step,
                                   const struct tree_carry *carry)
{
    step->inner->sizes[step->at] -= carry->size;
    if (step->inner->count == INNER_MAX)
        return inner_split(tree, step->inner, step->at + 1, carry);
    inner_insert(step->inner, step->at + 1, carry);
    return (struct tree_carry){ 0 };
}

static void root_grow(struct ranking_tree *tree, const struct tree_carry *carry)
{
    union ranking_tree_node *node = ranking_tree_take(tree);
    struct tree_carry left = { tree->root, (uint32_t)tree->count - carry->size, carry->key };

    node->inner.count = 0;
    inner_insert(&node->inner, 0, &left);
    inner_insert(&node->inner, 1, carry);
    tree->root = node;
    tree->height++;
    ASSERT(tree->height < HEIGHT_MAX);
}

static struct tree_leaf *root_make(struct ranking_tree *tree)
{
    tree->root = ranking_tree_take(tree);
    tree->root->leaf.count = 0;
    tree->root->leaf.next = NULL;
    return &tree->root->leaf;
}

enum err ranking_tree_add(struct ranking_tree *tree, const struct sales_sum *sum)
{
    struct step path[HEIGHT_MAX];

    TRY(ranking_tree_reserve(tree, tree->height + 2));
    struct tree_leaf *leaf = tree->root ? go_down(tree, sum, path, 1) : root_make(tree);
    tree->count++;
    if (leaf->count < LEAF_MAX) {
        leaf_insert(tree, leaf, sum);
        return ERR_OK;
    }
    struct tree_carry carry = leaf_split(tree, leaf, sum);
    for (unsigned level = 0; level < tree->height && carry.node; level++)
        carry = step_take(tree, &path[level], &carry);
    if (carry.node)
        root_grow(tree, &carry);
    return ERR_OK;
}

/* ---- removing ---- */

/* Children `left` and left + 1 become one, or are made even. True: one. */
static bool leaves_mend(struct tree_inner *parent, unsigned left)
{
    struct tree_leaf *a = &parent->children[left]->leaf, *b = &parent->children[left + 1]->leaf;
    unsigned total = a->count + b->count, moved;

    if (total <= LEAF_MERGE) {
        leaf_move(a, a->count, b, 0, b->count);
        a->count = total;
        a->next = b->next;
        return true;
    }
    if (a->count < total / 2) {
        moved = total / 2 - a->count;
        leaf_move(a, a->count, b, 0, moved);
        leaf_move(b, 0, b, moved, b->count - moved);
    } else {
        moved = a->count - total / 2;
        leaf_move(b, moved, b, 0, b->count);
        leaf_move(b, 0, a, total / 2, moved);
    }
    a->count = total / 2;
    b->count = total - total / 2;
    parent->sizes[left] = a->count;
    parent->sizes[left + 1] = b->count;
    parent->keys[left + 1] = b->entries[0];
    return false;
}

static bool inners_mend(struct tree_inner *parent, unsigned left)
{
    struct tree_inner *a = &parent->children[left]->inner, *b = &parent->children[left + 1]->inner;
    unsigned total = a->count + b->count, moved;

    if (total <= INNER_MERGE) {
        inner_move(a, a->count, b, 0, b->count);
        a->count = total;
        return true;
    }
    if (a->count < total / 2) {
        moved = total / 2 - a->count;
        inner_move(a, a->count, b, 0, moved);
        inner_move(b, 0, b, moved, b->count - moved);
    } else {
        moved = a->count - total / 2;
        inner_move(b, moved, b, 0, b->count);
        inner_move(b, 0, a, total / 2, moved);
    }
    a->count = total / 2;
    b->count = total - total / 2;
    parent->sizes[left] = inner_size(a);
    parent->sizes[left + 1] = inner_size(b);
    parent->keys[left + 1] = b->keys[0];
    return false;
}

/* A child that is too empty is mended with a neighbour. True: the step's node has one child less.
 */
static bool step_mend(struct ranking_tree *tree, const struct step *step, bool leaves)
{
    struct tree_inner *inner = step->inner;
    union ranking_tree_node *child = inner->children[step->at];
    unsigned left = step->at > 0 ? step->at - 1 : 0;

    if (leaves ? child->leaf.count >= LEAF_MIN : child->inner.count >= INNER_MIN)
        return false;
    if (!(leaves ? leaves_mend(inner, left) : inners_mend(inner, left)))
        return false;
    inner->sizes[left] += inner->sizes[left + 1];
    ranking_tree_give(tree, inner->children[left + 1]);
    inner_move(inner, left + 1, inner, left + 2, inner->count - left - 2);
    inner->count--;
    return true;
}

void ranking_tree_remove(struct ranking_tree *tree, const struct sales_sum *sum)
{
    struct step path[HEIGHT_MAX];

    ASSERT(tree->count > 0);
    struct tree_leaf *leaf = go_down(tree, sum, path, UINT32_MAX);
    unsigned at = leaf_find(tree, leaf, sum);
    ASSERT(at < leaf->count && leaf->entries[at].product_id == sum->product_id);
    leaf_move(leaf, at, leaf, at + 1, leaf->count - at - 1);
    leaf->count--;
    tree->count--;
    for (unsigned level = 0; level < tree->height; level++)
        if (!step_mend(tree, &path[level], level == 0))
            break;
    if (tree->height > 0 && tree->root->inner.count == 1) {
        union ranking_tree_node *only = tree->root->inner.children[0];
        ranking_tree_give(tree, tree->root);
        tree->root = only;
        tree->height--;
    }
}

/* ---- reading ---- */

size_t ranking_tree_before(const struct ranking_tree *tree, const struct sales_sum *sum)
{
    const union ranking_tree_node *node = tree->root;
    size_t before = 0;

    if (!node)
        return 0;
    for (unsigned level = tree->height; level > 0; level--) {
        unsigned at = inner_find(tree, &node->inner, sum);
        for (unsigned i = 0; i < at; i++)
            before += node->inner.sizes[i];
        node = node->inner.children[at];
        node_fetch(node);
    }
    return before + leaf_find(tree, &node->leaf, sum);
}

size_t ranking_tree_page(const struct ranking_tree *tree, size_t offset, size_t max,
                         struct ranking_entry *ret_entries)
{
    const union ranking_tree_node *node = tree->root;
    size_t skip = offset, count = 0;

    if (offset >= tree->count)
        return 0;
    for (unsigned level = tree->height; level > 0; level--) {
        unsigned at = 0;
        while (skip >= node->inner.sizes[at])
            skip -= node->inner.sizes[at++];
        node = node->inner.children[at];
    }
    for (; node && count < max; node = node->leaf.next, skip = 0)
        for (size_t i = skip; i < node->leaf.count && count < max; i++, count++)
            ret_entries[count] =
                (struct ranking_entry){ (int64_t)(offset + count) + 1, node->leaf.entries[i] };
    return count;
}
