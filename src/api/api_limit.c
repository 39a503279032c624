// SPDX-License-Identifier: Apache-2.0
/*
 * One count for the whole process, whichever loop a request comes to: limits that were divided by
 * the loops would depend on how connections spread. Stripes keep the locks apart; one is held for
 * some 20 ns.
 */
#include <stdio.h>
#include <sys/random.h>

#include "api/api_policy.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"

enum { STRIPES = 64 };

struct limit_stripe {
    pthread_mutex_t lock;
    struct limiter_table table;
};

enum err api_limit_init(struct api_limit *limit, const char *name, int64_t rate, int64_t burst,
                        int64_t entries_max)
{
    size_t sets = (size_t)entries_max / (STRIPES * LIMITER_WAYS);

    *limit = (struct api_limit){ .name = name };
    if (rate == 0)
        return ERR_OK;
    sets = MAX(sets, 1);
    limit->rule = limiter_rule((uint64_t)rate, (uint64_t)burst);
    snprintf(limit->policy, sizeof limit->policy, "\"%s\";q=%lld;w=%lld", name, (long long)burst,
             (long long)((burst + rate - 1) / rate));
    if (getrandom(&limit->seed, sizeof limit->seed, 0) != sizeof limit->seed)
        limit->seed = clock_mono_ns();
    limit->stripes = mem_alloc(STRIPES * sizeof *limit->stripes);
    for (size_t i = 0; limit->stripes && i < STRIPES; i++) {
        struct limit_stripe *stripe = &limit->stripes[i];
        pthread_mutex_init(&stripe->lock, NULL);
        stripe->table.set_count = sets;
        stripe->table.seed = hash_u64(limit->seed);
        stripe->table.entries = mem_alloc(sets * LIMITER_WAYS * sizeof *stripe->table.entries);
        if (!stripe->table.entries)
            return ERR_NOMEM;
    }
    return limit->stripes ? ERR_OK : ERR_NOMEM;
}

void api_limit_fini(struct api_limit *limit)
{
    for (size_t i = 0; limit->stripes && i < STRIPES; i++)
        mem_free(limit->stripes[i].table.entries);
    limit->stripes = mem_free(limit->stripes);
}

static void tell(const struct api_limit *limit, struct http_request *request,
                 const struct limiter_verdict *verdict)
{
    uint64_t reset_s = (verdict->full_ns + 999999999) / 1000000000;
    char text[96];
    int n = snprintf(text, sizeof text, "\"%s\";r=%llu;t=%llu", limit->name,
                     (unsigned long long)verdict->left, (unsigned long long)reset_s);

    http_response_header(request, STR("RateLimit-Policy"), str_from(limit->policy));
    http_response_header(request, STR("RateLimit"), (struct str){ text, (size_t)n });
}

bool api_limit_take(struct api_limit *limit, struct http_request *request, struct limiter_key key)
{
    struct limit_stripe *stripe = &limit->stripes[limiter_hash(key, limit->seed) & (STRIPES - 1)];

    pthread_mutex_lock(&stripe->lock);
    struct limiter_verdict verdict =
        limiter_take(&limit->rule, limiter_table_bucket(&stripe->table, key), clock_mono_ns());
    pthread_mutex_unlock(&stripe->lock);
    tell(limit, request, &verdict);
    return verdict.allowed;
}
