// SPDX-License-Identifier: Apache-2.0
/*
 * The relay: what a server's commits changed comes into the ranking with the commit, and once more
 * from the store's outbox, a moment later, by whichever server looks there first. So a sale is not
 * lost if its server dies between the two. Sums are copied with versions: twice is no harm.
 */
#include "base/mem.h"
#include "shop/ranking_internal.h"

enum { LOOK_MS = 500, COMPACT_EVERY_MS = 30000, BATCHES_MAX = 20 };

struct run {
    struct ledger_sales_relay relay;
    struct shop *shop;
    struct ranking_sum sums[LEDGER_RELAY_AT_ONCE];
};

static enum err copy(struct ledger_sales_relay *relay, const struct ledger_sale *sales,
                     size_t count)
{
    struct run *run = CONTAINER_OF(relay, struct run, relay);
    struct ranking_feed *feed = run->shop->ranking_feed;

    for (size_t i = 0; i < count; i++)
        run->sums[i] = ranking_sum_of(&sales[i]);
    TRY(ranking_put_surely(run->shop->ranking, run->sums, count));
    atomic_fetch_add_explicit(&feed->relayed, count, memory_order_relaxed);
    return ERR_OK;
}

/* What stays for later is as old as it was when it was last looked at. */
static void note_age(struct run *run, enum err e)
{
    bool left = e != ERR_OK || run->relay.taken == LEDGER_RELAY_AT_ONCE;

    atomic_store_explicit(&run->shop->ranking_feed->outbox_age_ms, left ? run->relay.oldest_ms : 0,
                          memory_order_relaxed);
}

static void relay_work(struct loop_work *work)
{
    struct ranking_relay *self = CONTAINER_OF(work, struct ranking_relay, work);
    CLEANUP(mem_freep) struct run *run = mem_alloc(sizeof *run);
    enum err e = ERR_OK;

    if (!run)
        return;
    run->shop = self->loop->shop;
    run->relay.copy = ranking_status(run->shop->ranking).readable ? copy : NULL;
    run->relay.taken = LEDGER_RELAY_AT_ONCE;
    for (int i = 0; i < BATCHES_MAX && e == ERR_OK && run->relay.taken == LEDGER_RELAY_AT_ONCE; i++)
        e = ledger_relay_sales(run->shop->ledger, &run->relay);
    note_age(run, e);
}

static void relay_done(struct loop_work *work)
{
    CONTAINER_OF(work, struct ranking_relay, work)->working = false;
}

/* With the ranking away notes gather: now and then those of the same sum are made one. */
static bool is_due(struct ranking_relay *relay)
{
    uint64_t now_ms = loop_now_ms(relay->loop->loop);

    if (relay->working)
        return false;
    if (ranking_status(relay->loop->shop->ranking).readable) {
        relay->compact_ms = now_ms + COMPACT_EVERY_MS;
        return true;
    }
    if (now_ms < relay->compact_ms)
        return false;
    relay->compact_ms = now_ms + COMPACT_EVERY_MS;
    return true;
}

static void look(struct loop_timer *timer)
{
    struct ranking_relay *relay = CONTAINER_OF(timer, struct ranking_relay, timer);

    err_ignore(loop_timer_start(relay->loop->loop, timer, LOOK_MS), "its slot is there");
    if (!is_due(relay))
        return;
    relay->work.work = relay_work;
    relay->work.done = relay_done;
    relay->working = loop_work_start(relay->loop->loop, &relay->work) == ERR_OK;
}

enum err ranking_relay_start(struct ranking_relay *relay, struct shop_loop *loop)
{
    if (!loop->shop->ranking || !ledger_is_shared(loop->shop->ledger))
        return ERR_OK;
    relay->loop = loop;
    relay->timer.run = look;
    return loop_timer_start(loop->loop, &relay->timer, LOOK_MS);
}

void ranking_relay_stop(struct ranking_relay *relay)
{
    loop_timer_stop(&relay->timer);
}
