// SPDX-License-Identifier: Apache-2.0
/* Keys with something to deliver, found by what they are, and listed by what they wait for. */
#include <inttypes.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/mem.h"
#include "shop/events_internal.h"

const char *events_consumer_name(enum ledger_consumer consumer)
{
    return consumer == LEDGER_STREAM ? "stream" : "webhook";
}

const char *events_type_name(enum ledger_event_type type)
{
    switch (type) {
    case LEDGER_EVENT_COUPON_ISSUED:
        return "coupon.issued";
    case LEDGER_EVENT_ORDER_COMPLETED:
        return "order.completed";
    case LEDGER_EVENT_ORDER_CANCELLED:
        return "order.cancelled";
    }
    return "unknown";
}

static const char *kind_name(enum ledger_event_kind kind)
{
    return kind == LEDGER_EVENTS_OF_COUPON ? "coupon" : "user";
}

void events_write_key(char out[EVENTS_ID_BYTES], const struct ledger_event_id *id)
{
    snprintf(out, EVENTS_ID_BYTES, "%s-%" PRId64, kind_name(id->kind), id->key_id);
}

void events_write_id(char out[EVENTS_ID_BYTES], const struct ledger_event_id *id, const char *end)
{
    snprintf(out, EVENTS_ID_BYTES, "%s-%" PRId64 "-%" PRId64 "%s", kind_name(id->kind), id->key_id,
             id->number, end);
}

static struct events_key **cell_of(const struct events_relay *relay, enum ledger_event_kind kind,
                                   int64_t key_id)
{
    return &relay->cells[hash_cell(hash_u64((uint64_t)key_id * 4 + (uint64_t)kind),
                                   EVENTS_KEYS_MAX)];
}

struct events_key *events_key_find(struct events_relay *relay, enum ledger_event_kind kind,
                                   int64_t key_id)
{
    struct events_key *key = *cell_of(relay, kind, key_id);

    while (key && (key->kind != kind || key->key_id != key_id))
        key = key->next;
    return key;
}

static bool is_active(enum events_key_state state)
{
    return state != EVENTS_WAITING && state != EVENTS_ENDING;
}

struct events_key *events_key_add(struct events_relay *relay, enum ledger_event_kind kind,
                                  int64_t key_id)
{
    struct events_key **cell = cell_of(relay, kind, key_id);
    struct events_key *key = relay->key_count < EVENTS_KEYS_MAX ? mem_alloc(sizeof *key) : NULL;

    if (!key)
        return NULL;
    key->relay = relay;
    key->kind = kind;
    key->key_id = key_id;
    key->state = EVENTS_WANTING;
    key->next = *cell;
    *cell = key;
    list_append(&relay->keys[EVENTS_WANTING], &key->node);
    relay->key_count++;
    relay->active++;
    return key;
}

void events_key_set(struct events_key *key, enum events_key_state state)
{
    key->relay->active += (size_t)is_active(state) - (size_t)is_active(key->state);
    key->state = state;
    list_remove(&key->node);
    list_append(&key->relay->keys[state], &key->node);
}

void events_key_drop_rows(struct events_key *key, size_t keep)
{
    for (size_t i = key->row_next + keep; i < key->row_count; i++) {
        key->more = true;
        buf_fini(&key->rows[i].body);
    }
    key->row_count = MIN(key->row_count, key->row_next + keep);
}

void events_key_free(struct events_key *key)
{
    struct events_relay *relay = key->relay;
    struct events_key **at = cell_of(relay, key->kind, key->key_id);

    while (*at != key)
        at = &(*at)->next;
    *at = key->next;
    list_remove(&key->node);
    relay->key_count--;
    relay->active -= is_active(key->state);
    events_key_drop_rows(key, 0);
    mem_free(key);
}

struct events_key *events_key_first(struct events_relay *relay, enum events_key_state state)
{
    struct list *head = &relay->keys[state];

    return list_empty(head) ? NULL : CONTAINER_OF(head->next, struct events_key, node);
}
