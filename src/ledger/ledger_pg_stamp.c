// SPDX-License-Identifier: Apache-2.0
/* The store's stamp and migrations, on a connection of their own. */
#include <stdio.h>
#include <sys/random.h>

#include "base/mem.h"
#include "ledger/ledger_pg_internal.h"
#include "ledger/migrations.h"

enum { LEVEL_SALES = 2 }; /* the migration that made the table */
enum { LOOKS_MAX = 10 };
enum { STAMP_TIMEOUT_MS = 10000, MIGRATE_TIMEOUT_MS = 600000 };

static PGconn *conn_close(PGconn *conn)
{
    PQfinish(conn);
    return NULL;
}
DEFINE_CLEANUP(PGconn, conn_close)

static PGresult *result_clear(PGresult *result)
{
    PQclear(result);
    return NULL;
}
DEFINE_CLEANUP(PGresult, result_clear)

static enum err conn_open(const char *url, PGconn **ret_conn, struct pg_reason *ret_reason)
{
    return pg_sync_open(&(struct pg_options){ .url = url }, ret_conn, ret_reason);
}

static enum err ask(PGconn *conn, const char *sql, PGresult **ret_result,
                    struct pg_reason *ret_reason)
{
    return pg_sync_run(conn, &(struct pg_statement){ .sql = sql, .result_format = 1 },
                       STAMP_TIMEOUT_MS, ret_result, ret_reason);
}

static enum err ask_int(PGconn *conn, const char *sql, int64_t *ret_value,
                        struct pg_reason *ret_reason)
{
    CLEANUP(result_clearp) PGresult *result = NULL;

    TRY(ask(conn, sql, &result, ret_reason));
    if (PQntuples(result) != 1)
        return ERR_CORRUPT;
    *ret_value = trip_get(result, 0, 0);
    return ERR_OK;
}

/* 0 for a database without our tables. */
static enum err level_read(PGconn *conn, int64_t *ret_level, struct pg_reason *ret_reason)
{
    int64_t exists;

    *ret_level = 0;
    TRY(ask_int(conn, "SELECT count(*) FROM pg_class WHERE oid = to_regclass('store_level')",
                &exists, ret_reason));
    if (!exists)
        return ERR_OK;
    return ask_int(conn, "SELECT coalesce(max(level), 0) FROM store_level", ret_level, ret_reason);
}

/* ---- stamp ---- */

static enum err stamp_read(PGconn *conn, struct ledger_stamp *stamp, struct pg_reason *ret_reason)
{
    CLEANUP(result_clearp) PGresult *result = NULL;

    TRY(ask(
        conn,
        "SELECT database_id, profile, time_zone, clock_offset_ms, load_data,"
        " (NOT EXISTS (SELECT 1 FROM users) AND NOT EXISTS (SELECT 1 FROM coupons))::int::bigint"
        " FROM store",
        &result, ret_reason));
    if (PQntuples(result) == 0)
        return ERR_NOT_FOUND;
    struct str id = trip_get_text(result, 0, 0);
    if (id.len != LEDGER_DATABASE_ID_BYTES)
        return ERR_CORRUPT;
    memcpy(stamp->database_id, id.ptr, LEDGER_DATABASE_ID_BYTES);
    str_cstr(trip_get_text(result, 0, 1), stamp->profile, sizeof stamp->profile);
    str_cstr(trip_get_text(result, 0, 2), stamp->time_zone, sizeof stamp->time_zone);
    stamp->clock_offset_ms = trip_get(result, 0, 3);
    stamp->load_data = (enum ledger_load_data)trip_get(result, 0, 4);
    stamp->empty = trip_get(result, 0, 5) != 0;
    return ERR_OK;
}

static enum err look(PGconn *conn, struct ledger_stamp *stamp, struct pg_reason *ret_reason)
{
    int64_t sold = 0, marks = 0;

