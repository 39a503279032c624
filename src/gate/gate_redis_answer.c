// SPDX-License-Identifier: Apache-2.0
/*
 * What a call brought back. A grant that may not be told, because the lease is over, or the gate is
 * closing here, or is of another epoch, is handed over to be stored all the same. What is not known
 * is asked again with the same token.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "gate/gate_redis_internal.h"

/* BLIP_MS: since the last answer. For so long a Redis that cannot be reached is waited for. */
enum { AGAIN_MS = 20, BLIP_MS = 1000, SETTLED_TRIES = 3, SETTLED_KEPT_MAX = 65536 };

void ask_end(struct gate_ask *ask, enum gate_outcome outcome)
{
    ask->outcome = outcome;
    ask->done(ask);
}

/* ---- an answer's words ---- */

struct words {
    const char *at;
    bool broken;
};

struct word {
    char code; /* 0: a number only */
    int64_t number, second;
};

static struct word next_word(struct words *words)
{
    struct word word = { 0 };
    char *end;

    while (*words->at == ' ')
        words->at++;
    if (*words->at >= 'A')
        word.code = *words->at++;
    else if (*words->at == '\0')
        words->broken = true;
    if (*words->at == ' ' || *words->at == '\0')
        return word; /* strtoll() would take the number behind the space */
    word.number = strtoll(words->at, &end, 10);
    if (*end == ',')
        word.second = strtoll(end + 1, &end, 10);
    words->broken = words->broken || (*end != ' ' && *end != '\0');
    words->at = end;
    return word;
}

/* ---- asks ---- */

struct telling {
    struct lane *lane;
    struct drop_news news;
    bool reservations; /* may be told */
    bool over;         /* somebody heard: sold out for good */
};

static void tell_place(const struct telling *telling, struct gate_ask *ask, const struct word *word,
                       enum gate_outcome outcome)
{
    ask->slot = word->number;
    ask->epoch = telling->news.epoch;
    if (ask->purpose == GATE_RESERVE && (outcome == GATE_GRANTED || ask->pending) &&
        !telling->reservations) {
        ask->store = true;
        outcome = GATE_CLOSED;
    }
    ask_end(ask, outcome);
}

/* A code of the library that this program does not know would be a bug of the two. */
static enum gate_outcome refusal_of(char code)
{
    switch (code) {
    case 'b':
        return GATE_NOT_STARTED;
    case 'x':
        return GATE_EXPIRED;
    case 'e':
        return GATE_ENDED;
    case 's':
    case 'S':
        return GATE_SOLD_OUT;
    case 'c':
        return GATE_CLOSED;
    default:
        return GATE_UNKNOWN;
    }
}

static void tell(struct telling *telling, struct gate_ask *ask, const struct word *word)
{
    enum gate_outcome outcome = refusal_of(word->code);

    ask->pending = word->code == 'p';
    ask->for_good = word->code == 'S';
    ask->store = false;
    telling->over = telling->over || ask->for_good;
    if (word->code == 'g') {
        ask->remaining = word->second;
        tell_place(telling, ask, word, GATE_GRANTED);
    } else if (word->code == 'p' || word->code == 'a') {
        tell_place(telling, ask, word, GATE_ALREADY);
    } else {
        /* An earlier try may have made an entry in a gate that is closed by now. */
        bool maybe = outcome == GATE_CLOSED && ask->tries > 0;
        ask_end(ask, maybe ? GATE_UNKNOWN : outcome);
    }
}

/* ---- moves, sweeps ---- */

static void move_tell(struct telling *telling, struct gate_move *move, const struct word *word)
{
    int64_t from = move->entry.slot;

    move->pending = word->code == 'g' || word->code == 'p';
    if (word->number)
        move->entry.slot = word->number;
    if (telling->news.epoch)
        move->entry.epoch = telling->news.epoch;
    move->outcome = word->code == 'g'                        ? GATE_GRANTED
                    : word->code == 'a' || word->code == 'p' ? GATE_ALREADY
                                                             : refusal_of(word->code);
    if (move->outcome != GATE_CLOSED)
        LOG(LOG_ERROR, move->offer ? "place of an older epoch" : "place moved",
            LOG_INT("coupon", move->entry.coupon_id), LOG_INT("user", move->entry.user_id),
            LOG_INT("from", from), LOG_INT("to", word->number));
    move->done(move);
}

