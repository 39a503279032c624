// SPDX-License-Identifier: Apache-2.0
#include "sqlite/sqlite_db.h"

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

enum { BUSY_TIMEOUT_MS = 5000, URI_BYTES = PATH_MAX * 3 + 64, WAL_HEADER_BYTES = 32 };

sqlite3 *sqlite_db_close(sqlite3 *db)
{
    sqlite3_stmt *stmt;

    if (!db)
        return NULL;
    while ((stmt = sqlite3_next_stmt(db, NULL)))
        sqlite3_finalize(stmt);
    sqlite3_close(db);
    return NULL;
}

DEFINE_CLEANUP(sqlite3, sqlite_db_close)

enum err sqlite_db_err(int code)
{
    switch (code & 0xFF) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return ERR_OK;
    case SQLITE_NOMEM:
        return ERR_NOMEM;
    case SQLITE_CONSTRAINT:
        return ERR_CONFLICT;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERR_CORRUPT;
    case SQLITE_TOOBIG:
        return ERR_TOO_LARGE;
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_CANTOPEN:
    case SQLITE_PROTOCOL:
    case SQLITE_READONLY:
        return ERR_UNAVAILABLE;
    default:
        return ERR_INVALID;
    }
}

static enum err open_pragmas(sqlite3 *db, enum sqlite_mode mode)
{
    switch (mode) {
    case SQLITE_WRITER:
        /* Checkpoints are the writer's own, between batches: run by SQLite inside a COMMIT, their
         * failure would look like the commit's. */
        return sqlite_db_exec(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                                  "PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-65536;"
                                  "PRAGMA journal_size_limit=67108864;");
    case SQLITE_READER:
        return sqlite_db_exec(db, "PRAGMA query_only=ON; PRAGMA cache_size=-8192;");
    case SQLITE_AT_REST:
        return sqlite_db_exec(db, "PRAGMA query_only=ON;");
    }
    return ERR_OK;
}

/* How long `path` with `suffix` is; -1: there is none. */
static long long file_bytes(const char *path, const char *suffix)
{
    char name[PATH_MAX + 8];
    struct stat info;

    snprintf(name, sizeof name, "%s%s", path, suffix);
    return stat(name, &info) == 0 ? (long long)info.st_size : -1;
}

/*
 * A URI that makes SQLite leave everything as it is. Without a WAL, or with one in which nothing
 * stands but its header, the database is taken as it is; with one, its index is read, or made anew
 * in memory where a crash left it stale (which SQLite 3.40 tries in vain for 10 s with a header
 * alone). Only a WAL whose index file somebody took away is given a new one.
 */
static void at_rest_uri(const char *path, char uri[URI_BYTES])
{
    const char *how = file_bytes(path, "-wal") <= WAL_HEADER_BYTES ? "immutable=1"
                      : file_bytes(path, "-shm") >= 0              ? "readonly_shm=1"
                                                                   : "";
    char *out = uri + sprintf(uri, "file:%s", path[0] == '/' ? "//" : "");

    for (const char *p = path; *p && p - path < PATH_MAX; p++)
        if (strchr("%?#", *p))
            out += sprintf(out, "%%%02X", (unsigned char)*p);
        else
            *out++ = *p;
    sprintf(out, "?mode=ro&%s", how);
}

enum err sqlite_db_open(const char *path, enum sqlite_mode mode, sqlite3 **ret_db)
{
    CLEANUP(sqlite_db_closep) sqlite3 *db = NULL;
    char uri[URI_BYTES];
    int flags =
        SQLITE_OPEN_NOMUTEX | (mode == SQLITE_WRITER   ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
                               : mode == SQLITE_READER ? SQLITE_OPEN_READWRITE
                                                       : SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);

    if (mode != SQLITE_WRITER && access(path, F_OK) != 0)
        return ERR_NOT_FOUND;
    if (mode == SQLITE_AT_REST)
        at_rest_uri(path, uri);
    int code = sqlite3_open_v2(mode == SQLITE_AT_REST ? uri : path, &db, flags, NULL);
    if (code != SQLITE_OK)
        return db ? sqlite_db_err(code) : ERR_NOMEM;
    sqlite3_extended_result_codes(db, 1);
    sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
    TRY(open_pragmas(db, mode));
    *ret_db = TAKE(db);
    return ERR_OK;
}

static enum err report(sqlite3 *db, const char *what, int code)
{
    LOG(LOG_WARN, "sqlite refused", LOG_CSTR("what", what), LOG_INT("code", code),
        LOG_CSTR("message", sqlite3_errmsg(db)));
    return sqlite_db_err(code);
}

enum err sqlite_db_exec(sqlite3 *db, const char *sql)
{
    int code = sqlite3_exec(db, sql, NULL, NULL, NULL);

    return code == SQLITE_OK ? ERR_OK : report(db, sql, code);
}

enum err sqlite_db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret_stmt)
{
    int code = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret_stmt, NULL);

    return code == SQLITE_OK ? ERR_OK : report(db, sql, code);
}

enum err sqlite_db_run(sqlite3_stmt *stmt)
{
    int code = sqlite3_step(stmt);

    if (code != SQLITE_DONE && code != SQLITE_ROW) {
        enum err e = report(sqlite3_db_handle(stmt), sqlite3_sql(stmt), code);
        sqlite3_reset(stmt);
        return e;
    }
    sqlite3_reset(stmt);
    return ERR_OK;
}

enum err sqlite_db_int(sqlite3 *db, const char *sql, int64_t *ret_value)
{
    sqlite3_stmt *stmt;
    enum err e = ERR_NOT_FOUND;

    TRY(sqlite_db_prepare(db, sql, &stmt));
    int code = sqlite3_step(stmt);
    if (code == SQLITE_ROW) {
        *ret_value = sqlite3_column_int64(stmt, 0);
        e = ERR_OK;
    } else if (code != SQLITE_DONE) {
        e = report(db, sql, code);
    }
    sqlite3_finalize(stmt);
    return e;
}

struct str sqlite_db_text(sqlite3_stmt *stmt, int column)
{
    const void *text = sqlite3_column_text(stmt, column);

    return (struct str){ text, (size_t)sqlite3_column_bytes(stmt, column) };
}

enum err sqlite_db_level(sqlite3 *db, int64_t *ret_level)
{
    return sqlite_db_int(db, "PRAGMA user_version", ret_level);
}

static enum err migrate_one(sqlite3 *db, const struct sqlite_migration *migration)
{
    char version[64];

    sqlite3_snprintf(sizeof version, version, "PRAGMA user_version=%lld",
                     (long long)migration->number);
    TRY(sqlite_db_exec(db, "BEGIN IMMEDIATE"));
    enum err e = sqlite_db_exec(db, migration->sql);
    if (e == ERR_OK)
        e = sqlite_db_exec(db, version);
    if (e == ERR_OK)
        e = sqlite_db_exec(db, "COMMIT");
    if (e != ERR_OK)
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return e;
}

enum err sqlite_db_migrate(sqlite3 *db, const struct sqlite_migration *migrations, size_t count,
                           int64_t *ret_applied)
{
    int64_t level = 0;

    *ret_applied = 0;
    TRY(sqlite_db_level(db, &level));
    for (size_t i = 0; i < count; i++) {
        if (migrations[i].number <= level)
            continue;
        TRY(migrate_one(db, &migrations[i]));
        (*ret_applied)++;
        LOG(LOG_INFO, "migrated", LOG_INT("number", migrations[i].number),
            LOG_CSTR("name", migrations[i].name));
    }
    return ERR_OK;
}
