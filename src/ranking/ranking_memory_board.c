// SPDX-License-Identifier: Apache-2.0
/* Which boards there are, and how a change of a sum gets into those it belongs to. */
#include "base/assert.h"
#include "base/mem.h"
#include "ranking/ranking_memory_internal.h"

/* ---- coming and going ---- */

static void waiting_dismiss(struct board *board)
{
    while (!list_empty(&board->waiting)) {
        struct loop_task *task = CONTAINER_OF(board->waiting.next, struct loop_task, node);
        struct ranking_read *read = CONTAINER_OF(task, struct ranking_read, task);
        list_remove(&task->node);
        read->outcome = RANKING_UNREADABLE;
        memory_read_send(read);
    }
}

static void drop_at(struct memory_ranking *memory, size_t at)
{
    struct board *board = memory->boards[at];
    bool with_maker = board->state == BOARD_MAKING;

    memory->boards[at] = memory->boards[--memory->board_count];
    waiting_dismiss(board);
    board->state = BOARD_GONE;
    if (with_maker)
        return; /* it will notice */
    list_remove(&board->node);
    list_append(&memory->dead, &board->node);
    pthread_cond_signal(&memory->work);
}

void memory_board_drop(struct memory_ranking *memory, struct board *board)
{
    for (size_t i = memory->board_count; i-- > 0;)
        if (memory->boards[i] == board)
            drop_at(memory, i);
}

void memory_boards_drop_all(struct memory_ranking *memory)
{
    while (memory->board_count > 0)
        drop_at(memory, memory->board_count - 1);
}

void memory_boards_drop_before(struct memory_ranking *memory, int64_t day)
{
    for (size_t i = memory->board_count; i-- > 0;)
        if (memory->boards[i]->days.from < day)
            drop_at(memory, i);
}

void memory_boards_drop_unready(struct memory_ranking *memory)
{
    for (size_t i = memory->board_count; i-- > 0;)
        if (memory->boards[i]->state != BOARD_READY)
            drop_at(memory, i);
}

/* Room for one more: the one that is unread for longest goes. */
static bool make_room(struct memory_ranking *memory)
{
    size_t oldest = memory->board_count;

    if (memory->board_count < memory->boards_max)
        return true;
    for (size_t i = 0; i < memory->board_count; i++)
        if (memory->boards[i]->state == BOARD_READY &&
            (oldest == memory->board_count ||
             memory->boards[i]->read_at < memory->boards[oldest]->read_at))
            oldest = i;
    if (oldest == memory->board_count)
        return false;
    drop_at(memory, oldest);
    return true;
}

/* SALES_3DAYS has an order of its own; the others differ in their days only. */
static enum sales_window order_of(enum sales_window window)
{
    return window == SALES_3DAYS ? SALES_3DAYS : SALES_DAILY;
}

static struct board *board_find(struct memory_ranking *memory, enum sales_window window,
                                struct sales_days days, uint32_t category)
{
    for (size_t i = 0; i < memory->board_count; i++) {
        struct board *board = memory->boards[i];
        if (board->days.from == days.from && board->days.to == days.to &&
            board->category == category && board->tree.window == order_of(window))
            return board;
    }
    return NULL;
}

static struct board *board_new(enum sales_window window, struct sales_days days, uint32_t category)
{
    struct board *board = mem_alloc(sizeof *board);

    if (!board)
        return NULL;
    ranking_tree_init(&board->tree, order_of(window));
    list_init(&board->node);
    list_init(&board->waiting);
    board->days = days;
    board->category = category;
    return board;
}

static size_t products_in(const struct memory_ranking *memory, uint32_t category)
{
    return category == RANKING_ALL ? memory->sums->places
                                   : memory->sums->categories[category].count;
}

struct board *memory_board_get(struct memory_ranking *memory, enum sales_window window,
                               struct sales_days days, uint32_t category)
{
    struct board *board = board_find(memory, window, days, category);

    if (!board) {
        if (!make_room(memory) || !(board = board_new(window, days, category)))
            return NULL;
        if (products_in(memory, category) <= memory->at_once_max) {
            if (memory_board_make_now(memory, board) != ERR_OK)
                return memory_board_free(board);
            board->state = BOARD_READY;
        } else {
            board->state = BOARD_QUEUED;
            list_append(&memory->queue, &board->node);
            pthread_cond_signal(&memory->work);
        }
        memory->boards[memory->board_count++] = board;
    }
    board->read_at = ++memory->ticks;
    return board;
}

/* ---- changes ---- */

static bool board_covers(const struct board *board, uint32_t category, int64_t day)
{
    return board->days.from <= day && day <= board->days.to &&
           (board->category == RANKING_ALL || board->category == category);
}

static enum err change_note(struct board *board, const struct sales_sum *old,
                            const struct sales_sum *now)
{
    if (!MEM_ROOM(board->changes, board->change_count, board->change_cap, 64))
        return ERR_NOMEM;
    board->changes[board->change_count++] = (struct board_change){ *old, *now };
    return ERR_OK;
}

static enum err change_apply(struct ranking_tree *tree, const struct sales_sum *old,
                             const struct sales_sum *now)
{
    if (board_ranks(old))
        ranking_tree_remove(tree, old);
    return board_ranks(now) ? ranking_tree_add(tree, now) : ERR_OK;
}

/* A board that finds no memory goes; the next read makes it again. */
static void board_change(struct memory_ranking *memory, size_t at,
                         const struct ranking_product *product, const struct sales_sum *old,
                         const struct sales_sum *now)
{
    struct board *board = memory->boards[at];
    enum err e = ERR_OK;

    switch (board->state) {
    case BOARD_MAKING:
        if (product->seen == board->mark)
            e = change_note(board, old, now);
        break;
    case BOARD_READY:
        e = change_apply(&board->tree, old, now);
        break;
    case BOARD_QUEUED:
    case BOARD_GONE:
        break;
    }
    if (e != ERR_OK)
        drop_at(memory, at);
}

void memory_boards_before(struct memory_ranking *memory, const struct ranking_product *product,
                          int64_t day)
{
    for (size_t i = 0; i < memory->board_count; i++)
        if (board_covers(memory->boards[i], product->category, day))
            memory->olds[i] = ranking_product_sum(product, memory->boards[i]->days);
}

/* From the end, since boards may go on the way. */
void memory_boards_after(struct memory_ranking *memory, const struct ranking_product *product,
                         int64_t day)
{
    for (size_t i = memory->board_count; i-- > 0;)
        if (board_covers(memory->boards[i], product->category, day)) {
            struct sales_sum now = ranking_product_sum(product, memory->boards[i]->days);
            board_change(memory, i, product, &memory->olds[i], &now);
        }
}

void memory_boards_move(struct memory_ranking *memory, struct ranking_product *product,
                        uint32_t category)
{
    static const struct sales_sum none;

    for (size_t i = memory->board_count; i-- > 0;) {
        struct board *board = memory->boards[i];
        if (board->category == RANKING_ALL ||
            (board->category != product->category && board->category != category))
            continue;
        struct sales_sum sum = ranking_product_sum(product, board->days);
        if (board->category == product->category) {
            board_change(memory, i, product, &sum, &none);
            continue;
        }
        if (board->state == BOARD_MAKING)
            product->seen = board->mark; /* who makes it does not look here for it */
        board_change(memory, i, product, &none, &sum);
    }
}
