// SPDX-License-Identifier: Apache-2.0
#include "server/server_redis.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"

enum { CHECK_TIMEOUT_MS = 5000 };

static enum err read_password(const struct config *config, struct redis_target *target,
                              struct config_error *error)
{
    CLEANUP(buf_fini) struct buf password = { 0 };

    if (target->password[0])
        return config_refuse(error, "the URL of `redis` has a password, and redis.password_file is "
                                    "given, too: keep one");
    enum err e = config_read_secret(config->redis_password_file, &password, error);
    if (e == ERR_OK && (password.len == 0 || password.len >= sizeof target->password ||
                        memchr(password.ptr, 0, password.len)))
        e = config_refuse(error, "redis.password_file %.300s has no password that can be sent",
                          config->redis_password_file);
    if (e == ERR_OK) {
        memcpy(target->password, password.ptr, password.len);
        target->password[password.len] = 0;
    }
    if (password.ptr)
        explicit_bzero(password.ptr, password.len);
    return e;
}

enum err server_redis_target(const struct config *config, struct redis_target *ret_target,
                             struct config_error *ret_error)
{
    char why[REDIS_WHY_BYTES];

    if (redis_target_parse(ret_target, config->redis, why) != ERR_OK)
        return config_refuse(ret_error, "redis: %s", why);
    if (config->redis_password_file[0])
        return read_password(config, ret_target, ret_error);
    return ERR_OK;
}

struct redis_options server_redis_options(const struct config *config,
                                          const struct redis_target *target)
{
    return (struct redis_options){
        .target = target,
        .connect_timeout_ms = (uint32_t)config->redis_connect_timeout_ms,
        .silence_ms = (uint32_t)config->redis_call_timeout_ms,
        .slow_ms = (uint32_t)config->redis_slow_ms,
        .metrics_breaker = METRICS_BREAKER_REDIS,
        .seed = clock_mono_ns(),
    };
}

enum err server_redis_check(const struct config *config, const struct redis_target *target,
                            struct config_error *ret_error)
{
    struct redis_options options = server_redis_options(config, target);
    CLEANUP(redis_sync_closep) struct redis_sync *redis = NULL;
    char why[REDIS_WHY_BYTES];

    enum err e = redis_sync_open(&options, CHECK_TIMEOUT_MS, &redis);
    if (e != ERR_OK) {
        err_ignore(config_refuse(ret_error, "Redis (%s, %s:%u) cannot be reached",
                                 target->topology == REDIS_SENTINEL ? "sentinel" : "redis",
                                 target->place[0].host, (unsigned)target->place[0].port),
                   "the reason is another");
        return e;
    }
    e = redis_check_safety(redis, why);
    if (e == ERR_OK)
        return ERR_OK;
    if (config->gate_allow_unsafe_redis) {
        LOG(LOG_ERROR, "UNSAFE: this Redis can lose the gate, and gate.allow_unsafe_redis is on",
            LOG_CSTR("why", why));
        return ERR_OK;
    }
    err_ignore(
        config_refuse(ret_error, "%s (gate.allow_unsafe_redis = on starts all the same)", why),
        "the reason may be another");
    return e;
}
