// SPDX-License-Identifier: Apache-2.0
/*
 * Building a coupon's gate in Redis anew from the ledger's rows. `begin` clears what is there, if
 * it is of a lower epoch; pieces go to keys of this epoch, several at a time, while the next ones
 * are made; `open` takes these keys, if all has arrived and the node is still the same.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "gate/gate_redis_internal.h"

enum { PIECE = 500, PIECES = 8, BUILD_MS = 10000, KEPT_MS = 600000 };

enum { HOLDERS = 1, RETURNED = 3, KEY_BYTES = DROP_KEY_BYTES + 24 }; /* numbers of keys */

struct redis_rebuild {
    struct gate_rebuild base;
    struct redis_drop *drop;
    struct redis_sync *sync;
    struct coupon_settings settings;
    int64_t epoch, highest;
    struct id_set users, slots; /* those taken */
    struct call_args filling[PIECES], flying[PIECES];
    size_t pieces, in_piece; /* full ones, and what is in the one after those */
    struct redis_flight *flight;
    size_t flight_count; /* pieces of it */
};

static struct redis_rebuild *self(struct gate_rebuild *rebuild)
{
    return CONTAINER_OF(rebuild, struct redis_rebuild, base);
}

/* One verdict of all that were sent. */
static enum err flight_end(struct redis_rebuild *rebuild)
{
    enum err errs[PIECES];
    redisReply *replies[PIECES] = { 0 };

    if (!rebuild->flight)
        return ERR_OK;
    enum err e = redis_sync_end(TAKE(rebuild->flight), errs, replies);
    for (size_t i = 0; i < rebuild->flight_count; i++) {
        if (e == ERR_OK && replies[i]->type == REDIS_REPLY_ERROR)
            LOG(LOG_ERROR, "gate in Redis not built", LOG_CSTR("error", replies[i]->str));
        if (e == ERR_OK && replies[i]->type != REDIS_REPLY_INTEGER)
            e = redis_reply_verdict(replies[i]);
        if (replies[i])
            freeReplyObject(replies[i]);
    }
    return e;
}

struct gate_rebuild *redis_rebuild_free(struct gate_rebuild *base)
{
    struct redis_rebuild *rebuild = self(base);

    err_ignore(flight_end(rebuild), "it is given up");
    id_set_fini(&rebuild->users);
    id_set_fini(&rebuild->slots);
    for (size_t i = 0; i < PIECES; i++) {
        args_fini(&rebuild->filling[i]);
        args_fini(&rebuild->flying[i]);
    }
    redis_sync_close(rebuild->sync);
    return mem_free(rebuild);
}

/* The first `count` that were filled begin to fly; those that flew before have landed. */
static enum err flight_begin(struct redis_rebuild *rebuild, size_t count)
{
    struct redis_command commands[PIECES] = { 0 };

    TRY(flight_end(rebuild));
    for (size_t i = 0; i < count; i++) {
        struct call_args args = rebuild->flying[i];
        rebuild->flying[i] = rebuild->filling[i];
        rebuild->filling[i] = args;
        if (!args_end(&rebuild->flying[i]))
            return ERR_NOMEM;
        commands[i] = (struct redis_command){ .argc = rebuild->flying[i].count,
                                              .argv = rebuild->flying[i].argv,
                                              .argv_bytes = rebuild->flying[i].bytes,
                                              .key = { rebuild->drop->keys[0],
                                                       rebuild->drop->key_bytes[0] } };
    }
    rebuild->flight_count = count;
    return redis_sync_begin(rebuild->sync, commands, count, &rebuild->flight);
}

/* What is in filling[0], and waits for its answer. */
static enum err command_send(struct redis_rebuild *rebuild)
{
    TRY(flight_begin(rebuild, 1));
    return flight_end(rebuild);
}

static enum err pieces_flush(struct redis_rebuild *rebuild)
{
    size_t count = rebuild->pieces + (rebuild->in_piece > 0);

    rebuild->pieces = rebuild->in_piece = 0;
    return count ? flight_begin(rebuild, count) : ERR_OK;
}

static void key_of(const struct redis_rebuild *rebuild, size_t key, char out[KEY_BYTES])
{
    snprintf(out, KEY_BYTES, "%s:%lld", rebuild->drop->keys[key], (long long)rebuild->epoch);
}

/* The user and slot of a holder; a returned slot, twice, as score and member. */
static enum err piece_put(struct redis_rebuild *rebuild, size_t key, int64_t first, int64_t second)
{
    struct call_args *args = &rebuild->filling[rebuild->pieces];
    char name[KEY_BYTES];

    if (rebuild->in_piece == 0) {
        key_of(rebuild, key, name);
        args_begin(args);
        args_str(args, key == HOLDERS ? "HSET" : "ZADD");
        args_str(args, name);
    }
    args_int(args, first);
    args_int(args, second);
    if (++rebuild->in_piece < PIECE)
        return ERR_OK;
    rebuild->in_piece = 0;
    if (++rebuild->pieces == PIECES)
        return pieces_flush(rebuild);
    redis_sync_turn(rebuild->sync);
    return ERR_OK;
}

