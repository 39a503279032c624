// SPDX-License-Identifier: Apache-2.0
/*
 * The ledger: what is remembered. It takes commands, not SQL. Commands that arrive while a
 * transaction is being committed make up the next one: load every row they name, decide each in
 * arrival order by the rules of core, store what changed, commit, complete each with its own
 * result.
 *
 * One `struct ledger` per server, one `struct ledger_client` per loop. Functions that take a client
 * are called on its loop and follow the async contract of loop/loop.h.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "core/coupon.h"
#include "core/wallet.h"
#include "ledger/ledger_events.h"
#include "ledger/ledger_servers.h"
#include "ledger/ledger_shop.h"
#include "loop/loop.h"

struct ledger;
struct ledger_client;

/* ---- commands ---- */

enum ledger_op {
    LEDGER_PLACE,  /* store a granted place */
    LEDGER_CHARGE, /* add to a wallet */
    LEDGER_COUPON_CREATE,
    LEDGER_COUPON_CHANGE,  /* settings */
    LEDGER_COUPON_CLOSING, /* begin to end a gate's life */
    LEDGER_COUPON_EPOCH,   /* end it: raise the epoch */
    LEDGER_USERS_CREATE,
    LEDGER_PRODUCT_CREATE,
    LEDGER_PRODUCT_CHANGE,
    LEDGER_CART_CHANGE,
    LEDGER_ORDER_CREATE,
    LEDGER_ORDER_PAY,
    LEDGER_ORDER_CANCEL,
    LEDGER_ORDER_IMPORT,
    LEDGER_ATTEMPT_CLAIM,
    LEDGER_ATTEMPT_SETTLE,
    LEDGER_BOARDS_STORE,
    LEDGER_CLOCK_SET,     /* profile test */
    LEDGER_LOAD_DATA_SET, /* how far the load-test data set is */
    LEDGER_FORGET,        /* bytes of answers kept for long enough; keys stay */
    LEDGER_EVENTS_MARK,   /* ledger_events.h */
    LEDGER_EVENT_DIE,
    LEDGER_EVENT_REVIVE,
    LEDGER_EVENTS_FORGET,
    LEDGER_RELAY_LEASE,
    LEDGER_OP_N,
};

/* Settling is writing, never looking: storing the same place twice is success twice. */
struct ledger_place {
    int64_t coupon_id, user_id, slot;
    int64_t uses;  /* 0, but for load-test data */
    int64_t epoch; /* of the gate that granted it; 0: whichever is the present one */
    bool
        fresh; /* just granted: nobody has tried to store it. Where that is wrong it takes longer */

    enum ledger_place_outcome {
        LEDGER_PLACE_STORED,
        LEDGER_PLACE_THERE,    /* the user's own row with this slot was there */
        LEDGER_PLACE_OTHER,    /* the user has another slot: `slot` is set to it */
        LEDGER_PLACE_CONFLICT, /* somebody else's row, or above the quantity */
        LEDGER_PLACE_STALE,    /* of an older epoch, and the user has no row: nothing was stored */
    } outcome;
    int64_t user_coupon_id, issued_at_ms, expires_at_ms; /* STORED, THERE, OTHER */

    int64_t other_slot; /* private */
};

struct ledger_charge {
    int64_t user_id, amount, amount_max;
    bool gateway; /* is asked first */

    enum ledger_charge_outcome {
        LEDGER_CHARGE_OK,
        LEDGER_CHARGE_NO_USER,
        LEDGER_CHARGE_INVALID_AMOUNT,
        LEDGER_CHARGE_HELD,    /* an attempt is open, `attempt` says which: ask the gateway */
        LEDGER_CHARGE_BUSY,    /* the same charge is being made: submit again a little later */
        LEDGER_CHARGE_REFUSED, /* replay: by the gateway */
    } outcome;
    int64_t balance, charged_at_ms;
    struct ledger_attempt attempt;
};

struct ledger_coupon_create {
    struct coupon *coupon; /* the caller's; coupon_id 0: the ledger chooses the next */

    bool taken; /* the id is */
};

struct ledger_coupon_change {
    int64_t coupon_id;
    struct coupon_change change;
    bool raise_epoch;       /* the quantity goes down */
    int64_t epoch_min;      /* the raised one is at least this */
    int64_t epoch_expected; /* not 0: only if it is the present one, else `overtaken` */

    /* overtaken, too: a quantity that is lower than the present one, without `raise_epoch` */
    bool found, overtaken;
    enum coupon_change_outcome outcome;
    struct coupon *coupon; /* the caller's: as it is now */
};

