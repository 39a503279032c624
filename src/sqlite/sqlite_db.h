// SPDX-License-Identifier: Apache-2.0
/* SQLite connections as we use them: WAL, FULL sync, no hidden work. One thread per connection. */
#pragma once
#include <sqlite3.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum sqlite_mode { SQLITE_WRITER, SQLITE_READER, SQLITE_AT_REST };

/*
 * Open `path`. A writer creates the file; a reader of a running server needs one that is there;
 * AT_REST reads and never writes, not even to recover. ERR_NOT_FOUND, ERR_CORRUPT (not a
 * database), ERR_NOMEM, ERR_UNAVAILABLE.
 */
enum err sqlite_db_open(const char *path, enum sqlite_mode mode, sqlite3 **ret_db) MUST_CHECK;
sqlite3 *sqlite_db_close(sqlite3 *db); /* takes NULL, returns NULL; statements go with it */

/* What a result code other than OK, ROW and DONE means to a caller, before COMMIT was tried. */
enum err sqlite_db_err(int code);

/* Statements without results, `;` between them. */
enum err sqlite_db_exec(sqlite3 *db, const char *sql) MUST_CHECK;
/* For a statement that is used again and again; freed with the connection. */
enum err sqlite_db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret_stmt) MUST_CHECK;
/* One step that gives no row; the statement is ready for the next use afterwards. */
enum err sqlite_db_run(sqlite3_stmt *stmt) MUST_CHECK;
/* First column of the first row of `sql`; ERR_NOT_FOUND without a row. */
enum err sqlite_db_int(sqlite3 *db, const char *sql, int64_t *ret_value) MUST_CHECK;

/* A text column, borrowed until the next step or reset. */
struct str sqlite_db_text(sqlite3_stmt *stmt, int column);

struct sqlite_migration {
    int64_t number; /* 1, 2, 3, ... */
    const char *name, *sql;
};
/* How far the store is: 0 for an empty one. */
enum err sqlite_db_level(sqlite3 *db, int64_t *ret_level) MUST_CHECK;
/* Applies what is missing, each in its own transaction. *ret_applied counts. */
enum err sqlite_db_migrate(sqlite3 *db, const struct sqlite_migration *migrations, size_t count,
                           int64_t *ret_applied) MUST_CHECK;
