// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "ranking/ranking_memory_internal.h"

/* ---- clients ---- */

struct ranking_client *memory_client_new(struct ranking *ranking, struct loop *loop,
                                         struct metrics_slot *metrics)
{
    (void)metrics;
    struct memory_client *client = mem_alloc(sizeof *client);

    if (!client)
        return NULL;
    client->base.ranking = ranking;
    client->loop = loop;
    return &client->base;
}

struct ranking_client *memory_client_free(struct ranking_client *base)
{
    struct memory_client *client = CONTAINER_OF(base, struct memory_client, base);
    struct memory_ranking *memory = memory_ranking_self(base->ranking);

    ASSERT(client->in_flight == 0);
    memory_lock(memory); /* whoever sent the last answer has come out of the loop again */
    memory_unlock(memory);
    return mem_free(client);
}

static void read_done(struct loop_task *task)
{
    struct ranking_read *read = CONTAINER_OF(task, struct ranking_read, task);
    struct memory_client *client = CONTAINER_OF(read->client, struct memory_client, base);

    client->in_flight--;
    read->done(read);
}

void memory_read_send(struct ranking_read *read)
{
    struct memory_client *client = CONTAINER_OF(read->client, struct memory_client, base);

    loop_send(client->loop, &read->task);
}

/* ---- answers ---- */

static void answer_product(const struct memory_ranking *memory, const struct board *board,
                           struct ranking_read *read)
{
    const struct ranking_product *product = ranking_sums_find(memory->sums, read->product_id);
    struct ranking_entry *entries = read->entries;

    if (!product || (board->category != RANKING_ALL && board->category != product->category))
        return;
    struct sales_sum sum = ranking_product_sum(product, board->days);
    if (!board_ranks(&sum))
        return;
    size_t before = ranking_tree_before(&board->tree, &sum);
    read->product = (struct ranking_entry){ (int64_t)before + 1, sum };
    if (read->around == 0)
        return;
    size_t above = MIN((size_t)read->around, before);
    size_t count =
        ranking_tree_page(&board->tree, before - above, above + 1 + (size_t)read->around, entries);
    read->entry_count = count - 1;
    memmove(&entries[above], &entries[above + 1], (count - above - 1) * sizeof *entries);
}

void memory_read_answer(struct memory_ranking *memory, struct board *board,
                        struct ranking_read *read)
{
    read->outcome = RANKING_OK;
    read->version = memory->version;
    read->as_of_ms = memory->as_of_ms;
    if (!board)
        return;
    if (read->op == RANKING_READ_PRODUCT)
        answer_product(memory, board, read);
    else if ((uint64_t)read->offset < board->tree.count)
        read->entry_count = ranking_tree_page(&board->tree, (size_t)read->offset,
                                              (size_t)read->limit, read->entries);
}

/* ---- reading ---- */

/* False: it has to wait. */
static bool answer_now(struct memory_ranking *memory, struct ranking_read *read)
{
    struct sales_days days = sales_window_days(read->window, read->day);
    uint32_t category = RANKING_ALL;

    if (memory->fault || memory->incomplete)
        return true;
    if (days.from < memory->from_day) {
        read->outcome = RANKING_NOT_HELD;
        return true;
    }
    if (read->category.ptr && !ranking_category_find(memory->sums, read->category, &category)) {
        memory_read_answer(memory, NULL, read);
        return true;
    }
    struct board *board = memory_board_get(memory, read->window, days, category);
    if (!board)
        return true;
    if (board->state == BOARD_READY) {
        memory_read_answer(memory, board, read);
        return true;
    }
    list_append(&board->waiting, &read->task.node);
    return false;
}

void memory_read(struct ranking_client *base, struct ranking_read *read)
{
    struct memory_client *client = CONTAINER_OF(base, struct memory_client, base);
    struct memory_ranking *memory = memory_ranking_self(base->ranking);

    read->client = base;
    read->task.run = read_done;
    client->in_flight++;
    read->err = ranking_read_prepare(read);
    bool answered = true;
    if (read->err == ERR_OK) {
        memory_lock(memory);
        answered = answer_now(memory, read);
        memory_unlock(memory);
    }
    if (answered)
        loop_post(client->loop, &read->task);
}
