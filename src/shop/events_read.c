// SPDX-License-Identifier: Apache-2.0
/*
 * What is to be delivered is found by a sweep over the keys that have something, page by page and
 * round and round, so that every key gets its turn; then the rows of many keys are read at once.
 */
#include "base/mem.h"
#include "shop/events_internal.h"

static void begin(struct events_relay *relay, enum ledger_read_op op,
                  void (*done)(struct ledger_read *read))
{
    relay->reading = true;
    relay->read = (struct ledger_read){
        .done = done, .op = op, .arena = &relay->arena, .events = { .consumer = relay->consumer }
    };
}

static void end(struct events_relay *relay)
{
    relay->reading = false;
    arena_reset(&relay->arena);
    events_pump(relay);
}

/* ---- rows ---- */

static bool render(struct events_key *key, const struct ledger_event *event)
{
    struct shop *shop = key->relay->loop->shop;
    struct events_row *row = &key->rows[key->row_count];
    char id[EVENTS_ID_BYTES];

    *row = (struct events_row){ .number = event->row.id.number, .type = event->row.type };
    events_write_id(id, &event->row.id, shop->gateway_key_end);
    shop->render_event(event, id, key->name, &row->body);
    if (buf_ok(&row->body))
        key->row_count++;
    else
        buf_fini(&row->body);
    return buf_ok(&row->body);
}

static void take_row(struct events_relay *relay, const struct ledger_event *event)
{
    struct events_key *key = events_key_find(relay, event->row.id.kind, event->row.id.key_id);

    if (!key || key->state != EVENTS_READING || event->dead_id || key->cut_short)
        return;
    key->cut_short = key->row_count == EVENTS_ROWS_MAX || !render(key, event);
    if (!key->cut_short)
        key->last_number = event->row.id.number;
    key->more = key->cut_short || key->row_count == EVENTS_ROWS_MAX;
}

static void rows_read(struct ledger_read *read)
{
    struct events_relay *relay = CONTAINER_OF(read, struct events_relay, read);
    struct events_key *key;

    if (read->err == ERR_OK)
        for (size_t i = 0; i < read->events.event_count; i++)
            take_row(relay, &read->events.events[i]);
    LIST_FOREACH (key, &relay->keys[EVENTS_READING], struct events_key, node) {
        if (key->row_count)
            events_key_set(key, EVENTS_READY);
        else if (key->unmarked)
            events_key_set(key, EVENTS_ENDING);
        else
            events_key_free(key);
    }
    end(relay);
}

static void read_rows(struct events_relay *relay)
{
    struct events_key *key;
    size_t count = 0;

    while (count < EVENTS_READ_KEYS && (key = events_key_first(relay, EVENTS_WANTING))) {
        relay->wanted[count++] =
            (struct ledger_event_id){ key->kind, key->key_id, key->last_number };
        events_key_drop_rows(key, 0);
        key->row_next = key->row_count = 0;
        key->more = key->cut_short = false;
        events_key_set(key, EVENTS_READING);
    }
    begin(relay, LEDGER_READ_EVENTS, rows_read);
    relay->read.limit = EVENTS_ROWS_MAX;
    relay->read.events.keys = relay->wanted;
    relay->read.events.key_count = count;
    ledger_read(relay->loop->ledger, &relay->read);
}

/* ---- the sweep ---- */

static void take_head(struct events_relay *relay, const struct ledger_event_head *head)
{
    struct events_key *key = events_key_find(relay, head->id.kind, head->id.key_id);

    if (!relay->sweep_oldest_ms || head->occurred_at_ms < relay->sweep_oldest_ms)
        relay->sweep_oldest_ms = head->occurred_at_ms;
    if (key || head->dead_id)
        return;
    key = events_key_add(relay, head->id.kind, head->id.key_id);
    if (!key)
        return; /* found again by the next sweep */
    events_write_key(key->name, &head->id);
    relay->sweep_found = true;
}

static void sweep_end(struct events_relay *relay)
{
    uint64_t pause_ms = relay->sweep_found ? EVENTS_SWEEP_MS / 10 : EVENTS_SWEEP_MS;

    atomic_store_explicit(&relay->stats->oldest_ms, relay->sweep_oldest_ms, memory_order_relaxed);
    relay->sweep_due_ms = loop_now_ms(relay->loop->loop) + pause_ms;
    relay->sweep_oldest_ms = 0;
    relay->sweep_found = false;
    relay->sweep_after = (struct ledger_event_id){ 0 };
}

static void heads_read(struct ledger_read *read)
{
    struct events_relay *relay = CONTAINER_OF(read, struct events_relay, read);
    const struct ledger_events_read *events = &read->events;

    if (read->err != ERR_OK) {
        relay->sweep_due_ms = loop_now_ms(relay->loop->loop) + EVENTS_SWEEP_MS;
        end(relay);
        return;
    }
    for (size_t i = 0; i < events->head_count && !relay->draining; i++)
        take_head(relay, &events->heads[i]);
    if (events->head_count)
        relay->sweep_after = events->heads[events->head_count - 1].id;
    if (!read->more)
        sweep_end(relay);
    end(relay);
}

static void read_heads(struct events_relay *relay)
{
    begin(relay, LEDGER_READ_EVENT_HEADS, heads_read);
    relay->read.limit = EVENTS_SWEEP_KEYS;
    relay->read.events.after = relay->sweep_after;
    ledger_read(relay->loop->ledger, &relay->read);
}

/* ---- how many ---- */

static void count_read(struct ledger_read *read)
{
    struct events_relay *relay = CONTAINER_OF(read, struct events_relay, read);

    if (read->err == ERR_OK) {
        atomic_store_explicit(&relay->stats->undelivered, read->events.undelivered,
                              memory_order_relaxed);
        atomic_store_explicit(&relay->stats->dead, read->events.dead_total, memory_order_relaxed);
    }
    end(relay);
}

static void read_count(struct events_relay *relay)
{
    relay->count_due_ms = loop_now_ms(relay->loop->loop) + EVENTS_COUNT_MS;
    begin(relay, LEDGER_READ_EVENT_COUNT, count_read);
    ledger_read(relay->loop->ledger, &relay->read);
}

static bool has_room(const struct events_relay *relay)
{
    return relay->active < 4 * (size_t)relay->options.in_flight_max &&
           relay->key_count + EVENTS_SWEEP_KEYS <= EVENTS_KEYS_MAX;
}

void events_read_next(struct events_relay *relay)
{
    uint64_t now_ms = loop_now_ms(relay->loop->loop);

    if (relay->reading || relay->draining)
        return;
    if (now_ms >= relay->count_due_ms) {
        read_count(relay);
        return;
    }
    if (!events_may_relay(relay))
        return;
    bool wanted = !list_empty(&relay->keys[EVENTS_WANTING]);
    bool sweep = now_ms >= relay->sweep_due_ms && has_room(relay) && !(wanted && relay->swept);
    if (!sweep && !wanted)
        return;
    relay->swept = sweep;
    (sweep ? read_heads : read_rows)(relay);
}
