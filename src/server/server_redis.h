// SPDX-License-Identifier: Apache-2.0
/* Redis, as the configuration has it. */
#pragma once
#include "config/config.h"
#include "redis/redis.h"

/* Reads `config->redis` and redis.password_file. ERR_INVALID with `ret_error`. */
enum err server_redis_target(const struct config *config, struct redis_target *ret_target,
                             struct config_error *ret_error) MUST_CHECK;
/* Options of a client of `target`, but for the metrics. */
struct redis_options server_redis_options(const struct config *config,
                                          const struct redis_target *target);
/*
 * Is it there, and are its settings such that it keeps the gate? ERR_INVALID with `ret_error`,
 * which says how to mend them; with gate.allow_unsafe_redis that is logged loudly instead.
 * ERR_UNAVAILABLE with `ret_error`: it is away, or does not tell.
 */
enum err server_redis_check(const struct config *config, const struct redis_target *target,
                            struct config_error *ret_error) MUST_CHECK;
