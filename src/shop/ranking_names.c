// SPDX-License-Identifier: Apache-2.0
/* What the reads of the ranking share. Names are the ledger's: with that away they are what this
 * loop remembers, and the ranking is still served. */
#include "shop/ranking_internal.h"

void ranking_count_answer(struct shop_loop *loop, const struct ranking_said *said)
{
    struct ranking_feed *feed = loop->shop->ranking_feed;
    bool last_good = said->stale && said->origin == RANKING_FROM_PRIMARY;

    atomic_fetch_add_explicit(last_good ? &feed->last_good : &feed->answers[said->origin], 1,
                              memory_order_relaxed);
}

bool ranking_sums_take(struct shop_loop *loop)
{
    if (loop->desk.sums_running == RANKING_SUMS_AT_ONCE)
        return false;
    loop->desk.sums_running++;
    return true;
}

uint64_t ranking_products_version(const struct shop_loop *loop)
{
    return atomic_load_explicit(&loop->shop->changes->listed, memory_order_acquire);
}

int ranking_names_remembered(struct shop_loop *loop, struct arena *arena, struct ranking_row *rows,
                             size_t count, bool any_stamp)
{
    uint64_t stamp = ranking_products_version(loop);
    int missing = 0;

    for (size_t i = 0; i < count; i++) {
        if (rows[i].name.ptr)
            continue;
        struct str name;
        if (product_names_find(loop->desk.names, rows[i].sum.product_id, stamp, any_stamp, &name)) {
            rows[i].name = arena_copy(arena, name);
            if (!rows[i].name.ptr)
                return -1;
        } else if (any_stamp) {
            rows[i].name = STR("");
        } else {
            missing++;
        }
    }
    return missing;
}

bool ranking_names_ask(struct shop_loop *loop, struct ledger_read *read, struct arena *arena,
                       const struct ranking_row *rows, size_t count)
{
    int64_t *ids = arena_alloc(arena, count * sizeof *ids);

    if (!ids)
        return false;
    void (*done)(struct ledger_read *) = read->done;
    *read = (struct ledger_read){
        .op = LEDGER_READ_PRODUCTS_BY_ID, .done = done, .arena = arena, .ids = ids
    };
    for (size_t i = 0; i < count; i++)
        if (!rows[i].name.ptr)
            ids[read->id_count++] = rows[i].sum.product_id;
    ledger_read(loop->ledger, read);
    return true;
}

/* They come in the order in which they were asked for. */
void ranking_names_take(struct shop_loop *loop, const struct ledger_read *read, uint64_t stamp,
                        struct ranking_row *rows, size_t count)
{
    for (size_t i = 0, next = 0; i < count && next < read->id_count; i++) {
        if (rows[i].name.ptr)
            continue;
        const struct ledger_product *product = &read->products[next++];
        if (product->product_id == 0)
            continue;
        rows[i].name = product->name;
        product_names_put(loop->desk.names, product->product_id, stamp, product->name);
    }
}

struct ranking_row *ranking_rows_alloc(struct arena *arena, size_t count)
{
    return arena_alloc(arena, (count + 1) * sizeof(struct ranking_row));
}
