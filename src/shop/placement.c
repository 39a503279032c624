// SPDX-License-Identifier: Apache-2.0
/*
 * Settling is writing, never looking. A granted place is stored, whatever became of the request
 * that asked for it: by its own placement first, by the sweeper later. Only an `issue` that was
 * certainly rolled back, that nobody joined and that nobody was told of, gives its place back.
 */
#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "shop/shop_internal.h"

enum {
    SPARE_MAX = 4096,
    SWEEP_MAX = 1024,
    SWEEP_EVERY_MS = 250,
    SWEEP_MORE_MS = 2,
    OFFER_AGAIN_MS = 50,
    STORE_AGAIN_MS = 100
};

enum err placement_new(struct shop_loop *loop, int64_t coupon_id, struct placement **ret_placement)
{
    struct traffic *traffic = loop->shop->traffic;
    struct traffic_coupon *counter = traffic ? traffic_of(traffic, coupon_id) : NULL;
    struct placement *placement;

    if (traffic && !counter)
        return ERR_NOMEM;
    if (!ledger_room_take(loop->ledger)) {
        if (loop->metrics)
            metrics_add(loop->metrics, METRIC_ledger_overloaded, 1);
        return ERR_OVERLOADED;
    }
    if (!list_empty(&loop->spare)) {
        placement = CONTAINER_OF(loop->spare.next, struct placement, node);
        list_remove(&placement->node);
    } else {
        placement = mem_alloc(sizeof *placement);
        if (!placement) {
            ledger_room_return(loop->ledger);
            return ERR_NOMEM;
        }
        list_init(&placement->node);
        placement->loop = loop;
    }
    placement->take = NULL;
    placement->room = true;
    placement->stored = false;
    placement->traffic = counter;
    if (counter)
        atomic_fetch_add(&counter->placements, 1);
    loop->placements++;
    *ret_placement = placement;
    return ERR_OK;
}

void placement_free(struct placement *placement)
{
    struct shop_loop *loop = placement->loop;

    if (placement->room)
        ledger_room_return(loop->ledger);
    list_remove(&placement->node);
    if (placement->traffic)
        atomic_fetch_sub(&placement->traffic->placements, 1);
    loop->placements--;
    if (loop->placements < SPARE_MAX)
        list_append(&loop->spare, &placement->node);
    else
        mem_free(placement);
}

static struct gate_entry entry_of(const struct placement *placement)
{
    return (struct gate_entry){ .coupon_id = placement->ask.coupon_id,
                                .user_id = placement->ask.user_id,
                                .slot = placement->ask.slot,
                                .token = placement->ask.token,
                                .epoch = placement->ask.epoch };
}

static void end(struct placement *placement, enum coupon_take_outcome outcome)
{
    struct coupon_take *take = placement->take;

    placement_free(placement);
    if (take)
        coupon_take_end(take, outcome);
}

void placement_leave(struct placement *placement)
{
    struct coupon_take *take = TAKE(placement->take);

    list_remove(&placement->node);
    coupon_take_end(take, COUPON_TAKE_UNAVAILABLE);
}

static void store_again(struct placement *placement)
{
    if (ledger_room_take(placement->loop->ledger)) {
        placement->room = true;
        placement_store(placement, placement->command.unawaited);
    } else {
        end(placement, COUPON_TAKE_UNAVAILABLE); /* the sweeper stores it */
    }
}

/* ---- a place of an epoch that is over ---- */

static void moved(struct gate_move *move);

static void offer(struct placement *placement)
{
    placement->move =
        (struct gate_move){ .done = moved, .entry = entry_of(placement), .offer = true };
    gate_move(placement->loop->gate, &placement->move);
}

static void offer_again(struct loop_timer *timer)
{
    offer(CONTAINER_OF(timer, struct placement, again));
}

/* The new gate is not open yet. Whoever waits for this place waits with it. */
static void offer_later(struct placement *placement)
{
    placement->again.run = offer_again;
    if (loop_timer_start(placement->loop->loop, &placement->again, OFFER_AGAIN_MS) != ERR_OK)
        end(placement, COUPON_TAKE_UNAVAILABLE);
}

