// SPDX-License-Identifier: Apache-2.0
#include "api/cart.h"

#define USER_ID(tag) \
    JSON_INT64(tag, user_id, "userId", INT64_MIN, INT64_MAX, "Whose cart.", "1", JSON_REQUIRED)
#define PRODUCT_ID(tag)                                                                      \
    JSON_INT64(tag, product_id, "productId", INT64_MIN, INT64_MAX, "Of which product.", "2", \
               JSON_REQUIRED)

static const struct json_row cart_query_rows[] = { USER_ID(cart_query) };
const JSON_BODY(cart_query, "CartQuery", "Whose cart.");

static const struct json_row cart_add_body_rows[] = {
    USER_ID(cart_add_body),
    PRODUCT_ID(cart_add_body),
    JSON_INT64(cart_add_body, quantity, "quantity", INT64_MIN, INT64_MAX,
               "How many more, at least 1.", "2", JSON_REQUIRED, JSON_TOLD_MIN(1)),
};
const JSON_BODY(cart_add_body, "CartAddRequest", "What to put into a cart.");

static const struct json_row cart_set_body_rows[] = {
    USER_ID(cart_set_body),
    PRODUCT_ID(cart_set_body),
    JSON_INT64(cart_set_body, quantity, "quantity", INT64_MIN, INT64_MAX,
               "How many in all; 0 removes the line.", "1", JSON_REQUIRED, JSON_TOLD_MIN(0)),
};
const JSON_BODY(cart_set_body, "CartSetRequest", "How many of a product a cart has.");

static const struct json_row cart_remove_body_rows[] = { USER_ID(cart_remove_body),
                                                         PRODUCT_ID(cart_remove_body) };
const JSON_BODY(cart_remove_body, "CartRemoveRequest", "What to take out of a cart.");

static const struct json_row cart_item_answer_rows[] = {
    JSON_INT64(cart_item_answer, product_id, "productId", 1, INT64_MAX, "The product.", "2",
               JSON_REQUIRED),
    JSON_STR(cart_item_answer, name, "name", 1, 200, "Its name.", "마우스", JSON_REQUIRED),
    JSON_INT64(cart_item_answer, unit_price, "unitPrice", 0, INT64_MAX, "Won, each, now.", "80000",
               JSON_REQUIRED),
    JSON_INT64(cart_item_answer, quantity, "quantity", 0, INT64_MAX, "How many.", "2",
               JSON_REQUIRED),
    JSON_INT64(cart_item_answer, subtotal, "subtotal", 0, INT64_MAX, "Won, together.", "160000",
               JSON_REQUIRED),
    JSON_BOOL(cart_item_answer, stock_available, "stockAvailable", "There are as many.", "true",
              JSON_REQUIRED),
};
const JSON_ANSWER(cart_item_answer, "CartItem", "A line of a cart.");

static const struct json_row cart_answer_rows[] = {
    JSON_INT64(cart_answer, user_id, "userId", INT64_MIN, INT64_MAX, "Whose cart.", "1",
               JSON_REQUIRED),
    JSON_ARRAY(cart_answer, items, "items", cart_item_answer, 0, LEDGER_CART_LINES_MAX,
               "Newest line first.", JSON_REQUIRED),
    JSON_INT64(cart_answer, total_amount, "totalAmount", 0, INT64_MAX, "Won, all lines.", "1660000",
               JSON_REQUIRED),
};
const JSON_ANSWER(cart_answer, "Cart", "A cart.");

/* ---- answers ---- */

static struct cart_item_answer item_of(const struct ledger_cart_line *line)
{
    return (struct cart_item_answer){
        .product_id = line->product.product_id,
        .unit_price = line->product.price,
        .quantity = line->quantity,
        .subtotal = cart_line_sum(line),
        .name = line->product.name,
        .stock_available = line->product.stock >= line->quantity,
    };
}

static void answer_cart(struct api_call *call, unsigned status, int64_t user_id,
                        const struct ledger_cart_line *lines, size_t count)
{
    struct cart_answer answer = { .user_id = user_id, .total_amount = cart_sum(lines, count) };

    answer.items = api_alloc(call, (count + 1) * sizeof *answer.items);
    if (!answer.items)
        return;
    for (size_t i = 0; i < count; i++)
        answer.items[answer.items_count++] = item_of(&lines[i]);
    api_answer(call, status, &cart_answer_json, &answer);
}

/* ---- looking ---- */

struct show_call {
    struct api_call *call;
    struct cart_get get;
};

