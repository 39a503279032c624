// SPDX-License-Identifier: Apache-2.0
#include "api/users.h"

#include "api/api_json.h"
#include "api/orders.h"
#include "base/log.h"

struct user_answer {
    int64_t user_id, balance;
    struct str username, email;
};
static const struct json_row user_answer_rows[] = {
    JSON_INT64(user_answer, user_id, "userId", 1, INT64_MAX, "Id.", "1", JSON_REQUIRED),
    JSON_STR(user_answer, username, "username", 0, 200, "Name.", "user1", JSON_REQUIRED),
    JSON_STR(user_answer, email, "email", 0, 200, "Address.", "user1@example.com", JSON_REQUIRED),
    JSON_INT64(user_answer, balance, "balance", 0, INT64_MAX, "Won.", "100000", JSON_REQUIRED),
};
const JSON_ANSWER(user_answer, "User", "A user.");

struct balance_answer {
    int64_t user_id, balance;
};
static const struct json_row balance_answer_rows[] = {
    JSON_INT64(balance_answer, user_id, "userId", 1, INT64_MAX, "Id.", "1", JSON_REQUIRED),
    JSON_INT64(balance_answer, balance, "balance", 0, INT64_MAX, "Won.", "100000", JSON_REQUIRED),
};
const JSON_ANSWER(balance_answer, "Balance", "A user's balance.");

static const struct json_row charge_body_rows[] = {
    JSON_INT64(charge_body, amount, "amount", INT64_MIN, INT64_MAX,
               "Won to add, 1 up to charge.max.", "10000", JSON_REQUIRED, JSON_TOLD_MIN(1)),
    JSON_STR(charge_body, idempotency_key, "idempotencyKey", 1, 100,
             "Names this charge: the same key again is answered with the same bytes. May be given"
             " as the header Idempotency-Key instead.",
             "charge-1", JSON_NULLABLE_KEY(charge_body, idempotency_key)),
};
const JSON_BODY(charge_body, "ChargeRequest", "How much to add.");

static const struct json_row charge_answer_rows[] = {
    JSON_INT64(charge_answer, user_id, "userId", 1, INT64_MAX, "Id.", "1", JSON_REQUIRED),
    JSON_INT64(charge_answer, balance, "balance", 0, INT64_MAX, "Won, after the charge.", "110000",
               JSON_REQUIRED),
    JSON_INT64(charge_answer, charged_amount, "chargedAmount", 1, INT64_MAX, "Won.", "10000",
               JSON_REQUIRED),
    JSON_TIME(charge_answer, charged_at_ms, "chargedAt", "When.", EXAMPLE_TIME, JSON_REQUIRED),
};
const JSON_ANSWER(charge_answer, "Charge", "A charge that was made.");

/* ---- looking ---- */

struct get_call {
    struct api_call *call;
    struct user_get get;
};

/* False: answered, and `self` is gone with the request. */
static bool got(const struct get_call *self)
{
    enum err e = self->get.err;

    if (e == ERR_NOT_FOUND)
        api_problem(self->call, PROBLEM_USER_NOT_FOUND, "there is no such user");
    else if (e != ERR_OK)
        api_store_problem(self->call, e);
    return e == ERR_OK;
}

static void get_done(struct user_get *get)
{
    struct get_call *self = CONTAINER_OF(get, struct get_call, get);

    if (got(self))
        api_answer(self->call, 200, &user_answer_json,
                   &(struct user_answer){ .user_id = get->user.user_id,
                                          .balance = get->user.balance,
                                          .username = get->user.username,
                                          .email = get->user.email });
}

static void balance_done(struct user_get *get)
{
    struct get_call *self = CONTAINER_OF(get, struct get_call, get);

    if (got(self))
        api_answer(self->call, 200, &balance_answer_json,
                   &(struct balance_answer){ get->user.user_id, get->user.balance });
}

static void get_user(struct api_call *call, void (*done)(struct user_get *get))
{
    struct get_call *self = api_alloc(call, sizeof *self);

    if (!self)
        return;
    self->call = call;
    self->get.done = done;
    self->get.arena = &call->http->arena;
    self->get.user_id = call->ids[0];
    user_get(call->loop->shop, &self->get);
}

void users_get(struct api_call *call)
{
    get_user(call, get_done);
}

void users_balance(struct api_call *call)
{
    get_user(call, balance_done);
}

/* ---- charge ---- */

struct charge_call {
    struct api_call *call;
    struct payment payment;
    struct ledger_key key;
};

static void charge_done(struct payment *payment)
{
    struct charge_call *self = CONTAINER_OF(payment, struct charge_call, payment);
    const struct ledger_charge *charge = &payment->command.charge;

    if (payment->outcome == PAYMENT_OK || payment->outcome == PAYMENT_DECLINED)
        LOG(LOG_INFO, "charge", LOG_STR("request", self->call->http->request_id),
            LOG_CSTR("outcome", payment->replayed                ? "replayed"
                                : payment->outcome == PAYMENT_OK ? "charged"
                                                                 : "declined"),
            LOG_INT("user", charge->user_id), LOG_INT("amount", charge->amount),
            LOG_INT("duration_us", api_elapsed_us(self->call)), API_LOG_BY(self->call));
    payment_respond(self->call, payment);
}

/* Money does not come from nowhere: in prod the gateway takes it from somebody, where there is one;
 * without one an administrator vouches for it. */
static bool asks_gateway(const struct api_call *call)
{
    return call->loop->api->config->profile == CONFIG_PROD && call->loop->shop->shop->gateway;
}

void users_charge(struct api_call *call)
{
    const struct charge_body *body = call->body;
    struct json_fingerprint print = { 0 };
    struct charge_call *self = api_alloc(call, sizeof *self);

    if (!self)
        return;
    self->call = call;
    self->key.user_id = call->ids[0];
    self->key.operation = LEDGER_OPERATION_CHARGE;
    self->key.key = call->key;
    json_fingerprint_int(&print, STR("userId"), call->ids[0]);
    json_fingerprint_object(&print, &charge_body_json, body);
    json_fingerprint_end(&print, self->key.fingerprint);
    self->payment.done = charge_done;
    self->payment.command.op = LEDGER_CHARGE;
    self->payment.command.key = &self->key;
    self->payment.command.render = orders_render;
    self->payment.command.charge =
        (struct ledger_charge){ .user_id = call->ids[0],
                                .amount = body->amount,
                                .amount_max = call->loop->api->config->charge_max,
                                .gateway = asks_gateway(call) };
    payment_start(call->loop->shop, &self->payment);
}
