// SPDX-License-Identifier: Apache-2.0
#include "redis/redis_reply.h"

/* ---- errors ---- */

/* Redis 7 appends " script: NAME, on @user_function:LINE." to what a script or Function raised. */
static bool is_raised_inside(struct str text)
{
    return text.len > 0 && memmem(text.ptr, text.len, " script: ", 9) != NULL &&
           memmem(text.ptr, text.len, ", on @", 6) != NULL;
}

enum redis_error redis_error_of(const redisReply *reply)
{
    static const struct {
        struct str prefix;
        enum redis_error error;
    } table[] = {
        { { "MOVED ", 6 }, REDIS_ERROR_MOVED },     { { "ASK ", 4 }, REDIS_ERROR_ASK },
        { { "TRYAGAIN", 8 }, REDIS_ERROR_LATER },   { { "CLUSTERDOWN", 11 }, REDIS_ERROR_LATER },
        { { "LOADING", 7 }, REDIS_ERROR_LATER },    { { "MASTERDOWN", 10 }, REDIS_ERROR_LATER },
        { { "BUSY ", 5 }, REDIS_ERROR_LATER },      { { "READONLY", 8 }, REDIS_ERROR_READONLY },
        { { "NOREPLICAS", 10 }, REDIS_ERROR_SHED }, { { "MISCONF", 7 }, REDIS_ERROR_SHED },
        { { "OOM ", 4 }, REDIS_ERROR_SHED },        { { "NOAUTH", 6 }, REDIS_ERROR_DENIED },
    };

    if (reply->type != REDIS_REPLY_ERROR)
        return REDIS_ERROR_NONE;
    struct str text = redis_text(reply);
    if (is_raised_inside(text))
        return REDIS_ERROR_OTHER;
    for (size_t i = 0; i < ARRAY_COUNT(table); i++)
        if (str_has_prefix(text, table[i].prefix))
            return table[i].error;
    return REDIS_ERROR_OTHER;
}

/* ---- places ---- */

static bool set_place(struct redis_place *place, struct str host, int64_t port)
{
    if (host.len >= sizeof place->host || port < 1 || port > UINT16_MAX ||
        memchr(host.len ? host.ptr : "", 0, host.len))
        return false;
    if (host.len > 0)
        memcpy(place->host, host.ptr, host.len);
    place->host[host.len] = 0;
    place->port = (uint16_t)port;
    return true;
}

static struct str next_word(struct str *rest)
{
    const char *space = rest->len ? memchr(rest->ptr, ' ', rest->len) : NULL;
    size_t n = space ? (size_t)(space - rest->ptr) : rest->len;
    struct str word = { rest->ptr, n };

    *rest = space ? (struct str){ space + 1, rest->len - n - 1 } : (struct str){ NULL, 0 };
    return word;
}

bool redis_redirect_parse(struct str text, uint16_t *ret_slot, struct redis_place *ret_place)
{
    struct str rest = text;
    int64_t slot, port;

    next_word(&rest);
    struct str number = next_word(&rest), where = next_word(&rest);
    size_t colon = where.len; /* the last one: IPv6 has some */
    while (colon > 0 && where.ptr[colon - 1] != ':')
        colon--;
    if (colon == 0 || !str_parse_int64(number, &slot) || slot < 0 || slot >= REDIS_SLOTS)
        return false;
    if (!str_parse_int64((struct str){ where.ptr + colon, where.len - colon }, &port))
        return false;
    *ret_slot = (uint16_t)slot;
    return set_place(ret_place, (struct str){ where.ptr, colon - 1 }, port);
}

bool redis_master_parse(const redisReply *reply, struct redis_place *ret_place)
{
    int64_t port;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2)
        return false;
    struct str host = redis_text(reply->element[0]);
    return host.len > 0 && str_parse_int64(redis_text(reply->element[1]), &port) &&
           set_place(ret_place, host, port);
}

bool redis_slots_row_parse(const redisReply *row, struct redis_slots_row *ret_row)
{
    if (row->type != REDIS_REPLY_ARRAY || row->elements < 3)
        return false;
    const redisReply *first = row->element[0], *last = row->element[1], *node = row->element[2];
    if (first->type != REDIS_REPLY_INTEGER || last->type != REDIS_REPLY_INTEGER ||
        node->type != REDIS_REPLY_ARRAY || node->elements < 2 ||
        node->element[1]->type != REDIS_REPLY_INTEGER)
        return false;
    if (first->integer < 0 || last->integer < first->integer || last->integer >= REDIS_SLOTS)
        return false;
    struct str host = redis_text(node->element[0]);
    if (str_equal(host, STR("?"))) /* cluster-preferred-endpoint-type, and no name is known */
        return false;
    ret_row->first = (uint16_t)first->integer;
    ret_row->last = (uint16_t)last->integer;
    return set_place(&ret_row->primary, host, node->element[1]->integer);
}

/* ---- slots ---- */

/* CRC-16/XMODEM, bit by bit: keys are short. */
static uint16_t crc16(struct str bytes)
{
    unsigned crc = 0;

    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= (unsigned)(unsigned char)bytes.ptr[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
    }
    return (uint16_t)crc;
}

uint16_t redis_slot_of(struct str key)
{
    const char *open = key.len ? memchr(key.ptr, '{', key.len) : NULL;

    if (open) {
        size_t left = key.len - (size_t)(open + 1 - key.ptr);
        const char *close = left ? memchr(open + 1, '}', left) : NULL;
        if (close && close > open + 1)
            key = (struct str){ open + 1, (size_t)(close - open - 1) };
    }
    return crc16(key) % REDIS_SLOTS;
}

/* ---- what a server says of itself ---- */

struct str redis_role_of(const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 1)
        return STR_NONE;
    return redis_text(reply->element[0]);
}

struct str redis_info_find(struct str info, struct str name)
{
    while (info.len > 0) {
        const char *end = memchr(info.ptr, '\n', info.len);
        size_t n = end ? (size_t)(end - info.ptr) : info.len;
        struct str line = { info.ptr, n };
        info = end ? (struct str){ end + 1, info.len - n - 1 } : STR_NONE;
        if (line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        if (line.len > name.len && str_has_prefix(line, name) && line.ptr[name.len] == ':')
            return (struct str){ line.ptr + name.len + 1, line.len - name.len - 1 };
    }
    return STR_NONE;
}

struct str redis_config_find(const redisReply *reply, struct str name)
{
    if (reply->type != REDIS_REPLY_ARRAY)
        return STR_NONE;
    for (size_t i = 0; i + 1 < reply->elements; i += 2)
        if (str_equal(redis_text(reply->element[i]), name))
            return redis_text(reply->element[i + 1]);
    return STR_NONE;
}
