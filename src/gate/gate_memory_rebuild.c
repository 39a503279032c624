// SPDX-License-Identifier: Apache-2.0
/*
 * Building a coupon's gate: the ledger's rows, then what the journal remembers and the ledger does
 * not have yet. A remembered reservation whose slot has become somebody else's row gets the next
 * free place: an alarm, never a loss while places are left.
 */
#include "base/clock.h"
#include "base/hash.h"
#include "base/id_set.h"
#include "base/log.h"
#include "base/mem.h"
#include "gate/gate_memory_internal.h"

/* ---- what the journal remembers ---- */

static size_t remembered_cell(const struct memory_gate *gate, int64_t coupon_id, int64_t user_id)
{
    size_t size = gate->remembered_size;
    size_t i = hash_cell(hash_u64(hash_u64((uint64_t)coupon_id) ^ (uint64_t)user_id), size);

    while (gate->remembered[i].user_id != 0 &&
           (gate->remembered[i].user_id != user_id || gate->remembered[i].coupon_id != coupon_id))
        i = i + 1 < size ? i + 1 : 0;
    return i;
}

static enum err remembered_grow(struct memory_gate *gate)
{
    struct memory_gate bigger = { .remembered_size =
                                      gate->remembered_size ? gate->remembered_size * 2 : 1024 };

    bigger.remembered = mem_alloc(bigger.remembered_size * sizeof *bigger.remembered);
    if (!bigger.remembered)
        return ERR_NOMEM;
    for (size_t i = 0; i < gate->remembered_size; i++) {
        const struct remembered *entry = &gate->remembered[i];
        if (entry->user_id)
            bigger.remembered[remembered_cell(&bigger, entry->coupon_id, entry->user_id)] = *entry;
    }
    mem_free(gate->remembered);
    gate->remembered = bigger.remembered;
    gate->remembered_size = bigger.remembered_size;
    return ERR_OK;
}

static enum err supersede(struct memory_gate *gate, uint32_t generation)
{
    if (!MEM_ROOM(gate->superseded, gate->superseded_count, gate->superseded_cap, 64))
        return ERR_NOMEM;
    gate->superseded[gate->superseded_count++] = generation;
    return ERR_OK;
}

static enum err remember(struct memory_gate *gate, const struct journal_record *record,
                         bool *ret_holds)
{
    *ret_holds = false;
    if (record->slot < 1 || record->slot > UINT32_MAX || record->user_id < 1)
        return ERR_OK;
    if ((gate->remembered_used + 1) * 2 > gate->remembered_size)
        TRY(remembered_grow(gate));
    struct remembered *entry =
        &gate->remembered[remembered_cell(gate, record->coupon_id, record->user_id)];
    if (record->kind == JOURNAL_RELEASE) {
        if (entry->slot == record->slot) {
            TRY(supersede(gate, entry->generation));
            entry->slot = 0;
        }
        return ERR_OK;
    }
    if (entry->slot == record->slot)
        return ERR_OK; /* written twice, by a joiner; the older record holds it */
    if (entry->slot)
        TRY(supersede(gate, entry->generation)); /* moved */
    if (!entry->user_id)
        gate->remembered_used++;
    *entry = (struct remembered){ .coupon_id = record->coupon_id,
                                  .user_id = record->user_id,
                                  .slot = (uint32_t)record->slot,
                                  .generation = record->generation };
    *ret_holds = true;
    return ERR_OK;
}

bool gate_memory_remember(void *context, const struct journal_record *record)
{
    struct memory_gate *gate = context;
    bool holds;

    if (remember(gate, record, &holds) == ERR_OK)
        return holds;
    gate->out_of_memory = true;
    return true; /* opening fails; till then the file must not pass for a settled one */
}

