// SPDX-License-Identifier: Apache-2.0
/* shop.db as one side of a copy. */
#include <endian.h>
#include <stdio.h>

#include "ledger/ledger_copy_internal.h"

static enum err refused(struct copy_side *side, enum err e)
{
    if (e != ERR_OK && side->db)
        snprintf(side->why, sizeof side->why, "%.200s", sqlite3_errmsg(side->db));
    return e;
}

/* What stays as it is until its checkpoint need not wait for the disk in between. */
enum err copy_sqlite_open(struct copy_side *side, const char *path, bool source)
{
    side->ops = &copy_sqlite_ops;
    TRY(sqlite_db_open(path, source ? SQLITE_AT_REST : SQLITE_WRITER, &side->db));
    if (source)
        return ERR_OK;
    return sqlite_db_exec(side->db, "PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=16384;"
                                    "PRAGMA cache_size=-262144");
}

/* ---- reading ---- */

static struct str take_value(sqlite3_stmt *stmt, int column, char kind, uint64_t *ret_int)
{
    if (sqlite3_column_type(stmt, column) == SQLITE_NULL)
        return STR_NONE;
    if (kind == 'i') {
        *ret_int = htobe64((uint64_t)sqlite3_column_int64(stmt, column));
        return (struct str){ (const char *)ret_int, sizeof *ret_int };
    }
    const void *bytes =
        kind == 't' ? sqlite3_column_text(stmt, column) : sqlite3_column_blob(stmt, column);
    return (struct str){ bytes ? bytes : "", (size_t)sqlite3_column_bytes(stmt, column) };
}

static enum err read_rows(struct copy_side *side, const struct copy_table *table,
                          const char *select,
                          enum err (*each)(void *context, const struct pg_tuple *row),
                          void *context)
{
    struct pg_tuple row = { .count = table->column_count };
    uint64_t ints[PG_TUPLE_COLUMNS_MAX];
    enum err e = ERR_OK;
    sqlite3_stmt *stmt;
    int code = SQLITE_DONE;

    TRY(refused(side, sqlite_db_prepare(side->db, select, &stmt)));
    while (e == ERR_OK && (code = sqlite3_step(stmt)) == SQLITE_ROW) {
        for (int i = 0; i < row.count; i++)
            row.columns[i] = take_value(stmt, i, table->columns[i].kind, &ints[i]);
        e = each(context, &row);
    }
    if (e == ERR_OK)
        e = refused(side, sqlite_db_err(code));
    sqlite3_finalize(stmt);
    return e;
}

static enum err ask(struct copy_side *side, const char *sql, int64_t *ret_value)
{
    return refused(side, sqlite_db_int(side->db, sql, ret_value));
}

/* ---- writing ---- */

static enum err run(struct copy_side *side, const char *sql)
{
    return refused(side, sqlite_db_exec(side->db, sql));
}

static enum err put_begin(struct copy_side *side, const struct copy_table *table)
{
    buf_reset(&side->out);
    buf_printf(&side->out, "INSERT INTO %s (", table->name);
    copy_columns(&side->out, table);
    buf_literal(&side->out, ") VALUES (");
    for (int i = 0; i < table->column_count; i++)
        buf_str_append(&side->out, i ? STR(", ?") : STR("?"));
    buf_str_append(&side->out, STR(")"));
    buf_char(&side->out, '\0');
    if (!buf_ok(&side->out))
        return ERR_NOMEM;
    return refused(side, sqlite_db_prepare(side->db, side->out.ptr, &side->insert));
}

static void bind_value(sqlite3_stmt *stmt, const struct copy_table *table,
                       const struct pg_tuple *row, int column)
{
    struct str value = row->columns[column];

    if (!value.ptr)
        sqlite3_bind_null(stmt, column + 1);
    else if (table->columns[column].kind == 'i')
        sqlite3_bind_int64(stmt, column + 1, ledger_pg_tuple_int(row, column));
    else if (table->columns[column].kind == 't')
        sqlite3_bind_text(stmt, column + 1, value.ptr, (int)value.len, SQLITE_STATIC);
    else
        sqlite3_bind_blob(stmt, column + 1, value.ptr, (int)value.len, SQLITE_STATIC);
}

static enum err put(struct copy_side *side, const struct copy_table *table,
                    const struct pg_tuple *row)
{
    for (int i = 0; i < table->column_count; i++)
        bind_value(side->insert, table, row, i);
    return refused(side, sqlite_db_run(side->insert));
}

static enum err put_end(struct copy_side *side)
{
    sqlite3_finalize(TAKE(side->insert));
    return ERR_OK;
}

const struct copy_ops copy_sqlite_ops = {
    .read = read_rows,
    .run = run,
    .ask = ask,
    .put_begin = put_begin,
    .put = put,
    .put_end = put_end,
    .begin = "BEGIN IMMEDIATE",
    .durable = "PRAGMA synchronous=FULL",
    .tidy = "PRAGMA wal_checkpoint(TRUNCATE)",
    .mark = "CREATE TABLE copy_mark (database_id BLOB NOT NULL)",
    .dead_id = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'dead_events'",
    .dead_id_set = "DELETE FROM sqlite_sequence WHERE name = 'dead_events';"
                   "INSERT INTO sqlite_sequence (name, seq) SELECT 'dead_events', n FROM"
                   " (SELECT %lld AS n) WHERE n > 0",
    .column_count = "SELECT count(*) FROM pragma_table_info('%s')",
};
