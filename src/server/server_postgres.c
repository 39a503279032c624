// SPDX-License-Identifier: Apache-2.0
#include "server/server_postgres.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "ledger/ledger_pg.h"

/* A standby that is promoted has every commit that was answered only if each waited for its disk.
 */
static const char *standby_problem(const struct ledger_pg_settings *settings)
{
    if (settings->host_count < 2)
        return NULL;
    if (!settings->standby_names)
        return "synchronous_standby_names is empty: ALTER SYSTEM SET synchronous_standby_names = "
               "'ANY 1 (…)', with the standbys' application_name; SELECT pg_reload_conf()";
    if (strcmp(settings->synchronous_commit, "on") != 0 &&
        strcmp(settings->synchronous_commit, "remote_apply") != 0)
        return "synchronous_commit is neither on nor remote_apply: set it to on, in the server's "
               "configuration and for this user and database (ALTER ROLE …, ALTER DATABASE … RESET "
               "synchronous_commit)";
    return NULL;
}

enum err server_postgres_check(const struct config *config, struct config_error *ret_error)
{
    struct ledger_pg_settings settings;
    struct pg_reason reason;

    enum err e = ledger_pg_settings(config->postgres, &settings, &reason);
    if (e != ERR_OK)
        return config_refuse(ret_error, "the settings of PostgreSQL cannot be read: %.200s",
                             reason.text);
    if (strcmp(settings.encoding, "UTF8") != 0)
        return config_refuse(ret_error,
                             "PostgreSQL's database has the encoding %s, which does not keep every "
                             "text: make one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE "
                             "template0",
                             settings.encoding);
    const char *problem = standby_problem(&settings);
    if (!problem)
        return ERR_OK;
    if (config->ledger_allow_unsafe_standby) {
        LOG(LOG_ERROR,
            "UNSAFE: a fail-over of PostgreSQL can lose what was acknowledged, and "
            "ledger.allow_unsafe_standby is on",
            LOG_CSTR("why", problem));
        return ERR_OK;
    }
    return config_refuse(ret_error,
                         "PostgreSQL has %zu hosts, and a fail-over can lose what was "
                         "acknowledged: %s (ledger.allow_unsafe_standby = on starts all the same)",
                         settings.host_count, problem);
}
