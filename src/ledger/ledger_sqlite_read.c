// SPDX-License-Identifier: Apache-2.0
/*
 * Reads: point look-ups and short pages on the loop's own connection (microseconds, from the page
 * cache; WAL readers and the writer never wait for each other), whole scans on a connection opened
 * for them.
 */
#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "ledger/ledger_sqlite_internal.h"
#include "ledger/ledger_sqlite_sales.h"

#define ORDERS_OF_STATUS(status)                                           \
    "SELECT order_id FROM orders WHERE user_id = ?1 AND status = " #status \
    " AND ?2 IN (-1, " #status ") AND order_id < ?3 ORDER BY order_id DESC LIMIT ?4"

enum err ledger_sqlite_read_open(struct sqlite_client *client)
{
    static const char *const sql[LEDGER_READ_OP_N] = {
        [LEDGER_READ_USER] = "SELECT balance, coalesce(username, 'user' || user_id),"
                             " coalesce(email, 'user' || user_id || '@example.com')"
                             " FROM users WHERE user_id = ?",
        [LEDGER_READ_USERS_EXIST] =
            "SELECT user_id FROM users WHERE user_id >= ?1 AND user_id < ?1 + 4096",
        [LEDGER_READ_HELD] = "SELECT " HELD_COLUMNS " FROM user_coupons"
                             " WHERE user_id = ? AND coupon_id = ?",
        [LEDGER_READ_HELD_LIST] = "SELECT " HELD_COLUMNS " FROM user_coupons WHERE user_id = ?"
                                  " ORDER BY issued_at DESC, user_coupon_id DESC",
        [LEDGER_READ_WINNERS] =
            "SELECT h.*, c.issued FROM coupons c LEFT JOIN (SELECT " HELD_COLUMNS
            " FROM user_coupons WHERE coupon_id = ?1 AND slot > ?2 ORDER BY slot LIMIT ?3) h"
            " ON true WHERE c.coupon_id = ?1 ORDER BY h.slot",
        [LEDGER_READ_ORDER] = "SELECT " ORDER_COLUMNS " FROM orders WHERE order_id = ?",
        /* One ordered scan for each status: as fast for many orders as for few. */
        [LEDGER_READ_ORDERS] =
            "SELECT " ORDER_COLUMNS " FROM orders WHERE order_id IN"
            " (SELECT * FROM (" ORDERS_OF_STATUS(
                0) ") UNION ALL"
                   " SELECT * FROM (" ORDERS_OF_STATUS(1) ") UNION ALL"
                                                          " SELECT * FROM (" ORDERS_OF_STATUS(
                                                              2) "))"
                                                                 " ORDER BY order_id DESC LIMIT ?4",
        [LEDGER_READ_ATTEMPTS] = "SELECT kind, subject_id, number, claim, user_id, amount,"
                                 " operation, idempotency_key, started_at FROM attempts"
                                 " WHERE state = 0 AND started_at < ? ORDER BY started_at LIMIT ?",
        [LEDGER_READ_BOARD] = BOARD_READ_SQL,
    };
    struct sqlite_ledger *ledger = CONTAINER_OF(client->base.ledger, struct sqlite_ledger, base);

    _Static_assert(LEDGER_EXIST_SPAN == 4096, "the statement says it, too");
    TRY(sqlite_db_open(ledger->path, SQLITE_READER, &client->db));
    for (size_t i = 0; i < LEDGER_READ_OP_N; i++)
        if (sql[i])
            TRY(sqlite_db_prepare(client->db, sql[i], &client->read[i]));
    TRY(ledger_sqlite_read_shop_open(client));
    TRY(ledger_sqlite_read_events_open(client));
    TRY(sqlite_db_prepare(client->db, ORDER_LINES_SQL, &client->order_lines));
    TRY(sqlite_db_prepare(client->db, "BEGIN", &client->begin));
    TRY(sqlite_db_prepare(client->db, "COMMIT", &client->end));
    return sqlite_db_prepare(client->db,
                             "SELECT orders_pending, orders_completed, orders_cancelled"
                             " FROM users WHERE user_id = ?",
                             &client->order_counts);
}

static enum err read_user(sqlite3_stmt *stmt, struct ledger_read *read)
{
    sqlite3_bind_int64(stmt, 1, read->user_id);
    int code = sqlite3_step(stmt);
    read->found = code == SQLITE_ROW;
    if (!read->found)
        return sqlite_db_err(code);
    read->user.user_id = read->user_id;
    read->user.balance = sqlite3_column_int64(stmt, 0);
    read->user.username = arena_copy(read->arena, sqlite_db_text(stmt, 1));
    read->user.email = arena_copy(read->arena, sqlite_db_text(stmt, 2));
    return read->user.username.ptr && read->user.email.ptr ? ERR_OK : ERR_NOMEM;
}

static enum err read_users_exist(sqlite3_stmt *stmt, struct ledger_read *read)
{
    int code;

