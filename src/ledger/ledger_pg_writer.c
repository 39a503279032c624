// SPDX-License-Identifier: Apache-2.0
/*
 * A writer: one batch, one transaction, two round trips. It takes what is queued, borrows a
 * connection, loads and locks the rows, decides, stores and commits. Where what would be loaded is
 * known well enough, one round trip does all of it (ledger_pg_recall.c).
 *
 * What goes wrong before the commit is sent has certainly not happened. A conflict with another
 * writer, or a store that is away, is tried again for a while; what may be one command's fault, one
 * by one. Once the commit was sent and nothing definite came back, its commands are uncertain. In
 * one round trip the commit is always sent; but a place that is stored twice is there once, so such
 * a batch is tried again, too.
 */
#include "base/clock.h"
#include "base/log.h"
#include "ledger/ledger_pg_internal.h"
#include "ledger/ledger_pg_store.h"

enum { PAUSE_FIRST_MS = 5, PAUSE_MS = 50, EXCHANGE_SLACK_MS = 5000 };
static const char UNIQUE_VIOLATION[] = "23505", NOT_NULL_VIOLATION[] = "23502";

static void try_batch(struct pg_writer *writer);
static void batch_over(struct pg_writer *writer, enum err e);

void ledger_pg_writer_init(struct pg_writer *writer, struct pg_ledger *ledger, size_t number)
{
    writer->ledger = ledger;
    writer->number = number;
    ledger_rows_init(&writer->rows);
    writer->rows.users_external = ledger->options.users_external;
    writer->rows.consumers = ledger->options.consumers;
    list_init(&writer->batch);
    list_init(&writer->todo);
    list_init(&writer->finished);
}

void ledger_pg_writer_fini(struct pg_writer *writer)
{
    ledger_rows_fini(&writer->rows);
    trip_fini(&writer->trip);
}

/* ---- the end of a try ---- */

static void give_back(struct pg_writer *writer)
{
    pg_exchange_fini(&writer->exchange);
    if (writer->conn)
        pg_pool_return(writer->ledger->pool, TAKE(writer->conn));
}

static void pause_over(struct loop_timer *timer)
{
    try_batch(CONTAINER_OF(timer, struct pg_writer, pause));
}

/* What may be there is not said to be not there. */
static enum err err_told(const struct pg_writer *writer, enum err e)
{
    return e != ERR_OK && writer->uncertain ? ERR_UNCERTAIN : e;
}

static bool may_try_again(const struct pg_writer *writer, enum err e)
{
    if (e == ERR_CONFLICT)
        return writer->tries < PG_TRIES_MAX;
    return e == ERR_UNAVAILABLE && !ledger_has_fault(&writer->ledger->base) &&
           loop_now_ms(writer->ledger->loop) < writer->give_up_ms;
}

/* One try has ended, and nothing of it is there unless it is ERR_OK or ERR_UNCERTAIN. */
static void try_over(struct pg_writer *writer, enum err e)
{
    if (writer->watched)
        ledger_watch_end(&writer->ledger->base, &writer->changes, e == ERR_OK);
    writer->watched = false;
    give_back(writer);
    if (!may_try_again(writer, e)) {
        batch_over(writer, e);
        return;
    }
    writer->pause.run = pause_over;
    writer->pause.loop = writer->ledger->loop;
    if (loop_timer_start(writer->ledger->loop, &writer->pause,
                         e == ERR_CONFLICT ? PAUSE_FIRST_MS * (writer->tries - 1) : PAUSE_MS) !=
        ERR_OK)
        batch_over(writer, ERR_NOMEM);
}

static enum err err_of(const struct pg_exchange *exchange)
{
    /* Somebody was faster with a row that was not there when it was looked for; or has changed one
     * that was remembered. */
    if (exchange->err == ERR_INVALID && (strcmp(exchange->sqlstate, UNIQUE_VIOLATION) == 0 ||
                                         strcmp(exchange->sqlstate, NOT_NULL_VIOLATION) == 0))
        return ERR_CONFLICT;
    return exchange->err;
}

