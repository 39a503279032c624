// SPDX-License-Identifier: Apache-2.0
/* What other systems are told, as JSON. An order is shown as it was when the event occurred. */
#include "api/admin.h"
#include "api/api_json.h"
#include "api/orders.h"

/* ---- coupon.issued ---- */

struct event_coupon {
    int64_t coupon_id, user_id, sequence_number, user_coupon_id, issued_at_ms, expires_at_ms;
};
static const struct json_row event_coupon_rows[] = {
    JSON_INT64(event_coupon, coupon_id, "couponId", 1, INT64_MAX, "Which one.", "7", JSON_REQUIRED),
    JSON_INT64(event_coupon, user_id, "userId", 1, INT64_MAX, "Who has it.", "42", JSON_REQUIRED),
    JSON_INT64(event_coupon, sequence_number, "sequenceNumber", 1, INT64_MAX, "Of the coupon.",
               "12", JSON_REQUIRED),
    JSON_INT64(event_coupon, user_coupon_id, "userCouponId", 1, INT64_MAX, "Its own id.", "1012",
               JSON_REQUIRED),
    JSON_TIME(event_coupon, issued_at_ms, "issuedAt", "When.", EXAMPLE_TIME, JSON_REQUIRED),
    JSON_TIME(event_coupon, expires_at_ms, "expiresAt", "Until when it is good.", EXAMPLE_TIME,
              JSON_REQUIRED),
};
static const JSON_ANSWER(event_coupon, "CouponIssued", "A coupon that somebody has got.");

static void render_coupon(const struct ledger_event *event, struct buf *out)
{
    const struct ledger_held *held = event->held;

    json_render(out, &event_coupon_json,
                &(struct event_coupon){ .coupon_id = held->coupon_id,
                                        .user_id = held->user_id,
                                        .sequence_number = held->slot,
                                        .user_coupon_id = held->user_coupon_id,
                                        .issued_at_ms = held->issued_at_ms,
                                        .expires_at_ms = held->expires_at_ms });
}

/* ---- order.completed, order.cancelled ---- */

struct event_order {
    struct order_answer order;
    int64_t coupon_id, paid_at_ms, cancelled_at_ms;
    enum json_presence coupon_id_is, paid_at_ms_is, cancelled_at_ms_is;
};
static const struct json_row event_order_rows[] = {
    JSON_INT64(event_order, coupon_id, "couponId", 1, INT64_MAX, "The coupon that was used.", "7",
               JSON_NULLABLE(event_order, coupon_id)),
    JSON_TIME(event_order, paid_at_ms, "paidAt", "Null: it never was.", EXAMPLE_TIME,
              JSON_NULLABLE(event_order, paid_at_ms)),
    JSON_TIME(event_order, cancelled_at_ms, "cancelledAt", "Null: it is not.", EXAMPLE_TIME,
              JSON_NULLABLE(event_order, cancelled_at_ms)),
};
static const JSON_ANSWER(event_order, "OrderEvent", "What an order's event has beside the order.");

/* The order of api.md, and then some members more. */
static void render_order(const struct ledger_event *event, struct buf *out)
{
    bool cancelled = event->row.type == LEDGER_EVENT_ORDER_CANCELLED;
    struct ledger_order then = *event->order;
    struct order_item_answer items[ORDER_LINES_MAX];
    char number[ORDER_NUMBER_BYTES];
    struct event_order more = {
        .coupon_id = then.coupon_id,
        .coupon_id_is = then.coupon_id ? JSON_GIVEN : JSON_NULLED,
        .paid_at_ms = then.paid_at_ms,
        .paid_at_ms_is = then.paid_at_ms ? JSON_GIVEN : JSON_NULLED,
        .cancelled_at_ms = then.cancelled_at_ms,
        .cancelled_at_ms_is = cancelled && then.cancelled_at_ms ? JSON_GIVEN : JSON_NULLED,
    };

    then.status = cancelled ? ORDER_CANCELLED : ORDER_COMPLETED;
    order_answer_fill(&then, items, number, &more.order);
    json_render(out, &order_answer_json, &more.order);
    if (!buf_ok(out))
        return;
    size_t joint = out->len - 1; /* the order's brace, and the one that follows: one comma */
    json_render(out, &event_order_json, &more);
    if (!buf_ok(out))
        return;
    out->ptr[joint] = ',';
    memmove(out->ptr + joint + 1, out->ptr + joint + 2, out->len - joint - 2);
    out->len--;
}

/* ---- any event ---- */

struct event_message {
    struct str type, id, key, data;
    int64_t number, occurred_at_ms;
};
static const struct json_row event_message_rows[] = {
    JSON_STR(event_message, type, "type", 1, 40, "coupon.issued, order.completed, order.cancelled.",
             "coupon.issued", JSON_REQUIRED),
    JSON_STR(event_message, id, "id", 1, EVENTS_ID_BYTES,
             "The same whenever this event comes, and no other's.", "coupon-7-12-1a2b3c4d",
             JSON_REQUIRED),
    JSON_STR(event_message, key, "key", 1, EVENTS_ID_BYTES, "What it is an event of.", "coupon-7",
             JSON_REQUIRED),
    JSON_INT64(event_message, number, "number", 1, INT64_MAX,
               "1, 2, 3, … of the key: they come in this order.", "12", JSON_REQUIRED),
    JSON_TIME(event_message, occurred_at_ms, "occurredAt", "When.", EXAMPLE_TIME, JSON_REQUIRED),
    JSON_LITERAL(event_message, data, "data", "What occurred.", "{}", JSON_REQUIRED),
};
static const JSON_ANSWER(event_message, "Event", "What other systems are told.");

void events_render(const struct ledger_event *event, const char *id, const char *key,
                   struct buf *out)
{
    CLEANUP(buf_fini) struct buf data = { 0 };

    if (event->held)
        render_coupon(event, &data);
    else if (event->order)
        render_order(event, &data);
    else
        buf_literal(&data, "null"); /* somebody has removed the row by hand */
    if (!buf_ok(&data)) {
        out->failed = true;
        return;
    }
    json_render(out, &event_message_json,
                &(struct event_message){ .type = str_from(events_type_name(event->row.type)),
                                         .id = str_from(id),
                                         .key = str_from(key),
                                         .number = event->row.id.number,
                                         .occurred_at_ms = event->row.occurred_at_ms,
                                         .data = buf_str(&data) });
}
