// SPDX-License-Identifier: Apache-2.0
#include "shop/servers.h"

#include <stdio.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "shop/ranking_internal.h"
#include "shop/shop_internal.h"

/* Between a beat's end and the next: often enough that one lost beat does not lose the lease. */
enum {
    EVERY_MS = 250,
    AGAIN_MS = 50,         /* it failed */
    CLOSING_EVERY_MS = 30, /* a gate is being closed */
    SOON_MS = 10           /* this server leaves, or somebody asked meanwhile */
};
/* Who asks while none is under way gets one at once, but no more than so many. */
enum { ASKED_EVERY_MS = 5 };
enum { DEADLINE_MS = 800, ENTER_DEADLINE_MS = 5000, LEAVE_DEADLINE_MS = 200 };
enum { MARGIN_MS = 50, LEAVE_TRIES_MAX = 2 };

struct servers *servers_new(struct shop *shop, bool sole)
{
    struct servers *servers = mem_alloc(sizeof *servers);
    uint64_t random;

    if (!servers)
        return NULL;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        random = clock_mono_ns();
    servers->shop = shop;
    servers->sole = sole;
    servers->server_id = (int64_t)(random >> 1) | 1;
    pthread_mutex_init(&servers->taking_over, NULL);
    pthread_mutex_init(&servers->lock, NULL);
    list_init(&servers->asking);
    list_init(&servers->served);
    gate_lease_set(shop->gate, 0);
    return servers;
}

struct servers *servers_free(struct servers *servers)
{
    if (!servers)
        return NULL;
    arena_fini(&servers->arena);
    mem_free(servers->gates.ids);
    mem_free(servers->closings);
    pthread_mutex_destroy(&servers->taking_over);
    pthread_mutex_destroy(&servers->lock);
    return mem_free(servers);
}

/* ---- what a beat says ---- */

static bool fill_known(struct servers *servers)
{
    const struct catalog_list *all = catalog_list(servers->shop->catalog);
    struct ledger_known_coupon *known =
        arena_alloc(&servers->arena, (all->count + 1) * sizeof *known);

    if (!known)
        return false;
    for (size_t i = 0; i < all->count; i++)
        known[i] = (struct ledger_known_coupon){ .coupon_id = all->items[i]->coupon_id,
                                                 .version = all->items[i]->settings.version,
                                                 .epoch = all->items[i]->epoch,
                                                 .closing = all->items[i]->closing };
    servers->beat.known = known;
    servers->beat.known_count = all->count;
    return true;
}

/*
 * Handed in is what the gate is closed for here, so that nothing new begins, and of which nothing
 * is under way any more. In this order: a placement is counted before its gate is asked.
 */
static bool fill_hand_ins(struct servers *servers)
{
    struct ledger_hand_in *hand_ins =
        arena_alloc(&servers->arena, (servers->closing_count + 1) * sizeof *hand_ins);
    size_t count = 0;

    if (!hand_ins)
        return false;
    for (size_t i = 0; i < servers->closing_count; i++) {
        const struct ledger_closing *closing = &servers->closings[i];
        if (gate_status(servers->shop->gate, closing->coupon_id).open ||
            !traffic_is_quiet(servers->shop->traffic, closing->coupon_id))
            continue;
        hand_ins[count++] =
            (struct ledger_hand_in){ .coupon_id = closing->coupon_id, .epoch = closing->epoch };
    }
    servers->beat.hand_ins = hand_ins;
    servers->beat.hand_in_count = count;
    return true;
}

static bool beat_fill(struct servers *servers)
{
    arena_reset(&servers->arena);
    servers->beat = (struct ledger_beat){ .arena = &servers->arena,
                                          .server_id = servers->server_id,
                                          .url = servers->url,
                                          .lease_ms = SERVERS_LEASE_MS,
                                          .sole = servers->sole,
                                          .leave = servers->leaving };
    return fill_known(servers) && fill_hand_ins(servers);
}

/* ---- what a beat brings ---- */

static void lease_renew(struct servers *servers)
{
    /* From before it was sent: the database's lease ends later than this. */
    uint64_t until = servers->leaving || servers->beat.refused
                         ? 0
                         : servers->sent_boot_ms + SERVERS_LEASE_MS - MARGIN_MS;

    gate_lease_set(servers->shop->gate, until);
    atomic_store(&servers->lease_until_boot_ms, until);
    atomic_store(&servers->live, servers->beat.live);
}

/* The gate is closed before it is told of, and opened after. */
static enum err take_over_locked(struct servers *servers, const struct coupon *coupon)
{
    struct shop *shop = servers->shop;
    const struct coupon *known = catalog_find(shop->catalog, coupon->coupon_id);

