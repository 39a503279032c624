// SPDX-License-Identifier: Apache-2.0
#include "gate/gate_redis.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "gate/gate_redis_internal.h"

enum { DEADLINE_MS = 2000, CALL_MS = 500 };

/* ---- int64 -> something that begins with it ---- */

static size_t id_cell(const struct id_map *map, int64_t id)
{
    size_t i = hash_u64((uint64_t)id) & (map->size - 1);

    while (map->cells[i] && *(const int64_t *)map->cells[i] != id)
        i = (i + 1) & (map->size - 1);
    return i;
}

void *id_map_get(const struct id_map *map, int64_t id)
{
    return map->size ? map->cells[id_cell(map, id)] : NULL;
}

static enum err id_map_grow(struct id_map *map)
{
    struct id_map bigger = { .size = map->size ? map->size * 2 : 64, .used = map->used };

    bigger.cells = mem_alloc(bigger.size * sizeof *bigger.cells);
    if (!bigger.cells)
        return ERR_NOMEM;
    for (size_t i = 0; i < map->size; i++)
        if (map->cells[i])
            bigger.cells[id_cell(&bigger, *(const int64_t *)map->cells[i])] = map->cells[i];
    mem_free(map->cells);
    *map = bigger;
    return ERR_OK;
}

enum err id_map_put(struct id_map *map, void *item)
{
    if ((map->used + 1) * 2 > map->size)
        TRY(id_map_grow(map));
    map->cells[id_cell(map, *(const int64_t *)item)] = item;
    map->used++;
    return ERR_OK;
}

void id_map_fini(struct id_map *map, void (*each)(void *item))
{
    for (size_t i = 0; i < map->size; i++)
        if (map->cells[i])
            each(map->cells[i]);
    mem_free(map->cells);
    *map = (struct id_map){ 0 };
}

/* ---- coupons ---- */

static const char key_ends[DROP_KEYS] = { 'c', 'h', 'p', 'r' };

static struct redis_drop *drop_new(int64_t coupon_id)
{
    struct redis_drop *drop = mem_alloc(sizeof *drop);

    if (!drop)
        return NULL;
    drop->coupon_id = coupon_id;
    for (size_t i = 0; i < DROP_KEYS; i++)
        drop->key_bytes[i] =
            (size_t)snprintf(drop->keys[i], sizeof drop->keys[i],
                             GATE_KEY_PREFIX "{coupon:%lld}:%c", (long long)coupon_id, key_ends[i]);
    pthread_mutex_init(&drop->lock, NULL);
    return drop;
}

static struct redis_drop *drop_free(struct redis_drop *drop)
{
    id_set_fini(&drop->holders);
    pthread_mutex_destroy(&drop->lock);
    return mem_free(drop);
}

static enum err drop_enlist(struct redis_gate *gate, struct redis_drop *drop)
{
    if (!MEM_ROOM(gate->list, gate->list_count, gate->list_cap, 64))
        return ERR_NOMEM;
    TRY(id_map_put(&gate->drops, drop));
    gate->list[gate->list_count++] = drop;
    return ERR_OK;
}

struct redis_drop *redis_drop_find(struct redis_gate *gate, int64_t coupon_id)
{
    pthread_mutex_lock(&gate->lock);
    struct redis_drop *drop = id_map_get(&gate->drops, coupon_id);
    pthread_mutex_unlock(&gate->lock);
    return drop;
}

struct redis_drop *redis_drop_get(struct redis_gate *gate, int64_t coupon_id)
{
    pthread_mutex_lock(&gate->lock);
    struct redis_drop *drop = id_map_get(&gate->drops, coupon_id);
    if (!drop) {
        drop = drop_new(coupon_id);
        if (drop && drop_enlist(gate, drop) != ERR_OK)
            drop = drop_free(drop);
    }
    pthread_mutex_unlock(&gate->lock);
    return drop;
}

struct redis_drop *redis_drop_at(struct redis_gate *gate, size_t index)
{
    pthread_mutex_lock(&gate->lock);
    struct redis_drop *drop = index < gate->list_count ? gate->list[index] : NULL;
    pthread_mutex_unlock(&gate->lock);
    return drop;
}

/* ---- small things ---- */

uint64_t gate_redis_token(struct gate *base)
{
    struct redis_gate *gate = redis_gate_self(base);
    uint64_t number = atomic_fetch_add_explicit(&gate->tokens, 1, memory_order_relaxed);

    return hash_u64(gate->token_seed + number) | 1; /* other servers have other seeds */
}

static void lease_set(struct gate *gate, uint64_t until_boot_ms)
{
    atomic_store_explicit(&redis_gate_self(gate)->lease_until_ms, until_boot_ms,
                          memory_order_relaxed);
}

