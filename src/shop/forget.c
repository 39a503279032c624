// SPDX-License-Identifier: Apache-2.0
/* The bytes of answers are kept for a day, in case the caller asks again; then they go, a piece at
 * a time between other commands. The key stays on the row of its effect for good. */
#include "shop/shop_internal.h"

enum { EVERY_MS = 10000 };

static void forget_piece(struct forget *self)
{
    self->busy = true;
    self->command.ledger = (struct ledger_command){ .op = LEDGER_FORGET };
    shop_command(self->loop, &self->command);
}

static void piece_done(struct shop_command *command)
{
    struct forget *self = CONTAINER_OF(command, struct forget, command);

    self->busy = false;
    if (command->ledger.err == ERR_OK && !self->loop->draining &&
        command->ledger.forget.forgotten == LEDGER_FORGET_PIECE)
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
