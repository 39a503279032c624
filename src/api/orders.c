// SPDX-License-Identifier: Apache-2.0
#include "api/orders.h"

#include "api/api_json.h"
#include "base/log.h"

/* ---- what changes orders ---- */

struct order_call {
    struct api_call *call;
    struct payment payment;
    struct ledger_key key;
    const char *operation;
    bool bad_quantity; /* why there are no lines */
};

static void log_order(const struct order_call *self)
{
    const struct payment *payment = &self->payment;
    enum log_level level = payment->outcome == PAYMENT_OK || payment->outcome == PAYMENT_DECLINED
                               ? LOG_INFO
                               : LOG_DEBUG;

    LOG(level, "order", LOG_STR("request", self->call->http->request_id),
        LOG_CSTR("operation", self->operation),
        LOG_CSTR("outcome",
                 payment->replayed ? "replayed" : payment_outcome_name(payment->outcome)),
        LOG_INT("order", payment->order_id), LOG_INT("status", payment->status),
        LOG_INT("duration_us", api_elapsed_us(self->call)));
}

static void order_done(struct payment *payment)
{
    struct order_call *self = CONTAINER_OF(payment, struct order_call, payment);

    log_order(self);
    if (payment->outcome == PAYMENT_OVERFLOW && payment->command.op == LEDGER_ORDER_CANCEL)
        api_problem(self->call, PROBLEM_CONFLICT, "the refund would overflow the balance");
    else if (payment->outcome == PAYMENT_OVERFLOW)
        api_invalid(self->call, "items", "cost more than can be counted");
    else if (payment->outcome != PAYMENT_NO_LINES)
        payment_respond(self->call, payment);
    else if (self->bad_quantity)
        api_problem(self->call, PROBLEM_INVALID_QUANTITY, "a quantity is at least 1");
    else
        api_invalid(self->call, "items", "must be 1 to 100");
}

/* NULL: answered. The operation's key, where the caller has given one. */
static struct order_call *order_call_new(struct api_call *call, const char *name,
                                         enum ledger_operation operation, int64_t user_id)
{
    struct order_call *self = api_alloc(call, sizeof *self);

    if (!self)
        return NULL;
    self->call = call;
    self->operation = name;
    self->payment.done = order_done;
    self->payment.command.render = orders_render;
    if (call->key.ptr) {
        self->payment.command.key = &self->key;
        self->key.user_id = user_id;
        self->key.operation = operation;
        self->key.key = call->key;
    }
    return self;
}

static bool quantities_are_good(const struct order_body *body)
{
    for (size_t i = 0; i < body->items_count; i++)
        if (body->items[i].quantity < 1)
            return false;
    return true;
}

/* The lines, merged. None: there is no such order, but whether there is such a user comes first. */
static size_t lines_of(const struct order_body *body, struct order_line *lines)
{
    const int64_t plenty = INT64_MAX / ORDER_LINES_MAX;
    size_t count;

    for (size_t i = 0; i < body->items_count; i++)
        lines[i] = (struct order_line){ .product_id = body->items[i].product_id,
                                        .quantity = body->items[i].quantity };
    count = order_lines_merge(lines, body->items_count);
    if (count)
        return count;
    /* Together more than can be counted, and so more than there is: that is for the stock to say.
     */
    for (size_t i = 0; i < body->items_count; i++)
        lines[i] = (struct order_line){ .product_id = body->items[i].product_id,
                                        .quantity = MIN(body->items[i].quantity, plenty) };
    return order_lines_merge(lines, body->items_count);
}

static void create(struct api_call *call, bool pay)
{
    struct order_body *body = call->body;
    const struct shop *shop = call->loop->shop->shop;
    struct json_fingerprint print = { 0 };
    struct order_call *self =
        order_call_new(call, pay ? "complete" : "create",
                       pay ? LEDGER_OPERATION_COMPLETE : LEDGER_OPERATION_ORDER, body->user_id);
    struct order_line *lines =
        self ? api_alloc(call, (body->items_count + 1) * sizeof *lines) : NULL;

    if (!lines)
        return;
    if (body->coupon_id_is == JSON_NULLED)
        body->coupon_id_is = JSON_ABSENT; /* the same order */
    json_fingerprint_object(&print, &order_body_json, body);
    json_fingerprint_end(&print, self->key.fingerprint);
    self->bad_quantity = !quantities_are_good(body);
    bool good = body->items_count >= 1 && body->items_count <= ORDER_LINES_MAX;
    if (!good)
        self->bad_quantity = false;
    self->payment.command.op = LEDGER_ORDER_CREATE;
    self->payment.command.order_create = (struct ledger_order_create){
        .user_id = body->user_id,
        .coupon_id = body->coupon_id_is != JSON_GIVEN ? 0
                     : body->coupon_id                ? body->coupon_id
                                                      : -1, /* 0 is no coupon's id */
        .lines = lines,
        .line_count = good && !self->bad_quantity ? lines_of(body, lines) : 0,
        .pay = pay,
        .gateway = shop->gateway != NULL,
    };
    payment_start(call->loop->shop, &self->payment);
}

void orders_create(struct api_call *call)
{
    create(call, false);
}

void orders_complete(struct api_call *call)
{
    create(call, true);
}

/* `print` of the path and the body. */
static void fingerprint(const struct api_call *call, struct order_call *self)
{
    struct json_fingerprint print = { 0 };

    json_fingerprint_int(&print, STR("orderId"), call->ids[0]);
    json_fingerprint_object(&print, &order_key_body_json, call->body);
    json_fingerprint_end(&print, self->key.fingerprint);
}

