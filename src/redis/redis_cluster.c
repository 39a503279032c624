// SPDX-License-Identifier: Apache-2.0
#include "redis/redis_internal.h"

struct redis_cluster *redis_cluster_new(struct redis *redis)
{
    return (struct redis_cluster *)(void *)redis;
}

struct redis_cluster *redis_cluster_free(struct redis_cluster *cluster)
{
    (void)cluster;
    return NULL;
}

struct redis_node *redis_cluster_pick(struct redis_cluster *cluster, struct str key)
{
    (void)cluster, (void)key;
    return NULL;
}

bool redis_cluster_redirect(struct redis_cluster *cluster, struct redis_call *call,
                            enum redis_error error, struct str text)
{
    (void)cluster, (void)call, (void)error, (void)text;
    return false;
}

void redis_cluster_refresh(struct redis_cluster *cluster)
{
    (void)cluster;
}

void redis_cluster_node_changed(struct redis_cluster *cluster, struct redis_node *node)
{
    (void)cluster, (void)node;
}
