// SPDX-License-Identifier: Apache-2.0
/* The embedded ledger: one SQLite file, one writer thread. */
#pragma once
#include "ledger/ledger.h"
#include "ledger/ledger_stamp.h"
#include "metrics/metrics.h"

/* ERR_NOT_FOUND: there is no store; level 0: there is, but it is empty. ERR_CORRUPT, … */
enum err ledger_sqlite_stamp(const char *path, struct ledger_stamp *ret_stamp) MUST_CHECK;
/*
 * Creates the store if need be, applies the missing migrations, and stamps a new store with
 * profile and time zone. ERR_CONFLICT: the store is of a newer version than this program.
 */
enum err ledger_sqlite_migrate(const char *path, const char *profile, const char *time_zone,
                               int64_t *ret_applied) MUST_CHECK;
/* The days of this store are of another zone from now on. ERR_CONFLICT: something was sold. */
enum err ledger_sqlite_set_zone(const char *path, const char *time_zone) MUST_CHECK;
/* Every migration, by number, until `each` returns false. */
void ledger_sqlite_migrations(bool (*each)(void *context, int64_t number, const char *name),
                              void *context);

struct ledger_sqlite_options {
    const char *path; /* migrated */
    size_t queue_max, batch_max;
    uint64_t queue_age_max_ms, reserve_linger_ms;
    bool users_external;          /* whoever has no row gets one, on first need */
    unsigned consumers;           /* of events: LEDGER_CONSUMER_BIT */
    struct metrics_slot *metrics; /* the writer thread's own; may be NULL */
    /* A commit's outcome is unknown: nothing more is written by this process. Called on the
     * writer thread, once, after the commands it concerns have ended as uncertain. */
    void (*on_uncertain)(void *context);
    void *context;
};
/* Opens the store and starts the writer. ERR_NOT_FOUND, ERR_UNAVAILABLE, ERR_NOMEM, ERR_CORRUPT. */
enum err ledger_sqlite_open(const struct ledger_sqlite_options *options,
                            struct ledger **ret_ledger) MUST_CHECK;
/* Commits what is queued, ends the writer. Submitting afterwards is a bug. */
void ledger_sqlite_stop(struct ledger *ledger);
struct ledger *ledger_sqlite_free(struct ledger *ledger); /* stopped, its clients freed */

/* A store that no server has open: the scans of ledger.h, read only. */
enum err ledger_sqlite_open_at_rest(const char *path, struct ledger **ret_ledger) MUST_CHECK;
