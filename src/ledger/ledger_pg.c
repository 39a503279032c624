// SPDX-License-Identifier: Apache-2.0
#include "ledger/ledger_pg.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "ledger/ledger_pg_internal.h"
#include "ledger/ledger_pg_sales.h"

static struct pg_ledger *self(struct ledger *ledger)
{
    return CONTAINER_OF(ledger, struct pg_ledger, base);
}

/* ---- the store loop ---- */

static bool is_over(struct pg_ledger *ledger)
{
    return ledger->stopping && !ledger_pg_readers_busy(ledger) && ledger->beats == 0 &&
           ledger_queue_is_drained(&ledger->base.queue);
}

static bool turn_over(struct loop_hook *hook)
{
    struct pg_ledger *ledger = CONTAINER_OF(hook, struct pg_ledger, hook);

    if (!ledger->look)
        return false;
    ledger->look = false;
    ledger_pg_write(ledger);
    ledger_pg_read_waiting(ledger);
    if (is_over(ledger)) {
        loop_timer_stop(&ledger->linger);
        loop_hook_remove(&ledger->hook);
        ledger->pool = pg_pool_free(ledger->pool);
        loop_stop(ledger->loop);
    }
    log_flush();
    return true;
}

static void woken(struct loop_task *task)
{
    struct pg_ledger *ledger = CONTAINER_OF(task, struct pg_ledger, wake);

    atomic_store(&ledger->wake_sent, false);
    ledger->look = true;
}

/* One on its way at most, though the queue may have been looked at without it. */
static void wake_up(void *context)
{
    struct pg_ledger *ledger = context;

    if (!atomic_exchange(&ledger->wake_sent, true))
        loop_send(ledger->loop, &ledger->wake);
}

static void stop_asked(struct loop_task *task)
{
    struct pg_ledger *ledger = CONTAINER_OF(task, struct pg_ledger, stop);

    ledger->stopping = ledger->look = true;
}

static void *store_loop(void *context)
{
    struct pg_ledger *ledger = context;

    loop_run(ledger->loop);
    return NULL;
}

/* ---- clients ---- */

static struct ledger_client *client_new(struct ledger *ledger, struct loop *loop)
{
    struct ledger_client *client = mem_alloc(sizeof *client);

    if (client)
        ledger_client_init(client, ledger, loop);
    return client;
}

static struct ledger_client *client_free(struct ledger_client *client)
{
    ledger_client_fini(client);
    return mem_free(client);
}

static const struct ledger_backend pg_backend = {
    .client_new = client_new,
    .client_free = client_free,
    .read = ledger_pg_read,
    .beat = ledger_pg_beat,
    .scan_coupons = ledger_pg_scan_coupons,
    .scan_rows = ledger_pg_scan_rows,
    .scan_sales = ledger_pg_scan_sales,
    .scan_boards = ledger_pg_scan_boards,
    .relay_sales = ledger_pg_relay_sales,
};

/* ---- open, close ---- */

struct ledger *ledger_pg_free(struct ledger *base)
{
    if (!base)
        return NULL;
    struct pg_ledger *ledger = self(base);
    ASSERT(!ledger->runs);
    for (size_t i = 0; i < LEDGER_WRITERS_MAX; i++)
        ledger_pg_writer_fini(&ledger->writers[i]);
    for (size_t i = 0; i < PG_READERS; i++)
        ledger_pg_reader_fini(&ledger->readers[i]);
    ledger_pg_outbox_fini(ledger);
    pg_pool_free(ledger->pool);
    pg_source_free(ledger->source);
    loop_free(ledger->loop);
    if (ledger->base.queue.room_max)
        ledger_queue_fini(&ledger->base.queue);
    mem_free(ledger->url);
    return mem_free(ledger);
}
DEFINE_CLEANUP(struct ledger, ledger_pg_free)

static struct ledger *ledger_alloc(const char *url)
{
    struct pg_ledger *ledger = mem_alloc(sizeof *ledger);
    size_t length = strlen(url);

    if (!ledger)
        return NULL;
    ledger->base.backend = &pg_backend;
    list_init(&ledger->reads);
    ledger->url = mem_alloc(length + 1);
    if (!ledger->url)
        return mem_free(ledger);
    memcpy(ledger->url, url, length);
    return &ledger->base;
}

