// SPDX-License-Identifier: Apache-2.0
/*
 * Reads: each is one statement, so that it sees one moment. Those that arrive while the readers are
 * busy share the next round trip. A read whose round trip was spoiled by another one, or whose
 * connection was lost, is asked once more.
 */
#include "base/assert.h"
#include "base/log.h"
#include "ledger/ledger_pg_internal.h"
#include "ledger/ledger_pg_sales.h"

enum { READ_TIMEOUT_MS = 5000, READ_TRIES = 2 };

static struct pg_ledger *ledger_of(const struct ledger_read *read)
{
    return CONTAINER_OF(read->client->ledger, struct pg_ledger, base);
}

/* ---- asking ---- */

static void add_held_list(struct pg_trip *trip, const struct ledger_read *read)
{
    trip_add(trip, 0,
             "SELECT " PG_HELD_COLUMNS " FROM user_coupons WHERE user_id = $1"
             " ORDER BY issued_at DESC, user_coupon_id DESC");
    trip_int(trip, read->user_id);
}

static void add_winners(struct pg_trip *trip, const struct ledger_read *read)
{
    trip_add(trip, 0,
             "SELECT h.*, c.issued FROM coupons c LEFT JOIN (SELECT " PG_HELD_COLUMNS
             " FROM user_coupons WHERE coupon_id = $1 AND slot > $2 ORDER BY slot LIMIT $3) h"
             " ON true WHERE c.coupon_id = $1 ORDER BY h.slot");
    trip_int(trip, read->coupon_id);
    trip_int(trip, read->after);
    trip_int(trip, read->limit + 1);
}

static void add_board(struct pg_trip *trip, const struct ledger_read *read)
{
    trip_add(trip, 0,
             "SELECT made_at, (e.entry ->> 0)::bigint, (e.entry ->> 1)::bigint,"
             " (e.entry ->> 2)::bigint, (e.entry ->> 3)::bigint FROM boards LEFT JOIN LATERAL"
             " json_array_elements(entries::json) WITH ORDINALITY AS e(entry, n) ON true"
             " WHERE sales_window = $1 AND day = $2 AND category = coalesce($3, '') ORDER BY e.n");
    trip_int(trip, (int64_t)read->window);
    trip_int(trip, read->day);
    trip_text(trip, read->category);
}

static void add_read(struct pg_trip *trip, const struct ledger_read *read)
{
    switch (read->op) {
    case LEDGER_READ_USER:
        trip_add(trip, 0,
                 "SELECT balance, coalesce(username, 'user' || user_id), coalesce(email, 'user' ||"
                 " user_id || '@example.com') FROM users WHERE user_id = $1");
        trip_int(trip, read->user_id);
        return;
    case LEDGER_READ_USERS_EXIST:
        trip_add(trip, 0, "SELECT user_id FROM users WHERE user_id BETWEEN $1 AND $2");
        trip_int(trip, read->first_id);
        trip_int(trip, read->first_id + LEDGER_EXIST_SPAN - 1);
        return;
    case LEDGER_READ_HELD:
        trip_add(trip, 0,
                 "SELECT " PG_HELD_COLUMNS " FROM user_coupons WHERE user_id = $1"
                 " AND coupon_id = $2");
        trip_int(trip, read->user_id);
        trip_int(trip, read->coupon_id);
        return;
    case LEDGER_READ_HELD_LIST:
        add_held_list(trip, read);
        return;
    case LEDGER_READ_WINNERS:
        add_winners(trip, read);
        return;
    case LEDGER_READ_BOARD:
        add_board(trip, read);
        return;
    default:
        break;
    }
    bool known = ledger_pg_read_orders_add(trip, read) || ledger_pg_read_shop_add(trip, read) ||
                 ledger_pg_read_events_add(trip, read);
    ASSERT(known && "unknown read");
}

/* ---- taking ---- */

static enum err take_user(struct ledger_read *read, const PGresult *result)
{
    read->found = PQntuples(result) > 0;
    if (!read->found)
        return ERR_OK;
    read->user.user_id = read->user_id;
    read->user.balance = trip_get(result, 0, 0);
    TRY(trip_copy_text(read->arena, result, 0, 1, &read->user.username));
    return trip_copy_text(read->arena, result, 0, 2, &read->user.email);
}

static void take_users_exist(struct ledger_read *read, const PGresult *result)
{
    memset(read->exist, 0, sizeof read->exist);
    for (int i = 0; i < PQntuples(result); i++) {
        uint64_t offset = (uint64_t)(trip_get(result, i, 0) - read->first_id);
        read->exist[offset / 64] |= UINT64_C(1) << (offset % 64);
    }
}

