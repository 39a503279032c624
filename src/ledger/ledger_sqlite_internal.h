// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <pthread.h>
#include <sqlite3.h>

#include "ledger/ledger_backend.h"
#include "ledger/ledger_queue.h"
#include "ledger/ledger_rows.h"
#include "ledger/ledger_sqlite.h"
#include "sqlite/sqlite_db.h"

/* The writer's statements. */
struct sqlite_statements {
    sqlite3_stmt *begin, *commit, *rollback;
    sqlite3_stmt *load_user, *load_coupon, *load_charge, *load_sequence, *load_next_coupon,
        *load_next_user;
    sqlite3_stmt *store_user, *store_coupon, *insert_coupon, *insert_charge, *insert_place,
        *insert_user, *store_sequence, *store_clock, *store_load_data, *forget;
    sqlite3_stmt *find_place;
};

struct sqlite_ledger {
    struct ledger base;
    struct ledger_sqlite_options options;
    char *path; /* owned */
    enum sqlite_mode scan_mode;
    struct ledger_queue queue;
    pthread_t writer;
    bool writer_runs;
    sqlite3 *db; /* the writer's */
    struct sqlite_statements stmt;
    struct ledger_rows rows;
    bool broken; /* a commit's outcome is unknown; writer thread only */
    int64_t wal_pages;
    bool no_room; /* a commit found the disk full, and there is not plenty of room since */
    _Atomic bool fault;
};

/* Commands come back through its inbox, a mailbox of the loop; reads run on its own connection. */
struct sqlite_client {
    struct ledger_client base;
    struct loop *loop;
    struct list outbox; /* this turn's commands */
    struct loop_hook hook;
    pthread_mutex_t lock; /* guards inbox, delivery_sent */
    struct list inbox;
    bool delivery_sent;
    struct loop_task delivery;
    sqlite3 *db;
    sqlite3_stmt *read[LEDGER_READ_OP_N];
};

/* ledger_sqlite_rows.c: one batch's rows in and out of the database, inside a transaction */
enum err ledger_sqlite_prepare(struct sqlite_ledger *ledger) MUST_CHECK;
enum err ledger_sqlite_load(struct sqlite_ledger *ledger) MUST_CHECK;
enum err ledger_sqlite_store(struct sqlite_ledger *ledger, struct list *batch) MUST_CHECK;
/* A piece of a range of users is in; true: it was the last. */
enum { LEDGER_USERS_PIECE = 2000 };
bool ledger_sqlite_users_committed(struct ledger_users_create *create);

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
    "closed, version, epoch, issued, highest_slot, witness"
void ledger_sqlite_coupon(sqlite3_stmt *stmt, struct coupon *ret_coupon);
/* A row of `SELECT HELD_COLUMNS FROM user_coupons`. */
#define HELD_COLUMNS \
    "coupon_id, slot, user_id, user_coupon_id, issued_at, expires_at, uses, used_at"
void ledger_sqlite_held(sqlite3_stmt *stmt, struct ledger_held *ret_held);
