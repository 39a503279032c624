// SPDX-License-Identifier: Apache-2.0
/*
 * Batches of places in a store that fails, for tests. Whatever is answered must be so: OK is there,
 * UNAVAILABLE is not, UNCERTAIN may be.
 */
#pragma once
#include "ledger/ledger_coupon_test.h"

enum { PLACES = 30 };

struct conformance_world world;
static size_t open_commands;

static void one_less(void)
{
    if (--open_commands == 0)
        loop_stop(world.loop);
}

static void place_done(struct ledger_command *command)
{
    (void)command;
    one_less();
}

/* User and slot are the same number. */
static struct ledger_command place_of(int64_t number)
{
    return (
        struct ledger_command){ .op = LEDGER_PLACE,
                                .place = { .coupon_id = COUPON, .user_id = number, .slot = number },
                                .done = place_done };
}

/* One turn, so one batch. */
static void submit_batch(struct ledger_command *commands, int64_t first)
{
    open_commands = PLACES;
    for (int64_t i = 0; i < PLACES; i++) {
        commands[i] = place_of(first + i);
        list_init(&commands[i].node);
        assert_true(ledger_room_take(world.client));
        ledger_submit(world.client, &commands[i]);
    }
}

static void run_batch(struct ledger_command *commands, int64_t first)
{
    submit_batch(commands, first);
    loop_run(world.loop);
}

/* As of the last look. */
static bool is_there(const struct ledger_command *command)
{
    int64_t user_id = holders[command->place.slot];

    assert_true(user_id == 0 || user_id == command->place.user_id);
    return user_id != 0;
}

static void check_answers(const struct ledger_command *commands)
{
    for (size_t i = 0; i < PLACES; i++)
        switch (commands[i].err) {
        case ERR_OK:
            assert_int_equal(commands[i].place.outcome, LEDGER_PLACE_STORED);
            assert_true(is_there(&commands[i]));
            break;
        case ERR_UNAVAILABLE:
            assert_false(is_there(&commands[i]));
            break;
        case ERR_UNCERTAIN:
            assert_int_equal(is_there(&commands[i]), is_there(&commands[0])); /* all or nothing */
            break;
        default:
            fail_msg("%s", err_name(commands[i].err));
        }
}

static void expect(const struct ledger_command *commands, enum err e)
{
    for (size_t i = 0; i < PLACES; i++)
        assert_int_equal(commands[i].err, e);
}

/* Settling is writing: what was asked for is asked for again, and is there then. */
static void settle(struct ledger_command *commands)
{
    for (size_t i = 0; i < PLACES; i++) {
        commands[i].place.outcome = LEDGER_PLACE_CONFLICT;
        ledger_run(world.ledger, &commands[i]);
        assert_ok(commands[i].err);
        assert_int_equal(commands[i].place.outcome,
                         is_there(&commands[i]) ? LEDGER_PLACE_THERE : LEDGER_PLACE_STORED);
    }
}
