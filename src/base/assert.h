// SPDX-License-Identifier: Apache-2.0
/* For bugs only, never for things that can happen. Stays on in every build, -DNDEBUG included. */
#pragma once
#include "base/attr.h"

_Noreturn void assert_failed(const char *file, int line, const char *func, const char *text);

#define ASSERT(cond)                                            \
    do {                                                        \
        if (UNLIKELY(!(cond)))                                  \
            assert_failed(__FILE__, __LINE__, __func__, #cond); \
    } while (0)
