// SPDX-License-Identifier: Apache-2.0
#include "ledger/ledger_mail.h"

#include "base/assert.h"

static struct ledger_mail *mail_of(struct ledger_client *client)
{
    return CONTAINER_OF(client, struct ledger_mail, base);
}

static bool outbox_send(struct loop_hook *hook)
{
    struct ledger_mail *mail = CONTAINER_OF(hook, struct ledger_mail, hook);

    if (!list_empty(&mail->outbox))
        ledger_queue_push(mail->queue, &mail->outbox);
    return false;
}

static void inbox_deliver(struct loop_task *task)
{
    struct ledger_mail *mail = CONTAINER_OF(task, struct ledger_mail, delivery);
    struct list arrived;

    list_init(&arrived);
    pthread_mutex_lock(&mail->lock);
    list_splice(&arrived, &mail->inbox);
    mail->delivery_sent = false;
    pthread_mutex_unlock(&mail->lock);
    while (!list_empty(&arrived)) {
        struct list *node = arrived.next;
        list_remove(node);
        struct ledger_command *command = CONTAINER_OF(node, struct ledger_command, node);
        command->done(command);
    }
}

void ledger_mail_init(struct ledger_mail *mail, struct ledger *ledger, struct ledger_queue *queue,
                      struct loop *loop)
{
    mail->base.ledger = ledger;
    mail->queue = queue;
    mail->loop = loop;
    list_init(&mail->outbox);
    list_init(&mail->inbox);
    mail->hook.run = outbox_send;
    mail->delivery.run = inbox_deliver;
    pthread_mutex_init(&mail->lock, NULL);
    loop_hook_add(loop, &mail->hook);
}

void ledger_mail_fini(struct ledger_mail *mail)
{
    ASSERT(list_empty(&mail->outbox) && list_empty(&mail->inbox));
    loop_hook_remove(&mail->hook);
    pthread_mutex_destroy(&mail->lock);
}

bool ledger_mail_room_take(struct ledger_client *client)
{
    return ledger_queue_room_take(mail_of(client)->queue);
}

void ledger_mail_room_return(struct ledger_client *client)
{
    ledger_queue_room_return(mail_of(client)->queue, 1);
}

void ledger_mail_submit(struct ledger_client *client, struct ledger_command *command)
{
    command->client = client;
    list_append(&mail_of(client)->outbox, &command->node);
}

void ledger_mail_deliver(struct ledger_command *command)
{
    if (!command->client) {
        command->done(command);
        return;
    }
    struct ledger_mail *mail = mail_of(command->client);
    pthread_mutex_lock(&mail->lock);
    list_append(&mail->inbox, &command->node);
    bool send = !mail->delivery_sent;
    mail->delivery_sent = true;
    pthread_mutex_unlock(&mail->lock);
    if (send)
        loop_send(mail->loop, &mail->delivery);
}

/* ---- blocked runs ---- */

struct blocked_run {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool done;
};

/* One blocked run at a time: administration only, so the wait is nobody's hot path. */
static pthread_mutex_t run_turn = PTHREAD_MUTEX_INITIALIZER;
static struct blocked_run run_state = { .lock = PTHREAD_MUTEX_INITIALIZER,
                                        .wake = PTHREAD_COND_INITIALIZER };

static void run_done(struct ledger_command *command)
{
    (void)command;
    pthread_mutex_lock(&run_state.lock);
    run_state.done = true;
    pthread_cond_signal(&run_state.wake);
    pthread_mutex_unlock(&run_state.lock);
}

void ledger_mail_run(struct ledger_queue *queue, struct ledger_command *command)
{
    struct list commands;

    list_init(&commands);
    list_append(&commands, &command->node);
    command->client = NULL;
    command->done = run_done;
    pthread_mutex_lock(&run_turn);
    run_state.done = false;
    atomic_fetch_add_explicit(&queue->room_taken, 1, memory_order_relaxed);
    ledger_queue_push(queue, &commands);
    pthread_mutex_lock(&run_state.lock);
    while (!run_state.done)
        pthread_cond_wait(&run_state.wake, &run_state.lock);
    pthread_mutex_unlock(&run_state.lock);
    pthread_mutex_unlock(&run_turn);
}
