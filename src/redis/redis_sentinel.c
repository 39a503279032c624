// SPDX-License-Identifier: Apache-2.0
#include "redis/redis_internal.h"

struct redis_sentinels *redis_sentinels_new(struct redis *redis)
{
    return (struct redis_sentinels *)(void *)redis;
}

struct redis_sentinels *redis_sentinels_free(struct redis_sentinels *sentinels)
{
    (void)sentinels;
    return NULL;
}

void redis_sentinels_locate(struct redis_sentinels *sentinels, struct redis_node *node)
{
    (void)sentinels;
    redis_node_lost(node, "sentinels cannot be asked yet");
}
