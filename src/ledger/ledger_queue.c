// SPDX-License-Identifier: Apache-2.0
#include "ledger/ledger_queue.h"

#include <time.h>

#include "base/clock.h"

void ledger_queue_init(struct ledger_queue *queue, size_t room_max, uint64_t age_max_ms,
                       uint64_t linger_ms)
{
    pthread_condattr_t attr;

    *queue = (struct ledger_queue){ .room_max = room_max,
                                    .age_max_ns = age_max_ms * 1000000,
                                    .linger_ns = linger_ms * 1000000 };
    pthread_mutex_init(&queue->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&queue->wake, &attr);
    pthread_condattr_destroy(&attr);
    list_init(&queue->commands);
}

void ledger_queue_fini(struct ledger_queue *queue)
{
    pthread_cond_destroy(&queue->wake);
    pthread_mutex_destroy(&queue->lock);
}

bool ledger_queue_room_take(struct ledger_queue *queue)
{
    uint64_t oldest_ns = atomic_load_explicit(&queue->oldest_ns, memory_order_relaxed);

    if (oldest_ns) {
        uint64_t now_ns = clock_mono_ns();
        if (now_ns > oldest_ns && now_ns - oldest_ns > queue->age_max_ns)
            return false;
    }
    if (atomic_fetch_add_explicit(&queue->room_taken, 1, memory_order_relaxed) < queue->room_max)
        return true;
    ledger_queue_room_return(queue, 1);
    return false;
}

void ledger_queue_room_return(struct ledger_queue *queue, size_t count)
{
    atomic_fetch_sub_explicit(&queue->room_taken, count, memory_order_relaxed);
}

/* Lingering is not waiting: an unawaited command's age begins when it had to start. */
static uint64_t began_ns(const struct ledger_queue *queue, const struct list *commands)
{
    const struct ledger_command *oldest = CONTAINER_OF(commands->next, struct ledger_command, node);

    return oldest->queued_ns + (oldest->unawaited ? queue->linger_ns : 0);
}

static void oldest_update(struct ledger_queue *queue)
{
    uint64_t oldest_ns = list_empty(&queue->commands) ? 0 : began_ns(queue, &queue->commands);

    for (size_t i = 0; i < LEDGER_WRITERS_MAX; i++) {
        uint64_t flight_ns = queue->flights[i].oldest_ns;
        if (flight_ns && (oldest_ns == 0 || flight_ns < oldest_ns))
            oldest_ns = flight_ns;
    }
    atomic_store_explicit(&queue->oldest_ns, oldest_ns, memory_order_relaxed);
}

static void wake_writer(struct ledger_queue *queue)
{
    if (queue->wake_up)
        queue->wake_up(queue->wake_context);
    else
        pthread_cond_signal(&queue->wake);
}

void ledger_queue_push(struct ledger_queue *queue, struct list *commands)
{
    struct ledger_command *command;
    uint64_t now_ns = clock_mono_ns();
    size_t count = 0, awaited = 0;

    LIST_FOREACH (command, commands, struct ledger_command, node) {
        command->queued_ns = now_ns;
        count++;
        awaited += !command->unawaited;
    }
    pthread_mutex_lock(&queue->lock);
    list_splice(&queue->commands, commands);
    queue->length += count;
    queue->awaited += awaited;
    if (atomic_load_explicit(&queue->oldest_ns, memory_order_relaxed) == 0)
        oldest_update(queue);
    bool wake = queue->writer_sleeps && (queue->awaited > 0 || queue->length == count);
    if (wake && queue->wake_up)
        queue->writer_sleeps = false;
    pthread_mutex_unlock(&queue->lock);
    if (wake)
        wake_writer(queue);
}

/* When the batch may start: 0 for now, UINT64_MAX for not before a command comes. */
static uint64_t batch_due_ns(const struct ledger_queue *queue, uint64_t now_ns)
{
    if (queue->length == 0)
        return queue->stopping ? 0 : UINT64_MAX;
    if (queue->awaited > 0 || queue->stopping || now_ns - queue->batch_end_ns >= queue->linger_ns)
        return 0;
    uint64_t due_ns = CONTAINER_OF(queue->commands.next, struct ledger_command, node)->queued_ns +
                      queue->linger_ns;
    return due_ns <= now_ns ? 0 : due_ns;
}

static void sleep_until(struct ledger_queue *queue, uint64_t due_ns)
{
    queue->writer_sleeps = true;
    if (due_ns == UINT64_MAX) {
        pthread_cond_wait(&queue->wake, &queue->lock);
    } else {
        struct timespec until = { .tv_sec = (time_t)(due_ns / 1000000000u),
                                  .tv_nsec = (long)(due_ns % 1000000000u) };
        pthread_cond_timedwait(&queue->wake, &queue->lock, &until);
    }
    queue->writer_sleeps = false;
}

/*
 * A batch is decided on rows as they were loaded, then stored. A command that makes coupons or
 * users or changes a quantity would pull these rows from under the others, so it is a batch of its
 * own: what came before it is stored when it is decided, what comes after is decided on what it
 * stored.
 */
