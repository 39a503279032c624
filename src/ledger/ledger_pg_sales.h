// SPDX-License-Identifier: Apache-2.0
/* Whole scans of the PostgreSQL ledger: on a connection of their own, as of one moment, row by row,
 * so that their number does not matter. They block. */
#pragma once
#include <libpq-fe.h>

#include "ledger/ledger.h"

enum { PG_TUPLE_COLUMNS_MAX = 24 };

/* A row as it comes; borrowed until the next one. */
struct pg_tuple {
    int count;
    struct str columns[PG_TUPLE_COLUMNS_MAX]; /* ptr NULL: NULL */
};
int64_t ledger_pg_tuple_int(const struct pg_tuple *tuple, int column);

/* What is committed now is what is seen until PQfinish(). ERR_UNAVAILABLE, ERR_NOMEM. */
enum err ledger_pg_snapshot_open(struct ledger *ledger, PGconn **ret_conn) MUST_CHECK;
/* Every row of a SELECT, without parameters, in turn. What `each` returns other than ERR_OK ends
 * it, and the use of the connection. */
enum err ledger_pg_copy(PGconn *conn, const char *select,
                        enum err (*each)(void *context, const struct pg_tuple *tuple),
                        void *context) MUST_CHECK;

/* The categories of all products that have one, as a whole: one by one they would be as many round
 * trips, and joined to the sums they would have to be sorted. */
struct pg_categories {
    struct arena arena;
    struct known_category *known; /* by product */
    size_t count, max;
};
void ledger_pg_categories_fini(struct pg_categories *categories);
enum err ledger_pg_categories_read(PGconn *conn, struct pg_categories *categories) MUST_CHECK;
/* As long as they are there; ptr NULL: none. */
struct str ledger_pg_category_of(const struct pg_categories *categories, int64_t product_id,
                                 int64_t *ret_version);

enum err ledger_pg_scan_sales(struct ledger *ledger, int64_t from_day,
                              bool (*each)(void *context, const struct ledger_sale *sale),
                              void *context) MUST_CHECK;
/* SALES_PAGE, SALES_PRODUCT: on a thread for such work, then `done`. */
void ledger_pg_sales_read(struct loop *loop, struct ledger_read *read);

/* ledger_pg_boards.c */
enum err ledger_pg_scan_boards(struct ledger *ledger, int64_t from_day, int64_t to_day,
                               bool (*each)(void *context, const struct ledger_board *board),
                               void *context) MUST_CHECK;
