// SPDX-License-Identifier: Apache-2.0
/*
 * A turn's questions, in one step: decide each under its coupon's lock, write the reservations
 * among them to the journal with one write(), then tell. A reservation is told to anybody only
 * when it is journalled; an `issue` needs a record only if a `reserve` joins it.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gate/gate_memory_internal.h"

/* Several questions in a row are mostly for the same coupon: keep its lock. */
struct turn {
    struct memory_gate *gate;
    struct memory_client *client;
    struct memory_drop *locked;
    int64_t now_ms;
    uint64_t mono_ms;
};

static struct memory_drop *turn_lock(struct turn *turn, int64_t coupon_id)
{
    if (turn->locked && turn->locked->coupon_id == coupon_id)
        return turn->locked;
    if (turn->locked)
        pthread_mutex_unlock(&turn->locked->lock);
    turn->locked = memory_drop_find(turn->gate, coupon_id);
    if (turn->locked)
        pthread_mutex_lock(&turn->locked->lock);
    return turn->locked;
}

static void turn_unlock(struct turn *turn)
{
    if (turn->locked)
        pthread_mutex_unlock(&turn->locked->lock);
    turn->locked = NULL;
}

static bool record_put(struct memory_client *client, const struct gate_ask *ask)
{
    if (!MEM_ROOM(client->records, client->record_count, client->record_cap, 64))
        return false;
    client->records[client->record_count++] =
        journal_record(JOURNAL_GRANT, ask->coupon_id, ask->user_id, ask->slot);
    return true;
}

/* The user has an entry. The attempt that made it is granted again; another one joins it while it
 * pends, however often it asks. */
static void decide_known(struct turn *turn, struct gate_ask *ask, struct drop_seat *seat)
{
    struct drop_pending *pending = drop_pending_of(&turn->locked->drop, seat);

    ask->slot = seat->slot;
    ask->pending = pending != NULL;
    if (!pending) {
        ask->outcome = GATE_ALREADY;
        return;
    }
    if (pending->token == ask->token && !pending->joined) {
        ask->outcome = GATE_GRANTED;
        ask->remaining = drop_remaining(&turn->locked->drop);
    } else {
        ask->outcome = GATE_ALREADY;
        pending->token = ask->token;
        pending->joined = true;
    }
    ask->journalling = ask->purpose == GATE_RESERVE && pending->generation == 0;
}

static void decide_new(struct turn *turn, struct gate_ask *ask)
{
    struct memory_drop *target = turn->locked;
    struct drop_pending *pending;

    switch (coupon_window(&target->settings, turn->now_ms)) {
    case COUPON_BEFORE:
        ask->outcome = GATE_NOT_STARTED;
        return;
    case COUPON_AFTER:
        ask->outcome = GATE_EXPIRED;
        return;
    case COUPON_WITHIN:
        break;
    }
    if (target->settings.closed) {
        ask->outcome = GATE_ENDED;
        return;
    }
    enum err e = drop_grant(&target->drop, ask->user_id, ask->token, turn->mono_ms, &pending);
    if (e == ERR_NOT_FOUND) {
        ask->outcome = GATE_SOLD_OUT;
        ask->for_good = target->drop.pending_count == 0;
        return;
    }
    ask->outcome = e == ERR_OK ? GATE_GRANTED : GATE_FAILED;
    if (e != ERR_OK)
        return;
    ask->slot = pending->slot;
    ask->remaining = drop_remaining(&target->drop);
    ask->journalling = ask->purpose == GATE_RESERVE;
}

/* The turn's record of this question could not be written: nobody may be told of it. */
static void undo(struct turn *turn, struct gate_ask *ask)
{
    struct memory_drop *target = turn_lock(turn, ask->coupon_id);
    struct drop_seat *seat = drop_find(&target->drop, ask->user_id);
    struct drop_pending *pending = seat ? drop_pending_of(&target->drop, seat) : NULL;

    if (seat && seat->slot == ask->slot && (!pending || pending->generation))
        return; /* another thread made it durable meanwhile */
    if (ask->outcome == GATE_GRANTED && pending && pending->token == ask->token && !pending->joined)
        drop_remove(&target->drop, seat, true);
    ask->outcome = GATE_FAILED;
}

