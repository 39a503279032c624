// SPDX-License-Identifier: Apache-2.0
/*
 * Reads of events, on the loop's own connection. Keys with something to deliver are found by going
 * from key to key in the index of what a consumer does not have: one look-up for each key, however
 * much is waiting behind it.
 */
#include "ledger/ledger_sqlite_internal.h"

#define NEXT_KEY(mark)                                                     \
    "SELECT kind, key_id FROM events WHERE " mark " IS NULL AND kind = ?1" \
    " AND key_id > ?2 ORDER BY kind, key_id LIMIT 1"
#define EVENT_COLUMNS "e.number, e.occurred_at, coalesce(d.dead_id, 0), e.type, e.subject_id"
#define ROWS(mark, consumer)                                                 \
    "SELECT " EVENT_COLUMNS " FROM events e LEFT JOIN dead_events d ON"      \
    " d.consumer = " consumer " AND d.kind = e.kind AND d.key_id = e.key_id" \
    " AND d.number = e.number WHERE e." mark " IS NULL AND e.kind = ?1"      \
    " AND e.key_id = ?2 AND e.number > ?3 ORDER BY e.number LIMIT ?4"
#define COUNT(mark) \
    "SELECT count(*) FROM (SELECT 1 FROM events WHERE " mark " IS NULL LIMIT 100000)"

enum err ledger_sqlite_read_events_open(struct sqlite_client *client)
{
    struct sqlite_event_reads *s = &client->event;
    const struct sqlite_sql rows[] = {
        { &s->next_key[LEDGER_STREAM], NEXT_KEY("stream_at") },
        { &s->next_key[LEDGER_WEBHOOK], NEXT_KEY("webhook_at") },
        { &s->rows[LEDGER_STREAM], ROWS("stream_at", "0") },
        { &s->rows[LEDGER_WEBHOOK], ROWS("webhook_at", "1") },
        { &s->count[LEDGER_STREAM], COUNT("stream_at") },
        { &s->count[LEDGER_WEBHOOK], COUNT("webhook_at") },
        { &s->held, "SELECT " HELD_COLUMNS " FROM user_coupons WHERE coupon_id = ? AND slot = ?" },
        { &s->dead, "SELECT d.dead_id, d.consumer, d.kind, d.key_id, d.number, e.type,"
                    " e.subject_id, e.occurred_at, d.tries, d.died_at, d.why FROM dead_events d"
                    " JOIN events e USING (kind, key_id, number)"
                    " WHERE d.dead_id > ? ORDER BY d.dead_id LIMIT ?" },
        { &s->dead_count, "SELECT count(*) FROM dead_events WHERE consumer = ?" },
        { &s->all_dead, "SELECT count(*) FROM dead_events" },
    };

    _Static_assert(LEDGER_EVENTS_COUNTED_MAX == 100000, "the statement says it, too");
    return ledger_sqlite_prepare_all(client->db, rows, ARRAY_COUNT(rows));
}

/* ---- keys ---- */

/* The next key behind `key`, of any kind. */
static enum err next_key(struct sqlite_client *client, enum ledger_consumer consumer,
                         struct ledger_event_id *key, bool *ret_found)
{
    sqlite3_stmt *stmt = client->event.next_key[consumer];

    for (int64_t kind = MAX((int64_t)key->kind, 1); kind <= LEDGER_EVENTS_OF_USER; kind++) {
        sqlite3_bind_int64(stmt, 1, kind);
        sqlite3_bind_int64(stmt, 2, kind == (int64_t)key->kind ? key->key_id : INT64_MIN);
        TRY(ledger_sqlite_step_one(stmt, ret_found));
        if (!*ret_found)
            continue;
        key->kind = (enum ledger_event_kind)kind;
        key->key_id = sqlite3_column_int64(stmt, 1);
        sqlite3_reset(stmt);
        return ERR_OK;
    }
    return ERR_OK;
}

