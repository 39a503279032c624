// SPDX-License-Identifier: Apache-2.0
/* Events are made where their effect is decided. The key's row is one of the batch and locked, so
 * its numbers are given in the order of the effects, without a gap. */
#include "ledger/ledger_decide_internal.h"

enum { EVENTS_FIRST = 64 };

static struct ledger_event_row *add(struct ledger_rows *rows)
{
    if (rows->event_count == rows->event_max) {
        size_t bigger = rows->event_max ? 2 * rows->event_max : EVENTS_FIRST;
        struct ledger_event_row *events = arena_alloc(&rows->arena, bigger * sizeof *events);
        if (!events) {
            rows->events_failed = true;
            return NULL;
        }
        if (rows->event_count)
            memcpy(events, rows->events, rows->event_count * sizeof *events);
        rows->events = events;
        rows->event_max = bigger;
    }
    return &rows->events[rows->event_count++];
}

void ledger_event_of_coupon(struct ledger_rows *rows, struct ledger_coupon_row *coupon,
                            int64_t slot)
{
    struct ledger_event_row *event = rows->consumers ? add(rows) : NULL;

    if (!event)
        return;
    *event = (struct ledger_event_row){
        .id = { LEDGER_EVENTS_OF_COUPON, coupon->row.key.a, ++coupon->events },
        .type = LEDGER_EVENT_COUPON_ISSUED,
        .subject_id = slot,
        .occurred_at_ms = rows->now_ms,
    };
    coupon->changed = true;
}

void ledger_event_of_order(struct ledger_rows *rows, enum ledger_event_type type,
                           const struct ledger_order *order)
{
    struct ledger_event_row *event = rows->consumers ? add(rows) : NULL;
    struct ledger_user_row *user = ledger_rows_user(rows, order->user_id);

    if (!event)
        return;
    *event = (struct ledger_event_row){
        .id = { LEDGER_EVENTS_OF_USER, order->user_id, ++user->events },
        .type = type,
        .subject_id = order->order_id,
        .occurred_at_ms = rows->now_ms,
    };
    user->changed = true;
}