static void moves_tell(struct telling *telling, struct words *words, bool offers)
{
    struct list *sent = &telling->lane->sent.moves, later;

    list_init(&later);
    while (!list_empty(sent)) {
        struct gate_move *move = CONTAINER_OF(sent->next, struct gate_move, node);
        list_remove(&move->node);
        if (move->offer != offers) {
            list_append(&later, &move->node);
            continue;
        }
        struct word word = next_word(words);
        move_tell(telling, move, &word);
    }
    list_splice(sent, &later);
}

static void sweep_tell(struct telling *telling, struct words *words)
{
    struct lane *lane = telling->lane;

    if (list_empty(&lane->sent.sweeps))
        return;
    struct gate_sweep *sweep = CONTAINER_OF(lane->sent.sweeps.next, struct gate_sweep, node);
    list_remove(&sweep->node);
    int64_t found = next_word(words).number;
    for (int64_t i = 0; i < found && sweep->count < sweep->room; i++) {
        struct word word = next_word(words); /* user,slot */
        if (words->broken || word.second == 0)
            continue;
        sweep->entries[sweep->count++] = (struct gate_entry){ .coupon_id = lane->coupon_id,
                                                              .user_id = word.number,
                                                              .slot = word.second,
                                                              .token = lane->sweep_token,
                                                              .epoch = telling->news.epoch };
    }
    if (sweep->coupon_id &&
        (telling->news.store == GATE_STORE_LOST || telling->news.store == GATE_STORE_MISSING))
        sweep->err = ERR_CORRUPT;
    sweep_next(lane->client, sweep);
}

/* ---- the whole of it ---- */

static void refreshes_end(struct lane *lane, enum err e)
{
    size_t count = lane->sent.refreshes.count;

    lane->sent.refreshes.count = 0;
    for (size_t i = 0; i < count; i++)
        refresh_part_done(lane->sent.refreshes.items[i], e);
}

/* Brings the view up to date; what may be told is decided by it. */
static void look(struct telling *telling)
{
    struct redis_drop *drop = telling->lane->drop;
    struct redis_gate *gate = redis_gate_self(telling->lane->client->base.gate);
    bool has_lease = redis_gate_has_lease(gate);

    pthread_mutex_lock(&drop->lock);
    redis_drop_seen(drop, &telling->news);
    drop->seen_boot_ms = MAX(drop->seen_boot_ms, telling->lane->sent_boot_ms);
    drop->seen_wall_ms = telling->lane->sent_wall_ms;
    telling->reservations =
        has_lease && drop->known && !drop->closed_here && drop->epoch == telling->news.epoch;
    pthread_mutex_unlock(&drop->lock);
}

static void oldest_tell(struct lane *lane, struct words *words)
{
    if (lane->sent.refreshes.count == 0)
        return;
    uint64_t oldest_ms = (uint64_t)next_word(words).number;
    pthread_mutex_lock(&lane->drop->lock);
    lane->drop->oldest_ms = oldest_ms;
    lane->drop->oldest_boot_ms = lane->sent_boot_ms;
    pthread_mutex_unlock(&lane->drop->lock);
}

void lane_answered(struct lane *lane, const redisReply *reply)
{
    struct redis_gate *gate = redis_gate_self(lane->client->base.gate);
    struct words words = { .at = reply->str ? reply->str : "" };
    struct telling telling = { .lane = lane };

    if (reply->type != REDIS_REPLY_STRING || !redis_news_parse(&words.at, &telling.news)) {
        LOG(LOG_ERROR, "gate in Redis answers in words unknown",
            LOG_INT("coupon", lane->coupon_id));
        lane_failed(lane, ERR_UNCERTAIN);
        return;
    }
    lane->failures = 0;
    lane->answered_ms = loop_now_ms(lane->client->loop);
    lane->sent.confirms.count = lane->sent.releases.count = 0;
    look(&telling);
    atomic_fetch_add_explicit(&gate->released, (uint64_t)next_word(&words).number,
                              memory_order_relaxed);
    moves_tell(&telling, &words, false);
    moves_tell(&telling, &words, true);
    while (!list_empty(&lane->sent.asks)) {
        struct gate_ask *ask = CONTAINER_OF(lane->sent.asks.next, struct gate_ask, node);
        struct word word = next_word(&words);
        list_remove(&ask->node);
        tell(&telling, ask, &word);
    }
    sweep_tell(&telling, &words);
    oldest_tell(lane, &words);
    refreshes_end(lane, ERR_OK);
    if (words.broken)
        LOG(LOG_ERROR, "gate in Redis answers too little", LOG_INT("coupon", lane->coupon_id));
    if (telling.over)
        over_read(lane->client, lane->drop, &telling.news);
}