static void bind_key(sqlite3_stmt *stmt, const struct ledger_event_id *key, int64_t after,
                     int64_t limit)
{
    sqlite3_bind_int64(stmt, 1, (int64_t)key->kind);
    sqlite3_bind_int64(stmt, 2, key->key_id);
    sqlite3_bind_int64(stmt, 3, after);
    sqlite3_bind_int64(stmt, 4, limit);
}

static enum err read_heads(struct sqlite_client *client, struct ledger_read *read)
{
    struct ledger_events_read *events = &read->events;
    struct ledger_event_id key = events->after;
    bool found = true;

    events->head_count = 0;
    events->heads = arena_alloc(read->arena, (size_t)read->limit * sizeof *events->heads);
    if (!events->heads)
        return ERR_NOMEM;
    while (events->head_count < (size_t)read->limit) {
        sqlite3_stmt *stmt = client->event.rows[events->consumer];
        TRY(next_key(client, events->consumer, &key, &found));
        if (!found)
            break;
        bind_key(stmt, &key, 0, 1);
        TRY(ledger_sqlite_step_one(stmt, &found));
        if (!found)
            return ERR_CORRUPT;
        events->heads[events->head_count++] = (struct ledger_event_head){
            .id = { key.kind, key.key_id, sqlite3_column_int64(stmt, 0) },
            .occurred_at_ms = sqlite3_column_int64(stmt, 1),
            .dead_id = sqlite3_column_int64(stmt, 2),
        };
        sqlite3_reset(stmt);
    }
    read->more = found;
    return ERR_OK;
}

/* ---- events ---- */

static enum err read_held(struct sqlite_client *client, struct arena *arena,
                          struct ledger_event *event)
{
    sqlite3_stmt *stmt = client->event.held;
    struct ledger_held *held = arena_alloc(arena, sizeof *held);
    bool found;

    if (!held)
        return ERR_NOMEM;
    sqlite3_bind_int64(stmt, 1, event->row.id.key_id);
    sqlite3_bind_int64(stmt, 2, event->row.subject_id);
    TRY(ledger_sqlite_step_one(stmt, &found));
    if (!found)
        return ERR_OK;
    ledger_sqlite_held(stmt, held);
    sqlite3_reset(stmt);
    event->held = held;
    return ERR_OK;
}

static enum err read_order(struct sqlite_client *client, struct arena *arena,
                           struct ledger_event *event)
{
    sqlite3_stmt *stmt = client->read[LEDGER_READ_ORDER];
    struct ledger_order *order = arena_alloc(arena, sizeof *order);
    bool found;

    if (!order)
        return ERR_NOMEM;
    sqlite3_bind_int64(stmt, 1, event->row.subject_id);
    TRY(ledger_sqlite_step_one(stmt, &found));
    if (!found)
        return ERR_OK;
    enum err e = ledger_sqlite_order(arena, stmt, order);
    sqlite3_reset(stmt);
    if (e == ERR_OK)
        e = ledger_sqlite_order_lines(arena, client->order_lines, order);
    event->order = order;
    return e;
}

static enum err read_subjects(struct sqlite_client *client, struct ledger_read *read)
{
    struct ledger_events_read *events = &read->events;

    for (size_t i = 0; i < events->event_count; i++) {
        struct ledger_event *event = &events->events[i];
        if (event->dead_id)
            continue;
        TRY((event->row.type == LEDGER_EVENT_COUPON_ISSUED ? read_held : read_order)(
            client, read->arena, event));
    }
    return ERR_OK;
}

