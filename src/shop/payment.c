// SPDX-License-Identifier: Apache-2.0
/*
 * Orders, payments, cancellations and charges: one way for all. The ledger decides at once, or
 * holds what is needed and opens an attempt; then the gateway is asked, with nothing held here, and
 * the attempt is settled. A flow outlives its caller: once an attempt is open it goes on until the
 * gateway has answered. What it cannot bring to an end (an unknown outcome, a store that is away)
 * stays open, and the settler ends it.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "shop/shop_internal.h"

struct payment_flow {
    struct list node; /* in loop->payments */
    struct shop_loop *loop;
    struct payment *payment; /* NULL: nobody waits any longer */
    uint64_t deadline_ms;
    enum payment_outcome at_deadline;
    struct loop_timer timer;                 /* the deadline's, or `wake`'s if that is earlier */
    void (*wake)(struct payment_flow *flow); /* NULL: ledger, gate or gateway are at work */
    unsigned waits;
    struct arena arena;          /* lines and key */
    struct ledger_key key;       /* of `asked` */
    struct ledger_command asked; /* as it was handed in */
    struct shop_command command; /* at work: that, or the settling of the attempt */
    struct ledger_attempt attempt;
    struct gateway_call call;
    struct gate_look look;
    struct gate_held held;
    bool attempted;     /* the gateway was asked, or may have been */
    bool coupon_stored; /* the gate said so, then the ledger was asked again */
};

static void order_submit(struct payment_flow *flow);

/* ---- the end ---- */

static void tell(struct payment_flow *flow, enum payment_outcome outcome)
{
    struct payment *payment = flow->payment;
    const struct ledger_command *ledger = &flow->command.ledger;

    if (!payment)
        return;
    flow->payment = NULL;
    payment->outcome = outcome;
    if (outcome == PAYMENT_OK || outcome == PAYMENT_DECLINED) {
        payment->replayed = ledger->key_outcome == LEDGER_KEY_REPLAY;
        payment->status = ledger->status;
        payment->answer = buf_str(&ledger->answer);
    }
    payment->done(payment);
}

static void end(struct payment_flow *flow, enum payment_outcome outcome)
{
    tell(flow, outcome);
    loop_timer_stop(&flow->timer);
    list_remove(&flow->node);
    ledger_command_fini(&flow->command.ledger);
    arena_fini(&flow->arena);
    mem_free(flow);
}

/* Nobody is told twice; what is at work goes on. */
static void deadline_passed(struct payment_flow *flow)
{
    if (flow->wake)
        end(flow, flow->at_deadline);
    else
        tell(flow, flow->at_deadline);
}

void payments_hurry(struct shop_loop *loop)
{
    struct payment_flow *flow;

    LIST_FOREACH (flow, &loop->payments, struct payment_flow, node)
        deadline_passed(flow);
}

/* ---- waiting ---- */

static void timer_fired(struct loop_timer *timer)
{
    struct payment_flow *flow = CONTAINER_OF(timer, struct payment_flow, timer);

    if (flow->wake && loop_now_ms(flow->loop->loop) < flow->deadline_ms)
        flow->wake(flow);
    else
        deadline_passed(flow);
}

static enum err timer_set(struct payment_flow *flow, uint64_t after_ms)
{
    uint64_t now_ms = loop_now_ms(flow->loop->loop);
    uint64_t left_ms = flow->deadline_ms > now_ms ? flow->deadline_ms - now_ms : 0;

    flow->timer.run = timer_fired;
    return loop_timer_start(flow->loop->loop, &flow->timer, MIN(after_ms, left_ms));
}

/* Ledger, gate or gateway are at work from now on. */
static void work_begins(struct payment_flow *flow)
{
    flow->wake = NULL;
    flow->at_deadline = PAYMENT_UNKNOWN;
    if (flow->payment)
        err_ignore(timer_set(flow, UINT64_MAX), "without a timer it takes as long as it takes");
}

/* A little later `wake`; a caller's deadline ends it with `outcome`. Nobody waits for nobody. */
static void wait_a_little(struct payment_flow *flow, void (*wake)(struct payment_flow *flow),
                          enum payment_outcome outcome)
{
    static const uint64_t waits_ms[] = { 5, 10, 20, 40, 50 };
    size_t i = MIN(flow->waits, ARRAY_COUNT(waits_ms) - 1);

    flow->waits++;
    flow->at_deadline = outcome;
    flow->wake = wake;
    if (!flow->payment || flow->loop->draining || timer_set(flow, waits_ms[i]) != ERR_OK)
        end(flow, outcome);
}

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
        wait_a_little(flow, order_submit, PAYMENT_UNKNOWN);
    else
        end(flow, PAYMENT_UNKNOWN);
}

