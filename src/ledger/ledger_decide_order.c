// SPDX-License-Identifier: Apache-2.0
/*
 * Orders: created (nothing taken), paid (at once, or held while the gateway is asked), cancelled.
 * The order of the checks is the order of the errors that callers see.
 */
#include "base/clock.h"
#include "ledger/ledger_decide_internal.h"

/* ---- checks ---- */

static enum ledger_order_outcome check_coupon(struct ledger_rows *rows, int64_t user_id,
                                              int64_t coupon_id)
{
    if (coupon_id == 0)
        return LEDGER_ORDER_OK;
    const struct ledger_coupon_row *coupon = ledger_rows_coupon(rows, coupon_id);
    const struct ledger_held_row *held = ledger_rows_held(rows, user_id, coupon_id);
    if (!coupon->row.found || !held->row.found)
        return LEDGER_ORDER_INVALID_COUPON;
    switch (coupon_held_state(held->uses, coupon->coupon.uses_per_user, held->expires_at_ms,
                              rows->now_ms)) {
    case HELD_AVAILABLE:
        return LEDGER_ORDER_OK;
    case HELD_EXPIRED:
        return LEDGER_ORDER_EXPIRED_COUPON;
    case HELD_USED:
    case HELD_RESERVED:
        break;
    }
    return LEDGER_ORDER_INVALID_COUPON;
}

static enum ledger_order_outcome check_stock(struct ledger_rows *rows,
                                             const struct order_line *lines, size_t count,
                                             int64_t *ret_product_id)
{
    for (size_t i = 0; i < count; i++)
        if (ledger_rows_product(rows, lines[i].product_id)->product.stock < lines[i].quantity) {
            *ret_product_id = lines[i].product_id;
            return LEDGER_ORDER_INSUFFICIENT_STOCK;
        }
    return LEDGER_ORDER_OK;
}

static enum ledger_order_outcome check_balance(struct ledger_rows *rows,
                                               const struct ledger_order *order)
{
    return ledger_rows_user(rows, order->user_id)->balance >= ledger_order_total(order)
               ? LEDGER_ORDER_OK
               : LEDGER_ORDER_INSUFFICIENT_BALANCE;
}

/* Fills in names and prices as they are now. */
static enum ledger_order_outcome check_products(struct ledger_rows *rows, struct order_line *lines,
                                                size_t count, int64_t *ret_product_id)
{
    for (size_t i = 0; i < count; i++) {
        const struct ledger_product_row *row = ledger_rows_product(rows, lines[i].product_id);
        *ret_product_id = lines[i].product_id;
        if (!row->row.found && !row->created)
            return LEDGER_ORDER_NO_PRODUCT;
        lines[i].unit_price = row->product.price;
        lines[i].name = row->product.name;
    }
    return LEDGER_ORDER_OK;
}

/* ---- create ---- */

/* The order as it would be; without an id yet. */
static enum ledger_order_outcome draft(struct ledger_rows *rows,
                                       const struct ledger_order_create *create,
                                       struct ledger_order *order, int64_t *ret_product_id)
{
    struct ledger_user_row *user = ledger_rows_user(rows, create->user_id);
    enum ledger_order_outcome outcome;

    if (!ledger_rows_user_is_there(rows, user))
        return LEDGER_ORDER_NO_USER;
    if (order->line_count == 0)
        return LEDGER_ORDER_NO_LINES;
    if ((outcome = check_products(rows, order->lines, order->line_count, ret_product_id)) ||
        (outcome = check_stock(rows, order->lines, order->line_count, ret_product_id)) ||
        (outcome = check_coupon(rows, create->user_id, create->coupon_id)))
        return outcome;
    int64_t rate =
        create->coupon_id ? ledger_rows_coupon(rows, create->coupon_id)->coupon.discount_rate : 0;
    if (!order_price(order->lines, order->line_count, rate, &order->subtotal, &order->discount))
        return LEDGER_ORDER_OVERFLOW;
    return create->pay ? check_balance(rows, order) : LEDGER_ORDER_OK;
}

static enum err row_new(struct ledger_rows *rows, const struct ledger_order *order,
                        struct ledger_order_row **ret_row)
{
    int64_t order_id = order->order_id ? order->order_id : rows->next_order_id;
    struct ledger_order_row *row = ledger_rows_add_order(rows, order_id);
    struct ledger_user_row *user = ledger_rows_user(rows, order->user_id);

    if (!row)
        return ERR_NOMEM;
    ledger_id_use(&rows->next_order_id, order_id);
    rows->sequences_changed = true;
    row->order = *order;
    row->order.order_id = order_id;
    row->created = true;
    user->orders[order->status]++;
    user->changed = true;
    *ret_row = row;
    return ERR_OK;
}

