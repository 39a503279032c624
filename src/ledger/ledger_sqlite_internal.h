// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <pthread.h>
#include <sqlite3.h>

#include "ledger/ledger_batch.h"
#include "ledger/ledger_client.h"
#include "ledger/ledger_rows.h"
#include "ledger/ledger_sqlite.h"
#include "ledger/ledger_sqlite_shop.h"
#include "sqlite/sqlite_db.h"

/* The writer's statements, by the file that uses them. */
struct sqlite_shop_statements {
    sqlite3_stmt *load_product, *load_cart, *load_cart_line;
    sqlite3_stmt *insert_product, *update_product, *store_stock, *count_category, *move_category,
        *store_cart_line, *delete_cart_line;
};

struct sqlite_order_statements {
    sqlite3_stmt *load_order, *load_lines, *load_key, *load_held, *load_attempt, *load_sale,
        *load_day;
    sqlite3_stmt *insert_order, *update_order, *delete_order, *insert_line, *delete_lines,
        *store_key, *delete_key, *store_held, *insert_attempt, *update_attempt, *store_sale,
        *store_day;
};

struct sqlite_place_statements {
    sqlite3_stmt *insert_place, *find_place, *insert_user;
};

struct sqlite_event_statements {
    sqlite3_stmt *insert, *mark[LEDGER_CONSUMER_N], *die, *find_dead, *end_dead, *forget, *lease,
        *lease_end;
};

struct sqlite_statements {
    sqlite3_stmt *begin, *commit, *rollback;
    sqlite3_stmt *load_user, *load_coupon, *load_charge, *load_sequences, *load_next_coupon,
        *load_next_user, *load_next_product;
    sqlite3_stmt *insert_user, *store_user, *store_coupon, *insert_coupon, *store_charge,
        *delete_charge, *store_sequences, *store_clock, *store_load_data, *forget_charges,
        *forget_keys;
    struct sqlite_place_statements place;
    struct sqlite_order_statements order;
    struct sqlite_shop_statements shop;
    struct sqlite_event_statements event;
};

/* One row of a table of statements. */
struct sqlite_sql {
    sqlite3_stmt **stmt;
    const char *sql;
};

struct sqlite_ledger {
    struct ledger base;
    struct ledger_sqlite_options options;
    char *path; /* owned */
    enum sqlite_mode scan_mode;
    pthread_t writer;
    bool writer_runs;
    sqlite3 *db; /* the writer's */
    struct sqlite_statements stmt;
    struct ledger_rows rows;
    bool broken; /* a commit's outcome is unknown; writer thread only */
    int64_t wal_pages;
    bool no_room; /* a commit found the disk full, and there is not plenty of room since */
};

/* A client's statements on events; prepared when the first of them is read. */
struct sqlite_event_reads {
    sqlite3_stmt *next_key[LEDGER_CONSUMER_N], *rows[LEDGER_CONSUMER_N], *count[LEDGER_CONSUMER_N],
        *held, *dead, *dead_count, *all_dead;
};

/* Reads run on the loop's own connection. */
struct sqlite_client {
    struct ledger_client base;
    sqlite3 *db;
    sqlite3_stmt *read[LEDGER_READ_OP_N];
    sqlite3_stmt *begin, *end, *order_lines, *order_counts;
    struct sqlite_shop_reads shop;
    struct sqlite_event_reads event;
};

/* ledger_sqlite_rows.c: one batch's rows in and out of the database, inside a transaction */
enum err ledger_sqlite_prepare(struct sqlite_ledger *ledger) MUST_CHECK;
enum err ledger_sqlite_prepare_all(sqlite3 *db, const struct sqlite_sql *rows,
                                   size_t count) MUST_CHECK;
enum err ledger_sqlite_load(struct sqlite_ledger *ledger) MUST_CHECK;
enum err ledger_sqlite_store(struct sqlite_ledger *ledger, struct list *batch) MUST_CHECK;
/* One row or none. On ERR_OK with *ret_found the caller reads the columns, then resets. */
enum err ledger_sqlite_step_one(sqlite3_stmt *stmt, bool *ret_found) MUST_CHECK;
/* A text column, copied into the batch's memory; ptr NULL for NULL. ERR_NOMEM. */
enum err ledger_sqlite_text(struct arena *arena, sqlite3_stmt *stmt, int column,
                            struct str *ret_text) MUST_CHECK;
enum err ledger_sqlite_fingerprint(sqlite3_stmt *stmt, int column, uint8_t out[16]) MUST_CHECK;
/* NULL for a NULL ptr. */
void ledger_sqlite_bind_text(sqlite3_stmt *stmt, int number, struct str text);

/* ledger_sqlite_places.c: what is not decided in memory, but by the fences: places, ranges of users
 */
enum err ledger_sqlite_places_prepare(struct sqlite_ledger *ledger) MUST_CHECK;
enum err ledger_sqlite_place_store(struct sqlite_ledger *ledger,
                                   struct ledger_place *place) MUST_CHECK;
