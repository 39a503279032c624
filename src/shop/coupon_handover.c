// SPDX-License-Identifier: Apache-2.0
#include "shop/coupon_handover.h"

#include "base/log.h"
#include "base/mem.h"
#include "shop/shop_internal.h"

enum { AGAIN_MS = 5, AWAY_AGAIN_MS = 100 };

static void handover_go(struct handover *handover, enum handover_step step);

static struct shop *shop_of(const struct handover *handover)
{
    return handover->loop->shop;
}

static bool is_shared(const struct handover *handover)
{
    return shop_of(handover)->servers != NULL;
}

static void end(struct handover *handover, enum err e)
{
    handover->err = e;
    handover->places = mem_free(handover->places);
    handover->losers = mem_free(handover->losers);
    handover->done(handover);
}

static bool is_too_late(const struct handover *handover)
{
    return handover->loop->draining || loop_now_ms(handover->loop->loop) >= handover->give_up_ms;
}

static void again(struct loop_timer *timer)
{
    struct handover *handover = CONTAINER_OF(timer, struct handover, timer);

    handover_go(handover, handover->step);
}

/* Where nothing of the new life has begun, and only this server had closed it, the old one goes on.
 */
static void give_up(struct handover *handover)
{
    if (!is_shared(handover) && handover->step < HANDOVER_BUILD)
        gate_reopen(shop_of(handover)->gate, handover->coupon_id);
    end(handover, ERR_UNAVAILABLE);
}

static void go_later(struct handover *handover, enum handover_step step, uint64_t after_ms)
{
    handover->step = step;
    handover->timer.run = again;
    if (is_too_late(handover) ||
        loop_timer_start(handover->loop->loop, &handover->timer, after_ms) != ERR_OK)
        give_up(handover);
}

/* Another server was faster, or has raised the epoch since: its gate is the one. */
static void overtaken(struct handover *handover, const struct coupon *coupon)
{
    handover->overtaken = true;
    end(handover, servers_take_over(shop_of(handover)->servers, coupon));
}

/* ---- MARK, WAIT ---- */

static void marked(struct shop_command *command)
{
    struct handover *handover = CONTAINER_OF(command, struct handover, command);
    struct ledger_coupon_closing *closing = &command->ledger.coupon_closing;

    if (command->ledger.err != ERR_OK)
        go_later(handover, HANDOVER_MARK, AWAY_AGAIN_MS);
    else if (!closing->found)
        end(handover, ERR_NOT_FOUND);
    else if (handover->coupon.epoch != handover->epoch)
        overtaken(handover, &handover->coupon);
    else
        handover_go(handover, HANDOVER_WAIT);
}

static void mark(struct handover *handover)
{
    handover->command =
        (struct shop_command){ .done = marked,
                               .ledger = { .op = LEDGER_COUPON_CLOSING,
                                           .coupon_closing = { .coupon_id = handover->coupon_id,
                                                               .epoch_expected = handover->epoch,
                                                               .coupon = &handover->coupon } } };
    shop_command(handover->loop, &handover->command);
}

static enum handover_step after_closing(const struct handover *handover)
{
    return gate_is_shared(shop_of(handover)->gate) ? HANDOVER_SEAL : HANDOVER_DRAIN;
}

static void looked(struct servers_refresh *refresh, enum err e)
{
    struct handover *handover = CONTAINER_OF(refresh, struct handover, refresh);
    struct servers *servers = shop_of(handover)->servers;
    const struct coupon *now = catalog_find(shop_of(handover)->catalog, handover->coupon_id);

    if (e != ERR_OK)
        go_later(handover, HANDOVER_WAIT, AWAY_AGAIN_MS);
    else if (now && now->epoch > handover->epoch)
        overtaken(handover, now);
    else if (servers_hand_in_is_complete(servers, handover->coupon_id, handover->epoch))
        handover_go(handover, after_closing(handover));
    else
        go_later(handover, HANDOVER_WAIT, AGAIN_MS);
}

