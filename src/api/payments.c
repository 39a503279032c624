// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>
#include <stdio.h>

#include "api/orders.h"
#include "base/assert.h"

static const struct refusal {
    const char *name;
    enum problem problem;
    const char *why;
} refusals[PAYMENT_OUTCOME_N] = {
    [PAYMENT_OK] = { "done", PROBLEM_COUNT, NULL },
    [PAYMENT_DECLINED] = { "declined", PROBLEM_COUNT, NULL },
    [PAYMENT_NO_USER] = { "no user", PROBLEM_USER_NOT_FOUND, "there is no such user" },
    [PAYMENT_NO_ORDER] = { "no order", PROBLEM_ORDER_NOT_FOUND, "there is no such order" },
    [PAYMENT_NOT_OWNER] = { "not owner", PROBLEM_FORBIDDEN, "the order is another user's" },
    [PAYMENT_INVALID_STATUS] = { "invalid status", PROBLEM_INVALID_ORDER_STATUS,
                                 "the order's status does not allow it" },
    [PAYMENT_NO_LINES] = { "invalid items", PROBLEM_COUNT, NULL },
    [PAYMENT_NO_PRODUCT] = { "no product", PROBLEM_PRODUCT_NOT_FOUND, "there is no such product" },
    [PAYMENT_INSUFFICIENT_STOCK] = { "insufficient stock", PROBLEM_INSUFFICIENT_STOCK,
                                     "more is wanted than there is" },
    [PAYMENT_INVALID_COUPON] = { "invalid coupon", PROBLEM_INVALID_COUPON,
                                 "the user does not have this coupon, or it is used up" },
    [PAYMENT_EXPIRED_COUPON] = { "expired coupon", PROBLEM_EXPIRED_COUPON,
                                 "the coupon has expired" },
    [PAYMENT_OVERFLOW] = { "overflow", PROBLEM_INVALID_INPUT, "the sum is too large" },
    [PAYMENT_INSUFFICIENT_BALANCE] = { "insufficient balance", PROBLEM_INSUFFICIENT_BALANCE,
                                       "the balance is below the order's total" },
    [PAYMENT_INVALID_AMOUNT] = { "invalid amount", PROBLEM_INVALID_CHARGE_AMOUNT,
                                 "the amount is below 1, above the maximum, or the balance would"
                                 " overflow" },
    [PAYMENT_KEY_REUSED] = { "key reused", PROBLEM_IDEMPOTENCY_KEY_REUSED,
                             "this key was used with other values; take a new one" },
    [PAYMENT_BUSY] = { "busy", PROBLEM_DUPLICATE_REQUEST,
                       "the same key, or the same order, is still being worked on; try again" },
    [PAYMENT_OVERLOADED] = { "overloaded", PROBLEM_OVERLOADED,
                             "too many wait already; nothing was done; try again" },
    [PAYMENT_UNAVAILABLE] = { "unavailable", PROBLEM_STORE_UNAVAILABLE,
                              "a store, or the payment gateway, is away; nothing was done" },
    [PAYMENT_UNKNOWN] = { "unknown", PROBLEM_STORE_UNAVAILABLE,
                          "the outcome is not known; repeat the call, with the same key" },
};

const char *payment_outcome_name(enum payment_outcome outcome)
{
    return refusals[outcome].name;
}

static void respond_done(struct api_call *call, const struct payment *payment)
{
    struct str type =
        payment->status < 400 ? STR("application/json") : STR("application/problem+json");

    if (payment->replayed)
        metrics_add(call->loop->metrics, METRIC_idempotent_replays, 1);
    http_respond(call->http, payment->status, type, payment->answer);
}

static void respond_product(struct api_call *call, const struct payment *payment)
{
    const struct refusal *refusal = &refusals[payment->outcome];
    char why[100];

    snprintf(why, sizeof why, "product %" PRId64 ": %s", payment->product_id, refusal->why);
    api_problem(call, refusal->problem, why);
}

void payment_respond(struct api_call *call, const struct payment *payment)
{
    const struct refusal *refusal = &refusals[payment->outcome];

    switch (payment->outcome) {
    case PAYMENT_OK:
    case PAYMENT_DECLINED:
        respond_done(call, payment);
        return;
    case PAYMENT_NO_PRODUCT:
    case PAYMENT_INSUFFICIENT_STOCK:
        respond_product(call, payment);
        return;
    default:
        ASSERT(refusal->why);
        api_problem(call, refusal->problem, refusal->why);
    }
}
