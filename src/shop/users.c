// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>
#include <stdio.h>

#include "shop/shop_internal.h"

/* Somebody of another system, who has not needed a row yet: as the row would be. */
static enum err outsider(const struct user_get *get, struct ledger_user *ret_user)
{
    char name[32], email[48];

    snprintf(name, sizeof name, "user%" PRId64, get->user_id);
    snprintf(email, sizeof email, "%s@example.com", name);
    *ret_user = (struct ledger_user){ .user_id = get->user_id,
                                      .username = arena_copy(get->arena, str_from(name)),
                                      .email = arena_copy(get->arena, str_from(email)) };
    return ret_user->username.ptr && ret_user->email.ptr ? ERR_OK : ERR_NOMEM;
}

static void user_read(struct ledger_read *read)
{
    struct user_get *get = CONTAINER_OF(read, struct user_get, read);

    get->err = read->err;
    get->user = read->user;
    if (read->err == ERR_OK && !read->found)
        get->err = get->loop->shop->config->users_external && get->user_id > 0
                       ? outsider(get, &get->user)
                       : ERR_NOT_FOUND;
    get->done(get);
}

void user_get(struct shop_loop *loop, struct user_get *get)
{
    get->loop = loop;
    get->read.done = user_read;
    get->read.op = LEDGER_READ_USER;
    get->read.arena = get->arena;
    get->read.user_id = get->user_id;
    ledger_read(loop->ledger, &get->read);
}

static void command_done(struct ledger_command *ledger)
{
    struct shop_command *command = CONTAINER_OF(ledger, struct shop_command, ledger);

    command->done(command);
}

static void command_refused(struct loop_task *task)
{
    struct shop_command *command = CONTAINER_OF(task, struct shop_command, task);

    command->ledger.err = ERR_OVERLOADED;
    command->done(command);
}

void shop_command(struct shop_loop *loop, struct shop_command *command)
{
    command->loop = loop;
    command->ledger.done = command_done;
    list_init(&command->ledger.node);
    if (ledger_room_take(loop->ledger)) {
        ledger_submit(loop->ledger, &command->ledger);
        return;
    }
    if (loop->metrics)
        metrics_add(loop->metrics, METRIC_ledger_overloaded, 1);
    command->task.run = command_refused;
    loop_post(loop->loop, &command->task);
}
