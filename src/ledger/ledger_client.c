// SPDX-License-Identifier: Apache-2.0
#include "ledger/ledger_client.h"

#include "base/assert.h"

static bool outbox_send(struct loop_hook *hook)
{
    struct ledger_client *client = CONTAINER_OF(hook, struct ledger_client, hook);

    if (!list_empty(&client->outbox))
        ledger_queue_push(&client->ledger->queue, &client->outbox);
    return false;
}

static void inbox_deliver(struct loop_task *task)
{
    struct ledger_client *client = CONTAINER_OF(task, struct ledger_client, delivery);
    struct list arrived;

    list_init(&arrived);
    pthread_mutex_lock(&client->lock);
    list_splice(&arrived, &client->inbox);
    client->delivery_sent = false;
    pthread_mutex_unlock(&client->lock);
    while (!list_empty(&arrived)) {
        struct list *node = arrived.next;
        list_remove(node);
        struct ledger_command *command = CONTAINER_OF(node, struct ledger_command, node);
        command->done(command);
    }
}

void ledger_client_init(struct ledger_client *client, struct ledger *ledger, struct loop *loop)
{
    client->ledger = ledger;
    client->loop = loop;
    list_init(&client->outbox);
    list_init(&client->inbox);
    client->hook.run = outbox_send;
    client->delivery.run = inbox_deliver;
    pthread_mutex_init(&client->lock, NULL);
    loop_hook_add(loop, &client->hook);
}

void ledger_client_fini(struct ledger_client *client)
{
    ASSERT(list_empty(&client->outbox) && list_empty(&client->inbox));
    loop_hook_remove(&client->hook);
    pthread_mutex_destroy(&client->lock);
}

bool ledger_room_take(struct ledger_client *client)
{
    return ledger_queue_room_take(&client->ledger->queue);
}

void ledger_room_return(struct ledger_client *client)
{
    ledger_queue_room_return(&client->ledger->queue, 1);
}

void ledger_submit(struct ledger_client *client, struct ledger_command *command)
{
    command->client = client;
    list_append(&client->outbox, &command->node);
}

void ledger_command_deliver(struct ledger_command *command)
{
    if (!command->client) {
        command->done(command);
        return;
    }
    struct ledger_client *client = command->client;
    pthread_mutex_lock(&client->lock);
    list_append(&client->inbox, &command->node);
    bool send = !client->delivery_sent;
    client->delivery_sent = true;
    pthread_mutex_unlock(&client->lock);
    if (send)
        loop_send(client->loop, &client->delivery);
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

void ledger_run(struct ledger *ledger, struct ledger_command *command)
{
    struct list commands;

    list_init(&commands);
    list_append(&commands, &command->node);
    command->client = NULL;
    command->done = run_done;
    pthread_mutex_lock(&run_turn);
    run_state.done = false;
    atomic_fetch_add_explicit(&ledger->queue.room_taken, 1, memory_order_relaxed);
    ledger_queue_push(&ledger->queue, &commands);
    pthread_mutex_lock(&run_state.lock);
    while (!run_state.done)
        pthread_cond_wait(&run_state.wake, &run_state.lock);
    pthread_mutex_unlock(&run_state.lock);
    pthread_mutex_unlock(&run_turn);
}
