// SPDX-License-Identifier: Apache-2.0
/* The ledger's commands and rows of products, carts, orders and payments; part of ledger.h. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "core/order.h"
#include "core/sales.h"

/* ---- products ---- */

enum {
    LEDGER_PRODUCT_NAME_CHARS_MAX = 200,
    LEDGER_PRODUCT_DESCRIPTION_CHARS_MAX = 2000,
    LEDGER_PRODUCT_CATEGORY_CHARS_MAX = 100,
};

struct ledger_product {
    int64_t product_id, price;
    int64_t stock; /* what can be bought: without `held` */
    int64_t held;  /* by open attempts to pay */
    int64_t created_at_ms;
    int64_t category_version;               /* how often that was changed */
    struct str name, description, category; /* ptr NULL: none; never for the name */
};

struct ledger_product_create {
    struct ledger_product *product; /* the caller's; product_id 0: the ledger chooses the next */

    bool taken; /* the id is */
};

struct ledger_product_change {
    int64_t product_id;
    bool has_name, has_description, has_price, has_stock, has_category;
    struct ledger_product to; /* the members that `has_` names */

    bool found;
};

/* ---- carts ---- */

enum ledger_cart_outcome {
    LEDGER_CART_OK,
    LEDGER_CART_NO_USER,
    LEDGER_CART_NO_CART, /* set, remove: nothing was ever added */
    LEDGER_CART_NO_LINE,
    LEDGER_CART_NO_PRODUCT,
    LEDGER_CART_INVALID_QUANTITY,
    LEDGER_CART_INSUFFICIENT_STOCK,
    LEDGER_CART_FULL, /* LEDGER_CART_LINES_MAX */
};

enum { LEDGER_CART_LINES_MAX = 1000 };

struct ledger_cart_change {
    int64_t user_id, product_id;
    enum { LEDGER_CART_ADD, LEDGER_CART_SET, LEDGER_CART_REMOVE } what;
    int64_t quantity; /* ADD: >= 1, to what is there; SET: >= 0, 0 removes the line */

    enum ledger_cart_outcome outcome;
};

struct ledger_cart_line {
    struct ledger_product product; /* as it is now */
    int64_t quantity;
};

/* ---- orders and payments ---- */

struct ledger_order {
    int64_t order_id, user_id;
    int64_t coupon_id; /* 0: none */
    enum order_status status;
    struct order_line *lines; /* by product */
    size_t line_count;
    int64_t subtotal, discount;                         /* their difference is the total */
    int64_t created_at_ms, paid_at_ms, cancelled_at_ms; /* 0: not yet */
    int64_t sold_day;                                   /* of paid_at */
    struct str transaction_id;                          /* ptr NULL: no gateway was asked */
    int64_t attempts, open_attempt; /* number of the last; of the open one, 0: none */
};

/* What an idempotency key is unique for, beside its user. Stored: numbers never change. */
enum ledger_operation {
    LEDGER_OPERATION_CHARGE = 0,
    LEDGER_OPERATION_ORDER = 1,
    LEDGER_OPERATION_PAYMENT = 2,
    LEDGER_OPERATION_CANCEL = 3,
    LEDGER_OPERATION_COMPLETE = 4, /* order and payment in one */
};

enum ledger_order_outcome {
    LEDGER_ORDER_OK,   /* done */
    LEDGER_ORDER_HELD, /* an attempt is open, `attempt` says which: ask the gateway, then settle */
    LEDGER_ORDER_BUSY, /* an attempt of somebody else's is open: submit again a little later */
    LEDGER_ORDER_REFUSED, /* by the gateway; everything is given back */
    LEDGER_ORDER_NO_USER,
    LEDGER_ORDER_NO_ORDER,
    LEDGER_ORDER_NOT_OWNER,
    LEDGER_ORDER_INVALID_STATUS,
    LEDGER_ORDER_NO_LINES,           /* line_count is 0 */
    LEDGER_ORDER_NO_PRODUCT,         /* result.product_id */
    LEDGER_ORDER_INSUFFICIENT_STOCK, /* result.product_id */
    LEDGER_ORDER_INVALID_COUPON,     /* unknown, not owned, or used up */
    LEDGER_ORDER_EXPIRED_COUPON,
    LEDGER_ORDER_OVERFLOW,
    LEDGER_ORDER_INSUFFICIENT_BALANCE,
    /* settle */
    LEDGER_ORDER_STALE,     /* somebody else claimed or settled it: their word counts */
    LEDGER_ORDER_ABANDONED, /* the gateway was certainly not asked: given back, nothing is kept */
};

enum ledger_attempt_kind {
    LEDGER_ATTEMPT_PAYMENT = 1,
    LEDGER_ATTEMPT_CHARGE = 2,
    LEDGER_ATTEMPT_REFUND = 3,
};

enum { LEDGER_TRANSACTION_BYTES_MAX = 64 };

