// SPDX-License-Identifier: Apache-2.0
/*
 * What a payment moves: balance, stock, the coupon's uses, the sums of what was sold. It is taken
 * at once, or held until the attempt is settled, and comes back.
 */
#include "ledger/ledger_decide_internal.h"

static int64_t add_clamped(int64_t a, int64_t b)
{
    int64_t sum;

    if (__builtin_add_overflow(a, b, &sum))
        return b < 0 ? INT64_MIN : INT64_MAX;
    return sum;
}

static void coupon_use(struct ledger_rows *rows, const struct ledger_order *order, int64_t uses)
{
    if (order->coupon_id == 0)
        return;
    struct ledger_held_row *held = ledger_rows_held(rows, order->user_id, order->coupon_id);
    held->uses += uses;
    held->changed = true;
    if (held->uses == 0)
        held->used_at_ms = 0;
}

/* Only what is paid has used it: a refused attempt leaves the time of the last use as it was. */
static void coupon_used(struct ledger_rows *rows, const struct ledger_order *order)
{
    if (order->coupon_id == 0)
        return;
    struct ledger_held_row *held = ledger_rows_held(rows, order->user_id, order->coupon_id);
    held->used_at_ms = rows->now_ms;
    held->changed = true;
}

/* Adds to what is there and to what is held. */
static void stock_move(struct ledger_rows *rows, const struct ledger_order *order, int sign_stock,
                       int sign_held)
{
    for (size_t i = 0; i < order->line_count; i++) {
        struct ledger_product_row *row = ledger_rows_product(rows, order->lines[i].product_id);
        int64_t quantity = order->lines[i].quantity;
        row->product.stock = add_clamped(row->product.stock, sign_stock * quantity);
        row->product.held = add_clamped(row->product.held, sign_held * quantity);
        row->changed = true;
    }
}

void ledger_order_take(struct ledger_rows *rows, const struct ledger_order *order, bool hold)
{
    struct ledger_user_row *user = ledger_rows_user(rows, order->user_id);

    user->balance -= ledger_order_total(order);
    user->held += hold ? ledger_order_total(order) : 0;
    user->changed = true;
    stock_move(rows, order, -1, hold);
    coupon_use(rows, order, 1);
}

void ledger_order_unhold(struct ledger_rows *rows, const struct ledger_order *order, bool sold)
{
    struct ledger_user_row *user = ledger_rows_user(rows, order->user_id);

    user->held -= ledger_order_total(order);
    user->balance += sold ? 0 : ledger_order_total(order);
    user->changed = true;
    stock_move(rows, order, sold ? 0 : 1, -1);
    if (!sold)
        coupon_use(rows, order, -1);
}

void ledger_order_sums_add(struct ledger_rows *rows, const struct ledger_order *order, int64_t sign,
                           int64_t at_ms)
{
    struct ledger_day_row *day = ledger_rows_day(rows, order->sold_day);

    for (size_t i = 0; i < order->line_count; i++) {
        const struct order_line *line = &order->lines[i];
        struct ledger_sale_row *row = ledger_rows_sale(rows, order->sold_day, line->product_id);
        const struct ledger_product_row *product = ledger_rows_product(rows, line->product_id);
        struct sales_sum *sum = &row->sale.sum;
        row->sale.day = order->sold_day;
        row->sale.version++;
        row->sale.category = product->product.category;
        row->sale.category_version = product->product.category_version;
        sum->product_id = line->product_id;
        sum->units = add_clamped(sum->units, sign * line->quantity);
        sum->revenue = add_clamped(sum->revenue, sign * line->quantity * line->unit_price);
        sum->reached_ms = at_ms;
        row->changed = true;
        day->version++;
    }
    day->changed = true;
}

void ledger_order_set_status(struct ledger_rows *rows, struct ledger_order_row *row,
                             enum order_status status)
{
    struct ledger_user_row *user = ledger_rows_user(rows, row->order.user_id);

    user->orders[row->order.status]--;
    user->orders[status]++;
    user->changed = true;
    row->order.status = status;
    row->changed = true;
}

void ledger_order_paid(struct ledger_rows *rows, struct ledger_order_row *row,
                       struct str transaction_id)
{
    ledger_order_set_status(rows, row, ORDER_COMPLETED);
    row->order.paid_at_ms = rows->now_ms;
    row->order.sold_day = rows->today;
    row->order.transaction_id = transaction_id;
    coupon_used(rows, &row->order);
    ledger_order_sums_add(rows, &row->order, 1, rows->now_ms);
    ledger_event_of_order(rows, LEDGER_EVENT_ORDER_COMPLETED, &row->order);
}

void ledger_order_refund(struct ledger_rows *rows, struct ledger_order_row *row)
{
    struct ledger_user_row *user = ledger_rows_user(rows, row->order.user_id);

    ledger_order_set_status(rows, row, ORDER_CANCELLED);
    row->order.cancelled_at_ms = rows->now_ms;
    user->balance += ledger_order_total(&row->order);
    stock_move(rows, &row->order, 1, 0);
    coupon_use(rows, &row->order, -1);
    ledger_order_sums_add(rows, &row->order, -1, rows->now_ms);
    ledger_event_of_order(rows, LEDGER_EVENT_ORDER_CANCELLED, &row->order);
}