static void look(struct handover *handover)
{
    handover->refresh.done = looked;
    servers_refresh(handover->loop, &handover->refresh);
}

/* ---- DRAIN ---- */

/* Closed: what was granted before is on its way to SQL. */
static void drain(struct handover *handover)
{
    if (gate_status(shop_of(handover)->gate, handover->coupon_id).pending == 0)
        handover_go(handover, HANDOVER_RAISE);
    else
        go_later(handover, HANDOVER_DRAIN, AGAIN_MS);
}

/* ---- SEAL, SWEEP ---- */

static void seal_work(struct loop_work *work)
{
    struct handover *handover = CONTAINER_OF(work, struct handover, work);

    handover->err = gate_seal(shop_of(handover)->gate, handover->coupon_id, handover->epoch);
}

static void sealed(struct loop_work *work)
{
    struct handover *handover = CONTAINER_OF(work, struct handover, work);

    switch (handover->err) {
    case ERR_OK:
        handover->sealed = true;
        handover_go(handover, HANDOVER_SWEEP);
        return;
    case ERR_NOT_FOUND: /* nothing there to be swept */
    case ERR_CONFLICT:  /* of a life that SQL does not know: only the rows count */
        handover_go(handover, HANDOVER_RAISE);
        return;
    default:
        go_later(handover, HANDOVER_SEAL, AWAY_AGAIN_MS);
    }
}

static void work_start(struct handover *handover, void (*work)(struct loop_work *work),
                       void (*done)(struct loop_work *work))
{
    handover->work.work = work;
    handover->work.done = done;
    if (loop_work_start(handover->loop->loop, &handover->work) != ERR_OK)
        go_later(handover, handover->step, AWAY_AGAIN_MS);
}

/* Its number is another's: it is offered to the new gate, which has another for it, if any. */
static void note_loser(struct handover *handover, const struct gate_entry *entry)
{
    if (!MEM_ROOM(handover->losers, handover->loser_count, handover->loser_room, 16))
        return; /* the alarm stands */
    handover->losers[handover->loser_count++] = *entry;
}

static void place_stored(struct ledger_command *command)
{
    struct handover_place *place = CONTAINER_OF(command, struct handover_place, command);
    struct handover *handover = place->handover;
    struct gate_client *gate = handover->loop->gate;

    if (command->err != ERR_OK) {
        handover->not_stored = true;
    } else {
        if (command->place.outcome == LEDGER_PLACE_CONFLICT)
            LOG(LOG_ERROR, "place conflict", LOG_INT("coupon", place->entry.coupon_id),
                LOG_INT("user", place->entry.user_id), LOG_INT("slot", place->entry.slot));
        if (command->place.outcome == LEDGER_PLACE_CONFLICT ||
            command->place.outcome == LEDGER_PLACE_STALE)
            note_loser(handover, &place->entry);
        /* Whatever it is, it is settled: the next sweep is for the others. */
        gate_confirm(gate, &place->entry);
    }
    if (--handover->storing > 0)
        return;
    if (handover->not_stored)
        go_later(handover, HANDOVER_SWEEP, AWAY_AGAIN_MS);
    else
        handover_go(handover, HANDOVER_SWEEP);
}

static void store_swept(struct handover *handover)
{
    struct ledger_client *ledger = handover->loop->ledger;

    handover->storing = 0;
    handover->not_stored = false;
    for (size_t i = 0; i < handover->sweep.count && ledger_room_take(ledger); i++) {
        struct handover_place *place = &handover->places[i];
        place->handover = handover;
        place->entry = handover->swept[i];
        place->command = (struct ledger_command){ .done = place_stored,
                                                  .op = LEDGER_PLACE,
                                                  .place = { .coupon_id = place->entry.coupon_id,
                                                             .user_id = place->entry.user_id,
                                                             .slot = place->entry.slot,
                                                             .epoch = place->entry.epoch } };
        list_init(&place->command.node);
        handover->storing++;
    }
    if (handover->storing == 0) {
        go_later(handover, HANDOVER_SWEEP, AWAY_AGAIN_MS); /* may be its end */
        return;
    }
    for (size_t i = 0, count = handover->storing; i < count; i++)
        ledger_submit(ledger, &handover->places[i].command);
}

