// SPDX-License-Identifier: Apache-2.0
/* A coupon of a ledger, and its rows held against its witness, for tests. */
#pragma once
#include "ledger/ledger_conformance_internal.h"

enum { SLOTS_MAX = 100000 };

/* As of the last look. */
static int64_t holders[SLOTS_MAX + 1]; /* by slot; 0: nobody */
static struct witness rows, stated;

static inline void coupon_make(struct ledger *ledger, int64_t coupon_id, int64_t quantity)
{
    struct coupon coupon = { .coupon_id = coupon_id,
                             .name = "X",
                             .settings = { .total_quantity = quantity, .ends_at_ms = 5 } };
    struct ledger_command create = { .op = LEDGER_COUPON_CREATE,
                                     .coupon_create = { .coupon = &coupon } };

    ledger_run(ledger, &create);
    assert_ok(create.err);
}

static inline bool see_coupon(struct ledger_scan *scan, const struct coupon *coupon)
{
    (void)scan;
    stated = coupon->witness;
    return true;
}

static inline bool see_row(struct ledger_scan *scan, const struct ledger_held *row)
{
    (void)scan;
    holders[row->slot] = row->user_id;
    witness_add(&rows, row->slot, row->user_id);
    return true;
}

static inline void coupon_look(struct ledger *ledger)
{
    struct ledger_scan scan = { .coupon_id = COUPON, .begin = see_coupon, .each = see_row };

    memset(holders, 0, sizeof holders);
    rows = (struct witness){ 0 };
    assert_ok(ledger_scan_rows(ledger, &scan));
    assert_true(witness_equal(&rows, &stated));
}
