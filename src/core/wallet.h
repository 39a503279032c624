// SPDX-License-Identifier: Apache-2.0
/* Money is int64 won; a balance is never negative. */
#pragma once
#include <stdint.h>

enum wallet_outcome {
    WALLET_OK,
    WALLET_INVALID_AMOUNT, /* < 1, above the configured maximum, or the balance would overflow */
};

/*
 * What a charge of `amount` makes of `balance`. `expected` is what may still come in beside it
 * (what is held by open attempts, and other charges under way): it must fit, too. *ret_balance on
 * WALLET_OK only.
 */
enum wallet_outcome wallet_charge(int64_t balance, int64_t expected, int64_t amount,
                                  int64_t amount_max, int64_t *ret_balance);