/* Writers of the present epoch are still accepted; a gate must not grant any more. */
struct ledger_coupon_closing {
    int64_t coupon_id;
    int64_t epoch_expected; /* another one is there: somebody was faster, nothing is done */

    bool found;
    struct coupon *coupon; /* the caller's: as it is now */
};

/* One more than the present one, and at least `epoch_min`; not closing any more. */
struct ledger_coupon_epoch {
    int64_t coupon_id;
    int64_t epoch_min;
    int64_t epoch_expected; /* not 0: only if it is the present one, else `overtaken` */

    bool found, overtaken;
    struct coupon *coupon; /* the caller's: with its new epoch */
};

/* Written in pieces of some thousands between other batches. */
struct ledger_users_create {
    int64_t from_user_id, to_user_id; /* from 0: the ledger chooses one next id */
    int64_t balance;
    struct str username, email; /* of a single user; none: made from the id */
    bool refuse_taken;          /* a single user whose id exists is `taken`, not skipped */

    int64_t created;
    bool taken;

    int64_t next_user_id, piece_created; /* private */
};

struct ledger_clock_set {
    int64_t offset_ms;
};

/* A piece of what is due; a later replay is answered from the row of the effect. */
enum { LEDGER_ANSWERS_KEPT_MS = 24 * 3600 * 1000, LEDGER_FORGET_PIECE = 500 };
struct ledger_forget {
    int64_t forgotten; /* LEDGER_FORGET_PIECE: there may be more */
};

enum ledger_load_data { LEDGER_LOAD_DATA_NONE, LEDGER_LOAD_DATA_STARTED, LEDGER_LOAD_DATA_DONE };

/* Idempotency: unique per user and operation, stored in the transaction of its effect. */
struct ledger_key {
    int64_t user_id;
    enum ledger_operation operation; /* method and route template */
    struct str key;                  /* 1..100 characters */
    uint8_t fingerprint[16];
};

enum ledger_key_outcome {
    LEDGER_KEY_FRESH,  /* decided now */
    LEDGER_KEY_REPLAY, /* done before: `answer` and `status` are the stored ones */
    LEDGER_KEY_REUSED, /* the key was used with another fingerprint: nothing was done */
    /* The first one of that key is still asking the gateway; the outcome says BUSY, too. */
    LEDGER_KEY_RUNNING,
};

struct ledger_command {
    void (*done)(struct ledger_command *command);
    enum ledger_op op;
    /* None: NULL. Borrowed until `done`. `render` is called on the ledger's thread, after the
     * decision: it appends the answer and returns its status, or 0 for an outcome that is not kept
     * (a refusal is decided afresh next time). NULL without a key: nothing is rendered. */
    const struct ledger_key *key;
    unsigned (*render)(const struct ledger_command *command, struct buf *answer);

    /* OK: decided, see the outcome below. UNAVAILABLE: certainly nothing was done. UNCERTAIN: it
     * may have been. NOMEM: nothing was done. */
    enum err err;
    enum ledger_key_outcome key_outcome;
    unsigned status;
    struct buf answer; /* with a key; ledger_command_fini() frees it */
    union {
        struct ledger_place place;
        struct ledger_charge charge;
        struct ledger_coupon_create coupon_create;
        struct ledger_coupon_change coupon_change;
        struct ledger_coupon_closing coupon_closing;
        struct ledger_coupon_epoch coupon_epoch;
        struct ledger_users_create users_create;
        struct ledger_product_create product_create;
        struct ledger_product_change product_change;
        struct ledger_cart_change cart_change;
        struct ledger_order_create order_create;
        struct ledger_order_pay order_pay;
        struct ledger_order_cancel order_cancel;
        struct ledger_order_import order_import;
        struct ledger_attempt_claim attempt_claim;
        struct ledger_attempt_settle attempt_settle;
        struct ledger_boards_store boards_store;
        struct ledger_clock_set clock_set;
        enum ledger_load_data load_data;
        struct ledger_forget forget;
        struct ledger_events_mark events_mark;
        struct ledger_event_die event_die;
        struct ledger_event_revive event_revive;
        struct ledger_events_forget events_forget;
        struct ledger_relay_lease relay_lease;
    };

    /* The caller sets it: nobody waits for this one, it may be kept back up to the linger time
     * while more of its kind are coming in. */
    bool unawaited;

    /* Private to the ledger. */
    struct list node;
    struct ledger_client *client; /* NULL: somebody is blocked in ledger_run() */
    uint64_t queued_ns;
};

/*
 * A place in the queue. Take it before the gate is asked; give it back or submit. False: the queue
 * is full or its oldest command has waited too long: answer 503 now.
 */