    if (known && known->epoch > coupon->epoch)
        return ERR_OK; /* read before this server raised it itself */
    if (coupon->closing)
        gate_close(shop->gate, coupon->coupon_id);
    TRY(catalog_put(shop->catalog, coupon));
    known = catalog_find(shop->catalog, coupon->coupon_id);
    if (known->closing || servers->sole)
        return ERR_OK;
    return gate_adopt(shop->gate, known->coupon_id, known->epoch, &known->settings);
}

enum err servers_take_over(struct servers *servers, const struct coupon *coupon)
{
    pthread_mutex_lock(&servers->taking_over);
    enum err e = take_over_locked(servers, coupon);
    pthread_mutex_unlock(&servers->taking_over);
    return e;
}

static void closings_take(struct servers *servers)
{
    size_t count = servers->beat.closing_count;
    struct ledger_closing *closings = mem_alloc((count + 1) * sizeof *closings);

    if (!closings)
        return;
    if (count)
        memcpy(closings, servers->beat.closings, count * sizeof *closings);
    pthread_mutex_lock(&servers->lock);
    struct ledger_closing *old = servers->closings;
    servers->closings = closings;
    servers->closing_count = count;
    pthread_mutex_unlock(&servers->lock);
    mem_free(old);
}

/* Another database has taken over, and may not have what was committed last: what was derived from
 * the rows is suspect. */
static void timeline_look(struct servers *servers)
{
    bool changed = servers->timeline[0] && strcmp(servers->timeline, servers->beat.timeline) != 0;

    snprintf(servers->timeline, sizeof servers->timeline, "%s", servers->beat.timeline);
    if (!changed)
        return;
    LOG(LOG_WARN, "another database has taken over: gates and ranking are built again",
        LOG_CSTR("timeline", servers->timeline));
    const struct catalog_list *all = catalog_list(servers->shop->catalog);
    for (size_t i = 0; i < all->count; i++)
        gate_close(servers->shop->gate, all->items[i]->coupon_id);
    ranking_feed_suspect(servers->shop);
}

/* The lease last: whoever has one knows what is closing. Without memory the next beat brings the
 * rest. */
static void beat_take(struct servers *servers)
{
    bool whole = true;

    for (size_t i = 0; i < servers->beat.coupon_count; i++)
        whole &= servers_take_over(servers, &servers->beat.coupons[i]) == ERR_OK;
    closings_take(servers);
    timeline_look(servers);
    if (whole)
        lease_renew(servers);
}

/* ---- who asked for one ---- */

static void refresh_end(struct loop_task *task)
{
    struct servers_refresh *refresh = CONTAINER_OF(task, struct servers_refresh, task);

    refresh->done(refresh, refresh->err);
}

static void served_end(struct servers *servers, enum err e)
{
    struct list served;

    list_init(&served);
    pthread_mutex_lock(&servers->lock);
    list_splice(&served, &servers->served);
    pthread_mutex_unlock(&servers->lock);
    while (!list_empty(&served)) {
        struct servers_refresh *refresh = CONTAINER_OF(served.next, struct servers_refresh, node);
        list_remove(&refresh->node);
        refresh->err = e;
        refresh->task.run = refresh_end;
        loop_send(refresh->loop, &refresh->task);
    }
}

/* ---- beating ---- */

static bool is_asked(struct servers *servers)
{
    pthread_mutex_lock(&servers->lock);
    bool asked = !list_empty(&servers->asking);
    pthread_mutex_unlock(&servers->lock);
    return asked;
}

static void beat_in(struct servers *servers, uint64_t after_ms)
{
    err_ignore(loop_timer_start(servers->loop->loop, &servers->timer, after_ms),
               "its slot is there");
}

/* One has ended with `e`. */
static void beat_next(struct servers *servers, enum err e)
{
    if (servers->left)
        return;
    if (servers->loop->draining || is_asked(servers))
        beat_in(servers, SOON_MS);
    else if (e != ERR_OK)
        beat_in(servers, AGAIN_MS);
    else
        beat_in(servers, servers->beat.closing_count > 0 ? CLOSING_EVERY_MS : EVERY_MS);
}

static void beat_send(struct servers *servers);

static void beaten(struct ledger_beat *beat)
{
    struct servers *servers = CONTAINER_OF(beat, struct servers, beat);
    enum err e = beat->err;

    servers->beating = false;
    if (e == ERR_OK)
        beat_take(servers);
    if (servers->leaving && (e == ERR_OK || ++servers->leave_tries == LEAVE_TRIES_MAX))
        servers->left = true;
    served_end(servers, e);
    if (servers->left)
        beat_send(servers); /* who asked meanwhile hears that there will be no more */
    else
        servers_gates_refresh(servers);
    beat_next(servers, e);
}

/* Who leaves holds nothing, and tells nothing from here on: nobody will wait for it. If something
 * came in between, the beat brings the lease back. */
static bool leave_begin(struct servers *servers)
{
    if (!traffic_is_quiet_all(servers->shop->traffic))
        return false;
    gate_lease_set(servers->shop->gate, 0);
    return traffic_is_quiet_all(servers->shop->traffic);
}

