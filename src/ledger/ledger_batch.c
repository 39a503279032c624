// SPDX-License-Identifier: Apache-2.0
#include "ledger/ledger_batch.h"

#include "base/clock.h"
#include "ledger/ledger_client.h"

void ledger_batch_set_err(struct list *batch, enum err e)
{
    struct ledger_command *command;

    LIST_FOREACH (command, batch, struct ledger_command, node)
        command->err = e;
}

bool ledger_batch_retry_may_help(enum err e)
{
    return e != ERR_OK && e != ERR_UNCERTAIN && e != ERR_UNAVAILABLE;
}

enum err ledger_batch_err_of_one(enum err e)
{
    return ledger_batch_retry_may_help(e) && e != ERR_NOMEM ? ERR_UNAVAILABLE : e;
}

void ledger_batch_count(struct metrics_slot *metrics, size_t count, uint64_t started_ns, enum err e)
{
    if (!metrics)
        return;
    metrics_observe(metrics, METRIC_ledger_batch_size, count);
    metrics_observe_ns(metrics, METRIC_ledger_commit, clock_mono_ns() - started_ns);
    if (e != ERR_OK)
        metrics_add(metrics, METRIC_ledger_failures, 1);
    if (e == ERR_UNCERTAIN)
        metrics_add(metrics, METRIC_ledger_uncertain, count);
}

/* Not before the commit: the batch may be run again, with the slot that was asked for. */
static void place_committed(struct ledger_place *place)
{
    if (place->outcome == LEDGER_PLACE_OTHER)
        place->slot = place->other_slot;
}

int64_t ledger_users_piece(const struct ledger_users_create *create, int64_t *ret_count)
{
    int64_t next = create->next_user_id ? create->next_user_id : create->from_user_id;

    *ret_count = MIN(create->to_user_id - next + 1, (int64_t)LEDGER_USERS_PIECE);
    return next;
}

/* A piece of a range is in; true: it was the last. */
static bool users_committed(struct ledger_users_create *create)
{
    int64_t count, next = ledger_users_piece(create, &count);

    create->created += create->piece_created;
    create->taken = create->refuse_taken && create->created == 0;
    if (create->to_user_id - next < LEDGER_USERS_PIECE)
        return true;
    create->next_user_id = next + LEDGER_USERS_PIECE;
    return false;
}

size_t ledger_batch_complete(struct ledger_queue *queue, struct list *batch)
{
    struct list again;
    size_t complete = 0;

    list_init(&again);
    while (!list_empty(batch)) {
        struct ledger_command *command = CONTAINER_OF(batch->next, struct ledger_command, node);
        list_remove(&command->node);
        if (command->op == LEDGER_PLACE && command->err == ERR_OK)
            place_committed(&command->place);
        if (command->op == LEDGER_USERS_CREATE && command->err == ERR_OK &&
            !users_committed(&command->users_create)) {
            list_append(&again, &command->node);
            continue;
        }
        complete++;
        ledger_command_deliver(command);
    }
    if (!list_empty(&again))
        ledger_queue_push(queue, &again);
    return complete;
}

bool ledger_watch_begin(struct ledger *ledger, const struct ledger_changes *changes)
{
    struct ledger_watch *watch = ledger->watch;

    if (!watch || (!changes->sale_count && !changes->product_count))
        return false;
    if (watch->committing)
        watch->committing(watch, changes);
    return true;
}

void ledger_watch_end(struct ledger *ledger, const struct ledger_changes *changes, bool committed)
{
    struct ledger_watch *watch = ledger->watch;

    if (committed)
        watch->committed(watch, changes);
    else if (watch->given_up)
        watch->given_up(watch, changes);
}
