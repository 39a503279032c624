// SPDX-License-Identifier: Apache-2.0
/*
 * The relay of one consumer. A key's events go one after the other; after a failure its first one
 * is tried again, later from time to time, and nothing of that key overtakes it. After too many
 * tries it is given up (dead): the key stops until somebody replays or skips it. When many keys
 * fail in a row it is not the events that are bad but the receiver that is away: then one try at a
 * time finds out when it is back, and none of them counts.
 */
#include <sys/random.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "shop/events_internal.h"

/* ---- failures ---- */

static uint64_t jitter(const struct events_key *key, uint64_t ms)
{
    uint64_t spread_ms = ms / 5;

    return ms - spread_ms + hash_u64(clock_mono_ns() ^ (uint64_t)key->key_id) % (2 * spread_ms + 1);
}

void events_wait(struct events_key *key)
{
    const struct events_consumer *options = &key->relay->options;

    events_key_drop_rows(key, 1);
    key->retry_ms =
        key->retry_ms ? MIN(2 * key->retry_ms, options->retry_ms_max) : options->retry_ms;
    key->due_ms = loop_now_ms(key->relay->loop->loop) + jitter(key, key->retry_ms);
    events_key_set(key, EVENTS_WAITING);
}

static size_t waiting_keys(const struct events_relay *relay)
{
    size_t count = 0;

    for (const struct list *node = relay->keys[EVENTS_WAITING].next;
         node != &relay->keys[EVENTS_WAITING] && count < EVENTS_AWAY_KEYS; node = node->next)
        count++;
    return count;
}

static void receiver_failed(struct events_relay *relay)
{
    relay->failures_in_row++;
    if (!relay->away && relay->failures_in_row >= EVENTS_AWAY_FAILURES &&
        waiting_keys(relay) >= EVENTS_AWAY_KEYS) {
        relay->away = true;
        relay->away_ms = relay->options.retry_ms;
        LOG(LOG_WARN, "events: the receiver is away, looking for it now and then",
            LOG_CSTR("consumer", events_consumer_name(relay->consumer)));
    } else if (relay->away) {
        relay->away_ms =
            MIN(2 * relay->away_ms, MIN((uint64_t)EVENTS_AWAY_MS_MAX, relay->options.retry_ms_max));
    }
    relay->probe_ms = loop_now_ms(relay->loop->loop) + relay->away_ms;
}

/* It is back: whoever waits does not wait as long as it was away. */
static void receiver_took(struct events_relay *relay)
{
    uint64_t now_ms = loop_now_ms(relay->loop->loop);
    struct events_key *key;

    relay->failures_in_row = 0;
    if (!relay->away)
        return;
    relay->away = false;
    LOG(LOG_INFO, "events: the receiver is back",
        LOG_CSTR("consumer", events_consumer_name(relay->consumer)));
    LIST_FOREACH (key, &relay->keys[EVENTS_WAITING], struct events_key, node)
        key->due_ms = MIN(key->due_ms, now_ms + jitter(key, relay->options.retry_ms));
}

/* ---- deliveries ---- */

/* The first row is done with. */
static void next_row(struct events_key *key)
{
    buf_fini(&key->rows[key->row_next].body);
    key->row_next++;
    key->tries = 0;
    key->retry_ms = 0;
    if (key->row_next < key->row_count)
        events_key_set(key, EVENTS_READY);
    else
        events_key_set(key, key->more ? EVENTS_WANTING : EVENTS_ENDING);
}

static void failed(struct events_key *key)
{
    struct events_relay *relay = key->relay;

    atomic_fetch_add_explicit(&relay->stats->failures, 1, memory_order_relaxed);
    if (!relay->away)
        key->tries++;
    receiver_failed(relay);
    LOG(LOG_DEBUG, "event not delivered", LOG_CSTR("event", key->id), LOG_INT("tries", key->tries),
        LOG_CSTR("why", key->delivery.why));
    key->last_number = key->rows[key->row_next].number;
    if (relay->options.tries_max && key->tries >= relay->options.tries_max)
        events_key_set(key, EVENTS_DYING);
    else
        events_wait(key);
}

static void delivery_done(struct events_delivery *delivery)
{
    struct events_key *key = CONTAINER_OF(delivery, struct events_key, delivery);
    struct events_relay *relay = key->relay;

    relay->in_flight--;
    if (delivery->delivered) {
        atomic_fetch_add_explicit(&relay->stats->delivered, 1, memory_order_relaxed);
        events_delivered(key, key->rows[key->row_next].number);
        receiver_took(relay);
        next_row(key);
    } else {
        failed(key);
    }
    events_pump(relay);
}

