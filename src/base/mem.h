// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <stddef.h>

#include "base/attr.h"

/* All heap use goes through these, so that tests can fail the n-th allocation of a thread. */
void *mem_alloc(size_t size) MUST_CHECK;             /* zeroed; NULL when there is no memory */
void *mem_resize(void *ptr, size_t size) MUST_CHECK; /* realloc(): on NULL, `ptr` is still there */
void *mem_free(void *ptr);                           /* takes NULL, returns NULL */

/* Whether there is room for one more in an array that grows; its first room is for `cap_first`.
 * Without memory it stays as it is. */
#define MEM_ROOM(items, count, cap, cap_first)                           \
    ({                                                                   \
        typeof(items) items_ = (items);                                  \
        if ((count) == (cap)) {                                          \
            size_t cap_ = (cap) ? (size_t)(cap)*2 : (size_t)(cap_first); \
            items_ = mem_resize((items), cap_ * sizeof *items_);         \
            if (items_) {                                                \
                (items) = items_;                                        \
                (cap) = (typeof(cap))cap_;                               \
            }                                                            \
        }                                                                \
        items_ != NULL;                                                  \
    })

static inline void mem_freep(void *slot)
{
    void **typed = slot;
    *typed = mem_free(*typed);
}

/* Test only, per thread: let `after` allocations through, then fail every one. Negative: off. */
void mem_fault_set(int after);
int mem_fault_hits(void);
/* Blocks this thread has allocated less those it has freed. */
long mem_live_count(void);
