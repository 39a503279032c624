// SPDX-License-Identifier: Apache-2.0
/* Handlers of /api/orders, and what orders, payments and charges are answered. */
#pragma once
#include "api/api_route.h"
#include "api/orders_json.h"

void orders_create(struct api_call *call);
void orders_complete(struct api_call *call);
void orders_pay(struct api_call *call);
void orders_cancel(struct api_call *call);
void orders_get(struct api_call *call);
void orders_list(struct api_call *call);

/* payments.c: answers a call by what came of its payment; not of NO_LINES. */
void payment_respond(struct api_call *call, const struct payment *payment);
const char *payment_outcome_name(enum payment_outcome outcome);

/*
 * orders_render.c. The answer to a ledger's command that has the outcome OK or REFUSED, of an
 * order, a payment, a cancellation or a charge; on the ledger's thread. Returns its status, or 0
 * where there is nothing to keep.
 */
unsigned orders_render(const struct ledger_command *command, struct buf *answer);
/* events_render.c: an event as other systems are told it. */
void events_render(const struct ledger_event *event, const char *id, const char *key,
                   struct buf *out);
/* Fills in `ret_answer`, which borrows the order, `items` (one for each line) and `number`. */
void order_answer_fill(const struct ledger_order *order, struct order_item_answer *items,
                       char number[ORDER_NUMBER_BYTES], struct order_answer *ret_answer);
