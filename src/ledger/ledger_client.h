// SPDX-License-Identifier: Apache-2.0
/*
 * A loop's end of the ledger: what its turn submitted goes to the queue in one push, what is done
 * comes back through an inbox, a mailbox of the loop.
 */
#pragma once
#include <pthread.h>

#include "ledger/ledger_backend.h"

/* First member of an implementation's client, if it needs more. */
struct ledger_client {
    struct ledger *ledger;
    struct loop *loop;
    struct list outbox; /* this turn's commands */
    struct loop_hook hook;
    pthread_mutex_t lock; /* guards inbox, delivery_sent */
    struct list inbox;
    bool delivery_sent;
    struct loop_task delivery;
};

void ledger_client_init(struct ledger_client *client, struct ledger *ledger, struct loop *loop);
void ledger_client_fini(struct ledger_client *client); /* nothing in flight */

/* Any thread: back to its loop, or to who is blocked. One wake-up for all that arrive before the
 * loop looks. */
void ledger_command_deliver(struct ledger_command *command);
