// SPDX-License-Identifier: Apache-2.0
/*
 * The witness of a coupon: what its rows must add up to, kept on the coupon's own row by every
 * batch that stores some. A row deleted, added or changed behind the server's back, before or
 * after a restart, no longer agrees with it.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct witness {
    int64_t issued;  /* rows */
    int64_t highest; /* slot; 0 while there is none */
    uint64_t hash;   /* sum, modulo 2^64, of a hash of each (slot, user): order does not matter */
};

void witness_add(struct witness *witness, int64_t slot, int64_t user_id);
bool witness_equal(const struct witness *a, const struct witness *b);
