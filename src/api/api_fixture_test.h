// SPDX-License-Identifier: Apache-2.0
/*
 * The whole server but for its threads: SQLite ledger, memory gate with its journal, shop, routes
 * and HTTP, in a directory of its own, on one simulated loop. The ledger's writer is a real thread.
 */
#pragma once
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/api_route.h"
#include "api/orders.h"
#include "api/ranking_stream.h"
#include "base/clock.h"
#include "gate/gate_memory.h"
#include "gateway/gateway_mock.h"
#include "http/http_fixture_test.h"
#include "ledger/ledger_sqlite.h"
#include "ops/ops.h"

enum { DAY_MS = 24 * 3600 * 1000, USERS = 2000 };

/* What is there to hand out. Users are 1..USERS, and each may have any of it. */
enum {
    COUPON_PLENTY = 1,
    COUPON_SCARCE,   /* two places */
    COUPON_SOLD,     /* both of user 1000's and 1001's */
    COUPON_PAST,     /* its window is over; user 1000 has one */
    COUPON_TOMORROW, /* its window has not begun */
    COUPON_SHUT,     /* closed by the administrator */
    COUPONS = COUPON_SHUT,
};

/* What is there to buy. User 1000 has one of the first in a cart. */
enum {
    PRODUCT_PLENTY = 1,
    PRODUCT_GONE,   /* none is left */
    PRODUCT_SCARCE, /* two */
    PRODUCT_FREE,   /* costs nothing */
    PRODUCTS = PRODUCT_FREE,
};

static const char whole_secret[] = "0123456789abcdef0123456789abcdef";

struct whole {
    char dir[64], database[96];
    struct config config;
    struct auth_keys *keys;
    struct metrics *metrics;
    struct ledger *ledger;
    struct gateway *gateway; /* the mock */
    struct gate *gate;
    struct shop shop;
    struct api api;
    struct loop *loop;
    struct shop_loop shop_loop;
    struct api_loop api_loop;
    struct http_server *http;
    uint16_t port;
    unsigned asked, answered;
    bool done;
    /* May be NULL. `why`: a refusal's. */
    void (*on_asked)(const struct http_request *request, const enum http_refusal *why);
    void (*on_told)(unsigned status);
};

/* One at a time: http's callbacks know api's part only. */
static struct whole whole;

static inline void whole_on_request(struct http_request *request)
{
    whole.asked++;
    if (whole.on_asked)
        whole.on_asked(request, NULL);
    api_on_request(request);
}

static inline void whole_on_refusal(struct http_request *request, enum http_refusal why)
{
    whole.asked++;
    if (whole.on_asked)
        whole.on_asked(request, &why);
    api_on_refusal(request, why);
}

static inline void whole_on_answered(struct http_request *request, unsigned status, size_t bytes)
{
    whole.answered++;
    if (whole.on_told)
        whole.on_told(status);
    api_on_answered(request, status, bytes);
}

/* Until everything that was asked is answered. Real time for the writer, virtual for timers. */
static inline void whole_settle(void)
{
    loop_sim_turn(whole.loop);
    for (unsigned tries = 0; whole.answered < whole.asked; tries++) {
        ASSERT(tries < 20000);
        if (loop_sim_wait(whole.loop, 1))
            loop_sim_turn(whole.loop);
        else
            loop_sim_advance(whole.loop, 10);
    }
}

/* And until every place that was granted is a row. */
static inline void whole_store(void)
{
    whole_settle();
    for (unsigned tries = 0; !shop_loop_is_idle(&whole.shop_loop); tries++) {
        ASSERT(tries < 20000);
        loop_sim_wait(whole.loop, 2);
        loop_sim_turn(whole.loop);
    }
}

static inline bool whole_is_well(void)
{
    const struct catalog_list *list = catalog_list(whole.shop.catalog);

    for (size_t i = 0; i < list->count; i++) {
        const struct coupon *coupon = list->items[i];
        struct gate_status gate = gate_status(whole.gate, coupon->coupon_id);
        bool over = coupon_window(&coupon->settings, clock_wall_ms()) == COUPON_AFTER;
        if (gate.pending || (!over && !gate.open))
            return false;
    }
    return true;
}

