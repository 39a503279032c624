// SPDX-License-Identifier: Apache-2.0
/* What blocks, on a thread for such work: sealing, the proof's picture, bringing the library. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gate/gate_redis_internal.h"

enum { SYNC_MS = 5000 };

static enum err sync_get(struct redis_gate *gate)
{
    return gate->sync ? ERR_OK : redis_sync_open(&gate->redis, SYNC_MS, &gate->sync);
}

enum err redis_sync_load(struct redis_sync *sync, char ret_why[REDIS_WHY_BYTES])
{
    const char *const argv[] = { "FUNCTION", "LOAD", "REPLACE", gate_library };
    const size_t bytes[] = { 8, 4, 7, gate_library_bytes };
    const struct redis_command command = { .argc = ARRAY_COUNT(argv),
                                           .argv = argv,
                                           .argv_bytes = bytes };

    return redis_sync_everywhere(sync, &command, ret_why);
}

enum err gate_redis_load(struct gate *base, char ret_why[REDIS_WHY_BYTES])
{
    struct redis_gate *gate = redis_gate_self(base);

    ret_why[0] = '\0';
    pthread_mutex_lock(&gate->sync_lock);
    enum err e = sync_get(gate);
    if (e == ERR_OK)
        e = redis_sync_load(gate->sync, ret_why);
    pthread_mutex_unlock(&gate->sync_lock);
    return e;
}

static bool is_unloaded(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR && strstr(reply->str, "Function not found");
}

static enum err call(struct redis_gate *gate, const struct redis_drop *drop,
                     const struct call_args *args, redisReply **ret_reply)
{
    const struct redis_command command = { .argc = args->count,
                                           .argv = args->argv,
                                           .argv_bytes = args->bytes,
                                           .key = { drop->keys[0], drop->key_bytes[0] } };
    char why[REDIS_WHY_BYTES];

    TRY(sync_get(gate));
    TRY(redis_sync_call(gate->sync, &command, ret_reply));
    if (!is_unloaded(*ret_reply))
        return ERR_OK;
    freeReplyObject(*ret_reply);
    *ret_reply = NULL;
    TRY(redis_sync_load(gate->sync, why));
    return redis_sync_call(gate->sync, &command, ret_reply);
}

enum err redis_gate_call(struct redis_gate *gate, const struct redis_drop *drop,
                         struct call_args *args, redisReply **ret_reply)
{
    *ret_reply = NULL;
    if (!args_end(args))
        return ERR_NOMEM;
    pthread_mutex_lock(&gate->sync_lock);
    enum err e = call(gate, drop, args, ret_reply);
    pthread_mutex_unlock(&gate->sync_lock);
    if (e == ERR_OK && (*ret_reply)->type == REDIS_REPLY_ERROR) {
        LOG(LOG_ERROR, "gate in Redis failed", LOG_INT("coupon", drop->coupon_id),
            LOG_CSTR("error", (*ret_reply)->str));
        e = ERR_UNCERTAIN;
    }
    if (e != ERR_OK && *ret_reply) {
        freeReplyObject(*ret_reply);
        *ret_reply = NULL;
    }
    return e;
}

/* A word: ok, conflict, missing, corrupt. */
enum err redis_reply_verdict(const redisReply *reply)
{
    static const struct {
        const char *word;
        enum err err;
    } words[] = { { "ok", ERR_OK },
                  { "conflict", ERR_CONFLICT },
                  { "missing", ERR_NOT_FOUND },
                  { "corrupt", ERR_CORRUPT } };

    for (size_t i = 0; reply->type == REDIS_REPLY_STRING && i < ARRAY_COUNT(words); i++)
        if (strncmp(reply->str, words[i].word, strlen(words[i].word)) == 0)
            return words[i].err;
    return ERR_UNCERTAIN;
}

/* ---- sealing ---- */

enum err gate_redis_seal(struct gate *base, int64_t coupon_id, int64_t epoch)
{
    struct redis_gate *gate = redis_gate_self(base);
    struct redis_drop *drop = redis_drop_get(gate, coupon_id);
    CLEANUP(args_fini) struct call_args args = { 0 };
    redisReply *reply;

