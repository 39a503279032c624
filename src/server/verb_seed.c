// SPDX-License-Identifier: Apache-2.0
/* `seed`: the load-test data set into a store that no server runs on. Twice is the same as once. */
#include <inttypes.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "server/stores.h"
#include "server/verb.h"
#include "shop/shop.h"

static enum err refuse_prod(const struct config *config, struct config_error *error)
{
    if (config->profile != CONFIG_PROD)
        return ERR_OK;
    snprintf(
        error->text, sizeof error->text,
        "seed is refused in profile prod: load-test data has no place in a real shop, and "
        "there is no way to force it. A shop for trying things out: --profile local --data DIR");
    return ERR_INVALID;
}

static enum err prepare(struct store *store, struct config *config, struct config_error *error)
{
    int64_t applied;

    TRY(store_look(store, config, error));
    TRY(refuse_prod(config, error));
    TRY(store_make_directory(store, error));
    TRY(store_lock(store, LOCK_TO_WRITE, error));
    return store_migrate(store, config, &applied, error);
}

static void ignore_uncertain(void *context)
{
    (void)context; /* the command has ended as uncertain, and so does this verb */
}

static enum err fill(struct store *store, const struct config *config,
                     struct load_data_report *ret_report, struct config_error *error)
{
    struct stores stores = { .config = config, .store = store };
    struct stores_uncertain uncertain = { .happened = ignore_uncertain };

    TRY(stores_open_ledger(&stores, NULL, uncertain, error));
    enum err e = shop_load_data(stores.ledger, clock_wall_ms(),
                                store->stamp.load_data != LEDGER_LOAD_DATA_NONE, ret_report);
    stores_stop_ledger(&stores);
    stores_close(&stores);
    if (e != ERR_OK && e != ERR_NOMEM)
        return config_refuse(error, "%.300s: %s; run it again", store->database, err_text(e));
    return e;
}

static int seed(const struct verb *verb, struct config *config)
{
    struct store store = { .lock = -1 };
    struct config_error error = { "out of memory" };
    struct load_data_report report = { 0 };

    (void)verb;
    umask(0077);
    enum err e = prepare(&store, config, &error);
    if (e == ERR_OK)
        e = fill(&store, config, &report, &error);
    store_unlock(&store);
    if (e != ERR_OK)
        return verb_fail(VERB_FAILED, "%s", error.text);
    if (report.users + report.coupons + report.places + report.products + report.cart_lines +
            report.orders ==
        0)
        printf("%s: the load-test data is in already\n", store.database);
    else
        printf("%s: %" PRId64 " users, %" PRId64 " coupons, %" PRId64 " issued coupons, %" PRId64
               " products, %" PRId64 " lines of carts and %" PRId64
               " orders of the load-test data created\n",
               store.database, report.users, report.coupons, report.places, report.products,
               report.cart_lines, report.orders);
    return VERB_OK;
}

const struct verb verb_seed = {
    .name = "seed",
    .usage = "seed [FLAGS]",
    .about = "The load-test data set; refused in profile prod.",
    .run = seed,
};