/* A rebuild that is given up leaves nothing for good. */
static enum err pieces_end(struct redis_rebuild *rebuild, size_t key)
{
    struct call_args *args = &rebuild->filling[0];
    char name[KEY_BYTES];

    TRY(pieces_flush(rebuild));
    key_of(rebuild, key, name);
    args_begin(args);
    args_str(args, "PEXPIRE");
    args_str(args, name);
    args_int(args, KEPT_MS);
    return command_send(rebuild);
}

static enum err begin(struct redis_rebuild *rebuild)
{
    struct redis_gate *gate = redis_gate_self(rebuild->base.gate);
    struct call_args *args = &rebuild->filling[0];
    char why[REDIS_WHY_BYTES];

    TRY(redis_sync_open(&gate->redis, BUILD_MS, &rebuild->sync));
    TRY(redis_sync_load(rebuild->sync, why));
    args_function(args, rebuild->drop, "begin");
    args_int(args, rebuild->epoch);
    args_int(args, MAX(rebuild->settings.version, 0));
    args_int(args, rebuild->settings.total_quantity);
    args_int(args, MAX(rebuild->settings.starts_at_ms, 0));
    args_int(args, MAX(rebuild->settings.ends_at_ms, 0));
    args_int(args, rebuild->settings.closed);
    return command_send(rebuild);
}

enum err redis_rebuild_begin(struct gate *base, int64_t coupon_id, int64_t epoch,
                             const struct coupon_settings *settings,
                             struct gate_rebuild **ret_rebuild)
{
    struct redis_rebuild *rebuild = mem_alloc(sizeof *rebuild);

    if (!rebuild)
        return ERR_NOMEM;
    rebuild->base.gate = base;
    rebuild->settings = *settings;
    rebuild->epoch = epoch;
    rebuild->drop = redis_drop_get(redis_gate_self(base), coupon_id);
    enum err e = rebuild->drop ? begin(rebuild) : ERR_NOMEM;
    if (e != ERR_OK) {
        redis_rebuild_free(&rebuild->base);
        return e;
    }
    *ret_rebuild = &rebuild->base;
    return ERR_OK;
}

enum err redis_rebuild_add(struct gate_rebuild *base, int64_t slot, int64_t user_id)
{
    struct redis_rebuild *rebuild = self(base);
    bool added;

    if (slot < 1 || slot > UINT32_MAX || user_id < 1 || id_set_has(&rebuild->slots, slot))
        return ERR_CONFLICT;
    TRY(id_set_add(&rebuild->users, user_id, &added));
    if (!added)
        return ERR_CONFLICT;
    TRY(id_set_add(&rebuild->slots, slot, NULL));
    rebuild->highest = MAX(rebuild->highest, slot);
    return piece_put(rebuild, HOLDERS, user_id, slot);
}

/* Numbers below the highest that nobody holds, within the quantity. */
static enum err put_returned(struct redis_rebuild *rebuild, int64_t *ret_count)
{
    int64_t end = MIN(rebuild->highest, rebuild->settings.total_quantity + 1);

    *ret_count = 0;
    for (int64_t slot = 1; slot < end; slot++)
        if (!id_set_has(&rebuild->slots, slot)) {
            TRY(piece_put(rebuild, RETURNED, slot, slot));
            ++*ret_count;
        }
    return pieces_end(rebuild, RETURNED);
}

enum err redis_rebuild_open(struct gate_rebuild *base, int64_t holders)
{
    struct redis_rebuild *rebuild = self(base);
    struct redis_drop *drop = rebuild->drop;
    struct call_args *args = &rebuild->filling[0];
    int64_t returned;

    if ((int64_t)rebuild->users.count != holders)
        return ERR_CORRUPT;
    TRY(pieces_end(rebuild, HOLDERS));
    TRY(put_returned(rebuild, &returned));
    args_function(args, drop, "open");
    args_int(args, rebuild->epoch);
    args_int(args, holders);
    args_int(args, returned);
    args_int(args, rebuild->highest + 1);
    TRY(command_send(rebuild));
    /* Told of here only once SQL has been looked at again: see gate_adopt(). */
    pthread_mutex_lock(&drop->lock);
    redis_drop_seen(drop, &(struct drop_news){ .store = GATE_STORE_OPEN,
                                               .epoch = rebuild->epoch,
                                               .version = rebuild->settings.version,
                                               .quantity = rebuild->settings.total_quantity,
                                               .next = rebuild->highest + 1,
                                               .held = holders,
                                               .returned = returned });
    pthread_mutex_unlock(&drop->lock);
    return ERR_OK;
}
