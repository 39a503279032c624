// SPDX-License-Identifier: Apache-2.0
/* What becomes of a pending entry: confirmed, released, moved, or swept up to be stored again. */
#include "base/clock.h"
#include "base/log.h"
#include "gate/gate_memory_internal.h"

/* The entry's seat while it is pending with that slot. */
static struct drop_seat *pending_seat(struct memory_drop *drop, const struct gate_entry *entry)
{
    struct drop_seat *seat = drop_find(&drop->drop, entry->user_id);

    return seat && seat->pending && seat->slot == entry->slot ? seat : NULL;
}

static void settle(struct gate *gate, uint32_t generation)
{
    if (generation)
        journal_settle(memory_gate_self(gate)->journal, generation, 1);
}

void gate_memory_confirm(struct gate_client *client, const struct gate_entry *entry)
{
    struct memory_drop *drop = memory_drop_lock(client->gate, entry->coupon_id);
    uint32_t generation = 0;

    if (!drop)
        return;
    struct drop_seat *seat = pending_seat(drop, entry);
    if (seat) {
        generation = drop_pending_of(&drop->drop, seat)->generation;
        drop_confirm(&drop->drop, seat);
    }
    memory_drop_unlock(drop);
    settle(client->gate, generation);
}

/* Journalled before the number is free again. ERR_OK also where there is nothing to undo. */
static enum err journal_release(struct gate *gate, const struct gate_entry *entry,
                                uint32_t generation)
{
    struct journal_record record =
        journal_record(JOURNAL_RELEASE, entry->coupon_id, entry->user_id, entry->slot);
    uint32_t written;

    if (generation == 0)
        return ERR_OK;
    return journal_append(memory_gate_self(gate)->journal, &record, 1, &written);
}

void gate_memory_release(struct gate_client *client, const struct gate_entry *entry)
{
    struct memory_drop *drop = memory_drop_lock(client->gate, entry->coupon_id);
    uint32_t generation = 0;
    bool released = false;

    if (!drop)
        return;
    struct drop_seat *seat = pending_seat(drop, entry);
    const struct drop_pending *pending = seat ? drop_pending_of(&drop->drop, seat) : NULL;
    if (pending && pending->token == entry->token && !pending->joined &&
        drop->epoch == entry->epoch) {
        generation = pending->generation;
        released = journal_release(client->gate, entry, generation) == ERR_OK;
        if (released)
            drop_remove(&drop->drop, seat, true);
    }
    memory_drop_unlock(drop);
    if (!released)
        return;
    settle(client->gate, generation);
    atomic_fetch_add_explicit(&memory_gate_self(client->gate)->released, 1, memory_order_relaxed);
}

/* ---- moving ---- */

static enum gate_outcome move_own(struct memory_drop *drop, struct drop_seat *seat,
                                  int64_t own_slot, uint32_t *ret_settled)
{
    uint32_t generation = drop_pending_of(&drop->drop, seat)->generation;

    if (drop_take_own(&drop->drop, seat, own_slot) != ERR_OK)
        return GATE_FAILED;
    *ret_settled = generation;
    return GATE_ALREADY;
}

/* To the next free place, journalled like the grant it replaces. */
static enum gate_outcome move_next(struct gate *gate, struct memory_drop *drop,
                                   struct drop_seat *seat, const struct gate_entry *entry,
                                   uint32_t *ret_settled)
{
    struct drop_pending *pending = drop_pending_of(&drop->drop, seat);
    uint32_t old = pending->generation;

    if (drop_move(&drop->drop, seat) == ERR_NOT_FOUND) {
        if (journal_release(gate, entry, old) != ERR_OK)
            return GATE_FAILED;
        drop_remove(&drop->drop, seat, false);
        *ret_settled = old;
        return GATE_SOLD_OUT;
    }
    if (old) {
        struct journal_record record =
            journal_record(JOURNAL_GRANT, entry->coupon_id, entry->user_id, pending->slot);
        uint32_t generation;
        if (journal_append(memory_gate_self(gate)->journal, &record, 1, &generation) == ERR_OK) {
            pending->generation = generation;
            *ret_settled = old;
        }
    }
    return GATE_GRANTED;
}

/* One that lost its gate: the place it had, if nobody has it, else the next free one. */
static enum gate_outcome take_offer(struct gate *gate, struct memory_drop *drop,
                                    struct gate_move *move)
{
    const struct gate_entry *entry = &move->entry;
    struct drop_seat *seat = drop_find(&drop->drop, entry->user_id);
    struct drop_pending *pending;

