// SPDX-License-Identifier: Apache-2.0
#include "ledger/ledger.h"

#include "base/assert.h"
#include "ledger/ledger_client.h"

struct ledger_client *ledger_client_new(struct ledger *ledger, struct loop *loop)
{
    return ledger->backend->client_new(ledger, loop);
}

struct ledger_client *ledger_client_free(struct ledger_client *client)
{
    return client ? client->ledger->backend->client_free(client) : NULL;
}

void ledger_command_fini(struct ledger_command *command)
{
    buf_fini(&command->answer);
}

void ledger_read(struct ledger_client *client, struct ledger_read *read)
{
    client->ledger->backend->read(client, read);
}

bool ledger_is_shared(const struct ledger *ledger)
{
    return ledger->backend->beat != NULL;
}

void ledger_beat(struct ledger_client *client, struct ledger_beat *beat)
{
    ASSERT(client->ledger->backend->beat);
    client->ledger->backend->beat(client, beat);
}

enum err ledger_scan_coupons(struct ledger *ledger,
                             bool (*each)(void *context, const struct coupon *coupon),
                             void *context)
{
    return ledger->backend->scan_coupons(ledger, each, context);
}

enum err ledger_scan_rows(struct ledger *ledger, struct ledger_scan *scan)
{
    return ledger->backend->scan_rows(ledger, scan);
}

enum err ledger_scan_sales(struct ledger *ledger, int64_t from_day,
                           bool (*each)(void *context, const struct ledger_sale *sale),
                           void *context)
{
    return ledger->backend->scan_sales(ledger, from_day, each, context);
}

enum err ledger_scan_boards(struct ledger *ledger, int64_t from_day, int64_t to_day,
                            bool (*each)(void *context, const struct ledger_board *board),
                            void *context)
{
    return ledger->backend->scan_boards(ledger, from_day, to_day, each, context);
}

enum err ledger_relay_sales(struct ledger *ledger, struct ledger_sales_relay *relay)
{
    relay->taken = 0;
    relay->oldest_ms = 0;
    return ledger->backend->relay_sales ? ledger->backend->relay_sales(ledger, relay) : ERR_OK;
}

void ledger_watch_set(struct ledger *ledger, struct ledger_watch *watch)
{
    ledger->watch = watch;
}

struct ledger_stats ledger_stats(struct ledger *ledger)
{
    return ledger_queue_stats(&ledger->queue);
}

void ledger_fault_set(struct ledger *ledger, bool on)
{
    atomic_store_explicit(&ledger->fault, on, memory_order_relaxed);
}