/* Up to a dead one. */
static enum err read_key(struct sqlite_client *client, struct ledger_read *read,
                         const struct ledger_event_id *key)
{
    struct ledger_events_read *events = &read->events;
    sqlite3_stmt *stmt = client->event.rows[events->consumer];
    bool dead = false;
    int code;

    bind_key(stmt, key, key->number, read->limit);
    while (!dead && (code = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct ledger_event *event = &events->events[events->event_count++];
        *event = (struct ledger_event){
            .row = { .id = { key->kind, key->key_id, sqlite3_column_int64(stmt, 0) },
                     .occurred_at_ms = sqlite3_column_int64(stmt, 1),
                     .type = (enum ledger_event_type)sqlite3_column_int64(stmt, 3),
                     .subject_id = sqlite3_column_int64(stmt, 4) },
            .dead_id = sqlite3_column_int64(stmt, 2),
        };
        dead = event->dead_id != 0;
    }
    sqlite3_reset(stmt);
    return dead ? ERR_OK : sqlite_db_err(code);
}

static enum err read_events(struct sqlite_client *client, struct ledger_read *read)
{
    struct ledger_events_read *events = &read->events;

    events->event_count = 0;
    events->events =
        arena_alloc(read->arena, events->key_count * (size_t)read->limit * sizeof *events->events);
    if (!events->events)
        return ERR_NOMEM;
    for (size_t i = 0; i < events->key_count; i++)
        TRY(read_key(client, read, &events->keys[i]));
    return read_subjects(client, read);
}

/* ---- the dead, and how many there are ---- */

static enum err read_int(sqlite3_stmt *stmt, int64_t *ret_value)
{
    bool found;

    TRY(ledger_sqlite_step_one(stmt, &found));
    *ret_value = found ? sqlite3_column_int64(stmt, 0) : 0;
    sqlite3_reset(stmt);
    return ERR_OK;
}

static enum err read_count(struct sqlite_client *client, struct ledger_events_read *events)
{
    sqlite3_bind_int64(client->event.dead_count, 1, (int64_t)events->consumer);
    TRY(read_int(client->event.dead_count, &events->dead_total));
    return read_int(client->event.count[events->consumer], &events->undelivered);
}

static enum err read_dead_one(sqlite3_stmt *stmt, struct arena *arena,
                              struct ledger_dead_event *dead)
{
    *dead = (struct ledger_dead_event){
        .dead_id = sqlite3_column_int64(stmt, 0),
        .consumer = (enum ledger_consumer)sqlite3_column_int64(stmt, 1),
        .row = { .id = { (enum ledger_event_kind)sqlite3_column_int64(stmt, 2),
                         sqlite3_column_int64(stmt, 3), sqlite3_column_int64(stmt, 4) },
                 .type = (enum ledger_event_type)sqlite3_column_int64(stmt, 5),
                 .subject_id = sqlite3_column_int64(stmt, 6),
                 .occurred_at_ms = sqlite3_column_int64(stmt, 7) },
        .tries = sqlite3_column_int64(stmt, 8),
        .died_at_ms = sqlite3_column_int64(stmt, 9),
    };
    return ledger_sqlite_text(arena, stmt, 10, &dead->why);
}

/* One row more than the limit only sets `more`. */
static enum err read_dead(struct sqlite_client *client, struct ledger_read *read)
{
    struct ledger_events_read *events = &read->events;
    sqlite3_stmt *stmt = client->event.dead;
    enum err e = ERR_OK;
    int code;

    events->dead_count = 0;
    read->more = false;
    events->dead = arena_alloc(read->arena, (size_t)read->limit * sizeof *events->dead);
    if (!events->dead)
        return ERR_NOMEM;
    TRY(read_int(client->event.all_dead, &events->dead_total));
    sqlite3_bind_int64(stmt, 1, read->after);
    sqlite3_bind_int64(stmt, 2, read->limit + 1);
    while (e == ERR_OK && !read->more && (code = sqlite3_step(stmt)) == SQLITE_ROW) {
        read->more = events->dead_count == (size_t)read->limit;
        if (!read->more)
            e = read_dead_one(stmt, read->arena, &events->dead[events->dead_count++]);
    }
    sqlite3_reset(stmt);
    return e != ERR_OK || read->more ? e : sqlite_db_err(code);
}

enum err ledger_sqlite_read_events(struct sqlite_client *client, struct ledger_read *read)
{
    switch (read->op) {
    case LEDGER_READ_EVENT_HEADS:
        return read_heads(client, read);
    case LEDGER_READ_EVENTS:
        return read_events(client, read);
    case LEDGER_READ_EVENTS_DEAD:
        return read_dead(client, read);
    default:
        return read_count(client, &read->events);
    }
}