void placement_offer(struct shop_loop *loop, const struct gate_entry *entry)
{
    struct placement *placement;

    if (placement_new(loop, entry->coupon_id, &placement) != ERR_OK) {
        LOG(LOG_ERROR, "reservation lost with its epoch", LOG_INT("coupon", entry->coupon_id),
            LOG_INT("user", entry->user_id), LOG_INT("slot", entry->slot));
        return;
    }
    placement->ask = (struct gate_ask){ .coupon_id = entry->coupon_id,
                                        .user_id = entry->user_id,
                                        .slot = entry->slot,
                                        .epoch = entry->epoch,
                                        .token = gate_token(loop->shop->gate),
                                        .purpose = GATE_RESERVE,
                                        .outcome = GATE_ALREADY };
    offer(placement);
}

static void moved(struct gate_move *move)
{
    struct placement *placement = CONTAINER_OF(move, struct placement, move);

    switch (move->outcome) {
    case GATE_GRANTED:
        placement->ask.slot = move->entry.slot;
        placement->ask.epoch = move->entry.epoch;
        store_again(placement);
        return;
    case GATE_ALREADY:
        placement->ask.slot = move->entry.slot;
        placement->ask.epoch = move->entry.epoch;
        placement->ask.outcome = GATE_ALREADY;
        if (move->pending) {
            store_again(placement);
            return;
        }
        break; /* stored meanwhile: asked again, that is what is answered */
    case GATE_SOLD_OUT:
        end(placement, COUPON_TAKE_SOLD_OUT);
        return;
    case GATE_CLOSED:
    case GATE_UNKNOWN:
        if (move->offer && !placement->loop->draining) {
            offer_later(placement);
            return;
        }
        break;
    case GATE_NOT_STARTED:
    case GATE_EXPIRED:
    case GATE_ENDED:
    case GATE_FAILED:
        break;
    }
    end(placement, COUPON_TAKE_UNAVAILABLE);
}

/* The slot is another's row: an alarm, and the next free place for the loser. */
static void settle_conflict(struct placement *placement)
{
    struct shop_loop *loop = placement->loop;
    struct gate_entry entry = entry_of(placement);

    LOG(LOG_ERROR, "place conflict", LOG_INT("coupon", entry.coupon_id),
        LOG_INT("user", entry.user_id), LOG_INT("slot", entry.slot));
    if (loop->metrics)
        metrics_add(loop->metrics, METRIC_gate_moved, 1);
    placement->move = (struct gate_move){ .done = moved, .entry = entry };
    gate_move(loop->gate, &placement->move);
}

static void moved_to_own(struct gate_move *move)
{
    struct placement *placement = CONTAINER_OF(move, struct placement, move);
    struct coupon_take *take = placement->take;

    if (take)
        coupon_take_stored(take, &placement->command.place);
    placement_free(placement);
}

static void settle_stored(struct placement *placement)
{
    struct ledger_place *place = &placement->command.place;
    struct gate_entry entry = entry_of(placement);
    struct coupon_take *take = placement->take;
    struct shop_loop *loop = placement->loop;

    if (place->outcome == LEDGER_PLACE_CONFLICT) {
        settle_conflict(placement);
        return;
    }
    if (place->outcome == LEDGER_PLACE_STALE) {
        offer(placement);
        return;
    }
    if (place->outcome == LEDGER_PLACE_OTHER) {
        placement->move =
            (struct gate_move){ .done = moved_to_own, .entry = entry, .own_slot = place->slot };
        gate_move(loop->gate, &placement->move);
        return;
    }
    gate_confirm(loop->gate, &entry);
    if (take)
        coupon_take_stored(take, place);
    placement_free(placement);
}

static bool store_later(struct placement *placement);

static void store_told(struct loop_timer *timer)
{
    struct placement *placement = CONTAINER_OF(timer, struct placement, again);

    if (ledger_room_take(placement->loop->ledger)) {
        placement->room = true;
        placement_store(placement, true);
    } else if (!store_later(placement)) {
        end(placement, COUPON_TAKE_UNAVAILABLE);
    }
}

static bool store_later(struct placement *placement)
{
    placement->again.run = store_told;
    return loop_timer_start(placement->loop->loop, &placement->again, STORE_AGAIN_MS) == ERR_OK;
}