bool ledger_room_take(struct ledger_client *client) MUST_CHECK;
void ledger_room_return(struct ledger_client *client);
/* Uses up one place taken. `done` is called for certain, sooner or later. */
void ledger_submit(struct ledger_client *client, struct ledger_command *command);
void ledger_command_fini(struct ledger_command *command);
/* The same and wait for it, without a client, a room or `done`: at start, or on a thread for such
 * work, never on a loop. */
void ledger_run(struct ledger *ledger, struct ledger_command *command);

/* ---- reads of a few rows ---- */

enum ledger_read_op {
    LEDGER_READ_USER,
    LEDGER_READ_USERS_EXIST, /* which of 4,096 neighbouring ids exist */
    LEDGER_READ_HELD,        /* one user's coupon of one kind */
    LEDGER_READ_HELD_LIST,   /* all of one user's coupons, newest first; at most one of each kind */
    LEDGER_READ_WINNERS,     /* a page of one coupon's rows, by slot; total_count */
    LEDGER_READ_PRODUCT,
    LEDGER_READ_PRODUCTS,        /* a page of a list */
    LEDGER_READ_PRODUCTS_BY_ID,  /* those of `ids` */
    LEDGER_READ_PRODUCTS_UNSOLD, /* a page, by id, of those that were not sold in a window */
    LEDGER_READ_CART,
    LEDGER_READ_ORDER,
    LEDGER_READ_ORDERS,        /* a page of one user's, newest first */
    LEDGER_READ_ATTEMPTS,      /* open ones, oldest first */
    LEDGER_READ_SALES_PAGE,    /* a page of a board, added up from the sums */
    LEDGER_READ_SALES_PRODUCT, /* one product's place on it, and its neighbours */
    LEDGER_READ_BOARD,         /* of the backup */
    LEDGER_READ_EVENT_HEADS,   /* a page of keys; ledger_events.h */
    LEDGER_READ_EVENTS,
    LEDGER_READ_EVENTS_DEAD,
    LEDGER_READ_EVENT_COUNT,
    LEDGER_READ_OP_N,
};

enum ledger_product_sort {
    LEDGER_PRODUCTS_BY_ID,
    LEDGER_PRODUCTS_BY_PRICE,
    LEDGER_PRODUCTS_BY_PRICE_DOWN, /* ties by id, in either direction */
    LEDGER_PRODUCTS_NEWEST,        /* ties: the larger id first */
    LEDGER_PRODUCT_SORT_N,
};

enum { LEDGER_EXIST_SPAN = 4096 };

struct ledger_user {
    int64_t user_id, balance;
    struct str username, email; /* in the read's arena */
};

struct ledger_held {
    int64_t coupon_id, slot, user_id, user_coupon_id;
    int64_t issued_at_ms, expires_at_ms;
    int64_t uses, used_at_ms; /* used_at 0: never */
};

struct ledger_read {
    void (*done)(struct ledger_read *read);
    enum ledger_read_op op;
    /* Results that are not fixed in size go here, some from another thread: it is nobody else's
     * until `done`. */
    struct arena *arena;

    int64_t user_id, coupon_id;
    int64_t first_id; /* USERS_EXIST: a multiple of LEDGER_EXIST_SPAN */
    int64_t after;    /* lists: the last key of the page before; 0: from the start */
    int64_t limit;

    enum err err; /* OK, UNAVAILABLE, NOMEM */
    bool found;   /* USER, HELD */
    struct ledger_user user;
    uint64_t exist[LEDGER_EXIST_SPAN / 64];
    struct ledger_held held; /* HELD */
    struct ledger_held *rows;
    size_t row_count;
    bool more; /* rows follow the page */

    /* Products. PRODUCT: product_id, product. PRODUCTS: category (ptr NULL: all), sort, limit,
     * after_key and after (sort key and id of the page before's last; both 0: from the start),
     * total_count. PRODUCTS_BY_ID: `products` beside `ids`, product_id 0 where there is none.
     * PRODUCTS_UNSOLD: category, window (ROLLING), day, after (id), limit (0: total_count only). A
     * page may be short: `after` is then the id that the next one stands behind. */
    int64_t product_id;
    struct str category;
    enum ledger_product_sort sort;
    int64_t after_key;
    const int64_t *ids;
    size_t id_count;
    struct ledger_product product, *products;
    size_t product_count;
    int64_t total_count;

    /* CART: found says that there is such a user. */
    struct ledger_cart_line *cart;
    size_t cart_count;

    /* ORDER: order_id. ORDERS: user_id, status (-1: any), after (order_id, 0: from the start),
     * limit, total_count; found says that there is such a user. */
    int64_t order_id;
    int status;
    struct ledger_order order, *orders;
    size_t order_count;

