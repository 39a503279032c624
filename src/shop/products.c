// SPDX-License-Identifier: Apache-2.0
#include "shop/shop_internal.h"

static void get_read(struct ledger_read *read)
{
    struct product_get *get = CONTAINER_OF(read, struct product_get, read);

    get->err = read->err == ERR_OK && !read->found ? ERR_NOT_FOUND : read->err;
    get->product = read->product;
    get->done(get);
}

void product_get(struct shop_loop *loop, struct product_get *get)
{
    get->read = (struct ledger_read){ .done = get_read,
                                      .op = LEDGER_READ_PRODUCT,
                                      .arena = get->arena,
                                      .product_id = get->product_id };
    ledger_read(loop->ledger, &get->read);
}

static void list_read(struct ledger_read *read)
{
    struct product_list *list = CONTAINER_OF(read, struct product_list, read);

    list->err = read->err;
    list->products = read->products;
    list->count = read->product_count;
    list->total_count = read->total_count;
    list->more = read->more;
    list->done(list);
}

void product_list(struct shop_loop *loop, struct product_list *list)
{
    list->read = (struct ledger_read){ .done = list_read,
                                       .op = LEDGER_READ_PRODUCTS,
                                       .arena = list->arena,
                                       .category = list->category,
                                       .sort = list->sort,
                                       .after_key = list->after_key,
                                       .after = list->after,
                                       .limit = list->limit };
    ledger_read(loop->ledger, &list->read);
}

/* ---- administration ---- */

static void put_read(struct ledger_read *read)
{
    struct product_put *put = CONTAINER_OF(read, struct product_put, read);

    put->err = read->err == ERR_OK && !read->found ? ERR_UNAVAILABLE : read->err;
    put->now = read->product;
    put->done(put);
}

static void put_stored(struct shop_command *command)
{
    struct product_put *put = CONTAINER_OF(command, struct product_put, command);
    const struct ledger_command *ledger = &command->ledger;

    put->err = ledger->err;
    if (put->err == ERR_OK && put->create && ledger->product_create.taken)
        put->err = ERR_CONFLICT;
    if (put->err == ERR_OK && !put->create && !ledger->product_change.found)
        put->err = ERR_NOT_FOUND;
    if (put->err != ERR_OK) {
        put->done(put);
        return;
    }
    put->stored = true;
    put->read = (struct ledger_read){ .done = put_read,
                                      .op = LEDGER_READ_PRODUCT,
                                      .arena = put->arena,
                                      .product_id = put->create ? put->product.product_id
                                                                : put->change.product_id };
    ledger_read(put->loop->ledger, &put->read);
}

void product_put(struct shop_loop *loop, struct product_put *put)
{
    put->loop = loop;
    put->stored = false;
    put->command.done = put_stored;
    if (put->create) {
        put->command.ledger.op = LEDGER_PRODUCT_CREATE;
        put->command.ledger.product_create.product = &put->product;
    } else {
        put->command.ledger.op = LEDGER_PRODUCT_CHANGE;
        put->command.ledger.product_change = put->change;
    }
    shop_command(loop, &put->command);
}
