// SPDX-License-Identifier: Apache-2.0
/*
 * From one life of a coupon's gate to the next. docs/protocol.md says why each step is there.
 *
 *     MARK   SQL says that the gate is closing: no server tells a reservation of it any more
 *     WAIT   every server that has a lease has stored what it holds
 *     DRAIN  a gate in this server's memory: nothing is pending any more
 *     SEAL   a gate in a store: it grants nothing more to anybody
 *     SWEEP  what is still pending in that is stored, if its memory can be trusted
 *     RAISE  the epoch, with the change of settings if there is one: from now on SQL alone counts
 *     BUILD  the gate anew, from SQL's rows
 *     CHECK  that SQL's epoch is still that one
 *
 * MARK, WAIT and CHECK only where there may be other servers. Each step may be repeated, and two
 * servers may do it at once: the one that raises the epoch goes on, the other has been overtaken.
 */
#pragma once
#include "shop/servers.h"
#include "shop/shop_orders.h"

enum { HANDOVER_SWEPT_AT_ONCE = 64 };

enum handover_step {
    HANDOVER_MARK,
    HANDOVER_WAIT,
    HANDOVER_DRAIN,
    HANDOVER_SEAL,
    HANDOVER_SWEEP,
    HANDOVER_RAISE,
    HANDOVER_BUILD,
    HANDOVER_CHECK,
};

/* A swept entry on its way to the ledger. */
struct handover_place {
    struct ledger_command command;
    struct handover *handover;
    struct gate_entry entry;
};

struct handover {
    void (*done)(struct handover *handover);
    void *context; /* the caller's */
    struct shop_loop *loop;
    int64_t coupon_id;
    int64_t epoch;               /* the life that ends, as SQL has it */
    struct coupon_change change; /* nothing: none */
    uint64_t give_up_ms;         /* of loop_now_ms(): not begun to raise by then is UNAVAILABLE */

    enum err err;   /* OK: open again, or another server does it; NOT_FOUND, UNAVAILABLE, NOMEM */
    bool overtaken; /* OK, but `change` was not made: another server has ended that life */
    enum coupon_change_outcome outcome;
    struct coupon coupon; /* as SQL has it now */

    /* private */
    enum handover_step step;
    struct shop_command command;
    struct servers_refresh refresh;
    struct loop_timer timer;
    struct loop_work work;
    struct gate_sweep sweep;
    struct gate_entry swept[HANDOVER_SWEPT_AT_ONCE];
    struct handover_place *places; /* owned */
    size_t storing;
    bool not_stored, sealed;
    struct gate_entry *losers; /* owned: their number was somebody else's row */
    size_t loser_count, loser_room;
};

/* The gate is closed here at once. The caller keeps `handover` until `done`. */
void handover_start(struct handover *handover);
