// SPDX-License-Identifier: Apache-2.0
#include "base/assert.h"
#include "ledger/ledger_rows.h"

static void decide_place(struct ledger_rows *rows, struct ledger_place *place)
{
    struct ledger_coupon_row *row = ledger_rows_coupon(rows, place->coupon_id);

    place->outcome = LEDGER_PLACE_CONFLICT;
    if (!row->found && !row->created)
        return;
    place->user_coupon_id = rows->next_user_coupon_id++;
    place->issued_at_ms = rows->now_ms;
    place->expires_at_ms = row->coupon.settings.ends_at_ms;
}

void ledger_place_stored(struct ledger_rows *rows, struct ledger_place *place)
{
    struct ledger_coupon_row *row = ledger_rows_coupon(rows, place->coupon_id);

    place->outcome = LEDGER_PLACE_STORED;
    witness_add(&row->coupon.witness, place->slot, place->user_id);
    row->changed = true;
}

/* Answered before: with the bytes of then, or, where they are gone, from the row. */
static enum err replay_charge(struct ledger_command *command, const struct ledger_charge_row *row)
{
    struct ledger_charge *charge = &command->charge;

    if (memcmp(row->fingerprint, command->key->fingerprint, sizeof row->fingerprint) != 0) {
        command->key_outcome = LEDGER_KEY_REUSED;
        return ERR_OK;
    }
    command->key_outcome = LEDGER_KEY_REPLAY;
    charge->outcome = LEDGER_CHARGE_OK;
    charge->balance = row->balance_after;
    charge->charged_at_ms = row->charged_at_ms;
    if (row->has_answer) {
        command->status = 200;
        buf_str_append(&command->answer, buf_str(&row->answer));
    } else {
        command->status = command->render(command, &command->answer);
    }
    return buf_ok(&command->answer) ? ERR_OK : ERR_NOMEM;
}

static enum err decide_charge(struct ledger_rows *rows, struct ledger_command *command)
{
    struct ledger_charge *charge = &command->charge;
    struct ledger_user_row *user = ledger_rows_user(rows, charge->user_id);
    struct ledger_charge_row *row = ledger_rows_charge(rows, charge->user_id, command->key->key);

    if (row->found || row->created)
        return replay_charge(command, row);
    if (!user->found) {
        charge->outcome = LEDGER_CHARGE_NO_USER;
        return ERR_OK;
    }
    if (wallet_charge(user->balance, charge->amount, charge->amount_max, &charge->balance) !=
        WALLET_OK) {
        charge->outcome = LEDGER_CHARGE_INVALID_AMOUNT;
        return ERR_OK;
    }
    charge->outcome = LEDGER_CHARGE_OK;
    charge->charged_at_ms = rows->now_ms;
    command->status = command->render(command, &command->answer);
    if (!buf_ok(&command->answer))
        return ERR_NOMEM;
    user->balance = charge->balance;
    user->changed = true;
    row->created = row->has_answer = true;
    memcpy(row->fingerprint, command->key->fingerprint, sizeof row->fingerprint);
    row->amount = charge->amount;
    row->balance_after = charge->balance;
    row->charged_at_ms = charge->charged_at_ms;
    row->answer = command->answer;
    return ERR_OK;
}

/* The next id is behind every one that is used. Behind the last number there is none: it stays. */
static void id_use(int64_t *next_id, int64_t id)
{
    if (id >= *next_id)
        *next_id = id < INT64_MAX ? id + 1 : id;
}

static void decide_coupon_create(struct ledger_rows *rows, struct ledger_coupon_create *create)
{
    struct ledger_coupon_row *row = NULL;

    if (create->coupon->coupon_id == 0) {
        create->coupon->coupon_id = rows->next_coupon_id;
        create->taken = rows->next_coupon_id == INT64_MAX; /* to be had by its name only */
    } else {
        row = ledger_rows_coupon(rows, create->coupon->coupon_id);
        create->taken = row->found || row->created;
    }
    id_use(&rows->next_coupon_id, create->coupon->coupon_id);
    if (create->taken)
        return;
    if (!row)
        row = ledger_rows_add_coupon(rows, create->coupon->coupon_id);
    create->coupon->settings.version = 1;
    create->coupon->epoch = 1;
    row->coupon = *create->coupon;
    row->created = true;
}

static void decide_coupon_change(struct ledger_rows *rows, struct ledger_coupon_change *change)
{
    struct ledger_coupon_row *row = ledger_rows_coupon(rows, change->coupon_id);

    change->found = row->found || row->created;
    if (!change->found)
        return;
    change->outcome = coupon_change_decide(&row->coupon, &change->change, &row->coupon.settings);
    if (change->outcome == COUPON_CHANGE_OK) {
        row->coupon.epoch += change->raise_epoch;
        row->changed = true;
    }
    *change->coupon = row->coupon;
}

static void decide_coupon_epoch(struct ledger_rows *rows, struct ledger_coupon_epoch *raise)
{
    struct ledger_coupon_row *row = ledger_rows_coupon(rows, raise->coupon_id);

    raise->found = row->found || row->created;
    if (!raise->found)
        return;
    row->coupon.epoch++;
    row->changed = true;
    *raise->coupon = row->coupon;
}

static enum err decide_one(struct ledger_rows *rows, struct ledger_command *command)
{
    command->key_outcome = LEDGER_KEY_FRESH;
    buf_reset(&command->answer);
    switch (command->op) {
    case LEDGER_PLACE:
        decide_place(rows, &command->place);
        return ERR_OK;
    case LEDGER_CHARGE:
        return decide_charge(rows, command);
    case LEDGER_COUPON_CREATE:
        decide_coupon_create(rows, &command->coupon_create);
        return ERR_OK;
    case LEDGER_COUPON_CHANGE:
        decide_coupon_change(rows, &command->coupon_change);
        return ERR_OK;
    case LEDGER_COUPON_EPOCH:
        decide_coupon_epoch(rows, &command->coupon_epoch);
        return ERR_OK;
    case LEDGER_USERS_CREATE:
        if (command->users_create.from_user_id == 0) {
            command->users_create.from_user_id = rows->next_user_id;
            command->users_create.to_user_id = command->users_create.from_user_id;
        }
        id_use(&rows->next_user_id, command->users_create.to_user_id);
        return ERR_OK; /* the backend inserts a piece of the range */
    case LEDGER_CLOCK_SET:
    case LEDGER_LOAD_DATA_SET:
    case LEDGER_FORGET:
        return ERR_OK;
    case LEDGER_OP_N:
        break;
    }
    ASSERT(false && "unknown ledger command");
    return ERR_INVALID;
}

enum err ledger_decide(struct ledger_rows *rows, struct list *batch)
{
    struct ledger_command *command;

    LIST_FOREACH (command, batch, struct ledger_command, node)
        TRY(decide_one(rows, command));
    return ERR_OK;
}
