// SPDX-License-Identifier: Apache-2.0
#include "server/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "auth/auth.h"
#include "base/clock.h"
#include "ledger/ledger_pg.h"
#include "ledger/ledger_sqlite.h"
#include "server/key_files.h"
#include "server/server_events.h"
#include "server/server_gateway.h"

/* ---- looking ---- */

static enum err stamp_read(struct store *store, struct config_error *error)
{
    struct pg_reason reason;
    enum err e = store->postgres ? ledger_pg_stamp(store->postgres, &store->stamp, &reason)
                                 : ledger_sqlite_stamp(store->database, &store->stamp);

    if (e == ERR_CORRUPT)
        return config_refuse(error,
                             "%.300s is not a store of this program, or it is damaged: restore it "
                             "from a backup, or choose another%s",
                             store->database, store->postgres ? "" : " --data");
    if (e != ERR_OK && e != ERR_NOT_FOUND)
        return config_refuse(error, "%.200s cannot be read: %.200s", store->database,
                             store->postgres ? reason.text : err_text(e));
    store->exists = e == ERR_OK && store->stamp.level > 0;
    return ERR_OK;
}

static enum err stamp_fits(const struct store *store, const struct config *config,
                           struct config_error *error)
{
    const struct ledger_stamp *stamp = &store->stamp;
    const char *profile = config_profile_name(config->profile);

    if (stamp->half_copied)
        return config_refuse(error,
                             "%.300s is a copy that is not finished: let `doorbuster copy` finish "
                             "it",
                             store->database);
    if (stamp->level > stamp->latest + LEDGER_LEVELS_AHEAD)
        return config_refuse(error,
                             "%.300s is of a newer version (migration %" PRId64
                             "; this program knows %" PRId64
                             " and bears one more): use that version",
                             store->database, stamp->level, stamp->latest);
    if (strcmp(profile, stamp->profile) != 0)
        return config_refuse(error,
                             "%.300s was made with profile %s, not %s: leave --profile out, or "
                             "choose another --data",
                             store->database, stamp->profile, profile);
    if (stamp->sold && strcmp(config->shop_time_zone, stamp->time_zone) != 0)
        return config_refuse(
            error,
            "%.300s has sales by days of %s, which cannot become days of %.64s: leave "
            "shop.time_zone out, or choose another --data",
            store->database, stamp->time_zone, config->shop_time_zone);
    if (config->profile == CONFIG_PROD && stamp->load_data != LEDGER_LOAD_DATA_NONE)
        return config_refuse(error,
                             "%.300s holds load-test data, which profile prod does not run on: "
                             "choose another --data",
                             store->database);
    return ERR_OK;
}

/* Where the ledger is: its path, or what may be seen of its URL. */
enum err store_place(struct store *store, const struct config *config, struct config_error *error)
{
    store->directory = config->data;
    store->postgres = config->postgres[0] ? config->postgres : NULL;
    if (store->postgres) {
        CLEANUP(buf_fini) struct buf shown = { 0 };
        config_print_url(&shown, store->postgres);
        if (!buf_ok(&shown))
            return ERR_NOMEM;
        snprintf(store->database, sizeof store->database, "%.*s", (int)shown.len, shown.ptr);
        return ERR_OK;
    }
    if (config->redis[0])
        return config_refuse(error, "--redis holds the gate of several servers, which needs a "
                                    "ledger that they share: give --postgres, too");
    if ((size_t)snprintf(store->database, sizeof store->database, "%s/shop.db", config->data) >=
        sizeof store->database)
        return config_refuse(error, "the path of the data directory is too long");
    return ERR_OK;
}

