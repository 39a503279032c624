// SPDX-License-Identifier: Apache-2.0
/* An open attempt: the gateway is asked, with nothing held here, and its answer settles it. */
#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/log.h"
#include "shop/payment_internal.h"

/* ---- settling ---- */

static void settle_submit(struct payment_flow *flow);

static void settle_again(struct payment_flow *flow)
{
    settle_submit(flow);
}

/* Somebody else has the say: with a key their answer can be had. */
static void settle_stale(struct payment_flow *flow)
{
    if (flow->asked.key)
        payment_flow_waits(flow, payment_flow_submit, PAYMENT_UNKNOWN);
    else
        payment_flow_end(flow, PAYMENT_UNKNOWN);
}

static void settle_done(struct shop_command *command)
{
    struct payment_flow *flow = CONTAINER_OF(command, struct payment_flow, command);
    const struct ledger_attempt_settle *settle = &command->ledger.attempt_settle;

    if (command->ledger.err == ERR_UNCERTAIN) {
        payment_flow_end(flow, PAYMENT_UNKNOWN);
        return;
    }
    if (command->ledger.err != ERR_OK) {
        payment_flow_waits(flow, settle_again, PAYMENT_UNKNOWN);
        return;
    }
    switch (settle->result.outcome) {
    case LEDGER_ORDER_OK:
        payment_flow_end(flow, PAYMENT_OK);
        return;
    case LEDGER_ORDER_REFUSED:
        payment_flow_end(flow, PAYMENT_DECLINED);
        return;
    case LEDGER_ORDER_ABANDONED:
        payment_flow_end(flow, PAYMENT_UNAVAILABLE);
        return;
    case LEDGER_ORDER_STALE:
        settle_stale(flow);
        return;
    case LEDGER_ORDER_HELD:
    case LEDGER_ORDER_BUSY:
    case LEDGER_ORDER_NO_USER:
    case LEDGER_ORDER_NO_ORDER:
    case LEDGER_ORDER_NOT_OWNER:
    case LEDGER_ORDER_INVALID_STATUS:
    case LEDGER_ORDER_NO_LINES:
    case LEDGER_ORDER_NO_PRODUCT:
    case LEDGER_ORDER_INSUFFICIENT_STOCK:
    case LEDGER_ORDER_INVALID_COUPON:
    case LEDGER_ORDER_EXPIRED_COUPON:
    case LEDGER_ORDER_OVERFLOW:
    case LEDGER_ORDER_INSUFFICIENT_BALANCE:
        break;
    }
    ASSERT(false && "not an outcome of settling");
}

static enum ledger_attempt_answer answer_of(enum gateway_outcome outcome)
{
    switch (outcome) {
    case GATEWAY_APPROVED:
        return LEDGER_ATTEMPT_APPROVED;
    case GATEWAY_REFUSED:
        return LEDGER_ATTEMPT_REFUSED;
    case GATEWAY_UNSENT:
        return LEDGER_ATTEMPT_UNASKED;
    case GATEWAY_UNKNOWN:
        break;
    }
    ASSERT(false && "an unknown outcome is not settled");
    return LEDGER_ATTEMPT_UNASKED;
}

static void settle_submit(struct payment_flow *flow)
{
    payment_flow_works(flow);
    ledger_command_fini(&flow->command.ledger);
    flow->command.done = settle_done;
    flow->command.ledger =
        (struct ledger_command){ .op = LEDGER_ATTEMPT_SETTLE, .render = flow->asked.render };
    payment_settle_fill(&flow->command.ledger.attempt_settle, &flow->attempt,
                        answer_of(flow->call.outcome), &flow->call);
    shop_command(flow->loop, &flow->command);
}

/* ---- the gateway ---- */

void payment_settle_fill(struct ledger_attempt_settle *settle, const struct ledger_attempt *attempt,
                         enum ledger_attempt_answer answer, const struct gateway_call *call)
{
    *settle = (struct ledger_attempt_settle){ .kind = attempt->kind,
                                              .subject_id = attempt->subject_id,
                                              .number = attempt->number,
                                              .claim = attempt->claim,
                                              .answer = answer };
    _Static_assert(sizeof settle->transaction_id == sizeof call->transaction_id, "the same text");
    if (answer == LEDGER_ATTEMPT_APPROVED)
        memcpy(settle->transaction_id, call->transaction_id, sizeof settle->transaction_id);
}

void payment_call_fill(const struct shop *shop, struct gateway_call *call,
                       const struct ledger_attempt *attempt)
{
    static const char *const names[] = { [LEDGER_ATTEMPT_PAYMENT] = "order",
                                         [LEDGER_ATTEMPT_CHARGE] = "charge",
                                         [LEDGER_ATTEMPT_REFUND] = "refund" };

    *call = (struct gateway_call){
        .op = attempt->kind == LEDGER_ATTEMPT_REFUND ? GATEWAY_REFUND : GATEWAY_CHARGE,
        .client_key = str_from(attempt->client_key),
        .user_id = attempt->user_id,
        .order_id = attempt->kind == LEDGER_ATTEMPT_CHARGE ? 0 : attempt->subject_id,
        .amount = attempt->amount,
    };
    snprintf(call->key, sizeof call->key, "%s-%" PRId64 "-%" PRId64 "%s", names[attempt->kind],
             attempt->subject_id, attempt->number, shop->gateway_key_end);
    _Static_assert(sizeof call->refunded_id == sizeof attempt->refunded_id, "the same text");
    memcpy(call->refunded_id, attempt->refunded_id, sizeof call->refunded_id);
}

static void gateway_answered(struct gateway_call *call)
{
    struct payment_flow *flow = CONTAINER_OF(call, struct payment_flow, call);

    if (call->outcome == GATEWAY_UNKNOWN) {
        LOG(LOG_WARN, "payment attempt of unknown outcome", LOG_CSTR("attempt", call->key),
            LOG_INT("user", call->user_id), LOG_INT("amount", call->amount));
        payment_flow_end(flow, PAYMENT_UNKNOWN); /* the settler goes on */
        return;
    }
    if (call->outcome == GATEWAY_UNSENT)
        flow->attempted = false;
    settle_submit(flow);
}

void payment_flow_attempt(struct payment_flow *flow, const struct ledger_attempt *attempt)
{
    payment_flow_works(flow);
    flow->attempt = *attempt;
    payment_call_fill(flow->loop->shop, &flow->call, &flow->attempt);
    if (!flow->loop->gateway) { /* a refund, and the gateway was configured away since */
        flow->call.outcome = GATEWAY_UNSENT;
        settle_submit(flow);
        return;
    }
    flow->attempted = true;
    flow->call.done = gateway_answered;
    gateway_start(flow->loop->gateway, &flow->call);
}