static void deliver(struct events_key *key)
{
    struct events_relay *relay = key->relay;
    const struct events_row *row = &key->rows[key->row_next];
    const struct ledger_event_id id = { key->kind, key->key_id, row->number };

    events_write_id(key->id, &id, relay->loop->shop->gateway_key_end);
    key->delivery = (struct events_delivery){ .done = delivery_done,
                                              .id = key->id,
                                              .key = key->name,
                                              .type = events_type_name(row->type),
                                              .number = row->number,
                                              .body = buf_str(&row->body) };
    events_key_set(key, EVENTS_SENDING);
    relay->in_flight++;
    relay->sink->send(relay->sink, &key->delivery);
}

/* ---- what may go on ---- */

static bool may_deliver(const struct events_relay *relay)
{
    size_t marks = relay->pending.count + relay->marking.count + relay->in_flight;

    if (relay->draining || marks >= EVENTS_MARKS_MAX || !events_may_relay(relay))
        return false;
    if (relay->away)
        return relay->in_flight == 0 && loop_now_ms(relay->loop->loop) >= relay->probe_ms;
    return relay->in_flight < relay->options.in_flight_max;
}

static void wake_those_due(struct events_relay *relay)
{
    uint64_t now_ms = loop_now_ms(relay->loop->loop);
    struct events_key *key;

    LIST_FOREACH (key, &relay->keys[EVENTS_WAITING], struct events_key, node)
        if (key->due_ms <= now_ms)
            events_key_set(key, EVENTS_READY);
}

/* Another server delivers now, or this one ends: what nobody works on is forgotten. */
static void let_go(struct events_relay *relay)
{
    static const enum events_key_state states[] = { EVENTS_WANTING, EVENTS_READY, EVENTS_WAITING,
                                                    EVENTS_DYING };
    struct events_key *key;

    for (size_t i = 0; i < ARRAY_COUNT(states); i++)
        LIST_FOREACH (key, &relay->keys[states[i]], struct events_key, node)
            if (key == relay->dying)
                continue;
            else if (key->unmarked)
                events_key_set(key, EVENTS_ENDING);
            else
                events_key_free(key);
}

void events_pump(struct events_relay *relay)
{
    struct events_key *key;

    if (relay->draining || !events_may_relay(relay))
        let_go(relay);
    while (may_deliver(relay) && (key = events_key_first(relay, EVENTS_READY)))
        deliver(key);
    if (!relay->die_busy && (key = events_key_first(relay, EVENTS_DYING)))
        events_die(key);
    events_marks_send(relay);
    events_read_next(relay);
}

static void tick(struct loop_timer *timer)
{
    struct events_relay *relay = CONTAINER_OF(timer, struct events_relay, timer);

    events_lease_renew(relay);
    wake_those_due(relay);
    events_pump(relay);
    err_ignore(loop_timer_start(relay->loop->loop, timer, EVENTS_TICK_MS), "its slot is there");
}

/* ---- life ---- */

enum err events_relay_new(struct shop_loop *loop, enum ledger_consumer consumer,
                          const struct events_consumer *options, struct events_stats *stats,
                          struct events_relay **ret_relay)
{
    struct events_relay *relay = mem_alloc(sizeof *relay);

    if (!relay)
        return ERR_NOMEM;
    ASSERT(options->in_flight_max > 0 && options->retry_ms > 0);
    relay->loop = loop;
    relay->consumer = consumer;
    relay->options = *options;
    relay->stats = stats;
    for (size_t i = 0; i < EVENTS_STATE_N; i++)
        list_init(&relay->keys[i]);
    relay->timer.run = tick;
    if (getrandom(&relay->owner, sizeof relay->owner, 0) != (ssize_t)sizeof relay->owner)
        relay->owner = (int64_t)clock_mono_ns();
    relay->owner = (relay->owner & INT64_MAX) | 1;
    relay->cells = mem_alloc(EVENTS_KEYS_MAX * sizeof *relay->cells);
    relay->sink = options->sink_new(options->context, loop->loop);
    if (relay->cells && relay->sink && loop_timer_start(loop->loop, &relay->timer, 0) == ERR_OK) {
        *ret_relay = relay;
        return ERR_OK;
    }
    events_relay_free(relay);
    return ERR_NOMEM;
}

void events_relay_drain(struct events_relay *relay)
{
    if (!relay || relay->draining)
        return;
    relay->draining = true;
    loop_timer_stop(&relay->timer);
    relay->sink->cut(relay->sink);
    events_lease_renew(relay);
    events_pump(relay);
}

bool events_relay_is_idle(const struct events_relay *relay)
{
    return !relay || (relay->in_flight == 0 && !relay->reading && events_marks_are_idle(relay));
}

struct events_relay *events_relay_free(struct events_relay *relay)
{
    struct events_key *key;

    if (!relay)
        return NULL;
    loop_timer_stop(&relay->timer);
    for (size_t i = 0; relay->cells && i < EVENTS_STATE_N; i++)
        LIST_FOREACH (key, &relay->keys[i], struct events_key, node)
            events_key_free(key);
    if (relay->sink)
        relay->sink->free(relay->sink);
    mem_free(relay->cells);
    arena_fini(&relay->arena);
    return mem_free(relay);
}
