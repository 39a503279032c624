// SPDX-License-Identifier: Apache-2.0
/*
 * Events: what other systems are told. Each is a row of the transaction of its effect, with a
 * number that is given under the lock of its key (a coupon, a user): of one key there is every
 * number, and a higher one is never seen before a lower one. Each consumer (a stream, a webhook)
 * has a mark of its own on each row.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* Stored: numbers never change. */
enum ledger_event_kind {
    LEDGER_EVENTS_OF_COUPON = 1,
    LEDGER_EVENTS_OF_USER = 2,
};
enum ledger_event_type {
    LEDGER_EVENT_COUPON_ISSUED = 1, /* subject: the slot */
    LEDGER_EVENT_ORDER_COMPLETED = 2,
    LEDGER_EVENT_ORDER_CANCELLED = 3, /* subjects: the order */
};
enum ledger_consumer { LEDGER_STREAM, LEDGER_WEBHOOK, LEDGER_CONSUMER_N };
#define LEDGER_CONSUMER_BIT(consumer) (1u << (consumer))

struct ledger_event_id {
    enum ledger_event_kind kind;
    int64_t key_id, number; /* numbers of a key: 1, 2, 3, … */
};

/* An event as it is written. */
struct ledger_event_row {
    struct ledger_event_id id;
    enum ledger_event_type type;
    int64_t subject_id, occurred_at_ms;
};

/* What an event is about is rows that do not change any more, but for an order's status. */
struct ledger_held;
struct ledger_order;
struct ledger_event {
    struct ledger_event_row row;
    int64_t dead_id;                  /* 0: it is to be delivered */
    const struct ledger_held *held;   /* COUPON_ISSUED */
    const struct ledger_order *order; /* ORDER_*: as it is now */
};

enum { LEDGER_DEAD_WHY_BYTES = 200 };

/* What a consumer did not take. Its key waits behind it. */
struct ledger_dead_event {
    int64_t dead_id;
    enum ledger_consumer consumer;
    struct ledger_event_row row;
    int64_t tries, died_at_ms;
    struct str why;
};

/* ---- commands; none of them needs a row of a batch ---- */

/* They are delivered. */
struct ledger_events_mark {
    enum ledger_consumer consumer;
    const struct ledger_event_id *ids;
    size_t count;
};

/* Given up, until somebody says otherwise. Only if it is not delivered. */
struct ledger_event_die {
    enum ledger_consumer consumer;
    struct ledger_event_id id;
    int64_t tries;
    struct str why;
};

/* Somebody says otherwise: try again, or (`skip`) never again. */
struct ledger_event_revive {
    int64_t dead_id;
    bool skip;

    bool found;
    struct ledger_dead_event event; /* without `why` */
};

/* One server at a time delivers to a consumer. */
struct ledger_relay_lease {
    enum ledger_consumer consumer;
    int64_t owner;    /* random, >= 1 */
    int64_t lease_ms; /* from the store's now; 0: let go */

    bool held;
};

/* Events that every consumer has, for so long; a piece of them. */
enum { LEDGER_EVENTS_FORGET_PIECE = 500 };
struct ledger_events_forget {
    int64_t keep_ms;

    int64_t forgotten; /* LEDGER_EVENTS_FORGET_PIECE: there may be more */
};

/* ---- reads; op LEDGER_READ_EVENT_… ---- */

/* A key with events that a consumer does not have yet: the first of them. */
struct ledger_event_head {
    struct ledger_event_id id;
    int64_t occurred_at_ms, dead_id;
};

enum { LEDGER_EVENTS_COUNTED_MAX = 100000 };

struct ledger_events_read {
    enum ledger_consumer consumer;
    /* HEADS: those behind this key, `limit` of them. A page: by kind and key_id. */
    struct ledger_event_id after;
    struct ledger_event_head *heads;
    size_t head_count;
    /* EVENTS: of each of these keys those behind the number, at most `limit` each; up to the first
     * dead one. In order, key by key. */
    const struct ledger_event_id *keys;
    size_t key_count;
    struct ledger_event *events;
    size_t event_count;
    /* DEAD: a page by dead_id, behind ledger_read.after; of all consumers, as dead_total is. */
    struct ledger_dead_event *dead;
    size_t dead_count;
    /* COUNT: how many a consumer does not have, at most LEDGER_EVENTS_COUNTED_MAX; how many of
     * them are dead. */
    int64_t undelivered, dead_total;
};
