// SPDX-License-Identifier: Apache-2.0
/* What a server answers, as bytes, through hiredis's parser into ours; URLs, too. */
#include "base/assert.h"
#include "redis/redis_reply.h"

static void check_place(const struct redis_place *place)
{
    ASSERT(memchr(place->host, 0, sizeof place->host) && place->port > 0);
}

static void try_text(struct str text)
{
    struct redis_place place;
    uint16_t slot;

    if (redis_redirect_parse(text, &slot, &place)) {
        ASSERT(slot < REDIS_SLOTS);
        check_place(&place);
    }
    ASSERT(redis_slot_of(text) < REDIS_SLOTS);
    struct str role = redis_info_find(text, STR("role"));
    ASSERT(!role.ptr || (role.ptr >= text.ptr && role.ptr + role.len <= text.ptr + text.len));
}

static void try_reply(const redisReply *reply)
{
    struct redis_slots_row row;
    struct redis_place place;

    if (redis_error_of(reply) != REDIS_ERROR_NONE)
        ASSERT(reply->type == REDIS_REPLY_ERROR);
    if (redis_master_parse(reply, &place))
        check_place(&place);
    if (redis_slots_row_parse(reply, &row)) {
        ASSERT(row.first <= row.last && row.last < REDIS_SLOTS);
        check_place(&row.primary);
    }
    if (reply->type == REDIS_REPLY_ERROR || reply->type == REDIS_REPLY_STRING ||
        reply->type == REDIS_REPLY_STATUS)
        try_text(redis_text(reply));
    if (redis_config_find(reply, STR("appendonly")).ptr)
        ASSERT(reply->type == REDIS_REPLY_ARRAY);
    if (redis_role_of(reply).ptr)
        ASSERT(reply->type == REDIS_REPLY_ARRAY);
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++)
        try_reply(reply->element[i]);
}

static void try_url(const uint8_t *data, size_t size)
{
    char url[512], why[REDIS_WHY_BYTES] = "";
    struct redis_target target;

    if (size >= sizeof url)
        return;
    memcpy(url, data, size);
    url[size] = 0;
    if (redis_target_parse(&target, url, why) != ERR_OK) {
        ASSERT(why[0]);
        return;
    }
    ASSERT(target.place_count > 0 && target.place_count <= REDIS_PLACES_MAX);
    for (size_t i = 0; i < target.place_count; i++)
        check_place(&target.place[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    redisReader *reader = redis_reader_new();
    void *reply = NULL;

    try_url(data, size);
    try_text((struct str){ (const char *)data, size });
    ASSERT(reader && redisReaderFeed(reader, (const char *)data, size) == REDIS_OK);
    while (redisReaderGetReply(reader, &reply) == REDIS_OK && reply) {
        try_reply(reply);
        freeReplyObject(reply);
    }
    redisReaderFree(reader);
    return 0;
}