    memset(read->exist, 0, sizeof read->exist);
    sqlite3_bind_int64(stmt, 1, read->first_id);
    while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
        uint64_t offset = (uint64_t)(sqlite3_column_int64(stmt, 0) - read->first_id);
        read->exist[offset / 64] |= UINT64_C(1) << (offset % 64);
    }
    return sqlite_db_err(code);
}

static enum err read_held(sqlite3_stmt *stmt, struct ledger_read *read)
{
    sqlite3_bind_int64(stmt, 1, read->user_id);
    sqlite3_bind_int64(stmt, 2, read->coupon_id);
    int code = sqlite3_step(stmt);
    read->found = code == SQLITE_ROW;
    if (read->found)
        ledger_sqlite_held(stmt, &read->held);
    return sqlite_db_err(code);
}

/* With winners the coupon's own columns come with each row, and alone where there is none. */
static bool is_row(sqlite3_stmt *stmt, struct ledger_read *read)
{
    if (read->op != LEDGER_READ_WINNERS)
        return true;
    read->total_count = sqlite3_column_int64(stmt, HELD_COLUMN_COUNT);
    return sqlite3_column_type(stmt, 0) != SQLITE_NULL;
}

/* Rows into the arena; `limit` 0: all of them. One row more than the limit only sets `more`. */
static enum err read_rows(sqlite3_stmt *stmt, struct ledger_read *read, size_t limit)
{
    size_t cap = 0;
    int code;

    read->rows = NULL;
    read->row_count = 0;
    read->more = false;
    read->total_count = 0;
    while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
        if (!is_row(stmt, read))
            continue;
        if (limit && read->row_count == limit) {
            read->more = true;
            return ERR_OK;
        }
        if (read->row_count == cap) {
            size_t bigger = cap ? cap * 2 : 16;
            struct ledger_held *rows = arena_alloc(read->arena, bigger * sizeof *rows);
            if (!rows)
                return ERR_NOMEM;
            if (cap)
                memcpy(rows, read->rows, cap * sizeof *rows);
            read->rows = rows;
            cap = bigger;
        }
        ledger_sqlite_held(stmt, &read->rows[read->row_count++]);
    }
    return sqlite_db_err(code);
}

static enum err read_one(struct sqlite_client *client, sqlite3_stmt *stmt, struct ledger_read *read)
{
    switch (read->op) {
    case LEDGER_READ_USER:
        return read_user(stmt, read);
    case LEDGER_READ_USERS_EXIST:
        return read_users_exist(stmt, read);
    case LEDGER_READ_HELD:
        return read_held(stmt, read);
    case LEDGER_READ_HELD_LIST:
        sqlite3_bind_int64(stmt, 1, read->user_id);
        return read_rows(stmt, read, 0);
    case LEDGER_READ_WINNERS:
        sqlite3_bind_int64(stmt, 1, read->coupon_id);
        sqlite3_bind_int64(stmt, 2, read->after);
        sqlite3_bind_int64(stmt, 3, read->limit + 1);
        return read_rows(stmt, read, (size_t)read->limit);
    case LEDGER_READ_ORDER:
        return ledger_sqlite_read_order(client, read);
    case LEDGER_READ_ORDERS:
        return ledger_sqlite_read_orders(client, read);
    case LEDGER_READ_ATTEMPTS:
        return ledger_sqlite_read_attempts(stmt, read);
    case LEDGER_READ_PRODUCT:
        return ledger_sqlite_read_product(client, read);
    case LEDGER_READ_PRODUCTS:
        return ledger_sqlite_read_products(client, read);
    case LEDGER_READ_PRODUCTS_BY_ID:
        return ledger_sqlite_read_products_by_id(client, read);
    case LEDGER_READ_PRODUCTS_UNSOLD:
        return ledger_sqlite_read_products_unsold(client, read);
    case LEDGER_READ_CART:
        return ledger_sqlite_read_cart(client, read);
    case LEDGER_READ_BOARD:
        return ledger_sqlite_board_read(stmt, read);
    case LEDGER_READ_EVENT_HEADS:
    case LEDGER_READ_EVENTS:
    case LEDGER_READ_EVENTS_DEAD:
    case LEDGER_READ_EVENT_COUNT:
        return ledger_sqlite_read_events(client, read);
    case LEDGER_READ_SALES_PAGE:
    case LEDGER_READ_SALES_PRODUCT:
    case LEDGER_READ_OP_N:
        break;
    }
    ASSERT(false && "unknown read");
    return ERR_INVALID;
}

static bool is_of_events(enum ledger_read_op op)
{
    return op == LEDGER_READ_EVENT_HEADS || op == LEDGER_READ_EVENTS ||
           op == LEDGER_READ_EVENTS_DEAD || op == LEDGER_READ_EVENT_COUNT;
}

