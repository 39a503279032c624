// SPDX-License-Identifier: Apache-2.0
/* PostgreSQL as one side of a copy: COPY out, COPY in. */
#include <endian.h>
#include <stdio.h>

#include "ledger/ledger_copy_internal.h"

enum { SHORT_MS = 15000, LONG_MS = 3600000, FLUSH_BYTES = 1 << 18 };

#define NOW_MS "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
#define COPY_LOCK "SELECT pg_try_advisory_xact_lock(7230816934450262119)::int::bigint"

static enum err told(struct copy_side *side, enum err e, const struct pg_reason *reason)
{
    if (e != ERR_OK)
        snprintf(side->why, sizeof side->why, "%s", reason->text);
    return e;
}

static enum err refused(struct copy_side *side)
{
    snprintf(side->why, sizeof side->why, "%.200s", PQerrorMessage(side->pg));
    side->why[strcspn(side->why, "\n")] = '\0';
    return ERR_UNAVAILABLE;
}

static enum err ask_conn(struct copy_side *side, PGconn *pg, const char *sql, PGresult **ret_result)
{
    struct pg_reason reason = { 0 };
    enum err e = pg_sync_run(pg, &(struct pg_statement){ .sql = sql, .result_format = 1 }, LONG_MS,
                             ret_result, &reason);

    return told(side, e, &reason);
}

static enum err ask_int(struct copy_side *side, PGconn *pg, const char *sql, int64_t *ret_value)
{
    PGresult *result = NULL;

    TRY(ask_conn(side, pg, sql, &result));
    bool one = PQntuples(result) == 1 && PQgetlength(result, 0, 0) == sizeof *ret_value;
    if (one)
        *ret_value = trip_int_of(PQgetvalue(result, 0, 0));
    PQclear(result);
    return one ? ERR_OK : ERR_NOT_FOUND;
}

static enum err ask(struct copy_side *side, const char *sql, int64_t *ret_value)
{
    return ask_int(side, side->pg, sql, ret_value);
}

static enum err run(struct copy_side *side, const char *sql)
{
    struct pg_reason reason = { 0 };
    enum err e = pg_sync_script(side->pg, sql, LONG_MS, &reason);

    return told(side, e, &reason);
}

/* ---- who else is there ---- */

static enum err refuse_live(struct copy_side *side)
{
    PGresult *result = NULL;

    TRY(ask_conn(side, side->pg, "SELECT url FROM servers WHERE lease_until > " NOW_MS " LIMIT 1",
                 &result));
    bool live = PQntuples(result) > 0;
    if (live)
        snprintf(side->why, sizeof side->why,
                 "a server, %.100s, runs on it: stop it (the lease of one that was killed is over "
                 "in a few seconds)",
                 PQgetvalue(result, 0, 0));
    PQclear(result);
    return live ? ERR_CONFLICT : ERR_OK;
}

/* Nobody writes to what is read until it is closed; what is read is of one moment. */
static enum err lock_source(struct copy_side *side, const struct copy_tables *tables)
{
    CLEANUP(buf_fini) struct buf sql = { 0 };

    buf_literal(&sql, "BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL jit = off;"
                      "SET LOCAL lock_timeout = 5000; SET LOCAL statement_timeout = 0;"
                      "SET LOCAL idle_in_transaction_session_timeout = 0; LOCK TABLE ");
    for (size_t i = 0; i < tables->count; i++)
        buf_printf(&sql, "%s%s", i ? ", " : "", tables->items[i].name);
    buf_literal(&sql, " IN SHARE MODE");
    buf_char(&sql, '\0');
    if (!buf_ok(&sql))
        return ERR_NOMEM;
    return run(side, sql.ptr) == ERR_OK ? ERR_OK : ERR_CONFLICT;
}

static enum err lock_target(struct copy_side *side, const char *url)
{
    struct pg_reason reason = { 0 };
    int64_t locked;

    TRY(told(side, pg_sync_open(&(struct pg_options){ .url = url }, &side->guard, &reason),
             &reason));
    enum err e = pg_sync_script(
        side->guard, "BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0", SHORT_MS, &reason);
    TRY(told(side, e, &reason));
    TRY(ask_int(side, side->guard, COPY_LOCK, &locked));
    if (locked)
        return ERR_OK;
    snprintf(side->why, sizeof side->why, "another copy is at work on it");
    return ERR_CONFLICT;
}