static void beat_send(struct servers *servers)
{
    if (servers->beating)
        return;
    pthread_mutex_lock(&servers->lock);
    list_splice(&servers->served, &servers->asking);
    pthread_mutex_unlock(&servers->lock);
    if (servers->left) {
        served_end(servers, ERR_UNAVAILABLE);
        return;
    }
    servers->leaving = servers->loop->draining && leave_begin(servers);
    if (!beat_fill(servers)) {
        served_end(servers, ERR_NOMEM);
        beat_next(servers, ERR_NOMEM);
        return;
    }
    servers->beating = true;
    servers->sent_boot_ms = clock_boot_ms();
    servers->beat.done = beaten;
    servers->beat.deadline_ms =
        loop_now_ms(servers->loop->loop) + (servers->leaving ? LEAVE_DEADLINE_MS : DEADLINE_MS);
    ledger_beat(servers->loop->ledger, &servers->beat);
}

static void beat_due(struct loop_timer *timer)
{
    beat_send(CONTAINER_OF(timer, struct servers, timer));
}

static void beat_wanted(struct loop_task *task)
{
    struct servers *servers = CONTAINER_OF(task, struct servers, wake);

    pthread_mutex_lock(&servers->lock);
    servers->woken = false;
    pthread_mutex_unlock(&servers->lock);
    uint64_t age_ms = clock_boot_ms() - servers->sent_boot_ms;
    if (servers->beating)
        return; /* it looks again when it is back */
    if (servers->left || age_ms >= ASKED_EVERY_MS)
        beat_send(servers);
    else
        beat_in(servers, ASKED_EVERY_MS - age_ms);
}

void servers_refresh(struct shop_loop *loop, struct servers_refresh *refresh)
{
    struct servers *servers = loop->shop->servers;

    refresh->loop = loop->loop;
    pthread_mutex_lock(&servers->lock);
    list_append(&servers->asking, &refresh->node);
    bool wake = !servers->woken;
    servers->woken = true;
    pthread_mutex_unlock(&servers->lock);
    if (wake)
        loop_send(servers->loop->loop, &servers->wake);
}

bool servers_hand_in_is_complete(struct servers *servers, int64_t coupon_id, int64_t epoch)
{
    bool complete = false;

    pthread_mutex_lock(&servers->lock);
    for (size_t i = 0; i < servers->closing_count; i++)
        if (servers->closings[i].coupon_id == coupon_id && servers->closings[i].epoch == epoch)
            complete = servers->closings[i].waiting_for == 0;
    pthread_mutex_unlock(&servers->lock);
    return complete;
}

/* ---- coming and going ---- */

static void first_done(struct ledger_beat *beat)
{
    loop_stop(CONTAINER_OF(beat, struct servers, beat)->entering);
}

static enum err first_beat(struct servers *servers, struct ledger_client *client)
{
    if (!beat_fill(servers))
        return ERR_NOMEM;
    servers->sent_boot_ms = clock_boot_ms();
    servers->beat.done = first_done;
    servers->beat.deadline_ms = loop_now_ms(servers->entering) + ENTER_DEADLINE_MS;
    ledger_beat(client, &servers->beat);
    loop_run(servers->entering);
    TRY(servers->beat.err);
    lease_renew(servers);
    return servers->beat.refused ? ERR_CONFLICT : ERR_OK;
}

/* The lease of a server that has just died still has to run out. */
static enum err enter_on(struct servers *servers, struct ledger_client *client)
{
    const struct timespec moment = { .tv_nsec = 100 * 1000000 };
    uint64_t until_ms = clock_boot_ms() + 2 * SERVERS_LEASE_MS;
    enum err e;

    while ((e = first_beat(servers, client)) == ERR_CONFLICT && clock_boot_ms() < until_ms)
        nanosleep(&moment, NULL);
    return e;
}

enum err servers_enter(struct servers *servers)
{
    enum err e = ERR_NOMEM;

    servers->entering = loop_new();
    if (!servers->entering)
        return ERR_NOMEM;
    struct ledger_client *client = ledger_client_new(servers->shop->ledger, servers->entering);
    if (client)
        e = enter_on(servers, client);
    ledger_client_free(client);
    servers->entering = loop_free(servers->entering);
    return e;
}

enum err servers_start(struct servers *servers, struct shop_loop *first)
{
    servers->loop = first;
    servers->timer.run = beat_due;
    servers->wake.run = beat_wanted;
    return loop_timer_start(first->loop, &servers->timer, 0);
}

/* Whoever asked in between may have made one more due. */
void servers_stop(struct servers *servers)
{
    loop_timer_stop(&servers->timer);
}

bool servers_are_idle(const struct servers *servers)
{
    return servers->left && !servers->beating && !servers->gates.busy;
}