static void swept(struct gate_sweep *sweep)
{
    struct handover *handover = CONTAINER_OF(sweep, struct handover, sweep);

    if (sweep->count > 0)
        store_swept(handover);
    else if (sweep->err == ERR_OK || sweep->err == ERR_CORRUPT)
        handover_go(handover, HANDOVER_RAISE);
    else /* away: once more from the beginning, it may not be the same when it is back */
        go_later(handover, HANDOVER_SEAL, AWAY_AGAIN_MS);
}

static void sweep(struct handover *handover)
{
    if (!handover->places)
        handover->places = mem_alloc(HANDOVER_SWEPT_AT_ONCE * sizeof *handover->places);
    if (!handover->places) {
        go_later(handover, HANDOVER_SWEEP, AWAY_AGAIN_MS);
        return;
    }
    handover->sweep = (struct gate_sweep){ .done = swept,
                                           .coupon_id = handover->coupon_id,
                                           .entries = handover->swept,
                                           .room = HANDOVER_SWEPT_AT_ONCE };
    gate_sweep(handover->loop->gate, &handover->sweep);
}

/* ---- RAISE ---- */

static void raise_plainly(struct handover *handover);

static void raised(struct shop_command *command)
{
    struct handover *handover = CONTAINER_OF(command, struct handover, command);
    bool changes = command->ledger.op == LEDGER_COUPON_CHANGE;
    enum err e = command->ledger.err;
    bool found = changes ? command->ledger.coupon_change.found : command->ledger.coupon_epoch.found;

    if (e != ERR_OK) { /* with ERR_UNCERTAIN it may be raised: the keeper goes on from there */
        if (e == ERR_UNCERTAIN || is_shared(handover))
            end(handover, e);
        else
            give_up(handover);
        return;
    }
    if (!found) {
        end(handover, ERR_NOT_FOUND);
        return;
    }
    if (changes ? command->ledger.coupon_change.overtaken
                : command->ledger.coupon_epoch.overtaken) {
        overtaken(handover, &handover->coupon);
        return;
    }
    if (changes) {
        handover->outcome = command->ledger.coupon_change.outcome;
        if (handover->outcome != COUPON_CHANGE_OK && is_shared(handover)) {
            raise_plainly(handover); /* it is closed for everybody: on it goes, as it was */
            return;
        }
        if (handover->outcome != COUPON_CHANGE_OK) {
            gate_reopen(shop_of(handover)->gate, handover->coupon_id);
            end(handover, ERR_OK);
            return;
        }
    }
    handover_go(handover, HANDOVER_BUILD);
}

/* Where there are others, only the life that was closed ends; 0: whichever it is. */
static int64_t epoch_expected(const struct handover *handover)
{
    return is_shared(handover) ? handover->epoch : 0;
}

/* Above what the store has seen, which SQL may not know of. */
static int64_t epoch_min(const struct handover *handover)
{
    return gate_status(shop_of(handover)->gate, handover->coupon_id).store_epoch + 1;
}

static void raise_plainly(struct handover *handover)
{
    handover->command = (struct shop_command){
        .done = raised,
        .ledger = { .op = LEDGER_COUPON_EPOCH,
                    .coupon_epoch = { .coupon_id = handover->coupon_id,
                                      .epoch_expected = epoch_expected(handover),
                                      .epoch_min = epoch_min(handover),
                                      .coupon = &handover->coupon } }
    };
    shop_command(handover->loop, &handover->command);
}

