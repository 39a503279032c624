// SPDX-License-Identifier: Apache-2.0
/*
 * Events out: what the ledger wrote with its effects is delivered to consumers, at least once, in
 * order of each key, many keys at once. One relay for each consumer, on the first loop.
 */
#pragma once
#include "base/buf.h"
#include "ledger/ledger.h"
#include "loop/loop.h"

struct shop_loop;
struct hook;
struct redis_target;

enum { EVENTS_ID_BYTES = 64, EVENTS_WHY_BYTES = 128, EVENTS_SINK_BYTES = 768 };

/* One try to deliver one event. Everything is borrowed until `done`. */
struct events_delivery {
    void (*done)(struct events_delivery *delivery);
    const char *id;   /* the same at every try: what a receiver has seen it knows by this */
    const char *key;  /* "coupon-7", "user-42" */
    const char *type; /* "coupon.issued" */
    int64_t number;   /* of the key */
    struct str body;  /* JSON */

    bool delivered;
    char why[EVENTS_WHY_BYTES]; /* not delivered: what was the matter */

    _Alignas(16) char room[EVENTS_SINK_BYTES]; /* the sink's */
};

/* Where events go. */
struct events_sink {
    /* `done` comes once, never from inside. */
    void (*send)(struct events_sink *sink, struct events_delivery *delivery);
    void (*cut)(struct events_sink *sink);  /* what is under way ends soon */
    void (*free)(struct events_sink *sink); /* nothing is under way */
};

/* NULL: no memory. */
struct events_sink *events_webhook_new(struct hook *hook, struct loop *loop) MUST_CHECK;
struct events_stream_options {
    const struct redis_target *target;
    const char *key;
    int64_t length_max; /* about; 0: it is not trimmed */
};
/* `options` are borrowed. */
struct events_sink *events_stream_new(const struct events_stream_options *options,
                                      struct loop *loop) MUST_CHECK;

/* What a consumer is like; kept by the shop. Times of 0 are not allowed. */
struct events_consumer {
    bool on;
    uint32_t in_flight_max;          /* deliveries under way at once */
    int64_t tries_max;               /* then it is dead; 0: never */
    uint64_t retry_ms, retry_ms_max; /* the first pause, and the longest */
    struct events_sink *(*sink_new)(void *context, struct loop *loop);
    void *context;
};

/* For metrics; any thread. */
struct events_stats {
    _Atomic uint64_t delivered, failures; /* tries */
    _Atomic int64_t undelivered, dead;    /* at most LEDGER_EVENTS_COUNTED_MAX; in the ledger */
    _Atomic int64_t oldest_ms;            /* when it occurred; 0: there is none */
};

struct events_relay;
/* ERR_NOMEM. `metrics` of the relay are in `stats`. */
enum err events_relay_new(struct shop_loop *loop, enum ledger_consumer consumer,
                          const struct events_consumer *options, struct events_stats *stats,
                          struct events_relay **ret_relay) MUST_CHECK;
/* No new deliveries; those under way are cut, what was delivered is marked. */
void events_relay_drain(struct events_relay *relay);
bool events_relay_is_idle(const struct events_relay *relay);
struct events_relay *events_relay_free(struct events_relay *relay); /* idle */

const char *events_consumer_name(enum ledger_consumer consumer);
const char *events_type_name(enum ledger_event_type type);
/* "coupon-7", and with a number "coupon-7-12", then `end`. */
void events_write_key(char out[EVENTS_ID_BYTES], const struct ledger_event_id *id);
void events_write_id(char out[EVENTS_ID_BYTES], const struct ledger_event_id *id, const char *end);
