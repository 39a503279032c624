// SPDX-License-Identifier: Apache-2.0
/* Events in and out of the database, inside the writer's transaction. */
#include "ledger/ledger_sqlite_internal.h"

#define THIS_EVENT "kind = ?1 AND key_id = ?2 AND number = ?3"

enum err ledger_sqlite_events_prepare(struct sqlite_ledger *ledger)
{
    struct sqlite_event_statements *s = &ledger->stmt.event;
    const struct sqlite_sql rows[] = {
        { &s->insert, "INSERT INTO events (kind, key_id, number, type, subject_id, occurred_at,"
                      " stream_at, webhook_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)" },
        { &s->mark[LEDGER_STREAM],
          "UPDATE events SET stream_at = ?4 WHERE " THIS_EVENT " AND stream_at IS NULL" },
        { &s->mark[LEDGER_WEBHOOK],
          "UPDATE events SET webhook_at = ?4 WHERE " THIS_EVENT " AND webhook_at IS NULL" },
        { &s->die, "INSERT INTO dead_events (kind, key_id, number, consumer, tries, why, died_at)"
                   " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 FROM events WHERE " THIS_EVENT
                   " AND iif(?4 = 0, stream_at, webhook_at) IS NULL ON CONFLICT DO NOTHING" },
        { &s->find_dead,
          "SELECT d.consumer, d.tries, d.died_at, e.kind, e.key_id, e.number, e.type, e.subject_id,"
          " e.occurred_at FROM dead_events d JOIN events e USING (kind, key_id, number)"
          " WHERE dead_id = ?" },
        { &s->end_dead, "DELETE FROM dead_events WHERE dead_id = ?" },
        { &s->forget,
          "DELETE FROM events WHERE (kind, key_id, number) IN (SELECT kind, key_id, number"
          " FROM events WHERE stream_at IS NOT NULL AND webhook_at IS NOT NULL"
          " AND max(stream_at, webhook_at) < ? LIMIT ?)" },
        { &s->lease,
          "INSERT INTO event_relays (consumer, owner, lease_until) VALUES (?1, ?2, ?3 + ?4)"
          " ON CONFLICT (consumer) DO UPDATE SET owner = ?2, lease_until = ?3 + ?4"
          " WHERE owner = ?2 OR lease_until <= ?3" },
        { &s->lease_end, "DELETE FROM event_relays WHERE consumer = ? AND owner = ?" },
    };

    return ledger_sqlite_prepare_all(ledger->db, rows, ARRAY_COUNT(rows));
}

static void bind_id(sqlite3_stmt *stmt, const struct ledger_event_id *id)
{
    sqlite3_bind_int64(stmt, 1, (int64_t)id->kind);
    sqlite3_bind_int64(stmt, 2, id->key_id);
    sqlite3_bind_int64(stmt, 3, id->number);
}

/* ---- those that the batch has made ---- */

/* NULL: it is to have it. */
static void bind_consumer(sqlite3_stmt *stmt, int number, unsigned consumers,
                          enum ledger_consumer consumer)
{
    if (consumers & LEDGER_CONSUMER_BIT(consumer))
        sqlite3_bind_null(stmt, number);
    else
        sqlite3_bind_int64(stmt, number, 0);
}

enum err ledger_sqlite_events_store(struct sqlite_ledger *ledger)
{
    const struct ledger_rows *rows = &ledger->rows;
    sqlite3_stmt *stmt = ledger->stmt.event.insert;

    if (rows->events_failed)
        return ERR_NOMEM;
    for (size_t i = 0; i < rows->event_count; i++) {
        const struct ledger_event_row *event = &rows->events[i];
        bind_id(stmt, &event->id);
        sqlite3_bind_int64(stmt, 4, (int64_t)event->type);
        sqlite3_bind_int64(stmt, 5, event->subject_id);
        sqlite3_bind_int64(stmt, 6, event->occurred_at_ms);
        bind_consumer(stmt, 7, rows->consumers, LEDGER_STREAM);
        bind_consumer(stmt, 8, rows->consumers, LEDGER_WEBHOOK);
        TRY(sqlite_db_run(stmt));
    }
    return ERR_OK;
}

/* ---- commands ---- */

