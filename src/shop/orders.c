// SPDX-License-Identifier: Apache-2.0
#include "shop/shop_internal.h"

static void order_read(struct ledger_read *read)
{
    struct order_get *get = CONTAINER_OF(read, struct order_get, read);

    get->err = read->err == ERR_OK && !read->found ? ERR_NOT_FOUND : read->err;
    get->order = read->order;
    get->done(get);
}

void order_get(struct shop_loop *loop, struct order_get *get)
{
    get->read.done = order_read;
    get->read.op = LEDGER_READ_ORDER;
    get->read.arena = get->arena;
    get->read.order_id = get->order_id;
    ledger_read(loop->ledger, &get->read);
}

static void orders_read(struct ledger_read *read)
{
    struct order_list *list = CONTAINER_OF(read, struct order_list, read);
    bool external = list->loop->shop->config->users_external && list->user_id > 0;

    list->err = read->err == ERR_OK && !read->found && !external ? ERR_NOT_FOUND : read->err;
    list->orders = read->orders;
    list->count = read->order_count;
    list->total_count = read->total_count;
    list->more = read->more;
    list->done(list);
}

void order_list(struct shop_loop *loop, struct order_list *list)
{
    list->loop = loop;
    list->read.done = orders_read;
    list->read.op = LEDGER_READ_ORDERS;
    list->read.arena = list->arena;
    list->read.user_id = list->user_id;
    list->read.status = list->status;
    list->read.after = list->after;
    list->read.limit = list->limit;
    ledger_read(loop->ledger, &list->read);
}