bool redis_gate_has_lease(struct redis_gate *gate)
{
    uint64_t until = atomic_load_explicit(&gate->lease_until_ms, memory_order_relaxed);

    return until == UINT64_MAX || clock_boot_ms() < until;
}

void redis_function_name(const char *function, char out[FUNCTION_BYTES])
{
    snprintf(out, FUNCTION_BYTES, "%s%s", gate_library_prefix, function);
}

static void fault_set(struct gate *gate, bool on)
{
    atomic_store_explicit(&redis_gate_self(gate)->fault, on, memory_order_relaxed);
}

static bool is_usable(struct gate *gate)
{
    return !atomic_load_explicit(&redis_gate_self(gate)->fault, memory_order_relaxed);
}

static struct gate_stats stats(struct gate *base)
{
    struct redis_gate *gate = redis_gate_self(base);

    return (struct gate_stats){
        .released = atomic_load_explicit(&gate->released, memory_order_relaxed),
        .calls = atomic_load_explicit(&gate->calls, memory_order_relaxed),
        .people = atomic_load_explicit(&gate->people, memory_order_relaxed),
        .unknown = atomic_load_explicit(&gate->unknown, memory_order_relaxed),
        .told_sold_out = atomic_load_explicit(&gate->told_over, memory_order_relaxed),
    };
}

struct redis_stats gate_redis_stats(struct gate *base)
{
    struct redis_gate *gate = redis_gate_self(base);
    struct redis_stats sum = { 0 };
    struct redis_client *client;

    pthread_mutex_lock(&gate->lock);
    LIST_FOREACH (client, &gate->clients, struct redis_client, node) {
        struct redis_stats one = redis_stats(client->redis);
        redis_stats_add(&sum, &one);
    }
    pthread_mutex_unlock(&gate->lock);
    return sum;
}

/* ---- open, close ---- */

static const struct gate_backend redis_backend = {
    .is_shared = true,
    .client_new = gate_redis_client_new,
    .client_free = gate_redis_client_free,
    .client_is_idle = gate_redis_client_is_idle,
    .token = gate_redis_token,
    .ask = gate_redis_ask,
    .confirm = gate_redis_confirm,
    .release = gate_redis_release,
    .move = gate_redis_move,
    .sweep = gate_redis_sweep,
    .refresh = gate_redis_refresh,
    .set = gate_redis_set,
    .close = gate_redis_close,
    .reopen = gate_redis_reopen,
    .adopt = gate_redis_adopt,
    .seal = gate_redis_seal,
    .lease_set = lease_set,
    .rebuild_begin = redis_rebuild_begin,
    .rebuild_add = redis_rebuild_add,
    .rebuild_open = redis_rebuild_open,
    .rebuild_free = redis_rebuild_free,
    .status = gate_redis_status,
    .status_read = gate_redis_status_read,
    .oldest_pending_ms = gate_redis_oldest_pending_ms,
    .picture = gate_redis_picture,
    .stats = stats,
    .is_usable = is_usable,
    .fault_set = fault_set,
    .look = gate_redis_look,
};

enum err gate_redis_open(const struct gate_redis_options *options, struct gate **ret_gate)
{
    struct redis_gate *gate = mem_alloc(sizeof *gate);

    if (!gate)
        return ERR_NOMEM;
    gate->base.backend = &redis_backend;
    gate->redis = *options->redis;
    gate->test_clock = options->test_clock;
    gate->deadline_ms = options->deadline_ms ? options->deadline_ms : DEADLINE_MS;
    gate->call_ms = options->call_ms ? options->call_ms : CALL_MS;
    if (getrandom(&gate->token_seed, sizeof gate->token_seed, 0) != sizeof gate->token_seed)
        gate->token_seed = clock_mono_ns() ^ (uint64_t)clock_wall_ms() << 20;
    atomic_store_explicit(&gate->lease_until_ms, UINT64_MAX, memory_order_relaxed);
    list_init(&gate->clients);
    pthread_mutex_init(&gate->lock, NULL);
    pthread_mutex_init(&gate->sync_lock, NULL);
    *ret_gate = &gate->base;
    return ERR_OK;
}

static void drop_each_free(void *drop)
{
    drop_free(drop);
}

struct gate *gate_redis_free(struct gate *base)
{
    if (base) {
        struct redis_gate *gate = redis_gate_self(base);
        id_map_fini(&gate->drops, drop_each_free);
        mem_free(gate->list);
        redis_sync_close(gate->sync);
        pthread_mutex_destroy(&gate->lock);
        pthread_mutex_destroy(&gate->sync_lock);
        mem_free(gate);
    }
    return NULL;
}
