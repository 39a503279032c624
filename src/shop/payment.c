// SPDX-License-Identifier: Apache-2.0
/*
 * Orders, payments, cancellations and charges: one way for all. The ledger decides at once, or
 * holds what is needed and opens an attempt; then the gateway is asked, with nothing held here, and
 * the attempt is settled. A flow outlives its caller: once an attempt is open it goes on until the
 * gateway has answered. What it cannot bring to an end (an unknown outcome, a store that is away)
 * stays open, and the settler ends it.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "shop/payment_internal.h"

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

void payment_flow_end(struct payment_flow *flow, enum payment_outcome outcome)
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
        payment_flow_end(flow, flow->at_deadline);
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
void payment_flow_works(struct payment_flow *flow)
{
    flow->wake = NULL;
    flow->at_deadline = PAYMENT_UNKNOWN;
    if (flow->payment)
        err_ignore(timer_set(flow, UINT64_MAX), "without a timer it takes as long as it takes");
}

/* A little later `wake`; a caller's deadline ends it with `outcome`. Nobody waits for nobody. */
void payment_flow_waits(struct payment_flow *flow, void (*wake)(struct payment_flow *flow),
                        enum payment_outcome outcome)
{
    static const uint64_t waits_ms[] = { 5, 10, 20, 40, 50 };
    size_t i = MIN(flow->waits, ARRAY_COUNT(waits_ms) - 1);

    flow->waits++;
    flow->at_deadline = outcome;
    flow->wake = wake;
    if (!flow->payment || flow->loop->draining || timer_set(flow, waits_ms[i]) != ERR_OK)
        payment_flow_end(flow, outcome);
}

/* ---- a coupon that is granted, and not stored yet ---- */

static void coupon_look(struct payment_flow *flow);

static void coupon_looked(struct gate_look *look)
{
    struct payment_flow *flow = CONTAINER_OF(look, struct payment_flow, look);

    if (look->err != ERR_OK || (flow->held.slot && flow->held.pending)) {
        payment_flow_waits(flow, coupon_look, PAYMENT_UNAVAILABLE);
    } else if (flow->held.slot && flow->payment) {
        flow->coupon_stored = true; /* by now: only what the ledger says next counts */
        payment_flow_submit(flow);
    } else {
        payment_flow_end(flow, PAYMENT_INVALID_COUPON);
    }
}

static void coupon_look(struct payment_flow *flow)
{
    payment_flow_works(flow);
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
        payment_flow_end(flow, PAYMENT_INVALID_COUPON);
}

/* ---- the ledger's first answer ---- */

static void refuse(struct payment_flow *flow, const struct ledger_order_result *result,
                   enum payment_outcome outcome)
{
    if (flow->payment)
        flow->payment->product_id = result->product_id;
    payment_flow_end(flow, outcome);
}

static void order_decided(struct payment_flow *flow, const struct ledger_order_result *result)
{
    if (flow->payment)
        flow->payment->order_id = result->order_id;
    switch (result->outcome) {
    case LEDGER_ORDER_OK:
        payment_flow_end(flow, PAYMENT_OK);
        return;
    case LEDGER_ORDER_HELD:
        payment_flow_attempt(flow, &result->attempt);
        return;
    case LEDGER_ORDER_BUSY:
        payment_flow_waits(flow, payment_flow_submit, PAYMENT_BUSY);
        return;
    case LEDGER_ORDER_REFUSED:
        payment_flow_end(flow, PAYMENT_DECLINED);
        return;
    case LEDGER_ORDER_NO_USER:
        payment_flow_end(flow, PAYMENT_NO_USER);
        return;
    case LEDGER_ORDER_NO_ORDER:
        payment_flow_end(flow, PAYMENT_NO_ORDER);
        return;
    case LEDGER_ORDER_NOT_OWNER:
        payment_flow_end(flow, PAYMENT_NOT_OWNER);
        return;
    case LEDGER_ORDER_INVALID_STATUS:
        payment_flow_end(flow, PAYMENT_INVALID_STATUS);
        return;
    case LEDGER_ORDER_NO_LINES:
        payment_flow_end(flow, PAYMENT_NO_LINES);
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
        payment_flow_end(flow, PAYMENT_EXPIRED_COUPON);
        return;
    case LEDGER_ORDER_OVERFLOW:
        payment_flow_end(flow, PAYMENT_OVERFLOW);
        return;
    case LEDGER_ORDER_INSUFFICIENT_BALANCE:
        payment_flow_end(flow, PAYMENT_INSUFFICIENT_BALANCE);
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
        payment_flow_end(flow, PAYMENT_OK);
        return;
    case LEDGER_CHARGE_NO_USER:
        payment_flow_end(flow, PAYMENT_NO_USER);
        return;
    case LEDGER_CHARGE_INVALID_AMOUNT:
        payment_flow_end(flow, PAYMENT_INVALID_AMOUNT);
        return;
    case LEDGER_CHARGE_HELD:
        payment_flow_attempt(flow, &charge->attempt);
        return;
    case LEDGER_CHARGE_BUSY:
        payment_flow_waits(flow, payment_flow_submit, PAYMENT_BUSY);
        return;
    case LEDGER_CHARGE_REFUSED:
        payment_flow_end(flow, PAYMENT_DECLINED);
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
        payment_flow_end(flow, outcome_of(flow, ledger->err));
    else if (ledger->key_outcome == LEDGER_KEY_REUSED)
        payment_flow_end(flow, PAYMENT_KEY_REUSED);
    else if (ledger->op == LEDGER_ORDER_CREATE)
        order_decided(flow, &ledger->order_create.result);
    else if (ledger->op == LEDGER_ORDER_PAY)
        order_decided(flow, &ledger->order_pay.result);
    else if (ledger->op == LEDGER_ORDER_CANCEL)
        order_decided(flow, &ledger->order_cancel.result);
    else
        charge_decided(flow, &ledger->charge);
}

void payment_flow_submit(struct payment_flow *flow)
{
    payment_flow_works(flow);
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
    payment_flow_submit(flow);
}