enum err copy_pg_open(struct copy_side *side, const char *url, const struct copy_tables *tables,
                      bool source)
{
    struct pg_reason reason = { 0 };

    side->ops = &copy_pg_ops;
    TRY(told(side, pg_sync_open(&(struct pg_options){ .url = url }, &side->pg, &reason), &reason));
    if (source)
        TRY(lock_source(side, tables));
    else
        TRY(lock_target(side, url));
    return refuse_live(side);
}

void copy_side_close(struct copy_side *side)
{
    side->db = sqlite_db_close(side->db);
    PQfinish(TAKE(side->pg));
    PQfinish(TAKE(side->guard));
    buf_fini(&side->out);
}

/* ---- reading ---- */

static enum err read_rows(struct copy_side *side, const struct copy_table *table,
                          const char *select,
                          enum err (*each)(void *context, const struct pg_tuple *row),
                          void *context)
{
    (void)table;
    enum err e = ledger_pg_copy(side->pg, select, each, context);
    return e == ERR_UNAVAILABLE ? refused(side) : e;
}

/* ---- writing ---- */

static const char HEADER[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0"; /* with its NUL: no flags */

static void add_32(struct buf *out, size_t value)
{
    uint32_t big = htobe32((uint32_t)value);

    buf_bytes(out, &big, sizeof big);
}

static void add_16(struct buf *out, int value)
{
    uint16_t big = htobe16((uint16_t)value);

    buf_bytes(out, &big, sizeof big);
}

static enum err flush(struct copy_side *side)
{
    if (!buf_ok(&side->out))
        return ERR_NOMEM;
    int code = PQputCopyData(side->pg, side->out.ptr, (int)side->out.len);
    buf_reset(&side->out);
    return code == 1 ? ERR_OK : refused(side);
}

static enum err put_begin(struct copy_side *side, const struct copy_table *table)
{
    buf_reset(&side->out);
    buf_printf(&side->out, "COPY %s (", table->name);
    copy_columns(&side->out, table);
    buf_literal(&side->out, ") FROM STDIN (FORMAT binary)");
    buf_char(&side->out, '\0');
    if (!buf_ok(&side->out))
        return ERR_NOMEM;
    PGresult *result = PQexec(side->pg, side->out.ptr);
    bool begun = PQresultStatus(result) == PGRES_COPY_IN;
    PQclear(result);
    buf_reset(&side->out);
    buf_bytes(&side->out, HEADER, sizeof HEADER);
    return begun ? ERR_OK : refused(side);
}

static enum err put(struct copy_side *side, const struct copy_table *table,
                    const struct pg_tuple *row)
{
    struct buf *out = &side->out;

    (void)table;
    add_16(out, row->count);
    for (int i = 0; i < row->count; i++) {
        add_32(out, row->columns[i].ptr ? row->columns[i].len : UINT32_MAX);
        if (row->columns[i].ptr)
            buf_str_append(out, row->columns[i]);
    }
    return out->len < FLUSH_BYTES ? ERR_OK : flush(side);
}

static enum err put_end(struct copy_side *side)
{
    enum err e = ERR_OK;

    add_16(&side->out, -1);
    TRY(flush(side));
    if (PQputCopyEnd(side->pg, NULL) != 1)
        return refused(side);
    for (PGresult *result; (result = PQgetResult(side->pg)) != NULL; PQclear(result))
        if (PQresultStatus(result) != PGRES_COMMAND_OK)
            e = refused(side);
    return e;
}

const struct copy_ops copy_pg_ops = {
    .read = read_rows,
    .run = run,
    .ask = ask,
    .put_begin = put_begin,
    .put = put,
    .put_end = put_end,
    .begin = "BEGIN; SET LOCAL synchronous_commit = off; SET LOCAL statement_timeout = 0",
    .durable = "SELECT 1",
    .tidy = "ANALYZE",
    .mark = "CREATE TABLE copy_mark (database_id bytea NOT NULL)",
    .dead_id = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM dead_events_dead_id_seq",
    .dead_id_set = "SELECT setval('dead_events_dead_id_seq', greatest(n, 1), n > 0)"
                   " FROM (SELECT %lld::bigint AS n) s",
    .column_count = "SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass('%s')"
                    " AND attnum > 0 AND NOT attisdropped",
};
