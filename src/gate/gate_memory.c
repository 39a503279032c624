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

struct memory_drop *memory_drop_lock(struct gate *gate, int64_t coupon_id)
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

/* ---- asking ---- */

static uint64_t token(struct gate *gate)
{
    return atomic_fetch_add_explicit(&memory_gate_self(gate)->tokens, 1, memory_order_relaxed) + 1;
}

bool memory_gate_has_lease(struct memory_gate *gate)
{
    uint64_t until = atomic_load_explicit(&gate->lease_until_ms, memory_order_relaxed);

    return until == UINT64_MAX || clock_boot_ms() < until;
}

static void ask(struct gate_client *base, struct gate_ask *question)
{
    struct memory_client *client = CONTAINER_OF(base, struct memory_client, base);

    question->refused =
        question->purpose == GATE_RESERVE && !memory_gate_has_lease(memory_gate_self(base->gate));
    list_append(&client->asks, &question->node);
}

/* ---- settings ---- */

static enum err set(struct gate *gate, int64_t coupon_id, const struct coupon_settings *settings)
{
    struct memory_drop *drop = memory_drop_lock(gate, coupon_id);

    if (!drop)
        return ERR_NOT_FOUND;
    if (settings->version > drop->settings.version) {
        ASSERT(settings->total_quantity >= drop->settings.total_quantity); /* lower: rebuild */
        drop->settings = *settings;
        drop->drop.quantity = settings->total_quantity;
        drop->drop.changes++;
    }
    memory_drop_unlock(drop);
    return ERR_OK;
}

static void open_set(struct gate *gate, int64_t coupon_id, bool open)
{
    struct memory_drop *drop = memory_drop_lock(gate, coupon_id);

    if (drop) {
        drop->open = open;
        memory_drop_unlock(drop);
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

/* Nobody else builds gates in this server's memory: only the settings can be news. */
static enum err adopt(struct gate *gate, int64_t coupon_id, int64_t epoch,
                      const struct coupon_settings *settings)
{
    struct memory_drop *drop = memory_drop_lock(gate, coupon_id);
    bool mine = drop && drop->epoch == epoch;

    if (drop)
        memory_drop_unlock(drop);
    return mine ? set(gate, coupon_id, settings) : ERR_OK;
}

static enum err seal(struct gate *gate, int64_t coupon_id, int64_t epoch)
{
    struct memory_drop *drop = memory_drop_lock(gate, coupon_id);

    if (!drop)
        return ERR_NOT_FOUND;
    bool higher = drop->epoch > epoch;
    if (!higher)
        drop->open = false;
    memory_drop_unlock(drop);
    return higher ? ERR_CONFLICT : ERR_OK;
}

static void lease_set(struct gate *gate, uint64_t until_boot_ms)
{
    atomic_store_explicit(&memory_gate_self(gate)->lease_until_ms, until_boot_ms,
                          memory_order_relaxed);
}

static void refresh_done(struct loop_task *task)
{
    struct gate_refresh *refresh = CONTAINER_OF(task, struct gate_refresh, task);

    refresh->done(refresh);
}

/* What is here is known here. */
static void refresh(struct gate_client *base, struct gate_refresh *question)
{
    question->err = ERR_OK;
    question->task.run = refresh_done;
    loop_post(CONTAINER_OF(base, struct memory_client, base)->loop, &question->task);
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

static enum err status_read(struct gate *gate, int64_t coupon_id, struct gate_status *ret_status)
{
    *ret_status = gate_memory_status(gate, coupon_id);
    return ERR_OK;
}

/* ---- clients, open, close ---- */

static bool client_is_idle(struct gate_client *base)
{
    return list_empty(&CONTAINER_OF(base, struct memory_client, base)->asks);
}

static struct gate_client *client_free(struct gate_client *base)
{
    struct memory_client *client = CONTAINER_OF(base, struct memory_client, base);

    ASSERT(list_empty(&client->asks));
    loop_hook_remove(&client->hook);
    mem_free(client->records);
    return mem_free(client);
}

static struct gate_client *client_new(struct gate *gate, struct loop *loop,
                                      struct metrics_slot *metrics)
{
    (void)metrics;
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
    .client_is_idle = client_is_idle,
    .token = token,
    .ask = ask,
    .confirm = gate_memory_confirm,
    .release = gate_memory_release,
    .move = gate_memory_move,
    .sweep = gate_memory_sweep,
    .refresh = refresh,
    .set = set,
    .close = close_gate,
    .reopen = reopen,
    .adopt = adopt,
    .seal = seal,
    .lease_set = lease_set,
    .rebuild_begin = gate_memory_rebuild_begin,
    .rebuild_add = gate_memory_rebuild_add,
    .rebuild_open = gate_memory_rebuild_open,
    .rebuild_free = gate_memory_rebuild_free,
    .status = gate_memory_status,
    .status_read = status_read,
    .oldest_pending_ms = gate_memory_oldest_pending_ms,
    .picture = gate_memory_picture,
    .stats = gate_memory_stats,
    .is_usable = is_usable,
    .fault_set = fault_set,
    .look = gate_memory_look,
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
    atomic_store_explicit(&gate->lease_until_ms, UINT64_MAX, memory_order_relaxed);
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
