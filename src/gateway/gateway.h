// SPDX-License-Identifier: Apache-2.0
/*
 * The payment gateway: who takes the money. A call is named by a key made of what is paid and the
 * attempt's number, never by the client's key; the same key again is the same payment. While a call
 * runs nothing is held: no lock, no connection, no transaction.
 *
 * One `struct gateway` per server, one `struct gateway_client` per loop. Functions that take a
 * client are called on its loop and follow the async contract of loop/loop.h.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "core/breaker.h"
#include "loop/loop.h"
#include "metrics/metrics.h"

struct gateway;
struct gateway_client;

enum gateway_op {
    GATEWAY_CHARGE,
    GATEWAY_REFUND,
    /* Whatever became of the charge or refund of that key: it is undone, and the key is refused
     * from now on, also to a request that is still on its way. */
    GATEWAY_VOID,
};

enum gateway_outcome {
    GATEWAY_APPROVED, /* transaction_id is set; VOID: it is undone */
    GATEWAY_REFUSED,  /* for good */
    /* It may or may not have happened, or the gateway does not know the key: ask again with the
     * same key, or void it. */
    GATEWAY_UNKNOWN,
    GATEWAY_UNSENT, /* certainly nothing was sent: no connection, breaker open, no room */
};

enum { GATEWAY_KEY_BYTES_MAX = 64, GATEWAY_TRANSACTION_BYTES_MAX = 64 };

/* The caller owns it and keeps it until `done`. */
struct gateway_call {
    void (*done)(struct gateway_call *call);
    enum gateway_op op;
    char key[GATEWAY_KEY_BYTES_MAX + 1]; /* "order-17-1-9f3c21ab": what is paid, attempt, store */
    struct str client_key;               /* the mock refuses one with "fail" in it, any case */
    int64_t user_id, amount;             /* won */
    int64_t order_id;                    /* 0: a charge of a balance */
    /* REFUND: the transaction that is to be refunded; "" else */
    char refunded_id[GATEWAY_TRANSACTION_BYTES_MAX + 1];

    enum gateway_outcome outcome;
    char transaction_id[GATEWAY_TRANSACTION_BYTES_MAX + 1];

    void *impl; /* private, from here on */
    struct loop_timer timer;
    struct loop_task task;
    struct gateway_client *client;
    uint64_t started_ns;
};

struct gateway_stats {
    uint64_t in_flight;
    bool has_breaker; /* the rest is of it */
    struct breaker_status breaker;
};

/* `done` is called for certain, at the latest after the gateway's time-out. */
void gateway_start(struct gateway_client *client, struct gateway_call *call);
/* The longest that a call can take. */
uint64_t gateway_timeout_ms(const struct gateway *gateway);

struct gateway_stats gateway_stats(struct gateway *gateway); /* any thread */

/* `metrics` of the loop's thread, or NULL. NULL without memory. */
struct gateway_client *gateway_client_new(struct gateway *gateway, struct loop *loop,
                                          struct metrics_slot *metrics) MUST_CHECK;
struct gateway_client *gateway_client_free(struct gateway_client *client); /* nothing in flight */
struct gateway *gateway_free(struct gateway *gateway);                     /* clients freed */