void ledger_pg_held(const PGresult *result, int row, int column, struct ledger_held *ret_held)
{
    *ret_held = (struct ledger_held){ .coupon_id = trip_get(result, row, column),
                                      .slot = trip_get(result, row, column + 1),
                                      .user_id = trip_get(result, row, column + 2),
                                      .user_coupon_id = trip_get(result, row, column + 3),
                                      .issued_at_ms = trip_get(result, row, column + 4),
                                      .expires_at_ms = trip_get(result, row, column + 5),
                                      .uses = trip_get(result, row, column + 6),
                                      .used_at_ms = trip_get(result, row, column + 7) };
}

/* `limit` 0: all of them. One row more than the limit only sets `more`. */
static enum err take_rows(struct ledger_read *read, const PGresult *result, size_t count,
                          size_t limit)
{
    read->more = limit && count > limit;
    read->row_count = read->more ? limit : count;
    read->rows = arena_alloc(read->arena, (read->row_count + 1) * sizeof *read->rows);
    if (!read->rows)
        return ERR_NOMEM;
    for (size_t i = 0; i < read->row_count; i++)
        ledger_pg_held(result, (int)i, 0, &read->rows[i]);
    return ERR_OK;
}

/* The coupon's own columns come with each row, and alone where there is none. */
static enum err take_winners(struct ledger_read *read, const PGresult *result)
{
    size_t count = (size_t)PQntuples(result);

    read->total_count = count ? trip_get(result, 0, PG_HELD_COLUMN_COUNT) : 0;
    if (count && trip_is_null(result, 0, 0))
        count = 0;
    return take_rows(read, result, count, (size_t)read->limit);
}

static enum err take_board(struct ledger_read *read, const PGresult *result)
{
    read->found = PQntuples(result) > 0;
    read->entry_count = 0;
    read->first_rank = 1;
    read->entries = arena_alloc(read->arena, LEDGER_BOARD_ENTRIES_MAX * sizeof *read->entries);
    if (!read->entries)
        return ERR_NOMEM;
    for (int i = 0; i < PQntuples(result); i++) {
        read->made_at_ms = trip_get(result, i, 0);
        if (trip_is_null(result, i, 1) || read->entry_count == LEDGER_BOARD_ENTRIES_MAX)
            continue;
        read->entries[read->entry_count++] =
            (struct sales_sum){ .product_id = trip_get(result, i, 1),
                                .units = trip_get(result, i, 2),
                                .revenue = trip_get(result, i, 3),
                                .reached_ms = trip_get(result, i, 4) };
    }
    return ERR_OK;
}

static enum err take_read(struct ledger_read *read, const PGresult *result)
{
    switch (read->op) {
    case LEDGER_READ_USER:
        return take_user(read, result);
    case LEDGER_READ_USERS_EXIST:
        take_users_exist(read, result);
        return ERR_OK;
    case LEDGER_READ_HELD:
        read->found = PQntuples(result) > 0;
        if (read->found)
            ledger_pg_held(result, 0, 0, &read->held);
        return ERR_OK;
    case LEDGER_READ_HELD_LIST:
        return take_rows(read, result, (size_t)PQntuples(result), 0);
    case LEDGER_READ_WINNERS:
        return take_winners(read, result);
    case LEDGER_READ_BOARD:
        return take_board(read, result);
    case LEDGER_READ_ORDER:
    case LEDGER_READ_ORDERS:
    case LEDGER_READ_ATTEMPTS:
        return ledger_pg_read_orders_take(read, result);
    case LEDGER_READ_EVENT_HEADS:
    case LEDGER_READ_EVENTS:
    case LEDGER_READ_EVENTS_DEAD:
    case LEDGER_READ_EVENT_COUNT:
        return ledger_pg_read_events_take(read, result);
    default:
        return ledger_pg_read_shop_take(ledger_of(read), read, result);
    }
}

/* ---- back to its loop ---- */

static void tell_done(struct loop_task *task)
{
    struct ledger_read *read = CONTAINER_OF(task, struct ledger_read, task);

    read->done(read);
}

static struct loop *loop_of(const struct ledger_read *read)
{
    return read->client->loop;
}

static void read_over(struct ledger_read *read, enum err e)
{
    read->err = e == ERR_OK || e == ERR_NOMEM ? e : ERR_UNAVAILABLE;
    read->task.run = tell_done;
    loop_send(loop_of(read), &read->task);
}

/* ---- round trips ---- */

void ledger_pg_reader_init(struct pg_reader *reader, struct pg_ledger *ledger)
{
    reader->ledger = ledger;
}

void ledger_pg_reader_fini(struct pg_reader *reader)
{
    trip_fini(&reader->trip);
}

bool ledger_pg_readers_busy(const struct pg_ledger *ledger)
{
    for (size_t i = 0; i < PG_READERS; i++)
        if (ledger->readers[i].busy)
            return true;
    return !list_empty(&ledger->reads);
}

