// SPDX-License-Identifier: Apache-2.0
/* A read of memory that was given back. */
#include <stdlib.h>

int main(void)
{
    char *volatile text = calloc(1, 8);
    if (!text)
        return 2;
    free(text);
    return text[0];
}