static void decide(struct turn *turn, struct gate_ask *ask)
{
    struct memory_drop *target = turn_lock(turn, ask->coupon_id);

    ask->durability = GATE_DURABLE_JOURNAL;
    ask->journalling = ask->pending = ask->for_good = ask->store = false;
    if (!target || !target->open || ask->refused || memory_gate_is_shut(turn->gate)) {
        ask->outcome = GATE_CLOSED;
        return;
    }
    ask->epoch = target->epoch;
    struct drop_seat *seat = drop_find(&target->drop, ask->user_id);
    if (seat)
        decide_known(turn, ask, seat);
    else
        decide_new(turn, ask);
    if (ask->journalling && !record_put(turn->client, ask)) {
        ask->journalling = false;
        undo(turn, ask);
    }
}

/* The record is in the journal: the entry holds its generation, unless it has one already. */
static void mark_journalled(struct turn *turn, struct gate_ask *ask, uint32_t generation)
{
    struct memory_drop *target = turn_lock(turn, ask->coupon_id);
    struct drop_seat *seat = drop_find(&target->drop, ask->user_id);
    struct drop_pending *pending = seat ? drop_pending_of(&target->drop, seat) : NULL;

    if (pending && pending->slot == ask->slot && pending->generation == 0)
        pending->generation = generation;
    else
        journal_settle(turn->gate->journal, generation, 1);
}

static void journal_turn(struct turn *turn, struct list *asks)
{
    struct memory_client *client = turn->client;
    struct gate_ask *ask;
    uint32_t generation = 0;

    enum err e =
        journal_append(turn->gate->journal, client->records, client->record_count, &generation);
    client->record_count = 0;
    if (e != ERR_OK)
        LOG(LOG_ERROR, "journal write failed", LOG_CSTR("error", err_name(e)));
    if (e == ERR_CORRUPT)
        gate_memory_shut(&turn->gate->base, true);
    LIST_FOREACH (ask, asks, struct gate_ask, node) {
        if (ask->journalling && e == ERR_OK)
            mark_journalled(turn, ask, generation);
        else if (ask->journalling)
            undo(turn, ask);
    }
    turn_unlock(turn);
}

/* A reservation is told only while the lease is valid: looked at last, after all that may wait. */
static void keep_to_lease(const struct turn *turn, struct gate_ask *ask)
{
    bool tells = ask->purpose == GATE_RESERVE &&
                 (ask->outcome == GATE_GRANTED || (ask->outcome == GATE_ALREADY && ask->pending));

    if (tells && !memory_gate_has_lease(turn->gate)) {
        ask->outcome = GATE_CLOSED;
        ask->store = true;
    }
}

bool gate_memory_decide(struct loop_hook *hook)
{
    struct memory_client *client = CONTAINER_OF(hook, struct memory_client, hook);
    struct turn turn = { .gate = memory_gate_self(client->base.gate), .client = client };
    struct list asks;
    struct gate_ask *ask;

    if (list_empty(&client->asks))
        return false;
    turn.now_ms = clock_wall_ms();
    turn.mono_ms = clock_mono_ns() / 1000000;
    list_init(&asks);
    list_splice(&asks, &client->asks);
    LIST_FOREACH (ask, &asks, struct gate_ask, node)
        decide(&turn, ask);
    turn_unlock(&turn);
    if (client->record_count)
        journal_turn(&turn, &asks);
    while (!list_empty(&asks)) {
        ask = CONTAINER_OF(asks.next, struct gate_ask, node);
        list_remove(&ask->node);
        keep_to_lease(&turn, ask);
        ask->done(ask);
    }
    return true;
}
