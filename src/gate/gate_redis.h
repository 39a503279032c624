// SPDX-License-Identifier: Apache-2.0
/*
 * The gate of many servers: in Redis, as a Function library (functions/doorbuster.lua). A server
 * keeps a view of each coupon's gate, which answers and the heartbeat bring up to date; granting
 * is the store's alone. docs/protocol.md, "Distributed".
 */
#pragma once
#include "gate/gate.h"
#include "redis/redis.h"

struct gate_redis_options {
    const struct redis_options *redis; /* copied; its target is borrowed */
    bool test_clock;                   /* windows are judged by clock_wall_ms()'s offset, too */
    uint32_t deadline_ms;              /* of questions that name none; 0: 2000 */
    uint32_t call_ms;                  /* of one call; 0: 500 */
};

/* Every coupon's gate is unknown until it is rebuilt or adopted. Redis may be away. ERR_NOMEM. */
enum err gate_redis_open(const struct gate_redis_options *options,
                         struct gate **ret_gate) MUST_CHECK;
struct gate *gate_redis_free(struct gate *gate); /* its clients freed */

/* Blocks: the library to every primary; questions bring it where it is missing, too.
 * ERR_UNAVAILABLE, ERR_INVALID with the sentence in `ret_why`. */
enum err gate_redis_load(struct gate *gate, char ret_why[REDIS_WHY_BYTES]) MUST_CHECK;

/* Of all clients. */
struct redis_stats gate_redis_stats(struct gate *gate);
