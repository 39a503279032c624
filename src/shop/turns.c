// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>

#include "base/mem.h"
#include "shop/shop_internal.h"

struct shop_turns {
    pthread_mutex_t lock;
    struct list turns; /* running ones and those that wait, first come first served */
};

struct shop_turns *shop_turns_new(void)
{
    struct shop_turns *turns = mem_alloc(sizeof *turns);

    if (turns) {
        pthread_mutex_init(&turns->lock, NULL);
        list_init(&turns->turns);
    }
    return turns;
}

struct shop_turns *shop_turns_free(struct shop_turns *turns)
{
    if (turns)
        pthread_mutex_destroy(&turns->lock);
    return mem_free(turns);
}

static struct turn *first_of(struct shop_turns *turns, int64_t coupon_id)
{
    struct turn *turn;

    LIST_FOREACH (turn, &turns->turns, struct turn, node)
        if (turn->coupon_id == coupon_id)
            return turn;
    return NULL;
}

void shop_turn_take(struct shop_turns *turns, struct turn *turn)
{
    pthread_mutex_lock(&turns->lock);
    bool now = !first_of(turns, turn->coupon_id);
    list_append(&turns->turns, &turn->node);
    pthread_mutex_unlock(&turns->lock);
    if (now)
        loop_post(turn->loop, &turn->task);
}

void shop_turn_end(struct shop_turns *turns, struct turn *turn)
{
    pthread_mutex_lock(&turns->lock);
    list_remove(&turn->node);
    struct turn *next = first_of(turns, turn->coupon_id);
    pthread_mutex_unlock(&turns->lock);
    if (next)
        loop_send(next->loop, &next->task);
}