static void show_done(struct cart_get *get)
{
    struct api_call *call = CONTAINER_OF(get, struct show_call, get)->call;

    if (get->err == ERR_NOT_FOUND)
        api_problem(call, PROBLEM_USER_NOT_FOUND, "there is no such user");
    else if (get->err != ERR_OK)
        api_store_problem(call, get->err);
    else
        answer_cart(call, 200, get->user_id, get->lines, get->count);
}

void cart_show(struct api_call *call)
{
    struct show_call *self = api_alloc(call, sizeof *self);

    if (!self)
        return;
    self->call = call;
    self->get.done = show_done;
    self->get.arena = &call->http->arena;
    self->get.user_id = ((const struct cart_query *)call->query)->user_id;
    cart_get(call->loop->shop, &self->get);
}

/* ---- changing ---- */

struct put_call {
    struct api_call *call;
    struct cart_put put;
};

static void refuse(struct api_call *call, enum ledger_cart_outcome outcome)
{
    switch (outcome) {
    case LEDGER_CART_NO_USER:
        api_problem(call, PROBLEM_USER_NOT_FOUND, "there is no such user");
        return;
    case LEDGER_CART_NO_CART:
        api_problem(call, PROBLEM_CART_NOT_FOUND, "this user has never put anything into a cart");
        return;
    case LEDGER_CART_NO_LINE:
        api_problem(call, PROBLEM_CART_ITEM_NOT_FOUND, "this product is not in the cart");
        return;
    case LEDGER_CART_NO_PRODUCT:
        api_problem(call, PROBLEM_PRODUCT_NOT_FOUND, "there is no such product");
        return;
    case LEDGER_CART_INVALID_QUANTITY:
        api_problem(call, PROBLEM_INVALID_QUANTITY, "the quantity is too small");
        return;
    case LEDGER_CART_INSUFFICIENT_STOCK:
        api_problem(call, PROBLEM_INSUFFICIENT_STOCK, "there are not as many of this product");
        return;
    case LEDGER_CART_FULL:
        api_problem(call, PROBLEM_CONFLICT, "the cart is full; take something out first");
        return;
    case LEDGER_CART_OK:
        break;
    }
}

static void answer_put(struct api_call *call, const struct cart_put *put)
{
    switch (put->change.what) {
    case LEDGER_CART_ADD:
        answer_cart(call, 201, put->change.user_id, put->lines, put->count);
        return;
    case LEDGER_CART_SET: {
        const struct ledger_cart_line line = { .product = put->product,
                                               .quantity = put->change.quantity };
        struct cart_item_answer answer = item_of(&line);
        api_answer(call, 200, &cart_item_answer_json, &answer);
        return;
    }
    case LEDGER_CART_REMOVE:
        http_respond(call->http, 200, STR_NONE, STR_NONE);
        return;
    }
}

static void put_done(struct cart_put *put)
{
    struct api_call *call = CONTAINER_OF(put, struct put_call, put)->call;

    if (put->err != ERR_OK && put->stored)
        api_problem(call, PROBLEM_STORE_UNAVAILABLE,
                    "it is in the cart, but the store cannot be read; look at the cart later");
    else if (put->err == ERR_UNCERTAIN)
        api_problem(call, PROBLEM_STORE_UNAVAILABLE,
                    "the outcome is not known; look at the cart before trying again");
    else if (put->err != ERR_OK)
        api_store_problem(call, put->err);
    else if (put->change.outcome != LEDGER_CART_OK)
        refuse(call, put->change.outcome);
    else
        answer_put(call, put);
}

static void put(struct api_call *call, const struct ledger_cart_change *change)
{
    struct put_call *self = api_alloc(call, sizeof *self);

    if (!self)
        return;
    self->call = call;
    self->put.done = put_done;
    self->put.arena = &call->http->arena;
    self->put.change = *change;
    cart_put(call->loop->shop, &self->put);
}

void cart_add(struct api_call *call)
{
    const struct cart_add_body *body = call->body;

    put(call, &(struct ledger_cart_change){ .user_id = body->user_id,
                                            .product_id = body->product_id,
                                            .what = LEDGER_CART_ADD,
                                            .quantity = body->quantity });
}

void cart_set(struct api_call *call)
{
    const struct cart_set_body *body = call->body;

    put(call, &(struct ledger_cart_change){ .user_id = body->user_id,
                                            .product_id = body->product_id,
                                            .what = LEDGER_CART_SET,
                                            .quantity = body->quantity });
}

void cart_remove(struct api_call *call)
{
    const struct cart_remove_body *body = call->body;

    put(call, &(struct ledger_cart_change){ .user_id = body->user_id,
                                            .product_id = body->product_id,
                                            .what = LEDGER_CART_REMOVE });
}
