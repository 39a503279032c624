// SPDX-License-Identifier: Apache-2.0
/*
 * The ranking: what is shown. Derived from the sums of the ledger, which are the truth: it is only
 * ever *copied* to, a higher version wins, so nothing is counted twice, whatever the order.
 *
 * One `struct ranking` per server, one `struct ranking_client` per loop. Functions that take a
 * client are called on its loop and follow the async contract of loop/loop.h; the others are for
 * any thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "core/sales.h"
#include "loop/loop.h"
#include "metrics/metrics.h"

struct ranking;
struct ranking_client;

/* ---- copying ---- */

/* One (day, product) as the ledger has it, after a change. */
struct ranking_sum {
    int64_t day;
    int64_t version; /* of this sum: one not above what is there changes nothing; -1: none */
    struct sales_sum sum;
    struct str category;      /* "": none; as by ranking_move() */
    int64_t category_version; /* one not above what is there changes nothing */
};
/* Any thread; never waits for I/O. What cannot be taken (no memory, fault on) makes the ranking
 * *incomplete*: unreadable until it has been copied again from the beginning. */
void ranking_put(struct ranking *ranking, const struct ranking_sum *sums, size_t count);
/* The same, and waits until they are there; blocks. ERR_UNAVAILABLE: they may not be; nothing is
 * incomplete by that, whoever called does it again. */
enum err ranking_put_surely(struct ranking *ranking, const struct ranking_sum *sums,
                            size_t count) MUST_CHECK;
/* The product is in another category now, if that version is higher than the one that is known: in
 * every day, those to come, too. Any thread. */
void ranking_move(struct ranking *ranking, int64_t product_id, struct str category,
                  int64_t version);

/*
 * A full copy: begin, put everything from `from_day` on, end. In between, sums that are put by
 * others count, too. Days before `from_day` are not held: reads that need one are
 * RANKING_NOT_HELD. Until `end` the ranking is unreadable if it was incomplete before; what it had
 * is then dropped at the beginning. A new ranking is incomplete. One copy at a time; one that does
 * not come to its end is begun again.
 * Errors: ERR_UNAVAILABLE: away or, at the end, something was lost since the beginning: once more,
 * later. ERR_NOMEM: the same. ERR_CONFLICT: another server is copying; all will see the result.
 */
enum err ranking_copy_begin(struct ranking *ranking, int64_t from_day) MUST_CHECK;
enum err ranking_copy_end(struct ranking *ranking) MUST_CHECK;

/* Days before `day` are not held any more, and their memory is given back by and by. Any thread. */
void ranking_forget_before(struct ranking *ranking, int64_t day);

struct ranking_status {
    bool readable;    /* false: reads are RANKING_UNREADABLE */
    bool incomplete;  /* it wants a full copy */
    int64_t from_day; /* what is held */
    uint64_t version; /* changes whenever any answer may have changed */
    int64_t as_of_ms; /* wall time of the last put that changed something; 0: none yet */
};
struct ranking_status ranking_status(struct ranking *ranking);
/* Profile test: as if the store were away; puts are lost while it is on. */
void ranking_fault_set(struct ranking *ranking, bool on);
/* What its answers name as their `source`: "memory", "redis". */
const char *ranking_source(const struct ranking *ranking);

/* ---- reading ---- */

enum ranking_outcome {
    RANKING_OK,
    RANKING_UNREADABLE, /* away, incomplete, or not in time */
    RANKING_NOT_HELD,   /* a day before what is held: ask the ledger's sums */
};

struct ranking_entry {
    int64_t rank; /* from 1 */
    struct sales_sum sum;
};

enum ranking_read_op {
    RANKING_READ_PAGE,    /* ranks offset+1 .. offset+limit */
    RANKING_READ_PRODUCT, /* one product and its neighbours */
};

enum { RANKING_LIMIT_MAX = 100, RANKING_AROUND_MAX = 10 };

struct ranking_read {
    void (*done)(struct ranking_read *read);
    enum ranking_read_op op;
    struct arena *arena; /* results go here */
    enum sales_window window;
    int64_t day;
    struct str category;   /* ptr NULL: all products */
    int64_t offset, limit; /* PAGE: offset >= 0, limit 1..RANKING_LIMIT_MAX */
    int64_t product_id;    /* PRODUCT */
    int64_t around;        /* PRODUCT: 0..RANKING_AROUND_MAX above, and as many below */

    enum ranking_outcome outcome;
    enum err err;                  /* ERR_NOMEM: no room in the arena; else OK */
    struct ranking_entry *entries; /* PAGE; PRODUCT: the neighbours, best first, without itself */
    size_t entry_count;
    struct ranking_entry product; /* PRODUCT; rank -1: not ranked, all of its sum is zero */
    uint64_t version;             /* of ranking_status(), as of this answer */
    int64_t as_of_ms;

    struct ranking_client *client; /* private */
    struct loop_task task;         /* private */
};
/*
 * The first read of a board may have to wait until it is made, the in-memory one's up to a second
 * with a million products; from then on it is kept up to date while it is among the least long
 * unread. So whoever wants tomorrow's first reads to be quick reads its boards before midnight: a
 * day to come is no error.
 */
void ranking_read(struct ranking_client *client, struct ranking_read *read);

/* `metrics`: of the loop's thread; or NULL. */
struct ranking_client *ranking_client_new(struct ranking *ranking, struct loop *loop,
                                          struct metrics_slot *metrics) MUST_CHECK;
struct ranking_client *ranking_client_free(struct ranking_client *client); /* nothing in flight */
