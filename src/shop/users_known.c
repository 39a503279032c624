// SPDX-License-Identifier: Apache-2.0
/*
 * Which users exist. Ids are never taken back, so what was seen once is remembered, 64 neighbours
 * to a cell, up to users.known_max. Whoever is not known is looked up together with 4,096
 * neighbours: a stampede of neighbouring ids costs one statement for all of them.
 */
#include "base/mem.h"
#include "shop/shop_internal.h"

/* One statement under way, and who waits for it. */
struct span_read {
    struct list node; /* in loop->lookups */
    struct shop_loop *loop;
    struct list waiting;
    struct ledger_read read;
};

static void remember(struct shop_loop *loop, const struct ledger_read *read)
{
    for (size_t i = 0; i < ARRAY_COUNT(read->exist); i++) {
        if (loop->known_users.count >= (size_t)loop->shop->config->users_known_max)
            id_set_fini(&loop->known_users); /* bounded: begin again */
        err_ignore(
            id_set_add_mask(&loop->known_users, read->first_id + (int64_t)i * 64, read->exist[i]),
            "not remembered: looked up again");
    }
}

static bool exists(const struct ledger_read *read, int64_t user_id)
{
    uint64_t offset = (uint64_t)(user_id - read->first_id);

    return read->exist[offset / 64] >> (offset % 64) & 1;
}

static void span_done(struct ledger_read *read)
{
    struct span_read *span = CONTAINER_OF(read, struct span_read, read);

    if (read->err == ERR_OK)
        remember(span->loop, read);
    list_remove(&span->node);
    while (!list_empty(&span->waiting)) {
        struct user_lookup *lookup = CONTAINER_OF(span->waiting.next, struct user_lookup, node);
        list_remove(&lookup->node);
        enum err e = read->err != ERR_OK             ? read->err
                     : exists(read, lookup->user_id) ? ERR_OK
                                                     : ERR_NOT_FOUND;
        lookup->done(lookup, e);
    }
    mem_free(span);
}

static struct span_read *span_of(struct shop_loop *loop, int64_t first_id)
{
    struct span_read *span;

    LIST_FOREACH (span, &loop->lookups, struct span_read, node)
        if (span->read.first_id == first_id)
            return span;
    span = mem_alloc(sizeof *span);
    if (!span)
        return NULL;
    span->loop = loop;
    list_init(&span->waiting);
    list_append(&loop->lookups, &span->node);
    span->read.done = span_done;
    span->read.op = LEDGER_READ_USERS_EXIST;
    span->read.first_id = first_id;
    ledger_read(loop->ledger, &span->read);
    return span;
}

static void answer(struct loop_task *task)
{
    struct user_lookup *lookup = CONTAINER_OF(task, struct user_lookup, task);

    lookup->done(lookup, lookup->err);
}

static void answer_later(struct shop_loop *loop, struct user_lookup *lookup, enum err e)
{
    lookup->err = e;
    lookup->task.run = answer;
    loop_post(loop->loop, &lookup->task);
}

bool user_is_known(const struct shop_loop *loop, int64_t user_id)
{
    return user_id >= 1 &&
           (loop->shop->config->users_external || id_set_has(&loop->known_users, user_id));
}

void user_lookup(struct shop_loop *loop, struct user_lookup *lookup)
{
    int64_t user_id = lookup->user_id;

    if (user_id < 1) {
        answer_later(loop, lookup, ERR_NOT_FOUND);
        return;
    }
    if (user_is_known(loop, user_id)) {
        answer_later(loop, lookup, ERR_OK);
        return;
    }
    struct span_read *span = span_of(loop, user_id - user_id % LEDGER_EXIST_SPAN);
    if (span)
        list_append(&span->waiting, &lookup->node);
    else
        answer_later(loop, lookup, ERR_NOMEM);
}
