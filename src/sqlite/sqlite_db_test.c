// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sqlite/sqlite_db.h"

#define assert_ok(expr) assert_int_equal((expr), ERR_OK)

static char dir[64], path[128];

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/doorbuster-test-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/a%%20 ?#db", dir); /* what a URI would trip over */
    return 0;
}

static size_t files(bool remove)
{
    DIR *stream = opendir(dir);
    struct dirent *entry;
    size_t count = 0;

    while ((entry = readdir(stream))) {
        char name[512];
        if (entry->d_name[0] == '.')
            continue;
        count++;
        snprintf(name, sizeof name, "%s/%.200s", dir, entry->d_name);
        if (remove)
            unlink(name);
    }
    closedir(stream);
    return count;
}

static int teardown(void **state)
{
    (void)state;
    files(true);
    return rmdir(dir);
}

static void test_codes(void **state)
{
    static const struct {
        int code;
        enum err err;
    } rows[] = {
        { SQLITE_OK, ERR_OK },
        { SQLITE_ROW, ERR_OK },
        { SQLITE_DONE, ERR_OK },
        { SQLITE_NOMEM, ERR_NOMEM },
        { SQLITE_IOERR_NOMEM, ERR_UNAVAILABLE },
        { SQLITE_CONSTRAINT, ERR_CONFLICT },
        { SQLITE_CONSTRAINT_CHECK, ERR_CONFLICT },
        { SQLITE_CORRUPT, ERR_CORRUPT },
        { SQLITE_NOTADB, ERR_CORRUPT },
        { SQLITE_FULL, ERR_UNAVAILABLE },
        { SQLITE_IOERR_FSYNC, ERR_UNAVAILABLE },
        { SQLITE_BUSY_SNAPSHOT, ERR_UNAVAILABLE },
        { SQLITE_CANTOPEN, ERR_UNAVAILABLE },
        { SQLITE_READONLY, ERR_UNAVAILABLE },
        { SQLITE_MISUSE, ERR_INVALID },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        assert_int_equal(sqlite_db_err(rows[i].code), rows[i].err);
}

static void test_open(void **state)
{
    sqlite3 *writer = NULL, *other = NULL;
    int64_t value;

    (void)state;
    assert_int_equal(sqlite_db_open(path, SQLITE_READER, &other), ERR_NOT_FOUND);
    assert_int_equal(sqlite_db_open(path, SQLITE_AT_REST, &other), ERR_NOT_FOUND);
    assert_int_equal(files(false), 0);
    assert_ok(sqlite_db_open(path, SQLITE_WRITER, &writer));
    assert_ok(sqlite_db_int(writer, "PRAGMA synchronous", &value));
    assert_int_equal(value, 2); /* FULL */
    assert_ok(sqlite_db_int(writer, "PRAGMA wal_autocheckpoint", &value));
    assert_int_equal(value, 0);
    assert_ok(sqlite_db_exec(writer, "CREATE TABLE t (a INTEGER CHECK (a > 0));"
                                     "INSERT INTO t VALUES (1), (2)"));
    for (int mode = SQLITE_READER; mode <= SQLITE_AT_REST; mode++) {
        assert_ok(sqlite_db_open(path, (enum sqlite_mode)mode, &other));
        assert_ok(sqlite_db_int(other, "SELECT count(*) FROM t", &value));
        assert_int_equal(value, 2);
        assert_int_equal(sqlite_db_exec(other, "INSERT INTO t VALUES (3)"), ERR_UNAVAILABLE);
        other = sqlite_db_close(other);
    }
    assert_int_equal(sqlite_db_exec(writer, "INSERT INTO t VALUES (-1)"), ERR_CONFLICT);
    assert_int_equal(sqlite_db_int(writer, "SELECT a FROM t WHERE a = 9", &value), ERR_NOT_FOUND);
    assert_int_equal(sqlite_db_int(writer, "SELECT nonsense", &value), ERR_INVALID);
    writer = sqlite_db_close(writer);
    assert_int_equal(files(false), 1);
    assert_ok(sqlite_db_open(path, SQLITE_AT_REST, &other)); /* leaves everything as it is */
    assert_ok(sqlite_db_int(other, "SELECT count(*) FROM t", &value));
    assert_int_equal(files(false), 1);
    other = sqlite_db_close(other);
    assert_int_equal(files(false), 1);
}

static void test_not_a_database(void **state)
{
    sqlite3 *db = NULL;
    FILE *file = fopen(path, "w");

    (void)state;
    for (int i = 0; i < 200; i++)
        fputs("this is no database. ", file);
    fclose(file);
    assert_int_equal(sqlite_db_open(path, SQLITE_WRITER, &db), ERR_CORRUPT);
    assert_null(db);
}

static void test_migrations(void **state)
{
    struct sqlite_migration migrations[] = {
        { 1, "first", "CREATE TABLE a (x); INSERT INTO a VALUES (1)" },
        { 2, "second", "CREATE TABLE b (x); CREATE TABLE a (x)" }, /* fails half-way */
        { 3, "third", "CREATE TABLE c (x)" },
    };
    sqlite3 *db;
    int64_t applied, value;

    (void)state;
    assert_ok(sqlite_db_open(path, SQLITE_WRITER, &db));
    assert_ok(sqlite_db_level(db, &value));
    assert_int_equal(value, 0);
    assert_int_not_equal(sqlite_db_migrate(db, migrations, 3, &applied), ERR_OK);
    assert_int_equal(applied, 1);
    assert_ok(sqlite_db_level(db, &value));
    assert_int_equal(value, 1);
    assert_ok(sqlite_db_int(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'b'", &value));
    assert_int_equal(value, 0); /* all of it or nothing */
    migrations[1].sql = "CREATE TABLE b (x)";
    assert_ok(sqlite_db_migrate(db, migrations, 3, &applied));
    assert_int_equal(applied, 2);
    assert_ok(sqlite_db_migrate(db, migrations, 3, &applied));
    assert_int_equal(applied, 0);
    assert_ok(sqlite_db_level(db, &value));
    assert_int_equal(value, 3);
    sqlite_db_close(db);
}

static void test_statements(void **state)
{
    sqlite3 *db;
    sqlite3_stmt *insert = NULL, *bad = NULL;
    int64_t value;

    (void)state;
    assert_ok(sqlite_db_open(path, SQLITE_WRITER, &db));
    assert_ok(sqlite_db_exec(db, "CREATE TABLE t (a INTEGER PRIMARY KEY)"));
    assert_int_equal(sqlite_db_prepare(db, "INSERT INTO nowhere VALUES (1)", &bad), ERR_INVALID);
    assert_ok(sqlite_db_prepare(db, "INSERT INTO t VALUES (?)", &insert));
    static const struct {
        int64_t value;
        enum err err;
    } rows[] = { { 1, ERR_OK }, { 2, ERR_OK }, { 1, ERR_CONFLICT }, { 3, ERR_OK } };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) { /* ready again after an error, too */
        sqlite3_bind_int64(insert, 1, rows[i].value);
        assert_int_equal(sqlite_db_run(insert), rows[i].err);
    }
    assert_ok(sqlite_db_int(db, "SELECT sum(a) FROM t", &value));
    assert_int_equal(value, 6);
    assert_null(sqlite_db_close(db)); /* and its statements */
    assert_null(sqlite_db_close(NULL));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    static const struct CMUnitTest tests[] = {
        TEST(test_codes),      TEST(test_open),       TEST(test_not_a_database),
        TEST(test_migrations), TEST(test_statements),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
