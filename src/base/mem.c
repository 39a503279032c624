// SPDX-License-Identifier: Apache-2.0
#include "base/mem.h"

#include <stdbool.h>
#include <stdlib.h>

static _Thread_local int fault_after = -1;
static _Thread_local int fault_hits;
static _Thread_local long live_count;

static bool fault_now(void)
{
    if (LIKELY(fault_after < 0))
        return false;
    if (fault_after > 0) {
        fault_after--;
        return false;
    }
    fault_hits++;
    return true;
}

void *mem_alloc(size_t size)
{
    void *ptr = fault_now() ? NULL : calloc(1, size);
    live_count += ptr != NULL;
    return ptr;
}

void *mem_resize(void *ptr, size_t size)
{
    void *moved = fault_now() ? NULL : realloc(ptr, size);
    live_count += !ptr && moved;
    return moved;
}

void *mem_free(void *ptr)
{
    live_count -= ptr != NULL;
    free(ptr);
    return NULL;
}

void mem_fault_set(int after)
{
    fault_after = after;
    fault_hits = 0;
}

int mem_fault_hits(void)
{
    return fault_hits;
}

long mem_live_count(void)
{
    return live_count;
}
