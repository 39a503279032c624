// SPDX-License-Identifier: Apache-2.0
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

void assert_failed(const char *file, int line, const char *func, const char *text)
{
    fprintf(stderr, "%s:%d: %s: ASSERT(%s)\n", file, line, func, text);
    abort();
}
