// SPDX-License-Identifier: Apache-2.0
/*
 * The working set of one batch: every row its commands name, loaded once, changed in memory by
 * their decisions, stored once. A later command sees what an earlier one did. Knows no SQL: a
 * backend fills it (load) and empties it (store).
 */
#pragma once
#include "ledger/ledger.h"

struct ledger_user_row {
    int64_t user_id;
    int64_t balance;
    bool found, changed;
};

struct ledger_coupon_row {
    int64_t coupon_id;
    struct coupon coupon;
    bool found, created, changed;
};

/* A charge: the row of the effect carries the idempotency key. */
struct ledger_charge_row {
    int64_t user_id;
    struct str key; /* borrowed from the command */
    bool found, created;
    uint8_t fingerprint[16];
    int64_t amount, balance_after, charged_at_ms;
    struct buf answer; /* owned; of a created row: borrowed from its command */
    bool has_answer;
};

struct ledger_index {
    uint32_t *cells; /* number of the row + 1; 0: empty */
    size_t size;     /* a power of two, more than twice the rows */
};

struct ledger_rows {
    int64_t now_ms;
    size_t max; /* commands in a batch, and so rows of each kind */
    struct ledger_user_row *users;
    size_t user_count;
    struct ledger_index user_index;
    struct ledger_coupon_row *coupons;
    size_t coupon_count;
    struct ledger_index coupon_index;
    struct ledger_charge_row *charges;
    size_t charge_count;
    struct ledger_index charge_index;
    int64_t next_user_coupon_id, next_coupon_id, next_user_id; /* loaded where `needs_` says */
    bool needs_next_coupon_id, needs_next_user_id;
};

enum err ledger_rows_init(struct ledger_rows *rows, size_t batch_max) MUST_CHECK;
void ledger_rows_fini(struct ledger_rows *rows);

/* Forget the last batch and note which rows this one needs; `now_ms` is the batch's time. */
void ledger_rows_collect(struct ledger_rows *rows, struct list *batch, int64_t now_ms);

/* The row of that key, or NULL. */
struct ledger_user_row *ledger_rows_user(struct ledger_rows *rows, int64_t user_id);
struct ledger_coupon_row *ledger_rows_coupon(struct ledger_rows *rows, int64_t coupon_id);
struct ledger_charge_row *ledger_rows_charge(struct ledger_rows *rows, int64_t user_id,
                                             struct str key);
/* Adds a row; there is room for one of each kind per command. */
struct ledger_coupon_row *ledger_rows_add_coupon(struct ledger_rows *rows, int64_t coupon_id);

/*
 * Decide each command in turn, by the rules of core, on the loaded rows. LEDGER_PLACE only gets
 * its numbers: whether a place is stored, the fences say at the INSERT (ledger_place_stored()).
 * ERR_NOMEM: an answer could not be rendered; the rows are spoiled, roll back.
 */
enum err ledger_decide(struct ledger_rows *rows, struct list *batch) MUST_CHECK;
/* The INSERT of a place went through: the witness takes it. */
void ledger_place_stored(struct ledger_rows *rows, struct ledger_place *place);
