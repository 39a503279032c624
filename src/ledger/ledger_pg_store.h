// SPDX-License-Identifier: Apache-2.0
/* Statements of a store whose results matter. */
#pragma once

#include <stdbool.h>

enum pg_store {
    PG_STORE_ROWS,
    PG_STORE_PLACES,     /* whose rows they are */
    PG_STORE_NEW_PLACES, /* all of them went in */
    PG_STORE_USERS,      /* a piece of a range */
    PG_STORE_BOARDS,     /* how many were written */
    PG_STORE_FORGOTTEN_BOARDS,
    PG_STORE_FORGOTTEN, /* answers */
    PG_STORE_FORGOTTEN_EVENTS,
    PG_STORE_LEASED,
    PG_STORE_REVIVED,
    PG_STORE_COMMIT,
};

/* A statement for rows of one kind, begun with the first of them. */
struct pg_store_rows {
    struct pg_trip *trip;
    const char *sql, *kinds; /* of its arrays: see trip_arrays() */
    bool any;
    unsigned at;
};
/* Where a row goes: the first array. */
unsigned pg_store_begin(struct pg_store_rows *rows);
