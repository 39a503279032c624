// SPDX-License-Identifier: Apache-2.0
/*
 * The outbox of sums: rows are added by the batches (ledger_pg_store_orders.c), and struck out
 * here, in the transaction in which they were taken, once somebody has copied what they name. Rows
 * that another server has taken are passed over. On a connection of its own, kept from call to
 * call.
 */
#include <stdlib.h>

#include "base/arena.h"
#include "base/log.h"
#include "ledger/ledger_pg_internal.h"

enum { TIMEOUT_MS = 5000, ID_BYTES = 24 };
enum {
    COL_ID,
    COL_DAY,
    COL_PRODUCT,
    COL_AGE,
    COL_VERSION,
    COL_UNITS,
    COL_REVENUE,
    COL_REACHED,
    COL_CATEGORY,
    COL_CATEGORY_VERSION
};

/* What a row of the outbox says is only which sum; the sum is as it is now. Where there is none,
 * the product has moved. */
static const char take_sql[] =
    "SELECT id, day, product_id,"
    " (extract(epoch FROM clock_timestamp()) * 1000)::bigint - noted_at,"
    " coalesce(version, -1), coalesce(units, 0), coalesce(revenue, 0), coalesce(reached_at, 0),"
    " coalesce(category, ''), coalesce(category_version, 0)"
    " FROM (SELECT id, day, product_id, noted_at FROM sales_outbox ORDER BY id LIMIT 500"
    " FOR UPDATE SKIP LOCKED) AS taken"
    " LEFT JOIN sales USING (day, product_id) LEFT JOIN products USING (product_id) ORDER BY id";
_Static_assert(LEDGER_RELAY_AT_ONCE == 500, "as the statement has it");

static const char compact_sql[] =
    "DELETE FROM sales_outbox AS older USING (SELECT day, product_id, max(id) AS id"
    " FROM sales_outbox GROUP BY day, product_id) AS newest"
    " WHERE older.day = newest.day AND older.product_id = newest.product_id"
    " AND older.id < newest.id";

static void result_clear(PGresult **result)
{
    PQclear(*result);
}

/* ---- the connection ---- */

void ledger_pg_outbox_fini(struct pg_ledger *ledger)
{
    PQfinish(ledger->outbox);
    ledger->outbox = NULL;
}

static enum err say(struct pg_ledger *ledger, enum err e, const struct pg_reason *reason)
{
    if (!ledger->outbox_said)
        LOG(LOG_WARN, "postgres: the outbox of sums cannot be read", LOG_CSTR("error", err_name(e)),
            LOG_CSTR("reason", reason->text));
    ledger->outbox_said = true;
    ledger_pg_outbox_fini(ledger); /* and with it, what was taken is given back */
    return e == ERR_NOMEM ? e : ERR_UNAVAILABLE;
}

static enum err conn_get(struct pg_ledger *ledger)
{
    struct pg_reason reason = { 0 };

    if (ledger_has_fault(&ledger->base))
        return ERR_UNAVAILABLE;
    if (ledger->outbox && PQstatus(ledger->outbox) == CONNECTION_OK)
        return ERR_OK;
    ledger_pg_outbox_fini(ledger);
    enum err e = pg_sync_open(&(struct pg_options){ .url = ledger->url }, &ledger->outbox, &reason);
    return e == ERR_OK ? ERR_OK : say(ledger, e, &reason);
}

static enum err script(struct pg_ledger *ledger, const char *sql)
{
    struct pg_reason reason = { 0 };
    enum err e = pg_sync_script(ledger->outbox, sql, TIMEOUT_MS, &reason);

    return e == ERR_OK ? ERR_OK : say(ledger, e, &reason);
}

/* ---- rows ---- */

static int64_t number(const PGresult *rows, int row, int column)
{
    return strtoll(PQgetvalue(rows, row, column), NULL, 10);
}

static struct ledger_sale sale_of(const PGresult *rows, int row)
{
    return (struct ledger_sale){
        .day = number(rows, row, COL_DAY),
        .version = number(rows, row, COL_VERSION),
        .sum = { .product_id = number(rows, row, COL_PRODUCT),
                 .units = number(rows, row, COL_UNITS),
                 .revenue = number(rows, row, COL_REVENUE),
                 .reached_ms = number(rows, row, COL_REACHED) },
        .category = { PQgetvalue(rows, row, COL_CATEGORY),
                      (size_t)PQgetlength(rows, row, COL_CATEGORY) },
        .category_version = number(rows, row, COL_CATEGORY_VERSION),
    };
}

static enum err copy(struct ledger_sales_relay *relay, const PGresult *rows)
{
    struct ledger_sale sales[LEDGER_RELAY_AT_ONCE];

    relay->taken = (size_t)PQntuples(rows);
    if (relay->taken == 0)
        return ERR_OK;
    relay->oldest_ms = MAX(number(rows, 0, COL_AGE), 1);
    for (size_t i = 0; i < relay->taken; i++)
        sales[i] = sale_of(rows, (int)i);
    return relay->copy(relay, sales, relay->taken);
}

static enum err strike_out(struct pg_ledger *ledger, const PGresult *rows)
{
    CLEANUP(buf_fini) struct buf sql = { 0 };

    buf_literal(&sql, "DELETE FROM sales_outbox WHERE id = ANY ('{");
    for (int i = 0; i < PQntuples(rows); i++)
        buf_printf(&sql, "%s%s", i ? "," : "", PQgetvalue(rows, i, COL_ID));
    buf_literal(&sql, "}')");
    buf_char(&sql, '\0');
    return buf_ok(&sql) ? script(ledger, sql.ptr) : ERR_NOMEM;
}

static enum err relay_taken(struct pg_ledger *ledger, struct ledger_sales_relay *relay)
{
    CLEANUP(result_clear) PGresult *rows = NULL;
    const struct pg_statement take = { .sql = take_sql };
    struct pg_reason reason = { 0 };
    enum err e = pg_sync_run(ledger->outbox, &take, TIMEOUT_MS, &rows, &reason);

    if (e != ERR_OK)
        return say(ledger, e, &reason);
    ledger->outbox_said = false;
    TRY(copy(relay, rows));
    return relay->taken ? strike_out(ledger, rows) : ERR_OK;
}

enum err ledger_pg_relay_sales(struct ledger *base, struct ledger_sales_relay *relay)
{
    struct pg_ledger *ledger = CONTAINER_OF(base, struct pg_ledger, base);

    TRY(conn_get(ledger));
    if (!relay->copy)
        return script(ledger, compact_sql);
    TRY(script(ledger, "BEGIN"));
    enum err e = relay_taken(ledger, relay);
    if (!ledger->outbox)
        return e;
    enum err ended = script(ledger, e == ERR_OK ? "COMMIT" : "ROLLBACK");
    return e != ERR_OK ? e : ended;
}