enum err store_look(struct store *store, struct config *config, struct config_error *ret_error)
{
    TRY(store_place(store, config, ret_error));
    TRY(stamp_read(store, ret_error));
    if (store->exists) {
        TRY(config_stamp(config, store->stamp.profile, store->stamp.time_zone, ret_error));
        TRY(stamp_fits(store, config, ret_error));
    }
    if (clock_set_zone(config->shop_time_zone) != ERR_OK)
        return config_refuse(ret_error,
                             "shop.time_zone: the tz database has no \"%.64s\" (is the package "
                             "tzdata installed?)",
                             config->shop_time_zone);
    if (config->profile == CONFIG_TEST)
        clock_set_offset_ms(store->stamp.clock_offset_ms);
    log_set_level(config->log_level);
    log_set_format(config->log_format);
    return ERR_OK;
}

/* ---- directory, lock, migrations ---- */

enum err store_make_directory(const struct store *store, struct config_error *ret_error)
{
    char path[PATH_MAX];
    struct stat info;

    snprintf(path, sizeof path, "%s", store->directory);
    for (char *slash = path + 1;; slash++) {
        slash += strcspn(slash, "/");
        bool last = *slash == '\0';
        *slash = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            return config_refuse(ret_error, "cannot make the data directory %.300s: %s", path,
                                 strerror(errno));
        if (last)
            break;
        *slash = '/';
    }
    if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode))
        return config_refuse(ret_error, "--data %.300s is not a directory", path);
    return ERR_OK;
}

static enum err refuse_locked(const struct store *store, const struct lock_holder *holder,
                              struct config_error *error)
{
    if (holder->reading)
        return config_refuse(error,
                             "a doorbuster verb is reading %.300s: try again when it is done",
                             store->directory);
    if (holder->url[0])
        return config_refuse(error,
                             "another doorbuster, process %" PRId64 " serving on %s, holds %.300s: "
                             "stop it, or choose another --data",
                             holder->pid, holder->url, store->directory);
    return config_refuse(error,
                         "another doorbuster, process %" PRId64 ", holds %.300s: wait for it or "
                         "stop it",
                         holder->pid, store->directory);
}

enum err store_lock(struct store *store, enum lock_mode mode, struct config_error *ret_error)
{
    struct lock_holder holder;

    switch (lock_take(store->directory, mode, &store->lock, &holder)) {
    case ERR_OK:
        return ERR_OK;
    case ERR_NOT_FOUND:
        store->lock = -1;
        return ERR_OK;
    case ERR_CONFLICT:
        store->lock = -1;
        return refuse_locked(store, &holder, ret_error);
    default:
        store->lock = -1;
        return config_refuse(ret_error, "cannot lock the data directory %.300s: %s",
                             store->directory, strerror(errno));
    }
}

void store_unlock(struct store *store)
{
    lock_release(store->lock);
    store->lock = -1;
}

enum err store_migrate(struct store *store, struct config *config, int64_t *ret_applied,
                       struct config_error *ret_error)
{
    const char *profile = config_profile_name(config->profile);
    struct pg_reason reason = { 0 };
    enum err e = store->postgres ? ledger_pg_migrate(store->postgres, profile,
                                                     config->shop_time_zone, ret_applied, &reason)
                                 : ledger_sqlite_migrate(store->database, profile,
                                                         config->shop_time_zone, ret_applied);

    if (e != ERR_OK)
        return config_refuse(ret_error, "%.200s could not be migrated: %.200s", store->database,
                             reason.text[0] ? reason.text : err_text(e));
    TRY(store_look(store, config, ret_error));
    return store_set_zone(store, config, ret_error);
}

enum err store_set_zone(struct store *store, const struct config *config,
                        struct config_error *ret_error)
{
    if (strcmp(config->shop_time_zone, store->stamp.time_zone) == 0)
        return ERR_OK;
    struct pg_reason reason;
    enum err e = store->postgres
                     ? ledger_pg_set_zone(store->postgres, config->shop_time_zone, &reason)
                     : ledger_sqlite_set_zone(store->database, config->shop_time_zone);
    if (e != ERR_OK)
        return config_refuse(ret_error, "%.300s cannot take another time zone: %s", store->database,
                             err_text(e));
    snprintf(store->stamp.time_zone, sizeof store->stamp.time_zone, "%s", config->shop_time_zone);
    return ERR_OK;
}

