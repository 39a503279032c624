// SPDX-License-Identifier: Apache-2.0
/*
 * Attempts: what is open while the payment gateway is asked. Settling is conditional on the
 * attempt's state and on the claim: whoever claimed last has the say, so that two who ask the
 * gateway about one attempt cannot draw different conclusions from different answers.
 */
#include "base/assert.h"
#include "ledger/ledger_decide_internal.h"

void ledger_attempt_open(const struct ledger_rows *rows, struct ledger_attempt_row *row,
                         int64_t user_id, int64_t amount, enum ledger_operation operation,
                         struct str client_key)
{
    struct ledger_attempt *attempt = &row->attempt;

    row->created = true;
    row->state = LEDGER_ATTEMPT_OPEN;
    attempt->user_id = user_id;
    attempt->amount = amount;
    attempt->operation = operation;
    attempt->started_at_ms = rows->now_ms;
    ASSERT(client_key.len < sizeof attempt->client_key);
    if (client_key.len)
        memcpy(attempt->client_key, client_key.ptr, client_key.len);
}

void ledger_decide_attempt_claim(struct ledger_rows *rows, struct ledger_attempt_claim *claim)
{
    const struct ledger_attempt *wanted = &claim->attempt;
    struct ledger_attempt_row *row =
        ledger_rows_attempt(rows, wanted->kind, wanted->subject_id, wanted->number);

    claim->found = row->row.found && row->state == LEDGER_ATTEMPT_OPEN;
    if (!claim->found)
        return;
    claim->now_ms = rows->now_ms;
    row->attempt.claim++;
    row->changed = true;
    claim->attempt = row->attempt;
    /* What is refunded is the order's transaction. */
    const struct ledger_order_row *order = ledger_rows_order(rows, row->attempt.subject_id);
    if (row->attempt.kind == LEDGER_ATTEMPT_REFUND && order)
        str_cstr(order->order.transaction_id, claim->attempt.refunded_id,
                 sizeof claim->attempt.refunded_id);
}

static enum ledger_order_outcome outcome_of(enum ledger_attempt_answer answer)
{
    switch (answer) {
    case LEDGER_ATTEMPT_APPROVED:
        return LEDGER_ORDER_OK;
    case LEDGER_ATTEMPT_REFUSED:
    case LEDGER_ATTEMPT_VOIDED:
        return LEDGER_ORDER_REFUSED;
    case LEDGER_ATTEMPT_UNASKED:
        break;
    }
    return LEDGER_ORDER_ABANDONED;
}

static void row_end(struct ledger_rows *rows, struct ledger_attempt_row *row,
                    const struct ledger_attempt_settle *settle)
{
    static const enum ledger_attempt_state states[] = {
        [LEDGER_ATTEMPT_APPROVED] = LEDGER_ATTEMPT_DONE,
        [LEDGER_ATTEMPT_REFUSED] = LEDGER_ATTEMPT_REFUSED_STATE,
        [LEDGER_ATTEMPT_VOIDED] = LEDGER_ATTEMPT_GIVEN_UP,
        [LEDGER_ATTEMPT_UNASKED] = LEDGER_ATTEMPT_GIVEN_UP,
    };

    row->state = states[settle->answer];
    row->settled_at_ms = rows->now_ms;
    row->transaction_id = str_from(settle->transaction_id);
    row->changed = true;
}

static void settle_payment(struct ledger_rows *rows, struct ledger_order_row *row,
                           const struct ledger_attempt_row *attempt, bool approved)
{
    ledger_order_unhold(rows, &row->order, approved);
    if (approved) {
        ledger_order_paid(rows, row, attempt->transaction_id);
    } else if (attempt->attempt.operation == LEDGER_OPERATION_COMPLETE) {
        /* order and payment in one: refused, it leaves no order */
        ledger_rows_user(rows, row->order.user_id)->orders[row->order.status]--;
        row->removed = true;
    }
}

