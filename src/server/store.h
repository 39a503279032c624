// SPDX-License-Identifier: Apache-2.0
/*
 * The stores as every verb sees them: data directory and its lock, the ledger's place and stamp,
 * and what may run on what. With PostgreSQL the data directory holds only what is this server's.
 */
#pragma once
#include <limits.h>

#include "config/config.h"
#include "ledger/ledger_stamp.h"
#include "server/lock.h"

struct ledger_pg_alone;

struct store {
    const char *directory;     /* of the config */
    const char *postgres;      /* of the config; NULL: SQLite */
    char database[PATH_MAX];   /* "…/shop.db", or what people may see of the URL */
    bool exists;               /* there is a database, and a migration has stamped it */
    struct ledger_stamp stamp; /* without a store only `latest` counts */
    int lock;                  /* -1: not held */
};

/* All functions that take `ret_error` answer ERR_INVALID with a whole sentence for people in it. */

/*
 * Reads the stamp, gives profile and time zone to the config where nobody said otherwise, and
 * refuses what does not fit: another profile, another time zone once there are sales, a newer
 * store, load-test data in `prod`. Chooses the process's time zone and, in profile `test`, its
 * clock. Writes nothing. To be called again after migrations.
 */
enum err store_look(struct store *store, struct config *config,
                    struct config_error *ret_error) MUST_CHECK;
/* Only where the stores are, of that configuration. */
enum err store_place(struct store *store, const struct config *config,
                     struct config_error *ret_error) MUST_CHECK;
/* Every migration, by number, until `each` returns false. */
void store_migrations(bool (*each)(void *context, int64_t number, const char *name), void *context);
/* The ledger of a store that no verb writes to: scans only. Closed as any other (stores.h). */
enum err store_open_at_rest(const struct store *store, struct ledger **ret_ledger) MUST_CHECK;
/* Makes the data directory, mode 0700, and those above it. */
enum err store_make_directory(const struct store *store, struct config_error *ret_error) MUST_CHECK;
/* Says who holds it when it is taken. LOCK_TO_READ where no server has ever been: no lock. */
enum err store_lock(struct store *store, enum lock_mode mode,
                    struct config_error *ret_error) MUST_CHECK;
void store_unlock(struct store *store);
/* The time zone that was asked for, into the stamp of a store without sales. The lock is held. */
enum err store_set_zone(struct store *store, const struct config *config,
                        struct config_error *ret_error) MUST_CHECK;
/* Applies what is missing, looks again and sets the zone. The lock is held. *ret_applied counts. */
enum err store_migrate(struct store *store, struct config *config, int64_t *ret_applied,
                       struct config_error *ret_error) MUST_CHECK;

/* One server of a shared store at a time, until store_alone_end(); the stamp is read again. */
struct store_alone {
    struct ledger_pg_alone *postgres; /* NULL: nobody else could be there */
};
enum err store_alone_begin(struct store *store, struct store_alone *alone,
                           struct config_error *ret_error) MUST_CHECK;
void store_alone_end(struct store_alone *alone);

/* The rules of `serve`: in `prod` a key, a gateway, and a store that is migrated. */
enum err store_may_serve(const struct store *store, const struct config *config,
                         struct config_error *ret_error) MUST_CHECK;
/* The key of tokens, from the option or the file; empty when there is none. */
enum err store_read_secret(const struct config *config, struct buf *out,
                           struct config_error *ret_error) MUST_CHECK;
