// SPDX-License-Identifier: Apache-2.0
/* Intrusive doubly linked ring. The head is an element of the ring; an unlinked node points to
 * itself. */
#pragma once
#include <stdbool.h>

#include "base/attr.h"

struct list {
    struct list *prev, *next;
};

static inline void list_init(struct list *node)
{
    node->prev = node->next = node;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

static inline void list_append(struct list *head, struct list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* Move all of `from` to the end of `to`. */
static inline void list_splice(struct list *to, struct list *from)
{
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#define LIST_FOREACH(it, head, type, member)                                  \
    for (struct list *node_ = (head)->next, *next_ = node_->next;             \
         node_ != (head) && ((it) = CONTAINER_OF(node_, type, member), true); \
         node_ = next_, next_ = node_->next)