static void log_failure(const struct pg_writer *writer, const char *what)
{
    const struct pg_exchange *exchange = &writer->exchange;
    const PGresult *result = exchange->results && exchange->failed < exchange->count
                                 ? exchange->results[exchange->failed]
                                 : NULL;

    LOG(err_of(exchange) == ERR_CONFLICT ? LOG_DEBUG : LOG_WARN, what,
        LOG_CSTR("error", err_name(exchange->err)), LOG_CSTR("sqlstate", exchange->sqlstate),
        LOG_CSTR("message", result ? PQresultErrorMessage(result) : ""),
        LOG_INT("statement", result ? writer->trip.tags[exchange->failed] : -1));
}

/* ---- two round trips ---- */

static void go(struct pg_writer *writer, void (*done)(struct pg_exchange *exchange))
{
    struct pg_ledger *ledger = writer->ledger;

    for (size_t i = 0; i < writer->trip.count; i++)
        writer->trip.statements[i].keep = true;
    writer->exchange = (struct pg_exchange){
        .done = done,
        .statements = writer->trip.statements,
        .count = writer->trip.count,
        .deadline_ms =
            loop_now_ms(ledger->loop) + ledger->options.statement_timeout_ms + EXCHANGE_SLACK_MS,
    };
    pg_exchange(writer->conn, &writer->exchange);
}

/* Whether the transaction is certainly not there, though its commit was sent. */
static bool is_certainly_not_stored(const struct pg_writer *writer)
{
    const struct pg_exchange *exchange = &writer->exchange;

    /* libpq's own words (no memory for a result): the server has gone on. */
    if (exchange->failed < exchange->count && !exchange->sqlstate[0])
        return false;
    switch (exchange->err) {
    case ERR_UNCERTAIN:
        return false;
    case ERR_UNAVAILABLE:
        /* Nothing was sent, or the server refused a statement before the commit. */
        return !exchange->sqlstate[0] || exchange->failed + 1 < exchange->count;
    default:
        return true;
    }
}

static void stored(struct pg_exchange *exchange)
{
    struct pg_writer *writer = CONTAINER_OF(exchange, struct pg_writer, exchange);
    enum err e = err_of(exchange);

    if (e == ERR_OK) {
        e = ledger_pg_store_take(writer);
        if (e == ERR_OK && exchange->not_replicated)
            e = ERR_UNCERTAIN;
        if (e == ERR_OK && writer->places_new)
            ledger_pg_recall_stored(writer);
    } else {
        log_failure(writer, "batch not stored");
        if (is_certainly_not_stored(writer)) {
            e = e == ERR_TIMEOUT ? ERR_UNAVAILABLE : e;
        } else {
            writer->uncertain |= writer->recalled;
            e = writer->recalled ? ERR_UNAVAILABLE : ERR_UNCERTAIN;
        }
    }
    if (e != ERR_OK || (writer->rows.coupons.count > 0 && !writer->places_new))
        ledger_pg_recall_forget(writer);
    try_over(writer, e);
}

static enum err decide(struct pg_writer *writer)
{
    TRY(ledger_decide(&writer->rows, &writer->batch));
    if (writer->rows.events_failed)
        return ERR_NOMEM;
    TRY(ledger_changes_collect(&writer->rows, &writer->changes));
    trip_reset(&writer->trip);
    return ledger_pg_store_add(writer);
}

static void send_store(struct pg_writer *writer)
{
    enum err e = decide(writer);

    if (e != ERR_OK) {
        try_over(writer, e);
        return;
    }
    writer->watched = ledger_watch_begin(&writer->ledger->base, &writer->changes);
    go(writer, stored);
}

static bool is_of_loaded_coupon(void *context, const struct ledger_command *command)
{
    struct pg_writer *writer = context;

    if (command->op != LEDGER_PLACE)
        return false;
    const struct ledger_coupon_row *row =
        ledger_rows_coupon(&writer->rows, command->place.coupon_id);
    return row && row->row.found && row->row.locks;
}

