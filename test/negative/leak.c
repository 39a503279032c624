// SPDX-License-Identifier: Apache-2.0
/* Memory that nothing points to any more when the program ends. */
#include <stdlib.h>

static void *volatile last;

int main(void)
{
    last = malloc(24);
    last = NULL;
    return 0;
}