void orders_pay(struct api_call *call)
{
    const struct order_key_body *body = call->body;
    struct order_call *self = order_call_new(call, "pay", LEDGER_OPERATION_PAYMENT, body->user_id);

    if (!self)
        return;
    fingerprint(call, self);
    self->payment.command.op = LEDGER_ORDER_PAY;
    self->payment.command.order_pay =
        (struct ledger_order_pay){ .user_id = body->user_id,
                                   .order_id = call->ids[0],
                                   .gateway = call->loop->shop->shop->gateway != NULL };
    payment_start(call->loop->shop, &self->payment);
}

void orders_cancel(struct api_call *call)
{
    const struct order_key_body *body = call->body;
    struct order_call *self =
        order_call_new(call, "cancel", LEDGER_OPERATION_CANCEL, body->user_id);

    if (!self)
        return;
    fingerprint(call, self);
    self->payment.command.op = LEDGER_ORDER_CANCEL;
    self->payment.command.order_cancel =
        (struct ledger_order_cancel){ .user_id = body->user_id, .order_id = call->ids[0] };
    payment_start(call->loop->shop, &self->payment);
}

/* ---- one order ---- */

struct get_call {
    struct api_call *call;
    struct order_get get;
};

static void answer_order(struct get_call *self)
{
    const struct ledger_order *order = &self->get.order;
    struct order_item_answer *items =
        api_alloc(self->call, (order->line_count + 1) * sizeof *items);
    char number[ORDER_NUMBER_BYTES];
    struct order_answer answer;

    if (!items)
        return;
    order_answer_fill(order, items, number, &answer);
    api_answer(self->call, 200, &order_answer_json, &answer);
}

static void get_done(struct order_get *get)
{
    struct get_call *self = CONTAINER_OF(get, struct get_call, get);

    if (get->err == ERR_NOT_FOUND)
        api_problem(self->call, PROBLEM_ORDER_NOT_FOUND, "there is no such order");
    else if (get->err != ERR_OK)
        api_store_problem(self->call, get->err);
    else if (api_owns(self->call, get->order.user_id))
        answer_order(self);
}

void orders_get(struct api_call *call)
{
    struct get_call *self = api_alloc(call, sizeof *self);

    if (!self)
        return;
    self->call = call;
    self->get.done = get_done;
    self->get.arena = &call->http->arena;
    self->get.order_id = call->ids[0];
    order_get(call->loop->shop, &self->get);
}

/* ---- a user's orders ---- */

struct list_call {
    struct api_call *call;
    struct order_list list;
};

/* False: answered. */
static bool fill_orders(struct list_call *self, struct order_list_answer *answer)
{
    const struct order_list *list = &self->list;

    answer->orders = api_alloc(self->call, (list->count + 1) * sizeof *answer->orders);
    if (!answer->orders)
        return false;
    for (size_t i = 0; i < list->count; i++) {
        size_t lines = list->orders[i].line_count;
        struct order_item_answer *items = api_alloc(self->call, (lines + 1) * sizeof *items);
        char *number = items ? api_alloc(self->call, ORDER_NUMBER_BYTES) : NULL;
        if (!number)
            return false;
        order_answer_fill(&list->orders[i], items, number, &answer->orders[i]);
    }
    answer->orders_count = list->count;
    return true;
}

static void answer_list(struct list_call *self)
{
    const struct order_list *list = &self->list;
    struct order_list_answer answer = { .total_count = list->total_count,
                                        .next_cursor_is = JSON_NULLED };
    char cursor[API_CURSOR_BYTES];

    if (!fill_orders(self, &answer))
        return;
    if (list->more) {
        answer.next_cursor_is = JSON_GIVEN;
        answer.next_cursor = api_cursor(list->orders[list->count - 1].order_id, cursor);
    }
    api_answer(self->call, 200, &order_list_answer_json, &answer);
}

static void list_done(struct order_list *list)
{
    struct list_call *self = CONTAINER_OF(list, struct list_call, list);

    if (list->err == ERR_NOT_FOUND)
        api_problem(self->call, PROBLEM_USER_NOT_FOUND, "there is no such user");
    else if (list->err != ERR_OK)
        api_store_problem(self->call, list->err);
    else
        answer_list(self);
}

/* False: there is no such status. */
static bool status_of(const struct order_query *query, int *ret_status)
{
    *ret_status = -1;
    if (query->status_is != JSON_GIVEN)
        return true;
    for (const struct json_name *name = order_status_names; name->name; name++)
        if (str_equal_nocase(str_from(name->name), query->status))
            *ret_status = name->value;
    return *ret_status >= 0;
}

void orders_list(struct api_call *call)
{
    const struct order_query *query = call->query;
    struct list_call *self = api_alloc(call, sizeof *self);

    if (!self)
        return;
    self->call = call;
    self->list.done = list_done;
    self->list.arena = &call->http->arena;
    self->list.user_id = query->user_id;
    self->list.limit = api_page_limit(&query->page);
    if (!status_of(query, &self->list.status)) {
        api_invalid(call, "status", "must be PENDING, COMPLETED or CANCELLED");
        return;
    }
    if (!api_page_after(call, &query->page, &self->list.after))
        return;
    order_list(call->loop->shop, &self->list);
}