static void raise_changed(struct handover *handover)
{
    handover->command = (struct shop_command){
        .done = raised,
        .ledger = { .op = LEDGER_COUPON_CHANGE,
                    .coupon_change = { .coupon_id = handover->coupon_id,
                                       .change = handover->change,
                                       .raise_epoch = true,
                                       .epoch_expected = epoch_expected(handover),
                                       .epoch_min = epoch_min(handover),
                                       .coupon = &handover->coupon } }
    };
    shop_command(handover->loop, &handover->command);
}

/* ---- BUILD, CHECK ---- */

static void build_work(struct loop_work *work)
{
    struct handover *handover = CONTAINER_OF(work, struct handover, work);
    int64_t holders;

    handover->err =
        coupon_rebuild(shop_of(handover), handover->coupon_id, &handover->coupon, &holders);
}

static void built(struct loop_work *work)
{
    struct handover *handover = CONTAINER_OF(work, struct handover, work);

    if (handover->loop->metrics)
        metrics_add(handover->loop->metrics, METRIC_gate_rebuilds, 1);
    if (handover->err == ERR_CONFLICT && is_shared(handover)) /* of a later life by now */
        handover_go(handover, HANDOVER_CHECK);
    else if (handover->err != ERR_OK) /* the keeper goes on */
        end(handover, ERR_UNAVAILABLE);
    else if (is_shared(handover) && gate_is_shared(shop_of(handover)->gate))
        handover_go(handover, HANDOVER_CHECK); /* which brings it, as SQL has it then */
    else if (catalog_put(shop_of(handover)->catalog, &handover->coupon) != ERR_OK)
        end(handover, ERR_NOMEM);
    else
        handover_go(handover, HANDOVER_CHECK);
}

static void offer_losers(struct handover *handover)
{
    for (size_t i = 0; i < handover->loser_count; i++)
        placement_offer(handover->loop, &handover->losers[i]);
}

static void checked(struct servers_refresh *refresh, enum err e)
{
    struct handover *handover = CONTAINER_OF(refresh, struct handover, refresh);
    const struct coupon *now = catalog_find(shop_of(handover)->catalog, handover->coupon_id);
    struct gate *gate = shop_of(handover)->gate;

    /* Nothing is told of the new gate before: meanwhile it may have been closed again. */
    if (e == ERR_OK && gate_is_shared(gate) && now && now->epoch >= handover->coupon.epoch)
        e = servers_take_over(shop_of(handover)->servers, now);
    offer_losers(handover);
    end(handover, e == ERR_OK ? ERR_OK : ERR_UNAVAILABLE);
}

static void check(struct handover *handover)
{
    if (!is_shared(handover)) {
        offer_losers(handover);
        end(handover, ERR_OK);
        return;
    }
    handover->refresh.done = checked;
    servers_refresh(handover->loop, &handover->refresh);
}

/* ---- the mover ---- */

static void handover_go(struct handover *handover, enum handover_step step)
{
    handover->step = step;
    switch (step) {
    case HANDOVER_MARK:
        mark(handover);
        return;
    case HANDOVER_WAIT:
        look(handover);
        return;
    case HANDOVER_DRAIN:
        drain(handover);
        return;
    case HANDOVER_SEAL:
        work_start(handover, seal_work, sealed);
        return;
    case HANDOVER_SWEEP:
        sweep(handover);
        return;
    case HANDOVER_RAISE:
        if (coupon_change_is_empty(&handover->change))
            raise_plainly(handover);
        else
            raise_changed(handover);
        return;
    case HANDOVER_BUILD:
        work_start(handover, build_work, built);
        return;
    case HANDOVER_CHECK:
        check(handover);
        return;
    }
}

void handover_start(struct handover *handover)
{
    gate_close(shop_of(handover)->gate, handover->coupon_id);
    handover_go(handover, is_shared(handover) ? HANDOVER_MARK : after_closing(handover));
}
