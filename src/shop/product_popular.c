// SPDX-License-Identifier: Apache-2.0
/*
 * Products by popularity: first the board of the rolling window, rank by rank, then those that were
 * not sold in it, by id. The board is the ranking's; while that cannot be read, the ledger's sums
 * make it.
 */
#include "base/clock.h"
#include "shop/ranking_internal.h"
#include "shop/shop_internal.h"

static void end(struct product_popular *self, enum err e)
{
    self->loop->desk.reads--;
    self->err = e;
    self->done(self);
}

static void end_now(struct loop_task *task)
{
    struct product_popular *self = CONTAINER_OF(task, struct product_popular, task);

    end(self, self->err);
}

/* ---- those that were not sold ---- */

static void unsold_read(struct ledger_read *read)
{
    struct product_popular *self = CONTAINER_OF(read, struct product_popular, read);

    if (read->err != ERR_OK) {
        end(self, read->err);
        return;
    }
    self->total_count = read->total_count;
    self->next_unsold = self->unsold || (int64_t)self->ranked < self->limit;
    if (self->next_unsold) {
        self->more = read->more;
        self->next = read->after;
    } else {
        self->next = self->after + (int64_t)self->ranked;
        self->more = self->next < self->total_count;
    }
    for (size_t i = 0; i < read->product_count; i++)
        self->products[self->count++] = read->products[i];
    end(self, ERR_OK);
}

/* Also where there is no room left for them: how many products there are is read, too. */
static void read_unsold(struct product_popular *self)
{
    self->read = (struct ledger_read){ .op = LEDGER_READ_PRODUCTS_UNSOLD,
                                       .done = unsold_read,
                                       .arena = self->arena,
                                       .category = self->category,
                                       .window = SALES_ROLLING,
                                       .day = self->day,
                                       .after = self->unsold ? self->after : 0,
                                       .limit = self->limit - (int64_t)self->ranked };
    ledger_read(self->loop->ledger, &self->read);
}

/* ---- the board ---- */

static void ranked_read(struct ledger_read *read)
{
    struct product_popular *self = CONTAINER_OF(read, struct product_popular, read);

    if (read->err != ERR_OK) {
        end(self, read->err);
        return;
    }
    for (size_t i = 0; i < read->product_count; i++)
        if (read->products[i].product_id)
            self->products[self->count++] = read->products[i];
    read_unsold(self);
}

static void read_ranked(struct product_popular *self, size_t count)
{
    self->ranked = count;
    if (count == 0) {
        read_unsold(self);
        return;
    }
    self->read = (struct ledger_read){ .op = LEDGER_READ_PRODUCTS_BY_ID,
                                       .done = ranked_read,
                                       .arena = self->arena,
                                       .ids = self->ids,
                                       .id_count = count };
    ledger_read(self->loop->ledger, &self->read);
}

static void sums_read(struct ledger_read *read)
{
    struct product_popular *self = CONTAINER_OF(read, struct product_popular, read);
    size_t count = MIN(read->entry_count, (size_t)self->limit);

    self->loop->desk.sums_running--;
    if (read->err != ERR_OK) {
        end(self, read->err);
        return;
    }
    for (size_t i = 0; i < count; i++)
        self->ids[i] = read->entries[i].product_id;
    read_ranked(self, count);
}

static void read_sums(struct product_popular *self)
{
    if (!ranking_sums_take(self->loop)) {
        self->err = ERR_OVERLOADED;
        self->task.run = end_now;
        loop_post(self->loop->loop, &self->task);
        return;
    }
    self->read = (struct ledger_read){ .op = LEDGER_READ_SALES_PAGE,
                                       .done = sums_read,
                                       .arena = self->arena,
                                       .category = self->category,
                                       .window = SALES_ROLLING,
                                       .day = self->day,
                                       .after = self->after,
                                       .limit = self->limit };
    ledger_read(self->loop->ledger, &self->read);
}

static void board_read(struct ranking_read *board)
{
    struct product_popular *self = CONTAINER_OF(board, struct product_popular, board);

    if (board->outcome != RANKING_OK) {
        read_sums(self);
        return;
    }
    if (board->err != ERR_OK) {
        end(self, board->err);
        return;
    }
    for (size_t i = 0; i < board->entry_count; i++)
        self->ids[i] = board->entries[i].sum.product_id;
    read_ranked(self, board->entry_count);
}

static void read_board(struct product_popular *self)
{
    self->board = (struct ranking_read){ .op = RANKING_READ_PAGE,
                                         .done = board_read,
                                         .arena = self->arena,
                                         .window = SALES_ROLLING,
                                         .day = self->day,
                                         .category = self->category,
                                         .offset = self->after,
                                         .limit = self->limit };
    ranking_read(self->loop->ranking, &self->board);
}

void product_popular(struct shop_loop *loop, struct product_popular *self)
{
    self->loop = loop;
    loop->desk.reads++;
    self->count = self->ranked = 0;
    self->day = clock_day(clock_wall_ms());
    self->products = arena_alloc(self->arena, (size_t)self->limit * sizeof *self->products);
    self->ids = arena_alloc(self->arena, (size_t)self->limit * sizeof *self->ids);
    if (!self->products || !self->ids) {
        self->err = ERR_NOMEM;
        self->task.run = end_now;
        loop_post(loop->loop, &self->task);
    } else if (self->unsold) {
        read_unsold(self);
    } else if (loop->ranking) {
        read_board(self);
    } else {
        read_sums(self);
    }
}
