// SPDX-License-Identifier: Apache-2.0
/*
 * Commands on their way to one writer thread. Bounded by *room*, which is taken before a place is
 * granted and given back when the command is complete. While the writer commits one batch the next
 * one gathers here: that is the group commit, without a timer. Only commands that nobody waits for
 * (reservations) linger, and only while more of them keep coming.
 */
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "ledger/ledger.h"

struct ledger_queue {
    size_t room_max;
    uint64_t age_max_ns, linger_ns;
    _Atomic size_t room_taken;
    _Atomic uint64_t oldest_ns; /* when the oldest command not complete was queued; 0: none */

    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t wake;
    struct list commands;
    size_t length, awaited;
    uint64_t batch_end_ns;
    bool writer_sleeps, stopping;
};

void ledger_queue_init(struct ledger_queue *queue, size_t room_max, uint64_t age_max_ms,
                       uint64_t linger_ms);
void ledger_queue_fini(struct ledger_queue *queue);

bool ledger_queue_room_take(struct ledger_queue *queue);
void ledger_queue_room_return(struct ledger_queue *queue, size_t count);
/* Moves all of `commands` to the end of the queue. Any thread. */
void ledger_queue_push(struct ledger_queue *queue, struct list *commands);
/*
 * Writer only: the next batch, in arrival order, into the empty list `ret_batch`. Returns its size;
 * 0 when the queue is stopping and empty. Places and charges share a batch, other commands do not.
 */
size_t ledger_queue_take(struct ledger_queue *queue, struct list *ret_batch, size_t batch_max);
void ledger_queue_batch_done(struct ledger_queue *queue);
/* What is queued is still handed out, without lingering; then take returns 0. */
void ledger_queue_stop(struct ledger_queue *queue);
struct ledger_stats ledger_queue_stats(struct ledger_queue *queue);
