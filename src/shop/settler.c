// SPDX-License-Identifier: Apache-2.0
/*
 * Attempts to pay that nobody ends: their server is gone, or the gateway has not said what became
 * of them. Each is claimed, so that whoever had it before has no say any more, and the same keyed
 * call is made again, until the gateway has decided; an attempt that is open for too long is made
 * void at the gateway and given back. A void that nobody has answered may still arrive, and would
 * undo what was approved meanwhile: it is repeated, and the call itself comes again only after the
 * gateway has refused the void.
 */
#include <inttypes.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "shop/shop_internal.h"

enum { EVERY_MS = 1000, EVERY_MS_MIN = 50, RETRY_MS_MAX = 60000, TOLD_EVERY_MS = 60000 };
enum { SETTLEMENTS_MAX = 1000, ASKING_MAX = 32, GATEWAY_SLACK_MS = 2000 };

struct settlement {
    struct list node; /* in settler->settlements */
    struct settler *settler;
    struct ledger_attempt attempt;
    enum {
        WAITING, /* until due_ms */
        CLAIMING,
        ASKING,
        SETTLING,
    } state;
    uint64_t due_ms, retry_ms;
    bool claimed, voiding;
    bool void_refused; /* just now */
    struct shop_command command;
    struct gateway_call call;
};

/* Every second, or as often as attempts are to be settled. */
static uint64_t every_ms(const struct settler *settler)
{
    int64_t after_ms = settler_after_ms(settler->loop->shop);

    return (uint64_t)MAX(EVERY_MS_MIN, MIN(EVERY_MS, after_ms));
}

static void settlement_free(struct settlement *self)
{
    list_remove(&self->node);
    self->settler->count--;
    ledger_command_fini(&self->command.ledger);
    mem_free(self);
}

static void count(const struct settler *settler, enum metric id)
{
    if (settler->loop->metrics)
        metrics_add(settler->loop->metrics, id, 1);
}

static void log_attempt(const struct settlement *self, enum log_level level, const char *what)
{
    LOG(level, what, LOG_CSTR("attempt", self->call.key), LOG_INT("user", self->attempt.user_id),
        LOG_INT("amount", self->attempt.amount), LOG_INT("claim", self->attempt.claim),
        LOG_INT("age_ms", clock_wall_ms() - self->attempt.started_at_ms));
}

/* Later, and later from time to time: 1 s to a minute, a fifth of it at random. */
static void try_later(struct settlement *self)
{
    uint64_t spread_ms = self->retry_ms / 5;

    if (self->settler->loop->draining) {
        settlement_free(self);
        return;
    }
    self->state = WAITING;
    self->due_ms =
        loop_now_ms(self->settler->loop->loop) + self->retry_ms - spread_ms +
        hash_u64(clock_mono_ns() ^ (uint64_t)self->attempt.subject_id) % (2 * spread_ms + 1);
    self->retry_ms = MIN(2 * self->retry_ms, (uint64_t)RETRY_MS_MAX);
    count(self->settler, METRIC_payment_retries);
}

/* ---- settling ---- */

static void settle_done(struct shop_command *command)
{
    struct settlement *self = CONTAINER_OF(command, struct settlement, command);

    if (command->ledger.err != ERR_OK) { /* asked again, the gateway says the same */
        try_later(self);
        return;
    }
    switch (command->ledger.attempt_settle.result.outcome) {
    case LEDGER_ORDER_OK:
        count(self->settler, METRIC_payment_settled_approved);
        log_attempt(self, LOG_INFO, "payment attempt settled: approved");
        break;
    case LEDGER_ORDER_REFUSED:
        count(self->settler,
              self->voiding ? METRIC_payment_settled_voided : METRIC_payment_settled_refused);
        log_attempt(self, LOG_INFO,
                    self->voiding ? "payment attempt settled: void"
                                  : "payment attempt settled: refused");
        break;
    default: /* somebody else has claimed it */
        break;
    }
    settlement_free(self);
}

