// SPDX-License-Identifier: Apache-2.0
/*
 * Failures: what went wrong around us. Bugs are ASSERT() (base/assert.h); expected outcomes, such
 * as "sold out", have an enum of their own beside the function that returns them.
 */
#pragma once
#include "base/attr.h"

enum err {
#define ERR(name, text) ERR_##name,
#include "base/err.def"
#undef ERR
};

/* Symbolic name ("UNCERTAIN") and one line of text. Static strings. */
const char *err_name(enum err e);
const char *err_text(enum err e);

/* Drop an error on purpose; `why` is for the reader and is never printed. */
static inline void err_ignore(enum err e, const char *why)
{
    (void)e;
    (void)why;
}

/* Propagate a failure unchanged. The only macro in the tree allowed to hide a `return`. */
#define TRY(expr)                         \
    do {                                  \
        enum err try_err_ = (expr);       \
        if (UNLIKELY(try_err_ != ERR_OK)) \
            return try_err_;              \
    } while (0)
