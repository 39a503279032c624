// SPDX-License-Identifier: Apache-2.0
/*
 * The promises, looked at while the server runs: no coupon has more rows than places, and what the
 * gate calls stored is what the ledger counts. A coupon counts only if its gate stood still:
 * nothing pending and nothing changed from before the ledger was read until after.
 */
#include "base/log.h"
#include "base/mem.h"
#include "shop/shop_internal.h"

enum { EVERY_MS = 10000 };

struct look {
    struct shop *shop;
    const struct catalog_list *list;
    struct gate_status *before; /* of each in the list */
    int64_t over_issued, gate_minus_sql;
};

static const struct gate_status *before_of(const struct look *look, int64_t coupon_id)
{
    for (size_t i = 0; i < look->list->count; i++)
        if (look->list->items[i]->coupon_id == coupon_id)
            return &look->before[i];
    return NULL;
}

static bool look_at(void *context, const struct coupon *coupon)
{
    struct look *look = context;
    const struct gate_status *before = before_of(look, coupon->coupon_id);
    int64_t over = coupon->witness.issued - coupon->settings.total_quantity;

    look->over_issued += MAX(over, 0);
    if (!before || !before->known || before->pending)
        return true;
    struct gate_status after;
    if (gate_status_read(look->shop->gate, coupon->coupon_id, &after) == ERR_OK &&
        after.changes == before->changes)
        look->gate_minus_sql += before->granted - coupon->witness.issued;
    return true;
}

/* As of now, where other servers may have moved it. Unknown, if its memory cannot be trusted. */
static void read_gate(struct shop *shop, int64_t coupon_id, struct gate_status *ret_status)
{
    bool good = gate_status(shop->gate, coupon_id).known &&
                gate_status_read(shop->gate, coupon_id, ret_status) == ERR_OK &&
                (ret_status->store == GATE_STORE_OPEN || ret_status->store == GATE_STORE_SEALED);

    if (!good)
        *ret_status = (struct gate_status){ 0 };
}

static void look_now(struct loop_work *work)
{
    struct shop *shop = CONTAINER_OF(work, struct invariants, work)->shop;
    struct look look = { .shop = shop, .list = catalog_list(shop->catalog) };
    CLEANUP(mem_freep)
    struct gate_status *before = mem_alloc((look.list->count + 1) * sizeof *before);

    if (!before)
        return;
    look.before = before;
    for (size_t i = 0; i < look.list->count; i++)
        read_gate(shop, look.list->items[i]->coupon_id, &before[i]);
    if (ledger_scan_coupons(shop->ledger, look_at, &look) != ERR_OK)
        return;
    atomic_store_explicit(&shop->over_issued, look.over_issued, memory_order_relaxed);
    atomic_store_explicit(&shop->gate_minus_sql, look.gate_minus_sql, memory_order_relaxed);
    if (look.over_issued || look.gate_minus_sql)
        LOG(LOG_ERROR, "invariant broken", LOG_INT("over_issued", look.over_issued),
            LOG_INT("gate_minus_sql", look.gate_minus_sql));
}

static void look_done(struct loop_work *work)
{
    CONTAINER_OF(work, struct invariants, work)->busy = false;
}

static void look_again(struct loop_timer *timer)
{
    struct invariants *self = CONTAINER_OF(timer, struct invariants, timer);

    if (self->stopped)
        return;
    if (!self->busy) {
        self->work.work = look_now;
        self->work.done = look_done;
        self->busy = loop_work_start(self->loop, &self->work) == ERR_OK;
    }
    err_ignore(loop_timer_start(self->loop, timer, EVERY_MS), "its slot is there");
}

enum err invariants_start(struct invariants *self, struct shop *shop, struct loop *loop)
{
    self->shop = shop;
    self->loop = loop;
    self->timer.run = look_again;
    return loop_timer_start(loop, &self->timer, EVERY_MS);
}

void invariants_stop(struct invariants *self)
{
    self->stopped = true;
    loop_timer_stop(&self->timer);
}
