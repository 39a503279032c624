// SPDX-License-Identifier: Apache-2.0
/*
 * Redis: one client per loop, over one server, a group watched by Sentinel, or a cluster; which of
 * them the URL says. A client finds the primary, keeps a connection to each one that it uses,
 * reconnects by itself, and has a circuit breaker before each.
 *
 * What "certainly" means here: ERR_UNAVAILABLE only if no server can have executed the command: it
 * was not sent whole, or the server said so. Everything else without an answer is ERR_UNCERTAIN.
 *
 *     single     redis://[user[:password]@]host[:port][/database]
 *     sentinel   redis+sentinel://[user[:password]@]host[:port],...[/master name[/database]]
 *                    [?sentinel_user=user&sentinel_password=password]
 *     cluster    redis+cluster://[user[:password]@]host[:port],...
 */
#pragma once
#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "base/str.h"
#include "core/breaker.h"
#include "loop/loop.h"
#include "metrics/metrics.h"

/* ---- where it is ---- */

enum redis_topology { REDIS_SINGLE, REDIS_SENTINEL, REDIS_CLUSTER };

enum {
    REDIS_PLACES_MAX = 16,
    REDIS_HOST_BYTES = 254,
    REDIS_WORD_BYTES = 128, /* user, master's name */
    REDIS_PASSWORD_BYTES = 1025,
};

struct redis_place {
    char host[REDIS_HOST_BYTES]; /* a name or an address, without brackets */
    uint16_t port;
};

struct redis_target {
    enum redis_topology topology;
    struct redis_place place[REDIS_PLACES_MAX]; /* of the server, sentinels, some of the nodes */
    size_t place_count;
    char user[REDIS_WORD_BYTES]; /* "": the default user */
    char password[REDIS_PASSWORD_BYTES];
    char sentinel_user[REDIS_WORD_BYTES]; /* the same, of the sentinels themselves */
    char sentinel_password[REDIS_PASSWORD_BYTES];
    char master[REDIS_WORD_BYTES]; /* of sentinels: "mymaster" where none is given */
    uint32_t database;
};

enum { REDIS_WHY_BYTES = 512 };

/* ERR_INVALID with a sentence in `ret_why`. */
enum err redis_target_parse(struct redis_target *target, const char *url,
                            char ret_why[REDIS_WHY_BYTES]) MUST_CHECK;

struct redis_options {
    const struct redis_target *target; /* borrowed as long as there is a client of it */
    const char *name;                  /* CLIENT SETNAME; borrowed; NULL: "doorbuster" */
    uint32_t connect_timeout_ms;       /* with greeting; 0: 1,000 */
    /* Nothing heard for so long while calls wait: the connection is dropped, so no blocking
     * commands; 0: 500 */
    uint32_t silence_ms;
    uint32_t slow_ms;                     /* of the breaker; 0: 50 */
    struct metrics_slot *metrics;         /* of the loop's thread; or NULL */
    enum metrics_breaker metrics_breaker; /* whose calls these are, with `metrics` */
    uint64_t seed;                        /* of jitter */
    /* Calls wait for a connection until their deadline, and there is no breaker: for those who have
     * nothing else to do. As redis_sync_open() has it. */
    bool patient;
};

/* ---- on a loop ---- */

struct redis;

/* Connects by itself, from now on. `options` is copied. NULL without memory. */
struct redis *redis_new(struct loop *loop, const struct redis_options *options) MUST_CHECK;
/* `idle` is posted once no call is under way, at the latest when their deadlines have passed. */
void redis_when_idle(struct redis *redis, struct loop_task *idle);
/* Before loop_free(), which closes what is left. Calls that are under way are forgotten: `done` is
 * not called any more, and they are not looked at; so if there are any, the loop must not run
 * again. */
struct redis *redis_free(struct redis *redis);

struct redis_node;
struct redis_conn;

/* Zeroed, then filled in by the caller, whose it is until `done`. */
struct redis_call {
    void (*done)(struct redis_call *call); /* once; never from inside redis_call() */
    size_t argc;
    const char *const *argv; /* borrowed until `done`, as is all that follows */
    const size_t *argv_bytes;
    struct str key;       /* decides the node of a cluster; ptr NULL: any primary */
    uint64_t deadline_ms; /* of loop_now_ms() */
    bool read_only;       /* could be repeated without harm */

