// SPDX-License-Identifier: Apache-2.0
/*
 * A round trip being put together: statements with their parameters, and the values of what comes
 * back. Everything is binary. A trip is used again and again and keeps its memory.
 *
 *     trip_add(trip, TAG, sql);             the parameters that follow are its own
 *     unsigned at = trip_arrays(trip, "it"); two arrays: bigint[], text[]
 *     trip_put(trip, at, 7); trip_put_text(trip, at + 1, name);
 */
#pragma once
#include <libpq-fe.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "pg/pg_conn.h"

enum { TRIP_STATEMENTS_MAX = 64, TRIP_PARAMS_MAX = 256 };

struct pg_trip {
    struct pg_statement statements[TRIP_STATEMENTS_MAX];
    int tags[TRIP_STATEMENTS_MAX];
    size_t count;
    /* parameters of all statements, one after the other */
    struct buf bytes[TRIP_PARAMS_MAX];
    Oid types[TRIP_PARAMS_MAX];
    const char *values[TRIP_PARAMS_MAX];
    int lengths[TRIP_PARAMS_MAX], formats[TRIP_PARAMS_MAX];
    int32_t elements[TRIP_PARAMS_MAX]; /* of an array; -1: it is none, -2: NULL */
    size_t param_count;
};

void trip_fini(struct pg_trip *trip);
void trip_reset(struct pg_trip *trip);
/* `tag` is the caller's name of it. */
void trip_add(struct pg_trip *trip, int tag, const char *sql);
void trip_int(struct pg_trip *trip, int64_t value);
void trip_null(struct pg_trip *trip);                  /* bigint */
void trip_text(struct pg_trip *trip, struct str text); /* ptr NULL: NULL */
void trip_bytes(struct pg_trip *trip, const void *bytes, size_t n);
/* One array for each letter: i bigint, t text, b bytea. Returns the first one's number. */
unsigned trip_arrays(struct pg_trip *trip, const char *kinds);
void trip_put(struct pg_trip *trip, unsigned array, int64_t value);
void trip_put_or_null(struct pg_trip *trip, unsigned array, int64_t value); /* 0: NULL */
void trip_put_text(struct pg_trip *trip, unsigned array, struct str text);  /* also bytes */
/* Nothing is added any more. ERR_NOMEM. */
enum err trip_finish(struct pg_trip *trip) MUST_CHECK;

/* ---- results ---- */

int64_t trip_get(const PGresult *result, int row, int column); /* NULL: 0 */
bool trip_is_null(const PGresult *result, int row, int column);
struct str trip_get_text(const PGresult *result, int row, int column); /* NULL: ptr NULL */
/* Copied; ptr NULL for NULL. ERR_NOMEM. */
enum err trip_copy_text(struct arena *arena, const PGresult *result, int row, int column,
                        struct str *ret_text) MUST_CHECK;
int64_t trip_int_of(const char *bytes); /* big-endian */