    /* ATTEMPTS: started before `before_ms`, at most `limit`. */
    int64_t before_ms;
    struct ledger_attempt *attempts;
    size_t attempt_count;

    /* SALES_PAGE: window, day, category, after (rank), limit. SALES_PRODUCT: window, day, category,
     * product_id, around; entries: its neighbours, itself among them. BOARD: window, day, category.
     * first_rank: of entries[0]. */
    enum sales_window window;
    int64_t day, around;
    struct sales_sum *entries;
    size_t entry_count;
    int64_t first_rank;
    int64_t rank;         /* SALES_PRODUCT; -1: not ranked */
    struct sales_sum sum; /* SALES_PRODUCT: its own */
    int64_t made_at_ms;   /* BOARD */

    struct ledger_events_read events;

    struct loop_task task; /* private, from here on */
    struct loop_work work;
    struct ledger_client *client;
    unsigned tries;
};
void ledger_read(struct ledger_client *client, struct ledger_read *read);

/* ---- several servers ---- */

/* Whether other servers may write to the same store. */
bool ledger_is_shared(const struct ledger *ledger);
/* A sign of life to a shared store; beside the queue, so nothing waits before it. */
void ledger_beat(struct ledger_client *client, struct ledger_beat *beat);

/* ---- whole scans: they block; at start, or on a thread for such work, never on a loop ---- */

/* Every coupon, by id. `each` returns false to stop (ERR_NOMEM then). */
enum err ledger_scan_coupons(struct ledger *ledger,
                             bool (*each)(void *context, const struct coupon *coupon),
                             void *context) MUST_CHECK;
/*
 * One coupon and all its rows by slot, as of one moment. `begin` gets the coupon, then `each` every
 * row. ERR_NOT_FOUND, ERR_UNAVAILABLE; ERR_NOMEM when a callback returns false.
 */
struct ledger_scan {
    int64_t coupon_id;
    int64_t after_slot; /* start behind this one; 0: all */
    bool who_only;      /* slot and user are all that is wanted of a row */
    bool (*begin)(struct ledger_scan *scan, const struct coupon *coupon); /* may be NULL */
    bool (*each)(struct ledger_scan *scan, const struct ledger_held *row);
};
enum err ledger_scan_rows(struct ledger *ledger, struct ledger_scan *scan) MUST_CHECK;

/* What was sold from `from_day` on, by day. ERR_NOMEM when `each` returns false. */
enum err ledger_scan_sales(struct ledger *ledger, int64_t from_day,
                           bool (*each)(void *context, const struct ledger_sale *sale),
                           void *context) MUST_CHECK;
/* The boards of the backup that are out of date, made from the sums as of one moment: `each` gets
 * one after the other, borrowed, and NULL before it is looked whether there is another; it may end
 * this as above. `to_day`: the last day that has begun. */
enum err ledger_scan_boards(struct ledger *ledger, int64_t from_day, int64_t to_day,
                            bool (*each)(void *context, const struct ledger_board *board),
                            void *context) MUST_CHECK;

/*
 * The outbox of a shared store: each batch notes, in its own transaction, which sums it changed.
 * This takes the oldest of those notes that nobody else has taken, gives the sums as they are now
 * to `copy`, and strikes the notes out if that answers ERR_OK; a server that dies in between leaves
 * them to the next. Without `copy` it only strikes out what is noted more than once. Blocks.
 * ERR_UNAVAILABLE; what `copy` answers. A store of one server has none: nothing is taken.
 */
enum { LEDGER_RELAY_AT_ONCE = 500 };
struct ledger_sales_relay {
    enum err (*copy)(struct ledger_sales_relay *relay, const struct ledger_sale *sales,
                     size_t count);

    size_t taken;      /* LEDGER_RELAY_AT_ONCE: there may be more */
    int64_t oldest_ms; /* how old the oldest note was */
};
enum err ledger_relay_sales(struct ledger *ledger, struct ledger_sales_relay *relay) MUST_CHECK;

/* One at most, set before the first command. */
void ledger_watch_set(struct ledger *ledger, struct ledger_watch *watch);

/* ---- state; any thread ---- */

struct ledger_stats {
    size_t queue_length;
    uint64_t oldest_wait_ms;
};
struct ledger_stats ledger_stats(struct ledger *ledger);
/* Profile test: as if the store were away. */
void ledger_fault_set(struct ledger *ledger, bool on);

struct ledger_client *ledger_client_new(struct ledger *ledger, struct loop *loop) MUST_CHECK;
struct ledger_client *ledger_client_free(struct ledger_client *client); /* nothing in flight */
