// SPDX-License-Identifier: Apache-2.0
/* A balance that runs over. */
#include <stdint.h>

int main(void)
{
    volatile int64_t balance_won = INT64_MAX;
    balance_won = balance_won + 1;
    return 0;
}
