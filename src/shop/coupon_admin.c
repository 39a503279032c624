// SPDX-License-Identifier: Apache-2.0
/*
 * Coupons by an administrator's hand. Raising a quantity, moving the window and closing go to SQL
 * first and then to the gate. Lowering needs to know the highest number handed out: the gate is
 * closed, what is pending is stored, SQL decides, and the gate is built anew with a new epoch.
 */
#include "base/clock.h"
#include "base/log.h"
#include "shop/shop_internal.h"

enum { DRAIN_POLL_MS = 5, DRAIN_MAX_MS = 5000 };

/* ---- create ---- */

static enum err gate_open_empty(struct shop *shop, const struct coupon *coupon)
{
    struct gate_rebuild *rebuild;

    TRY(gate_rebuild_begin(shop->gate, coupon->coupon_id, coupon->epoch, &coupon->settings,
                           &rebuild));
    enum err e = gate_rebuild_open(rebuild, 0);
    gate_rebuild_free(rebuild);
    return e;
}

static void create_end(struct coupon_create *create, enum err e)
{
    create->err = e;
    shop_turn_end(create->loop->shop->turns);
    create->done(create);
}

static void create_stored(struct shop_command *command)
{
    struct coupon_create *create = CONTAINER_OF(command, struct coupon_create, command);
    struct shop *shop = create->loop->shop;
    enum err e = command->ledger.err;

    if (e == ERR_OK && command->ledger.coupon_create.taken)
        e = ERR_CONFLICT;
    if (e == ERR_OK)
        e = catalog_put(shop->catalog, &create->coupon);
    if (e == ERR_OK)
        err_ignore(gate_open_empty(shop, &create->coupon), "the keeper opens it");
    create_end(create, e);
}

static void create_begin(struct loop_task *task)
{
    struct coupon_create *create = CONTAINER_OF(task, struct coupon_create, turn.task);

    create->command.done = create_stored;
    create->command.ledger.op = LEDGER_COUPON_CREATE;
    create->command.ledger.coupon_create.coupon = &create->coupon;
    shop_command(create->loop, &create->command);
}

void coupon_create(struct shop_loop *loop, struct coupon_create *create)
{
    create->loop = loop;
    create->turn.loop = loop->loop;
    create->turn.task.run = create_begin;
    shop_turn_take(loop->shop->turns, &create->turn);
}

/* ---- change ---- */

static void patch_end(struct coupon_patch *patch, enum err e)
{
    if (patch->closed && (e != ERR_OK || patch->outcome != COUPON_CHANGE_OK))
        gate_reopen(patch->loop->shop->gate, patch->coupon_id);
    patch->err = e;
    shop_turn_end(patch->loop->shop->turns);
    patch->done(patch);
}

static void patch_rebuild_work(struct loop_work *work)
{
    struct coupon_patch *patch = CONTAINER_OF(work, struct coupon_patch, work);
    int64_t holders;

    patch->err = coupon_rebuild(patch->loop->shop, patch->coupon_id, &patch->coupon, &holders);
}

static void patch_rebuilt(struct loop_work *work)
{
    struct coupon_patch *patch = CONTAINER_OF(work, struct coupon_patch, work);

    if (patch->loop->metrics)
        metrics_add(patch->loop->metrics, METRIC_gate_rebuilds, 1);
    patch_end(patch, patch->err == ERR_OK ? ERR_OK : ERR_UNAVAILABLE);
}

static void patch_stored(struct shop_command *command)
{
    struct coupon_patch *patch = CONTAINER_OF(command, struct coupon_patch, command);
    struct shop *shop = patch->loop->shop;
    enum err e = command->ledger.err;

    if (e == ERR_OK && !command->ledger.coupon_change.found)
        e = ERR_NOT_FOUND;
    patch->outcome = command->ledger.coupon_change.outcome;
    /* SQL has changed, or may have: the old memory may hold more places than there are now. Open
     * anew, or not at all: then the keeper does it. */
    if (e == ERR_UNCERTAIN || (e == ERR_OK && patch->outcome == COUPON_CHANGE_OK))
        patch->closed = false;
    if (e != ERR_OK || patch->outcome != COUPON_CHANGE_OK) {
        patch_end(patch, e);
        return;
    }
    e = catalog_put(shop->catalog, &patch->coupon);
    if (e == ERR_OK && patch->rebuild) {
        patch->work.work = patch_rebuild_work;
        patch->work.done = patch_rebuilt;
        e = loop_work_start(patch->loop->loop, &patch->work);
        if (e == ERR_OK)
            return;
    }
    if (e == ERR_OK)
        e = gate_set(shop->gate, patch->coupon_id, &patch->coupon.settings);
    patch_end(patch, e);
}

