// SPDX-License-Identifier: Apache-2.0
#include "base/arena.h"

#include "base/mem.h"

enum { BLOCK_BYTES = 4096, ALIGNMENT = 16 };

struct arena_block {
    struct arena_block *older;
    size_t size;
    _Alignas(ALIGNMENT) char bytes[];
};

void *arena_alloc(struct arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (arena->left < size) {
        size_t room = MAX(size, (size_t)BLOCK_BYTES - sizeof(struct arena_block));
        struct arena_block *block = mem_alloc(sizeof *block + room);
        if (!block)
            return NULL;
        *block = (struct arena_block){ .older = arena->blocks, .size = room };
        arena->blocks = block;
        arena->next = block->bytes;
        arena->left = room;
    }
    void *ptr = arena->next;
    arena->next += size;
    arena->left -= size;
    return ptr;
}

struct str arena_copy(struct arena *arena, struct str s)
{
    char *copy = arena_alloc(arena, s.len ? s.len : 1);

    if (!copy)
        return STR_NONE;
    if (s.len)
        memcpy(copy, s.ptr, s.len);
    return (struct str){ copy, s.len };
}

void arena_reset(struct arena *arena)
{
    struct arena_block *keep = arena->blocks;

    if (!keep)
        return;
    while (keep->older) {
        struct arena_block *older = keep->older;
        mem_free(keep);
        keep = older;
    }
    arena->blocks = keep;
    arena->next = keep->bytes;
    arena->left = keep->size;
}

void arena_fini(struct arena *arena)
{
    while (arena->blocks) {
        struct arena_block *older = arena->blocks->older;
        mem_free(arena->blocks);
        arena->blocks = older;
    }
    *arena = (struct arena){ 0 };
}
