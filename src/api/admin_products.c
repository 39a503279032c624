// SPDX-License-Identifier: Apache-2.0
#include "api/products.h"
#include "base/log.h"

struct put_call {
    struct api_call *call;
    struct product_put put;
};

static void log_put(const struct put_call *self)
{
    const struct api_call *call = self->call;
    const struct ledger_product *now = &self->put.now;

    LOG(LOG_INFO, self->put.create ? "product created" : "product changed",
        LOG_STR("request", call->http->request_id), LOG_INT("product", now->product_id),
        LOG_INT("price", now->price), LOG_INT("stock", now->stock), API_LOG_BY(call));
}

static void put_done(struct product_put *put)
{
    struct put_call *self = CONTAINER_OF(put, struct put_call, put);
    struct api_call *call = self->call;

    if (put->err == ERR_CONFLICT) {
        api_problem(call, PROBLEM_CONFLICT, "this product id is taken");
    } else if (put->err == ERR_NOT_FOUND) {
        api_problem(call, PROBLEM_PRODUCT_NOT_FOUND, "there is no such product");
    } else if (put->err != ERR_OK && put->stored) {
        api_problem(call, PROBLEM_STORE_UNAVAILABLE, "it is done, but the store cannot be read");
    } else if (put->err != ERR_OK) {
        api_store_problem(call, put->err);
    } else {
        struct product_answer answer = product_answer_of(&put->now);
        log_put(self);
        api_answer(call, put->create ? 201 : 200, &product_answer_json, &answer);
    }
}

/* An empty text is one, other than none. */
static struct str text_of(struct str text, enum json_presence is)
{
    return is != JSON_GIVEN ? STR_NONE : text.len ? text : STR("");
}

static struct put_call *put_call_new(struct api_call *call)
{
    struct put_call *self = api_alloc(call, sizeof *self);

    if (self) {
        self->call = call;
        self->put.done = put_done;
        self->put.arena = &call->http->arena;
    }
    return self;
}

void admin_products_create(struct api_call *call)
{
    const struct product_create_body *body = call->body;
    struct put_call *self = put_call_new(call);

    if (!self)
        return;
    self->put.create = true;
    self->put.product = (struct ledger_product){
        .product_id = body->product_id_is == JSON_GIVEN ? body->product_id : 0,
        .price = body->price,
        .stock = body->stock,
        .name = body->name,
        .description = text_of(body->description, body->description_is),
        .category = text_of(body->category, body->category_is),
    };
    product_put(call->loop->shop, &self->put);
}

void admin_products_patch(struct api_call *call)
{
    const struct product_patch_body *body = call->body;
    struct put_call *self = put_call_new(call);

    if (!self)
        return;
    self->put.change = (struct ledger_product_change){
        .product_id = call->ids[0],
        .has_name = body->name_is == JSON_GIVEN,
        .has_description = body->description_is != JSON_ABSENT,
        .has_price = body->price_is == JSON_GIVEN,
        .has_stock = body->stock_is == JSON_GIVEN,
        .has_category = body->category_is != JSON_ABSENT,
        .to = { .name = body->name,
                .description = text_of(body->description, body->description_is),
                .category = text_of(body->category, body->category_is),
                .price = body->price,
                .stock = body->stock },
    };
    product_put(call->loop->shop, &self->put);
}
