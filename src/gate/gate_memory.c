// SPDX-License-Identifier: Apache-2.0
#include "gate/gate_memory.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "gate/gate_memory_internal.h"

/* ---- coupons ---- */

static size_t table_cell(const struct memory_table *table, int64_t coupon_id)
{
    size_t i = hash_u64((uint64_t)coupon_id) & (table->size - 1);
    struct memory_drop *drop;

    while ((drop = atomic_load_explicit(&table->cells[i], memory_order_acquire)) &&
           drop->coupon_id != coupon_id)
        i = (i + 1) & (table->size - 1);
    return i;
}

struct memory_drop *memory_drop_find(struct memory_gate *gate, int64_t coupon_id)
{
    struct memory_table *table = atomic_load_explicit(&gate->table, memory_order_acquire);

    return atomic_load_explicit(&table->cells[table_cell(table, coupon_id)], memory_order_acquire);
}

static struct memory_table *table_new(size_t size, struct memory_table *older)
{
    struct memory_table *table = mem_alloc(sizeof *table + size * sizeof table->cells[0]);

    if (table) {
        table->size = size;
        table->older = older;
    }
    return table;
}

static bool table_grow(struct memory_gate *gate)
{
    struct memory_table *old = atomic_load_explicit(&gate->table, memory_order_relaxed);
    struct memory_table *bigger = table_new(old->size * 2, old);

    if (!bigger)
        return false;
    bigger->used = old->used;
    for (size_t i = 0; i < old->size; i++) {
        struct memory_drop *drop = atomic_load_explicit(&old->cells[i], memory_order_relaxed);
        if (drop)
            atomic_store_explicit(&bigger->cells[table_cell(bigger, drop->coupon_id)], drop,
                                  memory_order_relaxed);
    }
    atomic_store_explicit(&gate->table, bigger, memory_order_release);
    return true;
}

static struct memory_drop *drop_make(struct memory_gate *gate, int64_t coupon_id)
{
    struct memory_table *table = atomic_load_explicit(&gate->table, memory_order_relaxed);
    struct memory_drop *drop = mem_alloc(sizeof *drop);

    if (!drop || ((table->used + 1) * 2 > table->size && !table_grow(gate)))
        return mem_free(drop);
    table = atomic_load_explicit(&gate->table, memory_order_relaxed);
    drop->coupon_id = coupon_id;
    pthread_mutex_init(&drop->lock, NULL);
    atomic_store_explicit(&table->cells[table_cell(table, coupon_id)], drop, memory_order_release);
    table->used++;
    return drop;
}

struct memory_drop *memory_drop_get(struct memory_gate *gate, int64_t coupon_id)
{
    pthread_mutex_lock(&gate->lock);
    struct memory_drop *drop = memory_drop_find(gate, coupon_id);
    if (!drop)
        drop = drop_make(gate, coupon_id);
    pthread_mutex_unlock(&gate->lock);
    return drop;
}

/* Locked, or NULL when no gate of it was ever built. */
static struct memory_drop *drop_lock(struct gate *gate, int64_t coupon_id)
{
    struct memory_drop *drop = memory_drop_find(memory_gate_self(gate), coupon_id);

    if (!drop)
        return NULL;
    pthread_mutex_lock(&drop->lock);
    if (drop->built)
        return drop;
    pthread_mutex_unlock(&drop->lock);
    return NULL;
}

static void drop_unlock(struct memory_drop *drop)
{
    pthread_mutex_unlock(&drop->lock);
}

/* ---- asking and settling ---- */

static uint64_t token(struct gate *gate)
{
    return atomic_fetch_add_explicit(&memory_gate_self(gate)->tokens, 1, memory_order_relaxed) + 1;
}

static void ask(struct gate_client *base, struct gate_ask *question)
{
    struct memory_client *client = CONTAINER_OF(base, struct memory_client, base);

    list_append(&client->asks, &question->node);
}

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