static bool is_batched(const struct ledger_command *command)
{
    switch (command->op) {
    case LEDGER_PLACE:
    case LEDGER_CHARGE:
    case LEDGER_CART_CHANGE:
    case LEDGER_ORDER_CREATE:
    case LEDGER_ORDER_PAY:
    case LEDGER_ORDER_CANCEL:
    case LEDGER_ATTEMPT_CLAIM:
    case LEDGER_ATTEMPT_SETTLE:
    case LEDGER_EVENTS_MARK:
    case LEDGER_EVENT_DIE:
    case LEDGER_EVENT_REVIVE:
        return true;
    default:
        return false;
    }
}

static struct ledger_command *next_of(const struct ledger_queue *queue)
{
    return CONTAINER_OF(queue->commands.next, struct ledger_command, node);
}

static void take_next(struct ledger_queue *queue, struct list *batch)
{
    struct ledger_command *command = next_of(queue);

    list_remove(&command->node);
    list_append(batch, &command->node);
    queue->awaited -= !command->unawaited;
    queue->length--;
}

/* The flight begins. Returns how many commands are on it. */
static size_t take_off(struct ledger_queue *queue, size_t writer, struct list *ret_batch,
                       size_t batch_max)
{
    struct ledger_flight *flight = &queue->flights[writer];
    size_t count = 0;

    if (list_empty(&queue->commands))
        return 0;
    flight->oldest_ns = began_ns(queue, &queue->commands);
    flight->alone = !is_batched(next_of(queue));
    do {
        take_next(queue, ret_batch);
        count++;
    } while (!flight->alone && count < batch_max && !list_empty(&queue->commands) &&
             is_batched(next_of(queue)));
    return count;
}

size_t ledger_queue_take(struct ledger_queue *queue, struct list *ret_batch, size_t batch_max)
{
    uint64_t due_ns;

    pthread_mutex_lock(&queue->lock);
    while ((due_ns = batch_due_ns(queue, clock_mono_ns())) != 0)
        sleep_until(queue, due_ns);
    size_t count = take_off(queue, 0, ret_batch, batch_max);
    pthread_mutex_unlock(&queue->lock);
    return count;
}

/* What is written, or what comes next, tolerates nothing beside it. */
static bool must_wait(const struct ledger_queue *queue)
{
    bool any = false;

    for (size_t i = 0; i < LEDGER_WRITERS_MAX; i++) {
        any |= queue->flights[i].oldest_ns != 0;
        if (queue->flights[i].oldest_ns && queue->flights[i].alone)
            return true;
    }
    return any && !list_empty(&queue->commands) && !is_batched(next_of(queue));
}

size_t ledger_queue_poll(struct ledger_queue *queue, size_t writer, struct list *ret_batch,
                         size_t batch_max, uint64_t *ret_due_ns)
{
    size_t count = 0;

    *ret_due_ns = UINT64_MAX;
    pthread_mutex_lock(&queue->lock);
    queue->writer_sleeps = false;
    if (!must_wait(queue)) {
        *ret_due_ns = batch_due_ns(queue, clock_mono_ns());
        if (*ret_due_ns == 0)
            count = take_off(queue, writer, ret_batch, batch_max);
    }
    queue->writer_sleeps = count == 0;
    pthread_mutex_unlock(&queue->lock);
    return count;
}

size_t ledger_queue_poll_more(struct ledger_queue *queue, size_t writer, struct list *batch,
                              size_t max,
                              bool (*fits)(void *context, const struct ledger_command *command),
                              void *context)
{
    size_t count = 0;

    pthread_mutex_lock(&queue->lock);
    while (!queue->flights[writer].alone && count < max && !list_empty(&queue->commands) &&
           fits(context, next_of(queue))) {
        take_next(queue, batch);
        count++;
    }
    pthread_mutex_unlock(&queue->lock);
    return count;
}

void ledger_queue_flight_done(struct ledger_queue *queue, size_t writer)
{
    pthread_mutex_lock(&queue->lock);
    queue->flights[writer] = (struct ledger_flight){ 0 };
    queue->batch_end_ns = clock_mono_ns();
    oldest_update(queue);
    pthread_mutex_unlock(&queue->lock);
}

void ledger_queue_batch_done(struct ledger_queue *queue)
{
    ledger_queue_flight_done(queue, 0);
}

void ledger_queue_stop(struct ledger_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->stopping = true;
    pthread_mutex_unlock(&queue->lock);
    wake_writer(queue);
}

bool ledger_queue_is_drained(struct ledger_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    bool drained = queue->stopping && queue->length == 0;
    for (size_t i = 0; i < LEDGER_WRITERS_MAX; i++)
        drained = drained && queue->flights[i].oldest_ns == 0;
    pthread_mutex_unlock(&queue->lock);
    return drained;
}

struct ledger_stats ledger_queue_stats(struct ledger_queue *queue)
{
    uint64_t oldest_ns = atomic_load_explicit(&queue->oldest_ns, memory_order_relaxed);
    uint64_t now_ns = clock_mono_ns();
    struct ledger_stats stats = { 0 };

    pthread_mutex_lock(&queue->lock);
    stats.queue_length = queue->length;
    pthread_mutex_unlock(&queue->lock);
    stats.oldest_wait_ms = oldest_ns && now_ns > oldest_ns ? (now_ns - oldest_ns) / 1000000 : 0;
    return stats;
}
