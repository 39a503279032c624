// SPDX-License-Identifier: Apache-2.0
/*
 * What became of events goes back to the ledger: marks, many at once; what is given up, one by one;
 * and, where servers share a ledger, the lease of who delivers.
 */
#include "base/clock.h"
#include "base/log.h"
#include "shop/events_internal.h"

/* ---- marks ---- */

void events_delivered(struct events_key *key, int64_t number)
{
    struct events_relay *relay = key->relay;

    relay->pending.ids[relay->pending.count++] =
        (struct ledger_event_id){ key->kind, key->key_id, number };
    key->unmarked++;
}

static void marked(struct events_relay *relay, const struct ledger_event_id *id)
{
    struct events_key *key = events_key_find(relay, id->kind, id->key_id);

    if (!key)
        return;
    key->unmarked--;
    if (key->state == EVENTS_ENDING && key->unmarked == 0)
        events_key_free(key);
}

static void marks_done(struct shop_command *command)
{
    struct events_relay *relay = CONTAINER_OF(command, struct events_relay, mark);
    bool stored = command->ledger.err == ERR_OK;

    relay->mark_busy = false;
    for (size_t i = 0; i < relay->marking.count; i++)
        if (stored)
            marked(relay, &relay->marking.ids[i]);
        else if (!relay->draining) /* there is room: they count as long as they are not marked */
            relay->pending.ids[relay->pending.count++] = relay->marking.ids[i];
    relay->marking.count = 0;
    events_pump(relay);
}

/* Now and then, or when there are many; what is delivered meanwhile goes with the next. */
void events_marks_send(struct events_relay *relay)
{
    uint64_t now_ms = loop_now_ms(relay->loop->loop);
    bool due = relay->draining || now_ms >= relay->mark_due_ms ||
               relay->pending.count >= EVENTS_MARKS_AT_ONCE;

    if (relay->mark_busy || relay->pending.count == 0 || !due)
        return;
    relay->marking.count = relay->pending.count;
    memcpy(relay->marking.ids, relay->pending.ids,
           relay->pending.count * sizeof relay->pending.ids[0]);
    relay->pending.count = 0;
    relay->mark_busy = true;
    relay->mark_due_ms = now_ms + EVENTS_TICK_MS;
    relay->mark.done = marks_done;
    relay->mark.ledger =
        (struct ledger_command){ .op = LEDGER_EVENTS_MARK,
                                 .events_mark = { .consumer = relay->consumer,
                                                  .ids = relay->marking.ids,
                                                  .count = relay->marking.count } };
    shop_command(relay->loop, &relay->mark);
}

/* ---- giving up ---- */

static void die_done(struct shop_command *command)
{
    struct events_relay *relay = CONTAINER_OF(command, struct events_relay, die);
    struct events_key *key = relay->dying;

    relay->die_busy = false;
    relay->dying = NULL;
    if (command->ledger.err != ERR_OK) {
        events_wait(key);
    } else {
        LOG(LOG_WARN, "event given up", LOG_CSTR("consumer", events_consumer_name(relay->consumer)),
            LOG_CSTR("event", key->id), LOG_INT("tries", key->tries),
            LOG_CSTR("why", key->delivery.why));
        relay->count_due_ms = 0; /* whoever looks is told at once */
        if (key->unmarked)
            events_key_set(key, EVENTS_ENDING);
        else
            events_key_free(key);
    }
    events_pump(relay);
}

/* One at a time; the others keep their turn. */
void events_die(struct events_key *key)
{
    struct events_relay *relay = key->relay;

    relay->die_busy = true;
    relay->dying = key;
    relay->die.done = die_done;
    relay->die.ledger = (struct ledger_command){
        .op = LEDGER_EVENT_DIE,
        .event_die = { .consumer = relay->consumer,
                       .id = { key->kind, key->key_id, key->rows[key->row_next].number },
                       .tries = key->tries,
                       .why = str_from(key->delivery.why) }
    };
    shop_command(relay->loop, &relay->die);
}

/* ---- the lease ---- */

static bool is_shared(const struct events_relay *relay)
{
    return ledger_is_shared(relay->loop->shop->ledger);
}

/* Measured from before it was asked for. A delivery that outlives it may come twice. */
bool events_may_relay(const struct events_relay *relay)
{
    return !is_shared(relay) || loop_now_ms(relay->loop->loop) < relay->lease_until_ms;
}

static void lease_done(struct shop_command *command)
{
    struct events_relay *relay = CONTAINER_OF(command, struct events_relay, lease);

    relay->lease_busy = false;
    if (command->ledger.err == ERR_OK)
        relay->lease_until_ms =
            command->ledger.relay_lease.held ? relay->lease_asked_ms + EVENTS_LEASE_MS * 3 / 4 : 0;
    events_pump(relay);
}

void events_lease_renew(struct events_relay *relay)
{
    uint64_t now_ms = loop_now_ms(relay->loop->loop);

    if (!is_shared(relay) || relay->lease_busy ||
        (!relay->draining && now_ms < relay->lease_due_ms))
        return;
    relay->lease_busy = true;
    relay->lease_asked_ms = now_ms;
    relay->lease_due_ms = now_ms + EVENTS_LEASE_MS / 5;
    relay->lease.done = lease_done;
    relay->lease.ledger =
        (struct ledger_command){ .op = LEDGER_RELAY_LEASE,
                                 .relay_lease = { .consumer = relay->consumer,
                                                  .owner = relay->owner,
                                                  .lease_ms =
                                                      relay->draining ? 0 : EVENTS_LEASE_MS } };
    shop_command(relay->loop, &relay->lease);
}

bool events_marks_are_idle(const struct events_relay *relay)
{
    return !relay->mark_busy && !relay->die_busy && !relay->lease_busy && relay->pending.count == 0;
}
