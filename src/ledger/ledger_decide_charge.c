// SPDX-License-Identifier: Apache-2.0
#include "ledger/ledger_decide_internal.h"

/* Answered before: with the bytes of then, or, where they are gone, from the row. */
static enum err replay(struct ledger_command *command, const struct ledger_charge_row *row)
{
    struct ledger_charge *charge = &command->charge;

    if (memcmp(row->fingerprint, command->key->fingerprint, sizeof row->fingerprint) != 0) {
        command->key_outcome = LEDGER_KEY_REUSED;
        return ERR_OK;
    }
    if (row->status == 0) {
        command->key_outcome = LEDGER_KEY_RUNNING;
        charge->outcome = LEDGER_CHARGE_BUSY;
        return ERR_OK;
    }
    command->key_outcome = LEDGER_KEY_REPLAY;
    charge->outcome = row->status == 200 ? LEDGER_CHARGE_OK : LEDGER_CHARGE_REFUSED;
    charge->balance = row->balance_after;
    charge->charged_at_ms = row->charged_at_ms;
    if (row->answer.ptr) {
        command->status = (unsigned)row->status;
        buf_str_append(&command->answer, row->answer);
    } else {
        command->status = command->render(command, &command->answer);
    }
    return buf_ok(&command->answer) ? ERR_OK : ERR_NOMEM;
}

static void row_fill(const struct ledger_rows *rows, struct ledger_charge_row *row,
                     const struct ledger_command *command)
{
    row->created = true;
    row->removed = false;
    memcpy(row->fingerprint, command->key->fingerprint, sizeof row->fingerprint);
    row->amount = command->charge.amount;
    row->charged_at_ms = rows->now_ms;
}

/* The money is on its way: the gateway is asked, and then the attempt is settled. */
static enum err hold(struct ledger_rows *rows, struct ledger_command *command,
                     struct ledger_user_row *user, struct ledger_charge_row *row)
{
    struct ledger_charge *charge = &command->charge;
    struct ledger_attempt_row *attempt =
        ledger_rows_add_attempt(rows, LEDGER_ATTEMPT_CHARGE, rows->next_charge_id, 1);

    if (!attempt)
        return ERR_NOMEM;
    row_fill(rows, row, command);
    row->charge_id = rows->next_charge_id++;
    rows->sequences_changed = true;
    user->incoming += charge->amount;
    user->changed = true;
    ledger_attempt_open(rows, attempt, charge->user_id, charge->amount, LEDGER_OPERATION_CHARGE,
                        command->key->key);
    charge->attempt = attempt->attempt;
    charge->outcome = LEDGER_CHARGE_HELD;
    return ERR_OK;
}

enum err ledger_decide_charge(struct ledger_rows *rows, struct ledger_command *command)
{
    struct ledger_charge *charge = &command->charge;
    struct ledger_user_row *user = ledger_rows_user(rows, charge->user_id);
    struct ledger_charge_row *row = ledger_rows_charge(rows, charge->user_id, command->key->key);

    if ((row->row.found || row->created) && !row->removed)
        return replay(command, row);
    if (!ledger_rows_user_is_there(rows, user)) {
        charge->outcome = LEDGER_CHARGE_NO_USER;
        return ERR_OK;
    }
    if (wallet_charge(user->balance, user->held + user->incoming, charge->amount,
                      charge->amount_max, &charge->balance) != WALLET_OK) {
        charge->outcome = LEDGER_CHARGE_INVALID_AMOUNT;
        return ERR_OK;
    }
    if (charge->gateway)
        return hold(rows, command, user, row);
    charge->outcome = LEDGER_CHARGE_OK;
    charge->charged_at_ms = rows->now_ms;
    command->status = command->render(command, &command->answer);
    if (!buf_ok(&command->answer))
        return ERR_NOMEM;
    user->balance = charge->balance;
    user->changed = true;
    row_fill(rows, row, command);
    row->status = 200;
    row->balance_after = charge->balance;
    row->answer = buf_str(&command->answer);
    return ERR_OK;
}