static void settle_done(struct shop_command *command)
{
    struct payment_flow *flow = CONTAINER_OF(command, struct payment_flow, command);
    const struct ledger_attempt_settle *settle = &command->ledger.attempt_settle;

    if (command->ledger.err == ERR_UNCERTAIN) {
        end(flow, PAYMENT_UNKNOWN);
        return;
    }
    if (command->ledger.err != ERR_OK) {
        wait_a_little(flow, settle_again, PAYMENT_UNKNOWN);
        return;
    }
    switch (settle->result.outcome) {
    case LEDGER_ORDER_OK:
        end(flow, PAYMENT_OK);
        return;
    case LEDGER_ORDER_REFUSED:
        end(flow, PAYMENT_DECLINED);
        return;
    case LEDGER_ORDER_ABANDONED:
        end(flow, PAYMENT_UNAVAILABLE);
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
    work_begins(flow);
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

void payment_call_fill(struct gateway_call *call, const struct ledger_attempt *attempt)
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
    snprintf(call->key, sizeof call->key, "%s-%" PRId64 "-%" PRId64, names[attempt->kind],
             attempt->subject_id, attempt->number);
    _Static_assert(sizeof call->refunded_id == sizeof attempt->refunded_id, "the same text");
    memcpy(call->refunded_id, attempt->refunded_id, sizeof call->refunded_id);
}

static void gateway_answered(struct gateway_call *call)
{
    struct payment_flow *flow = CONTAINER_OF(call, struct payment_flow, call);

    if (call->outcome == GATEWAY_UNKNOWN) {
        LOG(LOG_WARN, "payment attempt of unknown outcome", LOG_CSTR("attempt", call->key),
            LOG_INT("user", call->user_id), LOG_INT("amount", call->amount));
        end(flow, PAYMENT_UNKNOWN); /* the settler goes on */
        return;
    }
    if (call->outcome == GATEWAY_UNSENT)
        flow->attempted = false;
    settle_submit(flow);
}

static void gateway_ask(struct payment_flow *flow, const struct ledger_attempt *attempt)
{
    work_begins(flow);
    flow->attempt = *attempt;
    payment_call_fill(&flow->call, &flow->attempt);
    if (!flow->loop->gateway) { /* a refund, and the gateway was configured away since */
        flow->call.outcome = GATEWAY_UNSENT;
        settle_submit(flow);
        return;
    }
    flow->attempted = true;
    flow->call.done = gateway_answered;
    gateway_start(flow->loop->gateway, &flow->call);
}

/* ---- a coupon that is granted, and not stored yet ---- */

static void coupon_look(struct payment_flow *flow);

static void coupon_looked(struct gate_look *look)
{
    struct payment_flow *flow = CONTAINER_OF(look, struct payment_flow, look);

    if (look->err != ERR_OK || (flow->held.slot && flow->held.pending)) {
        wait_a_little(flow, coupon_look, PAYMENT_UNAVAILABLE);
    } else if (flow->held.slot && flow->payment) {
        flow->coupon_stored = true; /* by now: only what the ledger says next counts */
        order_submit(flow);
    } else {
        end(flow, PAYMENT_INVALID_COUPON);
    }
}

static void coupon_look(struct payment_flow *flow)
{
    work_begins(flow);
    flow->at_deadline = PAYMENT_UNAVAILABLE;
    flow->held = (struct gate_held){ .coupon_id = flow->asked.order_create.coupon_id };
    flow->look = (struct gate_look){ .done = coupon_looked,
                                     .user_id = flow->asked.order_create.user_id,
                                     .held = &flow->held,
                                     .held_count = 1 };
    gate_look(flow->loop->gate, &flow->look);
}

static void coupon_invalid(struct payment_flow *flow)
{
    if (flow->asked.op == LEDGER_ORDER_CREATE && !flow->coupon_stored &&
        catalog_find(flow->loop->shop->catalog, flow->asked.order_create.coupon_id))
        coupon_look(flow);
    else
        end(flow, PAYMENT_INVALID_COUPON);
}

/* ---- the ledger's first answer ---- */

static void refuse(struct payment_flow *flow, const struct ledger_order_result *result,
                   enum payment_outcome outcome)
{
    if (flow->payment)
        flow->payment->product_id = result->product_id;
    end(flow, outcome);
}

static void order_decided(struct payment_flow *flow, const struct ledger_order_result *result)
{
    if (flow->payment)
        flow->payment->order_id = result->order_id;
    switch (result->outcome) {
    case LEDGER_ORDER_OK:
        end(flow, PAYMENT_OK);
        return;
    case LEDGER_ORDER_HELD:
        gateway_ask(flow, &result->attempt);
        return;
    case LEDGER_ORDER_BUSY:
        wait_a_little(flow, order_submit, PAYMENT_BUSY);
        return;
    case LEDGER_ORDER_REFUSED:
        end(flow, PAYMENT_DECLINED);
        return;
    case LEDGER_ORDER_NO_USER:
        end(flow, PAYMENT_NO_USER);
        return;
    case LEDGER_ORDER_NO_ORDER:
        end(flow, PAYMENT_NO_ORDER);
        return;
    case LEDGER_ORDER_NOT_OWNER:
        end(flow, PAYMENT_NOT_OWNER);
        return;
    case LEDGER_ORDER_INVALID_STATUS:
        end(flow, PAYMENT_INVALID_STATUS);
        return;
    case LEDGER_ORDER_NO_LINES:
        end(flow, PAYMENT_NO_LINES);
        return;
    case LEDGER_ORDER_NO_PRODUCT:
        refuse(flow, result, PAYMENT_NO_PRODUCT);
        return;
    case LEDGER_ORDER_INSUFFICIENT_STOCK:
        refuse(flow, result, PAYMENT_INSUFFICIENT_STOCK);
        return;
    case LEDGER_ORDER_INVALID_COUPON:
        coupon_invalid(flow);
        return;
    case LEDGER_ORDER_EXPIRED_COUPON:
        end(flow, PAYMENT_EXPIRED_COUPON);
        return;
    case LEDGER_ORDER_OVERFLOW:
        end(flow, PAYMENT_OVERFLOW);
        return;
    case LEDGER_ORDER_INSUFFICIENT_BALANCE:
        end(flow, PAYMENT_INSUFFICIENT_BALANCE);
        return;
    case LEDGER_ORDER_STALE:
    case LEDGER_ORDER_ABANDONED:
        break;
    }
    ASSERT(false && "not an outcome of an order");
}

static void charge_decided(struct payment_flow *flow, const struct ledger_charge *charge)
{
    switch (charge->outcome) {
    case LEDGER_CHARGE_OK:
        end(flow, PAYMENT_OK);
        return;
    case LEDGER_CHARGE_NO_USER:
        end(flow, PAYMENT_NO_USER);
        return;
    case LEDGER_CHARGE_INVALID_AMOUNT:
        end(flow, PAYMENT_INVALID_AMOUNT);
        return;
    case LEDGER_CHARGE_HELD:
        gateway_ask(flow, &charge->attempt);
        return;
    case LEDGER_CHARGE_BUSY:
        wait_a_little(flow, order_submit, PAYMENT_BUSY);
        return;
    case LEDGER_CHARGE_REFUSED:
        end(flow, PAYMENT_DECLINED);
        return;
    }
}

/* An attempt of this very flow may have gone through, whatever became of this command. */
static enum payment_outcome outcome_of(const struct payment_flow *flow, enum err e)
{
    if (e == ERR_UNCERTAIN || flow->attempted)
        return PAYMENT_UNKNOWN;
    return e == ERR_OVERLOADED ? PAYMENT_OVERLOADED : PAYMENT_UNAVAILABLE;
}

static void order_done(struct shop_command *command)
{
    struct payment_flow *flow = CONTAINER_OF(command, struct payment_flow, command);
    const struct ledger_command *ledger = &command->ledger;

    if (ledger->err != ERR_OK)
        end(flow, outcome_of(flow, ledger->err));
    else if (ledger->key_outcome == LEDGER_KEY_REUSED)
        end(flow, PAYMENT_KEY_REUSED);
    else if (ledger->op == LEDGER_ORDER_CREATE)
        order_decided(flow, &ledger->order_create.result);
    else if (ledger->op == LEDGER_ORDER_PAY)
        order_decided(flow, &ledger->order_pay.result);
    else if (ledger->op == LEDGER_ORDER_CANCEL)
        order_decided(flow, &ledger->order_cancel.result);
    else
        charge_decided(flow, &ledger->charge);
}

static void order_submit(struct payment_flow *flow)
{
    work_begins(flow);
    ledger_command_fini(&flow->command.ledger);
    flow->command.done = order_done;
    flow->command.ledger = flow->asked;
    shop_command(flow->loop, &flow->command);
}

/* ---- begin ---- */

static enum err copy_input(struct payment_flow *flow)
{
    struct ledger_command *asked = &flow->asked;

    if (asked->key) {
        flow->key = *asked->key;
        flow->key.key = arena_copy(&flow->arena, flow->key.key);
        asked->key = &flow->key;
        if (!flow->key.key.ptr)
            return ERR_NOMEM;
    }
    if (asked->op != LEDGER_ORDER_CREATE || asked->order_create.line_count == 0)
        return ERR_OK;
    size_t bytes = asked->order_create.line_count * sizeof *asked->order_create.lines;
    struct order_line *lines = arena_alloc(&flow->arena, bytes);
    if (!lines)
        return ERR_NOMEM;
    memcpy(lines, asked->order_create.lines, bytes);
    asked->order_create.lines = lines;
    return ERR_OK;
}

static void no_memory(struct loop_task *task)
{
    struct payment *payment = CONTAINER_OF(task, struct payment, task);

    payment->outcome = PAYMENT_OVERLOADED;
    payment->done(payment);
}

void payment_start(struct shop_loop *loop, struct payment *payment)
{
    struct payment_flow *flow = mem_alloc(sizeof *flow);

    if (flow) {
        flow->asked = payment->command;
        list_init(&flow->node);
    }
    if (!flow || copy_input(flow) != ERR_OK) {
        if (flow)
            arena_fini(&flow->arena);
        mem_free(flow);
        payment->task.run = no_memory;
        loop_post(loop->loop, &payment->task);
        return;
    }
    flow->loop = loop;
    flow->payment = payment;
    flow->deadline_ms = loop_now_ms(loop->loop) + (uint64_t)loop->shop->config->request_deadline_ms;
    list_append(&loop->payments, &flow->node);
    order_submit(flow);
}
