// SPDX-License-Identifier: Apache-2.0
/*
 * `issue` and `reserve`, one way for both: user, coupon, room in the ledger's queue, the gate, and
 * then the row. `reserve` answers at the gate's decision, `issue` when the row is stored.
 */
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "shop/shop_internal.h"

void coupon_take_end(struct coupon_take *take, enum coupon_take_outcome outcome)
{
    /* Where the gate is closed and the ledger does not help either, it is the gate that is said. */
    bool is_away = take->gate_closed && outcome == COUPON_TAKE_UNAVAILABLE;

    take->outcome = is_away ? COUPON_TAKE_CLOSED : outcome;
    take->done(take);
}

/* ---- the user's own coupon, as SQL has it ---- */

static void held_fill(struct coupon_take *take, const struct ledger_held *row)
{
    take->slot = row->slot;
    take->user_coupon_id = row->user_coupon_id;
    take->issued_at_ms = row->issued_at_ms;
    take->expires_at_ms = row->expires_at_ms;
    take->held_state = coupon_held_state(row->uses, take->coupon->uses_per_user, row->expires_at_ms,
                                         clock_wall_ms());
}

static void held_read_done(struct ledger_read *read)
{
    struct coupon_take *take = CONTAINER_OF(read, struct coupon_take, read);

    if (read->err != ERR_OK) {
        coupon_take_end(take, COUPON_TAKE_UNAVAILABLE);
    } else if (read->found) {
        held_fill(take, &read->held);
        coupon_take_end(take, COUPON_TAKE_ALREADY);
    } else if (take->gate_closed) {
        bool over = coupon_window(&take->coupon->settings, clock_wall_ms()) == COUPON_AFTER;
        coupon_take_end(take, over ? COUPON_TAKE_EXPIRED : COUPON_TAKE_CLOSED);
    } else {
        /* Confirmed in the gate, and not there: behind the server's back. The proof says so. */
        LOG(LOG_ERROR, "holder without a row", LOG_INT("coupon", take->coupon_id),
            LOG_INT("user", take->user_id), LOG_INT("slot", take->slot));
        take->held_state = HELD_RESERVED;
        coupon_take_end(take, COUPON_TAKE_ALREADY);
    }
}

static void held_read(struct coupon_take *take)
{
    take->read.done = held_read_done;
    take->read.op = LEDGER_READ_HELD;
    take->read.user_id = take->user_id;
    take->read.coupon_id = take->coupon_id;
    ledger_read(take->loop->ledger, &take->read);
}

/* ---- waiting for the row, with a deadline ---- */

/* All waits are equally long: the list is in order of deadlines, one timer serves it. */
static void deadline_next(struct shop_loop *loop)
{
    struct placement *first;

    if (list_empty(&loop->waiting) || loop->deadline.impl)
        return;
    first = CONTAINER_OF(loop->waiting.next, struct placement, node);
    ASSERT(first->take);
    uint64_t now_ms = loop_now_ms(loop->loop);
    uint64_t due_ms = first->take->deadline_ms;
    err_ignore(loop_timer_start(loop->loop, &loop->deadline, due_ms > now_ms ? due_ms - now_ms : 0),
               "without a timer they wait for the ledger alone");
}

static void deadline_passed(struct loop_timer *timer)
{
    struct shop_loop *loop = CONTAINER_OF(timer, struct shop_loop, deadline);

    while (!list_empty(&loop->waiting)) {
        struct placement *placement = CONTAINER_OF(loop->waiting.next, struct placement, node);
        ASSERT(placement->take);
        if (placement->take->deadline_ms > loop_now_ms(loop->loop))
            break;
        placement_leave(placement); /* the place is stored all the same */
    }
    deadline_next(loop);
}

static void wait_for_row(struct coupon_take *take)
{
    struct shop_loop *loop = take->loop;

    take->deadline_ms = loop_now_ms(loop->loop) + (uint64_t)loop->shop->config->request_deadline_ms;
    list_append(&loop->waiting, &take->placement->node);
    loop->deadline.run = deadline_passed;
    deadline_next(loop);
    placement_store(take->placement, false);
}

void coupon_take_stored(struct coupon_take *take, const struct ledger_place *place)
{
    bool mine =
        take->placement->ask.outcome == GATE_GRANTED && place->outcome != LEDGER_PLACE_OTHER;

    take->slot = place->slot;
    take->user_coupon_id = place->user_coupon_id;
    take->issued_at_ms = place->issued_at_ms;
    take->expires_at_ms = place->expires_at_ms;
    take->durability = GATE_DURABLE_LEDGER;
    take->held_state =
        coupon_held_state(0, take->coupon->uses_per_user, place->expires_at_ms, clock_wall_ms());
    coupon_take_end(take, !mine           ? COUPON_TAKE_ALREADY
                          : take->reserve ? COUPON_TAKE_RESERVED
                                          : COUPON_TAKE_ISSUED);
}

/* ---- the gate's answer ---- */

static bool waits_for_row(const struct coupon_take *take, const struct placement *placement)
{
    return placement->ask.purpose == GATE_ISSUE || take->gate_closed;
}

