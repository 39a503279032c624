// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <pthread.h>

#include "ranking/ranking_backend.h"
#include "ranking/ranking_redis.h"

/* functions/doorbuster_ranking.lua, built in */
extern const char ranking_redis_library[];
extern const size_t ranking_redis_library_bytes;

/* ---- ranking_redis_args.c: what is sent and what comes back ---- */

#define RANKING_REDIS_KEY "{ranking}:v2:meta"
#define RANKING_REDIS_NAME(name) STR("ranking_v2_" name)

enum { SUMS_AT_ONCE = 128, SUM_ARGS = 9, ARGS_MAX = 8 + SUMS_AT_ONCE * SUM_ARGS };
enum { ARGS_TEXT_BYTES = 256 + SUMS_AT_ONCE * SUM_ARGS * 21 };

/* A command; numbers are written into `text`. There is always room for what is asked for. */
struct rr_args {
    const char **argv;
    size_t *bytes;
    char *text;
    size_t argc, argc_max, used, room;
};
void rr_args_text(struct rr_args *args, struct str text);
void rr_args_int(struct rr_args *args, int64_t value);
/* FCALL of one of our functions. */
void rr_args_call(struct rr_args *args, struct str function, bool read_only);
void rr_args_sum(struct rr_args *args, const struct ranking_sum *sum);

enum rr_code { RR_OK, RR_LOST, RR_NOT_HELD, RR_MAKING, RR_BUSY, RR_FAILED };

/* What every answer begins with: the state of the copy. */
struct rr_header {
    enum rr_code code; /* FAILED: there is no such answer */
    bool readable;
    int64_t version, as_of_ms, from_day;
};
struct rr_header rr_header_of(enum err e, const redisReply *reply);
/* Entries of a page: members and scores, as of `window`; at most `max` of them. */
size_t rr_entries_of(const redisReply *reply, enum sales_window window, int64_t first,
                     struct ranking_entry *entries, size_t max);
/* FCALL says that the library is not there. */
bool rr_is_unknown_function(const redisReply *reply);

/* ---- what is waiting to be sent ---- */

enum item_kind { ITEM_SUM, ITEM_MOVE, ITEM_FORGET, ITEM_BEGIN, ITEM_PUT, ITEM_END };

struct feed_item {
    struct list node;        /* in ranking->queue, or ranking->flight */
    struct feed_item *chain; /* of its cell, while it is one */
    enum item_kind kind;
    bool in_cell;
    struct ranking_sum sum; /* MOVE: product, category, its version; FORGET, BEGIN: day */
    /* BEGIN, PUT, END: somebody waits */
    const struct ranking_sum *sums;
    size_t count;
    bool of_copy;
    bool over;
    enum rr_code code;
    char category[]; /* of sum */
};

enum { QUEUE_MAX = 32768, QUEUE_CELLS = 4096 };

/* What the thread is sending. */
enum sending {
    SENDING_NOTHING,
    SENDING_LOAD,
    SENDING_LOSE,
    SENDING_ITEMS,
    SENDING_SWEEP,
    SENDING_STATUS,
};

struct redis_ranking {
    struct ranking base;
    struct ranking_redis_options options;
    char token[24]; /* of this server's copies */
    pthread_t thread;
    struct loop *loop;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    /* What is known of the copy. */
    bool reachable, readable;
    int64_t remote_version, as_of_ms, from_day;
    uint64_t tickets, newest; /* of requests: handed out, the last one whose answer counts */
    uint64_t version;
    /* What this server knows by itself. */
    int64_t floor_day;
    bool fault;
    bool lost; /* and nobody has been told yet */
    bool copying, copy_failed;
    pthread_t copier;
    struct list queue, flight;
    size_t queued;
    struct feed_item *cells[QUEUE_CELLS];
    struct list clients;
    bool woken, stopping;
    bool sweeping;

    /* The thread's own. */
    struct redis *redis;
    struct redis_call call;
    struct loop_task wake;
    struct loop_timer timer;
    enum sending sending;
    uint64_t ticket, retry_at_ms, flush_at_ms, status_at_ms, stop_by_ms;
    bool loaded;
    unsigned failures; /* in a row */
    char sweep_at[24];
    struct rr_args args;
    const char *argv[ARGS_MAX];
    size_t bytes[ARGS_MAX];
    char text[ARGS_TEXT_BYTES];
};

static inline struct redis_ranking *redis_ranking_self(struct ranking *ranking)
{
    return CONTAINER_OF(ranking, struct redis_ranking, base);
}
/* With the lock: a request is made; its answer came. */
uint64_t rr_ticket(struct redis_ranking *ranking);
void rr_view_take(struct redis_ranking *ranking, uint64_t ticket, const struct rr_header *header);
void rr_view_away(struct redis_ranking *ranking);
/* With the lock: sums or moves were lost; everything that is queued is worthless now. */
void rr_lose(struct redis_ranking *ranking);

/* ranking_redis_feed.c */
void rr_put(struct ranking *ranking, const struct ranking_sum *sums, size_t count);
enum err rr_put_surely(struct ranking *ranking, const struct ranking_sum *sums, size_t count);
void rr_move(struct ranking *ranking, int64_t product_id, struct str category, int64_t version);
void rr_forget_before(struct ranking *ranking, int64_t day);
enum err rr_copy_begin(struct ranking *ranking, int64_t from_day);
enum err rr_copy_end(struct ranking *ranking);
/* With the lock. */
void rr_wake(struct redis_ranking *ranking);
void rr_queue_take(struct redis_ranking *ranking, struct feed_item *item); /* to `flight` */
void rr_queue_give_back(struct redis_ranking *ranking);                    /* all of `flight` */
void rr_flight_end(struct redis_ranking *ranking, enum rr_code code);
void rr_queue_drop(struct redis_ranking *ranking); /* those that nobody waits for */
/* Tests: until everything queued has been sent, or cannot be. */
void rr_settle(struct ranking *ranking);

/* ranking_redis_thread.c */
void *rr_thread(void *ranking);
void rr_thread_init(struct redis_ranking *ranking);

/* ranking_redis_read.c */
struct redis_client {
    struct ranking_client base;
    struct list node; /* in ranking->clients */
    struct loop *loop;
    struct redis *redis;
    size_t in_flight;
};
void rr_read(struct ranking_client *client, struct ranking_read *read);
struct ranking_client *rr_client_new(struct ranking *ranking, struct loop *loop,
                                     struct metrics_slot *metrics);
struct ranking_client *rr_client_free(struct ranking_client *client);