    *stamp = (struct ledger_stamp){ .latest = (int64_t)migrations_postgres_count };
    TRY(level_read(conn, &stamp->level, ret_reason));
    if (stamp->level > 0) {
        enum err e = stamp_read(conn, stamp, ret_reason);
        if (e == ERR_NOT_FOUND)
            stamp->level = 0; /* the first migration's process was killed before it could stamp */
        else if (e != ERR_OK)
            return e;
    }
    if (stamp->level >= LEVEL_SALES)
        TRY(ask_int(conn, "SELECT (EXISTS (SELECT 1 FROM sales))::int::bigint", &sold, ret_reason));
    stamp->sold = sold != 0;
    TRY(ask_int(conn, "SELECT count(*) FROM pg_class WHERE oid = to_regclass('copy_mark')", &marks,
                ret_reason));
    stamp->half_copied = marks != 0;
    return ERR_OK;
}

/* Another server's migration takes the tables in another order: where a deadlock ended the look, it
 * is taken again. */
enum err ledger_pg_stamp(const char *url, struct ledger_stamp *ret_stamp,
                         struct pg_reason *ret_reason)
{
    CLEANUP(conn_closep) PGconn *conn = NULL;
    enum err e = ERR_CONFLICT;

    TRY(conn_open(url, &conn, ret_reason));
    for (int i = 0; i < LOOKS_MAX && e == ERR_CONFLICT; i++)
        e = look(conn, ret_stamp, ret_reason);
    return e;
}

enum err ledger_pg_settings(const char *url, struct ledger_pg_settings *ret_settings,
                            struct pg_reason *ret_reason)
{
    CLEANUP(conn_closep) PGconn *conn = NULL;
    CLEANUP(result_clearp) PGresult *result = NULL;

    TRY(pg_host_count(url, &ret_settings->host_count, ret_reason));
    TRY(conn_open(url, &conn, ret_reason));
    TRY(ask(conn,
            "SELECT current_setting('server_encoding'), current_setting('synchronous_commit'),"
            " current_setting('synchronous_standby_names')",
            &result, ret_reason));
    str_cstr(trip_get_text(result, 0, 0), ret_settings->encoding, sizeof ret_settings->encoding);
    str_cstr(trip_get_text(result, 0, 1), ret_settings->synchronous_commit,
             sizeof ret_settings->synchronous_commit);
    ret_settings->standby_names = trip_get_text(result, 0, 2).len > 0;
    return ERR_OK;
}

/* ---- migrations ---- */

/* One server at a time; whoever waited finds it done. */
#define MIGRATION_LOCK "SELECT pg_advisory_xact_lock(7230816934450262117)"

static enum err rolled_back(PGconn *conn, enum err e)
{
    struct pg_reason reason;

    err_ignore(pg_sync_script(conn, "ROLLBACK", STAMP_TIMEOUT_MS, &reason),
               "the connection is closed next");
    return e;
}

static enum err apply(PGconn *conn, const struct sqlite_migration *migration,
                      struct pg_reason *ret_reason)
{
    char level_sql[128];

    TRY(pg_sync_script(conn, migration->sql, MIGRATE_TIMEOUT_MS, ret_reason));
    snprintf(level_sql, sizeof level_sql, "INSERT INTO store_level (level) VALUES (%lld)",
             (long long)migration->number);
    return pg_sync_script(conn, level_sql, STAMP_TIMEOUT_MS, ret_reason);
}

/* The next one, in a transaction of its own. *ret_done: there is none. */
static enum err migrate_one(PGconn *conn, bool *ret_done, struct pg_reason *ret_reason)
{
    int64_t level;

    TRY(pg_sync_script(conn, "BEGIN; " MIGRATION_LOCK, MIGRATE_TIMEOUT_MS, ret_reason));
    enum err e = pg_sync_script(conn,
                                "CREATE TABLE IF NOT EXISTS store_level"
                                " (level bigint PRIMARY KEY, at timestamptz DEFAULT now())",
                                STAMP_TIMEOUT_MS, ret_reason);
    if (e == ERR_OK)
        e = level_read(conn, &level, ret_reason);
    if (e != ERR_OK)
        return rolled_back(conn, e);
    if (level > (int64_t)migrations_postgres_count + LEDGER_LEVELS_AHEAD)
        return rolled_back(conn, ERR_CONFLICT);
    *ret_done = level >= (int64_t)migrations_postgres_count;
    if (!*ret_done)
        e = apply(conn, &migrations_postgres[level], ret_reason);
    if (e != ERR_OK)
        return rolled_back(conn, e);
    return pg_sync_script(conn, "COMMIT", MIGRATE_TIMEOUT_MS, ret_reason);
}

