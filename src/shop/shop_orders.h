// SPDX-License-Identifier: Apache-2.0
/* The use cases of orders and payments; part of shop.h. */
#pragma once
#include "base/list.h"
#include "gate/gate.h"
#include "gateway/gateway.h"
#include "ledger/ledger.h"
#include "loop/loop.h"

struct shop;
struct shop_loop;
struct payment_flow;

/* A command to the ledger for which a caller waits: charges and administration. */
struct shop_command {
    void (*done)(struct shop_command *command);
    struct ledger_command ledger; /* op, key, render and input filled in by the caller */

    struct shop_loop *loop; /* private */
    struct loop_task task;
};
/* ledger.err is ERR_OVERLOADED when there was no room. After `done`: ledger_command_fini(). */
void shop_command(struct shop_loop *loop, struct shop_command *command);

/* ---- orders, payments, cancellations, charges ---- */

enum payment_outcome {
    PAYMENT_OK,       /* done now, or before with this key: `status` and `answer` */
    PAYMENT_DECLINED, /* by the gateway; as OK */
    PAYMENT_NO_USER,
    PAYMENT_NO_ORDER,
    PAYMENT_NOT_OWNER,
    PAYMENT_INVALID_STATUS,
    PAYMENT_NO_LINES, /* an order without lines */
    PAYMENT_NO_PRODUCT,
    PAYMENT_INSUFFICIENT_STOCK,
    PAYMENT_INVALID_COUPON,
    PAYMENT_EXPIRED_COUPON,
    PAYMENT_OVERFLOW,
    PAYMENT_INSUFFICIENT_BALANCE,
    PAYMENT_INVALID_AMOUNT,
    PAYMENT_KEY_REUSED,
    PAYMENT_BUSY,        /* the order, or the key, is being worked on, and was until the deadline */
    PAYMENT_OVERLOADED,  /* no room: nothing was done */
    PAYMENT_UNAVAILABLE, /* ledger, gate or gateway are away: nothing was done */
    PAYMENT_UNKNOWN,     /* it may be done yet: ask again, with the same key */
    PAYMENT_OUTCOME_N,
};

/*
 * One call that changes an order or charges a balance. The caller keeps it until `done`, which
 * comes before the deadline; what it has set going then goes on without it.
 */
struct payment {
    void (*done)(struct payment *payment);
    /* op, render, and the input of ORDER_CREATE, ORDER_PAY, ORDER_CANCEL or CHARGE. Copied, with
     * lines and key. */
    struct ledger_command command;

    enum payment_outcome outcome;
    bool replayed;      /* OK, DECLINED: it was done before */
    unsigned status;    /* OK, DECLINED */
    struct str answer;  /* the same: what `render` made, now or then; until `done` returns */
    int64_t order_id;   /* 0: not known */
    int64_t product_id; /* NO_PRODUCT, INSUFFICIENT_STOCK */

    struct loop_task task; /* private */
};
void payment_start(struct shop_loop *loop, struct payment *payment);
/* Everybody who waits for a payment is told now, as at the deadline. */
void payments_hurry(struct shop_loop *loop);

/* ---- looking ---- */

struct order_get {
    void (*done)(struct order_get *get);
    struct arena *arena;
    int64_t order_id;

    enum err err; /* OK, NOT_FOUND, UNAVAILABLE, NOMEM */
    struct ledger_order order;

    struct ledger_read read; /* private */
};
void order_get(struct shop_loop *loop, struct order_get *get);

struct order_list {
    void (*done)(struct order_list *list);
    struct arena *arena;
    int64_t user_id;
    int status;    /* enum order_status; -1: any */
    int64_t after; /* order_id of the page before's last; 0: from the start */
    int64_t limit;

    enum err err;                /* OK, NOT_FOUND (no such user), UNAVAILABLE, NOMEM */
    struct ledger_order *orders; /* newest first */
    size_t count;
    int64_t total_count;
    bool more;

    struct shop_loop *loop; /* private */
    struct ledger_read read;
};
void order_list(struct shop_loop *loop, struct order_list *list);

/* ---- the settler, of the first loop; private ---- */

struct settler {
    struct shop_loop *loop; /* NULL: this loop has none */
    struct loop_timer timer;
    struct ledger_read read;
    struct arena arena;
    struct list settlements; /* open attempts that this one settles */
    size_t count;
    size_t asking; /* from the claim to the gateway's answer */
    bool reading;
    uint64_t told_ms; /* that there is no gateway to ask */
};
