// SPDX-License-Identifier: Apache-2.0
/*
 * Commands on their way to the writer: a thread that waits here, or a loop that is woken and looks.
 * Bounded by *room*, which is taken before a place is granted and given back when the command is
 * complete. While the writer commits one batch the next one gathers here: that is the group commit,
 * without a timer. Only commands that nobody waits for (reservations) linger, and only while more
 * of them keep coming.
 */
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "ledger/ledger.h"

enum { LEDGER_WRITERS_MAX = 16 };

/* A batch that is being written. */
struct ledger_flight {
    uint64_t oldest_ns; /* of its commands; 0: none is written */
    bool alone;         /* nothing is written beside it */
};

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
    struct ledger_flight flights[LEDGER_WRITERS_MAX];
    void (*wake_up)(void *context); /* instead of the condition; any thread */
    void *wake_context;
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
/*
 * The same for a writer that never waits, or several: the next batch for number `writer`, 0 when
 * there is none now. *ret_due_ns: when to look again without being woken by `wake_up`; UINT64_MAX:
 * not at all. Batches are written side by side; a command that does not share a batch waits until
 * those before it are done, and those behind it wait for it.
 */
size_t ledger_queue_poll(struct ledger_queue *queue, size_t writer, struct list *ret_batch,
                         size_t batch_max, uint64_t *ret_due_ns);
/*
 * More for the batch that number `writer` is writing already: the next ones in arrival order, as
 * long as they `fit`, up to `max`, to the end of `batch`. Returns how many; 0 where the batch is
 * one command that does not share it.
 */
size_t ledger_queue_poll_more(struct ledger_queue *queue, size_t writer, struct list *batch,
                              size_t max,
                              bool (*fits)(void *context, const struct ledger_command *command),
                              void *context);
void ledger_queue_flight_done(struct ledger_queue *queue, size_t writer);
/* Stopping, and everything was handed out and is done. */
bool ledger_queue_is_drained(struct ledger_queue *queue);
/* What is queued is still handed out, without lingering; then take returns 0. */
void ledger_queue_stop(struct ledger_queue *queue);
struct ledger_stats ledger_queue_stats(struct ledger_queue *queue);