static enum err stamp_write(PGconn *conn, const char *profile, const char *time_zone,
                            struct pg_reason *ret_reason)
{
    CLEANUP(trip_fini) struct pg_trip trip = { 0 };
    CLEANUP(result_clearp) PGresult *result = NULL;
    uint8_t database_id[LEDGER_DATABASE_ID_BYTES];

    if (getrandom(database_id, sizeof database_id, 0) != (ssize_t)sizeof database_id)
        return ERR_IO;
    trip_add(&trip, 0,
             "INSERT INTO store (one, database_id, profile, time_zone) VALUES (1, $1, $2, $3)"
             " ON CONFLICT DO NOTHING");
    trip_bytes(&trip, database_id, sizeof database_id);
    trip_text(&trip, str_from(profile));
    trip_text(&trip, str_from(time_zone));
    TRY(trip_finish(&trip));
    return pg_sync_run(conn, &trip.statements[0], STAMP_TIMEOUT_MS, &result, ret_reason);
}

enum err ledger_pg_migrate(const char *url, const char *profile, const char *time_zone,
                           int64_t *ret_applied, struct pg_reason *ret_reason)
{
    CLEANUP(conn_closep) PGconn *conn = NULL;
    bool done = false;

    *ret_applied = 0;
    TRY(conn_open(url, &conn, ret_reason));
    while (!done) {
        TRY(migrate_one(conn, &done, ret_reason));
        *ret_applied += !done;
    }
    return stamp_write(conn, profile, time_zone, ret_reason);
}

enum err ledger_pg_set_zone(const char *url, const char *time_zone, struct pg_reason *ret_reason)
{
    CLEANUP(conn_closep) PGconn *conn = NULL;
    CLEANUP(trip_fini) struct pg_trip trip = { 0 };
    CLEANUP(result_clearp) PGresult *result = NULL;

    TRY(conn_open(url, &conn, ret_reason));
    trip_add(&trip, 0, "UPDATE store SET time_zone = $1 WHERE NOT EXISTS (SELECT 1 FROM sales)");
    trip_text(&trip, str_from(time_zone));
    TRY(trip_finish(&trip));
    TRY(pg_sync_run(conn, &trip.statements[0], STAMP_TIMEOUT_MS, &result, ret_reason));
    return strcmp(PQcmdTuples(result), "1") == 0 ? ERR_OK : ERR_CONFLICT;
}

/* ---- once for a store ---- */

#define ALONE_LOCK "SELECT pg_advisory_xact_lock(7230816934450262120)"

struct ledger_pg_alone {
    PGconn *conn; /* in a transaction, whose end frees the lock */
};

enum err ledger_pg_alone_begin(const char *url, struct ledger_pg_alone **ret_alone,
                               struct pg_reason *ret_reason)
{
    struct ledger_pg_alone *alone = mem_alloc(sizeof *alone);

    if (!alone)
        return ERR_NOMEM;
    enum err e = conn_open(url, &alone->conn, ret_reason);
    if (e == ERR_OK)
        e = pg_sync_script(alone->conn, "BEGIN; " ALONE_LOCK, MIGRATE_TIMEOUT_MS, ret_reason);
    if (e == ERR_OK)
        *ret_alone = alone;
    else
        ledger_pg_alone_end(alone);
    return e;
}

struct ledger_pg_alone *ledger_pg_alone_end(struct ledger_pg_alone *alone)
{
    if (alone && alone->conn)
        PQfinish(alone->conn);
    return mem_free(alone);
}
