// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/id_set.h"
#include "gate/gate_backend.h"
#include "gate/gate_redis.h"

/* The library, as it was built in. Its name and those of its Functions carry a digest of its text,
 * the keys a version of their layout: releases that differ serve side by side. */
extern const char gate_library[], gate_library_prefix[];
extern const size_t gate_library_bytes;
#define GATE_KEY_PREFIX "db1:"

enum {
    DROP_KEYS = 4, /* counts, entries, pending, returned: see the library */
    DROP_KEY_BYTES = 48,
    FUNCTION_BYTES = 40,
    PEOPLE_MAX = 128,           /* questions in one call */
    SETTLED_MAX = 1024,         /* confirmations in one call */
    HOLDERS_KEPT_MAX = 2000000, /* of a coupon that is sold out for good */
    OVER_LOOKED_MS = 2000,      /* sold out for good, unless nobody has looked for so long */
};

/* How a coupon's gate stands in Redis, as an answer describes it. */
struct drop_news {
    enum gate_store store;
    int64_t epoch, version, quantity, next, held, pending, returned, changes;
};

/* One coupon, as this server knows it. Never freed before the gate is. */
struct redis_drop {
    int64_t coupon_id; /* the map's key: first */
    char keys[DROP_KEYS][DROP_KEY_BYTES];
    size_t key_bytes[DROP_KEYS];

    pthread_mutex_t lock; /* guards the rest */
    bool known, closed_here;
    int64_t epoch; /* of SQL, or of our own rebuild */
    struct coupon_settings settings;
    struct drop_news seen;
    struct drop_news counts; /* seen last of a gate that was there */
    int64_t store_epoch;     /* the highest ever seen */
    uint64_t seen_boot_ms;   /* when the question was asked that was answered last */
    int64_t seen_wall_ms;
    uint64_t oldest_ms, oldest_boot_ms; /* age of the oldest pending entry, at that time */

    /* Sold out for good, with everybody who holds a place; for this epoch and version. */
    bool over, over_being_read;
    int64_t over_epoch, over_version;
    struct id_set holders;
};

/* int64 -> something that begins with that number. */
struct id_map {
    void **cells;
    size_t size, used; /* size: a power of two */
};
void *id_map_get(const struct id_map *map, int64_t id);
enum err id_map_put(struct id_map *map, void *item) MUST_CHECK; /* not there yet */
void id_map_fini(struct id_map *map, void (*each)(void *item));

struct redis_gate {
    struct gate base;
    struct redis_options redis;
    bool test_clock;
    uint32_t deadline_ms, call_ms;
    uint64_t token_seed;
    _Atomic uint64_t tokens, lease_until_ms, released, calls, people, unknown, told_over;
    _Atomic bool fault;

    pthread_mutex_t lock; /* guards the map and the list, not what is in them */
    struct id_map drops;
    struct redis_drop **list; /* all, in the order they came */
    size_t list_count, list_cap;
    struct list clients;

    pthread_mutex_t sync_lock; /* whoever blocks, one at a time */
    struct redis_sync *sync;   /* NULL: none yet, or it failed */
};

static inline struct redis_gate *redis_gate_self(struct gate *gate)
{
    return CONTAINER_OF(gate, struct redis_gate, base);
}

/* gate_redis.c */
struct redis_drop *redis_drop_find(struct redis_gate *gate, int64_t coupon_id);
struct redis_drop *redis_drop_get(struct redis_gate *gate, int64_t coupon_id); /* made; or NULL */
struct redis_drop *redis_drop_at(struct redis_gate *gate, size_t index);       /* NULL: no more */
uint64_t gate_redis_token(struct gate *gate);
bool redis_gate_has_lease(struct redis_gate *gate);
void redis_function_name(const char *function, char out[FUNCTION_BYTES]);

/* gate_redis_view.c: with the drop's lock held */
void redis_drop_seen(struct redis_drop *drop, const struct drop_news *news);
/* A gate of ours, or one that SQL knows. */
void redis_drop_renew(struct redis_drop *drop, int64_t epoch,
                      const struct coupon_settings *settings);
void redis_drop_forget_over(struct redis_drop *drop);
const char *redis_store_name(enum gate_store store);
bool redis_drop_is_open(const struct redis_drop *drop); /* here and there */
/* Without asking: nothing is left, and `user_id` has no place. */
bool redis_drop_is_over_for(struct redis_gate *gate, struct redis_drop *drop, int64_t user_id);
/* Parses the head of an answer; `*text` is then what follows it. False: not such an answer. */
uint64_t redis_news_changes(const struct drop_news *news);
bool redis_news_is_over(const struct drop_news *news);
bool redis_news_parse(const char **text, struct drop_news *news);
enum err gate_redis_set(struct gate *gate, int64_t coupon_id,
                        const struct coupon_settings *settings);
void gate_redis_close(struct gate *gate, int64_t coupon_id);
void gate_redis_reopen(struct gate *gate, int64_t coupon_id);
enum err gate_redis_adopt(struct gate *gate, int64_t coupon_id, int64_t epoch,
                          const struct coupon_settings *settings);
struct gate_status gate_redis_status(struct gate *gate, int64_t coupon_id);
uint64_t gate_redis_oldest_pending_ms(struct gate *gate, int64_t coupon_id);

/* ---- a loop's side ---- */

