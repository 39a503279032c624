// SPDX-License-Identifier: Apache-2.0
/* `migrate`: the only verb that makes a store of profile `prod`, or brings one up to date. */
#include <inttypes.h>
#include <sys/stat.h>

#include "server/store.h"
#include "server/verb.h"

static struct config_flag flags[] = {
    { "--status", NULL, "only say what is applied and what is missing", NULL },
    { 0 },
};

static bool print_migration(void *context, int64_t number, const char *name)
{
    const struct store *store = context;

    printf("%04" PRId64 "  %-8s  %s\n", number,
           number <= store->stamp.level ? "applied" : "pending", name);
    return true;
}

static int status(struct store *store)
{
    if (store->exists)
        printf("%s: profile %s, time zone %s\n", store->database, store->stamp.profile,
               store->stamp.time_zone);
    else
        printf("%s: there is no store yet\n", store->database);
    store_migrations(print_migration, store);
    return VERB_OK;
}

static enum err apply(struct store *store, struct config *config, int64_t *ret_applied,
                      struct config_error *error)
{
    TRY(store_make_directory(store, error));
    TRY(store_lock(store, LOCK_TO_WRITE, error));
    TRY(store_look(store, config, error));
    return store_migrate(store, config, ret_applied, error);
}

static int migrate(const struct verb *verb, struct config *config)
{
    struct store store = { .lock = -1 };
    struct config_error error = { "out of memory" };
    int64_t applied = 0;

    enum err e = store_look(&store, config, &error);
    if (e == ERR_OK && verb_flag(verb, "--status"))
        return status(&store);
    umask(0077);
    if (e == ERR_OK)
        e = apply(&store, config, &applied, &error);
    store_unlock(&store);
    if (e != ERR_OK)
        return verb_fail(VERB_FAILED, "%s", error.text);
    printf("%s: %" PRId64 " migration(s) applied, now at %" PRId64 "; profile %s, time zone %s\n",
           store.database, applied, store.stamp.level, store.stamp.profile, store.stamp.time_zone);
    return VERB_OK;
}

const struct verb verb_migrate = {
    .name = "migrate",
    .usage = "migrate [--status] [FLAGS]",
    .about = "Makes the store, or applies the migrations that it misses.",
    .flags = flags,
    .run = migrate,
};
