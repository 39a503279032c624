// SPDX-License-Identifier: Apache-2.0
/* Events that were given up: the list, try again, never again. */
#include "api/admin.h"
#include "api/api_json.h"
#include "base/log.h"

/* ---- JSON ---- */

static const struct json_row dead_event_answer_rows[] = {
    JSON_INT64(dead_event_answer, id, "id", 1, INT64_MAX, "What `replay` and `skip` name.", "3",
               JSON_REQUIRED),
    JSON_STR(dead_event_answer, consumer, "consumer", 1, 20, "webhook or stream.", "webhook",
             JSON_REQUIRED),
    JSON_STR(dead_event_answer, event_id, "eventId", 1, EVENTS_ID_BYTES, "The event's own id.",
             "coupon-7-12-1a2b3c4d", JSON_REQUIRED),
    JSON_STR(dead_event_answer, type, "type", 1, 40, "What occurred.", "coupon.issued",
             JSON_REQUIRED),
    JSON_STR(dead_event_answer, key, "key", 1, EVENTS_ID_BYTES,
             "What it holds back: later events of this key wait.", "coupon-7", JSON_REQUIRED),
    JSON_INT64(dead_event_answer, number, "number", 1, INT64_MAX, "Of the key.", "12",
               JSON_REQUIRED),
    JSON_INT64(dead_event_answer, tries, "tries", 0, INT64_MAX, "How often it was sent.", "50",
               JSON_REQUIRED),
    JSON_STR(dead_event_answer, why, "why", 0, LEDGER_DEAD_WHY_BYTES, "What came of the last try.",
             "answered 500", JSON_REQUIRED),
    JSON_TIME(dead_event_answer, occurred_at_ms, "occurredAt", "When it occurred.", EXAMPLE_TIME,
              JSON_REQUIRED),
    JSON_TIME(dead_event_answer, died_at_ms, "diedAt", "When it was given up.", EXAMPLE_TIME,
              JSON_REQUIRED),
};
const JSON_ANSWER(dead_event_answer, "DeadEvent", "An event that was given up.");

static const struct json_row dead_events_answer_rows[] = {
    JSON_ARRAY(dead_events_answer, events, "events", dead_event_answer, 0, 100, "Oldest first.",
               JSON_REQUIRED),
    JSON_INT64(dead_events_answer, total_count, "totalCount", 0, INT64_MAX, "All of them.", "1",
               JSON_REQUIRED),
    JSON_STR(dead_events_answer, next_cursor, "nextCursor", 1, 100, "Null at the end.", "c-3",
             JSON_NULLABLE(dead_events_answer, next_cursor)),
};
const JSON_ANSWER(dead_events_answer, "DeadEventList", "A page of the events that were given up.");

struct dead_texts {
    char event_id[EVENTS_ID_BYTES], key[EVENTS_ID_BYTES];
};

static struct dead_event_answer
answer_of(const struct shop *shop, const struct ledger_dead_event *dead, struct dead_texts *texts)
{
    events_write_id(texts->event_id, &dead->row.id, shop->gateway_key_end);
    events_write_key(texts->key, &dead->row.id);
    return (struct dead_event_answer){
        .id = dead->dead_id,
        .consumer = str_from(events_consumer_name(dead->consumer)),
        .event_id = str_from(texts->event_id),
        .type = str_from(events_type_name(dead->row.type)),
        .key = str_from(texts->key),
        .number = dead->row.id.number,
        .tries = dead->tries,
        .why = dead->why,
        .occurred_at_ms = dead->row.occurred_at_ms,
        .died_at_ms = dead->died_at_ms,
    };
}

/* ---- the list ---- */

struct dead_call {
    struct api_call *call;
    struct ledger_read read;
};

static void dead_read(struct ledger_read *read)
{
    struct dead_call *self = CONTAINER_OF(read, struct dead_call, read);
    struct api_call *call = self->call;
    const struct ledger_events_read *events = &read->events;
    struct dead_events_answer answer = { .total_count = events->dead_total,
                                         .next_cursor_is = JSON_NULLED };
    char cursor[API_CURSOR_BYTES];

    if (read->err != ERR_OK) {
        api_store_problem(call, read->err);
        return;
    }
    struct dead_texts *texts = api_alloc(call, (events->dead_count + 1) * sizeof *texts);
    answer.events =
        texts ? api_alloc(call, (events->dead_count + 1) * sizeof *answer.events) : NULL;
    if (!answer.events)
        return;
    for (size_t i = 0; i < events->dead_count; i++)
        answer.events[answer.events_count++] =
            answer_of(call->loop->shop->shop, &events->dead[i], &texts[i]);
    if (read->more) {
        answer.next_cursor_is = JSON_GIVEN;
        answer.next_cursor = api_cursor(events->dead[events->dead_count - 1].dead_id, cursor);
    }
    api_answer(call, 200, &dead_events_answer_json, &answer);
}

void admin_events_dead(struct api_call *call)
{
    const struct page_query *query = call->query;
    struct dead_call *self;
    int64_t after = 0;

    if (!api_page_after(call, query, &after))
        return;
    self = api_alloc(call, sizeof *self);
    if (!self)
        return;
    self->call = call;
    self->read = (struct ledger_read){ .done = dead_read,
                                       .op = LEDGER_READ_EVENTS_DEAD,
                                       .arena = &call->http->arena,
                                       .after = after,
                                       .limit = api_page_limit(query) };
    ledger_read(call->loop->shop->ledger, &self->read);
}

/* ---- what becomes of one ---- */

struct revive_call {
    struct api_call *call;
    struct shop_command command;
};

static void revive_done(struct shop_command *command)
{
    struct revive_call *self = CONTAINER_OF(command, struct revive_call, command);
    struct ledger_event_revive *revive = &command->ledger.event_revive;
    struct api_call *call = self->call;
    struct dead_texts texts;

    if (command->ledger.err != ERR_OK) {
        api_store_problem(call, command->ledger.err);
        return;
    }
    if (!revive->found) {
        api_problem(call, PROBLEM_NOT_FOUND, "there is no such event, or it is dead no more");
        return;
    }
    revive->event.why = STR("");
    struct dead_event_answer answer = answer_of(call->loop->shop->shop, &revive->event, &texts);
    LOG(LOG_INFO, revive->skip ? "dead event skipped" : "dead event replayed",
        LOG_STR("request", call->http->request_id), LOG_CSTR("event", texts.event_id),
        API_LOG_BY(call));
    api_answer(call, 200, &dead_event_answer_json, &answer);
}

static void revive(struct api_call *call, bool skip)
{
    struct revive_call *self = api_alloc(call, sizeof *self);

    if (!self)
        return;
    self->call = call;
    self->command.done = revive_done;
    self->command.ledger.op = LEDGER_EVENT_REVIVE;
    self->command.ledger.event_revive =
        (struct ledger_event_revive){ .dead_id = call->ids[0], .skip = skip };
    shop_command(call->loop->shop, &self->command);
}

void admin_events_replay(struct api_call *call)
{
    revive(call, false);
}

void admin_events_skip(struct api_call *call)
{
    revive(call, true);
}
