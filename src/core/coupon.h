// SPDX-License-Identifier: Apache-2.0
/*
 * The rules of a limited coupon, free of I/O. Times are Unix milliseconds; `now_ms` is always the
 * caller's. A *slot* (also: place, sequence number) is a number 1..total_quantity.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "core/witness.h"

enum { COUPON_NAME_BYTES_MAX = 200, COUPON_USES_UNLIMITED = 0 };

/* What the administrator decides. `version` grows by one with every change. */
struct coupon_settings {
    int64_t total_quantity; /* >= 1 */
    int64_t starts_at_ms;
    int64_t ends_at_ms; /* > starts_at_ms */
    bool closed;        /* by the administrator; for good or until reopened */
    int64_t version;
};

struct coupon {
    int64_t coupon_id;
    char name[COUPON_NAME_BYTES_MAX + 1]; /* UTF-8, NUL-terminated */
    int64_t discount_rate;                /* percent, 0..100 */
    int64_t uses_per_user;                /* COUPON_USES_UNLIMITED or >= 1 */
    struct coupon_settings settings;
    int64_t epoch; /* lives of this coupon's gate */
    bool closing;  /* that life is being ended: nothing is granted, what was is stored */
    struct witness witness;
};

enum coupon_window { COUPON_BEFORE, COUPON_WITHIN, COUPON_AFTER };

/* starts_at <= now < ends_at is within. */
enum coupon_window coupon_window(const struct coupon_settings *settings, int64_t now_ms);

enum coupon_state { COUPON_SCHEDULED, COUPON_OPEN, COUPON_SOLD_OUT, COUPON_CLOSED, COUPON_ENDED };

/* What a visitor is shown. The end of the window wins over closed, closed over sold out. */
enum coupon_state coupon_state(const struct coupon_settings *settings, int64_t remaining,
                               int64_t now_ms);

/* One person's coupon. A slot that is granted but not stored yet is RESERVED. */
enum held_state { HELD_RESERVED, HELD_AVAILABLE, HELD_USED, HELD_EXPIRED };

/* uses: how often it was used so far; `uses_per_user` as in struct coupon. */
enum held_state coupon_held_state(int64_t uses, int64_t uses_per_user, int64_t expires_at_ms,
                                  int64_t now_ms);

/* A change of settings, each member optional. */
struct coupon_change {
    bool has_quantity, has_starts, has_ends, has_closed;
    int64_t total_quantity, starts_at_ms, ends_at_ms;
    bool closed;
};

bool coupon_change_is_empty(const struct coupon_change *change);

enum coupon_change_outcome {
    COUPON_CHANGE_OK,
    COUPON_CHANGE_BELOW_HANDED_OUT, /* quantity < the highest number handed out */
    COUPON_CHANGE_EMPTY_WINDOW,     /* ends_at <= starts_at */
};

/* Is the change allowed? *ret_settings (version + 1) on COUPON_CHANGE_OK only. */
enum coupon_change_outcome coupon_change_decide(const struct coupon *coupon,
                                                const struct coupon_change *change,
                                                struct coupon_settings *ret_settings);