void gate_memory_remembered(struct gate *base,
                            bool (*each)(void *context, const struct gate_memory_entry *entry),
                            void *context)
{
    struct memory_gate *gate = memory_gate_self(base);

    pthread_mutex_lock(&gate->lock);
    for (size_t i = 0; i < gate->remembered_size; i++) {
        const struct remembered *entry = &gate->remembered[i];
        if (entry->slot && !each(context, &(struct gate_memory_entry){
                                              entry->coupon_id, entry->user_id, entry->slot }))
            break;
    }
    pthread_mutex_unlock(&gate->lock);
}

/* ---- rebuilding ---- */

struct memory_rebuild {
    struct gate_rebuild base;
    struct memory_drop *target;
    struct coupon_settings settings;
    int64_t epoch;
    struct drop drop;
    struct id_set slots; /* those taken */
};

static struct memory_rebuild *self(struct gate_rebuild *rebuild)
{
    return CONTAINER_OF(rebuild, struct memory_rebuild, base);
}

struct gate_rebuild *gate_memory_rebuild_free(struct gate_rebuild *base)
{
    struct memory_rebuild *rebuild = self(base);

    drop_fini(&rebuild->drop);
    id_set_fini(&rebuild->slots);
    return mem_free(rebuild);
}

/* Lives of a gate are told apart: a rebuild of a life that has been is a stale one. */
static bool epoch_is_new(struct memory_rebuild *rebuild)
{
    pthread_mutex_lock(&rebuild->target->lock);
    bool is_new = !rebuild->target->built || rebuild->epoch > rebuild->target->epoch;
    pthread_mutex_unlock(&rebuild->target->lock);
    return is_new;
}

enum err gate_memory_rebuild_begin(struct gate *base, int64_t coupon_id, int64_t epoch,
                                   const struct coupon_settings *settings,
                                   struct gate_rebuild **ret_rebuild)
{
    struct memory_rebuild *rebuild = mem_alloc(sizeof *rebuild);

    if (!rebuild)
        return ERR_NOMEM;
    rebuild->base.gate = base;
    rebuild->settings = *settings;
    rebuild->epoch = epoch;
    rebuild->target = memory_drop_get(memory_gate_self(base), coupon_id);
    if (!rebuild->target || drop_init(&rebuild->drop, settings->total_quantity) != ERR_OK) {
        gate_memory_rebuild_free(&rebuild->base);
        return ERR_NOMEM;
    }
    if (!epoch_is_new(rebuild)) {
        gate_memory_rebuild_free(&rebuild->base);
        return ERR_CONFLICT;
    }
    *ret_rebuild = &rebuild->base;
    return ERR_OK;
}

/* Marks the slot. ERR_CONFLICT: it is taken. */
static enum err slot_take(struct memory_rebuild *rebuild, int64_t slot)
{
    bool added;

    TRY(id_set_add(&rebuild->slots, slot, &added));
    return added ? ERR_OK : ERR_CONFLICT;
}

enum err gate_memory_rebuild_add(struct gate_rebuild *base, int64_t slot, int64_t user_id)
{
    struct memory_rebuild *rebuild = self(base);

    if (slot < 1 || slot > UINT32_MAX || user_id < 1)
        return ERR_CONFLICT;
    TRY(slot_take(rebuild, slot));
    return drop_add(&rebuild->drop, user_id, slot, false, NULL);
}

static void pending_restore(struct gate *base, struct drop_pending *pending, uint32_t generation)
{
    pending->token = gate_token(base);
    pending->joined = true; /* it was told: it only rolls forward */
    pending->since_ms = 0;
    pending->generation = generation;
}

/* Takes up one remembered reservation, unless its user has a row. One whose slot is taken is left
 * without a seat: it needs another slot. */
static enum err take_up(struct memory_rebuild *rebuild, const struct remembered *entry)
{
    const struct drop_seat *seat = drop_find(&rebuild->drop, entry->user_id);
    struct drop_pending *pending;

