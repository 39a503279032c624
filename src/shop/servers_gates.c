// SPDX-License-Identifier: Apache-2.0
/*
 * How the gates stand in a store of their own, with each beat: those of which something is to be
 * heard or told, and of the others, which are open and idle or have just ended, some in turn; a
 * question for each of ten thousand would be all that the store does. Whoever has a gate's traffic
 * sees with each answer how it stands. If one is found to be lost the next beat looks at all of
 * them.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "shop/shop_internal.h"

enum { IDLE_AT_ONCE = 256 };

static bool is_astray(const struct gate_status *gate)
{
    return gate->store == GATE_STORE_LOST || gate->store == GATE_STORE_MISSING ||
           gate->store == GATE_STORE_AWAY;
}

static bool is_idle(const struct gate_status *gate, const struct coupon *coupon)
{
    return gate->open && gate->pending == 0 && !coupon->closing &&
           gate->settings_version >= coupon->settings.version;
}

static bool may_be_open(const struct coupon *coupon, int64_t now_ms)
{
    return coupon_window(&coupon->settings, now_ms) != COUPON_AFTER || coupon->closing;
}

/* What it handed out last, before it ended, may be unknown here. */
static bool is_counted_too_early(const struct gate_status *gate, const struct coupon *coupon)
{
    return gate->counted && gate->seen_at_ms < coupon->settings.ends_at_ms;
}

/* Those of `idle` whose turn it is, to the end of `ids`. */
static size_t take_turns(struct servers_gates *gates, const int64_t *idle, size_t idle_count,
                         int64_t *ids)
{
    size_t count = MIN(idle_count, (size_t)IDLE_AT_ONCE), at = 0;

    while (at < idle_count && idle[at] <= gates->after)
        at++;
    for (size_t i = 0; i < count; i++)
        ids[i] = idle[(at + i) % idle_count];
    if (count)
        gates->after = ids[count - 1];
    return count;
}

static size_t choose(struct servers *servers, const struct catalog_list *all, int64_t *ids,
                     int64_t *idle)
{
    struct servers_gates *gates = &servers->gates;
    size_t count = 0, idle_count = 0, astray = 0;
    int64_t now_ms = clock_wall_ms();

    for (size_t i = 0; i < all->count; i++) {
        const struct coupon *coupon = all->items[i];
        struct gate_status gate = gate_status(servers->shop->gate, coupon->coupon_id);
        bool open = may_be_open(coupon, now_ms);
        if (!open && !is_counted_too_early(&gate, coupon))
            continue;
        astray += open && is_astray(&gate);
        if (!open || is_idle(&gate, coupon))
            idle[idle_count++] = coupon->coupon_id;
        else
            ids[count++] = coupon->coupon_id;
    }
    bool more_astray = astray > gates->astray;
    gates->astray = astray;
    if (!more_astray)
        return count + take_turns(gates, idle, idle_count, ids + count);
    if (idle_count)
        memcpy(ids + count, idle, idle_count * sizeof *idle);
    return count + idle_count;
}

static void gates_read(struct gate_refresh *refresh)
{
    struct servers *servers = CONTAINER_OF(refresh, struct servers, gates.refresh);

    servers->gates.busy = false;
    servers->gates.ids = mem_free(servers->gates.ids);
    keeper_look(servers->loop);
}

void servers_gates_refresh(struct servers *servers)
{
    const struct catalog_list *all = catalog_list(servers->shop->catalog);
    struct servers_gates *gates = &servers->gates;
    size_t room = all->count + 1;

    if (gates->busy)
        return;
    gates->ids = mem_alloc(2 * room * sizeof *gates->ids);
    if (!gates->ids)
        return;
    gates->busy = true;
    gates->refresh = (struct gate_refresh){ .done = gates_read, .coupon_ids = gates->ids };
    gates->refresh.count = choose(servers, all, gates->ids, gates->ids + room);
    gate_refresh(servers->loop->gate, &gates->refresh);
}
