// SPDX-License-Identifier: Apache-2.0
/*
 * A loop's end of the ledger: what its turn submitted goes to the queue in one push, what is done
 * comes back through an inbox, a mailbox of the loop.
 */
#pragma once
#include <pthread.h>

#include "ledger/ledger_backend.h"
#include "ledger/ledger_queue.h"

/* First member of an implementation's client. */
struct ledger_mail {
    struct ledger_client base;
    struct loop *loop;
    struct ledger_queue *queue;
    struct list outbox; /* this turn's commands */
    struct loop_hook hook;
    pthread_mutex_t lock; /* guards inbox, delivery_sent */
    struct list inbox;
    bool delivery_sent;
    struct loop_task delivery;
};

void ledger_mail_init(struct ledger_mail *mail, struct ledger *ledger, struct ledger_queue *queue,
                      struct loop *loop);
void ledger_mail_fini(struct ledger_mail *mail); /* nothing in flight */

/* As of struct ledger_backend, for clients that begin with a mail. */
bool ledger_mail_room_take(struct ledger_client *client);
void ledger_mail_room_return(struct ledger_client *client);
void ledger_mail_submit(struct ledger_client *client, struct ledger_command *command);
/* Blocks until it is done. */
void ledger_mail_run(struct ledger_queue *queue, struct ledger_command *command);

/* Any thread: back to its loop, or to who is blocked. One wake-up for all that arrive before the
 * loop looks. */
void ledger_mail_deliver(struct ledger_command *command);