static enum err mark(struct sqlite_ledger *ledger, enum ledger_consumer consumer,
                     const struct ledger_event_id *id)
{
    sqlite3_stmt *stmt = ledger->stmt.event.mark[consumer];

    bind_id(stmt, id);
    sqlite3_bind_int64(stmt, 4, MAX(ledger->rows.now_ms, 1));
    return sqlite_db_run(stmt);
}

static enum err die(struct sqlite_ledger *ledger, const struct ledger_event_die *die)
{
    sqlite3_stmt *stmt = ledger->stmt.event.die;

    bind_id(stmt, &die->id);
    sqlite3_bind_int64(stmt, 4, (int64_t)die->consumer);
    sqlite3_bind_int64(stmt, 5, die->tries);
    ledger_sqlite_bind_text(stmt, 6, die->why);
    sqlite3_bind_int64(stmt, 7, ledger->rows.now_ms);
    return sqlite_db_run(stmt);
}

static enum err revive(struct sqlite_ledger *ledger, struct ledger_event_revive *revive)
{
    sqlite3_stmt *find = ledger->stmt.event.find_dead, *end = ledger->stmt.event.end_dead;
    struct ledger_dead_event *event = &revive->event;

    sqlite3_bind_int64(find, 1, revive->dead_id);
    TRY(ledger_sqlite_step_one(find, &revive->found));
    if (!revive->found)
        return ERR_OK;
    *event = (struct ledger_dead_event){
        .dead_id = revive->dead_id,
        .consumer = (enum ledger_consumer)sqlite3_column_int64(find, 0),
        .tries = sqlite3_column_int64(find, 1),
        .died_at_ms = sqlite3_column_int64(find, 2),
        .row = { .id = { (enum ledger_event_kind)sqlite3_column_int64(find, 3),
                         sqlite3_column_int64(find, 4), sqlite3_column_int64(find, 5) },
                 .type = (enum ledger_event_type)sqlite3_column_int64(find, 6),
                 .subject_id = sqlite3_column_int64(find, 7),
                 .occurred_at_ms = sqlite3_column_int64(find, 8) },
    };
    sqlite3_reset(find);
    sqlite3_bind_int64(end, 1, revive->dead_id);
    TRY(sqlite_db_run(end));
    return revive->skip ? mark(ledger, event->consumer, &event->row.id) : ERR_OK;
}

static enum err forget(struct sqlite_ledger *ledger, struct ledger_events_forget *forget)
{
    sqlite3_stmt *stmt = ledger->stmt.event.forget;

    sqlite3_bind_int64(stmt, 1, ledger->rows.now_ms - forget->keep_ms);
    sqlite3_bind_int64(stmt, 2, LEDGER_EVENTS_FORGET_PIECE);
    TRY(sqlite_db_run(stmt));
    forget->forgotten = sqlite3_changes(ledger->db);
    return ERR_OK;
}

static enum err lease(struct sqlite_ledger *ledger, struct ledger_relay_lease *lease)
{
    struct sqlite_event_statements *s = &ledger->stmt.event;
    sqlite3_stmt *stmt = lease->lease_ms ? s->lease : s->lease_end;

    sqlite3_bind_int64(stmt, 1, (int64_t)lease->consumer);
    sqlite3_bind_int64(stmt, 2, lease->owner);
    if (lease->lease_ms) {
        sqlite3_bind_int64(stmt, 3, ledger->rows.now_ms);
        sqlite3_bind_int64(stmt, 4, lease->lease_ms);
    }
    TRY(sqlite_db_run(stmt));
    lease->held = lease->lease_ms && sqlite3_changes(ledger->db) == 1;
    return ERR_OK;
}

enum err ledger_sqlite_events_command(struct sqlite_ledger *ledger, struct ledger_command *command)
{
    const struct ledger_events_mark *marks = &command->events_mark;

    switch (command->op) {
    case LEDGER_EVENTS_MARK:
        for (size_t i = 0; i < marks->count; i++)
            TRY(mark(ledger, marks->consumer, &marks->ids[i]));
        return ERR_OK;
    case LEDGER_EVENT_DIE:
        return die(ledger, &command->event_die);
    case LEDGER_EVENT_REVIVE:
        return revive(ledger, &command->event_revive);
    case LEDGER_EVENTS_FORGET:
        return forget(ledger, &command->events_forget);
    case LEDGER_RELAY_LEASE:
        return lease(ledger, &command->relay_lease);
    default:
        return ERR_OK;
    }
}
