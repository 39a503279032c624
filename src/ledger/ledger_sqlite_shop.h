// SPDX-License-Identifier: Apache-2.0
/* Products and carts in the SQLite ledger; part of ledger_sqlite_internal.h. */
#pragma once
#include <sqlite3.h>

#include "ledger/ledger.h"

struct sqlite_client;

/* A loop's statements. The first index says of what: all products, or one category. */
struct sqlite_shop_reads {
    sqlite3_stmt *product, *count[2], *page[2][LEDGER_PRODUCT_SORT_N], *units, *has_cart, *cart;
};

/* A row of `SELECT PRODUCT_COLUMNS FROM products`, from `column` on; strings go into `arena`.
 * ERR_NOMEM. */
#define PRODUCT_COLUMNS                                             \
    "product_id, name, description, category, price, stock, held, " \
    "created_at, category_version"
enum { PRODUCT_COLUMN_COUNT = 9 };
enum err ledger_sqlite_product(struct arena *arena, sqlite3_stmt *stmt, int column,
                               struct ledger_product *ret_product) MUST_CHECK;

/* ledger_sqlite_read_shop.c: what is not found is no error, see ledger.h */
enum err ledger_sqlite_read_shop_open(struct sqlite_client *client) MUST_CHECK;
enum err ledger_sqlite_read_product(struct sqlite_client *client,
                                    struct ledger_read *read) MUST_CHECK;
enum err ledger_sqlite_read_products(struct sqlite_client *client,
                                     struct ledger_read *read) MUST_CHECK;
enum err ledger_sqlite_read_products_by_id(struct sqlite_client *client,
                                           struct ledger_read *read) MUST_CHECK;
enum err ledger_sqlite_read_products_unsold(struct sqlite_client *client,
                                            struct ledger_read *read) MUST_CHECK;
enum err ledger_sqlite_read_cart(struct sqlite_client *client, struct ledger_read *read) MUST_CHECK;
