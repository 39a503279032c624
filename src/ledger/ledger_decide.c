// SPDX-License-Identifier: Apache-2.0
#include "base/assert.h"
#include "ledger/ledger_rows.h"

static void decide_place(struct ledger_rows *rows, struct ledger_place *place)
{
    struct ledger_coupon_row *row = ledger_rows_coupon(rows, place->coupon_id);

    place->outcome = LEDGER_PLACE_CONFLICT;
    if (!row->row.found && !row->created)
        return;
    place->user_coupon_id = rows->next_user_coupon_id;
    if (place->epoch && place->epoch != row->coupon.epoch) {
        place->outcome = LEDGER_PLACE_STALE;
        return;
    }
    rows->sequences_changed = true;
    rows->next_user_coupon_id++;
    place->issued_at_ms = rows->now_ms;
    place->expires_at_ms = row->coupon.settings.ends_at_ms;
}

void ledger_place_stored(struct ledger_rows *rows, struct ledger_place *place)
{
    struct ledger_coupon_row *row = ledger_rows_coupon(rows, place->coupon_id);

    place->outcome = LEDGER_PLACE_STORED;
    witness_add(&row->coupon.witness, place->slot, place->user_id);
    row->changed = true;
    ledger_event_of_coupon(rows, row, place->slot);
}

static enum err decide_coupon_create(struct ledger_rows *rows, struct ledger_coupon_create *create)
{
    struct ledger_coupon_row *row = NULL;

    if (create->coupon->coupon_id == 0) {
        create->coupon->coupon_id = rows->next_coupon_id;
        create->taken = rows->next_coupon_id == INT64_MAX; /* to be had by its name only */
    } else {
        row = ledger_rows_coupon(rows, create->coupon->coupon_id);
        create->taken = row->row.found || row->created;
    }
    ledger_id_use(&rows->next_coupon_id, create->coupon->coupon_id);
    if (create->taken)
        return ERR_OK;
    if (!row)
        row = ledger_rows_add_coupon(rows, create->coupon->coupon_id);
    if (!row)
        return ERR_NOMEM;
    create->coupon->settings.version = 1;
    create->coupon->epoch = 1;
    row->coupon = *create->coupon;
    row->created = true;
    return ERR_OK;
}

static bool is_overtaken(const struct ledger_coupon_row *row, int64_t epoch_expected)
{
    return epoch_expected && row->coupon.epoch != epoch_expected;
}

/* A gate may be granting the numbers that would go: its life ends with such a change. */
static bool lowers_alive(const struct ledger_coupon_row *row,
                         const struct ledger_coupon_change *change)
{
    return !change->raise_epoch && change->change.has_quantity &&
           change->change.total_quantity < row->coupon.settings.total_quantity;
}

static void raise_epoch(struct coupon *coupon, int64_t epoch_min)
{
    coupon->epoch = MAX(coupon->epoch + 1, epoch_min);
    coupon->closing = false;
}

static void decide_coupon_change(struct ledger_rows *rows, struct ledger_coupon_change *change)
{
    struct ledger_coupon_row *row = ledger_rows_coupon(rows, change->coupon_id);

    change->found = row->row.found || row->created;
    if (!change->found)
        return;
    struct coupon_settings next;
    change->overtaken = is_overtaken(row, change->epoch_expected);
    if (change->overtaken) {
        *change->coupon = row->coupon;
        return;
    }
    change->outcome = coupon_change_decide(&row->coupon, &change->change, &next);
    change->overtaken = change->outcome == COUPON_CHANGE_OK && lowers_alive(row, change);
    if (change->outcome == COUPON_CHANGE_OK && !change->overtaken) {
        row->coupon.settings = next;
        if (change->raise_epoch)
            raise_epoch(&row->coupon, change->epoch_min);
        row->changed = true;
    }
    *change->coupon = row->coupon;
}

static void decide_coupon_closing(struct ledger_rows *rows, struct ledger_coupon_closing *closing)
{
    struct ledger_coupon_row *row = ledger_rows_coupon(rows, closing->coupon_id);

    closing->found = row->row.found || row->created;
    if (!closing->found)
        return;
    if (row->coupon.epoch == closing->epoch_expected) {
        row->changed |= !row->coupon.closing;
        row->coupon.closing = true;
    }
    *closing->coupon = row->coupon;
}

static void decide_coupon_epoch(struct ledger_rows *rows, struct ledger_coupon_epoch *raise)
{
    struct ledger_coupon_row *row = ledger_rows_coupon(rows, raise->coupon_id);

    raise->found = row->row.found || row->created;
    if (!raise->found)
        return;
    raise->overtaken = is_overtaken(row, raise->epoch_expected);
    if (!raise->overtaken) {
        raise_epoch(&row->coupon, raise->epoch_min);
        row->changed = true;
    }
    *raise->coupon = row->coupon;
}

static void decide_users_create(struct ledger_rows *rows, struct ledger_users_create *create)
{
    if (create->from_user_id == 0)
        create->from_user_id = create->to_user_id = rows->next_user_id;
    ledger_id_use(&rows->next_user_id, create->to_user_id);
    /* the backend inserts a piece of the range */
}

static enum err decide_one(struct ledger_rows *rows, struct ledger_command *command)
{
    command->key_outcome = LEDGER_KEY_FRESH;
    command->status = 0;
    buf_reset(&command->answer);
    switch (command->op) {
    case LEDGER_PLACE:
        decide_place(rows, &command->place);
        return ERR_OK;
    case LEDGER_CHARGE:
        return ledger_decide_charge(rows, command);
    case LEDGER_COUPON_CREATE:
        return decide_coupon_create(rows, &command->coupon_create);
    case LEDGER_COUPON_CHANGE:
        decide_coupon_change(rows, &command->coupon_change);
        return ERR_OK;
    case LEDGER_COUPON_CLOSING:
        decide_coupon_closing(rows, &command->coupon_closing);
        return ERR_OK;
    case LEDGER_COUPON_EPOCH:
        decide_coupon_epoch(rows, &command->coupon_epoch);
        return ERR_OK;
    case LEDGER_USERS_CREATE:
        decide_users_create(rows, &command->users_create);
        return ERR_OK;
    case LEDGER_PRODUCT_CREATE:
        return ledger_decide_product_create(rows, &command->product_create);
    case LEDGER_PRODUCT_CHANGE:
        return ledger_decide_product_change(rows, &command->product_change);
    case LEDGER_CART_CHANGE:
        ledger_decide_cart_change(rows, &command->cart_change);
        return ERR_OK;
    case LEDGER_ORDER_CREATE:
        return ledger_decide_order_create(rows, command);
    case LEDGER_ORDER_PAY:
        return ledger_decide_order_pay(rows, command);
    case LEDGER_ORDER_CANCEL:
        return ledger_decide_order_cancel(rows, command);
    case LEDGER_ORDER_IMPORT:
        return ledger_decide_order_import(rows, &command->order_import);
    case LEDGER_ATTEMPT_CLAIM:
        ledger_decide_attempt_claim(rows, &command->attempt_claim);
        return ERR_OK;
    case LEDGER_ATTEMPT_SETTLE:
        return ledger_decide_attempt_settle(rows, command);
    case LEDGER_EVENTS_MARK:
    case LEDGER_EVENT_DIE:
    case LEDGER_EVENT_REVIVE:
    case LEDGER_EVENTS_FORGET:
    case LEDGER_RELAY_LEASE:
    case LEDGER_BOARDS_STORE:
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