static void result_set(struct ledger_rows *rows, struct ledger_order_result *result,
                       const struct ledger_order *order)
{
    result->order = order;
    result->order_id = order->order_id;
    result->user_id = order->user_id;
    result->amount = ledger_order_total(order);
    result->balance = ledger_rows_user(rows, order->user_id)->balance;
    result->at_ms = rows->now_ms;
}

static enum err answered(struct ledger_rows *rows, struct ledger_command *command,
                         struct ledger_order_result *result)
{
    const struct ledger_key *key = command->key;
    enum err e = ledger_key_answered(rows, command, result, result->user_id, result->operation,
                                     key ? key->key : STR_NONE, key ? key->fingerprint : NULL);

    result->order = NULL; /* it does not outlive the batch */
    return e;
}

/* The gateway is to be asked: an attempt is open until it is settled. */
static enum err hold(struct ledger_rows *rows, struct ledger_command *command,
                     struct ledger_order_row *row, enum ledger_attempt_kind kind,
                     struct ledger_order_result *result)
{
    struct ledger_order *order = &row->order;
    struct ledger_attempt_row *attempt =
        ledger_rows_add_attempt(rows, kind, order->order_id, order->attempts + 1);

    if (!attempt)
        return ERR_NOMEM;
    order->open_attempt = ++order->attempts;
    row->changed = true;
    ledger_attempt_open(rows, attempt, order->user_id, ledger_order_total(order), result->operation,
                        command->key ? command->key->key : STR_NONE);
    if (kind == LEDGER_ATTEMPT_REFUND)
        str_cstr(order->transaction_id, attempt->attempt.refunded_id,
                 sizeof attempt->attempt.refunded_id);
    ledger_key_running(rows, command->key, order->order_id);
    result_set(rows, result, order);
    result->order = NULL;
    result->outcome = LEDGER_ORDER_HELD;
    result->attempt = attempt->attempt;
    return ERR_OK;
}

/* Everything was checked. */
static enum err pay(struct ledger_rows *rows, struct ledger_command *command,
                    struct ledger_order_row *row, bool gateway, struct ledger_order_result *result)
{
    bool ask = gateway && ledger_order_total(&row->order) > 0;

    ledger_order_take(rows, &row->order, ask);
    if (ask)
        return hold(rows, command, row, LEDGER_ATTEMPT_PAYMENT, result);
    ledger_order_paid(rows, row, STR_NONE);
    result_set(rows, result, &row->order);
    return answered(rows, command, result);
}

enum err ledger_decide_order_create(struct ledger_rows *rows, struct ledger_command *command)
{
    struct ledger_order_create *create = &command->order_create;
    struct ledger_order_result *result = &create->result;
    struct ledger_order_row *row;
    enum err e;

    *result = (struct ledger_order_result){ .operation = create->pay ? LEDGER_OPERATION_COMPLETE
                                                                     : LEDGER_OPERATION_ORDER };
    if (ledger_key_replays(rows, command, result, &e))
        return e;
    struct ledger_order order = { .user_id = create->user_id,
                                  .coupon_id = create->coupon_id,
                                  .line_count = create->line_count,
                                  .created_at_ms = rows->now_ms };
    order.lines = arena_alloc(&rows->arena, (create->line_count + 1) * sizeof *order.lines);
    if (!order.lines)
        return ERR_NOMEM;
    if (create->line_count)
        memcpy(order.lines, create->lines, create->line_count * sizeof *order.lines);
    result->outcome = draft(rows, create, &order, &result->product_id);
    if (result->outcome != LEDGER_ORDER_OK)
        return ERR_OK;
    TRY(row_new(rows, &order, &row));
    if (create->pay)
        return pay(rows, command, row, create->gateway, result);
    result_set(rows, result, &row->order);
    return answered(rows, command, result);
}

/* ---- pay, cancel ---- */

/* NULL: the outcome says why. An order that this very batch makes is not there yet. */
static struct ledger_order_row *find(struct ledger_rows *rows, int64_t user_id, int64_t order_id,
                                     struct ledger_order_result *result)
{
    struct ledger_user_row *user = ledger_rows_user(rows, user_id);
    struct ledger_order_row *row = ledger_rows_order(rows, order_id);

    if (!ledger_rows_user_is_there(rows, user))
        result->outcome = LEDGER_ORDER_NO_USER;
    else if (!row->row.found || row->removed)
        result->outcome = LEDGER_ORDER_NO_ORDER;
    else if (row->order.user_id != user_id)
        result->outcome = LEDGER_ORDER_NOT_OWNER;
    else
        return row;
    return NULL;
}

