// SPDX-License-Identifier: Apache-2.0
/*
 * The keeper: a gate that is closed and should not be opens again, by itself. With a store of its
 * own a gate is known to be lost as soon as the store says so; whatever else keeps it closed, such
 * as a server that died while it was building, is given a moment.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "shop/shop_internal.h"

enum {
    KEEP_EVERY_MS = 1000,
    KEEP_SHARED_EVERY_MS = 100,
    PATIENCE_MS = 1500,
    MAKING_MS = 500, /* between a coupon's row and its gate, at another server */
    STARTING_MS = 3000,
};

/* Whether this life of a gate has been closed for long without its store having said that it is
 * lost. A new life begins anew: somebody was at it a moment ago. */
static bool has_been_closed_for(struct keeper *keeper, int64_t coupon_id, int64_t epoch,
                                uint64_t now_ms, uint64_t patience_ms)
{
    struct keeper_seen *free_seen = NULL;

    for (size_t i = 0; i < KEEPER_SEEN_MAX; i++) {
        struct keeper_seen *seen = &keeper->seen[i];
        if (seen->coupon_id == coupon_id) {
            bool fresh = now_ms - seen->last_ms < PATIENCE_MS && seen->epoch == epoch;
            seen->last_ms = now_ms;
            seen->epoch = epoch;
            if (!fresh)
                seen->since_ms = now_ms;
            return now_ms - seen->since_ms >= patience_ms;
        }
        if (!free_seen || seen->last_ms < free_seen->last_ms)
            free_seen = seen;
    }
    *free_seen = (struct keeper_seen){ coupon_id, epoch, now_ms, now_ms };
    return false;
}

/* Redis has never had a gate of it since this server started: another one may be just making it. */
static bool may_be_in_the_making(const struct keeper *keeper, const struct gate_status *gate,
                                 uint64_t now_ms)
{
    return gate->store == GATE_STORE_MISSING && gate->store_epoch == 0 && gate->epoch <= 1 &&
           now_ms - keeper->started_ms >= STARTING_MS;
}

static bool needs_keeper(struct shop_loop *loop, const struct coupon *coupon, int64_t now_ms)
{
    struct shop *shop = loop->shop;
    struct gate_status gate = gate_status(shop->gate, coupon->coupon_id);
    uint64_t loop_ms = loop_now_ms(loop->loop), patience_ms = PATIENCE_MS;

    /* What is closing is brought to its end: until then every server keeps its ear to it. */
    bool is_over = coupon_window(&coupon->settings, now_ms) == COUPON_AFTER && !coupon->closing;

    if (is_over || !gate_is_usable(shop->gate) || (gate.known && gate.open))
        return false;
    if (!shop->servers)
        return true;
    switch (gate.store) {
    case GATE_STORE_UNASKED:
    case GATE_STORE_AWAY:
        return false;
    case GATE_STORE_MISSING:
    case GATE_STORE_LOST:
        if (may_be_in_the_making(&loop->keeper, &gate, loop_ms)) {
            patience_ms = MAKING_MS;
            break;
        }
        /* Of an older life than SQL's, or closing: somebody is at it. */
        if (!coupon->closing && (!gate.store_epoch || gate.store_epoch >= coupon->epoch))
            return true;
        break;
    case GATE_STORE_BUILDING:
    case GATE_STORE_SEALED:
    case GATE_STORE_OPEN:
        break;
    }
    return has_been_closed_for(&loop->keeper, coupon->coupon_id,
                               MAX(coupon->epoch, gate.store_epoch), loop_ms, patience_ms);
}

static void kept(struct coupon_patch *patch)
{
    struct keeper_job *job = CONTAINER_OF(patch, struct keeper_job, patch);

    job->busy = false;
    patch->loop->keeper.busy--;
    if (patch->err == ERR_OK)
        LOG(LOG_WARN, "gate opened again", LOG_INT("coupon", patch->coupon_id));
}

static struct keeper_job *job_for(struct keeper *keeper, int64_t coupon_id)
{
    struct keeper_job *idle = NULL;

    for (size_t i = 0; i < KEEPER_JOBS_MAX; i++) {
        if (keeper->jobs[i].busy && keeper->jobs[i].patch.coupon_id == coupon_id)
            return NULL;
        if (!keeper->jobs[i].busy)
            idle = &keeper->jobs[i];
    }
    return idle;
}

void keeper_look(struct shop_loop *loop)
{
    const struct catalog_list *all = catalog_list(loop->shop->catalog);
    int64_t now_ms = clock_wall_ms();

    for (size_t i = 0; i < all->count && !loop->draining; i++) {
        if (!needs_keeper(loop, all->items[i], now_ms))
            continue;
        struct keeper_job *job = job_for(&loop->keeper, all->items[i]->coupon_id);
        if (!job)
            continue;
        job->busy = true;
        loop->keeper.busy++;
        job->patch = (struct coupon_patch){ .done = kept, .coupon_id = all->items[i]->coupon_id };
        coupon_patch(loop, &job->patch);
    }
}

static void keep(struct loop_timer *timer)
{
    struct shop_loop *loop = CONTAINER_OF(timer, struct shop_loop, keeper.timer);
    uint64_t every_ms = loop->shop->servers ? KEEP_SHARED_EVERY_MS : KEEP_EVERY_MS;

    keeper_look(loop);
    if (!loop->draining)
        err_ignore(loop_timer_start(loop->loop, timer, every_ms), "its slot is there");
}

enum err keeper_start(struct shop_loop *loop)
{
    loop->keeper.timer.run = keep;
    loop->keeper.started_ms = loop_now_ms(loop->loop);
    return loop_timer_start(loop->loop, &loop->keeper.timer, KEEP_EVERY_MS);
}