/* Both ledgers have the same numbers and names. */
void store_migrations(bool (*each)(void *context, int64_t number, const char *name), void *context)
{
    ledger_sqlite_migrations(each, context);
}

enum err store_open_at_rest(const struct store *store, struct ledger **ret_ledger)
{
    return store->postgres ? ledger_pg_open_at_rest(store->postgres, ret_ledger)
                           : ledger_sqlite_open_at_rest(store->database, ret_ledger);
}

enum err store_alone_begin(struct store *store, struct store_alone *alone,
                           struct config_error *ret_error)
{
    struct pg_reason reason;

    if (!store->postgres)
        return ERR_OK;
    enum err e = ledger_pg_alone_begin(store->postgres, &alone->postgres, &reason);
    if (e != ERR_OK)
        return config_refuse(ret_error, "%.200s cannot be had alone: %.200s", store->database,
                             reason.text);
    return stamp_read(store, ret_error);
}

void store_alone_end(struct store_alone *alone)
{
    alone->postgres = ledger_pg_alone_end(alone->postgres);
}

/* ---- what may be served ---- */

enum err store_read_secret(const struct config *config, struct buf *out,
                           struct config_error *ret_error)
{
    if (config->auth_secret[0] && config->auth_secret_file[0])
        return config_refuse(ret_error,
                             "auth.secret and auth.secret_file are both given: keep one");
    if (config->auth_secret_file[0])
        TRY(config_read_secret(config->auth_secret_file, out, ret_error));
    else
        buf_str_append(out, str_from(config->auth_secret));
    if (!buf_ok(out))
        return ERR_NOMEM;
    if (config->auth_secret_file[0] && out->len < AUTH_SECRET_BYTES_MIN)
        return config_refuse(ret_error,
                             "auth.secret_file %.200s holds %zu bytes, a key has at least %d: "
                             "`openssl rand -hex 32` makes one",
                             config->auth_secret_file, out->len, AUTH_SECRET_BYTES_MIN);
    return ERR_OK;
}

static enum err prod_is_configured(const struct config *config, struct config_error *error)
{
    bool key = key_files_any(config);
    bool gateway = config->payment_gateway != CONFIG_GATEWAY_UNSET;

    if (key && gateway)
        return ERR_OK;
    return config_refuse(
        error,
        "profile prod does not start without %s%s%s. Add to the file of --config:\n%s%s"
        "(To try things out on this machine: --profile local.)",
        key ? "" : "a key for tokens", !key && !gateway ? " and " : "",
        gateway ? "" : "a payment gateway",
        key ? ""
            : "    # 32 bytes at least: openssl rand -hex 32 > /etc/doorbuster/secret\n"
              "    # (or auth.public_key_file, or auth.jwks_file, where others sign)\n"
              "    auth.secret_file = /etc/doorbuster/secret\n",
        gateway ? ""
                : "    # none: balances are charged by administrators; http: the shop's own\n"
                  "    # gateway, with payment.http_url and payment.http_secret_file\n"
                  "    payment.gateway = none\n");
}

enum err store_may_serve(const struct store *store, const struct config *config,
                         struct config_error *ret_error)
{
    if (config->profile == CONFIG_PROD)
        TRY(prod_is_configured(config, ret_error));
    TRY(server_gateway_may_serve(config, ret_error));
    TRY(server_events_may_serve(config, ret_error));
    if (config->profile != CONFIG_PROD)
        return ERR_OK;
    if (!store->exists)
        return config_refuse(ret_error,
                             "there is no store in %.300s yet: `doorbuster migrate` makes it",
                             store->directory);
    if (store->stamp.level < store->stamp.latest)
        return config_refuse(ret_error,
                             "%.300s misses %" PRId64 " migration(s): run `doorbuster migrate`",
                             store->database, store->stamp.latest - store->stamp.level);
    return ERR_OK;
}
