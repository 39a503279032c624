// SPDX-License-Identifier: Apache-2.0
#include "shop/shop.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "shop/ranking_internal.h"
#include "shop/shop_internal.h"

enum err shop_init(struct shop *shop, const struct config *config, struct ledger *ledger,
                   struct gate *gate, struct gateway *gateway, struct ranking *ranking)
{
    *shop = (struct shop){
        .config = config, .ledger = ledger, .gate = gate, .gateway = gateway, .ranking = ranking
    };
    shop->catalog = catalog_new();
    shop->turns = shop_turns_new();
    shop->changes = mem_alloc(sizeof *shop->changes);
    shop->ranking_feed = ranking_feed_new();
    bool shared = ledger && ledger_is_shared(ledger);
    if (shared) {
        shop->servers = servers_new(shop, !gate_is_shared(gate));
        shop->traffic = traffic_new();
    }
    if (!shop->catalog || !shop->turns || !shop->changes || !shop->ranking_feed ||
        (shared && (!shop->servers || !shop->traffic))) {
        shop_fini(shop);
        return ERR_NOMEM;
    }
    shop_watch(shop);
    return ERR_OK;
}

void shop_fini(struct shop *shop)
{
    shop->servers = servers_free(shop->servers);
    shop->traffic = traffic_free(shop->traffic);
    shop->catalog = catalog_free(shop->catalog);
    shop->turns = shop_turns_free(shop->turns);
    if (shop->ledger)
        ledger_watch_set(shop->ledger, NULL);
    shop->changes = mem_free(shop->changes);
    shop->ranking_feed = ranking_feed_free(shop->ranking_feed);
}

/* ---- opening ---- */

static bool catalog_add(void *context, const struct coupon *coupon)
{
    struct shop *shop = context;

    return catalog_put(shop->catalog, coupon) == ERR_OK;
}

/* Gates live again: a new epoch, and then the rows. */
static enum err gate_open(struct shop *shop, int64_t coupon_id, int64_t *holders)
{
    struct coupon coupon;
    struct ledger_command raise = { .op = LEDGER_COUPON_EPOCH,
                                    .coupon_epoch = { .coupon_id = coupon_id, .coupon = &coupon } };
    int64_t count;

    ledger_run(shop->ledger, &raise);
    TRY(raise.err);
    if (!raise.coupon_epoch.found)
        return ERR_NOT_FOUND;
    TRY(coupon_rebuild(shop, coupon_id, &coupon, &count));
    *holders += count;
    return catalog_put(shop->catalog, &coupon);
}

/* Gates that other servers may be using. What is not open there the keeper opens. */
static enum err gates_adopt(struct shop *shop)
{
    const struct catalog_list *all = catalog_list(shop->catalog);

    for (size_t i = 0; i < all->count; i++) {
        const struct coupon *coupon = all->items[i];
        TRY(gate_adopt(shop->gate, coupon->coupon_id, coupon->epoch, &coupon->settings));
        if (coupon->closing)
            gate_close(shop->gate, coupon->coupon_id);
    }
    return ERR_OK;
}

enum err shop_open(struct shop *shop, bool (*needs_gate)(void *context, int64_t coupon_id),
                   void *context, int64_t *ret_holders)
{
    int64_t now_ms = clock_wall_ms();

    *ret_holders = 0;
    /* Nothing is sold or refused for want of a ranking: the first loop copies it again. */
    if (shop->ranking && (!ledger_is_shared(shop->ledger) || ranking_feed_wants_copy(shop)) &&
        ranking_feed_copy(shop) != ERR_OK)
        LOG(LOG_WARN, "ranking not copied at start");
    if (shop->servers)
        TRY(servers_enter(shop->servers));
    TRY(ledger_scan_coupons(shop->ledger, catalog_add, shop));
    if (gate_is_shared(shop->gate))
        return gates_adopt(shop);
    /* Opening replaces coupons, and so lists, which do not live for ever: take the list anew. */
    for (size_t i = 0; i < catalog_list(shop->catalog)->count; i++) {
        const struct coupon *coupon = catalog_list(shop->catalog)->items[i];
        if (coupon_window(&coupon->settings, now_ms) != COUPON_AFTER ||
            needs_gate(context, coupon->coupon_id))
            TRY(gate_open(shop, coupon->coupon_id, ret_holders));
    }
    return ERR_OK;
}

bool shop_gates_are_open(const struct shop *shop)
{
    const struct catalog_list *all = catalog_list(shop->catalog);
    int64_t now_ms = clock_wall_ms();

    for (size_t i = 0; i < all->count; i++)
        if (coupon_window(&all->items[i]->settings, now_ms) != COUPON_AFTER &&
            !gate_status(shop->gate, all->items[i]->coupon_id).open)
            return false;
    return true;
}

int64_t coupon_remaining(struct shop *shop, const struct coupon *coupon)
{
    struct gate_status gate = gate_status(shop->gate, coupon->coupon_id);

    return gate.counted ? gate.remaining : coupon->settings.total_quantity - coupon->witness.issued;
}

/* ---- loops ---- */

static enum err start_relays(struct shop_loop *loop)
{
    struct shop *shop = loop->shop;

    for (int i = 0; i < LEDGER_CONSUMER_N; i++)
        if (shop->consumers[i].on)
            TRY(events_relay_new(loop, (enum ledger_consumer)i, &shop->consumers[i],
                                 &shop->events_stats[i], &loop->relays[i]));
    return ERR_OK;
}