static void gate_granted(struct coupon_take *take, struct placement *placement)
{
    take->remaining = placement->ask.remaining;
    if (take->loop->metrics)
        metrics_add(take->loop->metrics, METRIC_gate_granted, 1);
    if (waits_for_row(take, placement)) {
        wait_for_row(take);
        return;
    }
    take->durability = placement->ask.durability;
    placement->take = NULL;
    placement_store(placement, true);
    coupon_take_end(take, COUPON_TAKE_RESERVED);
}

static void gate_already(struct coupon_take *take, struct placement *placement)
{
    if (placement->ask.pending && waits_for_row(take, placement)) {
        wait_for_row(take);
        return;
    }
    bool pending = placement->ask.pending;
    placement_free(placement);
    if (pending) {
        take->held_state = HELD_RESERVED;
        coupon_take_end(take, COUPON_TAKE_ALREADY);
    } else {
        held_read(take);
    }
}

static enum coupon_take_outcome refusal(enum gate_outcome outcome)
{
    switch (outcome) {
    case GATE_NOT_STARTED:
        return COUPON_TAKE_NOT_STARTED;
    case GATE_EXPIRED:
        return COUPON_TAKE_EXPIRED;
    case GATE_ENDED:
        return COUPON_TAKE_ENDED;
    case GATE_SOLD_OUT:
        return COUPON_TAKE_SOLD_OUT;
    case GATE_GRANTED:
    case GATE_ALREADY:
    case GATE_CLOSED:
    case GATE_FAILED:
    case GATE_UNKNOWN:
        break;
    }
    return COUPON_TAKE_UNAVAILABLE;
}

/* A place nobody may be told of is stored all the same, and told of once it is a row. */
static void gate_closed(struct coupon_take *take, struct placement *placement)
{
    struct gate_ask *ask = &placement->ask;

    take->gate_closed = true;
    if (!ask->store) {
        placement_free(placement);
        held_read(take);
        return;
    }
    ask->outcome = ask->pending ? GATE_ALREADY : GATE_GRANTED;
    if (ask->pending)
        gate_already(take, placement);
    else
        gate_granted(take, placement);
}

static void gate_answered(struct gate_ask *ask)
{
    struct placement *placement = CONTAINER_OF(ask, struct placement, ask);
    struct coupon_take *take = placement->take;

    take->slot = ask->slot;
    if (ask->outcome == GATE_GRANTED) {
        gate_granted(take, placement);
    } else if (ask->outcome == GATE_ALREADY) {
        gate_already(take, placement);
    } else if (ask->outcome == GATE_CLOSED) {
        gate_closed(take, placement);
    } else {
        enum coupon_take_outcome outcome = refusal(ask->outcome);
        placement_free(placement); /* and `ask` with it */
        coupon_take_end(take, outcome);
    }
}

static void end_now(struct loop_task *task)
{
    struct coupon_take *take = CONTAINER_OF(task, struct coupon_take, task);

    coupon_take_end(take, take->outcome);
}

/* Never from inside the call that asked. */
static void end_later(struct coupon_take *take, enum coupon_take_outcome outcome)
{
    take->outcome = outcome;
    take->task.run = end_now;
    loop_post(take->loop->loop, &take->task);
}

static void ask_gate(struct coupon_take *take)
{
    struct shop_loop *loop = take->loop;
    bool ledger_first = loop->shop->config->gate_reserve_durability == CONFIG_DURABILITY_LEDGER;
    enum err e;

    take->coupon = catalog_find(loop->shop->catalog, take->coupon_id);
    if (!take->coupon) {
        end_later(take, COUPON_TAKE_NO_COUPON);
        return;
    }
    e = placement_new(loop, take->coupon_id, &take->placement);
    if (e != ERR_OK) {
        end_later(take, e == ERR_OVERLOADED ? COUPON_TAKE_OVERLOADED : COUPON_TAKE_UNAVAILABLE);
        return;
    }
    take->placement->take = take;
    take->placement->ask = (struct gate_ask){
        .done = gate_answered,
        .coupon_id = take->coupon_id,
        .user_id = take->user_id,
        .purpose = take->reserve && !ledger_first ? GATE_RESERVE : GATE_ISSUE,
        .token = gate_token(loop->shop->gate),
    };
    list_init(&take->placement->ask.node);
    gate_ask(loop->gate, &take->placement->ask);
}

static void user_found(struct user_lookup *lookup, enum err e)
{
    struct coupon_take *take = CONTAINER_OF(lookup, struct coupon_take, lookup);

    if (e == ERR_OK)
        ask_gate(take);
    else
        coupon_take_end(take, e == ERR_NOT_FOUND ? COUPON_TAKE_NO_USER : COUPON_TAKE_UNAVAILABLE);
}

void coupon_take(struct shop_loop *loop, struct coupon_take *take)
{
    take->loop = loop;
    if (user_is_known(loop, take->user_id)) {
        ask_gate(take);
        return;
    }
    take->lookup.done = user_found;
    take->lookup.user_id = take->user_id;
    user_lookup(loop, &take->lookup);
}