/* Reads of several statements see one moment, and take and give back the file's locks once. */
static enum err read_as_one(struct sqlite_client *client, struct ledger_read *read)
{
    sqlite3_stmt *stmt = client->read[read->op];
    bool several = read->op == LEDGER_READ_ORDER || read->op == LEDGER_READ_ORDERS ||
                   read->op == LEDGER_READ_PRODUCTS || read->op == LEDGER_READ_PRODUCTS_BY_ID ||
                   read->op == LEDGER_READ_CART || is_of_events(read->op);

    if (several)
        TRY(sqlite_db_run(client->begin));
    enum err e = read_one(client, stmt, read);
    if (e != ERR_OK)
        LOG(LOG_WARN, "read failed", LOG_INT("operation", read->op),
            LOG_INT("code", sqlite3_extended_errcode(client->db)),
            LOG_CSTR("message", sqlite3_errmsg(client->db)));
    if (stmt)
        sqlite3_reset(stmt);
    if (!sqlite3_get_autocommit(client->db))
        err_ignore(sqlite_db_run(client->end), "nothing was written");
    return e;
}

static void read_done(struct loop_task *task)
{
    struct ledger_read *read = CONTAINER_OF(task, struct ledger_read, task);

    read->done(read);
}

void ledger_sqlite_read(struct ledger_client *base, struct ledger_read *read)
{
    struct sqlite_client *client = CONTAINER_OF(base, struct sqlite_client, base);
    struct sqlite_ledger *ledger = CONTAINER_OF(base->ledger, struct sqlite_ledger, base);

    if (ledger_has_fault(&ledger->base)) {
        read->err = ERR_UNAVAILABLE;
    } else if (read->op == LEDGER_READ_SALES_PAGE || read->op == LEDGER_READ_SALES_PRODUCT) {
        ledger_sqlite_sales_read(client, read);
        return;
    } else {
        read->err = read_as_one(client, read);
    }
    if (read->err != ERR_OK && read->err != ERR_NOMEM)
        read->err = ERR_UNAVAILABLE;
    read->task.run = read_done;
    loop_post(client->base.loop, &read->task);
}

/* ---- scans ---- */

static sqlite3 *scan_close(sqlite3 *db)
{
    return sqlite_db_close(db);
}
DEFINE_CLEANUP(sqlite3, scan_close)

static enum err scan_open(struct ledger *base, sqlite3 **ret_db)
{
    struct sqlite_ledger *ledger = CONTAINER_OF(base, struct sqlite_ledger, base);

    if (ledger_has_fault(&ledger->base))
        return ERR_UNAVAILABLE;
    return sqlite_db_open(ledger->path, ledger->scan_mode, ret_db);
}

enum err ledger_sqlite_scan_coupons(struct ledger *ledger,
                                    bool (*each)(void *context, const struct coupon *coupon),
                                    void *context)
{
    CLEANUP(scan_closep) sqlite3 *db = NULL;
    sqlite3_stmt *stmt;
    struct coupon coupon;
    int code;

    TRY(scan_open(ledger, &db));
    TRY(sqlite_db_prepare(db, "SELECT " COUPON_COLUMNS " FROM coupons ORDER BY coupon_id", &stmt));
    while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
        ledger_sqlite_coupon(stmt, &coupon);
        if (!each(context, &coupon))
            return ERR_NOMEM;
    }
    return sqlite_db_err(code);
}

static enum err scan_coupon(sqlite3 *db, int64_t coupon_id, struct coupon *ret_coupon)
{
    sqlite3_stmt *stmt;

    TRY(sqlite_db_prepare(db, "SELECT " COUPON_COLUMNS " FROM coupons WHERE coupon_id = ?", &stmt));
    sqlite3_bind_int64(stmt, 1, coupon_id);
    int code = sqlite3_step(stmt);
    if (code == SQLITE_ROW)
        ledger_sqlite_coupon(stmt, ret_coupon);
    sqlite3_reset(stmt);
    return code == SQLITE_ROW ? ERR_OK : code == SQLITE_DONE ? ERR_NOT_FOUND : sqlite_db_err(code);
}

enum err ledger_sqlite_scan_rows(struct ledger *ledger, struct ledger_scan *scan)
{
    CLEANUP(scan_closep) sqlite3 *db = NULL;
    struct coupon coupon;
    struct ledger_held held;
    sqlite3_stmt *stmt;
    int code;

    TRY(scan_open(ledger, &db));
    TRY(sqlite_db_exec(db, "BEGIN")); /* one moment for the coupon and its rows */
    TRY(scan_coupon(db, scan->coupon_id, &coupon));
    if (scan->begin && !scan->begin(scan, &coupon))
        return ERR_NOMEM;
    TRY(sqlite_db_prepare(db,
                          "SELECT " HELD_COLUMNS " FROM user_coupons WHERE coupon_id = ?"
                          " AND slot > ? ORDER BY slot",
                          &stmt));
    sqlite3_bind_int64(stmt, 1, scan->coupon_id);
    sqlite3_bind_int64(stmt, 2, scan->after_slot);
    while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
        ledger_sqlite_held(stmt, &held);
        if (!scan->each(scan, &held))
            return ERR_NOMEM;
    }
    return sqlite_db_err(code);
}
