// SPDX-License-Identifier: Apache-2.0
/*
 * The ledger on PostgreSQL 15 or newer, shared by any number of servers. One thread with a loop of
 * its own, the store loop, has all connections; a few batches are written side by side.
 *
 * A commit whose outcome is unknown (the connection was lost on the way, a synchronous standby may
 * not have it) ends its commands as uncertain; the ledger goes on.
 */
#pragma once
#include "ledger/ledger.h"
#include "ledger/ledger_stamp.h"
#include "metrics/metrics.h"
#include "pg/pg_pool.h"

/* ERR_UNAVAILABLE: not to be reached, says `ret_reason`; level 0: there is nothing in it yet. */
enum err ledger_pg_stamp(const char *url, struct ledger_stamp *ret_stamp,
                         struct pg_reason *ret_reason) MUST_CHECK;
/* What decides whether it keeps what it acknowledges. */
struct ledger_pg_settings {
    size_t host_count;  /* that the URL names */
    bool standby_names; /* synchronous_standby_names is not empty */
    char synchronous_commit[16], encoding[32];
};
/* As a session of this user has them. ERR_UNAVAILABLE: not to be reached, says `ret_reason`. */
enum err ledger_pg_settings(const char *url, struct ledger_pg_settings *ret_settings,
                            struct pg_reason *ret_reason) MUST_CHECK;
/*
 * Applies the missing migrations, each in a transaction of its own, one server at a time, and
 * stamps a new store with profile and time zone. ERR_CONFLICT: the store is of a newer version than
 * this program.
 */
enum err ledger_pg_migrate(const char *url, const char *profile, const char *time_zone,
                           int64_t *ret_applied, struct pg_reason *ret_reason) MUST_CHECK;
/* The days of this store are of another zone from now on. ERR_CONFLICT: something was sold. */
enum err ledger_pg_set_zone(const char *url, const char *time_zone,
                            struct pg_reason *ret_reason) MUST_CHECK;

/* What is done once for a store, by whichever server comes first: waits until no other one is at
 * it. Look at the stamp again, then. The process's end ends it, too. */
struct ledger_pg_alone;
enum err ledger_pg_alone_begin(const char *url, struct ledger_pg_alone **ret_alone,
                               struct pg_reason *ret_reason) MUST_CHECK;
struct ledger_pg_alone *ledger_pg_alone_end(struct ledger_pg_alone *alone);
DEFINE_CLEANUP(struct ledger_pg_alone, ledger_pg_alone_end)

struct ledger_pg_options {
    const char *url; /* migrated */
    size_t queue_max, batch_max;
    size_t writers; /* batches in flight, 1..LEDGER_WRITERS_MAX; 0: 1 */
    struct pg_pool_options pool;
    uint64_t queue_age_max_ms, reserve_linger_ms;
    uint64_t borrow_timeout_ms;    /* for a connection; 0: 1 s */
    uint64_t statement_timeout_ms; /* of one statement, locks included; 0: 5 s */
    uint64_t retry_ms;   /* how long a batch is tried again while the store is away; 0: 1 s */
    unsigned consumers;  /* of events: LEDGER_CONSUMER_BIT */
    bool users_external; /* whoever has no row gets one, on first need */
    bool test_clock;     /* profile test: the store's offset is the process's */
    struct metrics_slot *metrics; /* the store loop's own; may be NULL */
};
/* Starts the store loop. The store may be away: then commands and reads end as unavailable until
 * it is back. ERR_INVALID (the URL), ERR_NOMEM. */
enum err ledger_pg_open(const struct ledger_pg_options *options,
                        struct ledger **ret_ledger) MUST_CHECK;
/* Commits what is queued, ends the store loop. Submitting afterwards is a bug. */
void ledger_pg_stop(struct ledger *ledger);
struct ledger *ledger_pg_free(struct ledger *ledger); /* stopped, its clients freed */

/* For figures; as long as the store loop runs. */
struct pg_pool *ledger_pg_pool(struct ledger *ledger);

/* Scans only, without a store loop. */
enum err ledger_pg_open_at_rest(const char *url, struct ledger **ret_ledger) MUST_CHECK;
