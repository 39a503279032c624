// SPDX-License-Identifier: Apache-2.0
/* A store in the database of DOORBUSTER_TEST_POSTGRES, for tests. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ledger/ledger_pg.h"

static inline const char *store_url(void)
{
    const char *url = getenv("DOORBUSTER_TEST_POSTGRES");

    if (!url)
        fail_msg("DOORBUSTER_TEST_POSTGRES is not set: run it with test/with_stores.py --postgres");
    return url;
}

/* One statement, or several, on a connection of its own. Returns the first column of the first row,
 * or 0. */
static inline long long store_ask(const char *sql)
{
    PGconn *conn = PQconnectdb(store_url());
    PGresult *result = PQexec(conn, sql);
    long long value = 0;

    if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(conn));
    if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result))
        value = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    PQfinish(conn);
    return value;
}

/* Empty, and migrated. */
static inline void store_make(void)
{
    struct pg_reason reason;
    int64_t applied;

    store_ask("SET client_min_messages = error; DROP SCHEMA IF EXISTS public CASCADE;"
              " CREATE SCHEMA public");
    if (ledger_pg_migrate(store_url(), "test", "UTC", &applied, &reason) != ERR_OK)
        fail_msg("migrate: %s", reason.text);
    assert_true(applied > 0);
}

static inline struct pg_pool_options store_pool(void)
{
    return (
        struct pg_pool_options){ .rules = { .max = 20,
                                            .min_idle = 2,
                                            .share_max = { [POOL_BATCHES] = 8, [POOL_READS] = 8 },
                                            .connection_timeout_ms = 2000,
                                            .validation_timeout_ms = 1000 },
                                 .breaker = breaker_options_default(5000, 1) };
}

static inline struct ledger_pg_options store_options(void)
{
    return (struct ledger_pg_options){ .url = store_url(),
                                       .pool = store_pool(),
                                       .queue_max = 1000,
                                       .batch_max = 200,
                                       .queue_age_max_ms = 60000,
                                       .retry_ms = 5000, /* of a busy machine */
                                       .consumers = 3,
                                       .test_clock = true };
}

static inline struct ledger *store_open_with(const struct ledger_pg_options *options)
{
    struct ledger *ledger;

    assert_int_equal(ledger_pg_open(options, &ledger), ERR_OK);
    return ledger;
}

static inline struct ledger *store_open_as(bool users_external)
{
    struct ledger_pg_options options = store_options();

    options.users_external = users_external;
    return store_open_with(&options);
}

static inline struct ledger *store_open(void)
{
    return store_open_as(false);
}

static inline void store_close(struct ledger *ledger)
{
    ledger_pg_stop(ledger);
    ledger_pg_free(ledger);
}
