// SPDX-License-Identifier: Apache-2.0
/* PostgreSQL, as the configuration has it. */
#pragma once
#include "config/config.h"

/*
 * Are its settings such that it keeps every text, and, where the URL names several hosts, that one
 * host has what another acknowledged? ERR_INVALID with `ret_error`, which says how to mend them;
 * with ledger.allow_unsafe_standby the second is logged loudly instead.
 */
enum err server_postgres_check(const struct config *config,
                               struct config_error *ret_error) MUST_CHECK;
