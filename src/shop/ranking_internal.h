// SPDX-License-Identifier: Apache-2.0
/* What the parts of the ranking's use cases share. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "metrics/metrics.h"
#include "shop/shop.h"

/* ---- product_names.c: names of products, remembered by a loop ---- */

struct product_names *product_names_new(void) MUST_CHECK;
struct product_names *product_names_free(struct product_names *names);
/* `stamp`: of the products now. A name of another stamp is only good for want of a better one. */
bool product_names_find(const struct product_names *names, int64_t product_id, uint64_t stamp,
                        bool any_stamp, struct str *ret_name);
void product_names_put(struct product_names *names, int64_t product_id, uint64_t stamp,
                       struct str name);

/* ---- ranking_last.c: the primary's last good answers, remembered by a loop ---- */

struct ranking_last *ranking_last_new(void) MUST_CHECK;
struct ranking_last *ranking_last_free(struct ranking_last *last);
/* Without memory the answer is not remembered. */
void ranking_last_put(struct ranking_last *last, const struct ranking_top *top);
/* The youngest one made after `after_ms` that answers `top`: its rows, without names. False: there
 * is none. ERR_NOMEM through top->err. */
bool ranking_last_find(const struct ranking_last *last, int64_t after_ms, struct ranking_top *top);

/* ---- of the server ---- */

struct ranking_feed {
    pthread_mutex_t copying; /* one copy at a time */
    _Atomic uint64_t answers[RANKING_ORIGIN_N], last_good, copies, boards_written, backup_failures,
        relayed;
    _Atomic int64_t backup_at_ms, outbox_age_ms;
    _Atomic bool backup_fault, backup_cut; /* no more time: what is left is for the next start */
    _Atomic bool suspect;
};

struct ranking_feed *ranking_feed_new(void) MUST_CHECK;
struct ranking_feed *ranking_feed_free(struct ranking_feed *feed);

/* How many days before today the primary holds: the month before this one, too. */
enum { RANKING_DAYS_HELD = 62 };

/* A full copy of the sums into the primary; blocks. ERR_UNAVAILABLE, ERR_NOMEM: once more, later.
 */
enum err ranking_feed_copy(struct shop *shop) MUST_CHECK;
/* Has the primary lost something, or does it hold too little? Then it is to be copied. */
bool ranking_feed_wants_copy(const struct shop *shop);
/* The ledger may have lost what was copied from it: it is copied again. Any thread. */
void ranking_feed_suspect(struct shop *shop);
/* What a commit changed, on the ledger's thread. */
void ranking_feed_committed(struct shop *shop, const struct ledger_changes *changes);

/* Sums as a ledger has them. */
struct ranking_sum ranking_sum_of(const struct ledger_sale *sale);

/* ranking_relay.c: from the outbox of a shared store. */
enum err ranking_relay_start(struct ranking_relay *relay, struct shop_loop *loop) MUST_CHECK;
void ranking_relay_stop(struct ranking_relay *relay);
static inline bool ranking_relay_is_idle(const struct ranking_relay *relay)
{
    return !relay->working;
}

/* backup.c: every board that is out of date; blocks. ERR_TIMEOUT: cut short. */
enum err backup_run(struct shop *shop, int64_t *ret_written) MUST_CHECK;

/* ---- ranking_jobs.c: what the first loop does for all ---- */

enum err ranking_jobs_start(struct ranking_jobs *jobs, struct shop_loop *loop) MUST_CHECK;
/* No more timers; a last backup is begun. */
void ranking_jobs_drain(struct ranking_jobs *jobs);
bool ranking_jobs_are_idle(const struct ranking_jobs *jobs);
void ranking_jobs_fini(struct ranking_jobs *jobs);

/* ---- ranking_names.c: what the reads share ---- */

/* Changes with any product's name. */
uint64_t ranking_products_version(const struct shop_loop *loop);
/* Names that this loop remembers, into those rows that have none. How many are still without one;
 * -1: no memory. `any_stamp`: an old one will do, and none at all is "". */
int ranking_names_remembered(struct shop_loop *loop, struct arena *arena, struct ranking_row *rows,
                             size_t count, bool any_stamp);
/* Asks for those that are missing; `read->done` is set already. False: no memory. */
bool ranking_names_ask(struct shop_loop *loop, struct ledger_read *read, struct arena *arena,
                       const struct ranking_row *rows, size_t count) MUST_CHECK;
/* Into the same rows. `stamp`: of before they were asked for. */
void ranking_names_take(struct shop_loop *loop, const struct ledger_read *read, uint64_t stamp,
                        struct ranking_row *rows, size_t count);
struct ranking_row *ranking_rows_alloc(struct arena *arena, size_t count) MUST_CHECK;
void ranking_count_answer(struct shop_loop *loop, const struct ranking_said *said);
/* A read that adds many rows up begins. False: too many are under way. */
bool ranking_sums_take(struct shop_loop *loop) MUST_CHECK;
