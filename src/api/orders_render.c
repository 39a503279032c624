// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>
#include <stdio.h>

#include "api/orders.h"
#include "api/users.h"
#include "base/assert.h"
#include "base/clock.h"

/* ---- orders ---- */

static struct str order_number(const struct ledger_order *order, char out[ORDER_NUMBER_BYTES])
{
    char date[CLOCK_DATE_BYTES];

    clock_format_date(order->created_at_ms, date);
    int n = snprintf(out, ORDER_NUMBER_BYTES, "ORD-%.4s%.2s%.2s-%010" PRId64, date, date + 5,
                     date + 8, order->order_id);
    return (struct str){ out, (size_t)n };
}

void order_answer_fill(const struct ledger_order *order, struct order_item_answer *items,
                       char number[ORDER_NUMBER_BYTES], struct order_answer *ret_answer)
{
    for (size_t i = 0; i < order->line_count; i++) {
        const struct order_line *line = &order->lines[i];
        items[i] = (struct order_item_answer){ .product_id = line->product_id,
                                               .quantity = line->quantity,
                                               .unit_price = line->unit_price,
                                               .subtotal = line->unit_price * line->quantity,
                                               .product_name = line->name };
    }
    *ret_answer = (struct order_answer){ .order_id = order->order_id,
                                         .user_id = order->user_id,
                                         .order_number = order_number(order, number),
                                         .items = items,
                                         .items_count = order->line_count,
                                         .subtotal_amount = order->subtotal,
                                         .discount_amount = order->discount,
                                         .total_amount = order->subtotal - order->discount,
                                         .status = (int)order->status,
                                         .created_at_ms = order->created_at_ms };
}

enum { TRANSMISSION_BYTES = LEDGER_TRANSACTION_BYTES_MAX + 32, PATH_BYTES = 80 };

static struct payment_answer payment_of(const struct ledger_order_result *result,
                                        char transmission[TRANSMISSION_BYTES])
{
    const struct ledger_order *order = result->order;
    struct payment_answer answer = { .order_id = order->order_id,
                                     .paid_amount = order->subtotal - order->discount,
                                     .remaining_balance = result->balance,
                                     .status = STR("SUCCESS"),
                                     .paid_at_ms = order->paid_at_ms };

    if (order->transaction_id.ptr) {
        int n = snprintf(transmission, TRANSMISSION_BYTES, "PG_APPROVED: %.*s",
                         (int)order->transaction_id.len, order->transaction_id.ptr);
        answer.data_transmission = (struct str){ transmission, (size_t)n };
        answer.data_transmission_is = JSON_GIVEN;
    }
    return answer;
}

static unsigned render_order(const struct ledger_order_result *result, struct buf *out)
{
    struct order_item_answer items[ORDER_LINES_MAX];
    char number[ORDER_NUMBER_BYTES], transmission[TRANSMISSION_BYTES];
    struct complete_answer answer;

    ASSERT(result->order && result->order->line_count <= ORDER_LINES_MAX);
    order_answer_fill(result->order, items, number, &answer.order);
    switch (result->operation) {
    case LEDGER_OPERATION_ORDER:
        json_render(out, &order_answer_json, &answer.order);
        return 201;
    case LEDGER_OPERATION_CANCEL:
        json_render(out, &order_answer_json, &answer.order);
        return 200;
    case LEDGER_OPERATION_PAYMENT:
        answer.payment = payment_of(result, transmission);
        json_render(out, &payment_answer_json, &answer.payment);
        return 200;
    case LEDGER_OPERATION_COMPLETE:
        answer.payment = payment_of(result, transmission);
        json_render(out, &complete_answer_json, &answer);
        return 201;
    case LEDGER_OPERATION_CHARGE:
        break;
    }
    ASSERT(false && "not an operation on orders");
    return 0;
}

/* ---- charges ---- */

static unsigned render_charge(int64_t user_id, int64_t amount, int64_t balance, int64_t at_ms,
                              struct buf *out)
{
    json_render(out, &charge_answer_json,
                &(struct charge_answer){ .user_id = user_id,
                                         .balance = balance,
                                         .charged_amount = amount,
                                         .charged_at_ms = at_ms });
    return 200;
}

/* ---- refused by the gateway ---- */

/* The path that was asked for. `id`: of the order, or of the user whose balance is charged. */
static struct str path_of(enum ledger_operation operation, int64_t id, char out[PATH_BYTES])
{
    int n = 0;

    switch (operation) {
    case LEDGER_OPERATION_CHARGE:
        n = snprintf(out, PATH_BYTES, "/api/users/%" PRId64 "/balance/charge", id);
        break;
    case LEDGER_OPERATION_PAYMENT:
        n = snprintf(out, PATH_BYTES, "/api/orders/%" PRId64 "/payment", id);
        break;
    case LEDGER_OPERATION_CANCEL:
        n = snprintf(out, PATH_BYTES, "/api/orders/%" PRId64 "/cancel", id);
        break;
    case LEDGER_OPERATION_COMPLETE:
        n = snprintf(out, PATH_BYTES, "/api/orders/complete");
        break;
    case LEDGER_OPERATION_ORDER:
        n = snprintf(out, PATH_BYTES, "/api/orders");
        break;
    }
    return (struct str){ out, (size_t)n };
}

static unsigned render_declined(enum ledger_operation operation, int64_t id, int64_t at_ms,
                                struct buf *out)
{
    const char *why = operation == LEDGER_OPERATION_CANCEL
                          ? "the payment gateway has refused to refund it; the order stays paid"
                          : "the payment gateway has refused; nothing was taken";
    char path[PATH_BYTES];

    problem_render(out, PROBLEM_PAYMENT_FAILED, why, path_of(operation, id, path), at_ms);
    return problem_status(PROBLEM_PAYMENT_FAILED);
}

/* ---- any command ---- */

static unsigned render_result(const struct ledger_order_result *result, struct buf *out)
{
    bool is_charge = result->operation == LEDGER_OPERATION_CHARGE;

    if (result->outcome == LEDGER_ORDER_REFUSED)
        return render_declined(result->operation, is_charge ? result->user_id : result->order_id,
                               result->at_ms, out);
    if (result->outcome != LEDGER_ORDER_OK)
        return 0;
    if (is_charge)
        return render_charge(result->user_id, result->amount, result->balance, result->at_ms, out);
    return render_order(result, out);
}

unsigned orders_render(const struct ledger_command *command, struct buf *answer)
{
    const struct ledger_charge *charge = &command->charge;

    switch (command->op) {
    case LEDGER_CHARGE:
        if (charge->outcome == LEDGER_CHARGE_REFUSED)
            return render_declined(LEDGER_OPERATION_CHARGE, charge->user_id, charge->charged_at_ms,
                                   answer);
        return render_charge(charge->user_id, charge->amount, charge->balance,
                             charge->charged_at_ms, answer);
    case LEDGER_ORDER_CREATE:
        return render_result(&command->order_create.result, answer);
    case LEDGER_ORDER_PAY:
        return render_result(&command->order_pay.result, answer);
    case LEDGER_ORDER_CANCEL:
        return render_result(&command->order_cancel.result, answer);
    case LEDGER_ATTEMPT_SETTLE:
        return render_result(&command->attempt_settle.result, answer);
    default:
        break;
    }
    ASSERT(false && "a command without an answer");
    return 0;
}
