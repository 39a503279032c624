// SPDX-License-Identifier: Apache-2.0
/*
 * Several servers on one ledger. Each gives signs of life (beats): they renew its *lease*, tell it
 * which coupons others have changed, and hand in the gates that are being closed. All times in the
 * store are the database's.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "core/coupon.h"
#include "loop/loop.h"

struct ledger_client;

enum { LEDGER_SERVER_URL_BYTES = 128, LEDGER_TIMELINE_BYTES = 32 };

/* A coupon as this server knows it. */
struct ledger_known_coupon {
    int64_t coupon_id, version, epoch;
    bool closing;
};

/* "Everything that I hold of this coupon's gate in this epoch is stored, and I grant no more." */
struct ledger_hand_in {
    int64_t coupon_id, epoch;
};

/* A coupon whose gate is being closed, and how many servers with a lease hold something of it. */
struct ledger_closing {
    int64_t coupon_id, epoch;
    int64_t waiting_for;
};

/* One sign of life. The caller owns it and keeps it until `done`. */
struct ledger_beat {
    void (*done)(struct ledger_beat *beat);
    struct arena *arena;  /* results go here */
    uint64_t deadline_ms; /* of loop_now_ms() */

    int64_t server_id; /* random, >= 1 */
    const char *url;   /* where it serves, for people; shorter than LEDGER_SERVER_URL_BYTES */
    int64_t lease_ms;  /* from the database's now */
    bool sole;         /* there must be no other one: without a lease if there is */
    bool leave;        /* the last one: its lease ends now */
    const struct ledger_known_coupon *known;
    size_t known_count;
    const struct ledger_hand_in *hand_ins;
    size_t hand_in_count;

    enum err err; /* OK; UNAVAILABLE, NOMEM: the lease was not renewed, as far as is known */
    bool refused; /* `sole`, and `other_url` has a lease */
    char other_url[LEDGER_SERVER_URL_BYTES];
    int64_t live;           /* servers with a lease, this one among them */
    struct coupon *coupons; /* those that are new or not as they were known */
    size_t coupon_count;
    struct ledger_closing *closings; /* all there are */
    size_t closing_count;
    int64_t database_ms; /* the database's clock */
    /* Which history of the database this is: another one after a fail-over, when what was committed
     * last may be gone. "": does not change. */
    char timeline[LEDGER_TIMELINE_BYTES];

    struct ledger_client *client; /* private */
    struct loop_task task;
};