/* ---- no answer ---- */

static void asks_failed(struct lane *lane, enum err e, bool unknown, uint64_t now_ms)
{
    struct redis_gate *gate = redis_gate_self(lane->client->base.gate);
    bool is_blip =
        e == ERR_UNAVAILABLE && lane->answered_ms && now_ms - lane->answered_ms < BLIP_MS;
    struct list again;

    list_init(&again);
    while (!list_empty(&lane->sent.asks)) {
        struct gate_ask *ask = CONTAINER_OF(lane->sent.asks.next, struct gate_ask, node);
        list_remove(&ask->node);
        ask->tries += unknown;
        bool is_late = now_ms >= ask->deadline_ms;
        if (ask->tries == 0 && (!is_blip || is_late)) {
            ask_end(ask, GATE_CLOSED);
        } else if (is_late) {
            atomic_fetch_add_explicit(&gate->unknown, 1, memory_order_relaxed);
            ask_end(ask, GATE_UNKNOWN);
        } else {
            list_append(&again, &ask->node);
        }
    }
    list_splice(&again, &lane->waiting.asks); /* before those that came later */
    list_splice(&lane->waiting.asks, &again);
}

static void moves_failed(struct lane *lane, uint64_t now_ms)
{
    struct list again;

    list_init(&again);
    while (!list_empty(&lane->sent.moves)) {
        struct gate_move *move = CONTAINER_OF(lane->sent.moves.next, struct gate_move, node);
        list_remove(&move->node);
        if (now_ms < move->deadline_ms) {
            list_append(&again, &move->node);
        } else {
            move->outcome = GATE_UNKNOWN;
            move->done(move);
        }
    }
    list_splice(&lane->waiting.moves, &again);
}

/* What is lost here stays pending: the sweeper has it stored again, and confirmed. */
static void settled_failed(struct lane *lane, struct settled_list *sent,
                           struct settled_list *waiting)
{
    if (lane->failures < SETTLED_TRIES && waiting->count < SETTLED_KEPT_MAX)
        for (size_t i = 0; i < sent->count; i++)
            if (settled_put(waiting, &sent->items[i]) != ERR_OK)
                break;
    sent->count = 0;
}

void lane_failed(struct lane *lane, enum err e)
{
    bool unknown = e != ERR_UNAVAILABLE && e != ERR_NOMEM && e != ERR_INVALID;
    uint64_t now_ms = loop_now_ms(lane->client->loop);

    lane->failures++;
    pthread_mutex_lock(&lane->drop->lock);
    lane->drop->seen.store = GATE_STORE_AWAY;
    pthread_mutex_unlock(&lane->drop->lock);
    settled_failed(lane, &lane->sent.confirms, &lane->waiting.confirms);
    settled_failed(lane, &lane->sent.releases, &lane->waiting.releases);
    asks_failed(lane, e, unknown, now_ms);
    moves_failed(lane, now_ms);
    if (!list_empty(&lane->sent.sweeps)) {
        struct gate_sweep *sweep = CONTAINER_OF(lane->sent.sweeps.next, struct gate_sweep, node);
        list_remove(&sweep->node);
        sweep->err = ERR_UNAVAILABLE;
        sweep_next(lane->client, sweep);
    }
    refreshes_end(lane, ERR_UNAVAILABLE);
    if (!lane_work_is_empty(&lane->waiting))
        err_ignore(loop_timer_start(lane->client->loop, &lane->again, AGAIN_MS),
                   "then it is tried again at once");
}