    if (seat) {
        pending = drop_pending_of(&drop->drop, seat);
        move->pending = pending != NULL;
        if (pending)
            pending->joined = true;
        move->entry.slot = seat->slot;
        return GATE_ALREADY;
    }
    enum err e = drop_grant_at(&drop->drop, entry->user_id, entry->slot, entry->token,
                               clock_mono_ns() / 1000000, &pending);
    if (e != ERR_OK)
        return e == ERR_NOT_FOUND ? GATE_SOLD_OUT : GATE_FAILED;
    struct journal_record record =
        journal_record(JOURNAL_GRANT, entry->coupon_id, entry->user_id, pending->slot);
    if (journal_append(memory_gate_self(gate)->journal, &record, 1, &pending->generation) !=
        ERR_OK) {
        drop_remove(&drop->drop, drop_find(&drop->drop, entry->user_id), true);
        return GATE_FAILED;
    }
    pending->joined = true; /* somebody may have been told of it */
    move->pending = true;
    move->entry.slot = pending->slot;
    return GATE_GRANTED;
}

static enum gate_outcome move_seat(struct gate *gate, struct memory_drop *drop,
                                   struct gate_move *move, uint32_t *ret_settled)
{
    struct drop_seat *seat = pending_seat(drop, &move->entry);

    if (!seat)
        return GATE_CLOSED; /* settled meanwhile */
    enum gate_outcome outcome = move->own_slot
                                    ? move_own(drop, seat, move->own_slot, ret_settled)
                                    : move_next(gate, drop, seat, &move->entry, ret_settled);
    if (outcome == GATE_GRANTED || outcome == GATE_ALREADY)
        move->entry.slot = drop_find(&drop->drop, move->entry.user_id)->slot;
    move->pending = outcome == GATE_GRANTED;
    return outcome;
}

static void move_now(struct gate *gate, struct gate_move *move)
{
    struct memory_drop *drop = memory_drop_lock(gate, move->entry.coupon_id);
    int64_t from = move->entry.slot;
    uint32_t settled = 0;

    move->outcome = GATE_CLOSED;
    move->pending = false;
    if (!drop)
        return;
    if (!move->offer)
        move->outcome = move_seat(gate, drop, move, &settled);
    else if (drop->open && !memory_gate_is_shut(memory_gate_self(gate)))
        move->outcome = take_offer(gate, drop, move);
    move->entry.epoch = drop->epoch;
    memory_drop_unlock(drop);
    settle(gate, settled);
    if (move->outcome != GATE_CLOSED)
        LOG(LOG_ERROR, move->offer ? "place of an older epoch" : "place moved",
            LOG_INT("coupon", move->entry.coupon_id), LOG_INT("user", move->entry.user_id),
            LOG_INT("from", from),
            LOG_INT("to", move->outcome == GATE_SOLD_OUT ? 0 : move->entry.slot));
}

static void move_done(struct loop_task *task)
{
    struct gate_move *move = CONTAINER_OF(task, struct gate_move, task);

    move->done(move);
}

void gate_memory_move(struct gate_client *base, struct gate_move *move)
{
    move_now(base->gate, move);
    move->task.run = move_done;
    loop_post(CONTAINER_OF(base, struct memory_client, base)->loop, &move->task);
}

/* ---- sweeping ---- */

static size_t sweep_drop(struct gate *gate, struct memory_drop *target, uint64_t now_ms,
                         uint64_t older_than_ms, struct gate_entry *ret_entries, size_t max)
{
    struct drop *drop = &target->drop;
    size_t found = 0;

    for (size_t i = 0; i < drop->pending_used && found < max && drop->pending_count; i++) {
        struct drop_pending *pending = &drop->pending[i];
        if (!pending->slot || now_ms < pending->since_ms ||
            now_ms - pending->since_ms < older_than_ms)
            continue;
        pending->since_ms = now_ms;
        pending->joined = true;
        pending->token = gate_token(gate);
        ret_entries[found++] = (struct gate_entry){ .coupon_id = target->coupon_id,
                                                    .user_id = pending->user_id,
                                                    .slot = pending->slot,
                                                    .token = pending->token,
                                                    .epoch = target->epoch };
    }
    return found;
}

static void sweep_all(struct memory_gate *gate, struct gate_sweep *sweep)
{
    struct memory_table *table = atomic_load_explicit(&gate->table, memory_order_acquire);
    uint64_t now_ms = clock_mono_ns() / 1000000;

    sweep->count = 0;
    for (size_t i = 0; i < table->size && sweep->count < sweep->room; i++) {
        struct memory_drop *drop = atomic_load_explicit(&table->cells[i], memory_order_acquire);
        if (!drop || (sweep->coupon_id && sweep->coupon_id != drop->coupon_id))
            continue;
        pthread_mutex_lock(&drop->lock);
        if (drop->built)
            sweep->count += sweep_drop(&gate->base, drop, now_ms, sweep->older_than_ms,
                                       sweep->entries + sweep->count, sweep->room - sweep->count);
        pthread_mutex_unlock(&drop->lock);
    }
}

static void sweep_done(struct loop_task *task)
{
    struct gate_sweep *sweep = CONTAINER_OF(task, struct gate_sweep, task);

    sweep->done(sweep);
}

void gate_memory_sweep(struct gate_client *base, struct gate_sweep *sweep)
{
    sweep_all(memory_gate_self(base->gate), sweep);
    sweep->err = ERR_OK;
    sweep->task.run = sweep_done;
    loop_post(CONTAINER_OF(base, struct memory_client, base)->loop, &sweep->task);
}
