// SPDX-License-Identifier: Apache-2.0
/*
 * Settings with which a server loses what it has acknowledged, or forgets it on its own. The gate
 * survives even that (the ledger has the last word), but people who were told that they are in
 * would lose their place, and every loss closes the coupons for a rebuild.
 */
#include <stdio.h>

#include "redis/redis_internal.h"

static const struct {
    const char *name, *value, *because;
} settings[] = {
    { "appendonly", "yes", "after a restart it would come back without the latest places" },
    { "maxmemory-policy", "noeviction", "when its memory is full it would throw places away" },
    { "repl-backlog-ttl", "0",
      "a primary without replicas would change its replication id, which closes the gate" },
};

enum { NODES_MAX = 64 };

static void free_reply(redisReply **reply)
{
    if (*reply)
        freeReplyObject(*reply);
}

static enum err check_one(struct redis_sync *sync, struct redis_node *node, size_t i,
                          char why[REDIS_WHY_BYTES])
{
    const char *words[] = { "CONFIG", "GET", settings[i].name };
    CLEANUP(free_reply) redisReply *reply = NULL;
    const char *host = node->place.host;
    unsigned port = node->place.port;

    enum err e = redis_sync_call_at(
        sync, &(struct redis_command){ .argc = ARRAY_COUNT(words), .argv = words }, node, &reply);
    if (e == ERR_OK && reply->type == REDIS_REPLY_ERROR)
        e = ERR_UNAVAILABLE;
    if (e != ERR_OK) {
        snprintf(why, REDIS_WHY_BYTES,
                 "Redis %.64s:%u does not tell its settings (CONFIG GET %s: %.80s)", host, port,
                 settings[i].name, reply && reply->str ? reply->str : err_text(e));
        return ERR_UNAVAILABLE;
    }
    struct str value = redis_config_find(reply, str_from(settings[i].name));
    if (str_equal(value, str_from(settings[i].value)))
        return ERR_OK;
    snprintf(why, REDIS_WHY_BYTES,
             "Redis %.64s:%u has `%s %.*s`: %s; redis-cli -h %.64s -p %u config set %s %s", host,
             port, settings[i].name, (int)MIN(value.len, 32), value.len ? value.ptr : "",
             settings[i].because, host, port, settings[i].name, settings[i].value);
    return ERR_INVALID;
}

enum err redis_check_safety(struct redis_sync *sync, char ret_why[REDIS_WHY_BYTES])
{
    struct redis_node *nodes[NODES_MAX];
    size_t count = redis_sync_primaries(sync, nodes, NODES_MAX);

    for (size_t n = 0; n < count; n++)
        for (size_t i = 0; i < ARRAY_COUNT(settings); i++)
            TRY(check_one(sync, nodes[n], i, ret_why));
    return ERR_OK;
}
