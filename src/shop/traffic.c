// SPDX-License-Identifier: Apache-2.0
/* A table that only grows: finding takes no lock, and a counter never moves. */
#include "shop/traffic.h"

#include <pthread.h>

#include "base/hash.h"
#include "base/mem.h"

enum { CHAINS = 4096 };

struct traffic {
    pthread_mutex_t lock; /* who adds */
    struct traffic_coupon *_Atomic chain[CHAINS];
};

struct traffic *traffic_new(void)
{
    struct traffic *traffic = mem_alloc(sizeof *traffic);

    if (traffic)
        pthread_mutex_init(&traffic->lock, NULL);
    return traffic;
}

struct traffic *traffic_free(struct traffic *traffic)
{
    if (!traffic)
        return NULL;
    for (size_t i = 0; i < CHAINS; i++)
        for (struct traffic_coupon *it = atomic_load(&traffic->chain[i]), *next; it; it = next) {
            next = it->next;
            mem_free(it);
        }
    pthread_mutex_destroy(&traffic->lock);
    return mem_free(traffic);
}

static struct traffic_coupon *find(struct traffic *traffic, int64_t coupon_id, size_t cell)
{
    struct traffic_coupon *it = atomic_load_explicit(&traffic->chain[cell], memory_order_acquire);

    while (it && it->coupon_id != coupon_id)
        it = it->next;
    return it;
}

static size_t cell_of(int64_t coupon_id)
{
    return hash_cell(hash_u64((uint64_t)coupon_id), CHAINS);
}

struct traffic_coupon *traffic_of(struct traffic *traffic, int64_t coupon_id)
{
    size_t cell = cell_of(coupon_id);
    struct traffic_coupon *it = find(traffic, coupon_id, cell);

    if (it)
        return it;
    pthread_mutex_lock(&traffic->lock);
    it = find(traffic, coupon_id, cell);
    if (!it && (it = mem_alloc(sizeof *it))) {
        it->coupon_id = coupon_id;
        it->next = atomic_load_explicit(&traffic->chain[cell], memory_order_relaxed);
        atomic_store_explicit(&traffic->chain[cell], it, memory_order_release);
    }
    pthread_mutex_unlock(&traffic->lock);
    return it;
}

bool traffic_is_quiet(struct traffic *traffic, int64_t coupon_id)
{
    struct traffic_coupon *it = find(traffic, coupon_id, cell_of(coupon_id));

    return !it || atomic_load(&it->placements) == 0;
}

bool traffic_is_quiet_all(struct traffic *traffic)
{
    for (size_t i = 0; i < CHAINS; i++)
        for (struct traffic_coupon *it = atomic_load(&traffic->chain[i]); it; it = it->next)
            if (atomic_load(&it->placements) != 0)
                return false;
    return true;
}
