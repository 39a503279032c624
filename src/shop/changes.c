// SPDX-License-Identifier: Apache-2.0
#include "shop/changes.h"

#include "base/hash.h"
#include "shop/ranking_internal.h"
#include "shop/shop_internal.h"

static size_t cell_of(int64_t product_id)
{
    return hash_cell(hash_u64((uint64_t)product_id), CHANGES_CELLS);
}

const _Atomic uint64_t *changes_of_product(const struct changes *changes, int64_t product_id)
{
    return &changes->cell[cell_of(product_id)];
}

bool changes_look(const _Atomic uint64_t *counter, uint64_t *ret_value)
{
    *ret_value = atomic_load_explicit(counter, memory_order_acquire);
    return *ret_value % 2 == 0;
}

/* To an odd number, or the next even one: also where another commit, written beside this one, has
 * ended meanwhile. Some of a batch share a counter. */
static void move(_Atomic uint64_t *counter, bool to_odd)
{
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);

    if (!to_odd)
        atomic_store(counter, value + 2 - value % 2);
    else if (value % 2 == 0)
        atomic_store(counter, value + 1);
}

static void move_all(struct changes *changes, const struct ledger_changes *what, bool to_odd)
{
    bool listed = false;

    for (size_t i = 0; i < what->product_count; i++) {
        listed |= what->products[i].listed;
        move(&changes->cell[cell_of(what->products[i].product_id)], to_odd);
    }
    if (listed)
        move(&changes->listed, to_odd);
    if (what->product_count)
        move(&changes->products, to_odd);
    if (what->sale_count)
        move(&changes->sales, to_odd);
}

void changes_begin(struct changes *changes, const struct ledger_changes *what)
{
    move_all(changes, what, true);
}

void changes_end(struct changes *changes, const struct ledger_changes *what)
{
    move_all(changes, what, false);
}

/* ---- the shop watches its ledger ---- */

static void shop_committing(struct ledger_watch *watch, const struct ledger_changes *what)
{
    changes_begin(CONTAINER_OF(watch, struct shop, watch)->changes, what);
}

static void shop_given_up(struct ledger_watch *watch, const struct ledger_changes *what)
{
    changes_end(CONTAINER_OF(watch, struct shop, watch)->changes, what);
}

/* What others derive is derived first: when the counters are even again, all of it is there. */
static void shop_committed(struct ledger_watch *watch, const struct ledger_changes *what)
{
    struct shop *shop = CONTAINER_OF(watch, struct shop, watch);

    ranking_feed_committed(shop, what);
    changes_end(shop->changes, what);
}

void shop_watch(struct shop *shop)
{
    shop->watch = (struct ledger_watch){ .committing = shop_committing,
                                         .committed = shop_committed,
                                         .given_up = shop_given_up };
    ledger_watch_set(shop->ledger, &shop->watch);
}