static void patch_store(struct coupon_patch *patch)
{
    patch->command.done = patch_stored;
    patch->command.ledger.op = LEDGER_COUPON_CHANGE;
    patch->command.ledger.coupon_change =
        (struct ledger_coupon_change){ .coupon_id = patch->coupon_id,
                                       .change = patch->change,
                                       .raise_epoch = patch->rebuild,
                                       .coupon = &patch->coupon };
    shop_command(patch->loop, &patch->command);
}

/* Closed: what was granted before is on its way to SQL. Go on when nothing is pending any more. */
static void patch_drain(struct loop_timer *timer)
{
    struct coupon_patch *patch = CONTAINER_OF(timer, struct coupon_patch, timer);
    struct shop_loop *loop = patch->loop;

    if (gate_status(loop->shop->gate, patch->coupon_id).pending == 0) {
        patch_store(patch);
        return;
    }
    if (loop_now_ms(loop->loop) >= patch->give_up_ms ||
        loop_timer_start(loop->loop, timer, DRAIN_POLL_MS) != ERR_OK)
        patch_end(patch, ERR_UNAVAILABLE);
}

static bool is_empty(const struct coupon_change *change)
{
    return !change->has_quantity && !change->has_starts && !change->has_ends && !change->has_closed;
}

static void patch_begin(struct loop_task *task)
{
    struct coupon_patch *patch = CONTAINER_OF(task, struct coupon_patch, turn.task);
    struct shop *shop = patch->loop->shop;
    const struct coupon *known = catalog_find(shop->catalog, patch->coupon_id);

    if (!known) {
        patch_end(patch, ERR_NOT_FOUND);
        return;
    }
    struct gate_status gate = gate_status(shop->gate, patch->coupon_id);
    if (is_empty(&patch->change) && gate.known && gate.open) {
        patch->coupon = *known;
        patch_end(patch, ERR_OK);
        return;
    }
    bool lower =
        patch->change.has_quantity && patch->change.total_quantity < known->settings.total_quantity;
    patch->rebuild = lower || !gate.known || !gate.open;
    if (!patch->rebuild || !gate.known) {
        patch_store(patch);
        return;
    }
    patch->closed = gate.open;
    gate_close(shop->gate, patch->coupon_id);
    patch->give_up_ms = loop_now_ms(patch->loop->loop) + DRAIN_MAX_MS;
    patch->timer.run = patch_drain;
    patch_drain(&patch->timer);
}

void coupon_patch(struct shop_loop *loop, struct coupon_patch *patch)
{
    patch->loop = loop;
    patch->turn.loop = loop->loop;
    patch->turn.task.run = patch_begin;
    shop_turn_take(loop->shop->turns, &patch->turn);
}

/* ---- keeper: a closed gate opens again, by itself ---- */

enum { KEEP_EVERY_MS = 1000 };

static bool needs_keeper(struct shop *shop, const struct coupon *coupon, int64_t now_ms)
{
    struct gate_status gate = gate_status(shop->gate, coupon->coupon_id);

    return coupon_window(&coupon->settings, now_ms) != COUPON_AFTER && gate_is_usable(shop->gate) &&
           (!gate.known || !gate.open);
}

static void keeper_done(struct coupon_patch *patch)
{
    patch->loop->keeper_busy = false;
    if (patch->err == ERR_OK)
        LOG(LOG_WARN, "gate opened again", LOG_INT("coupon", patch->coupon_id));
}

/* One at a time; whoever changes the coupon just now goes first, and may leave nothing to do. */
static void keep(struct loop_timer *timer)
{
    struct shop_loop *loop = CONTAINER_OF(timer, struct shop_loop, keep);
    const struct catalog_list *all = catalog_list(loop->shop->catalog);
    int64_t now_ms = clock_wall_ms();

    for (size_t i = 0; i < all->count && !loop->keeper_busy && !loop->draining; i++)
        if (needs_keeper(loop->shop, all->items[i], now_ms)) {
            loop->keeper_busy = true;
            loop->keeper =
                (struct coupon_patch){ .done = keeper_done, .coupon_id = all->items[i]->coupon_id };
            coupon_patch(loop, &loop->keeper);
        }
    if (!loop->draining)
        err_ignore(loop_timer_start(loop->loop, timer, KEEP_EVERY_MS), "its slot is there");
}

enum err keeper_start(struct shop_loop *loop)
{
    loop->keep.run = keep;
    return loop_timer_start(loop->loop, &loop->keep, KEEP_EVERY_MS);
}
