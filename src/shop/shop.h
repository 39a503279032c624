// SPDX-License-Identifier: Apache-2.0
/*
 * The use cases. One `struct shop` per server, one `struct shop_loop` per loop; every call follows
 * the async contract of loop/loop.h. The shop cannot tell which gate and ledger it is talking to.
 */
#pragma once
#include <stdatomic.h>

#include "base/id_set.h"
#include "base/list.h"
#include "config/config.h"
#include "gate/gate.h"
#include "gateway/gateway.h"
#include "ledger/ledger.h"
#include "metrics/metrics.h"
#include "shop/catalog.h"
#include "shop/changes.h"
#include "shop/events.h"
#include "shop/servers.h"
#include "shop/shop_orders.h"
#include "shop/shop_products.h"
#include "shop/shop_ranking.h"
#include "shop/traffic.h"

enum { SHOP_GATEWAY_KEY_END_BYTES = 10 };

struct shop {
    const struct config *config;
    struct ledger *ledger;
    struct gate *gate;
    struct gateway *gateway; /* NULL: payment.gateway none */
    struct ranking *ranking; /* NULL: there is none, what is sold is read from the backup */
    struct ranking_feed *ranking_feed;
    struct catalog *catalog;
    struct shop_turns *turns; /* administration: one change of a coupon at a time */
    struct servers *servers;  /* NULL: this is the only one, the ledger is not shared */
    struct traffic *traffic;  /* with `servers` */
    struct changes *changes;  /* what answers that are kept depend on */
    struct ledger_watch watch;
    /* Looked at every ten seconds by the first loop (invariants.c); anything but 0 is an alarm. */
    _Atomic int64_t over_issued, gate_minus_sql;
    /* Ends every key that the gateway is called with: another store at the same gateway, made anew
     * or for tests, does not get this one's answers. Set before the loops run; "": nothing. */
    char gateway_key_end[SHOP_GATEWAY_KEY_END_BYTES];
    /* Answers to what the settler settles; set before the loops run. */
    unsigned (*render_settled)(const struct ledger_command *command, struct buf *answer);
    /* Who is told of events, and how these look: set before the loops are made. */
    struct events_consumer consumers[LEDGER_CONSUMER_N];
    void (*render_event)(const struct ledger_event *event, const char *id, const char *key,
                         struct buf *out);
    struct events_stats events_stats[LEDGER_CONSUMER_N];
    /* As the settler saw them last; when the oldest was opened, 0: none is open. */
    _Atomic int64_t attempts_open, attempts_oldest_ms;
};

struct shop_loop; /* below */

/* ERR_NOMEM. What is passed in stays the caller's; `gateway` and `ranking` may be NULL. */
enum err shop_init(struct shop *shop, const struct config *config, struct ledger *ledger,
                   struct gate *gate, struct gateway *gateway, struct ranking *ranking) MUST_CHECK;
void shop_fini(struct shop *shop);
/*
 * Fills the catalogue and opens the gate of every coupon that has not ended, and of those ended
 * ones that `needs_gate` names: there are reservations left to store. Blocks; before the loops run.
 * *ret_holders: rows read. Errors as of ledger_scan_rows() and gate_rebuild_open().
 */
enum err shop_open(struct shop *shop, bool (*needs_gate)(void *context, int64_t coupon_id),
                   void *context, int64_t *ret_holders) MUST_CHECK;

/* Any thread: the gates of all coupons that may be taken are open. */
bool shop_gates_are_open(const struct shop *shop);

/* On its loop's thread. `sweeps`: this loop runs the sweeper. */
enum err shop_loop_init(struct shop_loop *loop, struct shop *shop, struct loop *on,
                        struct metrics_slot *metrics, bool sweeps) MUST_CHECK;
/* No more sweeping; the last pending entries are stored by those who hold them. */
void shop_loop_drain(struct shop_loop *loop);
/* Nothing is on its way to the ledger, the gate or another loop. */
bool shop_loop_is_idle(const struct shop_loop *loop);
/* What is, in words; NULL: nothing. */
const char *shop_loop_waits_for(const struct shop_loop *loop);
void shop_loop_fini(struct shop_loop *loop); /* idle */

