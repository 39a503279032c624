// SPDX-License-Identifier: Apache-2.0
/*
 * Which implementation of each port a configuration asks for: the only place that knows.
 *
 *     ledger    SQLite in the data directory, or PostgreSQL (--postgres)
 *     gate      this server's memory and a journal, or Redis (--redis)
 *     ranking   this server's memory, or Redis
 */
#pragma once
#include "gate/gate.h"
#include "ledger/ledger.h"
#include "metrics/metrics.h"
#include "ranking/ranking.h"
#include "redis/redis.h"
#include "server/store.h"

struct stores {
    const struct config *config;
    const struct store *store;
    struct ledger *ledger;
    struct gate *gate;
    struct ranking *ranking;
    struct redis_target redis; /* with --redis */
};

/* A commit of SQLite's whose outcome is unknown: see ledger_sqlite_options. */
struct stores_uncertain {
    void (*happened)(void *context);
    void *context;
};

/* Each answers ERR_INVALID with a sentence in `ret_error`, or ERR_NOMEM. `metrics` may be NULL. */
enum err stores_open_ledger(struct stores *stores, struct metrics_slot *metrics,
                            struct stores_uncertain uncertain,
                            struct config_error *ret_error) MUST_CHECK;
enum err stores_open_gate(struct stores *stores, struct config_error *ret_error) MUST_CHECK;
/* Only to look at it, by a verb: nothing is granted, loaded or checked. Redis only. */
enum err stores_look_at_gate(struct stores *stores, struct config_error *ret_error) MUST_CHECK;
enum err stores_open_ranking(struct stores *stores) MUST_CHECK;
/* Rows of the pool of connections, where there is one. Before the first scrape. */
void stores_tell_metrics(struct stores *stores, struct metrics *metrics);
/* The breaker before a store; false: there is none of that name. Any thread. */
bool stores_breaker(struct stores *stores, enum metrics_breaker name,
                    struct breaker_status *ret_status);
/* What is queued is committed. Submitting afterwards is a bug. */
void stores_stop_ledger(struct stores *stores);
/* The commit's outcome is unknown: nothing is granted any more. */
void stores_shut_gate(struct stores *stores);
/* What is open; the ledger is stopped, clients are freed. */
void stores_close(struct stores *stores);
