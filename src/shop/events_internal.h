// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "shop/events.h"
#include "shop/shop_internal.h"

enum {
    EVENTS_TICK_MS = 50,
    EVENTS_SWEEP_MS = 100,      /* between two looks at all keys that found nothing new */
    EVENTS_COUNT_MS = 2000,     /* between two counts, for metrics */
    EVENTS_ROWS_MAX = 16,       /* of a key, read at once */
    EVENTS_READ_KEYS = 64,      /* whose rows are read at once */
    EVENTS_SWEEP_KEYS = 256,    /* a page of the sweep */
    EVENTS_KEYS_MAX = 10000,    /* in memory, most of them waiting for another try */
    EVENTS_MARKS_MAX = 4096,    /* delivered, and not marked yet */
    EVENTS_MARKS_AT_ONCE = 512, /* so many are marked without waiting for the tick */
    EVENTS_LEASE_MS = 5000,
    EVENTS_AWAY_FAILURES = 32, /* in a row, over */
    EVENTS_AWAY_KEYS = 8,      /* so many keys: it is not the events, the receiver is away */
    EVENTS_AWAY_MS_MAX = 30000,
};

/* One event, ready to go. */
struct events_row {
    int64_t number;
    enum ledger_event_type type;
    struct buf body;
};

enum events_key_state {
    EVENTS_WANTING, /* rows */
    EVENTS_READING,
    EVENTS_READY,
    EVENTS_SENDING,
    EVENTS_WAITING, /* until due_ms, after a failure */
    EVENTS_DYING,   /* its first row is being given up */
    EVENTS_ENDING,  /* nothing more to send: until everything is marked */
    EVENTS_STATE_N,
};

/* A key with something to deliver. One delivery at a time: that is what keeps its order. */
struct events_key {
    struct list node;        /* in relay->keys[state] */
    struct events_key *next; /* of the same cell */
    struct events_relay *relay;
    enum ledger_event_kind kind;
    int64_t key_id;
    enum events_key_state state;
    struct events_row rows[EVENTS_ROWS_MAX];
    size_t row_count, row_next;
    int64_t last_number; /* of the last that was read or delivered */
    bool more;           /* the ledger may have some behind it */
    bool cut_short;      /* a row could not be taken: neither can those behind it */
    size_t unmarked;     /* delivered, and not marked yet */
    int64_t tries;       /* of the first row */
    uint64_t retry_ms, due_ms;
    struct events_delivery delivery;
    char id[EVENTS_ID_BYTES], name[EVENTS_ID_BYTES];
};

struct events_marks {
    struct ledger_event_id ids[EVENTS_MARKS_MAX];
    size_t count;
};

struct events_relay {
    struct shop_loop *loop;
    enum ledger_consumer consumer;
    struct events_consumer options;
    struct events_sink *sink;
    struct events_stats *stats;
    struct loop_timer timer;
    bool draining;

    struct list keys[EVENTS_STATE_N];
    struct events_key **cells;
    size_t key_count, active; /* active: those that are neither waiting nor ending */
    size_t in_flight;

    /* the receiver as a whole */
    size_t failures_in_row;
    bool away;
    uint64_t away_ms, probe_ms;

    /* reads, one at a time */
    bool reading;
    struct ledger_read read;
    struct arena arena;
    struct ledger_event_id wanted[EVENTS_READ_KEYS];
    struct ledger_event_id sweep_after;
    bool sweep_found, swept; /* swept: the last read was a sweep's */
    int64_t sweep_oldest_ms;
    uint64_t sweep_due_ms, count_due_ms;

    /* commands, one of each at a time */
    struct events_marks pending, marking;
    bool mark_busy, die_busy, lease_busy;
    uint64_t mark_due_ms, lease_due_ms, lease_until_ms, lease_asked_ms;
    struct shop_command mark, die, lease;
    struct events_key *dying;
    int64_t owner;
};

/* events_keys.c */
struct events_key *events_key_find(struct events_relay *relay, enum ledger_event_kind kind,
                                   int64_t key_id);
/* WANTING. NULL: no memory, or too many. */
struct events_key *events_key_add(struct events_relay *relay, enum ledger_event_kind kind,
                                  int64_t key_id);
void events_key_set(struct events_key *key, enum events_key_state state);
void events_key_free(struct events_key *key);
void events_key_drop_rows(struct events_key *key, size_t keep); /* behind the first `keep` */
struct events_key *events_key_first(struct events_relay *relay, enum events_key_state state);

/* events_read.c: starts what is due, if nothing is being read. */
void events_read_next(struct events_relay *relay);

/* events_marks.c */
void events_delivered(struct events_key *key, int64_t number);
void events_marks_send(struct events_relay *relay);
void events_die(struct events_key *key);
bool events_may_relay(const struct events_relay *relay);
void events_lease_renew(struct events_relay *relay);
bool events_marks_are_idle(const struct events_relay *relay);

/* events_relay.c: whatever may go on goes on. */
void events_pump(struct events_relay *relay);
/* Later again, and later from time to time. */
void events_wait(struct events_key *key);
