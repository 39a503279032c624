// SPDX-License-Identifier: Apache-2.0
/*
 * The ranking in Redis, shared by all servers: the ledger's sums, copied there, and boards that
 * Redis keeps in order (functions/doorbuster_ranking.lua, docs/ranking.md). Whoever finds it
 * incomplete copies it for all.
 *
 * Writing has a thread with a connection of its own and a bounded queue, in which a newer sum takes
 * the place of an older one; reading has a connection on each loop and a deadline.
 */
#pragma once
#include "ranking/ranking.h"
#include "redis/redis.h"

struct ranking_redis_options {
    struct redis_options redis; /* copied; what it points to is borrowed */
    uint32_t timeout_ms;        /* of a read; 0: 10 */
    size_t boards_max;          /* > 0; of all servers together */
    uint32_t flush_every_ms;    /* sums; many sales of one product are one then; 0: 20 */
    uint32_t step_products;     /* of a board that is being made, at once; 0: 128 */
};

/* Waits a little for a first answer of the store, and goes on without one: it may come later.
 * ERR_NOMEM: no memory, no thread. */
enum err ranking_redis_open(const struct ranking_redis_options *options,
                            struct ranking **ret_ranking) MUST_CHECK;
/* Its clients freed. What is queued is sent if that is possible at once. */
struct ranking *ranking_redis_close(struct ranking *ranking);

/* Of all its connections. Any thread. */
struct redis_stats ranking_redis_stats(struct ranking *ranking);
