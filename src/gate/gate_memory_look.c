// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "gate/gate_memory_internal.h"

uint64_t gate_memory_oldest_pending_ms(struct gate *gate, int64_t coupon_id)
{
    struct memory_drop *target = memory_drop_lock(gate, coupon_id);
    uint64_t now_ms = clock_mono_ns() / 1000000, oldest_ms = 0;

    if (!target)
        return 0;
    const struct drop *drop = &target->drop;
    for (size_t i = 0; i < drop->pending_used; i++)
        if (drop->pending[i].slot && drop->pending[i].since_ms < now_ms)
            oldest_ms = MAX(oldest_ms, now_ms - drop->pending[i].since_ms);
    memory_drop_unlock(target);
    return oldest_ms;
}

struct gate_status gate_memory_status(struct gate *gate, int64_t coupon_id)
{
    struct memory_drop *drop = memory_drop_lock(gate, coupon_id);
    struct gate_status result = { 0 };

    if (!drop)
        return result;
    result.known = true;
    result.closed_here = !drop->open;
    result.store = GATE_STORE_OPEN;
    result.open = drop->open && !memory_gate_is_shut(memory_gate_self(gate));
    result.granted = drop->drop.granted;
    result.pending = (int64_t)drop->drop.pending_count;
    result.returned = (int64_t)drop->drop.returned_count;
    result.counted = true;
    result.stored = result.granted - result.pending;
    result.remaining = drop_remaining(&drop->drop);
    result.epoch = result.store_epoch = drop->epoch;
    result.settings_version = drop->settings.version;
    result.changes = drop->drop.changes;
    memory_drop_unlock(drop);
    return result;
}

static int compare_int64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static enum err picture_fill(const struct memory_drop *from, struct gate_picture *picture)
{
    const struct drop *drop = &from->drop;

    picture->known = true;
    picture->granted = drop->granted;
    picture->next_slot = drop->next_slot;
    picture->epoch = from->epoch;
    picture->changes = drop->changes;
    picture->pending = mem_alloc((drop->pending_count + 1) * sizeof *picture->pending);
    picture->returned = mem_alloc((drop->returned_count + 1) * sizeof *picture->returned);
    if (!picture->pending || !picture->returned)
        return ERR_NOMEM;
    for (size_t i = 0; i < drop->pending_used; i++)
        if (drop->pending[i].slot)
            picture->pending[picture->pending_count++] = drop->pending[i].slot;
    for (size_t i = 0; i < drop->returned_count; i++)
        picture->returned[picture->returned_count++] = drop->returned[i];
    return ERR_OK;
}

enum err gate_memory_picture(struct gate *gate, int64_t coupon_id, struct gate_picture *ret_picture)
{
    struct memory_drop *drop = memory_drop_lock(gate, coupon_id);
    struct gate_picture result = { 0 };

    if (!drop) {
        *ret_picture = result;
        return ERR_OK;
    }
    enum err e = picture_fill(drop, &result);
    memory_drop_unlock(drop);
    if (e != ERR_OK) {
        gate_picture_fini(&result);
        return e;
    }
    qsort(result.pending, result.pending_count, sizeof *result.pending, compare_int64);
    qsort(result.returned, result.returned_count, sizeof *result.returned, compare_int64);
    *ret_picture = result;
    return ERR_OK;
}

static void look_one(struct gate *gate, int64_t user_id, struct gate_held *held)
{
    struct memory_drop *drop = memory_drop_lock(gate, held->coupon_id);

    held->slot = 0;
    if (!drop)
        return;
    const struct drop_seat *seat = user_id > 0 ? drop_find(&drop->drop, user_id) : NULL;
    if (seat) {
        held->slot = seat->slot;
        held->pending = seat->pending != 0;
    }
    memory_drop_unlock(drop);
}

static void look_done(struct loop_task *task)
{
    struct gate_look *look = CONTAINER_OF(task, struct gate_look, task);

    look->done(look);
}

void gate_memory_look(struct gate_client *base, struct gate_look *look)
{
    struct memory_client *client = CONTAINER_OF(base, struct memory_client, base);

    for (size_t i = 0; i < look->held_count; i++)
        look_one(base->gate, look->user_id, &look->held[i]);
    look->err = ERR_OK;
    look->task.run = look_done;
    loop_post(client->loop, &look->task);
}

struct gate_stats gate_memory_stats(struct gate *gate)
{
    struct memory_gate *self = memory_gate_self(gate);
    struct journal_stats journal = journal_stats(self->journal);

    return (struct gate_stats){ .released =
                                    atomic_load_explicit(&self->released, memory_order_relaxed),
                                .journal_bytes = journal.bytes,
                                .journal_generations = journal.generations,
                                .journal_writes = journal.writes,
                                .journal_failures = journal.failures };
}
