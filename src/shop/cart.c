// SPDX-License-Identifier: Apache-2.0
#include "shop/shop_internal.h"

/* ---- looking ---- */

static void get_read(struct ledger_read *read)
{
    struct cart_get *get = CONTAINER_OF(read, struct cart_get, read);

    get->err = read->err == ERR_OK && !read->found ? ERR_NOT_FOUND : read->err;
    get->lines = read->cart;
    get->count = read->cart_count;
    get->done(get);
}

void cart_get(struct shop_loop *loop, struct cart_get *get)
{
    get->read = (struct ledger_read){
        .done = get_read, .op = LEDGER_READ_CART, .arena = get->arena, .user_id = get->user_id
    };
    ledger_read(loop->ledger, &get->read);
}

int64_t cart_line_sum(const struct ledger_cart_line *line)
{
    int64_t sum;

    return __builtin_mul_overflow(line->product.price, line->quantity, &sum) ? INT64_MAX : sum;
}

int64_t cart_sum(const struct ledger_cart_line *lines, size_t count)
{
    int64_t sum = 0;

    for (size_t i = 0; i < count; i++)
        if (__builtin_add_overflow(sum, cart_line_sum(&lines[i]), &sum))
            return INT64_MAX;
    return sum;
}

/* ---- changing ---- */

static void put_read(struct ledger_read *read)
{
    struct cart_put *put = CONTAINER_OF(read, struct cart_put, read);

    put->err = read->err == ERR_OK && !read->found ? ERR_UNAVAILABLE : read->err;
    put->lines = read->cart;
    put->count = read->cart_count;
    put->product = read->product;
    put->done(put);
}

static void put_stored(struct shop_command *command)
{
    struct cart_put *put = CONTAINER_OF(command, struct cart_put, command);

    put->err = command->ledger.err;
    put->change = command->ledger.cart_change;
    if (put->err != ERR_OK || put->change.outcome != LEDGER_CART_OK ||
        put->change.what == LEDGER_CART_REMOVE) {
        put->done(put);
        return;
    }
    put->stored = true;
    put->read =
        (struct ledger_read){ .done = put_read,
                              .op = put->change.what == LEDGER_CART_ADD ? LEDGER_READ_CART
                                                                        : LEDGER_READ_PRODUCT,
                              .arena = put->arena,
                              .user_id = put->change.user_id,
                              .product_id = put->change.product_id };
    ledger_read(put->loop->ledger, &put->read);
}

void cart_put(struct shop_loop *loop, struct cart_put *put)
{
    put->loop = loop;
    put->stored = false;
    put->command.done = put_stored;
    put->command.ledger.op = LEDGER_CART_CHANGE;
    put->command.ledger.cart_change = put->change;
    shop_command(loop, &put->command);
}
