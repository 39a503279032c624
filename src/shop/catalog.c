// SPDX-License-Identifier: Apache-2.0
/*
 * One immutable sorted list behind an atomic pointer. Coupons change by an administrator's hand, so
 * copying the list is nothing; what was replaced is freed when no request can hold it any longer.
 */
#include "shop/catalog.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

enum { GRACE_MS = 60000 }; /* beyond the longest request.deadline that can be set */

struct retired {
    struct retired *next;
    uint64_t at_ms;
    void *object;
};

struct catalog {
    struct catalog_list *_Atomic list;
    pthread_mutex_t lock;    /* writers */
    struct retired *retired; /* oldest first */
    struct retired **retired_end;
};

struct catalog *catalog_new(void)
{
    struct catalog *catalog = mem_alloc(sizeof *catalog);
    struct catalog_list *list = mem_alloc(sizeof *list);

    if (!catalog || !list) {
        mem_free(list);
        return mem_free(catalog);
    }
    atomic_store_explicit(&catalog->list, list, memory_order_relaxed);
    pthread_mutex_init(&catalog->lock, NULL);
    catalog->retired_end = &catalog->retired;
    return catalog;
}

static void retired_free(struct catalog *catalog, uint64_t before_ms)
{
    while (catalog->retired && catalog->retired->at_ms < before_ms) {
        struct retired *first = catalog->retired;
        catalog->retired = first->next;
        if (!catalog->retired)
            catalog->retired_end = &catalog->retired;
        mem_free(first->object);
        mem_free(first);
    }
}

struct catalog *catalog_free(struct catalog *catalog)
{
    if (catalog) {
        struct catalog_list *list = atomic_load_explicit(&catalog->list, memory_order_relaxed);
        retired_free(catalog, UINT64_MAX);
        for (size_t i = 0; i < list->count; i++)
            mem_free((void *)(uintptr_t)list->items[i]);
        mem_free(list);
        pthread_mutex_destroy(&catalog->lock);
        mem_free(catalog);
    }
    return NULL;
}

/* The first item whose id is not lower. */
static size_t lower_bound(const struct catalog_list *list, int64_t coupon_id)
{
    size_t low = 0, high = list->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list->items[middle]->coupon_id < coupon_id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct catalog_list *catalog_list(struct catalog *catalog)
{
    return atomic_load_explicit(&catalog->list, memory_order_acquire);
}

const struct coupon *catalog_find(struct catalog *catalog, int64_t coupon_id)
{
    const struct catalog_list *list = catalog_list(catalog);
    size_t i = lower_bound(list, coupon_id);

    return i < list->count && list->items[i]->coupon_id == coupon_id ? list->items[i] : NULL;
}

static void retire(struct catalog *catalog, struct retired *node, void *object)
{
    *node = (struct retired){ .at_ms = clock_boot_ms(), .object = object };
    *catalog->retired_end = node;
    catalog->retired_end = &node->next;
}

static enum err put_locked(struct catalog *catalog, const struct coupon *coupon)
{
    struct catalog_list *old = atomic_load_explicit(&catalog->list, memory_order_relaxed);
    size_t at = lower_bound(old, coupon->coupon_id);
    bool replaces = at < old->count && old->items[at]->coupon_id == coupon->coupon_id;

    if (replaces && (old->items[at]->settings.version > coupon->settings.version ||
                     old->items[at]->epoch > coupon->epoch))
        return ERR_OK;
    CLEANUP(mem_freep) struct coupon *copy = mem_alloc(sizeof *copy);
    CLEANUP(mem_freep)
    struct catalog_list *list = mem_alloc(sizeof *list + (old->count + 1) * sizeof list->items[0]);
    CLEANUP(mem_freep) struct retired *old_list = mem_alloc(sizeof *old_list);
    CLEANUP(mem_freep) struct retired *old_item = mem_alloc(sizeof *old_item);
    if (!copy || !list || !old_list || !old_item)
        return ERR_NOMEM;
    *copy = *coupon;
    /* Whoever read before it was closing may come later than who read that it is. */
    if (replaces && old->items[at]->epoch == coupon->epoch)
        copy->closing = copy->closing || old->items[at]->closing;
    list->count = old->count + !replaces;
    memcpy(list->items, old->items, at * sizeof list->items[0]);
    memcpy(list->items + at + 1, old->items + at + replaces,
           (old->count - at - replaces) * sizeof list->items[0]);
    list->items[at] = TAKE(copy);
    if (replaces)
        retire(catalog, TAKE(old_item), (void *)(uintptr_t)old->items[at]);
    retire(catalog, TAKE(old_list), old);
    atomic_store_explicit(&catalog->list, TAKE(list), memory_order_release);
    return ERR_OK;
}

enum err catalog_put(struct catalog *catalog, const struct coupon *coupon)
{
    uint64_t now_ms = clock_boot_ms();

    pthread_mutex_lock(&catalog->lock);
    enum err e = put_locked(catalog, coupon);
    retired_free(catalog, now_ms > GRACE_MS ? now_ms - GRACE_MS : 0);
    pthread_mutex_unlock(&catalog->lock);
    return e;
}
