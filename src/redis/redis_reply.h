// SPDX-License-Identifier: Apache-2.0
/* What servers answer, read. Pure; nothing here is believed that was not looked at. */
#pragma once
#include "redis/redis.h"

/* A parser that does not believe any number of elements. NULL without memory. */
redisReader *redis_reader_new(void);

enum redis_error {
    REDIS_ERROR_NONE,  /* not an error */
    REDIS_ERROR_OTHER, /* the command's own: goes to the caller */
    REDIS_ERROR_MOVED,
    REDIS_ERROR_ASK,
    REDIS_ERROR_LATER,    /* TRYAGAIN, CLUSTERDOWN, LOADING, MASTERDOWN, BUSY: not executed */
    REDIS_ERROR_READONLY, /* not executed; it is no primary (any more) */
    REDIS_ERROR_SHED,     /* NOREPLICAS, MISCONF, OOM: not executed */
    REDIS_ERROR_DENIED,   /* NOAUTH: not executed */
};

/* One raised inside a script or Function is OTHER, whatever it begins with: it had effects. */
enum redis_error redis_error_of(const redisReply *reply);

/* "MOVED 3999 127.0.0.1:6381", "ASK …". The host may be empty: that of who answered. */
bool redis_redirect_parse(struct str text, uint16_t *ret_slot, struct redis_place *ret_place);

enum { REDIS_SLOTS = 16384 };
/* CRC16 of the key, or of what stands in its first {}, modulo REDIS_SLOTS. */
uint16_t redis_slot_of(struct str key);

/* One row of CLUSTER SLOTS: a range and its primary. False: malformed or out of range. */
struct redis_slots_row {
    uint16_t first, last;
    struct redis_place primary; /* host "": that of who answered */
};
bool redis_slots_row_parse(const redisReply *row, struct redis_slots_row *ret_row);

/* SENTINEL GET-MASTER-ADDR-BY-NAME. */
bool redis_master_parse(const redisReply *reply, struct redis_place *ret_place);

/* ROLE: "master", "slave", "sentinel"; empty where it is not that. */
struct str redis_role_of(const redisReply *reply);

/* The value of `name` in INFO's text; empty if there is none. */
struct str redis_info_find(struct str info, struct str name);
/* Of CONFIG GET's reply. */
struct str redis_config_find(const redisReply *reply, struct str name);

static inline struct str redis_text(const redisReply *reply)
{
    return reply && reply->str ? (struct str){ reply->str, reply->len } : STR_NONE;
}
