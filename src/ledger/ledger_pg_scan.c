// SPDX-License-Identifier: Apache-2.0
/* Scans of coupons and their rows, and of what was sold. */
#include <stdio.h>

#include "ledger/ledger_pg_internal.h"
#include "ledger/ledger_pg_sales.h"
#include "ledger/ledger_sums_read.h"

static PGconn *conn_close(PGconn *conn)
{
    PQfinish(conn);
    return NULL;
}
DEFINE_CLEANUP(PGconn, conn_close)

enum { SQL_BYTES = 512, SETTINGS_TIMEOUT_MS = 5000 };

/* Along the index, from the first row on: nothing is gathered or sorted before, whatever the
 * statistics say. */
#define ALONG_THE_INDEX "SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off"

/* ---- coupons ---- */

static void take_coupon(const struct pg_tuple *tuple, struct coupon *ret_coupon)
{
    *ret_coupon = (struct coupon){
        .coupon_id = ledger_pg_tuple_int(tuple, 0),
        .discount_rate = ledger_pg_tuple_int(tuple, 2),
        .uses_per_user = ledger_pg_tuple_int(tuple, 3),
        .settings = { .total_quantity = ledger_pg_tuple_int(tuple, 4),
                      .starts_at_ms = ledger_pg_tuple_int(tuple, 5),
                      .ends_at_ms = ledger_pg_tuple_int(tuple, 6),
                      .closed = ledger_pg_tuple_int(tuple, 7) != 0,
                      .version = ledger_pg_tuple_int(tuple, 8) },
        .epoch = ledger_pg_tuple_int(tuple, 9),
        .closing = ledger_pg_tuple_int(tuple, 13) != 0,
        .witness = { .issued = ledger_pg_tuple_int(tuple, 10),
                     .highest = ledger_pg_tuple_int(tuple, 11),
                     .hash = (uint64_t)ledger_pg_tuple_int(tuple, 12) },
    };
    str_cstr(tuple->columns[1], ret_coupon->name, sizeof ret_coupon->name);
}

struct coupons_scan {
    bool (*each)(void *context, const struct coupon *coupon);
    void *context;
};

static enum err each_coupon(void *context, const struct pg_tuple *tuple)
{
    struct coupons_scan *scan = context;
    struct coupon coupon;

    take_coupon(tuple, &coupon);
    return scan->each(scan->context, &coupon) ? ERR_OK : ERR_NOMEM;
}

enum err ledger_pg_scan_coupons(struct ledger *ledger,
                                bool (*each)(void *context, const struct coupon *coupon),
                                void *context)
{
    CLEANUP(conn_closep) PGconn *conn = NULL;
    struct coupons_scan scan = { each, context };

    TRY(ledger_pg_snapshot_open(ledger, &conn));
    return ledger_pg_copy(conn, "SELECT " PG_COUPON_COLUMNS " FROM coupons ORDER BY coupon_id",
                          each_coupon, &scan);
}

/* ---- rows of a coupon ---- */

struct rows_scan {
    struct ledger_scan *scan;
    struct coupon coupon;
    bool found;
};

static enum err take_the_coupon(void *context, const struct pg_tuple *tuple)
{
    struct rows_scan *self = context;

    take_coupon(tuple, &self->coupon);
    self->found = true;
    return ERR_OK;
}

static enum err each_row(void *context, const struct pg_tuple *tuple)
{
    struct rows_scan *self = context;
    struct ledger_held held = { .coupon_id = self->coupon.coupon_id,
                                .slot = ledger_pg_tuple_int(tuple, 0),
                                .user_id = ledger_pg_tuple_int(tuple, 1) };

    if (!self->scan->who_only) {
        held.user_coupon_id = ledger_pg_tuple_int(tuple, 2);
        held.issued_at_ms = ledger_pg_tuple_int(tuple, 3);
        held.expires_at_ms = ledger_pg_tuple_int(tuple, 4);
        held.uses = ledger_pg_tuple_int(tuple, 5);
        held.used_at_ms = ledger_pg_tuple_int(tuple, 6);
    }
    return self->scan->each(self->scan, &held) ? ERR_OK : ERR_NOMEM;
}

enum err ledger_pg_scan_rows(struct ledger *ledger, struct ledger_scan *scan)
{
    CLEANUP(conn_closep) PGconn *conn = NULL;
    struct rows_scan self = { .scan = scan };
    struct pg_reason reason;
    char sql[SQL_BYTES];