static void settle_order(struct ledger_rows *rows, struct ledger_attempt_row *attempt,
                         bool approved, struct ledger_order_result *result)
{
    struct ledger_order_row *row = ledger_rows_order(rows, attempt->attempt.subject_id);
    struct ledger_user_row *user = ledger_rows_user(rows, attempt->attempt.user_id);

    row->order.open_attempt = 0;
    row->changed = true;
    if (attempt->attempt.kind == LEDGER_ATTEMPT_PAYMENT) {
        settle_payment(rows, row, attempt, approved);
    } else {
        user->incoming -= attempt->attempt.amount;
        user->changed = true;
        if (approved)
            ledger_order_refund(rows, row);
    }
    result->order = row->removed ? NULL : &row->order;
    result->order_id = row->order.order_id;
}

/* The key of a charge is on the charge's own row. */
static enum err settle_charge(struct ledger_rows *rows, struct ledger_command *command,
                              const struct ledger_attempt_row *attempt)
{
    struct ledger_order_result *result = &command->attempt_settle.result;
    struct ledger_user_row *user = ledger_rows_user(rows, attempt->attempt.user_id);
    struct ledger_charge_row *row =
        ledger_rows_charge(rows, attempt->attempt.user_id, str_from(attempt->attempt.client_key));

    user->incoming -= attempt->attempt.amount;
    user->changed = true;
    if (result->outcome == LEDGER_ORDER_ABANDONED) {
        row->removed = true;
        return ERR_OK;
    }
    if (result->outcome == LEDGER_ORDER_OK)
        user->balance += attempt->attempt.amount;
    result->balance = row->balance_after = user->balance;
    row->charged_at_ms = rows->now_ms;
    row->changed = true;
    if (command->render)
        command->status = command->render(command, &command->answer);
    row->status = result->outcome == LEDGER_ORDER_OK ? 200 : 402;
    row->answer = buf_str(&command->answer);
    return buf_ok(&command->answer) ? ERR_OK : ERR_NOMEM;
}

/* Certainly nobody was asked: as if the key had never come. */
static void key_remove(struct ledger_rows *rows, const struct ledger_attempt *attempt)
{
    struct ledger_order_key_row *row = ledger_rows_order_key(
        rows, attempt->user_id, attempt->operation, str_from(attempt->client_key));

    if (row)
        row->removed = true;
}

enum err ledger_decide_attempt_settle(struct ledger_rows *rows, struct ledger_command *command)
{
    struct ledger_attempt_settle *settle = &command->attempt_settle;
    struct ledger_order_result *result = &settle->result;
    struct ledger_attempt_row *row =
        ledger_rows_attempt(rows, settle->kind, settle->subject_id, settle->number);
    const struct ledger_attempt *attempt = &row->attempt;

    *result = (struct ledger_order_result){ .outcome = LEDGER_ORDER_STALE };
    if (!row->row.found || row->state != LEDGER_ATTEMPT_OPEN || attempt->claim != settle->claim)
        return ERR_OK;
    ASSERT(settle->answer != LEDGER_ATTEMPT_UNASKED || settle->claim == 0);
    result->outcome = outcome_of(settle->answer);
    result->operation = attempt->operation;
    result->user_id = attempt->user_id;
    result->amount = attempt->amount;
    result->at_ms = rows->now_ms;
    row_end(rows, row, settle);
    if (attempt->kind == LEDGER_ATTEMPT_CHARGE)
        return settle_charge(rows, command, row);
    settle_order(rows, row, result->outcome == LEDGER_ORDER_OK, result);
    result->balance = ledger_rows_user(rows, attempt->user_id)->balance;
    if (result->outcome == LEDGER_ORDER_ABANDONED) {
        key_remove(rows, attempt);
        result->order = NULL;
        return ERR_OK;
    }
    enum err e = ledger_key_answered(rows, command, result, attempt->user_id, attempt->operation,
                                     str_from(attempt->client_key), NULL);
    result->order = NULL;
    return e;
}