struct settled {
    int64_t user_id, slot, epoch;
    uint64_t token;
};
struct settled_list {
    struct settled *items;
    size_t count, cap;
};
struct pointer_list {
    void **items;
    size_t count, cap;
};

/* What waits for a coupon's next call, or is in it. */
struct lane_work {
    struct list asks, moves, sweeps;
    struct settled_list confirms, releases;
    struct pointer_list refreshes;
};

/* A command being put together. */
struct call_args {
    struct buf text;
    size_t *ends; /* of each argument in `text` */
    const char **argv;
    size_t *bytes;
    size_t count, cap;
    bool failed;
};

/* One coupon on one loop: one call at a time, what comes meanwhile makes up the next. */
struct lane {
    int64_t coupon_id; /* the map's key: first */
    struct redis_client *client;
    struct redis_drop *drop;
    struct list node; /* in client->ready, else by itself */
    struct lane_work waiting, sent;
    struct call_args args;
    struct redis_call call;
    struct loop_timer again;
    bool busy, loaded; /* loaded: the library, for this call */
    uint64_t sent_boot_ms, answered_ms, sweep_token;
    int64_t sent_wall_ms;
    unsigned failures; /* in a row */
};

struct redis_client {
    struct gate_client base;
    struct loop *loop;
    struct redis *redis;
    struct loop_hook hook;
    struct list node; /* in gate->clients */
    struct id_map lanes;
    struct list ready;    /* lanes with something to send */
    struct list answered; /* asks that need no call: told at the end of the turn */
    size_t under_way;     /* calls, timers and readers that hold on to the client */
};

static inline struct redis_client *redis_client_self(struct gate_client *client)
{
    return CONTAINER_OF(client, struct redis_client, base);
}

/* gate_redis_args.c */
void args_begin(struct call_args *args);
void args_str(struct call_args *args, const char *text);
void args_int(struct call_args *args, int64_t value);
void args_uint(struct call_args *args, uint64_t value);
/* "FCALL name 4 keys..." */
void args_function(struct call_args *args, const struct redis_drop *drop, const char *function);
bool args_end(struct call_args *args); /* false: no memory */
void args_fini(struct call_args *args);

/* gate_redis_lane.c */
struct lane *lane_get(struct redis_client *client, int64_t coupon_id); /* NULL: no memory */
void lane_ready(struct lane *lane);
void lane_send(struct lane *lane);
void lane_free(void *lane);
bool lane_work_is_empty(const struct lane_work *work);
enum err settled_put(struct settled_list *list, const struct settled *item) MUST_CHECK;
enum err pointer_put(struct pointer_list *list, void *item) MUST_CHECK;

/* gate_redis_answer.c */
void lane_answered(struct lane *lane, const redisReply *reply);
void lane_failed(struct lane *lane, enum err e); /* what was sent waits again, or ends */
void ask_end(struct gate_ask *ask, enum gate_outcome outcome);

/* gate_redis_client.c: the requests of gate.h */
struct gate_client *gate_redis_client_new(struct gate *gate, struct loop *loop,
                                          struct metrics_slot *metrics);
struct gate_client *gate_redis_client_free(struct gate_client *client);
bool gate_redis_client_is_idle(struct gate_client *client);
void gate_redis_ask(struct gate_client *client, struct gate_ask *ask);
void gate_redis_confirm(struct gate_client *client, const struct gate_entry *entry);
void gate_redis_release(struct gate_client *client, const struct gate_entry *entry);
void gate_redis_move(struct gate_client *client, struct gate_move *move);
void gate_redis_sweep(struct gate_client *client, struct gate_sweep *sweep);
void gate_redis_refresh(struct gate_client *client, struct gate_refresh *refresh);
void sweep_next(struct redis_client *client, struct gate_sweep *sweep);
void refresh_part_done(struct gate_refresh *refresh, enum err e);

/* gate_redis_look.c */
void gate_redis_look(struct gate_client *client, struct gate_look *look);

/* gate_redis_over.c: reads the holders of a coupon that is sold out for good */
void over_read(struct redis_client *client, struct redis_drop *drop, const struct drop_news *news);

/* gate_redis_sync.c: what blocks */
enum err redis_gate_call(struct redis_gate *gate, const struct redis_drop *drop,
                         struct call_args *args, redisReply **ret_reply);
enum err redis_sync_load(struct redis_sync *sync, char ret_why[REDIS_WHY_BYTES]);
enum err redis_reply_verdict(const redisReply *reply);
enum err gate_redis_seal(struct gate *gate, int64_t coupon_id, int64_t epoch);
enum err gate_redis_picture(struct gate *gate, int64_t coupon_id, struct gate_picture *ret_picture);
enum err gate_redis_status_read(struct gate *gate, int64_t coupon_id,
                                struct gate_status *ret_status);

/* gate_redis_rebuild.c */
enum err redis_rebuild_begin(struct gate *gate, int64_t coupon_id, int64_t epoch,
                             const struct coupon_settings *settings,
                             struct gate_rebuild **ret_rebuild);
enum err redis_rebuild_add(struct gate_rebuild *rebuild, int64_t slot, int64_t user_id);
enum err redis_rebuild_open(struct gate_rebuild *rebuild, int64_t holders);
struct gate_rebuild *redis_rebuild_free(struct gate_rebuild *rebuild);
