// SPDX-License-Identifier: Apache-2.0
/* What payment.c (order, ledger, waiting) and payment_attempt.c (gateway, settling) share. */
#pragma once
#include "shop/shop_internal.h"

struct payment_flow {
    struct list node; /* in loop->payments */
    struct shop_loop *loop;
    struct payment *payment; /* NULL: nobody waits any longer */
    uint64_t deadline_ms;
    enum payment_outcome at_deadline;
    struct loop_timer timer;                 /* the deadline's, or `wake`'s if that is earlier */
    void (*wake)(struct payment_flow *flow); /* NULL: ledger, gate or gateway are at work */
    unsigned waits;
    struct arena arena;          /* lines and key */
    struct ledger_key key;       /* of `asked` */
    struct ledger_command asked; /* as it was handed in */
    struct shop_command command; /* at work: that, or the settling of the attempt */
    struct ledger_attempt attempt;
    struct gateway_call call;
    struct gate_look look;
    struct gate_held held;
    bool attempted;     /* the gateway was asked, or may have been */
    bool coupon_stored; /* the gate said so, then the ledger was asked again */
};

/* The caller, if there still is one, is told; the flow is gone. */
void payment_flow_end(struct payment_flow *flow, enum payment_outcome outcome);
/* Ledger, gate or gateway are at work from now on: the deadline tells the caller, and they go on.
 */
void payment_flow_works(struct payment_flow *flow);
/* `wake` a little later; a deadline before that ends the flow with `outcome`. Nobody waits for
 * nobody: without a caller it ends at once. */
void payment_flow_waits(struct payment_flow *flow, void (*wake)(struct payment_flow *flow),
                        enum payment_outcome outcome);
/* The command as it was handed in goes to the ledger, once more. */
void payment_flow_submit(struct payment_flow *flow);

/* payment_attempt.c: the ledger has opened that attempt: ask the gateway, then settle it. */
void payment_flow_attempt(struct payment_flow *flow, const struct ledger_attempt *attempt);
