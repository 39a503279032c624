// SPDX-License-Identifier: Apache-2.0
/*
 * A cluster: which slot is whose, and what to do when a node says otherwise.
 *
 * The map is CLUSTER SLOTS of whichever node is connected. It is fetched at the start, when a node
 * sends a call elsewhere, and every now and then while a node that it names is away; one fetch at a
 * time. Calls go by the map that there is: a wrong one costs a redirection, not an answer.
 */
#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "redis/redis_internal.h"

enum {
    REDIRECTS_MAX = 5, /* of one call */
    NODES_MAX = 1000,  /* beyond which something is wrong with what nodes tell */
    FETCH_MS = 250,
    FETCH_AGAIN_MS = 100,
};

struct redis_cluster {
    struct redis *redis;
    struct redis_node *slot[REDIS_SLOTS];
    bool mapped, wanted; /* there is a map; a newer one is to be fetched */
    bool fetching;
    struct redis_call fetch;
    struct loop_timer again;
    size_t node_count;
};

/* ---- nodes ---- */

static struct redis_node *find(struct redis_cluster *cluster, const struct redis_place *place)
{
    struct redis_node *node;

    LIST_FOREACH (node, &cluster->redis->nodes, struct redis_node, node)
        if (node->place.port == place->port && strcmp(node->place.host, place->host) == 0)
            return node;
    return NULL;
}

/* `from` is who told: a host may be left out for its own. NULL: no memory, or too many. */
static struct redis_node *find_or_add(struct redis_cluster *cluster,
                                      const struct redis_place *place,
                                      const struct redis_node *from)
{
    struct redis_place whole = *place;

    if (!whole.host[0] && from)
        memcpy(whole.host, from->place.host, sizeof whole.host);
    struct redis_node *node = find(cluster, &whole);
    if (node)
        return node;
    if (cluster->node_count >= NODES_MAX)
        return NULL;
    node = redis_node_new(cluster->redis, &whole);
    if (!node)
        return NULL;
    node->unused = true;
    cluster->node_count++;
    return node;
}

/* Those of the map are kept connected, and are what the figures are about. */
static void mark_used(struct redis_cluster *cluster)
{
    struct redis *redis = cluster->redis;
    struct redis_node *node;

    pthread_mutex_lock(&redis->lock);
    LIST_FOREACH (node, &redis->nodes, struct redis_node, node)
        node->unused = true;
    for (size_t i = 0; i < REDIS_SLOTS; i++)
        if (cluster->slot[i])
            cluster->slot[i]->unused = false;
    pthread_mutex_unlock(&redis->lock);
    LIST_FOREACH (node, &redis->nodes, struct redis_node, node) {
        if (!node->unused && node->state == REDIS_NODE_IDLE)
            redis_node_connect(node);
    }
}

size_t redis_cluster_primaries(struct redis_cluster *cluster, struct redis_node **nodes, size_t max)
{
    struct redis_node *node;
    size_t count = 0;

    LIST_FOREACH (node, &cluster->redis->nodes, struct redis_node, node)
        if (!node->unused && count < max)
            nodes[count++] = node;
    return count;
}

/* ---- the map ---- */

static void want_again(struct redis_cluster *cluster)
{
    if (!cluster->again.impl)
        err_ignore(loop_timer_start(cluster->redis->loop, &cluster->again, FETCH_AGAIN_MS),
                   "the next redirection fetches it");
}

/* All of it, or nothing is changed. */
static bool apply(struct redis_cluster *cluster, const redisReply *reply,
                  const struct redis_node *from)
{
    struct redis_slots_row row;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0)
        return false;
    for (size_t i = 0; i < reply->elements; i++)
        if (!redis_slots_row_parse(reply->element[i], &row) ||
            !find_or_add(cluster, &row.primary, from))
            return false;
    memset(cluster->slot, 0, sizeof cluster->slot);
    for (size_t i = 0; i < reply->elements; i++) {
        if (!redis_slots_row_parse(reply->element[i], &row))
            continue;
        struct redis_node *node = find_or_add(cluster, &row.primary, from);
        for (size_t slot = row.first; slot <= row.last; slot++)
            cluster->slot[slot] = node;
    }
    return true;
}

/* While one is away, its slots may go to another any moment. */
static bool all_ready(const struct redis_cluster *cluster)
{
    const struct redis_node *node;

    LIST_FOREACH (node, &cluster->redis->nodes, struct redis_node, node)
        if (!node->unused && node->state != REDIS_NODE_READY)
            return false;
    return true;
}

