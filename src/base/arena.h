// SPDX-License-Identifier: Apache-2.0
/* A request's memory: many small allocations, one release. Not thread-safe. */
#pragma once
#include <stddef.h>

#include "base/attr.h"
#include "base/str.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    char *next;
    size_t left;
};

/* Aligned to 16, not zeroed. NULL when there is no memory. */
void *arena_alloc(struct arena *arena, size_t size) MUST_CHECK;
/* Copies `s`; a NULL ptr means no memory. */
struct str arena_copy(struct arena *arena, struct str s) MUST_CHECK;
/* Everything allocated is gone; one block is kept for the next use. */
void arena_reset(struct arena *arena);
void arena_fini(struct arena *arena);
