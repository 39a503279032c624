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

bool gate_memory_release(struct gate_client *client, const struct gate_entry *entry)
{
    struct memory_drop *drop = memory_drop_lock(client->gate, entry->coupon_id);
    uint32_t generation = 0;
    bool released = false;

    if (!drop)
        return false;
    struct drop_seat *seat = pending_seat(drop, entry);
    const struct drop_pending *pending = seat ? drop_pending_of(&drop->drop, seat) : NULL;
    if (pending && pending->token == entry->token && !pending->joined) {
        generation = pending->generation;
        released = journal_release(client->gate, entry, generation) == ERR_OK;
        if (released)
            drop_remove(&drop->drop, seat, true);
    }
    memory_drop_unlock(drop);
    if (released)
        settle(client->gate, generation);
    return released;
}

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

enum gate_outcome gate_memory_move(struct gate_client *client, const struct gate_entry *entry,
                                   int64_t own_slot, int64_t *ret_slot)
{
    struct memory_drop *drop = memory_drop_lock(client->gate, entry->coupon_id);
    enum gate_outcome outcome = GATE_CLOSED;
    uint32_t settled = 0;

    if (!drop)
        return GATE_CLOSED;
    struct drop_seat *seat = pending_seat(drop, entry);
    if (seat) {
        outcome = own_slot ? move_own(drop, seat, own_slot, &settled)
                           : move_next(client->gate, drop, seat, entry, &settled);
        if (outcome == GATE_GRANTED || outcome == GATE_ALREADY)
            *ret_slot = drop_find(&drop->drop, entry->user_id)->slot;
    }
    memory_drop_unlock(drop);
    settle(client->gate, settled);
    if (outcome == GATE_CLOSED)
        return outcome; /* settled meanwhile */
    LOG(LOG_ERROR, "place moved", LOG_INT("coupon", entry->coupon_id),
        LOG_INT("user", entry->user_id), LOG_INT("from", entry->slot),
        LOG_INT("to", outcome == GATE_GRANTED || outcome == GATE_ALREADY ? *ret_slot : 0));
    return outcome;
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
                                                    .token = pending->token };
    }
    return found;
}

size_t gate_memory_sweep(struct gate_client *client, uint64_t older_than_ms,
                         struct gate_entry *ret_entries, size_t max)
{
    struct memory_gate *gate = memory_gate_self(client->gate);
    struct memory_table *table = atomic_load_explicit(&gate->table, memory_order_acquire);
    uint64_t now_ms = clock_mono_ns() / 1000000;
    size_t found = 0;

    for (size_t i = 0; i < table->size && found < max; i++) {
        struct memory_drop *drop = atomic_load_explicit(&table->cells[i], memory_order_acquire);
        if (!drop)
            continue;
        pthread_mutex_lock(&drop->lock);
        if (drop->built)
            found += sweep_drop(client->gate, drop, now_ms, older_than_ms, ret_entries + found,
                                max - found);
        pthread_mutex_unlock(&drop->lock);
    }
    return found;
}
