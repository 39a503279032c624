// SPDX-License-Identifier: Apache-2.0
#include "ledger/ledger_sqlite.h"

#include <stdio.h>
#include <sys/random.h>

#include "base/assert.h"
#include "base/mem.h"
#include "ledger/ledger_sqlite_internal.h"
#include "ledger/ledger_sqlite_sales.h"
#include "ledger/migrations.h"

static struct sqlite_ledger *self(struct ledger *ledger)
{
    return CONTAINER_OF(ledger, struct sqlite_ledger, base);
}

static struct sqlite_client *self_client(struct ledger_client *client)
{
    return CONTAINER_OF(client, struct sqlite_client, base);
}

/* ---- the store's stamp and migrations ---- */

enum { LEVEL_SALES = 2 }; /* the migration that made the table */

static enum err stamp_read(sqlite3 *db, struct ledger_stamp *stamp)
{
    sqlite3_stmt *stmt;

    TRY(sqlite_db_prepare(
        db,
        "SELECT database_id, profile, time_zone, clock_offset_ms, load_data,"
        " NOT EXISTS (SELECT 1 FROM users) AND NOT EXISTS (SELECT 1 FROM coupons) FROM store",
        &stmt));
    int code = sqlite3_step(stmt);
    bool whole = code == SQLITE_ROW && sqlite3_column_bytes(stmt, 0) == LEDGER_DATABASE_ID_BYTES;
    if (whole) {
        memcpy(stamp->database_id, sqlite3_column_blob(stmt, 0), LEDGER_DATABASE_ID_BYTES);
        str_cstr(sqlite_db_text(stmt, 1), stamp->profile, sizeof stamp->profile);
        str_cstr(sqlite_db_text(stmt, 2), stamp->time_zone, sizeof stamp->time_zone);
        stamp->clock_offset_ms = sqlite3_column_int64(stmt, 3);
        stamp->load_data = (enum ledger_load_data)sqlite3_column_int64(stmt, 4);
        stamp->empty = sqlite3_column_int64(stmt, 5) != 0;
    }
    sqlite3_finalize(stmt);
    return whole                 ? ERR_OK
           : code == SQLITE_ROW  ? ERR_CORRUPT
           : code == SQLITE_DONE ? ERR_NOT_FOUND
                                 : sqlite_db_err(code);
}

static sqlite3 *db_close(sqlite3 *db)
{
    return sqlite_db_close(db);
}
DEFINE_CLEANUP(sqlite3, db_close)

enum err ledger_sqlite_stamp(const char *path, struct ledger_stamp *ret_stamp)
{
    CLEANUP(db_closep) sqlite3 *db = NULL;
    struct ledger_stamp stamp = { .latest = (int64_t)migrations_count };
    int64_t sold = 0, marks = 0;