/* An attempt to have the payment gateway move money: what is asked, under which key. */
struct ledger_attempt {
    enum ledger_attempt_kind kind;
    int64_t subject_id; /* order_id, or charge_id */
    int64_t number;
    int64_t claim;
    int64_t user_id, amount;
    int64_t started_at_ms;
    enum ledger_operation operation;
    char client_key[401];                               /* "" : none */
    char refunded_id[LEDGER_TRANSACTION_BYTES_MAX + 1]; /* REFUND: the transaction */
};

/* What came of a command on an order (or, of a settled attempt, on a charge). */
struct ledger_order_result {
    enum ledger_order_outcome outcome;
    enum ledger_operation operation; /* what the caller asked for in the first place */
    int64_t product_id;              /* the culprit */
    int64_t order_id;
    const struct ledger_order *order; /* in render() only; of a charge: NULL */
    int64_t balance;                  /* after a payment or charge */
    int64_t at_ms;                    /* of the payment, refund, charge, refusal */
    int64_t user_id, amount;          /* of the charge or payment */
    struct ledger_attempt attempt;    /* HELD */
};

struct ledger_order_create {
    int64_t user_id;
    int64_t coupon_id;              /* 0: none */
    const struct order_line *lines; /* merged; quantities >= 1; prices and names are looked up */
    size_t line_count;
    bool pay;     /* in the same go (LEDGER_OPERATION_COMPLETE) */
    bool gateway; /* is asked for a total above 0 */

    struct ledger_order_result result;
};

struct ledger_order_pay {
    int64_t user_id, order_id;
    bool gateway;

    struct ledger_order_result result;
};

/* A pending order is dropped. A completed one gives back; through the gateway if that was paid. */
struct ledger_order_cancel {
    int64_t user_id, order_id;

    struct ledger_order_result result;
};

/* Take over an open attempt: from now on only this claim can settle it. */
struct ledger_attempt_claim {
    struct ledger_attempt
        attempt; /* kind, subject_id, number; found: the rest, with its new claim */

    bool found;     /* it is open */
    int64_t now_ms; /* the ledger's time: how old an attempt is, all servers judge by one clock */
};

struct ledger_attempt_settle {
    enum ledger_attempt_kind kind;
    int64_t subject_id, number, claim;
    enum ledger_attempt_answer {
        LEDGER_ATTEMPT_APPROVED,
        LEDGER_ATTEMPT_REFUSED,
        LEDGER_ATTEMPT_VOIDED,  /* undone at the gateway: given back, kept as refused */
        LEDGER_ATTEMPT_UNASKED, /* claim 0 only: the gateway was certainly not asked */
    } answer;
    char transaction_id[LEDGER_TRANSACTION_BYTES_MAX + 1];

    struct ledger_order_result result;
};

/* A past order, as it was, imported in the order of payment. No effect on stock or balance; the
 * sums of what was sold take it. */
struct ledger_order_import {
    struct ledger_order *order; /* order_id 0: the next; names and prices as given */

    bool taken; /* the id is; or there is no such user */
};

/* ---- what was sold ---- */

/* One row of the sums. */
struct ledger_sale {
    int64_t day, version; /* version -1: nothing was sold, only the category has changed */
    struct sales_sum sum;
    struct str category; /* the product's present one; ptr NULL: none */
    int64_t category_version;
};

/* A finished board of the backup. `entries`, best first. */
enum { LEDGER_BOARD_ENTRIES_MAX = 100 };
struct ledger_board {
    enum sales_window window;
    int64_t day;         /* last day of the window */
    struct str category; /* len 0: all products */
    int64_t version, made_at_ms;
    struct sales_sum *entries;
    size_t entry_count;
};

/* Writes those boards that have a higher version than what is there; forgets old ones. */
struct ledger_boards_store {
    const struct ledger_board *boards;
    size_t board_count;
    int64_t forget_before_day;

    int64_t written, forgotten;
};

/* ---- what a commit changed ---- */

struct ledger_product_changed {
    int64_t product_id;
    bool listed;         /* more than its stock: it is new, or has another name, price, category */
    struct str category; /* the present one */
    int64_t category_version;
};

struct ledger_changes {
    const struct ledger_sale *sales;
    size_t sale_count;
    const struct ledger_product_changed *products;
    size_t product_count;
};

/*
 * Called on the ledger's thread. `committing` (may be NULL) comes before each commit that changes
 * something: from now on readers may see it. Then comes, before any of its commands is `done`,
 * `committed`, or `given_up` (may be NULL): nothing of it is there. Of a commit whose outcome is
 * unknown neither comes where it is the last of its process, and `given_up` where the store is
 * shared: whoever derives something is then told by the store itself. Commits may overlap.
 * Everything is borrowed.
 */
struct ledger_watch {
    void (*committing)(struct ledger_watch *watch, const struct ledger_changes *changes);
    void (*given_up)(struct ledger_watch *watch, const struct ledger_changes *changes);
    void (*committed)(struct ledger_watch *watch, const struct ledger_changes *changes);
};
