// SPDX-License-Identifier: Apache-2.0
#include "core/limiter.h"

#include "base/hash.h"

struct limiter_rule limiter_rule(uint64_t rate_per_s, uint64_t burst)
{
    return (struct limiter_rule){ UINT64_C(1000000000) / rate_per_s, burst };
}

struct limiter_verdict limiter_take(const struct limiter_rule *rule, uint64_t *full_at_ns,
                                    uint64_t now_ns)
{
    uint64_t depth_ns = rule->interval_ns * rule->burst;
    uint64_t debt_ns = *full_at_ns > now_ns ? *full_at_ns - now_ns : 0;
    bool allowed = debt_ns + rule->interval_ns <= depth_ns;

    if (allowed) {
        debt_ns += rule->interval_ns;
        *full_at_ns = now_ns + debt_ns;
    }
    bool more = debt_ns + rule->interval_ns <= depth_ns;
    return (struct limiter_verdict){
        .allowed = allowed,
        .left = more ? (depth_ns - debt_ns) / rule->interval_ns : 0,
        .full_ns = debt_ns,
        .retry_ns = more ? 0 : debt_ns + rule->interval_ns - depth_ns,
    };
}

uint64_t limiter_hash(struct limiter_key key, uint64_t seed)
{
    return hash_u64(hash_u64(key.high ^ seed) ^ key.low);
}

uint64_t *limiter_table_bucket(const struct limiter_table *table, struct limiter_key key)
{
    struct limiter_entry *set =
        table->entries + hash_cell(limiter_hash(key, table->seed), table->set_count) * LIMITER_WAYS;
    struct limiter_entry *least = set;

    for (size_t i = 0; i < LIMITER_WAYS; i++) {
        if (set[i].full_at_ns && set[i].key.high == key.high && set[i].key.low == key.low)
            return &set[i].full_at_ns;
        if (set[i].full_at_ns < least->full_at_ns)
            least = &set[i];
    }
    *least = (struct limiter_entry){ .key = key };
    return &least->full_at_ns;
}