/* After faults: what was promised is stored by the sweeper, and what is shut the keeper opens. */
static inline void whole_recover(void)
{
    for (unsigned tries = 0; !whole_is_well(); tries++) {
        ASSERT(tries < 2000);
        loop_sim_wait(whole.loop, 2);
        loop_sim_advance(whole.loop, 250);
        whole_store();
    }
}

/* ---- what is in it ---- */

static inline void whole_run(struct ledger_command *command)
{
    ledger_run(whole.ledger, command);
    ASSERT(command->err == ERR_OK);
}

static inline void whole_add_coupon(int64_t id, int64_t quantity, int64_t from_ms, int64_t to_ms)
{
    int64_t now_ms = clock_wall_ms();
    struct coupon coupon = { .coupon_id = id,
                             .discount_rate = 10,
                             .uses_per_user = 1,
                             .settings = { .total_quantity = quantity,
                                           .starts_at_ms = now_ms + from_ms,
                                           .ends_at_ms = now_ms + to_ms } };
    struct ledger_command command = { .op = LEDGER_COUPON_CREATE,
                                      .coupon_create = { .coupon = &coupon } };

    snprintf(coupon.name, sizeof coupon.name, "COUPON%d", (int)id);
    whole_run(&command);
    ASSERT(!command.coupon_create.taken);
}

static inline void whole_add_place(int64_t coupon_id, int64_t user_id, int64_t slot)
{
    struct ledger_command command = {
        .op = LEDGER_PLACE, .place = { .coupon_id = coupon_id, .user_id = user_id, .slot = slot }
    };

    whole_run(&command);
    ASSERT(command.place.outcome == LEDGER_PLACE_STORED);
}

static inline void whole_add_product(int64_t id, int64_t price, int64_t stock)
{
    struct ledger_product product = { .product_id = id,
                                      .name = STR("product"),
                                      .category = id % 2 ? STR("odd") : STR_NONE,
                                      .price = price,
                                      .stock = stock };
    struct ledger_command command = { .op = LEDGER_PRODUCT_CREATE,
                                      .product_create = { .product = &product } };

    whole_run(&command);
    ASSERT(!command.product_create.taken);
}

static inline void whole_add_to_cart(int64_t user_id, int64_t product_id, int64_t quantity)
{
    struct ledger_command command = { .op = LEDGER_CART_CHANGE,
                                      .cart_change = { .user_id = user_id,
                                                       .product_id = product_id,
                                                       .what = LEDGER_CART_ADD,
                                                       .quantity = quantity } };

    whole_run(&command);
    ASSERT(command.cart_change.outcome == LEDGER_CART_OK);
}

static inline void whole_fill(void)
{
    struct coupon shut;
    struct ledger_command users = { .op = LEDGER_USERS_CREATE,
                                    .users_create = { .from_user_id = 1,
                                                      .to_user_id = USERS,
                                                      .balance = 1000 } },
                          close = { .op = LEDGER_COUPON_CHANGE,
                                    .coupon_change = {
                                        .coupon_id = COUPON_SHUT,
                                        .change = { .has_closed = true, .closed = true },
                                        .coupon = &shut } };

    whole_run(&users);
    whole_add_coupon(COUPON_PLENTY, 100000, -DAY_MS, DAY_MS);
    whole_add_coupon(COUPON_SCARCE, 2, -DAY_MS, DAY_MS);
    whole_add_coupon(COUPON_SOLD, 2, -DAY_MS, DAY_MS);
    whole_add_coupon(COUPON_PAST, 10, -2 * (int64_t)DAY_MS, -DAY_MS);
    whole_add_coupon(COUPON_TOMORROW, 10, DAY_MS, 2 * (int64_t)DAY_MS);
    whole_add_coupon(COUPON_SHUT, 10, -DAY_MS, DAY_MS);
    whole_add_place(COUPON_SOLD, 1000, 1);
    whole_add_place(COUPON_SOLD, 1001, 2);
    whole_add_place(COUPON_PAST, 1000, 1);
    whole_run(&close);
    whole_add_product(PRODUCT_PLENTY, 100, 100000);
    whole_add_product(PRODUCT_GONE, 100, 0);
    whole_add_product(PRODUCT_SCARCE, 100, 2);
    whole_add_product(PRODUCT_FREE, 0, 100000);
    whole_add_to_cart(1000, PRODUCT_PLENTY, 1);
}