    if (!drop)
        return ERR_NOMEM;
    args_function(&args, drop, "seal");
    args_int(&args, epoch);
    TRY(redis_gate_call(gate, drop, &args, &reply));
    enum err e = redis_reply_verdict(reply);
    freeReplyObject(reply);
    if (e == ERR_OK) {
        pthread_mutex_lock(&drop->lock);
        if (drop->seen.store == GATE_STORE_OPEN && drop->seen.epoch <= epoch)
            drop->seen.store = GATE_STORE_SEALED;
        pthread_mutex_unlock(&drop->lock);
    }
    return e;
}

/* ---- looking ---- */

enum err gate_redis_status_read(struct gate *base, int64_t coupon_id,
                                struct gate_status *ret_status)
{
    struct redis_gate *gate = redis_gate_self(base);
    struct redis_drop *drop = redis_drop_get(gate, coupon_id);
    CLEANUP(args_fini) struct call_args args = { 0 };
    struct drop_news news;
    redisReply *reply;

    if (!drop)
        return ERR_NOMEM;
    args_function(&args, drop, "turn");
    args_int(&args, 0);
    args_int(&args, 0);
    uint64_t boot_ms = clock_boot_ms();
    TRY(redis_gate_call(gate, drop, &args, &reply));
    const char *text = reply->type == REDIS_REPLY_STRING ? reply->str : "";
    bool good = redis_news_parse(&text, &news);
    freeReplyObject(reply);
    if (!good)
        return ERR_UNAVAILABLE;
    pthread_mutex_lock(&drop->lock);
    redis_drop_seen(drop, &news);
    drop->seen_boot_ms = MAX(drop->seen_boot_ms, boot_ms);
    pthread_mutex_unlock(&drop->lock);
    *ret_status = gate_redis_status(base, coupon_id);
    return ERR_OK;
}

static int compare_int64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static enum err numbers_take(const redisReply *array, int64_t **ret_numbers, size_t *ret_count)
{
    int64_t *numbers = mem_alloc((array->elements + 1) * sizeof *numbers);

    if (!numbers)
        return ERR_NOMEM;
    for (size_t i = 0; i < array->elements; i++)
        numbers[i] = strtoll(array->element[i]->str, NULL, 10);
    qsort(numbers, array->elements, sizeof *numbers, compare_int64);
    *ret_numbers = numbers;
    *ret_count = array->elements;
    return ERR_OK;
}

static enum err picture_take(const redisReply *reply, struct gate_picture *picture)
{
    struct drop_news news;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3 ||
        reply->element[0]->type != REDIS_REPLY_STRING)
        return ERR_UNAVAILABLE;
    const char *text = reply->element[0]->str;
    if (!redis_news_parse(&text, &news))
        return ERR_UNAVAILABLE;
    if (news.store != GATE_STORE_OPEN && news.store != GATE_STORE_SEALED)
        return ERR_OK; /* what cannot be trusted is no gate */
    TRY(numbers_take(reply->element[1], &picture->pending, &picture->pending_count));
    TRY(numbers_take(reply->element[2], &picture->returned, &picture->returned_count));
    picture->known = true;
    picture->granted = news.held;
    picture->next_slot = news.next;
    picture->epoch = news.epoch;
    picture->changes = redis_news_changes(&news);
    return ERR_OK;
}

enum err gate_redis_picture(struct gate *base, int64_t coupon_id, struct gate_picture *ret_picture)
{
    struct redis_gate *gate = redis_gate_self(base);
    struct redis_drop *drop = redis_drop_find(gate, coupon_id);
    CLEANUP(args_fini) struct call_args args = { 0 };
    struct gate_picture picture = { 0 };
    redisReply *reply;

    *ret_picture = picture;
    if (!drop)
        return ERR_OK;
    args_function(&args, drop, "picture");
    TRY(redis_gate_call(gate, drop, &args, &reply));
    enum err e = picture_take(reply, &picture);
    freeReplyObject(reply);
    if (e != ERR_OK)
        gate_picture_fini(&picture);
    else
        *ret_picture = picture;
    return e;
}