static void settle(struct settlement *self, enum ledger_attempt_answer answer)
{
    struct shop_loop *loop = self->settler->loop;

    self->state = SETTLING;
    ledger_command_fini(&self->command.ledger);
    self->command.done = settle_done;
    self->command.ledger = (struct ledger_command){ .op = LEDGER_ATTEMPT_SETTLE,
                                                    .render = loop->shop->render_settled };
    payment_settle_fill(&self->command.ledger.attempt_settle, &self->attempt, answer, &self->call);
    shop_command(loop, &self->command);
}

/* ---- the gateway ---- */

static void gateway_answered(struct gateway_call *call)
{
    struct settlement *self = CONTAINER_OF(call, struct settlement, call);

    self->settler->asking--;
    self->void_refused = self->voiding && call->outcome == GATEWAY_REFUSED;
    if (call->outcome == GATEWAY_APPROVED)
        settle(self, self->voiding ? LEDGER_ATTEMPT_VOIDED : LEDGER_ATTEMPT_APPROVED);
    else if (call->outcome == GATEWAY_REFUSED && !self->voiding)
        settle(self, LEDGER_ATTEMPT_REFUSED);
    else /* not known, or it cannot be undone */
        try_later(self);
}

static void gateway_ask(struct settlement *self)
{
    self->state = ASKING;
    payment_call_fill(self->settler->loop->shop, &self->call, &self->attempt);
    if (self->voiding)
        self->call.op = GATEWAY_VOID;
    self->call.done = gateway_answered;
    gateway_start(self->settler->loop->gateway, &self->call);
}

/* ---- the claim ---- */

/* A void that was sent may arrive late: nobody charges after it, unless it was refused. */
static bool should_void(const struct settlement *self, int64_t now_ms)
{
    int64_t age_ms = now_ms - self->attempt.started_at_ms;
    bool is_old = age_ms >= self->settler->loop->shop->config->payment_void_after_ms;

    return !self->void_refused && (self->voiding || is_old);
}

static void claim_done(struct shop_command *command)
{
    struct settlement *self = CONTAINER_OF(command, struct settlement, command);
    const struct ledger_attempt_claim *claim = &command->ledger.attempt_claim;

    if (command->ledger.err == ERR_OK && claim->found) {
        self->attempt = claim->attempt;
        self->claimed = true;
        self->voiding = should_void(self, claim->now_ms);
        gateway_ask(self);
        return;
    }
    self->settler->asking--;
    self->claimed = false;
    if (command->ledger.err != ERR_OK)
        try_later(self);
    else /* ended meanwhile */
        settlement_free(self);
}

static void claim(struct settlement *self)
{
    self->state = CLAIMING;
    ledger_command_fini(&self->command.ledger);
    self->command.done = claim_done;
    self->command.ledger = (struct ledger_command){
        .op = LEDGER_ATTEMPT_CLAIM,
        .attempt_claim = { .attempt = { .kind = self->attempt.kind,
                                        .subject_id = self->attempt.subject_id,
                                        .number = self->attempt.number } }
    };
    shop_command(self->settler->loop, &self->command);
}

/* One more try. A void has a claim of its own; where it is refused, the call itself comes again. */
static void try_now(struct settlement *self)
{
    self->settler->asking++;
    /* This server's clock only says when it is worth a claim. */
    if (self->claimed && should_void(self, clock_wall_ms()) == self->voiding)
        gateway_ask(self);
    else
        claim(self);
}

/* ---- what is open ---- */

static bool is_known(const struct settler *settler, const struct ledger_attempt *attempt)
{
    const struct settlement *self;

    LIST_FOREACH (self, &settler->settlements, struct settlement, node)
        if (self->attempt.kind == attempt->kind &&
            self->attempt.subject_id == attempt->subject_id &&
            self->attempt.number == attempt->number)
            return true;
    return false;
}

