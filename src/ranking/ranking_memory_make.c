// SPDX-License-Identifier: Apache-2.0
/*
 * Making a board: sum up every product, sort, load. A small one is made by its first reader. A big
 * one is made by a thread, which holds the lock for some hundred products at a time only, and sorts
 * and loads without it. A product that it has seen has its mark: what happens to the product from
 * then on is written down (struct board_change) and done again at the end, in the same order; what
 * happens before that is seen. So only one board is made by marks at a time.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "ranking/ranking_memory_internal.h"

enum { CHANGES_AT_ONCE = 64, ROUNDS_MAX = 16 };

struct scan {
    struct ranking_product **members; /* of the category, when it began; NULL: all there are */
    size_t at, end;
    uint32_t mark; /* 0: without */
};

struct sum_list {
    struct sales_sum *sums;
    size_t count, cap;
};

static void list_fini(struct sum_list *list)
{
    list->sums = mem_free(list->sums);
}

static enum err list_reserve(struct sum_list *list, size_t more)
{
    size_t cap = MAX(list->cap * 2, list->count + more);

    if (list->cap - list->count >= more)
        return ERR_OK;
    struct sales_sum *moved = mem_resize(list->sums, cap * sizeof *moved);
    if (!moved)
        return ERR_NOMEM;
    list->sums = moved;
    list->cap = cap;
    return ERR_OK;
}

static enum err scan_begin(struct scan *scan, const struct memory_ranking *memory,
                           const struct board *board, uint32_t mark)
{
    const struct ranking_category *category = &memory->sums->categories[board->category];

    *scan = (struct scan){ .end = memory->sums->places, .mark = mark };
    if (board->category == RANKING_ALL)
        return ERR_OK;
    scan->end = category->count;
    scan->members = mem_alloc((scan->end + 1) * sizeof(void *));
    if (!scan->members)
        return ERR_NOMEM;
    if (scan->end > 0)
        memcpy(scan->members, category->members, scan->end * sizeof(void *));
    return ERR_OK;
}

/* Into `list`, where there is room for memory->scan_at_once. */
static void scan_some(struct scan *scan, const struct memory_ranking *memory,
                      const struct board *board, struct sum_list *list)
{
    size_t end = MIN(scan->at + memory->scan_at_once, scan->end);

    ASSERT(list->sums);
    for (; scan->at < end; scan->at++) {
        struct ranking_product *product =
            scan->members ? scan->members[scan->at] : ranking_sums_at(memory->sums, scan->at);
        if (!product->used || (scan->mark && product->seen == scan->mark) ||
            (scan->members && product->category != board->category))
            continue;
        if (scan->mark)
            product->seen = scan->mark;
        struct sales_sum sum = ranking_product_sum(product, board->days);
        if (board_ranks(&sum))
            list->sums[list->count++] = sum;
    }
}

static int compare_by_window(const void *a, const void *b, void *window)
{
    return sales_compare(*(enum sales_window *)window, a, b);
}

static enum err load(struct ranking_tree *tree, struct sum_list *list)
{
    if (list->count > 0)
        qsort_r(list->sums, list->count, sizeof *list->sums, compare_by_window, &tree->window);
    return ranking_tree_load(tree, list->sums, list->count);
}

struct board *memory_board_free(struct board *board)
{
    ranking_tree_fini(&board->tree);
    mem_free(board->changes);
    return mem_free(board);
}

enum err memory_board_make_now(struct memory_ranking *memory, struct board *board)
{
    CLEANUP(list_fini) struct sum_list list = { 0 };
    struct scan scan;
    enum err e = scan_begin(&scan, memory, board, 0);

    while (e == ERR_OK && scan.at < scan.end) {
        e = list_reserve(&list, memory->scan_at_once);
        if (e == ERR_OK)
            scan_some(&scan, memory, board, &list);
    }
    if (e == ERR_OK)
        e = load(&board->tree, &list);
    mem_free(scan.members);
    return e;
}

/* ---- the thread. `gone`: nobody wants it any more ---- */

static bool gone(const struct board *board)
{
    return board->state == BOARD_GONE;
}

static void unlock_for_work(struct memory_ranking *memory)
{
    memory_unlock(memory);
    if (memory->pause)
        memory->pause();
}