/* Places that have come while the batch waited for its locks need nothing that it does not have. So
 * servers that wait for each other have the larger batches for it. */
static void take_more(struct pg_writer *writer)
{
    size_t batch_max = writer->ledger->options.batch_max;

    if (!writer->one_by_one && writer->count < batch_max)
        writer->count +=
            ledger_queue_poll_more(&writer->ledger->base.queue, writer->number, &writer->batch,
                                   batch_max - writer->count, is_of_loaded_coupon, writer);
}

/* What it needs is locked, or it ends: the next batch cannot overtake it any more. */
static void loading_over(struct pg_writer *writer)
{
    if (!writer->loading)
        return;
    writer->loading = writer->ledger->loading = false;
    writer->ledger->look = true;
}

static void loaded(struct pg_exchange *exchange);

static void send_load(struct pg_writer *writer)
{
    trip_reset(&writer->trip);
    enum err e = ledger_pg_load_add(writer);
    if (e == ERR_OK)
        go(writer, loaded);
    else
        try_over(writer, e);
}

static void loaded(struct pg_exchange *exchange)
{
    struct pg_writer *writer = CONTAINER_OF(exchange, struct pg_writer, exchange);
    bool more = false;
    enum err e = err_of(exchange);

    if (e == ERR_OK)
        e = ledger_pg_load_take(writer, &more);
    else
        log_failure(writer, "batch not loaded");
    /* Nothing was written so far. */
    if (e == ERR_UNCERTAIN || e == ERR_TIMEOUT)
        e = ERR_UNAVAILABLE;
    pg_exchange_fini(exchange);
    if (e != ERR_OK) {
        try_over(writer, e);
    } else if (more) {
        send_load(writer);
    } else {
        take_more(writer);
        loading_over(writer);
        send_store(writer);
    }
}

static void borrowed(struct pg_borrow *borrow)
{
    struct pg_writer *writer = CONTAINER_OF(borrow, struct pg_writer, borrow);
    struct pg_ledger *ledger = writer->ledger;

    if (borrow->err != ERR_OK) {
        try_over(writer, borrow->err == ERR_NOMEM ? ERR_NOMEM : ERR_UNAVAILABLE);
        return;
    }
    writer->conn = borrow->conn;
    writer->passes = 0;
    enum err e =
        ledger_rows_collect(&writer->rows, &writer->batch, clock_wall_ms() + ledger->ahead_ms);
    if (e != ERR_OK) {
        try_over(writer, e);
    } else if (ledger_pg_recall(writer)) {
        loading_over(writer);
        send_store(writer);
    } else {
        send_load(writer);
    }
}

/* The id that a command may leave to the ledger; such a command is alone in its batch. NULL: it is
 * not one of them. */
static int64_t *chosen_id(struct ledger_command *command)
{
    switch (command->op) {
    case LEDGER_COUPON_CREATE:
        return &command->coupon_create.coupon->coupon_id;
    case LEDGER_PRODUCT_CREATE:
        return &command->product_create.product->product_id;
    case LEDGER_ORDER_IMPORT:
        return &command->order_import.order->order_id;
    case LEDGER_USERS_CREATE:
        return &command->users_create.from_user_id;
    default:
        return NULL;
    }
}

/* What was chosen in a try that came to nothing may be somebody else's by now. */
static void choose_again(struct pg_writer *writer)
{
    int64_t *id = chosen_id(CONTAINER_OF(writer->batch.next, struct ledger_command, node));

    if (writer->tries == 1)
        writer->chooses = id && *id == 0;
    else if (writer->chooses)
        *id = 0;
}

