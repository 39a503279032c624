// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>

#include "base/mem.h"
#include "shop/shop_internal.h"

struct shop_turns {
    pthread_mutex_t lock;
    struct list waiting;
    struct turn *current;
};

struct shop_turns *shop_turns_new(void)
{
    struct shop_turns *turns = mem_alloc(sizeof *turns);

    if (turns) {
        pthread_mutex_init(&turns->lock, NULL);
        list_init(&turns->waiting);
    }
    return turns;
}

struct shop_turns *shop_turns_free(struct shop_turns *turns)
{
    if (turns)
        pthread_mutex_destroy(&turns->lock);
    return mem_free(turns);
}

void shop_turn_take(struct shop_turns *turns, struct turn *turn)
{
    pthread_mutex_lock(&turns->lock);
    bool now = !turns->current;
    if (now)
        turns->current = turn;
    else
        list_append(&turns->waiting, &turn->node);
    pthread_mutex_unlock(&turns->lock);
    if (now)
        loop_post(turn->loop, &turn->task);
}

void shop_turn_end(struct shop_turns *turns)
{
    struct turn *next = NULL;

    pthread_mutex_lock(&turns->lock);
    if (!list_empty(&turns->waiting)) {
        next = CONTAINER_OF(turns->waiting.next, struct turn, node);
        list_remove(&next->node);
    }
    turns->current = next;
    pthread_mutex_unlock(&turns->lock);
    if (next)
        loop_send(next->loop, &next->task);
}
