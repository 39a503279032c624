// SPDX-License-Identifier: Apache-2.0
#include "ledger/ledger_sums_read.h"

#include "base/log.h"

/* Items first.. of the board, at most `count`. */
static enum err take_entries(struct ledger_read *read, const struct ledger_sums *sums, size_t first,
                             size_t count)
{
    first = MIN(first, sums->count);
    read->entry_count = MIN(count, sums->count - first);
    read->first_rank = (int64_t)first + 1;
    read->entries = arena_alloc(read->arena, (read->entry_count + 1) * sizeof *read->entries);
    if (!read->entries)
        return ERR_NOMEM;
    if (read->entry_count)
        memcpy(read->entries, sums->items + first, read->entry_count * sizeof *read->entries);
    return ERR_OK;
}

/* Its neighbours, and itself among them. */
static enum err take_product(struct ledger_read *read, const struct ledger_sums *sums)
{
    size_t at = 0, around = (size_t)read->around;

    while (at < sums->count && sums->items[at].product_id != read->product_id)
        at++;
    read->rank = -1;
    read->sum = (struct sales_sum){ .product_id = read->product_id };
    if (at == sums->count)
        return take_entries(read, sums, 0, 0);
    read->rank = (int64_t)at + 1;
    read->sum = sums->items[at];
    size_t above = MIN(at, around);
    return take_entries(read, sums, at - above, above + 1 + around);
}

enum err ledger_sums_answer(struct ledger_read *read, struct ledger_sums *sums)
{
    ledger_sums_rank(sums, read->window);
    return read->op == LEDGER_READ_SALES_PAGE
               ? take_entries(read, sums, (size_t)read->after, (size_t)read->limit)
               : take_product(read, sums);
}

enum err ledger_sums_read_err(const struct ledger_read *read, enum err e)
{
    if (e == ERR_OK || e == ERR_NOMEM)
        return e;
    LOG(LOG_WARN, "read failed", LOG_INT("operation", read->op), LOG_CSTR("error", err_name(e)));
    return ERR_UNAVAILABLE;
}

static void work_done(struct loop_work *work)
{
    struct ledger_read *read = CONTAINER_OF(work, struct ledger_read, work);

    read->done(read);
}

static void not_started(struct loop_task *task)
{
    struct ledger_read *read = CONTAINER_OF(task, struct ledger_read, task);

    read->done(read);
}

void ledger_sums_read_start(struct loop *loop, struct ledger_read *read,
                            void (*work)(struct loop_work *work))
{
    read->work.work = work;
    read->work.done = work_done;
    if (loop_work_start(loop, &read->work) == ERR_OK)
        return;
    read->err = ERR_NOMEM;
    read->task.run = not_started;
    loop_post(loop, &read->task);
}
