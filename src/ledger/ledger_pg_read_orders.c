// SPDX-License-Identifier: Apache-2.0
/* Reads of orders and of open attempts. An order's lines are rows beside it. */
#include "ledger/ledger_pg_internal.h"

#define ORDER_COLUMNS_O                                                                   \
    "o.order_id, o.user_id, o.status, o.coupon_id, o.subtotal, o.discount, o.created_at," \
    " o.paid_at, o.cancelled_at, o.sold_day, o.transaction_id, o.attempts, o.open_attempt"
#define LINE_COLUMNS_L "l.product_id, l.quantity, l.unit_price, l.name"

/* One ordered scan for each status: as fast for many orders as for few. */
#define OF_STATUS(status)                                                                       \
    "(SELECT * FROM orders WHERE user_id = $1 AND status = " #status " AND $2 IN (-1, " #status \
    ") AND order_id < $3 ORDER BY order_id DESC LIMIT $4)"

bool ledger_pg_read_orders_add(struct pg_trip *trip, const struct ledger_read *read)
{
    switch (read->op) {
    case LEDGER_READ_ORDER:
        trip_add(trip, 0,
                 "SELECT " ORDER_COLUMNS_O ", " LINE_COLUMNS_L " FROM orders o"
                 " LEFT JOIN order_lines l USING (order_id) WHERE order_id = $1"
                 " ORDER BY l.product_id");
        trip_int(trip, read->order_id);
        return true;
    case LEDGER_READ_ORDERS:
        /* The counts are on the user's row, beside each of the page's. */
        trip_add(trip, 0,
                 "SELECT " ORDER_COLUMNS_O ", " LINE_COLUMNS_L ", u.orders_pending,"
                 " u.orders_completed, u.orders_cancelled FROM users u LEFT JOIN (SELECT * FROM"
                 " (" OF_STATUS(0) " UNION ALL " OF_STATUS(1) " UNION ALL " OF_STATUS(
                     2) ") p"
                        " ORDER BY order_id DESC LIMIT $4) o ON true"
                        " LEFT JOIN order_lines l USING (order_id) WHERE u.user_id = $1"
                        " ORDER BY o.order_id DESC, l.product_id");
        trip_int(trip, read->user_id);
        trip_int(trip, read->status);
        trip_int(trip, read->after ? read->after : INT64_MAX);
        trip_int(trip, read->limit + 1);
        return true;
    case LEDGER_READ_ATTEMPTS:
        trip_add(trip, 0,
                 "SELECT kind, subject_id, number, claim, user_id, amount, operation,"
                 " idempotency_key, started_at FROM attempts WHERE state = 0 AND started_at < $1"
                 " ORDER BY started_at LIMIT $2");
        trip_int(trip, read->before_ms);
        trip_int(trip, read->limit);
        return true;
    default:
        return false;
    }
}

enum { LINE_COLUMN = PG_ORDER_COLUMN_COUNT, COUNT_COLUMN = LINE_COLUMN + 4 };

/* The order of `row` and the lines in the rows behind it. Returns the row behind them. */
static enum err take_one(struct arena *arena, const PGresult *result, int row, int *ret_next,
                         struct ledger_order *ret_order)
{
    TRY(ledger_pg_order(arena, result, row, 0, ret_order));
    for (; row < PQntuples(result) && trip_get(result, row, 0) == ret_order->order_id; row++)
        if (!trip_is_null(result, row, LINE_COLUMN))
            TRY(ledger_pg_line(arena, result, row, LINE_COLUMN, ret_order));
    *ret_next = row;
    return ERR_OK;
}

static enum err take_orders(struct ledger_read *read, const PGresult *result)
{
    int row = 0, rows = PQntuples(result);

    read->more = false;
    read->order_count = 0;
    read->total_count = 0;
    read->found = rows > 0;
    read->orders = arena_alloc(read->arena, ((size_t)read->limit + 1) * sizeof *read->orders);
    if (!read->orders)
        return ERR_NOMEM;
    for (int status = 0; read->found && status < ORDER_STATUS_N; status++)
        if (read->status < 0 || read->status == status)
            read->total_count += trip_get(result, 0, COUNT_COLUMN + status);
    if (!read->found || trip_is_null(result, 0, 0))
        return ERR_OK;
    while (row < rows && !read->more) {
        read->more = read->order_count == (size_t)read->limit;
        if (!read->more)
            TRY(take_one(read->arena, result, row, &row, &read->orders[read->order_count++]));
    }
    return ERR_OK;
}

static enum err take_attempts(struct ledger_read *read, const PGresult *result)
{
    read->attempt_count = (size_t)PQntuples(result);
    read->attempts = arena_alloc(read->arena, (read->attempt_count + 1) * sizeof *read->attempts);
    if (!read->attempts)
        return ERR_NOMEM;
    for (size_t i = 0; i < read->attempt_count; i++) {
        struct ledger_attempt *attempt = &read->attempts[i];
        *attempt = (struct ledger_attempt){
            .kind = (enum ledger_attempt_kind)trip_get(result, (int)i, 0),
            .subject_id = trip_get(result, (int)i, 1),
            .number = trip_get(result, (int)i, 2),
        };
        ledger_pg_attempt(result, (int)i, 3, attempt);
    }
    return ERR_OK;
}

enum err ledger_pg_read_orders_take(struct ledger_read *read, const PGresult *result)
{
    int next;

    switch (read->op) {
    case LEDGER_READ_ORDERS:
        return take_orders(read, result);
    case LEDGER_READ_ATTEMPTS:
        return take_attempts(read, result);
    default:
        read->found = PQntuples(result) > 0;
        return read->found ? take_one(read->arena, result, 0, &next, &read->order) : ERR_OK;
    }
}
