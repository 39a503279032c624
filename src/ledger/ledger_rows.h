// SPDX-License-Identifier: Apache-2.0
/*
 * The working set of one batch: every row its commands name, loaded once, changed in memory by
 * their decisions, stored once. A later command sees what an earlier one did. Knows no SQL: a
 * backend fills it (load) and empties it (store).
 */
#pragma once
#include "ledger/ledger.h"
#include "ledger/ledger_table.h"

struct ledger_user_row { /* key: user_id */
    struct ledger_row row;
    int64_t balance, held, incoming;
    int64_t orders[ORDER_STATUS_N];
    bool has_cart;
    int64_t events; /* number of the last */
    bool created;   /* with users.external: it is there, and gets a row once something changes */
    bool changed;
};

struct ledger_coupon_row { /* key: coupon_id */
    struct ledger_row row;
    struct coupon coupon;
    int64_t events; /* number of the last */
    bool created, changed;
};

/* A charge: the row of the effect carries the idempotency key. */
struct ledger_charge_row { /* key: user_id, text: the idempotency key */
    struct ledger_row row;
    bool created, changed, removed;
    uint8_t fingerprint[16];
    int64_t amount, balance_after, charged_at_ms;
    int64_t status;    /* 0: the gateway is being asked */
    int64_t charge_id; /* with a gateway */
    struct str answer; /* of the batch, or of its command; ptr NULL: gone, or not yet */
};

struct ledger_product_row { /* key: product_id */
    struct ledger_row row;
    struct ledger_product product;
    struct str category_before;
    bool created, changed;
    bool listed; /* more than stock and held changed */
};

struct ledger_cart_row { /* key: user_id; how many lines there are, and the highest number */
    struct ledger_row row;
    int64_t line_count, line_max;
};

struct ledger_cart_line_row { /* key: user_id, product_id */
    struct ledger_row row;
    int64_t quantity, line; /* quantity 0: there is none */
    bool changed;
};

struct ledger_order_row { /* key: order_id */
    struct ledger_row row;
    struct ledger_order order;
    bool created, changed, removed;
};

struct ledger_order_key_row { /* key: user_id, operation, text: the idempotency key */
    struct ledger_row row;
    uint8_t fingerprint[16];
    int64_t order_id, status, balance_after, answered_at_ms;
    struct str answer; /* as of a charge */
    bool created, changed, removed;
};

struct ledger_held_row { /* key: user_id, coupon_id */
    struct ledger_row row;
    int64_t uses, used_at_ms, expires_at_ms;
    bool changed;
};

enum ledger_attempt_state {
    LEDGER_ATTEMPT_OPEN,
    LEDGER_ATTEMPT_DONE,
    LEDGER_ATTEMPT_REFUSED_STATE,
    LEDGER_ATTEMPT_GIVEN_UP,
};

struct ledger_attempt_row { /* key: subject_id, number * 4 + kind */
    struct ledger_row row;
    enum ledger_attempt_state state;
    struct ledger_attempt attempt;
    int64_t settled_at_ms;
    struct str transaction_id;
    bool created, changed;
};

struct ledger_sale_row { /* key: day, product_id */
    struct ledger_row row;
    struct ledger_sale sale;
    bool changed;
};

struct ledger_day_row { /* key: day */
    struct ledger_row row;
    int64_t version;
    bool changed;
};

struct ledger_rows {
    int64_t now_ms, today;
    bool users_external; /* whoever has no row gets one */
    unsigned consumers;  /* of events: LEDGER_CONSUMER_BIT; 0: there are no events */
    struct arena arena;  /* the batch's */
    struct ledger_table users, coupons, charges, products, carts, cart_lines, orders, order_keys,
        held, attempts, sales, days;
    size_t followed_attempts, followed_keys, followed_orders;
    /* Loaded where `needs_` says; the others always. */
    int64_t next_user_coupon_id, next_order_id, next_charge_id, product_count;
    int64_t next_coupon_id, next_user_id, next_product_id;
    bool needs_next_coupon_id, needs_next_user_id, needs_next_product_id;
    bool needs_ids; /* the batch may take some of the next_ numbers */
    bool sequences_changed;
    struct ledger_event_row *events; /* that this batch makes */
    size_t event_count, event_max;
    bool events_failed; /* no memory for one of them */
};

void ledger_rows_init(struct ledger_rows *rows);
void ledger_rows_fini(struct ledger_rows *rows);

/* Forget the last batch and note which rows this one needs; `now_ms` is the batch's time. */
enum err ledger_rows_collect(struct ledger_rows *rows, struct list *batch,
                             int64_t now_ms) MUST_CHECK;
/* What the rows loaded so far make needed, too. *ret_more: load again, then follow again. */
enum err ledger_rows_follow(struct ledger_rows *rows, bool *ret_more) MUST_CHECK;

