// SPDX-License-Identifier: Apache-2.0
/* The bytes of answers are kept for a day, in case the caller asks again; then they go, a piece at
 * a time between other commands. The key stays on the row of its effect for good. Events that every
 * consumer has had for events.keep go, too. */
#include "shop/shop_internal.h"

enum { EVERY_MS = 10000 };

static bool has_events(const struct shop *shop)
{
    return shop->consumers[LEDGER_STREAM].on || shop->consumers[LEDGER_WEBHOOK].on;
}

static void forget_piece(struct forget *self)
{
    int64_t keep_ms = self->loop->shop->config->events_keep_ms;

    self->busy = true;
    if (self->of_events)
        self->command.ledger = (struct ledger_command){ .op = LEDGER_EVENTS_FORGET,
                                                        .events_forget = { .keep_ms = keep_ms } };
    else
        self->command.ledger = (struct ledger_command){ .op = LEDGER_FORGET };
    shop_command(self->loop, &self->command);
}

/* Whether there may be more of what was just forgotten. */
static bool is_full(const struct forget *self)
{
    const struct ledger_command *command = &self->command.ledger;

    return self->of_events ? command->events_forget.forgotten == LEDGER_EVENTS_FORGET_PIECE
                           : command->forget.forgotten == LEDGER_FORGET_PIECE;
}

static void piece_done(struct shop_command *command)
{
    struct forget *self = CONTAINER_OF(command, struct forget, command);
    bool more = command->ledger.err == ERR_OK && is_full(self);

    self->busy = false;
    if (!more) {
        more = !self->of_events && has_events(self->loop->shop);
        self->of_events = more;
    }
    if (more && !self->loop->draining)
        forget_piece(self);
}

static void forget_again(struct loop_timer *timer)
{
    struct forget *self = CONTAINER_OF(timer, struct forget, timer);

    if (!self->busy)
        forget_piece(self);
    err_ignore(loop_timer_start(self->loop->loop, timer, EVERY_MS), "its slot is there");
}

enum err forget_start(struct shop_loop *loop)
{
    loop->forget.loop = loop;
    loop->forget.command.done = piece_done;
    loop->forget.timer.run = forget_again;
    return loop_timer_start(loop->loop, &loop->forget.timer, EVERY_MS);
}