    TRY(sqlite_db_open(path, SQLITE_AT_REST, &db));
    TRY(sqlite_db_level(db, &stamp.level));
    if (stamp.level > 0) {
        enum err e = stamp_read(db, &stamp);
        if (e == ERR_NOT_FOUND)
            stamp.level = 0; /* the first migration's process was killed before it could stamp */
        else if (e != ERR_OK)
            return e;
    }
    if (stamp.level >= LEVEL_SALES)
        TRY(sqlite_db_int(db, "SELECT EXISTS (SELECT 1 FROM sales)", &sold));
    stamp.sold = sold != 0;
    TRY(sqlite_db_int(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'copy_mark'", &marks));
    stamp.half_copied = marks != 0;
    *ret_stamp = stamp;
    return ERR_OK;
}

static enum err stamp_write(sqlite3 *db, const char *profile, const char *time_zone)
{
    uint8_t database_id[LEDGER_DATABASE_ID_BYTES];
    sqlite3_stmt *stmt;

    if (getrandom(database_id, sizeof database_id, 0) != (ssize_t)sizeof database_id)
        return ERR_IO;
    TRY(sqlite_db_prepare(db,
                          "INSERT INTO store (one, database_id, profile, time_zone)"
                          " VALUES (1, ?, ?, ?) ON CONFLICT DO NOTHING",
                          &stmt));
    sqlite3_bind_blob(stmt, 1, database_id, sizeof database_id, SQLITE_STATIC);
    sqlite3_bind_text(stmt, 2, profile, -1, SQLITE_STATIC);
    sqlite3_bind_text(stmt, 3, time_zone, -1, SQLITE_STATIC);
    return sqlite_db_run(stmt);
}

enum err ledger_sqlite_migrate(const char *path, const char *profile, const char *time_zone,
                               int64_t *ret_applied)
{
    CLEANUP(db_closep) sqlite3 *db = NULL;
    int64_t level;

    TRY(sqlite_db_open(path, SQLITE_WRITER, &db));
    TRY(sqlite_db_level(db, &level));
    if (level > (int64_t)migrations_count + LEDGER_LEVELS_AHEAD)
        return ERR_CONFLICT;
    TRY(sqlite_db_migrate(db, migrations, migrations_count, ret_applied));
    return stamp_write(db, profile, time_zone);
}

enum err ledger_sqlite_set_zone(const char *path, const char *time_zone)
{
    CLEANUP(db_closep) sqlite3 *db = NULL;
    sqlite3_stmt *stmt;

    TRY(sqlite_db_open(path, SQLITE_WRITER, &db));
    TRY(sqlite_db_prepare(
        db, "UPDATE store SET time_zone = ? WHERE NOT EXISTS (SELECT 1 FROM sales)", &stmt));
    sqlite3_bind_text(stmt, 1, time_zone, -1, SQLITE_STATIC);
    TRY(sqlite_db_run(stmt));
    return sqlite3_changes(db) ? ERR_OK : ERR_CONFLICT;
}

void ledger_sqlite_migrations(bool (*each)(void *context, int64_t number, const char *name),
                              void *context)
{
    for (size_t i = 0; i < migrations_count; i++)
        if (!each(context, migrations[i].number, migrations[i].name))
            return;
}

/* ---- clients, open, close ---- */

static struct ledger_client *client_free(struct ledger_client *base)
{
    struct sqlite_client *client = self_client(base);

    ledger_client_fini(&client->base);
    sqlite_db_close(client->db);
    return mem_free(client);
}

static struct ledger_client *client_new(struct ledger *ledger, struct loop *loop)
{
    struct sqlite_client *client = mem_alloc(sizeof *client);

    if (!client)
        return NULL;
    client->base.ledger = ledger;
    if (ledger_sqlite_read_open(client) != ERR_OK) {
        sqlite_db_close(client->db);
        return mem_free(client);
    }
    ledger_client_init(&client->base, ledger, loop);
    return &client->base;
}

static const struct ledger_backend sqlite_backend = {
    .client_new = client_new,
    .client_free = client_free,
    .read = ledger_sqlite_read,
    .scan_coupons = ledger_sqlite_scan_coupons,
    .scan_rows = ledger_sqlite_scan_rows,
    .scan_sales = ledger_sqlite_scan_sales,
    .scan_boards = ledger_sqlite_scan_boards,
};

struct ledger *ledger_sqlite_free(struct ledger *ledger)
{
    if (ledger) {
        struct sqlite_ledger *sqlite = self(ledger);
        ASSERT(!sqlite->writer_runs);
        ledger_rows_fini(&sqlite->rows);
        sqlite_db_close(sqlite->db);
        if (sqlite->base.queue.room_max)
            ledger_queue_fini(&sqlite->base.queue);
        mem_free(sqlite->path);
        mem_free(sqlite);
    }
    return NULL;
}
DEFINE_CLEANUP(struct ledger, ledger_sqlite_free)

static struct ledger *ledger_alloc(const char *path, enum sqlite_mode scan_mode)
{
    struct sqlite_ledger *sqlite = mem_alloc(sizeof *sqlite);

    if (!sqlite)
        return NULL;
    sqlite->base.backend = &sqlite_backend;
    sqlite->scan_mode = scan_mode;
    size_t length = strlen(path);
    sqlite->path = mem_alloc(length + 1);
    if (!sqlite->path)
        return mem_free(sqlite);
    memcpy(sqlite->path, path, length);
    return &sqlite->base;
}

enum err ledger_sqlite_open_at_rest(const char *path, struct ledger **ret_ledger)
{
    *ret_ledger = ledger_alloc(path, SQLITE_AT_REST);
    return *ret_ledger ? ERR_OK : ERR_NOMEM;
}

enum err ledger_sqlite_open(const struct ledger_sqlite_options *options, struct ledger **ret_ledger)
{
    CLEANUP(ledger_sqlite_freep) struct ledger *ledger = ledger_alloc(options->path, SQLITE_READER);

    if (!ledger)
        return ERR_NOMEM;
    struct sqlite_ledger *sqlite = self(ledger);
    sqlite->options = *options;
    ledger_queue_init(&sqlite->base.queue, options->queue_max, options->queue_age_max_ms,
                      options->reserve_linger_ms);
    ledger_rows_init(&sqlite->rows);
    sqlite->rows.users_external = options->users_external;
    sqlite->rows.consumers = options->consumers;
    TRY(sqlite_db_open(sqlite->path, SQLITE_WRITER, &sqlite->db));
    TRY(ledger_sqlite_prepare(sqlite));
    if (pthread_create(&sqlite->writer, NULL, ledger_sqlite_writer, sqlite) != 0)
        return ERR_NOMEM;
    sqlite->writer_runs = true;
    *ret_ledger = TAKE(ledger);
    return ERR_OK;
}

void ledger_sqlite_stop(struct ledger *ledger)
{
    struct sqlite_ledger *sqlite = self(ledger);

    if (!sqlite->writer_runs)
        return;
    ledger_queue_stop(&sqlite->base.queue);
    pthread_join(sqlite->writer, NULL);
    sqlite->writer_runs = false;
}
