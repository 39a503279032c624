// SPDX-License-Identifier: Apache-2.0
/*
 * Idempotency of commands on orders: the key's row is one more row of the effect's transaction.
 * While a gateway is being asked the row says so (status 0); an answer that is kept ends that.
 */
#include "ledger/ledger_decide_internal.h"

static bool is_there(const struct ledger_order_key_row *row)
{
    return (row->row.found || row->created) && !row->removed;
}

/* What the order looked like when it was answered. */
static enum order_status status_then(enum ledger_operation operation)
{
    switch (operation) {
    case LEDGER_OPERATION_CANCEL:
        return ORDER_CANCELLED;
    case LEDGER_OPERATION_COMPLETE:
    case LEDGER_OPERATION_PAYMENT:
        return ORDER_COMPLETED;
    case LEDGER_OPERATION_ORDER:
    case LEDGER_OPERATION_CHARGE:
        break;
    }
    return ORDER_PENDING;
}

/* The bytes are gone: the answer is made again from the rows of the effect. */
static void render_again(struct ledger_rows *rows, struct ledger_command *command,
                         struct ledger_order_result *result, const struct ledger_order_key_row *row)
{
    const struct ledger_order_row *order = ledger_rows_order(rows, row->order_id);
    struct ledger_order then;

    if (order && order->row.found) {
        then = order->order;
        then.status = status_then(result->operation);
        result->order = &then;
        result->user_id = then.user_id;
        result->amount = then.subtotal - then.discount;
        if (result->operation != LEDGER_OPERATION_CANCEL && then.paid_at_ms)
            result->at_ms = then.paid_at_ms;
    }
    command->status = command->render(command, &command->answer);
    result->order = NULL;
}

bool ledger_key_replays(struct ledger_rows *rows, struct ledger_command *command,
                        struct ledger_order_result *result, enum err *ret_err)
{
    const struct ledger_key *key = command->key;
    struct ledger_order_key_row *row =
        key ? ledger_rows_order_key(rows, key->user_id, key->operation, key->key) : NULL;

    *ret_err = ERR_OK;
    if (!row || !is_there(row))
        return false;
    if (memcmp(row->fingerprint, key->fingerprint, sizeof row->fingerprint) != 0) {
        command->key_outcome = LEDGER_KEY_REUSED;
        return true;
    }
    result->order_id = row->order_id;
    if (row->status == 0) {
        command->key_outcome = LEDGER_KEY_RUNNING;
        result->outcome = LEDGER_ORDER_BUSY;
        return true;
    }
    command->key_outcome = LEDGER_KEY_REPLAY;
    result->outcome = row->status == 402 ? LEDGER_ORDER_REFUSED : LEDGER_ORDER_OK;
    result->balance = row->balance_after;
    result->at_ms = row->answered_at_ms;
    if (row->answer.ptr) {
        command->status = (unsigned)row->status;
        buf_str_append(&command->answer, row->answer);
    } else {
        render_again(rows, command, result, row);
    }
    if (!buf_ok(&command->answer))
        *ret_err = ERR_NOMEM;
    return true;
}

static void row_begin(struct ledger_order_key_row *row, const uint8_t *fingerprint,
                      int64_t order_id)
{
    if (row->row.found && !row->removed)
        row->changed = true;
    else
        row->created = true; /* a row that was found and removed is replaced */
    row->removed = false;
    row->order_id = order_id;
    if (fingerprint)
        memcpy(row->fingerprint, fingerprint, sizeof row->fingerprint);
}

void ledger_key_running(struct ledger_rows *rows, const struct ledger_key *key, int64_t order_id)
{
    if (!key)
        return;
    struct ledger_order_key_row *row =
        ledger_rows_order_key(rows, key->user_id, key->operation, key->key);
    row_begin(row, key->fingerprint, order_id);
    row->status = 0;
    row->answered_at_ms = rows->now_ms;
}

enum err ledger_key_answered(struct ledger_rows *rows, struct ledger_command *command,
                             const struct ledger_order_result *result, int64_t user_id,
                             enum ledger_operation operation, struct str key,
                             const uint8_t *fingerprint)
{
    if (command->render)
        command->status = command->render(command, &command->answer);
    if (!buf_ok(&command->answer))
        return ERR_NOMEM;
    struct ledger_order_key_row *row =
        key.len ? ledger_rows_order_key(rows, user_id, operation, key) : NULL;
    if (!row || command->status == 0)
        return ERR_OK;
    row_begin(row, fingerprint, result->order_id);
    row->status = command->status;
    row->balance_after = result->balance;
    row->answered_at_ms = rows->now_ms;
    row->answer = buf_str(&command->answer);
    return ERR_OK;
}