static bool relays_are_idle(const struct shop_loop *loop)
{
    for (int i = 0; i < LEDGER_CONSUMER_N; i++)
        if (!events_relay_is_idle(loop->relays[i]))
            return false;
    return true;
}

/* What one loop does for all. */
static enum err start_jobs(struct shop_loop *loop)
{
    TRY(sweeper_start(loop));
    TRY(keeper_start(loop));
    TRY(forget_start(loop));
    TRY(settler_start(&loop->settler, loop));
    TRY(ranking_jobs_start(&loop->ranking_jobs, loop));
    if (loop->shop->servers)
        TRY(servers_start(loop->shop->servers, loop));
    TRY(start_relays(loop));
    return invariants_start(&loop->invariants, loop->shop, loop->loop);
}

static void stop_jobs(struct shop_loop *loop)
{
    loop_timer_stop(&loop->sweep);
    loop_timer_stop(&loop->keeper.timer);
    loop_timer_stop(&loop->forget.timer);
    settler_stop(&loop->settler);
    invariants_stop(&loop->invariants);
}

enum err shop_loop_init(struct shop_loop *loop, struct shop *shop, struct loop *on,
                        struct metrics_slot *metrics, bool sweeps)
{
    *loop = (struct shop_loop){ .shop = shop, .loop = on, .metrics = metrics };
    list_init(&loop->lookups);
    list_init(&loop->waiting);
    list_init(&loop->spare);
    list_init(&loop->payments);
    list_init(&loop->settler.settlements);
    /* The gate first: what it grants in a turn goes to the ledger in the same turn. */
    loop->gate = gate_client_new(shop->gate, on, metrics);
    loop->ledger = ledger_client_new(shop->ledger, on);
    if (shop->gateway)
        loop->gateway = gateway_client_new(shop->gateway, on, metrics);
    if (shop->ranking)
        loop->ranking = ranking_client_new(shop->ranking, on, metrics);
    loop->desk.names = product_names_new();
    loop->desk.last = ranking_last_new();
    if (!loop->ledger || !loop->gate || (shop->gateway && !loop->gateway) ||
        (shop->ranking && !loop->ranking) || !loop->desk.names || !loop->desk.last ||
        (sweeps && start_jobs(loop) != ERR_OK)) {
        shop_loop_fini(loop);
        return ERR_NOMEM;
    }
    return ERR_OK;
}

void shop_loop_drain(struct shop_loop *loop)
{
    loop->draining = true;
    payments_hurry(loop);
    stop_jobs(loop);
    ranking_jobs_drain(&loop->ranking_jobs);
    for (int i = 0; i < LEDGER_CONSUMER_N; i++)
        events_relay_drain(loop->relays[i]);
}

/* The first loop gives the lease back, when nothing else is left to do. */
static bool has_left(const struct shop_loop *loop)
{
    struct servers *servers = loop->shop->servers;

    return !servers || servers->loop != loop || !loop->draining || servers_are_idle(servers);
}

const char *shop_loop_waits_for(const struct shop_loop *loop)
{
    const struct {
        bool waits;
        const char *what;
    } all[] = {
        { loop->placements > 0, "rows of granted places" },
        { !list_empty(&loop->payments), "payments" },
        { !settler_is_idle(&loop->settler), "attempts being settled" },
        { loop->sweeping || !gate_client_is_idle(loop->gate), "the gate" },
        { loop->keeper.busy > 0, "gates being opened" },
        { loop->invariants.busy || loop->forget.busy, "chores" },
        { !list_empty(&loop->lookups) || loop->desk.reads > 0, "reads" },
        { !ranking_jobs_are_idle(&loop->ranking_jobs), "the ranking's copies" },
        { !relays_are_idle(loop), "events" },
        { !has_left(loop), "leaving the other servers" },
    };

    for (size_t i = 0; i < ARRAY_COUNT(all); i++)
        if (all[i].waits)
            return all[i].what;
    return NULL;
}

bool shop_loop_is_idle(const struct shop_loop *loop)
{
    return !shop_loop_waits_for(loop);
}

void shop_loop_fini(struct shop_loop *loop)
{
    ASSERT(!loop->gate || shop_loop_is_idle(loop));
    stop_jobs(loop);
    if (loop->shop->servers && loop->shop->servers->loop == loop)
        servers_stop(loop->shop->servers);
    loop_timer_stop(&loop->deadline);
    for (int i = 0; i < LEDGER_CONSUMER_N; i++)
        loop->relays[i] = events_relay_free(loop->relays[i]);
    while (!list_empty(&loop->spare)) {
        struct placement *placement = CONTAINER_OF(loop->spare.next, struct placement, node);
        list_remove(&placement->node);
        mem_free(placement);
    }
    sweeper_fini(loop);
    loop->ledger = ledger_client_free(loop->ledger);
    loop->gate = gate_client_free(loop->gate);
    loop->gateway = gateway_client_free(loop->gateway);
    ranking_jobs_fini(&loop->ranking_jobs);
    loop->ranking = ranking_client_free(loop->ranking);
    loop->desk.names = product_names_free(loop->desk.names);
    loop->desk.last = ranking_last_free(loop->desk.last);
    id_set_fini(&loop->known_users);
    settler_fini(&loop->settler);
}
