// SPDX-License-Identifier: Apache-2.0
/*
 * Events to a Redis Stream: XADD, trimmed to about a length. An answer that does not come leaves
 * open whether it was added: it is added again, and its `id` tells.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "redis/redis.h"
#include "shop/events_internal.h"

enum { DEADLINE_MS = 2000, WORDS_MAX = 16, NUMBER_BYTES = 24 };

struct stream {
    struct events_sink sink;
    const struct events_stream_options *options;
    struct loop *loop;
    struct redis *redis;
    char length[NUMBER_BYTES];
};

struct call {
    struct redis_call redis;
    struct events_delivery *delivery;
    const char *words[WORDS_MAX];
    size_t bytes[WORDS_MAX];
    char number[NUMBER_BYTES];
};
_Static_assert(sizeof(struct call) <= EVENTS_SINK_BYTES, "it has its place in the delivery");

static void call_done(struct redis_call *redis)
{
    struct call *call = CONTAINER_OF(redis, struct call, redis);
    struct events_delivery *delivery = call->delivery;

    delivery->delivered = redis->err == ERR_OK && redis->reply->type != REDIS_REPLY_ERROR;
    if (redis->err != ERR_OK)
        snprintf(delivery->why, sizeof delivery->why, "%s", err_text(redis->err));
    else if (!delivery->delivered)
        snprintf(delivery->why, sizeof delivery->why, "%.100s", redis->reply->str);
    delivery->done(delivery);
}

static void word(struct call *call, struct str text)
{
    call->words[call->redis.argc] = text.ptr;
    call->bytes[call->redis.argc++] = text.len;
}

static void write_words(struct call *call, const struct stream *stream)
{
    const struct events_delivery *delivery = call->delivery;

    word(call, STR("XADD"));
    word(call, str_from(stream->options->key));
    if (stream->options->length_max) {
        word(call, STR("MAXLEN"));
        word(call, STR("~"));
        word(call, str_from(stream->length));
    }
    word(call, STR("*"));
    word(call, STR("id"));
    word(call, str_from(delivery->id));
    word(call, STR("key"));
    word(call, str_from(delivery->key));
    word(call, STR("number"));
    word(call, str_from(call->number));
    word(call, STR("type"));
    word(call, str_from(delivery->type));
    word(call, STR("event"));
    word(call, delivery->body);
}

static void stream_send(struct events_sink *sink, struct events_delivery *delivery)
{
    struct stream *stream = CONTAINER_OF(sink, struct stream, sink);
    struct call *call = (struct call *)delivery->room;

    memset(call, 0, sizeof *call);
    call->delivery = delivery;
    snprintf(call->number, sizeof call->number, "%" PRId64, delivery->number);
    write_words(call, stream);
    call->redis.done = call_done;
    call->redis.argv = call->words;
    call->redis.argv_bytes = call->bytes;
    call->redis.key = str_from(stream->options->key);
    call->redis.deadline_ms = loop_now_ms(stream->loop) + DEADLINE_MS;
    redis_call(stream->redis, &call->redis);
}

static void stream_cut(struct events_sink *sink)
{
    (void)sink; /* their deadlines are short */
}

static void stream_free(struct events_sink *sink)
{
    struct stream *stream = CONTAINER_OF(sink, struct stream, sink);

    stream->redis = redis_free(stream->redis);
    mem_free(stream);
}

struct events_sink *events_stream_new(const struct events_stream_options *options,
                                      struct loop *loop)
{
    const struct redis_options redis = { .target = options->target,
                                         .name = "doorbuster-events",
                                         .seed = clock_mono_ns() };
    struct stream *stream = mem_alloc(sizeof *stream);

    if (!stream)
        return NULL;
    stream->sink =
        (struct events_sink){ .send = stream_send, .cut = stream_cut, .free = stream_free };
    stream->options = options;
    stream->loop = loop;
    snprintf(stream->length, sizeof stream->length, "%" PRId64, options->length_max);
    stream->redis = redis_new(loop, &redis);
    if (stream->redis)
        return &stream->sink;
    mem_free(stream);
    return NULL;
}
