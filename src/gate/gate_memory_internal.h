// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "gate/drop.h"
#include "gate/gate_backend.h"
#include "gate/gate_memory.h"

/* One coupon's gate. Found once, never freed before the gate is; its drop is swapped by a rebuild.
 */
struct memory_drop {
    int64_t coupon_id;
    pthread_mutex_t lock; /* guards the rest; taken before the journal's */
    struct coupon_settings settings;
    int64_t epoch;
    bool built, open;
    struct drop drop;
};

/* coupon_id -> drop. Readers take no lock: a cell is set once, and a full table is replaced by a
 * bigger one while the old one stays, for who still reads it. */
struct memory_table {
    struct memory_table *older;
    size_t size, used; /* size: a power of two */
    struct memory_drop *_Atomic cells[];
};

/* A reservation that the journal brought back. slot 0: released, or taken up by a rebuild. */
struct remembered {
    int64_t coupon_id, user_id;
    uint32_t slot, generation;
};

struct memory_gate {
    struct gate base;
    struct journal *journal;
    struct memory_table *_Atomic table;
    _Atomic uint64_t tokens;
    _Atomic bool shut, fault;
    _Atomic uint64_t lease_until_ms, released;
    pthread_mutex_t lock; /* guards the table's writers and what was remembered */
    struct remembered *remembered;
    size_t remembered_size, remembered_used;
    uint32_t *superseded; /* generations of records that later ones made void */
    size_t superseded_count, superseded_cap;
    bool out_of_memory; /* while reading the journal */
};

struct memory_client {
    struct gate_client base;
    struct loop *loop;
    struct loop_hook hook;
    struct list asks; /* this turn's */
    struct journal_record *records;
    size_t record_count, record_cap;
};

bool memory_gate_has_lease(struct memory_gate *gate);
bool memory_gate_is_shut(struct memory_gate *gate);
struct memory_drop *memory_drop_find(struct memory_gate *gate, int64_t coupon_id);
/* Made, without a built drop, if it is not there. NULL: no memory. */
struct memory_drop *memory_drop_get(struct memory_gate *gate, int64_t coupon_id);
/* Locked, or NULL when no gate of it was ever built. */
struct memory_drop *memory_drop_lock(struct gate *gate, int64_t coupon_id);
static inline void memory_drop_unlock(struct memory_drop *drop)
{
    pthread_mutex_unlock(&drop->lock);
}
static inline struct memory_gate *memory_gate_self(struct gate *gate)
{
    return CONTAINER_OF(gate, struct memory_gate, base);
}

/* gate_memory_ask.c */
bool gate_memory_decide(struct loop_hook *hook);

/* gate_memory_settle.c */
void gate_memory_confirm(struct gate_client *client, const struct gate_entry *entry);
void gate_memory_release(struct gate_client *client, const struct gate_entry *entry);
void gate_memory_move(struct gate_client *client, struct gate_move *move);
void gate_memory_sweep(struct gate_client *client, struct gate_sweep *sweep);

/* gate_memory_look.c */
struct gate_status gate_memory_status(struct gate *gate, int64_t coupon_id);
uint64_t gate_memory_oldest_pending_ms(struct gate *gate, int64_t coupon_id);
enum err gate_memory_picture(struct gate *gate, int64_t coupon_id,
                             struct gate_picture *ret_picture);
void gate_memory_look(struct gate_client *client, struct gate_look *look);
struct gate_stats gate_memory_stats(struct gate *gate);

/* gate_memory_rebuild.c */
bool gate_memory_remember(void *gate, const struct journal_record *record);
enum err gate_memory_rebuild_begin(struct gate *gate, int64_t coupon_id, int64_t epoch,
                                   const struct coupon_settings *settings,
                                   struct gate_rebuild **ret_rebuild);
enum err gate_memory_rebuild_add(struct gate_rebuild *rebuild, int64_t slot, int64_t user_id);
enum err gate_memory_rebuild_open(struct gate_rebuild *rebuild, int64_t holders);
struct gate_rebuild *gate_memory_rebuild_free(struct gate_rebuild *rebuild);
