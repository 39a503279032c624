// SPDX-License-Identifier: Apache-2.0
/* Rows by COPY, in its binary format: the fastest way out of the server, and never all at once. */
#include <endian.h>
#include <stdio.h>

#include "base/log.h"
#include "ledger/ledger_pg_internal.h"
#include "ledger/ledger_pg_sales.h"

enum { SNAPSHOT_TIMEOUT_MS = 5000 };

static PGconn *conn_close(PGconn *conn)
{
    PQfinish(conn);
    return NULL;
}
DEFINE_CLEANUP(PGconn, conn_close)

enum err ledger_pg_snapshot_open(struct ledger *base, PGconn **ret_conn)
{
    struct pg_ledger *ledger = CONTAINER_OF(base, struct pg_ledger, base);
    CLEANUP(conn_closep) PGconn *conn = NULL;
    struct pg_reason reason = { 0 };

    if (ledger_has_fault(&ledger->base))
        return ERR_UNAVAILABLE;
    enum err e = pg_sync_open(&(struct pg_options){ .url = ledger->url }, &conn, &reason);
    if (e == ERR_OK)
        e = pg_sync_script(conn,
                           "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL jit = off",
                           SNAPSHOT_TIMEOUT_MS, &reason);
    if (e != ERR_OK) {
        LOG(LOG_WARN, "postgres: no connection for a scan", LOG_CSTR("error", err_name(e)),
            LOG_CSTR("reason", reason.text));
        return e == ERR_NOMEM ? e : ERR_UNAVAILABLE;
    }
    *ret_conn = TAKE(conn);
    return ERR_OK;
}

int64_t ledger_pg_tuple_int(const struct pg_tuple *tuple, int column)
{
    return tuple->columns[column].len == sizeof(int64_t) ? trip_int_of(tuple->columns[column].ptr)
                                                         : 0;
}

/* ---- the format ---- */

static const char SIGNATURE[] = "PGCOPY\n\377\r\n"; /* with its NUL */

struct reader {
    const char *at;
    size_t left;
};

static bool read_16(struct reader *reader, int *ret_value)
{
    uint16_t value;

    if (reader->left < sizeof value)
        return false;
    memcpy(&value, reader->at, sizeof value);
    reader->at += sizeof value;
    reader->left -= sizeof value;
    *ret_value = (int16_t)be16toh(value);
    return true;
}

static bool read_32(struct reader *reader, int32_t *ret_value)
{
    uint32_t value;

    if (reader->left < sizeof value)
        return false;
    memcpy(&value, reader->at, sizeof value);
    reader->at += sizeof value;
    reader->left -= sizeof value;
    *ret_value = (int32_t)be32toh(value);
    return true;
}

static bool read_bytes(struct reader *reader, int32_t n, struct str *ret_bytes)
{
    if (n < 0 || (size_t)n > reader->left)
        return false;
    *ret_bytes = (struct str){ reader->at, (size_t)n };
    reader->at += n;
    reader->left -= (size_t)n;
    return true;
}

/* The signature, flags, and what may come behind them: before the first row. */
static bool read_header(struct reader *reader)
{
    struct str signature, extension;
    int32_t flags, bytes;

    return read_bytes(reader, sizeof SIGNATURE, &signature) &&
           memcmp(signature.ptr, SIGNATURE, sizeof SIGNATURE) == 0 && read_32(reader, &flags) &&
           read_32(reader, &bytes) && read_bytes(reader, bytes, &extension);
}

/* *ret_end: it was the end's mark. */
static bool read_tuple(struct reader *reader, struct pg_tuple *tuple, bool *ret_end)
{
    int32_t bytes;

    if (!read_16(reader, &tuple->count))
        return false;
    *ret_end = tuple->count == -1;
    if (*ret_end)
        return true;
    if (tuple->count < 0 || tuple->count > PG_TUPLE_COLUMNS_MAX)
        return false;
    for (int i = 0; i < tuple->count; i++) {
        tuple->columns[i] = STR_NONE;
        if (!read_32(reader, &bytes) ||
            (bytes >= 0 && !read_bytes(reader, bytes, &tuple->columns[i])))
            return false;
    }
    return true;
}

/* ---- the stream ---- */

static enum err begin(PGconn *conn, const char *select)
{
    CLEANUP(buf_fini) struct buf sql = { 0 };

    buf_printf(&sql, "COPY (%s) TO STDOUT (FORMAT binary)", select);
    buf_char(&sql, '\0');
    if (!buf_ok(&sql))
        return ERR_NOMEM;
    PGresult *result = PQexec(conn, sql.ptr);
    bool begun = PQresultStatus(result) == PGRES_COPY_OUT;
    if (!begun)
        LOG(LOG_WARN, "postgres: scan refused", LOG_CSTR("message", PQerrorMessage(conn)));
    PQclear(result);
    return begun ? ERR_OK : ERR_UNAVAILABLE;
}

static enum err end(PGconn *conn)
{
    enum err e = ERR_OK;

    for (PGresult *result; (result = PQgetResult(conn)) != NULL; PQclear(result))
        if (PQresultStatus(result) != PGRES_COMMAND_OK)
            e = ERR_UNAVAILABLE;
    return e;
}

/* One message has the rows that are whole in it. */
static enum err take_message(struct reader reader, bool first,
                             enum err (*each)(void *context, const struct pg_tuple *tuple),
                             void *context)
{
    struct pg_tuple tuple;
    bool over = false;

    if (first && !read_header(&reader))
        return ERR_CORRUPT;
    while (reader.left > 0 && !over) {
        if (!read_tuple(&reader, &tuple, &over))
            return ERR_CORRUPT;
        if (!over)
            TRY(each(context, &tuple));
    }
    return ERR_OK;
}

enum err ledger_pg_copy(PGconn *conn, const char *select,
                        enum err (*each)(void *context, const struct pg_tuple *tuple),
                        void *context)
{
    enum err e;
    bool first = true;
    char *message;
    int bytes;

    TRY(begin(conn, select));
    while ((bytes = PQgetCopyData(conn, &message, 0)) > 0) {
        e = take_message((struct reader){ message, (size_t)bytes }, first, each, context);
        PQfreemem(message);
        first = false;
        TRY(e);
    }
    e = end(conn);
    return bytes == -1 ? e : ERR_UNAVAILABLE;
}
