// SPDX-License-Identifier: Apache-2.0
/* All of it is sent at once; who they are is looked at when all is answered. */
#include <stdio.h>

#include "redis/redis_internal.h"

void redis_command_append(struct buf *out, size_t argc, const char *const *argv,
                          const size_t *argv_bytes)
{
    buf_char(out, '*');
    buf_uint(out, argc);
    buf_literal(out, "\r\n");
    for (size_t i = 0; i < argc; i++) {
        size_t bytes = argv_bytes ? argv_bytes[i] : strlen(argv[i]);
        buf_char(out, '$');
        buf_uint(out, bytes);
        buf_literal(out, "\r\n");
        buf_bytes(out, argv[i], bytes);
        buf_literal(out, "\r\n");
    }
}

static void add(struct redis_greeting *greeting, enum redis_greeted step, struct buf *out,
                size_t argc, const char *const *argv)
{
    greeting->step[greeting->count++] = step;
    redis_command_append(out, argc, argv, NULL);
}

static void add_auth(struct redis_greeting *greeting, const struct redis_conn_options *options,
                     struct buf *out)
{
    if (options->user[0])
        add(greeting, REDIS_GREET_AUTH, out, 3,
            (const char *const[]){ "AUTH", options->user, options->password });
    else if (options->password[0])
        add(greeting, REDIS_GREET_AUTH, out, 2, (const char *const[]){ "AUTH", options->password });
}

void redis_greeting_begin(struct redis_greeting *greeting, const struct redis_conn_options *options,
                          struct buf *out)
{
    const struct redis_target *target = options->target;
    char database[16];

    *greeting = (struct redis_greeting){ 0 };
    add_auth(greeting, options, out);
    add(greeting, REDIS_GREET_PING, out, 1, (const char *const[]){ "PING" });
    if (target && target->database) {
        snprintf(database, sizeof database, "%u", target->database);
        add(greeting, REDIS_GREET_SELECT, out, 2, (const char *const[]){ "SELECT", database });
    }
    add(greeting, REDIS_GREET_NAME, out, 3,
        (const char *const[]){ "CLIENT", "SETNAME", options->name });
    if (options->primary_only)
        add(greeting, REDIS_GREET_ROLE, out, 1, (const char *const[]){ "ROLE" });
}

const char *redis_greeting_take(struct redis_greeting *greeting,
                                const struct redis_conn_options *options, const redisReply *reply)
{
    enum redis_greeted step = greeting->step[greeting->answered++];
    bool is_error = reply->type == REDIS_REPLY_ERROR;

    switch (step) {
    case REDIS_GREET_AUTH:
    case REDIS_GREET_PING:
    case REDIS_GREET_SELECT:
        return is_error ? reply->str : NULL;
    case REDIS_GREET_NAME: /* no matter: an ACL may forbid it */
        return NULL;
    case REDIS_GREET_ROLE:
        /* Where an ACL forbids ROLE, READONLY tells in time; sentinels' word alone does not do. */
        if (is_error)
            return options->target->topology == REDIS_SENTINEL ? reply->str : NULL;
        return str_equal(redis_role_of(reply), STR("master")) ? NULL : "it is not the primary";
    }
    return "an answer that was not asked for";
}
