// SPDX-License-Identifier: Apache-2.0
#include "core/coupon.h"

enum coupon_window coupon_window(const struct coupon_settings *settings, int64_t now_ms)
{
    if (now_ms < settings->starts_at_ms)
        return COUPON_BEFORE;
    return now_ms < settings->ends_at_ms ? COUPON_WITHIN : COUPON_AFTER;
}

enum coupon_state coupon_state(const struct coupon_settings *settings, int64_t remaining,
                               int64_t now_ms)
{
    enum coupon_window window = coupon_window(settings, now_ms);

    if (window == COUPON_AFTER)
        return COUPON_ENDED;
    if (settings->closed)
        return COUPON_CLOSED;
    if (window == COUPON_BEFORE)
        return COUPON_SCHEDULED;
    return remaining > 0 ? COUPON_OPEN : COUPON_SOLD_OUT;
}

enum held_state coupon_held_state(int64_t uses, int64_t uses_per_user, int64_t expires_at_ms,
                                  int64_t now_ms)
{
    if (uses_per_user != COUPON_USES_UNLIMITED && uses >= uses_per_user)
        return HELD_USED;
    return now_ms < expires_at_ms ? HELD_AVAILABLE : HELD_EXPIRED;
}

bool coupon_change_is_empty(const struct coupon_change *change)
{
    return !change->has_quantity && !change->has_starts && !change->has_ends && !change->has_closed;
}

enum coupon_change_outcome coupon_change_decide(const struct coupon *coupon,
                                                const struct coupon_change *change,
                                                struct coupon_settings *ret_settings)
{
    struct coupon_settings next = coupon->settings;

    if (change->has_quantity)
        next.total_quantity = change->total_quantity;
    if (change->has_starts)
        next.starts_at_ms = change->starts_at_ms;
    if (change->has_ends)
        next.ends_at_ms = change->ends_at_ms;
    if (change->has_closed)
        next.closed = change->closed;
    if (next.total_quantity < coupon->witness.highest)
        return COUPON_CHANGE_BELOW_HANDED_OUT;
    if (next.ends_at_ms <= next.starts_at_ms)
        return COUPON_CHANGE_EMPTY_WINDOW;
    next.version++;
    *ret_settings = next;
    return COUPON_CHANGE_OK;
}
