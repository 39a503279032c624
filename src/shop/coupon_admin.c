// SPDX-License-Identifier: Apache-2.0
/*
 * Coupons by an administrator's hand. Raising a quantity, moving the window and closing go to SQL
 * first and then to the gate. Lowering needs to know the highest number handed out: that ends the
 * life of the gate (coupon_handover.h), and so does opening one that has lost its memory.
 */
#include "base/log.h"
#include "base/mem.h"
#include "shop/coupon_handover.h"
#include "shop/shop_internal.h"

enum { HANDOVER_MAX_MS = 5000 };

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
    shop_turn_end(create->loop->shop->turns, &create->turn);
    create->done(create);
}

static void create_open(struct loop_work *work)
{
    struct coupon_create *create = CONTAINER_OF(work, struct coupon_create, work);

    err_ignore(gate_open_empty(create->loop->shop, &create->coupon), "the keeper opens it");
}

static void create_checked(struct servers_refresh *refresh, enum err e)
{
    struct coupon_create *create = CONTAINER_OF(refresh, struct coupon_create, refresh);
    struct shop *shop = create->loop->shop;

    if (e == ERR_OK)
        e = servers_take_over(shop->servers, catalog_find(shop->catalog, create->coupon.coupon_id));
    err_ignore(e, "the keeper opens it");
    create_end(create, ERR_OK);
}

/* As after every rebuild, nothing is told of it before SQL was looked at again: another server may
 * have found the gate missing, and ended its life. */
static void create_opened(struct loop_work *work)
{
    struct coupon_create *create = CONTAINER_OF(work, struct coupon_create, work);

    if (!gate_is_shared(create->loop->shop->gate)) {
        create_end(create, ERR_OK);
        return;
    }
    create->refresh.done = create_checked;
    servers_refresh(create->loop, &create->refresh);
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
    create->work.work = create_open;
    create->work.done = create_opened;
    if (e != ERR_OK || loop_work_start(create->loop->loop, &create->work) != ERR_OK)
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
    patch->handover = mem_free(patch->handover);
    patch->err = e;
    shop_turn_end(patch->loop->shop->turns, &patch->turn);
    patch->done(patch);
}

static void patch_decide(struct coupon_patch *patch);

/* What it was decided on was not so any more: another server has changed the coupon. */
static void patch_again(struct coupon_patch *patch)
{
    patch->handover = mem_free(patch->handover);
    if (loop_now_ms(patch->loop->loop) < patch->give_up_ms)
        patch_decide(patch);
    else
        patch_end(patch, ERR_UNAVAILABLE);
}

static void patch_handed_over(struct handover *handover)
{
    struct coupon_patch *patch = handover->context;

    if (handover->overtaken && handover->err == ERR_OK && !coupon_change_is_empty(&patch->change)) {
        patch_again(patch);
        return;
    }
    patch->outcome = handover->outcome;
    patch->coupon = handover->coupon;
    patch_end(patch, handover->err);
}

static void patch_hand_over(struct coupon_patch *patch, const struct coupon *known)
{
    struct handover *handover = mem_alloc(sizeof *handover);

    patch->handover = handover;
    if (!handover) {
        patch_end(patch, ERR_NOMEM);
        return;
    }
    handover->done = patch_handed_over;
    handover->context = patch;
    handover->loop = patch->loop;
    handover->coupon_id = patch->coupon_id;
    handover->epoch = known->epoch;
    handover->change = patch->change;
    handover->give_up_ms = patch->give_up_ms;
    handover_start(handover);
}

/* The gate's store judges by the new settings from now on; should it be away, it hears of them with
 * the next question, and is closed until then. */
static void patch_pushed(struct gate_refresh *refresh)
{
    patch_end(CONTAINER_OF(refresh, struct coupon_patch, push), ERR_OK);
}

/* SQL's row as it is now: it may be closing. */
static enum err patch_take_over(struct shop *shop, const struct coupon *coupon)
{
    return shop->servers ? servers_take_over(shop->servers, coupon)
                         : catalog_put(shop->catalog, coupon);
}

static void patch_stored(struct shop_command *command)
{
    struct coupon_patch *patch = CONTAINER_OF(command, struct coupon_patch, command);
    struct shop *shop = patch->loop->shop;
    enum err e = command->ledger.err;

    if (e == ERR_OK && !command->ledger.coupon_change.found)
        e = ERR_NOT_FOUND;
    if (e == ERR_OK && command->ledger.coupon_change.overtaken) {
        e = patch_take_over(shop, &patch->coupon);
        if (e == ERR_OK) {
            patch_again(patch);
            return;
        }
    }
    patch->outcome = command->ledger.coupon_change.outcome;
    if (e == ERR_OK && patch->outcome == COUPON_CHANGE_OK) {
        e = patch_take_over(shop, &patch->coupon);
        if (e == ERR_OK)
            e = gate_set(shop->gate, patch->coupon_id, &patch->coupon.settings);
        if (e == ERR_OK) {
            patch->push = (struct gate_refresh){ .done = patch_pushed,
                                                 .coupon_ids = &patch->coupon_id,
                                                 .count = 1 };
            gate_refresh(patch->loop->gate, &patch->push);
            return;
        }
    }
    patch_end(patch, e);
}

static void patch_store(struct coupon_patch *patch)
{
    patch->command.done = patch_stored;
    patch->command.ledger.op = LEDGER_COUPON_CHANGE;
    patch->command.ledger.coupon_change = (struct ledger_coupon_change){
        .coupon_id = patch->coupon_id, .change = patch->change, .coupon = &patch->coupon
    };
    shop_command(patch->loop, &patch->command);
}

static void patch_decide(struct coupon_patch *patch)
{
    struct shop *shop = patch->loop->shop;
    const struct coupon *known = catalog_find(shop->catalog, patch->coupon_id);

    if (!known) {
        patch_end(patch, ERR_NOT_FOUND);
        return;
    }
    struct gate_status gate = gate_status(shop->gate, patch->coupon_id);
    bool lowers =
        patch->change.has_quantity && patch->change.total_quantity < known->settings.total_quantity;
    /* Of a store that is away the keeper takes care; settings are SQL's. */
    bool opens = !gate.open && (!shop->servers || coupon_change_is_empty(&patch->change));
    if (patch->rebuild || lowers || opens) {
        patch_hand_over(patch, known);
    } else if (coupon_change_is_empty(&patch->change)) {
        patch->coupon = *known;
        patch_end(patch, ERR_OK);
    } else {
        patch_store(patch);
    }
}

static void patch_begin(struct loop_task *task)
{
    struct coupon_patch *patch = CONTAINER_OF(task, struct coupon_patch, turn.task);

    patch->give_up_ms = loop_now_ms(patch->loop->loop) + HANDOVER_MAX_MS;
    patch_decide(patch);
}

void coupon_patch(struct shop_loop *loop, struct coupon_patch *patch)
{
    patch->loop = loop;
    patch->turn.loop = loop->loop;
    patch->turn.coupon_id = patch->coupon_id;
    patch->turn.task.run = patch_begin;
    shop_turn_take(loop->shop->turns, &patch->turn);
}