static void confirm(struct gate_client *client, const struct gate_entry *entry)
{
    struct memory_drop *drop = drop_lock(client->gate, entry->coupon_id);
    uint32_t generation = 0;

    if (!drop)
        return;
    struct drop_seat *seat = pending_seat(drop, entry);
    if (seat) {
        generation = drop_pending_of(&drop->drop, seat)->generation;
        drop_confirm(&drop->drop, seat);
    }
    drop_unlock(drop);
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

static bool release(struct gate_client *client, const struct gate_entry *entry)
{
    struct memory_drop *drop = drop_lock(client->gate, entry->coupon_id);
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
    drop_unlock(drop);
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

static enum gate_outcome move(struct gate_client *client, const struct gate_entry *entry,
                              int64_t own_slot, int64_t *ret_slot)
{
    struct memory_drop *drop = drop_lock(client->gate, entry->coupon_id);
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
    drop_unlock(drop);
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
        pending->token = token(gate);
        ret_entries[found++] = (struct gate_entry){ .coupon_id = target->coupon_id,
                                                    .user_id = pending->user_id,
                                                    .slot = pending->slot,
                                                    .token = pending->token };
    }
    return found;
}

static size_t sweep(struct gate_client *client, uint64_t older_than_ms,
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

/* ---- settings ---- */

static enum err set(struct gate *gate, int64_t coupon_id, const struct coupon_settings *settings)
{
    struct memory_drop *drop = drop_lock(gate, coupon_id);

    if (!drop)
        return ERR_NOT_FOUND;
    if (settings->version > drop->settings.version) {
        ASSERT(settings->total_quantity >= drop->settings.total_quantity); /* lower: rebuild */
        drop->settings = *settings;
        drop->drop.quantity = settings->total_quantity;
        drop->drop.changes++;
    }
    drop_unlock(drop);
    return ERR_OK;
}

static void open_set(struct gate *gate, int64_t coupon_id, bool open)
{
    struct memory_drop *drop = drop_lock(gate, coupon_id);

    if (drop) {
        drop->open = open;
        drop_unlock(drop);
    }
}

static void close_gate(struct gate *gate, int64_t coupon_id)
{
    open_set(gate, coupon_id, false);
}

static void reopen(struct gate *gate, int64_t coupon_id)
{
    open_set(gate, coupon_id, true);
}

void gate_memory_shut(struct gate *gate, bool shut)
{
    atomic_store_explicit(&memory_gate_self(gate)->shut, shut, memory_order_relaxed);
}

static void fault_set(struct gate *gate, bool on)
{
    atomic_store_explicit(&memory_gate_self(gate)->fault, on, memory_order_relaxed);
}

bool memory_gate_is_shut(struct memory_gate *gate)
{
    return atomic_load_explicit(&gate->shut, memory_order_relaxed) ||
           atomic_load_explicit(&gate->fault, memory_order_relaxed);
}

static bool is_usable(struct gate *gate)
{
    return !memory_gate_is_shut(memory_gate_self(gate));
}

/* ---- looking ---- */

static uint64_t oldest_pending_ms(struct gate *gate, int64_t coupon_id)
{
    struct memory_drop *target = drop_lock(gate, coupon_id);
    uint64_t now_ms = clock_mono_ns() / 1000000, oldest_ms = 0;

    if (!target)
        return 0;
    const struct drop *drop = &target->drop;
    for (size_t i = 0; i < drop->pending_used; i++)
        if (drop->pending[i].slot && drop->pending[i].since_ms < now_ms)
            oldest_ms = MAX(oldest_ms, now_ms - drop->pending[i].since_ms);
    drop_unlock(target);
    return oldest_ms;
}

static struct gate_status status(struct gate *gate, int64_t coupon_id)
{
    struct memory_drop *drop = drop_lock(gate, coupon_id);
    struct gate_status result = { 0 };

    if (!drop)
        return result;
    result.known = true;
    result.open = drop->open && !memory_gate_is_shut(memory_gate_self(gate));
    result.granted = drop->drop.granted;
    result.pending = (int64_t)drop->drop.pending_count;
    result.returned = (int64_t)drop->drop.returned_count;
    result.remaining = drop_remaining(&drop->drop);
    result.epoch = drop->epoch;
    result.changes = drop->drop.changes;
    drop_unlock(drop);
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

static enum err picture(struct gate *gate, int64_t coupon_id, struct gate_picture *ret_picture)
{
    struct memory_drop *drop = drop_lock(gate, coupon_id);
    struct gate_picture result = { 0 };

    if (!drop) {
        *ret_picture = result;
        return ERR_OK;
    }
    enum err e = picture_fill(drop, &result);
    drop_unlock(drop);
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
    struct memory_drop *drop = drop_lock(gate, held->coupon_id);

    held->slot = 0;
    if (!drop)
        return;
    const struct drop_seat *seat = user_id > 0 ? drop_find(&drop->drop, user_id) : NULL;
    if (seat) {
        held->slot = seat->slot;
        held->pending = seat->pending != 0;
    }
    drop_unlock(drop);
}

static void look_done(struct loop_task *task)
{
    struct gate_look *look = CONTAINER_OF(task, struct gate_look, task);

    look->done(look);
}

static void look(struct gate_client *base, struct gate_look *look)
{
    struct memory_client *client = CONTAINER_OF(base, struct memory_client, base);

    for (size_t i = 0; i < look->held_count; i++)
        look_one(base->gate, look->user_id, &look->held[i]);
    look->err = ERR_OK;
    look->task.run = look_done;
    loop_post(client->loop, &look->task);
}

static struct gate_stats stats(struct gate *gate)
{
    struct journal_stats journal = journal_stats(memory_gate_self(gate)->journal);

    return (struct gate_stats){ .journal_bytes = journal.bytes,
                                .journal_generations = journal.generations,
                                .journal_writes = journal.writes,
                                .journal_failures = journal.failures };
}

/* ---- clients, open, close ---- */

static struct gate_client *client_free(struct gate_client *base)
{
    struct memory_client *client = CONTAINER_OF(base, struct memory_client, base);

    ASSERT(list_empty(&client->asks));
    loop_hook_remove(&client->hook);
    mem_free(client->records);
    return mem_free(client);
}

static struct gate_client *client_new(struct gate *gate, struct loop *loop)
{
    struct memory_client *client = mem_alloc(sizeof *client);

    if (!client)
        return NULL;
    client->base.gate = gate;
    client->loop = loop;
    list_init(&client->asks);
    client->hook.run = gate_memory_decide;
    loop_hook_add(loop, &client->hook);
    return &client->base;
}

static const struct gate_backend memory_backend = {
    .client_new = client_new,
    .client_free = client_free,
    .token = token,
    .ask = ask,
    .confirm = confirm,
    .release = release,
    .move = move,
    .sweep = sweep,
    .set = set,
    .close = close_gate,
    .reopen = reopen,
    .rebuild_begin = gate_memory_rebuild_begin,
    .rebuild_add = gate_memory_rebuild_add,
    .rebuild_open = gate_memory_rebuild_open,
    .rebuild_free = gate_memory_rebuild_free,
    .status = status,
    .oldest_pending_ms = oldest_pending_ms,
    .picture = picture,
    .stats = stats,
    .is_usable = is_usable,
    .fault_set = fault_set,
    .look = look,
};

static void tables_free(struct memory_gate *gate)
{
    struct memory_table *table = atomic_load_explicit(&gate->table, memory_order_relaxed);

    for (size_t i = 0; table && i < table->size; i++) {
        struct memory_drop *drop = atomic_load_explicit(&table->cells[i], memory_order_relaxed);
        if (drop) {
            drop_fini(&drop->drop);
            pthread_mutex_destroy(&drop->lock);
            mem_free(drop);
        }
    }
    while (table) {
        struct memory_table *older = table->older;
        mem_free(table);
        table = older;
    }
}

struct gate *gate_memory_free(struct gate *base)
{
    if (base) {
        struct memory_gate *gate = memory_gate_self(base);
        tables_free(gate);
        journal_close(gate->journal);
        pthread_mutex_destroy(&gate->lock);
        mem_free(gate->remembered);
        mem_free(gate->superseded);
        mem_free(gate);
    }
    return NULL;
}
DEFINE_CLEANUP(struct gate, gate_memory_free)

static struct gate *gate_alloc(void)
{
    struct memory_gate *gate = mem_alloc(sizeof *gate);

    if (!gate)
        return NULL;
    gate->base.backend = &memory_backend;
    pthread_mutex_init(&gate->lock, NULL);
    return &gate->base;
}

enum err gate_memory_open(const struct gate_memory_options *options,
                          struct journal_report *ret_report, struct gate **ret_gate)
{
    CLEANUP(gate_memory_freep) struct gate *base = gate_alloc();

    *ret_report = (struct journal_report){ 0 };
    if (!base)
        return ERR_NOMEM;
    struct memory_gate *gate = memory_gate_self(base);
    atomic_store_explicit(&gate->table, table_new(64, NULL), memory_order_relaxed);
    if (!atomic_load_explicit(&gate->table, memory_order_relaxed))
        return ERR_NOMEM;
    TRY(journal_open(&options->journal, gate_memory_remember, gate, ret_report, &gate->journal));
    if (gate->out_of_memory)
        return ERR_NOMEM;
    for (size_t i = 0; i < gate->superseded_count; i++)
        journal_settle(gate->journal, gate->superseded[i], 1);
    *ret_gate = TAKE(base);
    return ERR_OK;
}
