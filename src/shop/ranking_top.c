// SPDX-License-Identifier: Apache-2.0
/* The way of a read: primary, last good answer, backup, sums, nothing. */
#include "base/clock.h"
#include "shop/ranking_internal.h"

static bool has_board(enum sales_window window)
{
    return window != SALES_3DAYS;
}

static void top_end(struct ranking_top *top)
{
    top->loop->desk.reads--;
    if (top->err == ERR_OK)
        ranking_count_answer(top->loop, &top->said);
    top->done(top);
}

static void top_end_now(struct loop_task *task)
{
    top_end(CONTAINER_OF(task, struct ranking_top, task));
}

static void top_fail(struct ranking_top *top, enum err e)
{
    top->err = e;
    top->task.run = top_end_now;
    loop_post(top->loop->loop, &top->task);
}

static void top_names_done(struct ledger_read *read)
{
    struct ranking_top *top = CONTAINER_OF(read, struct ranking_top, read);
    struct shop_loop *loop = top->loop;

    if (read->err == ERR_OK)
        ranking_names_take(loop, read, top->stamp, top->rows, top->count);
    if (ranking_names_remembered(loop, top->arena, top->rows, top->count, true) < 0)
        top->err = ERR_NOMEM;
    top_end(top);
}

/* The rows are there: give them names. */
static void top_name(struct ranking_top *top)
{
    struct shop_loop *loop = top->loop;
    int missing = ranking_names_remembered(loop, top->arena, top->rows, top->count, false);

    if (missing <= 0) {
        top->err = missing < 0 ? ERR_NOMEM : ERR_OK;
        top_end(top);
        return;
    }
    top->stamp = ranking_products_version(loop);
    top->read.done = top_names_done;
    if (!ranking_names_ask(loop, &top->read, top->arena, top->rows, top->count)) {
        top->err = ERR_NOMEM;
        top_end(top);
        return;
    }
}

static bool top_take_sums(struct ranking_top *top)
{
    const struct ledger_read *read = &top->read;

    top->count = MIN(read->entry_count, (size_t)top->limit);
    top->rows = ranking_rows_alloc(top->arena, top->count);
    for (size_t i = 0; top->rows && i < top->count; i++)
        top->rows[i] = (struct ranking_row){ .rank = (int64_t)i + 1, .sum = read->entries[i] };
    return top->rows != NULL;
}

static void top_nowhere(struct ranking_top *top)
{
    top->count = 0;
    top->said.origin = RANKING_FROM_NOWHERE;
    top->said.as_of_ms = 0;
    /* Without a word on where it is from, nothing must not look like "nothing was sold". */
    top->err = has_board(top->window) ? ERR_OK : ERR_UNAVAILABLE;
    top_end(top);
}

static void top_sums_done(struct ledger_read *read)
{
    struct ranking_top *top = CONTAINER_OF(read, struct ranking_top, read);

    top->loop->desk.sums_running--;
    if (read->err == ERR_NOMEM || (read->err == ERR_OK && !top_take_sums(top))) {
        top->err = ERR_NOMEM;
        top_end(top);
        return;
    }
    if (read->err != ERR_OK) {
        top_nowhere(top);
        return;
    }
    if (top->count == 0 && top->said.stale && has_board(top->window)) {
        top_nowhere(top);
        return;
    }
    top->said.origin = RANKING_FROM_BACKUP;
    top->said.as_of_ms = clock_wall_ms();
    top_name(top);
}

static void top_read(struct ranking_top *top, enum ledger_read_op op,
                     void (*done)(struct ledger_read *read), int64_t day)
{
    top->read = (struct ledger_read){ .op = op,
                                      .done = done,
                                      .arena = top->arena,
                                      .window = top->window,
                                      .day = day,
                                      .category = top->category,
                                      .limit = top->limit };
    ledger_read(top->loop->ledger, &top->read);
}

static void top_from_sums(struct ranking_top *top)
{
    if (ranking_sums_take(top->loop))
        top_read(top, LEDGER_READ_SALES_PAGE, top_sums_done, top->day);
    else
        top_fail(top, ERR_OVERLOADED);
}

/* Without a board to compare with, the last one is taken to have been made so long ago. */
static int64_t backup_due_ms(const struct ranking_top *top)
{
    return clock_wall_ms() - top->loop->shop->config->ranking_backup_every_ms;
}

/* The primary's last good answer, if it is younger than the backup. */
static bool top_from_last(struct ranking_top *top, int64_t after_ms)
{
    if (!top->said.stale || !ranking_last_find(top->loop->desk.last, after_ms, top))
        return false;
    top->said.origin = RANKING_FROM_PRIMARY;
    if (top->err == ERR_OK)
        top_name(top);
    else
        top_end(top);
    return true;
}

static void top_board_done(struct ledger_read *read)
{
    struct ranking_top *top = CONTAINER_OF(read, struct ranking_top, read);
    bool found = read->err == ERR_OK && read->found;

    if (top_from_last(top, found ? read->made_at_ms : backup_due_ms(top)))
        return;
    if (!found) {
        top_from_sums(top);
        return;
    }
    top->said.origin = RANKING_FROM_BACKUP;
    top->said.as_of_ms = read->made_at_ms;
    if (top_take_sums(top)) {
        top_name(top);
        return;
    }
    top->err = ERR_NOMEM;
    top_end(top);
}

static void top_from_store(struct ranking_top *top, bool stale)
{
    top->said.stale = stale;
    if (has_board(top->window))
        top_read(top, LEDGER_READ_BOARD, top_board_done,
                 sales_window_days(top->window, top->day).to);
    else if (!top_from_last(top, backup_due_ms(top)))
        top_from_sums(top);
}

static void top_take_primary(struct ranking_top *top)
{
    const struct ranking_read *primary = &top->primary;

    top->count = primary->entry_count;
    top->rows = ranking_rows_alloc(top->arena, top->count);
    if (!top->rows) {
        top->err = ERR_NOMEM;
        top_end(top);
        return;
    }
    for (size_t i = 0; i < top->count; i++)
        top->rows[i] = (struct ranking_row){ .rank = primary->entries[i].rank,
                                             .sum = primary->entries[i].sum };
    top->said =
        (struct ranking_said){ .origin = RANKING_FROM_PRIMARY, .as_of_ms = clock_wall_ms() };
    ranking_last_put(top->loop->desk.last, top);
    top_name(top);
}

static void top_primary_done(struct ranking_read *read)
{
    struct ranking_top *top = CONTAINER_OF(read, struct ranking_top, primary);

    if (read->outcome != RANKING_OK) {
        top_from_store(top, read->outcome == RANKING_UNREADABLE);
        return;
    }
    if (read->err == ERR_OK) {
        top_take_primary(top);
        return;
    }
    top->err = ERR_NOMEM;
    top_end(top);
}

void ranking_top(struct shop_loop *loop, struct ranking_top *top)
{
    loop->desk.reads++;
    top->loop = loop;
    top->err = ERR_OK;
    top->count = 0;
    top->said = (struct ranking_said){ .origin = RANKING_FROM_NOWHERE };
    if (!loop->ranking) {
        top_from_store(top, true);
        return;
    }
    top->primary = (struct ranking_read){ .op = RANKING_READ_PAGE,
                                          .done = top_primary_done,
                                          .arena = top->arena,
                                          .window = top->window,
                                          .day = top->day,
                                          .category = top->category,
                                          .limit = top->limit };
    ranking_read(loop->ranking, &top->primary);
}
