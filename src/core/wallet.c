// SPDX-License-Identifier: Apache-2.0
#include "core/wallet.h"

enum wallet_outcome wallet_charge(int64_t balance, int64_t expected, int64_t amount,
                                  int64_t amount_max, int64_t *ret_balance)
{
    int64_t sum, most;

    if (amount < 1 || amount > amount_max || __builtin_add_overflow(balance, amount, &sum) ||
        __builtin_add_overflow(sum, expected, &most))
        return WALLET_INVALID_AMOUNT;
    *ret_balance = sum;
    return WALLET_OK;
}
