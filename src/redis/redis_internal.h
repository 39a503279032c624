// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <pthread.h>

#include "base/buf.h"
#include "core/retry.h"
#include "redis/redis.h"
#include "redis/redis_reply.h"

/* ---- one connection: redis_conn.c ---- */

/* Whose it is. Told after what it is about is already so; may close the connection. */
struct redis_conn_use {
    void (*ready)(void *owner); /* greeted: calls may be sent */
    /* It is gone. Neither redis_conn_close() nor anything else may follow. Calls under way have
     * been failed before. `why` is a static text or as long as the call. */
    void (*lost)(void *owner, const char *why);
    /* Both from the loop, never from inside redis_conn_send(). */
    /* Answers whether the reply has been taken over. */
    bool (*replied)(struct redis_call *call, redisReply *reply);
    void (*failed)(struct redis_call *call, enum err e);
};

struct redis_conn_options {
    const struct redis_conn_use *use;
    void *owner;
    const struct redis_target *target; /* NULL: no database, no role (sentinels) */
    const char *user, *password;       /* whom to greet as; "": the default user, no password */
    const char *name;
    bool primary_only;
    uint32_t connect_timeout_ms, silence_ms;
};

/* `ready` or `lost` follows, unless the answer is NULL (no memory, no descriptor, no route). */
struct redis_conn *redis_conn_new(struct loop *loop, const struct loop_addr *addr,
                                  const struct redis_conn_options *options);
/* Fails what is under way; `lost` is not called any more. */
void redis_conn_close(struct redis_conn *conn);
/* The same, but what is under way is forgotten. */
void redis_conn_abandon(struct redis_conn *conn);
/* Ready. `replied` or `failed` follows, unless the answer is ERR_NOMEM. */
enum err redis_conn_send(struct redis_conn *conn, struct redis_call *call) MUST_CHECK;

/* ---- what is greeted with: redis_greeting.c ---- */

enum { REDIS_GREETING_MAX = 6 };

struct redis_greeting {
    enum redis_greeted {
        REDIS_GREET_AUTH,
        REDIS_GREET_PING,
        REDIS_GREET_SELECT,
        REDIS_GREET_NAME,
        REDIS_GREET_ROLE,
    } step[REDIS_GREETING_MAX];
    unsigned count, answered;
};

/* Appends the commands. */
void redis_greeting_begin(struct redis_greeting *greeting, const struct redis_conn_options *options,
                          struct buf *out);
/* The next answer. NULL: as it should be, else why not. */
const char *redis_greeting_take(struct redis_greeting *greeting,
                                const struct redis_conn_options *options, const redisReply *reply);
void redis_command_append(struct buf *out, size_t argc, const char *const *argv,
                          const size_t *argv_bytes);

/* ---- names: redis_resolve.c ---- */

struct redis_resolve; /* one look-up under way */

/* `done` follows from the loop, with ERR_UNAVAILABLE where there is no such name. ERR_NOMEM: it
 * does not. */
enum err redis_resolve_start(struct loop *loop, const struct redis_place *place,
                             void (*done)(void *owner, enum err e, const struct loop_addr *addr),
                             void *owner, struct redis_resolve **ret_resolve) MUST_CHECK;
void redis_resolve_cancel(struct redis_resolve *resolve); /* `done` is not called; takes NULL */

/* ---- one endpoint: redis_node.c ---- */

enum redis_node_state {
    REDIS_NODE_IDLE,     /* nobody has asked for it yet */
    REDIS_NODE_LOCATING, /* its address is being found: a look-up, or sentinels */
    REDIS_NODE_CONNECTING,
    REDIS_NODE_READY,
    REDIS_NODE_PAUSING, /* until the next attempt */
};

struct redis_node {
    struct redis *redis;
    struct list node;
    struct redis_place place;
    enum redis_node_state state;
    bool is_ready;     /* the same, for redis_stats(): under the client's lock */
    bool hopeful;      /* LOCATING, CONNECTING: calls wait for it; else they fail at once */
    unsigned failures; /* attempts in a row */
    struct redis_conn *conn;
    struct redis_resolve *resolve;
    struct loop_timer retry, probe;
    struct redis_call ping;
    bool pinging;
    bool unused; /* of a cluster, and not in its map; under the client's lock */
    uint64_t ready_at_ms, refused_at_ms;
    struct breaker breaker; /* under the client's lock */
    char why[64];           /* it failed last, so that the same is logged once */
};

