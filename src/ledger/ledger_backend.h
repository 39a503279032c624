// SPDX-License-Identifier: Apache-2.0
/* What an implementation of the ledger provides, behind one table. Commands come to it through the
 * queue that every ledger has. */
#pragma once
#include "ledger/ledger_queue.h"

struct ledger_backend {
    struct ledger_client *(*client_new)(struct ledger *ledger, struct loop *loop);
    struct ledger_client *(*client_free)(struct ledger_client *client);
    void (*read)(struct ledger_client *client, struct ledger_read *read);
    /* NULL: no other server can write to this store */
    void (*beat)(struct ledger_client *client, struct ledger_beat *beat);
    enum err (*scan_coupons)(struct ledger *ledger,
                             bool (*each)(void *context, const struct coupon *coupon),
                             void *context);
    enum err (*scan_rows)(struct ledger *ledger, struct ledger_scan *scan);
    enum err (*scan_sales)(struct ledger *ledger, int64_t from_day,
                           bool (*each)(void *context, const struct ledger_sale *sale),
                           void *context);
    enum err (*scan_boards)(struct ledger *ledger, int64_t from_day, int64_t to_day,
                            bool (*each)(void *context, const struct ledger_board *board),
                            void *context);
    /* NULL: no outbox */
    enum err (*relay_sales)(struct ledger *ledger, struct ledger_sales_relay *relay);
};

/* First member of every implementation's own struct. */
struct ledger {
    const struct ledger_backend *backend;
    struct ledger_watch *watch; /* NULL: nobody wants to know */
    struct ledger_queue queue;  /* not of one that is opened at rest */
    _Atomic bool fault;         /* ledger_fault_set() */
};

static inline bool ledger_has_fault(const struct ledger *ledger)
{
    return atomic_load_explicit(&ledger->fault, memory_order_relaxed);
}