    /*
     * ERR_OK           `reply` is there; of type REDIS_REPLY_ERROR if the command or a Function
     *                  failed, which may have had effects all the same
     * ERR_UNAVAILABLE  certainly not executed: no connection, the breaker is open, a server that
     *                  is loading, read-only, out of memory, …
     * ERR_UNCERTAIN    sent, and not answered before the deadline or the connection's end
     * ERR_NOMEM        certainly not executed
     */
    enum err err;
    const redisReply *reply; /* until `done` returns; NULL without ERR_OK */

    /* private */
    struct list node;
    struct loop_task task;
    struct redis *redis;
    struct redis_node *at;
    struct redis_conn *conn;
    uint64_t number, end_offset, wake_ms, started_ns;
    struct breaker_permit permit;
    uint8_t tries, redirects;
    bool asking, keeps_reply;
    struct redis_node *pinned;
    void (*internal)(struct redis_call *call, const redisReply *reply); /* NULL: failed */
};

void redis_call(struct redis *redis, struct redis_call *call);

struct redis_stats {
    struct breaker_status breaker; /* of the worst endpoint; counts are of all */
    uint64_t ready, nodes;         /* connections that are up, endpoints in use */
    uint64_t reconnects, unavailable, uncertain, retries, redirects;
    uint64_t in_flight;
};
/* Any thread. */
struct redis_stats redis_stats(struct redis *redis);
void redis_stats_add(struct redis_stats *sum, const struct redis_stats *stats);

/* ---- on a thread that may block ---- */

struct redis_sync;

struct redis_command {
    size_t argc;
    const char *const *argv;
    const size_t *argv_bytes;
    struct str key; /* as of redis_call */
};

/*
 * A client of one thread at a time, which blocks until it is connected, or else the time-out.
 * `timeout_ms` is of each call, of all of a pipeline's commands together. ERR_UNAVAILABLE,
 * ERR_NOMEM.
 */
enum err redis_sync_open(const struct redis_options *options, uint32_t timeout_ms,
                         struct redis_sync **ret_redis) MUST_CHECK;
struct redis_sync *redis_sync_close(struct redis_sync *redis);
/* Errors as of redis_call. `*ret_reply` is the caller's, to freeReplyObject(). */
enum err redis_sync_call(struct redis_sync *redis, const struct redis_command *command,
                         redisReply **ret_reply) MUST_CHECK;
/*
 * All of them sent before the first answer is read. Each has its outcome in `ret_errs`, and its
 * reply, or NULL, in `ret_replies`; answers the first that is not ERR_OK.
 */
enum err redis_sync_pipeline(struct redis_sync *redis, const struct redis_command *commands,
                             size_t count, enum err *ret_errs, redisReply **ret_replies) MUST_CHECK;
/*
 * The same in two halves, for who has something to do meanwhile: what is under way goes on with
 * each call of this client, and with redis_sync_turn(), which does not wait. What the commands name
 * is borrowed until the end, which there must be. ERR_NOMEM: nothing was begun.
 */
struct redis_flight;
enum err redis_sync_begin(struct redis_sync *redis, const struct redis_command *commands,
                          size_t count, struct redis_flight **ret_flight) MUST_CHECK;
enum err redis_sync_end(struct redis_flight *flight, enum err *ret_errs,
                        redisReply **ret_replies) MUST_CHECK;
void redis_sync_turn(struct redis_sync *redis);
/* The same command at every primary, until one fails: FUNCTION LOAD, for one. An error reply is a
 * failure, too (ERR_INVALID), and is in `ret_why`. */
enum err redis_sync_everywhere(struct redis_sync *redis, const struct redis_command *command,
                               char ret_why[REDIS_WHY_BYTES]) MUST_CHECK;

/*
 * Can these servers lose what they have acknowledged, or forget it on their own? ERR_INVALID: yes,
 * and `ret_why` says which setting it is and how to mend it; ERR_UNAVAILABLE: could not be read.
 */
enum err redis_check_safety(struct redis_sync *redis, char ret_why[REDIS_WHY_BYTES]) MUST_CHECK;

DEFINE_CLEANUP(struct redis_sync, redis_sync_close)