struct redis_node *redis_node_new(struct redis *redis, const struct redis_place *place);
struct redis_node *redis_node_free(struct redis_node *node);
void redis_node_connect(struct redis_node *node); /* unless it is under way or there */
void redis_node_start(struct redis_node *node, struct redis_call *call);
/* What the topology found: where it is, or why that is not known. */
void redis_node_located(struct redis_node *node, const struct redis_place *place);
void redis_node_lost(struct redis_node *node, const char *why);
/* While it connects: it is elsewhere. */
void redis_node_turn_to(struct redis_node *node, const struct redis_place *place);
/* Drops the connection, to find the primary again. */
void redis_node_drop(struct redis_node *node, const char *why);
/* Answered, or failed: for the breaker and the metrics. */
void redis_node_told(struct redis_call *call, bool failed);

/* ---- the client: redis.c ---- */

struct redis_sentinels;
struct redis_cluster;

struct redis {
    struct loop *loop;
    struct redis_options options;
    const struct redis_target *target;
    struct list nodes;
    struct list waiting; /* calls: for their node, a map, or their back-off */
    struct loop_timer wake;
    uint64_t wake_at_ms;
    struct redis_sentinels *sentinels;
    struct redis_cluster *cluster;
    uint64_t random;
    struct loop_task *idle; /* to be posted; or NULL */
    struct retry_budget budget;
    pthread_mutex_t lock;
    struct redis_stats stats; /* counters; under `lock` */
};

/* A number in [0, below). */
uint64_t redis_random(struct redis *redis, uint64_t below);
/* Waits until `wake_ms`, then is routed again, or ends with ERR_UNAVAILABLE at its deadline. */
void redis_call_wait(struct redis_call *call, struct redis_node *at, uint64_t wake_ms);
/* Those that wait for `node` (NULL: for a map) are routed again. */
void redis_call_wake(struct redis *redis, struct redis_node *node);
/* All that wait, but those that are for one node only and those that back off: the map is new. */
void redis_call_wake_all(struct redis *redis);
void redis_call_route(struct redis_call *call);
/* From the loop, at once. Answers whether the call has taken over the reply. */
bool redis_call_end(struct redis_call *call, enum err e, const redisReply *reply);
/* Later in this turn, without a reply. */
void redis_call_fail(struct redis_call *call, enum err e);
extern const struct redis_conn_use redis_node_conn_use;

/* Primaries that there are to the best of its knowledge, up to `max`. */
size_t redis_primaries(struct redis *redis, struct redis_node **nodes, size_t max);

/* ---- sentinels: redis_sentinel.c ---- */

struct redis_sentinels *redis_sentinels_new(struct redis *redis);
struct redis_sentinels *redis_sentinels_free(struct redis_sentinels *sentinels);
/* redis_node_located() or redis_node_lost() follows. */
void redis_sentinels_locate(struct redis_sentinels *sentinels, struct redis_node *node);

/* ---- a cluster: redis_cluster.c ---- */

struct redis_cluster *redis_cluster_new(struct redis *redis);
struct redis_cluster *redis_cluster_free(struct redis_cluster *cluster);
/* The node for `key`; NULL: no map yet, and one is being fetched. */
struct redis_node *redis_cluster_pick(struct redis_cluster *cluster, struct str key);
/* MOVED, ASK. False: it makes no sense. */
bool redis_cluster_redirect(struct redis_cluster *cluster, struct redis_call *call,
                            enum redis_error error, struct str text);
void redis_cluster_refresh(struct redis_cluster *cluster); /* in the background, once */
/* Primaries of the map; waits for nothing. */
size_t redis_cluster_primaries(struct redis_cluster *cluster, struct redis_node **nodes,
                               size_t max);
void redis_cluster_node_changed(struct redis_cluster *cluster, struct redis_node *node);

/* ---- for what blocks: redis_sync.c ---- */

enum err redis_sync_call_at(struct redis_sync *sync, const struct redis_command *command,
                            struct redis_node *at, redisReply **ret_reply) MUST_CHECK;
size_t redis_sync_primaries(struct redis_sync *sync, struct redis_node **nodes, size_t max);
/* Of a cluster: whose `key` is. */
struct redis_node *redis_sync_node_of(struct redis_sync *sync, struct str key);