/* Does the user exist? Remembered ids answer at once, others are looked up, many at a time. */
struct user_lookup {
    void (*done)(struct user_lookup *lookup, enum err e); /* OK, NOT_FOUND, UNAVAILABLE, NOMEM */
    int64_t user_id;

    struct list node; /* private */
    struct loop_task task;
    enum err err;
};
void user_lookup(struct shop_loop *loop, struct user_lookup *lookup);

/* ---- coupons ---- */

enum coupon_take_outcome {
    COUPON_TAKE_ISSUED,   /* issue: the row is stored */
    COUPON_TAKE_RESERVED, /* reserve: as durable as `durability` says */
    COUPON_TAKE_ALREADY,  /* slot, held_state; user_coupon_id unless RESERVED */
    COUPON_TAKE_NO_USER,
    COUPON_TAKE_NO_COUPON,
    COUPON_TAKE_NOT_STARTED,
    COUPON_TAKE_EXPIRED,
    COUPON_TAKE_ENDED,
    COUPON_TAKE_SOLD_OUT,
    COUPON_TAKE_CLOSED,      /* the gate is being rebuilt */
    COUPON_TAKE_OVERLOADED,  /* no room: the gate was not asked */
    COUPON_TAKE_UNAVAILABLE, /* not done, or not known: ask again */
};

/* `issue` and `reserve`. The caller keeps it until `done`. */
struct coupon_take {
    void (*done)(struct coupon_take *take);
    int64_t coupon_id, user_id;
    bool reserve;

    enum coupon_take_outcome outcome;
    const struct coupon *coupon; /* NULL: unknown; see shop/catalog.h */
    int64_t slot, remaining;
    enum held_state held_state; /* ALREADY */
    int64_t user_coupon_id, issued_at_ms, expires_at_ms;
    enum gate_durability durability;

    /* private */
    struct shop_loop *loop;
    struct placement *placement;
    struct user_lookup lookup;
    struct ledger_read read;
    struct loop_task task;
    uint64_t deadline_ms;
    bool gate_closed;
};
void coupon_take(struct shop_loop *loop, struct coupon_take *take);

/* Places left, as the gate has it now; without a gate, as of `coupon`. Any thread. */
int64_t coupon_remaining(struct shop *shop, const struct coupon *coupon);

/* ---- a user's coupons ---- */

struct held_coupon {
    const struct coupon *coupon;
    struct ledger_held row; /* RESERVED: coupon_id, slot and expires_at only */
    enum held_state state;
};
struct held_list {
    void (*done)(struct held_list *list);
    struct arena *arena;
    int64_t user_id;

    enum err err;              /* OK, NOT_FOUND (no such user), UNAVAILABLE, NOMEM */
    struct held_coupon *items; /* newest first, RESERVED ones before */
    size_t count;

    /* private */
    struct shop_loop *loop;
    struct user_lookup lookup;
    struct ledger_read read;
    struct gate_look look;
};
void held_list(struct shop_loop *loop, struct held_list *list);

/* ---- users ---- */

struct user_get {
    void (*done)(struct user_get *get);
    struct arena *arena;
    int64_t user_id;

    enum err err;            /* OK, NOT_FOUND, UNAVAILABLE, NOMEM */
    struct ledger_user user; /* users.external: of anybody, with names made from the id */

    struct shop_loop *loop; /* private */
    struct ledger_read read;
};
void user_get(struct shop_loop *loop, struct user_get *get);

/* ---- administration: one change of a coupon at a time, first come first served ---- */

struct turn {
    struct list node;
    int64_t coupon_id; /* 0: a new one, of no id yet */
    struct loop *loop;
    struct loop_task task; /* run on `loop` when it is one's turn */
};

/* A new coupon, then its gate. `coupon` is filled in; coupon_id 0: the next free one. */
struct coupon_create {
    void (*done)(struct coupon_create *create);
    struct coupon coupon;

    enum err err; /* OK, CONFLICT (the id is taken), OVERLOADED, UNAVAILABLE, NOMEM */

