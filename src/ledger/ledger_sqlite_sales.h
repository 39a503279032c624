// SPDX-License-Identifier: Apache-2.0
/* What was sold: scans, reads that add many rows up, boards of the backup. */
#pragma once
#include "ledger/ledger_sqlite_internal.h"
#include "ledger/ledger_sums.h"

/* A connection for one whole scan, as of one moment. ERR_UNAVAILABLE, ERR_NOMEM, … */
enum err ledger_sqlite_sales_open(struct ledger *ledger, sqlite3 **ret_db) MUST_CHECK;
/* The rows of those days, into `sums`; category ptr NULL: all products. */
enum err ledger_sqlite_sums_read(sqlite3 *db, struct sales_days days, struct str category,
                                 struct ledger_sums *sums) MUST_CHECK;

enum err ledger_sqlite_scan_sales(struct ledger *ledger, int64_t from_day,
                                  bool (*each)(void *context, const struct ledger_sale *sale),
                                  void *context) MUST_CHECK;
/* SALES_PAGE, SALES_PRODUCT: on a thread for such work, then `done`. */
void ledger_sqlite_sales_read(struct sqlite_client *client, struct ledger_read *read);

/* ledger_sqlite_boards.c */
enum err ledger_sqlite_scan_boards(struct ledger *ledger, int64_t from_day, int64_t to_day,
                                   bool (*each)(void *context, const struct ledger_board *board),
                                   void *context) MUST_CHECK;
#define BOARD_READ_SQL                                                           \
    "SELECT made_at, e.value ->> 0, e.value ->> 1, e.value ->> 2, e.value ->> 3" \
    " FROM boards LEFT JOIN json_each(entries) AS e"                             \
    " WHERE sales_window = ? AND day = ? AND category = coalesce(?, '') ORDER BY e.key"
/* `stmt` is of BOARD_READ_SQL. */
enum err ledger_sqlite_board_read(sqlite3_stmt *stmt, struct ledger_read *read) MUST_CHECK;
