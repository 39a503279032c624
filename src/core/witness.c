// SPDX-License-Identifier: Apache-2.0
#include "core/witness.h"

#include "base/attr.h"
#include "base/hash.h"

void witness_add(struct witness *witness, int64_t slot, int64_t user_id)
{
    witness->issued++;
    witness->highest = MAX(witness->highest, slot);
    witness->hash += hash_u64(hash_u64((uint64_t)slot) ^ (uint64_t)user_id);
}

bool witness_equal(const struct witness *a, const struct witness *b)
{
    return a->issued == b->issued && a->highest == b->highest && a->hash == b->hash;
}
