// SPDX-License-Identifier: Apache-2.0
/* ASSERT() ends the program in every build, -DNDEBUG included. */
#include "base/assert.h"

int main(int argc, char **argv)
{
    (void)argv;
    ASSERT(argc == 0);
    return 0;
}
