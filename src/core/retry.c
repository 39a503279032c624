// SPDX-License-Identifier: Apache-2.0
#include "core/retry.h"

static unsigned bucket_at(struct retry_budget *budget, uint64_t now_ms)
{
    uint64_t number = now_ms / RETRY_BUCKET_MS;
    unsigned i = (unsigned)(number % RETRY_BUCKETS);

    if (budget->bucket[i].number != number) {
        budget->bucket[i].number = number;
        budget->bucket[i].calls = budget->bucket[i].retries = 0;
    }
    return i;
}

void retry_budget_call(struct retry_budget *budget, uint64_t now_ms)
{
    budget->bucket[bucket_at(budget, now_ms)].calls++;
}

bool retry_budget_take(struct retry_budget *budget, uint64_t now_ms, unsigned tries)
{
    uint64_t calls = 0, retries = 0, now = now_ms / RETRY_BUCKET_MS;
    unsigned mine = bucket_at(budget, now_ms);

    if (tries >= RETRY_TRIES_MAX)
        return false;
    for (unsigned i = 0; i < RETRY_BUCKETS; i++) {
        if (budget->bucket[i].number + RETRY_BUCKETS <= now)
            continue;
        calls += budget->bucket[i].calls;
        retries += budget->bucket[i].retries;
    }
    uint64_t allowed = calls * RETRY_PERCENT / 100;
    if (retries >= (allowed > RETRY_FLOOR ? allowed : RETRY_FLOOR))
        return false;
    budget->bucket[mine].retries++;
    return true;
}

uint64_t retry_delay_ms(uint64_t base_ms, uint64_t max_ms, unsigned tries, uint64_t random)
{
    uint64_t reach = base_ms;

    for (unsigned i = 0; i < tries && reach < max_ms; i++)
        reach *= 2;
    if (reach > max_ms)
        reach = max_ms;
    return random % (reach + 1);
}
