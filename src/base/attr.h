// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <stddef.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt_arg, first_arg) __attribute__((format(printf, fmt_arg, first_arg)))
#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define LIKELY(cond) __builtin_expect(!!(cond), 1)
#define UNLIKELY(cond) __builtin_expect(!!(cond), 0)
#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* The object that embeds `ptr` as its `member`. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Move a pointer out of a scoped variable: the scope no longer frees it, the caller now owns it. */
#define TAKE(ptr)                   \
    ({                              \
        typeof(ptr) taken_ = (ptr); \
        (ptr) = NULL;               \
        taken_;                     \
    })

/* Makes `free_fn##p()` for CLEANUP() out of `type *free_fn(type *)`. */
#define DEFINE_CLEANUP(type, free_fn)          \
    static inline void free_fn##p(type **slot) \
    {                                          \
        *slot = free_fn(*slot);                \
    }
