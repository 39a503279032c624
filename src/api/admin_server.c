// SPDX-License-Identifier: Apache-2.0
/* The server itself: log level, and, in profile test, the clock and stores that are away. */
#include "api/admin.h"
#include "base/clock.h"
#include "base/log.h"

void admin_log(struct api_call *call)
{
    const struct log_body *body = call->body;

    log_set_level((enum log_level)body->level);
    LOG(LOG_WARN, "log level", LOG_CSTR("level", log_level_name((enum log_level)body->level)),
        LOG_STR("request", call->http->request_id), API_LOG_BY(call));
    api_answer(call, 200, &log_body_json, body);
}

struct clock_call {
    struct api_call *call;
    struct shop_command command;
    struct ranking_catch_up catch_up;
};

static void clock_caught_up(struct ranking_catch_up *up)
{
    struct clock_call *self = CONTAINER_OF(up, struct clock_call, catch_up);

    api_answer(self->call, 200, &clock_answer_json, &(struct clock_answer){ clock_wall_ms() });
}

static void clock_done(struct shop_command *command)
{
    struct clock_call *self = CONTAINER_OF(command, struct clock_call, command);

    if (command->ledger.err != ERR_OK) {
        api_store_problem(self->call, command->ledger.err);
        return;
    }
    clock_set_offset_ms(command->ledger.clock_set.offset_ms);
    self->catch_up.done = clock_caught_up;
    ranking_catch_up(self->call->loop->shop, &self->catch_up);
}

void admin_test_clock(struct api_call *call)
{
    const struct clock_body *body = call->body;
    bool now = body->now_ms_is == JSON_GIVEN, advance = body->advance_seconds_is == JSON_GIVEN;
    struct clock_call *self;

    if (now == advance) {
        api_invalid(call, "now", "or advanceSeconds must be given, not both");
        return;
    }
    int64_t now_ms = clock_wall_ms(),
            to_ms = now ? body->now_ms : now_ms + body->advance_seconds * 1000;
    if (to_ms < 0 || to_ms > JSON_TIME_MAX_MS) {
        api_invalid(call, now ? "now" : "advanceSeconds", "leaves the years 1970 to 9999");
        return;
    }
    self = api_alloc(call, sizeof *self);
    if (!self)
        return;
    self->call = call;
    self->command.done = clock_done;
    self->command.ledger.op = LEDGER_CLOCK_SET;
    self->command.ledger.clock_set.offset_ms = clock_offset_ms() + to_ms - now_ms;
    shop_command(call->loop->shop, &self->command);
}

void admin_test_faults(struct api_call *call)
{
    const struct fault_body *body = call->body;
    struct shop *shop = call->loop->shop->shop;

    switch ((enum fault_name)body->name) {
    case FAULT_GATE:
        gate_fault_set(shop->gate, body->on);
        break;
    case FAULT_LEDGER:
        ledger_fault_set(shop->ledger, body->on);
        break;
    case FAULT_RANKING:
        if (shop->ranking)
            ranking_fault_set(shop->ranking, body->on);
        break;
    case FAULT_BACKUP:
        ranking_backup_fault_set(shop, body->on);
        break;
    }
    LOG(LOG_WARN, "fault switched", LOG_CSTR("name", fault_names[body->name].name),
        LOG_CSTR("state", body->on ? "on" : "off"));
    api_answer(call, 200, &fault_body_json, body);
}