/* ---- its life ---- */

static inline bool whole_no_gate(void *context, int64_t coupon_id)
{
    (void)context;
    (void)coupon_id;
    return false;
}

static inline void whole_uncertain(void *context)
{
    ASSERT(context); /* never: no commit here has an outcome that is not known */
}

static inline void whole_make_directory(void)
{
    snprintf(whole.dir, sizeof whole.dir, "%s/doorbuster-api-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    ASSERT(mkdtemp(whole.dir));
    snprintf(whole.database, sizeof whole.database, "%s/shop.db", whole.dir);
}

static inline void whole_remove_directory(void)
{
    DIR *stream = opendir(whole.dir);
    struct dirent *entry;
    char path[400];

    ASSERT(stream);
    while ((entry = readdir(stream))) {
        snprintf(path, sizeof path, "%s/%s", whole.dir, entry->d_name);
        if (entry->d_name[0] != '.')
            unlink(path);
    }
    closedir(stream);
    ASSERT(rmdir(whole.dir) == 0);
}

/* The profile's defaults, but no waiting for fuller batches, small journals, and all the time a
 * slow machine needs: nothing here is overloaded. */
static inline void whole_configure(enum config_profile profile)
{
    static char flag[] = "--profile", test[] = "test";
    static char *const words[] = { flag, test };
    struct config_error error;

    ASSERT(config_load(&whole.config, 2, words, NULL, NULL, 0, &error) == ERR_OK);
    whole.config.ledger_reserve_linger_ms = 0;
    whole.config.gate_sweep_after_ms = 10;
    whole.config.ledger_queue_age_max_ms = 300000;
    whole.config.journal_generation_bytes_max = 256 * 1024;
    whole.config.profile = profile;
    whole.config.metrics_public = profile != CONFIG_PROD;
    if (profile == CONFIG_PROD)
        ASSERT(auth_keys_new(str_from(whole_secret), whole.config.auth_leeway_ms, &whole.keys) ==
               ERR_OK);
    ASSERT(clock_set_zone("Asia/Seoul") == ERR_OK);
}

static inline void whole_open_stores(void)
{
    const struct ledger_sqlite_options options = {
        .path = whole.database,
        .queue_max = (size_t)whole.config.ledger_queue_max,
        .batch_max = (size_t)whole.config.ledger_batch_max,
        .queue_age_max_ms = (uint64_t)whole.config.ledger_queue_age_max_ms,
        .reserve_linger_ms = (uint64_t)whole.config.ledger_reserve_linger_ms,
        .metrics = metrics_slot(whole.metrics, 1),
        .on_uncertain = whole_uncertain,
    };
    struct gate_memory_options gate = {
        .journal = { .directory = whole.dir,
                     .generation_bytes_max = (size_t)whole.config.journal_generation_bytes_max }
    };
    struct journal_report report;
    struct ledger_stamp stamp;
    int64_t applied;

    ASSERT(ledger_sqlite_migrate(whole.database, config_profile_name(whole.config.profile),
                                 "Asia/Seoul", &applied) == ERR_OK);
    ASSERT(ledger_sqlite_stamp(whole.database, &stamp) == ERR_OK);
    memcpy(gate.journal.database_id, stamp.database_id, sizeof stamp.database_id);
    ASSERT(ledger_sqlite_open(&options, &whole.ledger) == ERR_OK);
    ASSERT(gate_memory_open(&gate, &report, &whole.gate) == ERR_OK);
}

static inline void whole_listen(void)
{
    const struct http_server_options options = { .app = &whole.api_loop,
                                                 .on_request = whole_on_request,
                                                 .on_refusal = whole_on_refusal,
                                                 .on_answered = whole_on_answered };
    struct loop_addr addr;

    whole.http = http_server_new(whole.loop, &options);
    ASSERT(whole.http && loop_addr_parse(STR("127.0.0.1"), 0, &addr) == ERR_OK);
    ASSERT(http_server_listen(whole.http, &addr, &addr) == ERR_OK);
    whole.port = loop_addr_port(&addr);
}

static inline void whole_open(enum config_profile profile)
{
    static const struct api_route *const tables[] = { ops_routes, api_routes, NULL };
    const struct metrics_route *routes;
    size_t count;
    int64_t holders;

    whole = (struct whole){ .loop = loop_new() };
    whole_make_directory();
    whole_configure(profile);
    whole.api = (struct api){
        .config = &whole.config, .shop = &whole.shop, .keys = whole.keys, .ready = true
    };
    ASSERT(whole.loop && api_init(&whole.api, tables) == ERR_OK);
    routes = api_metric_routes(&whole.api, &count);
    whole.metrics = whole.api.metrics = metrics_new(routes, count, 2, "1", "test");
    ASSERT(whole.metrics);
    ops_metrics_register(&whole.api);
    whole_open_stores();
    whole_fill();
    ASSERT((whole.gateway = gateway_mock_new(0)));
    ASSERT(shop_init(&whole.shop, &whole.config, whole.ledger, whole.gate, whole.gateway, NULL) ==
           ERR_OK);
    whole.shop.render_settled = orders_render;
    ASSERT(shop_open(&whole.shop, whole_no_gate, NULL, &holders) == ERR_OK);
    struct metrics_slot *slot = metrics_slot(whole.metrics, 0);
    ASSERT(shop_loop_init(&whole.shop_loop, &whole.shop, whole.loop, slot, true) == ERR_OK);
    whole.api_loop =
        (struct api_loop){ .api = &whole.api, .shop = &whole.shop_loop, .metrics = slot };
    ASSERT((whole.api_loop.answers = answer_cache_new(64, 256 * 1024)));
    if (whole.keys)
        ASSERT((whole.api_loop.auth_cache = auth_cache_new(256)));
    whole_listen();
}

static inline void whole_stopped(struct http_server *server, void *arg)
{
    (void)server;
    (void)arg;
    whole.done = true;
}

/* Nothing is left: no request, no entry of the gate, no memory. */
static inline void whole_close(void)
{
    ranking_streams_end(&whole.api_loop);
    http_server_stop(whole.http, whole_stopped, NULL);
    shop_loop_drain(&whole.shop_loop);
    whole_store();
    ASSERT(whole.done);
    ledger_sqlite_stop(whole.ledger);
    http_server_free(whole.http);
    auth_cache_free(whole.api_loop.auth_cache);
    answer_cache_free(whole.api_loop.answers);
    ranking_streams_fini(&whole.api_loop);
    shop_loop_fini(&whole.shop_loop);
    loop_free(whole.loop);
    shop_fini(&whole.shop);
    gateway_free(whole.gateway);
    gate_memory_free(whole.gate);
    ledger_sqlite_free(whole.ledger);
    api_fini(&whole.api);
    metrics_free(whole.metrics);
    auth_keys_free(whole.keys);
    config_fini(&whole.config);
    whole_remove_directory();
    clock_set_offset_ms(0);
}

/* Whatever was asked of it: every coupon's proof holds, of its rows, its witness and its gate. */
static inline void whole_prove(void)
{
    whole_store();
    whole_recover();
    const struct catalog_list *list = catalog_list(whole.shop.catalog);
    for (size_t i = 0; i < list->count; i++) {
        struct coupon_proof proof = { .coupon_id = list->items[i]->coupon_id, .shop = &whole.shop };
        coupon_proof_run(&whole.shop, &proof);
        ASSERT(proof.err == ERR_OK);
        for (enum proof_check_id id = 0; !proof.proof.ok && id < PROOF_CHECK_N; id++)
            fprintf(stderr, "coupon %lld: %s: %s\n", (long long)proof.coupon_id,
                    proof_check_name(id), proof.proof.checks[id].detail);
        ASSERT(proof.proof.ok);
        coupon_proof_fini(&proof);
    }
    ASSERT(atomic_load(&whole.shop.over_issued) == 0);
    ASSERT(atomic_load(&whole.shop.gate_minus_sql) == 0);
}
