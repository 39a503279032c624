// SPDX-License-Identifier: Apache-2.0
/* The statements of a load, in the order in which they are sent, which is that of the locks. */
#pragma once
#include "ledger/ledger_pg_internal.h"

enum pg_load {
    PG_LOAD_NOTHING, /* begin, settings */
    PG_LOAD_USERS,
    PG_LOAD_COUPONS,
    PG_LOAD_ORDERS,
    PG_LOAD_LINES,
    PG_LOAD_ATTEMPTS,
    PG_LOAD_CHARGES,
    PG_LOAD_KEYS,
    PG_LOAD_HELD,
    PG_LOAD_CARTS,
    PG_LOAD_CART_LINES,
    PG_LOAD_PRODUCTS,
    PG_LOAD_SALES,
    PG_LOAD_STORE,
    PG_LOAD_NEXT_COUPON,
    PG_LOAD_NEXT_USER,
    PG_LOAD_NEXT_PRODUCT,
};

/* Asked for where one of the tables has keys that were not looked up: `table`, or the one whose
 * rows make its rows needed. Parameters are their keys. */
struct pg_load_statement {
    enum pg_load tag;
    size_t table; /* PG_TABLE() */
    const char *parts;
    size_t followed;
    const char *followed_parts; /* NULL: none */
    const char *sql;
};
#define PG_TABLE(member) offsetof(struct ledger_rows, member)

/* ledger_pg_load.c */
void ledger_pg_load_ask(struct pg_writer *writer, const struct pg_load_statement *statements,
                        size_t count);
/*
 * An array for each of `parts` of the keys that were not looked up. a, b, t: as of
 * ledger_row_key; k, n: an attempt's kind and number.
 */
void ledger_pg_load_keys(struct pg_trip *trip, const struct ledger_table *table, const char *parts);

/* ledger_pg_load_take.c: the row that was found. `text` is borrowed: a new row gets a copy. NULL:
 * no memory. */
void *ledger_pg_load_row(struct ledger_rows *rows, struct ledger_table *table, int64_t a, int64_t b,
                         struct str text);

/* ledger_pg_load_orders.c */
void ledger_pg_load_orders_add(struct pg_writer *writer);
enum err ledger_pg_load_orders_take(struct ledger_rows *rows, enum pg_load tag,
                                    const PGresult *result) MUST_CHECK;