    TRY(ledger_pg_snapshot_open(ledger, &conn)); /* one moment for the coupon and its rows */
    snprintf(sql, sizeof sql, "SELECT " PG_COUPON_COLUMNS " FROM coupons WHERE coupon_id = %lld",
             (long long)scan->coupon_id);
    TRY(ledger_pg_copy(conn, sql, take_the_coupon, &self));
    if (!self.found)
        return ERR_NOT_FOUND;
    if (scan->begin && !scan->begin(scan, &self.coupon))
        return ERR_NOMEM;
    TRY(pg_sync_script(conn, ALONG_THE_INDEX, SETTINGS_TIMEOUT_MS, &reason));
    snprintf(sql, sizeof sql,
             "SELECT slot, user_id%s FROM user_coupons WHERE coupon_id = %lld AND slot > %lld"
             " ORDER BY coupon_id, slot",
             scan->who_only ? "" : ", user_coupon_id, issued_at, expires_at, uses, used_at",
             (long long)scan->coupon_id, (long long)scan->after_slot);
    return ledger_pg_copy(conn, sql, each_row, &self);
}

/* ---- what was sold ---- */

struct sales_scan {
    bool (*each)(void *context, const struct ledger_sale *sale);
    void *context;
    struct pg_categories categories;
};

static void sales_scan_fini(struct sales_scan *scan)
{
    ledger_pg_categories_fini(&scan->categories);
}

static enum err each_sale(void *context, const struct pg_tuple *tuple)
{
    struct sales_scan *scan = context;
    int64_t product_id = ledger_pg_tuple_int(tuple, 2);
    struct ledger_sale sale = { .day = ledger_pg_tuple_int(tuple, 0),
                                .version = ledger_pg_tuple_int(tuple, 1),
                                .sum = { .product_id = product_id,
                                         .units = ledger_pg_tuple_int(tuple, 3),
                                         .revenue = ledger_pg_tuple_int(tuple, 4),
                                         .reached_ms = ledger_pg_tuple_int(tuple, 5) } };

    sale.category = ledger_pg_category_of(&scan->categories, product_id, &sale.category_version);
    return scan->each(scan->context, &sale) ? ERR_OK : ERR_NOMEM;
}

enum err ledger_pg_scan_sales(struct ledger *ledger, int64_t from_day,
                              bool (*each)(void *context, const struct ledger_sale *sale),
                              void *context)
{
    CLEANUP(conn_closep) PGconn *conn = NULL;
    CLEANUP(sales_scan_fini) struct sales_scan scan = { .each = each, .context = context };
    struct pg_reason reason;
    char sql[SQL_BYTES];

    TRY(ledger_pg_snapshot_open(ledger, &conn));
    TRY(ledger_pg_categories_read(conn, &scan.categories));
    TRY(pg_sync_script(conn, ALONG_THE_INDEX, SETTINGS_TIMEOUT_MS, &reason));
    snprintf(sql, sizeof sql,
             "SELECT day, version, product_id, units, revenue, reached_at FROM sales"
             " WHERE day >= %lld ORDER BY day",
             (long long)from_day);
    return ledger_pg_copy(conn, sql, each_sale, &scan);
}

/* ---- boards added up from the sums ---- */

static enum err add_sum(void *context, const struct pg_tuple *tuple)
{
    struct sales_sum row = { .product_id = ledger_pg_tuple_int(tuple, 0),
                             .units = ledger_pg_tuple_int(tuple, 1),
                             .revenue = ledger_pg_tuple_int(tuple, 2),
                             .reached_ms = ledger_pg_tuple_int(tuple, 3) };

    return ledger_sums_add(context, &row);
}

enum err ledger_pg_sums_read(PGconn *conn, struct sales_days days, struct str category,
                             struct ledger_sums *sums)
{
    CLEANUP(buf_fini) struct buf sql = { 0 };

    buf_printf(&sql,
               "SELECT product_id, units, revenue, reached_at FROM sales"
               " WHERE day BETWEEN %lld AND %lld",
               (long long)days.from, (long long)days.to);
    if (category.ptr) {
        char *quoted = PQescapeLiteral(conn, category.ptr, category.len);
        if (!quoted)
            return ERR_NOMEM;
        buf_printf(&sql, " AND product_id IN (SELECT product_id FROM products WHERE category = %s)",
                   quoted);
        PQfreemem(quoted);
    }
    buf_char(&sql, '\0');
    return buf_ok(&sql) ? ledger_pg_copy(conn, sql.ptr, add_sum, sums) : ERR_NOMEM;
}

static enum err read_sums(struct ledger_read *read)
{
    CLEANUP(conn_closep) PGconn *conn = NULL;
    CLEANUP(ledger_sums_fini) struct ledger_sums sums = { 0 };

    TRY(ledger_pg_snapshot_open(read->client->ledger, &conn));
    TRY(ledger_pg_sums_read(conn, sales_window_days(read->window, read->day), read->category,
                            &sums));
    return ledger_sums_answer(read, &sums);
}

static void sums_work(struct loop_work *work)
{
    struct ledger_read *read = CONTAINER_OF(work, struct ledger_read, work);

    read->err = ledger_sums_read_err(read, read_sums(read));
}

void ledger_pg_sales_read(struct loop *loop, struct ledger_read *read)
{
    ledger_sums_read_start(loop, read, sums_work);
}