static enum ledger_order_outcome may_pay(struct ledger_rows *rows, const struct ledger_order *order,
                                         int64_t *ret_product_id)
{
    enum ledger_order_outcome outcome;

    if (order->status != ORDER_PENDING)
        return LEDGER_ORDER_INVALID_STATUS;
    if (order->open_attempt)
        return LEDGER_ORDER_BUSY;
    if ((outcome = check_coupon(rows, order->user_id, order->coupon_id)) ||
        (outcome = check_stock(rows, order->lines, order->line_count, ret_product_id)))
        return outcome;
    return check_balance(rows, order);
}

enum err ledger_decide_order_pay(struct ledger_rows *rows, struct ledger_command *command)
{
    struct ledger_order_pay *order_pay = &command->order_pay;
    struct ledger_order_result *result = &order_pay->result;
    enum err e;

    *result = (struct ledger_order_result){ .operation = LEDGER_OPERATION_PAYMENT };
    if (ledger_key_replays(rows, command, result, &e))
        return e;
    struct ledger_order_row *row = find(rows, order_pay->user_id, order_pay->order_id, result);
    if (!row)
        return ERR_OK;
    result->outcome = may_pay(rows, &row->order, &result->product_id);
    if (result->outcome != LEDGER_ORDER_OK)
        return ERR_OK;
    return pay(rows, command, row, order_pay->gateway, result);
}

/* The refund must fit into the balance, whatever else may come in until it is there. */
static bool refund_fits(struct ledger_rows *rows, const struct ledger_order *order)
{
    const struct ledger_user_row *user = ledger_rows_user(rows, order->user_id);
    int64_t sum;

    return !__builtin_add_overflow(user->balance + user->held, user->incoming, &sum) &&
           !__builtin_add_overflow(sum, ledger_order_total(order), &sum);
}

static enum ledger_order_outcome may_cancel(struct ledger_rows *rows,
                                            const struct ledger_order *order)
{
    if (order->status == ORDER_CANCELLED)
        return LEDGER_ORDER_INVALID_STATUS;
    if (order->open_attempt)
        return LEDGER_ORDER_BUSY;
    if (order->status == ORDER_COMPLETED && !refund_fits(rows, order))
        return LEDGER_ORDER_OVERFLOW;
    return LEDGER_ORDER_OK;
}

enum err ledger_decide_order_cancel(struct ledger_rows *rows, struct ledger_command *command)
{
    struct ledger_order_cancel *cancel = &command->order_cancel;
    struct ledger_order_result *result = &cancel->result;
    enum err e;

    *result = (struct ledger_order_result){ .operation = LEDGER_OPERATION_CANCEL };
    if (ledger_key_replays(rows, command, result, &e))
        return e;
    struct ledger_order_row *row = find(rows, cancel->user_id, cancel->order_id, result);
    if (!row)
        return ERR_OK;
    result->outcome = may_cancel(rows, &row->order);
    if (result->outcome != LEDGER_ORDER_OK)
        return ERR_OK;
    if (row->order.status == ORDER_PENDING) {
        ledger_order_set_status(rows, row, ORDER_CANCELLED);
        row->order.cancelled_at_ms = rows->now_ms;
        ledger_event_of_order(rows, LEDGER_EVENT_ORDER_CANCELLED, &row->order);
    } else if (row->order.transaction_id.ptr) {
        struct ledger_user_row *user = ledger_rows_user(rows, row->order.user_id);
        user->incoming += ledger_order_total(&row->order);
        user->changed = true;
        return hold(rows, command, row, LEDGER_ATTEMPT_REFUND, result);
    } else {
        ledger_order_refund(rows, row);
    }
    result_set(rows, result, &row->order);
    return answered(rows, command, result);
}

/* ---- import ---- */

enum err ledger_decide_order_import(struct ledger_rows *rows, struct ledger_order_import *import)
{
    struct ledger_order *order = import->order;
    struct ledger_order_row *row =
        order->order_id ? ledger_rows_order(rows, order->order_id) : NULL;

    import->taken = (row && (row->row.found || row->created)) ||
                    !ledger_rows_user_is_there(rows, ledger_rows_user(rows, order->user_id));
    if (import->taken)
        return ERR_OK;
    if (order->status == ORDER_COMPLETED)
        order->sold_day = clock_day(order->paid_at_ms);
    TRY(row_new(rows, order, &row));
    order->order_id = row->order.order_id;
    if (order->status == ORDER_COMPLETED)
        ledger_order_sums_add(rows, order, 1, order->paid_at_ms);
    return ERR_OK;
}
