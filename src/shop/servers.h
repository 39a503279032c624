// SPDX-License-Identifier: Apache-2.0
/*
 * One server among several on a shared ledger. Signs of life (beats) renew the lease without which
 * nobody is told of a reservation, bring what other servers have changed, and hand in the gates
 * that are being closed. They are the first loop's; the other loops ask it.
 */
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "gate/gate.h"
#include "ledger/ledger.h"
#include "loop/loop.h"

struct shop;
struct shop_loop;

enum { SERVERS_LEASE_MS = 1000 };

/* "What others have changed up to now is known here." From any loop. */
struct servers_refresh {
    /* OK; UNAVAILABLE: the store did not answer. On the loop that asked. */
    void (*done)(struct servers_refresh *refresh, enum err e);

    struct list node; /* private */
    struct loop *loop;
    struct loop_task task;
    enum err err;
};

/* How gates stand in their store (servers_gates.c). */
struct servers_gates {
    struct gate_refresh refresh;
    int64_t *ids;
    int64_t after; /* coupon: the next turn begins behind it */
    size_t astray; /* that were lost or out of reach last time */
    bool busy;
};

struct servers {
    struct shop *shop;
    int64_t server_id;
    char url[LEDGER_SERVER_URL_BYTES];
    bool sole; /* the gate is in this server's memory: there must be no other */
    /* For metrics and readiness: when the lease ends, and servers that have one. */
    _Atomic uint64_t lease_until_boot_ms;
    _Atomic int64_t live;

    /* private */
    struct shop_loop *loop; /* the first */
    struct loop_timer timer;
    struct loop_task wake;
    struct ledger_beat beat;
    struct arena arena;
    struct servers_gates gates; /* follows each beat */
    bool beating, leaving, left;
    int leave_tries;
    struct loop *entering; /* in servers_enter() */
    uint64_t sent_boot_ms;
    char timeline[LEDGER_TIMELINE_BYTES];
    pthread_mutex_t taking_over;
    pthread_mutex_t lock; /* guards the rest */
    struct list asking;   /* refreshes that the next beat serves */
    struct list served;   /* of the beat under way */
    bool woken;
    struct ledger_closing *closings; /* as of the last beat */
    size_t closing_count;
};

struct servers *servers_new(struct shop *shop, bool sole) MUST_CHECK; /* NULL: no memory */
struct servers *servers_free(struct servers *servers);
/* Blocks, before the loops run: the first beat. ERR_CONFLICT: `sole`, and another server, whose
 * address is then in beat.other_url, has a lease; ERR_UNAVAILABLE, ERR_NOMEM. */
enum err servers_enter(struct servers *servers) MUST_CHECK;
enum err servers_start(struct servers *servers, struct shop_loop *first) MUST_CHECK;
void servers_stop(struct servers *servers); /* when its loop has ended */
/* While its loop drains it leaves by itself, once nothing of this server is under way. */
bool servers_are_idle(const struct servers *servers);

/* What SQL said of a coupon, into the catalogue and the gate. From any loop, in any order: a gate
 * that is closing, or of an older epoch than what was heard of, is not opened here. ERR_NOMEM: not
 * all of it. */
enum err servers_take_over(struct servers *servers, const struct coupon *coupon) MUST_CHECK;
void servers_refresh(struct shop_loop *loop, struct servers_refresh *refresh);
/* As of the last beat: the closing of this epoch is known, and every server that has a lease has
 * stored what it holds. Any thread. */
bool servers_hand_in_is_complete(struct servers *servers, int64_t coupon_id, int64_t epoch);

/* Private: after a beat. */
void servers_gates_refresh(struct servers *servers);
