// SPDX-License-Identifier: Apache-2.0
/*
 * The use cases of the ranking; part of shop.h.
 *
 * A read goes to the primary (ranking/ranking.h). If that cannot be read: its last good answer, if
 * it is younger than the backup; a finished board of the backup; the sums. What the primary does
 * not hold, days long ago, is read from the backup and the sums in the first place.
 */
#pragma once
#include "base/arena.h"
#include "ledger/ledger.h"
#include "loop/loop.h"
#include "ranking/ranking.h"

struct shop;
struct shop_loop;

enum ranking_origin {
    RANKING_FROM_PRIMARY, /* ranking_source() says which; stale: its last good answer */
    RANKING_FROM_BACKUP,  /* a board of the backup, or the sums */
    RANKING_FROM_NOWHERE, /* the primary cannot be read and nothing else has that board */
    RANKING_ORIGIN_N,
};

struct ranking_row {
    int64_t rank; /* from 1 */
    struct sales_sum sum;
    struct str name; /* in the arena; "" where the store is away and nobody remembers */
};

/* Where an answer is from. */
struct ranking_said {
    enum ranking_origin origin;
    bool stale;       /* the primary could not be read */
    int64_t as_of_ms; /* the moment it was right; 0: never */
};

/* ---- the first of a board ---- */

struct ranking_top {
    void (*done)(struct ranking_top *top);
    struct arena *arena;
    enum sales_window window;
    int64_t day;
    struct str category; /* ptr NULL: all products */
    int64_t limit;       /* 1..RANKING_LIMIT_MAX */

    /* OK; NOMEM; OVERLOADED: too many boards are being added up. An empty answer from nowhere is
     * OK. */
    enum err err;
    struct ranking_row *rows;
    size_t count;
    struct ranking_said said;

    /* private */
    struct shop_loop *loop;
    struct ranking_read primary;
    struct ledger_read read;
    struct loop_task task;
    uint64_t stamp; /* of the names being read */
};
void ranking_top(struct shop_loop *loop, struct ranking_top *top);

/* ---- one product's place ---- */

struct ranking_place {
    void (*done)(struct ranking_place *place);
    struct arena *arena;
    enum sales_window window;
    int64_t day;
    int64_t product_id;
    int64_t around; /* 0..RANKING_AROUND_MAX */

    enum err err; /* OK, NOT_FOUND (no such product), UNAVAILABLE, OVERLOADED, NOMEM */
    int64_t rank; /* -1: not ranked */
    int64_t units;
    int64_t previous_rank;          /* one window earlier; -1: not ranked then */
    struct ranking_row *neighbours; /* best first, without itself */
    size_t count;
    struct ranking_said said; /* of the rank */

    /* private */
    struct shop_loop *loop;
    struct ranking_read primary;
    struct ledger_read read;
    struct loop_task task;
    uint64_t stamp; /* of the names being read */
    bool previous;  /* the earlier window is being asked */
};
void ranking_place(struct shop_loop *loop, struct ranking_place *place);

/* ---- profile test: the clock was moved, and with it the days that are held ---- */

struct ranking_catch_up {
    void (*done)(struct ranking_catch_up *up);

    /* private */
    struct shop_loop *loop;
    struct loop_work work;
    struct loop_task task;
};
void ranking_catch_up(struct shop_loop *loop, struct ranking_catch_up *up);

/* ---- state, for metrics; any thread ---- */

struct ranking_numbers {
    uint64_t answers[RANKING_ORIGIN_N], last_good; /* by where they came from */
    uint64_t copies;                               /* whole ones, of the sums */
    int64_t backup_at_ms;                          /* of the last one that worked; 0: none yet */
    uint64_t boards_written, backup_failures;
    uint64_t relayed;      /* sums copied from the store's outbox */
    int64_t outbox_age_ms; /* of the oldest that is in it; 0: it is empty */
};
struct ranking_numbers ranking_numbers(const struct shop *shop);
/* Profile test: backups fail while it is on. */
void ranking_backup_fault_set(struct shop *shop, bool on);

/* ---- private: what the first loop does for all (ranking_jobs.c), and what a loop remembers ----
 */

/* What other servers' commits, or this one's before it died, noted in the store. */
struct ranking_relay {
    struct shop_loop *loop; /* NULL: there is nothing to relay */
    struct loop_timer timer;
    struct loop_work work;
    bool working;
    uint64_t compact_ms; /* loop_now_ms(): when the outbox is made smaller, with the ranking away */
};

struct ranking_jobs {
    struct shop_loop *loop; /* NULL: not this loop's */
    struct loop_timer timer, cut;
    struct ranking_relay relay;
    struct loop_work copy, backup;
    bool copying, backing_up, preparing, stopped;
    bool last_backup_due; /* once more when the present one has ended */
    enum err copy_err, backup_err, copy_err_said, backup_err_said;
    int64_t written;
    uint64_t next_backup_ms, next_copy_ms; /* loop_now_ms() */
    int64_t today, prepared_for;           /* days */
    struct ranking_read prepare;           /* tomorrow's boards, one after the other */
    struct arena arena;                    /* of that */
};
enum { RANKING_SUMS_AT_ONCE = 64 };
struct ranking_desk {
    struct product_names *names;
    struct ranking_last *last;
    size_t reads;        /* under way: tops and places */
    size_t sums_running; /* reads that add many rows up */
};