enum err ledger_pg_open_at_rest(const char *url, struct ledger **ret_ledger)
{
    *ret_ledger = ledger_alloc(url);
    return *ret_ledger ? ERR_OK : ERR_NOMEM;
}

static void fill_in(struct ledger_pg_options *options)
{
    if (options->writers == 0)
        options->writers = 1;
    options->writers = MIN(options->writers, (size_t)LEDGER_WRITERS_MAX);
    if (options->borrow_timeout_ms == 0)
        options->borrow_timeout_ms = 1000;
    if (options->statement_timeout_ms == 0)
        options->statement_timeout_ms = 5000;
    if (options->retry_ms == 0)
        options->retry_ms = 1000;
    if (!options->pool.metrics)
        options->pool.metrics = options->metrics; /* they are of one loop */
}

enum { IDLE_IN_TRANSACTION_MS = 2000 };

/*
 * A server that is stopped in the middle of a batch must not hold its locks for long. All that a
 * batch looks up is few rows by their keys, whatever the statistics say or do not say yet: the
 * number of them is nothing to plan anew for.
 */
static void settings_write(struct pg_ledger *ledger)
{
    snprintf(ledger->settings_sql, sizeof ledger->settings_sql,
             "SELECT set_config('statement_timeout', '%llu', true),"
             " set_config('idle_in_transaction_session_timeout', '%llu', true),"
             " set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true),"
             " set_config('plan_cache_mode', 'force_generic_plan', true)",
             (unsigned long long)ledger->options.statement_timeout_ms,
             (unsigned long long)MIN(ledger->options.statement_timeout_ms,
                                     (uint64_t)IDLE_IN_TRANSACTION_MS));
}

static enum err connections_open(struct pg_ledger *ledger)
{
    const struct pg_options options = { .url = ledger->url };
    struct pg_reason reason = { 0 };
    enum err e = pg_source_new(&options, &ledger->source, &reason);

    if (e != ERR_OK) {
        LOG(LOG_ERROR, "postgres: not a URL", LOG_CSTR("reason", reason.text));
        return e;
    }
    ledger->loop = loop_new();
    if (!ledger->loop)
        return ERR_NOMEM;
    ledger->pool = pg_pool_new(ledger->loop, ledger->source, &ledger->options.pool);
    return ledger->pool ? ERR_OK : ERR_NOMEM;
}

enum err ledger_pg_open(const struct ledger_pg_options *options, struct ledger **ret_ledger)
{
    CLEANUP(ledger_pg_freep) struct ledger *base = ledger_alloc(options->url);

    if (!base)
        return ERR_NOMEM;
    struct pg_ledger *ledger = self(base);
    ledger->options = *options;
    fill_in(&ledger->options);
    settings_write(ledger);
    ledger_queue_init(&ledger->base.queue, options->queue_max, options->queue_age_max_ms,
                      options->reserve_linger_ms);
    ledger->base.queue.wake_up = wake_up;
    ledger->base.queue.wake_context = ledger;
    for (size_t i = 0; i < LEDGER_WRITERS_MAX; i++)
        ledger_pg_writer_init(&ledger->writers[i], ledger, i);
    for (size_t i = 0; i < PG_READERS; i++)
        ledger_pg_reader_init(&ledger->readers[i], ledger);
    TRY(connections_open(ledger));
    ledger->wake.run = woken;
    ledger->stop.run = stop_asked;
    ledger->hook.run = turn_over;
    ledger->look = true;
    loop_hook_add(ledger->loop, &ledger->hook);
    if (pthread_create(&ledger->thread, NULL, store_loop, ledger) != 0)
        return ERR_NOMEM;
    ledger->runs = true;
    *ret_ledger = TAKE(base);
    return ERR_OK;
}

void ledger_pg_stop(struct ledger *base)
{
    struct pg_ledger *ledger = self(base);

    if (!ledger->runs)
        return;
    ledger_queue_stop(&ledger->base.queue);
    loop_send(ledger->loop, &ledger->stop);
    pthread_join(ledger->thread, NULL);
    ledger->runs = false;
}

struct pg_pool *ledger_pg_pool(struct ledger *ledger)
{
    return self(ledger)->pool;
}
