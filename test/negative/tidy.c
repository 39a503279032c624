// SPDX-License-Identifier: Apache-2.0
/* Must be found by clang-tidy: the memory is freed twice on one of the two ways. */
#include <stdlib.h>

void tidy_planted(int twice);

void tidy_planted(int twice)
{
    int *number = malloc(sizeof(*number));
    if (twice)
        free(number);
    free(number);
}