    if (seat) {
        if (seat->slot != entry->slot)
            LOG(LOG_ERROR, "reservation stored with another number",
                LOG_INT("coupon", entry->coupon_id), LOG_INT("user", entry->user_id),
                LOG_INT("journal", entry->slot), LOG_INT("stored", seat->slot));
        return ERR_OK;
    }
    enum err e = slot_take(rebuild, entry->slot);
    if (e == ERR_CONFLICT)
        return ERR_OK;
    TRY(e);
    TRY(drop_add(&rebuild->drop, entry->user_id, entry->slot, true, &pending));
    pending_restore(rebuild->base.gate, pending, entry->generation);
    return ERR_OK;
}

/* The next free slot, written down; what is remembered is then this one. */
static enum err move_loser(struct memory_rebuild *rebuild, struct remembered *entry)
{
    struct memory_gate *gate = memory_gate_self(rebuild->base.gate);
    struct drop_pending *pending;
    uint32_t generation;

    enum err e = drop_grant(&rebuild->drop, entry->user_id, 0, 0, &pending);
    LOG(LOG_ERROR, e == ERR_OK ? "reservation moved" : "reservation lost: no place is left",
        LOG_INT("coupon", entry->coupon_id), LOG_INT("user", entry->user_id),
        LOG_INT("from", entry->slot), LOG_INT("to", e == ERR_OK ? pending->slot : 0));
    if (e == ERR_NOT_FOUND)
        return ERR_OK;
    TRY(e);
    struct journal_record record =
        journal_record(JOURNAL_GRANT, entry->coupon_id, entry->user_id, pending->slot);
    TRY(journal_append(gate->journal, &record, 1, &generation));
    pending_restore(rebuild->base.gate, pending, generation);
    journal_settle(gate->journal, entry->generation, 1);
    entry->slot = pending->slot;
    entry->generation = generation;
    return ERR_OK;
}

static struct remembered *next_of(struct memory_rebuild *rebuild, struct remembered *after)
{
    struct memory_gate *gate = memory_gate_self(rebuild->base.gate);

    if (!gate->remembered)
        return NULL;
    struct remembered *end = gate->remembered + gate->remembered_size;
    for (struct remembered *entry = after ? after + 1 : gate->remembered; entry < end; entry++)
        if (entry->slot && entry->coupon_id == rebuild->target->coupon_id)
            return entry;
    return NULL;
}

/*
 * Who keeps the slot, then who lost it, and only when nothing can fail any more: forget. A rebuild
 * that failed must leave the next one all that the journal brought back.
 */
static enum err take_up_all(struct memory_rebuild *rebuild)
{
    struct memory_gate *gate = memory_gate_self(rebuild->base.gate);
    struct remembered *entry = NULL;

    while ((entry = next_of(rebuild, entry)))
        TRY(take_up(rebuild, entry));
    TRY(drop_settle_returned(&rebuild->drop));
    while ((entry = next_of(rebuild, entry)))
        if (!drop_find(&rebuild->drop, entry->user_id))
            TRY(move_loser(rebuild, entry));
    while ((entry = next_of(rebuild, entry))) {
        const struct drop_seat *seat = drop_find(&rebuild->drop, entry->user_id);
        if (!seat || !seat->pending) /* lost, or a row; else the entry holds the generation now */
            journal_settle(gate->journal, entry->generation, 1);
        entry->slot = 0;
    }
    return ERR_OK;
}

enum err gate_memory_rebuild_open(struct gate_rebuild *base, int64_t holders)
{
    struct memory_rebuild *rebuild = self(base);
    struct memory_gate *gate = memory_gate_self(base->gate);
    struct memory_drop *target = rebuild->target;

    if (rebuild->drop.granted != holders)
        return ERR_CORRUPT;
    pthread_mutex_lock(&gate->lock);
    enum err e = take_up_all(rebuild);
    pthread_mutex_unlock(&gate->lock);
    TRY(e);
    pthread_mutex_lock(&target->lock);
    struct drop old = target->drop;
    target->drop = rebuild->drop;
    target->drop.changes += old.changes + 1;
    target->settings = rebuild->settings;
    target->epoch = rebuild->epoch;
    target->built = target->open = true;
    pthread_mutex_unlock(&target->lock);
    rebuild->drop = old; /* freed with the rebuild */
    return ERR_OK;
}