static void place_done(struct ledger_command *command)
{
    struct placement *placement = CONTAINER_OF(command, struct placement, command);
    struct gate_entry entry = entry_of(placement);

    if (command->err == ERR_OK) {
        settle_stored(placement);
        return;
    }
    /* A gate in a store may be rewound and not have it any more: what was told stays in these hands
     * until it is stored, and a hand-in waits for it. */
    if (placement->ask.purpose == GATE_RESERVE && placement->ask.outcome == GATE_GRANTED &&
        gate_is_shared(placement->loop->shop->gate) && store_later(placement)) {
        if (placement->take)
            placement_leave(placement);
        return;
    }
    /* Certainly not stored. What was told, or joined, stays pending: the sweeper writes it again.
     */
    if (command->err != ERR_UNCERTAIN && placement->ask.purpose == GATE_ISSUE &&
        placement->ask.outcome == GATE_GRANTED)
        gate_release(placement->loop->gate, &entry);
    end(placement, COUPON_TAKE_UNAVAILABLE);
}

void placement_store(struct placement *placement, bool unawaited)
{
    struct ledger_command *command = &placement->command;

    ASSERT(placement->room);
    placement->room = false;
    *command = (struct ledger_command){
        .done = place_done,
        .op = LEDGER_PLACE,
        .unawaited = unawaited,
        .place = { .coupon_id = placement->ask.coupon_id,
                   .user_id = placement->ask.user_id,
                   .slot = placement->ask.slot,
                   .epoch = placement->ask.epoch,
                   .fresh = placement->ask.outcome == GATE_GRANTED && !placement->stored }
    };
    placement->stored = true;
    list_init(&command->node);
    ledger_submit(placement->loop->ledger, command);
}

/* ---- the sweeper ---- */

struct sweeper {
    struct gate_sweep gate;
    struct shop_loop *loop;
    size_t stored; /* in this round */
    struct gate_entry entries[64];
};

/* A piece at a time, so that other work comes in between: after a kill there may be many. */
static void sweep_end(struct sweeper *sweeper)
{
    struct shop_loop *loop = sweeper->loop;

    loop->sweeping = false;
    if (sweeper->stored && loop->metrics)
        metrics_add(loop->metrics, METRIC_gate_swept, sweeper->stored);
    uint64_t after_ms = sweeper->stored >= SWEEP_MAX ? SWEEP_MORE_MS : SWEEP_EVERY_MS;
    if (!loop->draining)
        err_ignore(loop_timer_start(loop->loop, &loop->sweep, after_ms), "its slot is there");
}

static void swept(struct gate_sweep *sweep)
{
    struct sweeper *sweeper = CONTAINER_OF(sweep, struct sweeper, gate);

    for (size_t i = 0; i < sweep->count; i++) {
        struct placement *placement;
        if (placement_new(sweeper->loop, sweep->entries[i].coupon_id, &placement) != ERR_OK) {
            sweep_end(sweeper); /* swept again later */
            return;
        }
        placement->ask = (struct gate_ask){ .coupon_id = sweep->entries[i].coupon_id,
                                            .user_id = sweep->entries[i].user_id,
                                            .slot = sweep->entries[i].slot,
                                            .token = sweep->entries[i].token,
                                            .epoch = sweep->entries[i].epoch,
                                            .purpose = GATE_RESERVE,
                                            .outcome = GATE_ALREADY };
        placement_store(placement, true);
        sweeper->stored++;
    }
    if (sweep->count == sweep->room && sweeper->stored < SWEEP_MAX && !sweeper->loop->draining)
        gate_sweep(sweeper->loop->gate, sweep);
    else
        sweep_end(sweeper);
}

static void sweep_again(struct loop_timer *timer)
{
    struct shop_loop *loop = CONTAINER_OF(timer, struct shop_loop, sweep);
    struct sweeper *sweeper = loop->sweeper;

    sweeper->stored = 0;
    sweeper->gate =
        (struct gate_sweep){ .done = swept,
                             .older_than_ms = (uint64_t)loop->shop->config->gate_sweep_after_ms,
                             .entries = sweeper->entries,
                             .room = ARRAY_COUNT(sweeper->entries) };
    loop->sweeping = true;
    gate_sweep(loop->gate, &sweeper->gate);
}

enum err sweeper_start(struct shop_loop *loop)
{
    loop->sweeper = mem_alloc(sizeof *loop->sweeper);
    if (!loop->sweeper)
        return ERR_NOMEM;
    loop->sweeper->loop = loop;
    loop->sweep.run = sweep_again;
    return loop_timer_start(loop->loop, &loop->sweep, 0);
}

void sweeper_fini(struct shop_loop *loop)
{
    loop->sweeper = mem_free(loop->sweeper);
}
