// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <libpq-fe.h>

#include "base/buf.h"
#include "ledger/ledger_copy.h"
#include "ledger/ledger_pg_sales.h"
#include "ledger/ledger_pg_trip.h"
#include "pg/pg_conn.h"
#include "sqlite/sqlite_db.h"

enum { COPY_NAME_BYTES = 64, COPY_TABLES_MAX = 32, COPY_KEYS_MAX = 4 };

/* ---- tables: those of shop.db, which has nothing that PostgreSQL lacks ---- */

struct copy_table {
    char name[COPY_NAME_BYTES];
    int column_count, key_count;
    struct {
        char name[COPY_NAME_BYTES];
        char kind; /* i bigint, t text, b bytes */
    } columns[PG_TUPLE_COLUMNS_MAX];
    int key[COPY_KEYS_MAX]; /* columns of the primary key, in its order */
};

/* In the order of their names; the last one is `store`. */
struct copy_tables {
    struct copy_table items[COPY_TABLES_MAX];
    size_t count;
};

enum err copy_tables_read(struct copy_tables *tables, sqlite3 *db) MUST_CHECK;
static inline const struct copy_table *copy_tables_store(const struct copy_tables *tables)
{
    return &tables->items[tables->count - 1];
}

/* "a, b, c" */
void copy_columns(struct buf *sql, const struct copy_table *table);
/* "SELECT … FROM table", those behind `after` (a row of it; NULL: all), by key. Ends with NUL. */
void copy_select(struct buf *sql, const struct copy_table *table, const struct pg_tuple *after);
/* The row with the highest key. Ends with NUL. */
void copy_select_last(struct buf *sql, const struct copy_table *table);

/* ---- sides: both speak of rows as PostgreSQL's binary COPY does ---- */

struct copy_side {
    const struct copy_ops *ops;
    char why[PG_REASON_BYTES]; /* of what failed last; "" */
    sqlite3 *db;
    sqlite3_stmt *insert;
    PGconn *pg;
    PGconn *guard; /* of a target: holds the lock of the one that copies */
    struct buf out;
    bool copying;
};

struct copy_ops {
    /* Every row of a SELECT of `table`'s columns. */
    enum err (*read)(struct copy_side *side, const struct copy_table *table, const char *select,
                     enum err (*each)(void *context, const struct pg_tuple *row), void *context);
    /* Statements without results, `;` between them. */
    enum err (*run)(struct copy_side *side, const char *sql);
    enum err (*ask)(struct copy_side *side, const char *sql, int64_t *ret_value);
    /* Rows of one table, between run("BEGIN") and run("COMMIT"). */
    enum err (*put_begin)(struct copy_side *side, const struct copy_table *table);
    enum err (*put)(struct copy_side *side, const struct copy_table *table,
                    const struct pg_tuple *row);
    enum err (*put_end)(struct copy_side *side);
    const char *begin, *durable; /* SQL: of a transaction; those that follow are on the disk */
    const char *tidy;            /* SQL: once all is there */
    const char *mark;            /* the table of it */
    /* SQL: the last dead_id that was ever given; %lld: to set it */
    const char *dead_id, *dead_id_set;
    const char *column_count; /* SQL, %s: how many columns that table has */
};

extern const struct copy_ops copy_sqlite_ops, copy_pg_ops;

/* The target's file is there. A source is read at rest. */
enum err copy_sqlite_open(struct copy_side *side, const char *path, bool source) MUST_CHECK;
/* Takes the locks, refuses where a lease is alive. ERR_CONFLICT: `why` says who has them. */
enum err copy_pg_open(struct copy_side *side, const char *url, const struct copy_tables *tables,
                      bool source) MUST_CHECK;
void copy_side_close(struct copy_side *side);

/* ---- verifying ---- */

struct copy_sum {
    int64_t rows;
    uint64_t hash; /* of all columns of all rows; their order does not matter */
};
enum err copy_sum(struct copy_side *side, const struct copy_table *table,
                  struct copy_sum *ret_sum) MUST_CHECK;
/* Are all coupons' witnesses what their rows add up to? *ret_coupon_id: the first that is not, 0:
 * all are. *ret_coupons counts. */
enum err copy_witnesses(struct copy_side *side, int64_t *ret_coupons,
                        int64_t *ret_coupon_id) MUST_CHECK;
/* The first place that is no row: its coupon; 0: all are. */
enum err copy_places_missing(struct copy_side *side, const struct ledger_copy_place *places,
                             size_t count, int64_t *ret_coupon_id) MUST_CHECK;
