// SPDX-License-Identifier: Apache-2.0
#include "api/admin.h"
#include "base/log.h"

enum { USERS_RANGE_MAX = 1000000 };

struct users_call {
    struct api_call *call;
    struct shop_command command;
};

static void users_done(struct shop_command *command)
{
    struct users_call *self = CONTAINER_OF(command, struct users_call, command);
    const struct ledger_users_create *create = &command->ledger.users_create;
    struct api_call *call = self->call;

    if (command->ledger.err != ERR_OK) {
        api_store_problem(call, command->ledger.err);
    } else if (create->taken) {
        api_problem(call, PROBLEM_CONFLICT, "this user id is taken");
    } else {
        LOG(LOG_INFO, "users created", LOG_STR("request", call->http->request_id),
            LOG_INT("from", create->from_user_id), LOG_INT("to", create->to_user_id),
            LOG_INT("created", create->created), API_LOG_BY(call));
        api_answer(call, 201, &users_create_answer_json,
                   &(struct users_create_answer){ create->created });
    }
}

/* Which ids: a range, one, or the next free one (from 0). False: answered. */
static bool choose_ids(struct api_call *call, struct ledger_users_create *create)
{
    const struct users_create_body *body = call->body;
    bool from = body->from_user_id_is == JSON_GIVEN, to = body->to_user_id_is == JSON_GIVEN;
    bool one = body->user_id_is == JSON_GIVEN || body->username_is == JSON_GIVEN ||
               body->email_is == JSON_GIVEN;

    if (from != to) {
        api_invalid(call, from ? "toUserId" : "fromUserId", "is missing: a range has two ends");
        return false;
    }
    if (from && one) {
        api_invalid(call, "fromUserId", "is a range; userId, username and email are one user's");
        return false;
    }
    if (from && (body->to_user_id < body->from_user_id ||
                 body->to_user_id - body->from_user_id >= USERS_RANGE_MAX)) {
        api_invalid(call, "toUserId", "must not be below fromUserId, nor 1,000,000 above it");
        return false;
    }
    create->from_user_id = from                             ? body->from_user_id
                           : body->user_id_is == JSON_GIVEN ? body->user_id
                                                            : 0;
    create->to_user_id = from ? body->to_user_id : create->from_user_id;
    create->refuse_taken = !from;
    return true;
}

void admin_users_create(struct api_call *call)
{
    const struct users_create_body *body = call->body;
    struct users_call *self = api_alloc(call, sizeof *self);

    if (!self || !choose_ids(call, &self->command.ledger.users_create))
        return;
    self->call = call;
    self->command.done = users_done;
    self->command.ledger.op = LEDGER_USERS_CREATE;
    self->command.ledger.users_create.balance = body->balance_is == JSON_GIVEN ? body->balance : 0;
    self->command.ledger.users_create.username =
        body->username_is == JSON_GIVEN ? body->username : STR_NONE;
    self->command.ledger.users_create.email = body->email_is == JSON_GIVEN ? body->email : STR_NONE;
    shop_command(call->loop->shop, &self->command);
}
