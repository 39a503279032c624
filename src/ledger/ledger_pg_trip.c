// SPDX-License-Identifier: Apache-2.0
#include "ledger/ledger_pg_trip.h"

#include <endian.h>

#include "base/assert.h"

/* As of pg_type; they never change. */
enum {
    OID_BYTEA = 17,
    OID_INT8 = 20,
    OID_TEXT = 25,
    OID_BYTEA_ARRAY = 1001,
    OID_TEXT_ARRAY = 1009,
    OID_INT8_ARRAY = 1016
};
enum { NO_ARRAY = -1, NULL_VALUE = -2 };

void trip_fini(struct pg_trip *trip)
{
    for (size_t i = 0; i < TRIP_PARAMS_MAX; i++)
        buf_fini(&trip->bytes[i]);
}

void trip_reset(struct pg_trip *trip)
{
    for (size_t i = 0; i < trip->param_count; i++)
        buf_reset(&trip->bytes[i]);
    trip->count = trip->param_count = 0;
}

void trip_add(struct pg_trip *trip, int tag, const char *sql)
{
    ASSERT(trip->count < TRIP_STATEMENTS_MAX);
    trip->tags[trip->count] = tag;
    trip->statements[trip->count++] =
        (struct pg_statement){ .sql = sql,
                               .types = &trip->types[trip->param_count],
                               .values = &trip->values[trip->param_count],
                               .lengths = &trip->lengths[trip->param_count],
                               .formats = &trip->formats[trip->param_count],
                               .result_format = 1 };
}

static unsigned param_new(struct pg_trip *trip, Oid type, int32_t elements)
{
    ASSERT(trip->count > 0 && trip->param_count < TRIP_PARAMS_MAX);
    trip->statements[trip->count - 1].param_count++;
    trip->types[trip->param_count] = type;
    trip->formats[trip->param_count] = 1;
    trip->elements[trip->param_count] = elements;
    return (unsigned)trip->param_count++;
}

static void put_32(struct buf *buf, uint32_t value)
{
    uint32_t bytes = htobe32(value);

    buf_bytes(buf, &bytes, sizeof bytes);
}

static void put_64(struct buf *buf, int64_t value)
{
    uint64_t bytes = htobe64((uint64_t)value);

    buf_bytes(buf, &bytes, sizeof bytes);
}

void trip_int(struct pg_trip *trip, int64_t value)
{
    put_64(&trip->bytes[param_new(trip, OID_INT8, NO_ARRAY)], value);
}

void trip_null(struct pg_trip *trip)
{
    param_new(trip, OID_INT8, NULL_VALUE);
}

void trip_text(struct pg_trip *trip, struct str text)
{
    unsigned at = param_new(trip, OID_TEXT, text.ptr ? NO_ARRAY : NULL_VALUE);

    buf_str_append(&trip->bytes[at], text);
}

void trip_bytes(struct pg_trip *trip, const void *bytes, size_t n)
{
    buf_bytes(&trip->bytes[param_new(trip, OID_BYTEA, NO_ARRAY)], bytes, n);
}

/* ---- arrays: dimensions, flags, type of the elements, how many, number of the first ---- */

enum { ARRAY_COUNT_AT = 12 };

unsigned trip_arrays(struct pg_trip *trip, const char *kinds)
{
    unsigned first = (unsigned)trip->param_count;

    for (const char *kind = kinds; *kind; kind++) {
        Oid element = *kind == 'i' ? OID_INT8 : *kind == 't' ? OID_TEXT : OID_BYTEA;
        Oid type = *kind == 'i' ? OID_INT8_ARRAY : *kind == 't' ? OID_TEXT_ARRAY : OID_BYTEA_ARRAY;
        struct buf *buf = &trip->bytes[param_new(trip, type, 0)];
        put_32(buf, 1);
        put_32(buf, 0);
        put_32(buf, element);
        put_32(buf, 0);
        put_32(buf, 1);
    }
    return first;
}

void trip_put(struct pg_trip *trip, unsigned array, int64_t value)
{
    put_32(&trip->bytes[array], sizeof value);
    put_64(&trip->bytes[array], value);
    trip->elements[array]++;
}

static void put_null(struct pg_trip *trip, unsigned array)
{
    put_32(&trip->bytes[array], UINT32_MAX);
    trip->elements[array]++;
}

void trip_put_or_null(struct pg_trip *trip, unsigned array, int64_t value)
{
    if (value)
        trip_put(trip, array, value);
    else
        put_null(trip, array);
}

void trip_put_text(struct pg_trip *trip, unsigned array, struct str text)
{
    if (!text.ptr) {
        put_null(trip, array);
        return;
    }
    put_32(&trip->bytes[array], (uint32_t)text.len);
    buf_str_append(&trip->bytes[array], text);
    trip->elements[array]++;
}

enum err trip_finish(struct pg_trip *trip)
{
    for (size_t i = 0; i < trip->param_count; i++) {
        struct buf *buf = &trip->bytes[i];
        if (!buf_ok(buf))
            return ERR_NOMEM;
        if (trip->elements[i] >= 0) {
            uint32_t count = htobe32((uint32_t)trip->elements[i]);
            memcpy(buf->ptr + ARRAY_COUNT_AT, &count, sizeof count);
        }
        trip->values[i] = trip->elements[i] == NULL_VALUE ? NULL : buf->ptr ? buf->ptr : "";
        trip->lengths[i] = (int)buf->len;
    }
    return ERR_OK;
}

/* ---- results ---- */

int64_t trip_int_of(const char *bytes)
{
    uint64_t value;

    memcpy(&value, bytes, sizeof value);
    return (int64_t)be64toh(value);
}

int64_t trip_get(const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column))
        return 0;
    ASSERT(PQgetlength(result, row, column) == sizeof(int64_t));
    return trip_int_of(PQgetvalue(result, row, column));
}

bool trip_is_null(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column) != 0;
}

struct str trip_get_text(const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column))
        return STR_NONE;
    return (struct str){ PQgetvalue(result, row, column),
                         (size_t)PQgetlength(result, row, column) };
}

enum err trip_copy_text(struct arena *arena, const PGresult *result, int row, int column,
                        struct str *ret_text)
{
    struct str text = trip_get_text(result, row, column);

    *ret_text = text.ptr ? arena_copy(arena, text) : STR_NONE;
    return text.ptr && !ret_text->ptr ? ERR_NOMEM : ERR_OK;
}