/* The row of that key; NULL where nothing of the batch needed it. */
struct ledger_user_row *ledger_rows_user(struct ledger_rows *rows, int64_t user_id);
struct ledger_coupon_row *ledger_rows_coupon(struct ledger_rows *rows, int64_t coupon_id);
struct ledger_charge_row *ledger_rows_charge(struct ledger_rows *rows, int64_t user_id,
                                             struct str key);
struct ledger_product_row *ledger_rows_product(struct ledger_rows *rows, int64_t product_id);
struct ledger_cart_row *ledger_rows_cart(struct ledger_rows *rows, int64_t user_id);
struct ledger_cart_line_row *ledger_rows_cart_line(struct ledger_rows *rows, int64_t user_id,
                                                   int64_t product_id);
struct ledger_order_row *ledger_rows_order(struct ledger_rows *rows, int64_t order_id);
struct ledger_order_key_row *ledger_rows_order_key(struct ledger_rows *rows, int64_t user_id,
                                                   enum ledger_operation operation, struct str key);
struct ledger_held_row *ledger_rows_held(struct ledger_rows *rows, int64_t user_id,
                                         int64_t coupon_id);
struct ledger_attempt_row *ledger_rows_attempt(struct ledger_rows *rows,
                                               enum ledger_attempt_kind kind, int64_t subject_id,
                                               int64_t number);
struct ledger_sale_row *ledger_rows_sale(struct ledger_rows *rows, int64_t day, int64_t product_id);
struct ledger_day_row *ledger_rows_day(struct ledger_rows *rows, int64_t day);
/* New ones, of an id that the ledger chose. NULL: no memory. */
struct ledger_coupon_row *ledger_rows_add_coupon(struct ledger_rows *rows, int64_t coupon_id);
struct ledger_product_row *ledger_rows_add_product(struct ledger_rows *rows, int64_t product_id);
struct ledger_order_row *ledger_rows_add_order(struct ledger_rows *rows, int64_t order_id);
struct ledger_attempt_row *ledger_rows_add_attempt(struct ledger_rows *rows,
                                                   enum ledger_attempt_kind kind,
                                                   int64_t subject_id, int64_t number);
/* Does the user exist? With users.external it does, from now on. */
bool ledger_rows_user_is_there(struct ledger_rows *rows, struct ledger_user_row *user);
/* The next id is behind every one that is used. Behind the last number there is none: it stays. */
void ledger_id_use(int64_t *next_id, int64_t id);

/*
 * Decide each command in turn, by the rules of core, on the loaded rows. LEDGER_PLACE only gets
 * its numbers: whether a place is stored, the fences say at the INSERT (ledger_place_stored()). Its
 * outcome is then what it is if they do not and the user has no row: CONFLICT, or STALE, which is
 * not even tried.
 * ERR_NOMEM: an answer could not be rendered; the rows are spoiled, roll back.
 */
enum err ledger_decide(struct ledger_rows *rows, struct list *batch) MUST_CHECK;
/* What the decisions change, for who watches; lives as long as the rows. ERR_NOMEM. */
enum err ledger_changes_collect(struct ledger_rows *rows,
                                struct ledger_changes *ret_changes) MUST_CHECK;
/* ledger_decide_event.c: an event of this moment, with the next number of its key; where there is
 * no memory for it, the batch must not be stored (rows->events_failed). */
void ledger_event_of_coupon(struct ledger_rows *rows, struct ledger_coupon_row *coupon,
                            int64_t slot);
void ledger_event_of_order(struct ledger_rows *rows, enum ledger_event_type type,
                           const struct ledger_order *order);
/* The INSERT of a place went through: the witness takes it. */
void ledger_place_stored(struct ledger_rows *rows, struct ledger_place *place);

/* ---- the parts of ledger_decide() ---- */

enum err ledger_decide_charge(struct ledger_rows *rows, struct ledger_command *command) MUST_CHECK;
enum err ledger_decide_product_create(struct ledger_rows *rows,
                                      struct ledger_product_create *create) MUST_CHECK;
enum err ledger_decide_product_change(struct ledger_rows *rows,
                                      struct ledger_product_change *change) MUST_CHECK;
void ledger_decide_cart_change(struct ledger_rows *rows, struct ledger_cart_change *change);
enum err ledger_decide_order_create(struct ledger_rows *rows,
                                    struct ledger_command *command) MUST_CHECK;
enum err ledger_decide_order_pay(struct ledger_rows *rows,
                                 struct ledger_command *command) MUST_CHECK;
enum err ledger_decide_order_cancel(struct ledger_rows *rows,
                                    struct ledger_command *command) MUST_CHECK;
enum err ledger_decide_order_import(struct ledger_rows *rows,
                                    struct ledger_order_import *import) MUST_CHECK;
void ledger_decide_attempt_claim(struct ledger_rows *rows, struct ledger_attempt_claim *claim);
enum err ledger_decide_attempt_settle(struct ledger_rows *rows,
                                      struct ledger_command *command) MUST_CHECK;
