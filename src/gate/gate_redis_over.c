// SPDX-License-Identifier: Apache-2.0
/*
 * A coupon that is sold out for good does not change any more in this epoch and version: everybody
 * who holds a place is read once, and from then on whoever does not is told so without asking.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "gate/gate_redis_internal.h"

enum { PIECE = 1000, READ_MS = 1000 };

struct over_reader {
    struct redis_client *client;
    struct redis_drop *drop;
    struct drop_news news;
    struct id_set holders;
    struct call_args args;
    struct redis_call call;
};

static void reader_end(struct over_reader *reader)
{
    struct redis_drop *drop = reader->drop;

    pthread_mutex_lock(&drop->lock);
    drop->over_being_read = false;
    pthread_mutex_unlock(&drop->lock);
    reader->client->under_way--;
    id_set_fini(&reader->holders);
    args_fini(&reader->args);
    mem_free(reader);
}

static void read_next(struct over_reader *reader, const char *cursor);

/* All of them, and nothing has moved meanwhile. */
static void publish(struct over_reader *reader)
{
    struct redis_drop *drop = reader->drop;
    const struct drop_news *news = &reader->news;

    if ((int64_t)reader->holders.count != news->held)
        return;
    pthread_mutex_lock(&drop->lock);
    if (drop->seen.epoch == news->epoch && drop->seen.version == news->version &&
        redis_news_is_over(&drop->seen)) {
        struct id_set old = drop->holders;
        drop->holders = reader->holders;
        reader->holders = old;
        drop->over_epoch = news->epoch;
        drop->over_version = news->version;
        drop->over = true;
    }
    pthread_mutex_unlock(&drop->lock);
}

static bool take_users(struct over_reader *reader, const redisReply *pairs)
{
    bool added;

    for (size_t i = 0; i + 1 < pairs->elements; i += 2)
        if (id_set_add(&reader->holders, strtoll(pairs->element[i]->str, NULL, 10), &added) !=
            ERR_OK)
            return false;
    return reader->holders.count <= HOLDERS_KEPT_MAX;
}

static void piece_read(struct redis_call *call)
{
    struct over_reader *reader = CONTAINER_OF(call, struct over_reader, call);
    const redisReply *reply = call->reply;
    bool good = call->err == ERR_OK && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
                take_users(reader, reply->element[1]);

    if (good && strcmp(reply->element[0]->str, "0") != 0) {
        read_next(reader, reply->element[0]->str);
        return;
    }
    if (good)
        publish(reader);
    reader_end(reader);
}

static void read_next(struct over_reader *reader, const char *cursor)
{
    struct call_args *args = &reader->args;
    const struct redis_drop *drop = reader->drop;

    args_begin(args);
    args_str(args, "HSCAN");
    args_str(args, drop->keys[1]);
    args_str(args, cursor);
    args_str(args, "COUNT");
    args_int(args, PIECE);
    if (!args_end(args)) {
        reader_end(reader);
        return;
    }
    reader->call = (struct redis_call){ .done = piece_read,
                                        .argc = args->count,
                                        .argv = args->argv,
                                        .argv_bytes = args->bytes,
                                        .key = { drop->keys[1], drop->key_bytes[1] },
                                        .deadline_ms = loop_now_ms(reader->client->loop) + READ_MS,
                                        .read_only = true };
    redis_call(reader->client->redis, &reader->call);
}

void over_read(struct redis_client *client, struct redis_drop *drop, const struct drop_news *news)
{
    pthread_mutex_lock(&drop->lock);
    bool wanted = !drop->over && !drop->over_being_read && news->held <= HOLDERS_KEPT_MAX &&
                  news->epoch == drop->epoch;
    struct over_reader *reader = wanted ? mem_alloc(sizeof *reader) : NULL;
    drop->over_being_read = drop->over_being_read || reader;
    pthread_mutex_unlock(&drop->lock);
    if (!reader)
        return;
    reader->client = client;
    reader->drop = drop;
    reader->news = *news;
    client->under_way++;
    read_next(reader, "0");
}