    /* private */
    struct shop_loop *loop;
    struct turn turn;
    struct shop_command command;
    struct loop_work work;
    struct servers_refresh refresh;
};
void coupon_create(struct shop_loop *loop, struct coupon_create *create);

struct coupon_patch {
    void (*done)(struct coupon_patch *patch);
    int64_t coupon_id;
    struct coupon_change change;
    bool rebuild; /* the gate begins a new life in any case */

    enum err err; /* OK, NOT_FOUND, UNAVAILABLE (could not drain, store away), OVERLOADED, NOMEM */
    enum coupon_change_outcome outcome;
    struct coupon
        coupon; /* as it is now; with BELOW_HANDED_OUT its witness says what is possible */

    /* private */
    struct shop_loop *loop;
    struct turn turn;
    struct shop_command command;
    struct handover *handover; /* owned */
    struct gate_refresh push;
    uint64_t give_up_ms;
};
void coupon_patch(struct shop_loop *loop, struct coupon_patch *patch);

/* ---- a loop's part of the shop; private, but for loop, ledger, gate, metrics, placements ---- */

/* gate_keeper.c: opens gates that are closed and should not be, some at once. */
enum { KEEPER_JOBS_MAX = 16, KEEPER_SEEN_MAX = 64 };
struct keeper {
    struct loop_timer timer;
    uint64_t started_ms;
    size_t busy;
    struct keeper_job {
        bool busy;
        struct coupon_patch patch;
    } jobs[KEEPER_JOBS_MAX];
    struct keeper_seen {
        int64_t coupon_id, epoch;
        uint64_t since_ms, last_ms;
    } seen[KEEPER_SEEN_MAX];
};

struct invariants {
    struct shop *shop;
    struct loop *loop;
    struct loop_timer timer;
    struct loop_work work;
    bool busy, stopped;
};

struct forget {
    struct shop_loop *loop;
    struct loop_timer timer;
    struct shop_command command;
    bool busy, of_events;
};

struct shop_loop {
    struct shop *shop;
    struct loop *loop;
    struct ledger_client *ledger;
    struct gate_client *gate;
    struct gateway_client *gateway; /* NULL without a gateway */
    struct ranking_client *ranking; /* NULL without a ranking */
    struct metrics_slot *metrics;
    struct id_set known_users;
    struct list lookups; /* users being looked up, see users_known.c */
    struct list waiting; /* issues waiting for their row, the earliest deadline first */
    struct loop_timer deadline;
    struct list spare;       /* placements to be used again */
    size_t placements;       /* in use: entries to be stored by this loop */
    struct loop_timer sweep; /* of the first loop only, as what follows */
    struct keeper keeper;
    bool sweeping;
    struct sweeper *sweeper;
    struct invariants invariants;
    struct forget forget;
    struct list payments; /* under way: payment.c */
    struct settler settler;
    struct ranking_jobs ranking_jobs;
    struct ranking_desk desk;
    struct events_relay *relays[LEDGER_CONSUMER_N]; /* of the first loop; NULL: not on */
    bool draining;
};

/* Everything the proof needs, gathered on a working thread. */
struct coupon_proof {
    void (*done)(struct coupon_proof *proof);
    int64_t coupon_id;

    enum err err; /* OK, NOT_FOUND, UNAVAILABLE, NOMEM */
    struct proof proof;
    struct coupon coupon;
    struct gate_picture before;

    struct shop *shop; /* private */
    struct loop_work work;
    struct loop_task task;
};
void coupon_proof(struct shop_loop *loop, struct coupon_proof *proof);
/* The same at once, blocking; `shop->gate` may be NULL: stores at rest. */
void coupon_proof_run(struct shop *shop, struct coupon_proof *proof);
void coupon_proof_fini(struct coupon_proof *proof);

/* What of the load-test data set was not there before. */
struct load_data_report {
    int64_t users, coupons, places, products, cart_lines, orders;
};
/* The load-test data set, where it is not in yet; ids that are taken are left alone. `begun`: as
 * the store's stamp says, some of it may be in. Blocks. ERR_UNAVAILABLE, ERR_NOMEM. */
enum err shop_load_data(struct ledger *ledger, int64_t now_ms, bool begun,
                        struct load_data_report *ret_report) MUST_CHECK;