static void reader_over(struct pg_reader *reader)
{
    pg_exchange_fini(&reader->exchange);
    if (reader->conn)
        pg_pool_return(reader->ledger->pool, TAKE(reader->conn));
    reader->count = 0;
    reader->busy = false;
    reader->ledger->look = true;
}

/* It was not its fault, as far as is known. */
static void ask_again(struct pg_ledger *ledger, struct ledger_read *read, enum err e)
{
    if (++read->tries >= READ_TRIES)
        read_over(read, e);
    else
        list_append(&ledger->reads, &read->task.node);
}

static void log_failure(const struct pg_exchange *exchange, const struct ledger_read *read)
{
    LOG(LOG_WARN, "read failed", LOG_INT("operation", read->op),
        LOG_CSTR("error", err_name(exchange->err)), LOG_CSTR("sqlstate", exchange->sqlstate),
        LOG_CSTR("message", PQresultErrorMessage(exchange->results[exchange->failed])));
}

static void answered(struct pg_exchange *exchange)
{
    struct pg_reader *reader = CONTAINER_OF(exchange, struct pg_reader, exchange);
    bool lost = exchange->err != ERR_OK && exchange->failed == exchange->count;

    for (size_t i = 0; i < reader->count; i++) {
        struct ledger_read *read = reader->reads[i];
        if (!lost && i < exchange->failed) {
            read_over(read, take_read(read, exchange->results[i]));
        } else if (!lost && i == exchange->failed) {
            log_failure(exchange, read);
            read_over(read, exchange->err);
        } else {
            ask_again(reader->ledger, read, exchange->err);
        }
    }
    reader_over(reader);
}

static void fail_all(struct pg_reader *reader, enum err e)
{
    for (size_t i = 0; i < reader->count; i++)
        read_over(reader->reads[i], e);
    reader_over(reader);
}

static void borrowed(struct pg_borrow *borrow)
{
    struct pg_reader *reader = CONTAINER_OF(borrow, struct pg_reader, borrow);
    struct pg_ledger *ledger = reader->ledger;

    if (borrow->err != ERR_OK) {
        fail_all(reader, borrow->err);
        return;
    }
    reader->conn = borrow->conn;
    trip_reset(&reader->trip);
    for (size_t i = 0; i < reader->count; i++)
        add_read(&reader->trip, reader->reads[i]);
    if (trip_finish(&reader->trip) != ERR_OK) {
        fail_all(reader, ERR_NOMEM);
        return;
    }
    reader->exchange = (struct pg_exchange){
        .done = answered,
        .statements = reader->trip.statements,
        .count = reader->trip.count,
        .deadline_ms = loop_now_ms(ledger->loop) + READ_TIMEOUT_MS,
    };
    pg_exchange(reader->conn, &reader->exchange);
}

static void start(struct pg_reader *reader)
{
    struct pg_ledger *ledger = reader->ledger;

    while (reader->count < PG_READS_AT_ONCE && !list_empty(&ledger->reads)) {
        struct list *node = ledger->reads.next;
        list_remove(node);
        reader->reads[reader->count++] =
            CONTAINER_OF(CONTAINER_OF(node, struct loop_task, node), struct ledger_read, task);
    }
    reader->busy = true;
    reader->borrow = (struct pg_borrow){
        .done = borrowed,
        .share = POOL_READS,
        .deadline_ms = loop_now_ms(ledger->loop) + ledger->options.borrow_timeout_ms,
    };
    PG_BORROW(ledger->pool, &reader->borrow);
}

void ledger_pg_read_waiting(struct pg_ledger *ledger)
{
    for (size_t i = 0; i < PG_READERS && !list_empty(&ledger->reads); i++)
        if (!ledger->readers[i].busy)
            start(&ledger->readers[i]);
}

/* On the store loop. */
static void arrived(struct loop_task *task)
{
    struct ledger_read *read = CONTAINER_OF(task, struct ledger_read, task);
    struct pg_ledger *ledger = ledger_of(read);

    list_append(&ledger->reads, &task->node);
    ledger->look = true;
}

void ledger_pg_read(struct ledger_client *client, struct ledger_read *read)
{
    struct pg_ledger *ledger = CONTAINER_OF(client->ledger, struct pg_ledger, base);

    read->client = client;
    read->tries = 0;
    if (ledger_has_fault(&ledger->base)) {
        read->err = ERR_UNAVAILABLE;
        read->task.run = tell_done;
        loop_post(loop_of(read), &read->task);
    } else if (read->op == LEDGER_READ_SALES_PAGE || read->op == LEDGER_READ_SALES_PRODUCT) {
        ledger_pg_sales_read(loop_of(read), read);
    } else {
        read->task.run = arrived;
        loop_send(ledger->loop, &read->task);
    }
}