static void try_batch(struct pg_writer *writer)
{
    struct pg_ledger *ledger = writer->ledger;

    writer->tries++;
    choose_again(writer);
    if (ledger_has_fault(&ledger->base)) {
        batch_over(writer, ERR_UNAVAILABLE);
        return;
    }
    writer->borrow = (struct pg_borrow){
        .done = borrowed,
        .share = POOL_BATCHES,
        .deadline_ms = loop_now_ms(ledger->loop) + ledger->options.borrow_timeout_ms,
    };
    PG_BORROW(ledger->pool, &writer->borrow);
}

/* ---- batches ---- */

static void begin(struct pg_writer *writer)
{
    struct pg_ledger *ledger = writer->ledger;

    writer->tries = 0;
    writer->started_ns = clock_mono_ns();
    writer->give_up_ms = loop_now_ms(ledger->loop) + ledger->options.retry_ms;
    try_batch(writer);
}

static void begin_next(struct pg_writer *writer)
{
    struct list *node = writer->todo.next;

    list_remove(node);
    list_append(&writer->batch, node);
    if (writer->ledger->options.metrics)
        metrics_add(writer->ledger->options.metrics, METRIC_ledger_retries, 1);
    begin(writer);
}

static void complete(struct pg_writer *writer)
{
    struct pg_ledger *ledger = writer->ledger;
    size_t count = ledger_batch_complete(&ledger->base.queue, &writer->finished);

    loading_over(writer);
    ledger_queue_room_return(&ledger->base.queue, count);
    ledger_queue_flight_done(&ledger->base.queue, writer->number);
    writer->busy = writer->one_by_one = writer->uncertain = false;
    ledger->look = true;
}

static void batch_over(struct pg_writer *writer, enum err e)
{
    bool split = !writer->one_by_one && ledger_batch_retry_may_help(e);

    if (!writer->one_by_one)
        ledger_batch_count(writer->ledger->options.metrics, writer->count, writer->started_ns,
                           err_told(writer, e));
    if (split) {
        LOG(LOG_WARN, "batch failed, retrying one by one", LOG_INT("commands", writer->count),
            LOG_CSTR("error", err_name(e)));
        writer->one_by_one = true;
        list_splice(&writer->todo, &writer->batch);
    } else {
        ledger_batch_set_err(&writer->batch,
                             err_told(writer, writer->one_by_one ? ledger_batch_err_of_one(e) : e));
        list_splice(&writer->finished, &writer->batch);
    }
    /* The store is away: each of the rest would wait as long as this one did. */
    if (writer->one_by_one && e == ERR_UNAVAILABLE) {
        ledger_batch_set_err(&writer->todo, err_told(writer, e));
        list_splice(&writer->finished, &writer->todo);
    }
    if (list_empty(&writer->todo))
        complete(writer);
    else
        begin_next(writer);
}

/* ---- what is queued ---- */

static void linger_over(struct loop_timer *timer)
{
    ledger_pg_write(CONTAINER_OF(timer, struct pg_ledger, linger));
}

static void look_again(struct pg_ledger *ledger, uint64_t due_ns)
{
    uint64_t now_ns = clock_mono_ns();

    loop_timer_stop(&ledger->linger);
    if (due_ns == UINT64_MAX)
        return;
    ledger->linger.run = linger_over;
    ledger->linger.loop = ledger->loop;
    err_ignore(loop_timer_start(ledger->loop, &ledger->linger,
                                due_ns > now_ns ? (due_ns - now_ns) / 1000000 + 1 : 1),
               "the next command looks, too");
}

void ledger_pg_write(struct pg_ledger *ledger)
{
    uint64_t due_ns = UINT64_MAX;

    for (size_t i = 0; i < ledger->options.writers && !ledger->loading; i++) {
        struct pg_writer *writer = &ledger->writers[i];
        if (writer->busy)
            continue;
        writer->count = ledger_queue_poll(&ledger->base.queue, i, &writer->batch,
                                          ledger->options.batch_max, &due_ns);
        if (writer->count == 0)
            break;
        writer->busy = writer->loading = ledger->loading = true;
        begin(writer);
    }
    look_again(ledger, due_ns);
}