static void on_fetched(struct redis_call *call, const redisReply *reply)
{
    struct redis_cluster *cluster = CONTAINER_OF(call, struct redis_cluster, fetch);

    cluster->fetching = false;
    if (!reply || !apply(cluster, reply, call->at)) {
        if (reply)
            LOG(LOG_WARN, "no map of the cluster", LOG_CSTR("host", call->at->place.host),
                LOG_STR("reply", redis_text(reply)));
        want_again(cluster);
        return;
    }
    cluster->mapped = true;
    mark_used(cluster);
    cluster->wanted = !all_ready(cluster);
    if (cluster->wanted)
        want_again(cluster);
    /* Who waits for a node that is gone may find another in its place. */
    redis_call_wake_all(cluster->redis);
}

static bool fetch_from(struct redis_cluster *cluster, struct redis_node *node)
{
    static const char *const words[] = { "CLUSTER", "SLOTS" };
    struct redis *redis = cluster->redis;

    cluster->fetch = (struct redis_call){ .argc = ARRAY_COUNT(words),
                                          .argv = words,
                                          .deadline_ms = loop_now_ms(redis->loop) + FETCH_MS,
                                          .redis = redis,
                                          .at = node,
                                          .internal = on_fetched };
    cluster->fetching = redis_conn_send(node->conn, &cluster->fetch) == ERR_OK;
    return cluster->fetching;
}

/* Another one each time: what one knows may be old. */
static struct redis_node *next_ready(struct redis_cluster *cluster)
{
    struct redis *redis = cluster->redis;
    struct redis_node *node, *ready = NULL;
    uint64_t seen = 0;

    LIST_FOREACH (node, &redis->nodes, struct redis_node, node)
        if (node->state == REDIS_NODE_READY && redis_random(redis, ++seen) == 0)
            ready = node;
    return ready;
}

static void connect_all(struct redis_cluster *cluster)
{
    struct redis_node *node;

    LIST_FOREACH (node, &cluster->redis->nodes, struct redis_node, node)
        if (node->state == REDIS_NODE_IDLE)
            redis_node_connect(node);
}

void redis_cluster_refresh(struct redis_cluster *cluster)
{
    cluster->wanted = true;
    if (cluster->fetching)
        return;
    struct redis_node *node = next_ready(cluster);
    if (node) {
        if (!fetch_from(cluster, node))
            want_again(cluster);
    } else {
        connect_all(cluster); /* the first that is ready is asked */
        want_again(cluster);
    }
}

static void on_again(struct loop_timer *timer)
{
    struct redis_cluster *cluster = CONTAINER_OF(timer, struct redis_cluster, again);

    if (cluster->wanted)
        redis_cluster_refresh(cluster);
}

void redis_cluster_node_changed(struct redis_cluster *cluster, struct redis_node *node)
{
    if (node->state == REDIS_NODE_READY) {
        if (cluster->wanted)
            redis_cluster_refresh(cluster);
    } else if (!node->unused) { /* another may have its slots soon */
        cluster->wanted = true;
        want_again(cluster);
    }
}

/* ---- calls ---- */

struct redis_node *redis_cluster_pick(struct redis_cluster *cluster, struct str key)
{
    struct redis_node *node = NULL;

    if (cluster->mapped && key.ptr)
        node = cluster->slot[redis_slot_of(key)];
    for (size_t i = 0; cluster->mapped && !key.ptr && i < REDIS_SLOTS; i++)
        if (cluster->slot[i] && (!node || cluster->slot[i]->state == REDIS_NODE_READY)) {
            node = cluster->slot[i];
            if (node->state == REDIS_NODE_READY)
                break;
        }
    if (!node)
        redis_cluster_refresh(cluster);
    return node;
}

bool redis_cluster_redirect(struct redis_cluster *cluster, struct redis_call *call,
                            enum redis_error error, struct str text)
{
    struct redis_place place;
    uint16_t slot;

    if (call->redirects >= REDIRECTS_MAX || !redis_redirect_parse(text, &slot, &place))
        return false;
    struct redis_node *node = find_or_add(cluster, &place, call->at);
    if (!node)
        return false;
    call->redirects++;
    pthread_mutex_lock(&cluster->redis->lock);
    cluster->redis->stats.redirects++;
    pthread_mutex_unlock(&cluster->redis->lock);
    call->asking = error == REDIS_ERROR_ASK;
    if (error == REDIS_ERROR_MOVED) {
        cluster->slot[slot] = node;
        redis_cluster_refresh(cluster);
    }
    redis_node_start(node, call);
    return true;
}

struct redis_cluster *redis_cluster_new(struct redis *redis)
{
    struct redis_cluster *cluster = mem_alloc(sizeof *cluster);

    if (!cluster)
        return NULL;
    cluster->redis = redis;
    cluster->again.run = on_again;
    for (size_t i = 0; i < redis->target->place_count; i++)
        if (!find_or_add(cluster, &redis->target->place[i], NULL))
            return mem_free(cluster); /* the nodes are the client's */
    return cluster;
}

struct redis_cluster *redis_cluster_free(struct redis_cluster *cluster)
{
    if (cluster)
        loop_timer_stop(&cluster->again);
    return mem_free(cluster);
}
