// SPDX-License-Identifier: Apache-2.0
/* What the decisions on orders, payments and charges share. */
#pragma once
#include "ledger/ledger_rows.h"

/* ledger_decide_attempt.c: a new attempt is open, for that user, sum, operation and key. */
void ledger_attempt_open(const struct ledger_rows *rows, struct ledger_attempt_row *row,
                         int64_t user_id, int64_t amount, enum ledger_operation operation,
                         struct str client_key);

/*
 * ledger_decide_key.c: has the command's key been used? True: everything is decided, with the
 * answer of then, as reused or as running. *ret_err: ERR_NOMEM.
 */
bool ledger_key_replays(struct ledger_rows *rows, struct ledger_command *command,
                        struct ledger_order_result *result, enum err *ret_err);
/* The first command of that key (NULL: none): the gateway is being asked for it. */
void ledger_key_running(struct ledger_rows *rows, const struct ledger_key *key, int64_t order_id);
/*
 * The answer is made, and kept with the key, if it is one to be kept. `user_id`, `operation`, `key`
 * (len 0: none) say with which; `fingerprint` NULL: it is on the row already.
 */
enum err ledger_key_answered(struct ledger_rows *rows, struct ledger_command *command,
                             const struct ledger_order_result *result, int64_t user_id,
                             enum ledger_operation operation, struct str key,
                             const uint8_t *fingerprint) MUST_CHECK;

/* ledger_decide_moves.c. */
static inline int64_t ledger_order_total(const struct ledger_order *order)
{
    return order->subtotal - order->discount;
}
/* What a payment takes is taken: out of stock, balance, coupon. `hold`: it is held until the
 * attempt is settled. */
void ledger_order_take(struct ledger_rows *rows, const struct ledger_order *order, bool hold);
/* What is held becomes sold, or comes back. */
void ledger_order_unhold(struct ledger_rows *rows, const struct ledger_order *order, bool sold);
/* The order is paid now. Its sales are in the sums. */
void ledger_order_paid(struct ledger_rows *rows, struct ledger_order_row *row,
                       struct str transaction_id);
/* A completed order gives everything back, and leaves the sums of the day it was sold. */
void ledger_order_refund(struct ledger_rows *rows, struct ledger_order_row *row);
void ledger_order_set_status(struct ledger_rows *rows, struct ledger_order_row *row,
                             enum order_status status);
/* What was sold, or (`sign` -1) given back, is in the sums of `sold_day`. */
void ledger_order_sums_add(struct ledger_rows *rows, const struct ledger_order *order, int64_t sign,
                           int64_t at_ms);
