// SPDX-License-Identifier: Apache-2.0
/* A user's coupons: the rows, and before them what the gate of an open coupon has granted and the
 * ledger does not have yet. The gate is asked first: what it calls pending may be a row by then. */
#include "base/clock.h"
#include "shop/shop_internal.h"

static bool has_row(const struct held_list *list, int64_t coupon_id)
{
    for (size_t i = 0; i < list->read.row_count; i++)
        if (list->read.rows[i].coupon_id == coupon_id)
            return true;
    return false;
}

static void add(struct held_list *list, const struct ledger_held *row, bool reserved)
{
    const struct coupon *coupon = catalog_find(list->loop->shop->catalog, row->coupon_id);

    if (!coupon)
        return;
    list->items[list->count++] = (struct held_coupon){
        .coupon = coupon,
        .row = *row,
        .state = reserved ? HELD_RESERVED
                          : coupon_held_state(row->uses, coupon->uses_per_user, row->expires_at_ms,
                                              clock_wall_ms()),
    };
}

static enum err collect(struct held_list *list)
{
    list->count = 0;
    list->items = arena_alloc(list->arena, (list->look.held_count + list->read.row_count + 1) *
                                               sizeof *list->items);
    if (!list->items)
        return ERR_NOMEM;
    for (size_t i = 0; i < list->look.held_count; i++) {
        const struct gate_held *held = &list->look.held[i];
        const struct coupon *coupon = catalog_find(list->loop->shop->catalog, held->coupon_id);
        if (held->slot && held->pending && coupon && !has_row(list, held->coupon_id))
            add(list,
                &(struct ledger_held){ .coupon_id = held->coupon_id,
                                       .slot = held->slot,
                                       .user_id = list->user_id,
                                       .expires_at_ms = coupon->settings.ends_at_ms },
                true);
    }
    for (size_t i = 0; i < list->read.row_count; i++)
        add(list, &list->read.rows[i], false);
    return ERR_OK;
}

static void rows_read(struct ledger_read *read)
{
    struct held_list *list = CONTAINER_OF(read, struct held_list, read);

    list->err = read->err == ERR_OK ? collect(list) : read->err;
    list->done(list);
}

static void gate_looked(struct gate_look *look)
{
    struct held_list *list = CONTAINER_OF(look, struct held_list, look);

    if (look->err != ERR_OK)
        look->held_count = 0; /* the rows are what counts */
    list->read.done = rows_read;
    list->read.op = LEDGER_READ_HELD_LIST;
    list->read.arena = list->arena;
    list->read.user_id = list->user_id;
    ledger_read(list->loop->ledger, &list->read);
}

/* Of the coupons whose window is open now. */
static enum err look_prepare(struct held_list *list)
{
    const struct catalog_list *all = catalog_list(list->loop->shop->catalog);
    int64_t now_ms = clock_wall_ms();

    list->look = (struct gate_look){ .done = gate_looked, .user_id = list->user_id };
    list->look.held = arena_alloc(list->arena, (all->count + 1) * sizeof *list->look.held);
    if (!list->look.held)
        return ERR_NOMEM;
    for (size_t i = 0; i < all->count; i++)
        if (coupon_window(&all->items[i]->settings, now_ms) == COUPON_WITHIN)
            list->look.held[list->look.held_count++] =
                (struct gate_held){ .coupon_id = all->items[i]->coupon_id };
    return ERR_OK;
}

static void user_found(struct user_lookup *lookup, enum err e)
{
    struct held_list *list = CONTAINER_OF(lookup, struct held_list, lookup);

    if (e == ERR_OK)
        e = look_prepare(list);
    if (e == ERR_OK) {
        gate_look(list->loop->gate, &list->look);
        return;
    }
    list->err = e;
    list->done(list);
}

void held_list(struct shop_loop *loop, struct held_list *list)
{
    list->loop = loop;
    list->lookup.done = user_found;
    list->lookup.user_id = list->user_id;
    user_lookup(loop, &list->lookup);
}