enum err ledger_sqlite_users_store(struct sqlite_ledger *ledger,
                                   struct ledger_users_create *create) MUST_CHECK;

/* ledger_sqlite_orders.c: orders, their keys, coupons in use, attempts, sums */
enum err ledger_sqlite_orders_prepare(struct sqlite_ledger *ledger) MUST_CHECK;
enum err ledger_sqlite_orders_load(struct sqlite_ledger *ledger) MUST_CHECK;
enum err ledger_sqlite_orders_store(struct sqlite_ledger *ledger) MUST_CHECK;
/* A row of `SELECT ORDER_COLUMNS FROM orders`, without lines; then its lines. ERR_NOMEM. */
#define ORDER_COLUMNS                                                                 \
    "order_id, user_id, status, coupon_id, subtotal, discount, created_at, paid_at, " \
    "cancelled_at, sold_day, transaction_id, attempts, open_attempt"
#define ORDER_LINES_SQL                                               \
    "SELECT product_id, quantity, unit_price, name FROM order_lines " \
    "WHERE order_id = ? ORDER BY product_id"
enum err ledger_sqlite_order(struct arena *arena, sqlite3_stmt *stmt,
                             struct ledger_order *ret_order) MUST_CHECK;
enum err ledger_sqlite_order_lines(struct arena *arena, sqlite3_stmt *stmt,
                                   struct ledger_order *order) MUST_CHECK;
/* From `column` on: claim, user_id, amount, operation, idempotency_key, started_at. */
void ledger_sqlite_attempt(sqlite3_stmt *stmt, int column, struct ledger_attempt *attempt);

/* ledger_sqlite_events.c: what other systems are told, and what became of it */
enum err ledger_sqlite_events_prepare(struct sqlite_ledger *ledger) MUST_CHECK;
enum err ledger_sqlite_events_store(struct sqlite_ledger *ledger) MUST_CHECK;
/* Of another kind: nothing. */
enum err ledger_sqlite_events_command(struct sqlite_ledger *ledger,
                                      struct ledger_command *command) MUST_CHECK;

/* ledger_sqlite_read_events.c */
enum err ledger_sqlite_read_events_open(struct sqlite_client *client) MUST_CHECK;
enum err ledger_sqlite_read_events(struct sqlite_client *client,
                                   struct ledger_read *read) MUST_CHECK;

/* ledger_sqlite_shop.c: products, categories, carts */
enum err ledger_sqlite_shop_prepare(struct sqlite_ledger *ledger) MUST_CHECK;
enum err ledger_sqlite_shop_load(struct sqlite_ledger *ledger) MUST_CHECK;
enum err ledger_sqlite_shop_store(struct sqlite_ledger *ledger) MUST_CHECK;

/* ledger_sqlite_sales.c: boards of the backup; what was sold */
enum err ledger_sqlite_boards_store(struct sqlite_ledger *ledger,
                                    struct ledger_boards_store *store) MUST_CHECK;

/* ledger_sqlite_read_orders.c */
enum err ledger_sqlite_read_order(struct sqlite_client *client,
                                  struct ledger_read *read) MUST_CHECK;
enum err ledger_sqlite_read_orders(struct sqlite_client *client,
                                   struct ledger_read *read) MUST_CHECK;
enum err ledger_sqlite_read_attempts(sqlite3_stmt *stmt, struct ledger_read *read) MUST_CHECK;
/* ledger_sqlite_writer.c */
void *ledger_sqlite_writer(void *ledger);

/* ledger_sqlite_read.c */
enum err ledger_sqlite_read_open(struct sqlite_client *client) MUST_CHECK;
void ledger_sqlite_read(struct ledger_client *client, struct ledger_read *read);
enum err ledger_sqlite_scan_coupons(struct ledger *ledger,
                                    bool (*each)(void *context, const struct coupon *coupon),
                                    void *context) MUST_CHECK;
enum err ledger_sqlite_scan_rows(struct ledger *ledger, struct ledger_scan *scan) MUST_CHECK;

/* A row of `SELECT COUPON_COLUMNS FROM coupons`. */
#define COUPON_COLUMNS                                                                    \
    "coupon_id, name, discount_rate, uses_per_user, total_quantity, starts_at, ends_at, " \
    "closed, version, epoch, issued, highest_slot, witness, closing"
void ledger_sqlite_coupon(sqlite3_stmt *stmt, struct coupon *ret_coupon);
/* A row of `SELECT HELD_COLUMNS FROM user_coupons`. */
#define HELD_COLUMNS \
    "coupon_id, slot, user_id, user_coupon_id, issued_at, expires_at, uses, used_at"
enum { HELD_COLUMN_COUNT = 8 };
void ledger_sqlite_held(sqlite3_stmt *stmt, struct ledger_held *ret_held);