static enum err collect(struct memory_ranking *memory, struct board *board, struct sum_list *list)
{
    struct scan scan;
    enum err e = scan_begin(&scan, memory, board, board->mark);

    while (e == ERR_OK && scan.at < scan.end && !gone(board)) {
        unlock_for_work(memory);
        e = list_reserve(list, memory->scan_at_once);
        memory_lock(memory);
        if (e == ERR_OK && !gone(board)) {
            scan_some(&scan, memory, board, list);
            memory_breathe(memory);
        }
    }
    mem_free(scan.members);
    return e;
}

static enum err changes_apply(struct ranking_tree *tree, const struct board_change *changes,
                              size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (board_ranks(&changes[i].old))
            ranking_tree_remove(tree, &changes[i].old);
        if (board_ranks(&changes[i].now))
            TRY(ranking_tree_add(tree, &changes[i].now));
    }
    return ERR_OK;
}

/* Without the lock while there are many, and the last ones with it. */
static enum err catch_up(struct memory_ranking *memory, struct board *board)
{
    enum err e = ERR_OK;

    for (int i = 0; i < ROUNDS_MAX && board->change_count > CHANGES_AT_ONCE && !gone(board); i++) {
        struct board_change *changes = TAKE(board->changes);
        size_t count = board->change_count;
        board->change_count = board->change_cap = 0;
        unlock_for_work(memory);
        e = changes_apply(&board->tree, changes, count);
        mem_free(changes);
        memory_lock(memory);
        if (e != ERR_OK)
            return e;
    }
    if (gone(board))
        return ERR_OK;
    e = changes_apply(&board->tree, board->changes, board->change_count);
    board->changes = mem_free(board->changes);
    board->change_count = board->change_cap = 0;
    return e;
}

static enum err make(struct memory_ranking *memory, struct board *board)
{
    CLEANUP(list_fini) struct sum_list list = { 0 };
    enum err e = collect(memory, board, &list);

    if (e != ERR_OK || gone(board))
        return e;
    unlock_for_work(memory);
    e = load(&board->tree, &list);
    list_fini(&list); /* not under the lock: it is big */
    memory_lock(memory);
    if (e != ERR_OK || gone(board))
        return e;
    return catch_up(memory, board);
}

static void answer_waiting(struct memory_ranking *memory, struct board *board)
{
    while (!list_empty(&board->waiting)) {
        struct loop_task *task = CONTAINER_OF(board->waiting.next, struct loop_task, node);
        struct ranking_read *read = CONTAINER_OF(task, struct ranking_read, task);
        list_remove(&task->node);
        memory_read_answer(memory, board, read);
        memory_read_send(read);
    }
}

static void make_next(struct memory_ranking *memory)
{
    struct board *board = CONTAINER_OF(memory->queue.next, struct board, node);

    list_remove(&board->node);
    board->state = BOARD_MAKING;
    memory->mark += memory->mark == UINT32_MAX ? 2 : 1; /* never 0 */
    board->mark = memory->mark;
    if (make(memory, board) != ERR_OK && !gone(board))
        memory_board_drop(memory, board);
    if (gone(board)) {
        list_append(&memory->dead, &board->node);
        return;
    }
    board->state = BOARD_READY;
    answer_waiting(memory, board);
}

static void bury(struct memory_ranking *memory)
{
    struct ranking_sums *sums = TAKE(memory->dead_sums);
    struct list dead;

    list_init(&dead);
    list_splice(&dead, &memory->dead);
    memory_unlock(memory);
    while (!list_empty(&dead)) {
        struct board *board = CONTAINER_OF(dead.next, struct board, node);
        list_remove(&board->node);
        memory_board_free(board);
    }
    while (sums) {
        struct ranking_sums *next = sums->next_dead;
        ranking_sums_free(sums);
        sums = next;
    }
    memory_lock(memory);
}

void *memory_maker(void *context)
{
    struct memory_ranking *memory = context;

    memory_lock(memory);
    for (;;) {
        if (!list_empty(&memory->dead) || memory->dead_sums)
            bury(memory);
        else if (!list_empty(&memory->queue))
            make_next(memory);
        else if (memory->stop)
            break;
        else
            pthread_cond_wait(&memory->work, &memory->lock);
    }
    memory_unlock(memory);
    return NULL;
}