static void add(struct settler *settler, const struct ledger_attempt *attempt)
{
    struct settlement *self;

    if (settler->count >= SETTLEMENTS_MAX || is_known(settler, attempt))
        return;
    self = mem_alloc(sizeof *self);
    if (!self)
        return; /* found again in a second */
    self->settler = settler;
    self->attempt = *attempt;
    self->retry_ms = every_ms(settler);
    list_append(&settler->settlements, &self->node);
    settler->count++;
}

static void try_those_due(struct settler *settler)
{
    uint64_t now_ms = loop_now_ms(settler->loop->loop);
    struct settlement *self;

    LIST_FOREACH (self, &settler->settlements, struct settlement, node) {
        if (settler->asking >= ASKING_MAX)
            return;
        if (self->state == WAITING && self->due_ms <= now_ms)
            try_now(self);
    }
}

static void cannot_settle(struct settler *settler)
{
    uint64_t now_ms = loop_now_ms(settler->loop->loop);

    if (settler->read.attempt_count == 0 || now_ms < settler->told_ms)
        return;
    settler->told_ms = now_ms + TOLD_EVERY_MS;
    LOG(LOG_ERROR, "open payment attempts, and no gateway to ask: set payment.gateway as it was",
        LOG_INT("attempts", settler->read.attempt_count));
}

static void attempts_read(struct ledger_read *read)
{
    struct settler *settler = CONTAINER_OF(read, struct settler, read);
    struct shop *shop = settler->loop->shop;

    settler->reading = false;
    if (read->err == ERR_OK && !settler->loop->draining) {
        int64_t oldest_ms = read->attempt_count ? read->attempts[0].started_at_ms : 0;
        atomic_store_explicit(&shop->attempts_open, (int64_t)read->attempt_count,
                              memory_order_relaxed);
        atomic_store_explicit(&shop->attempts_oldest_ms, oldest_ms, memory_order_relaxed);
        if (!settler->loop->gateway)
            cannot_settle(settler);
        for (size_t i = 0; settler->loop->gateway && i < read->attempt_count; i++)
            if (read->attempts[i].started_at_ms <= clock_wall_ms() - settler_after_ms(shop))
                add(settler, &read->attempts[i]);
    }
    arena_reset(&settler->arena);
    if (settler->loop->gateway && !settler->loop->draining)
        try_those_due(settler);
}

static void look_again(struct loop_timer *timer)
{
    struct settler *settler = CONTAINER_OF(timer, struct settler, timer);

    if (!settler->reading) {
        settler->reading = true;
        settler->read = (struct ledger_read){ .done = attempts_read,
                                              .op = LEDGER_READ_ATTEMPTS,
                                              .arena = &settler->arena,
                                              .before_ms = INT64_MAX,
                                              .limit = SETTLEMENTS_MAX };
        ledger_read(settler->loop->ledger, &settler->read);
    }
    err_ignore(loop_timer_start(settler->loop->loop, timer, every_ms(settler)),
               "its slot is there");
}

int64_t settler_after_ms(const struct shop *shop)
{
    if (shop->config->payment_settle_after_ms)
        return shop->config->payment_settle_after_ms;
    return GATEWAY_SLACK_MS + (shop->gateway ? (int64_t)gateway_timeout_ms(shop->gateway) : 0);
}

enum err settler_start(struct settler *settler, struct shop_loop *loop)
{
    settler->loop = loop;
    settler->timer.run = look_again;
    return loop_timer_start(loop->loop, &settler->timer, 0);
}

/* Whoever waits for another try is found again at the next start. */
void settler_stop(struct settler *settler)
{
    struct settlement *self;

    if (!settler->loop)
        return;
    loop_timer_stop(&settler->timer);
    LIST_FOREACH (self, &settler->settlements, struct settlement, node)
        if (self->state == WAITING)
            settlement_free(self);
}

bool settler_is_idle(const struct settler *settler)
{
    return !settler->reading && settler->count == 0;
}

void settler_fini(struct settler *settler)
{
    arena_fini(&settler->arena);
}
