// SPDX-License-Identifier: Apache-2.0
/* What this server knows of a coupon's gate: from SQL its epoch and settings, from Redis how it
 * stands there. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "gate/gate_redis_internal.h"

/* ---- what an answer says ---- */

static enum gate_store store_of(const char *word, size_t n)
{
    static const struct {
        const char *word;
        enum gate_store store;
    } words[] = { { "open", GATE_STORE_OPEN },
                  { "sealed", GATE_STORE_SEALED },
                  { "building", GATE_STORE_BUILDING },
                  { "missing", GATE_STORE_MISSING },
                  { "lost", GATE_STORE_LOST } };

    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        if (strlen(words[i].word) == n && memcmp(words[i].word, word, n) == 0)
            return words[i].store;
    return GATE_STORE_UNASKED;
}

bool redis_news_parse(const char **text, struct drop_news *news)
{
    const char *at = *text;
    size_t n = strcspn(at, " ");
    int64_t *numbers[] = { &news->epoch, &news->version, &news->quantity, &news->next,
                           &news->held,  &news->pending, &news->returned, &news->changes };

    news->store = store_of(at, n);
    if (news->store == GATE_STORE_UNASKED)
        return false;
    at += n;
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        char *end;
        *numbers[i] = strtoll(at, &end, 10);
        if (end == at)
            return false;
        at = end;
    }
    *text = at;
    return true;
}

/* Over all lives of the gate. */
uint64_t redis_news_changes(const struct drop_news *news)
{
    return ((uint64_t)news->epoch << 40) + (uint64_t)news->changes;
}

/* ---- with the lock held ---- */

void redis_drop_forget_over(struct redis_drop *drop)
{
    drop->over = false;
    id_set_fini(&drop->holders);
}

/* Nothing left, nothing pending, nothing returned. */
bool redis_news_is_over(const struct drop_news *news)
{
    return news->store == GATE_STORE_OPEN && news->next > news->quantity && news->pending == 0 &&
           news->returned == 0;
}

void redis_drop_seen(struct redis_drop *drop, const struct drop_news *news)
{
    /* Answers to several loops come in any order: an older one of the same life says nothing. */
    bool older = news->store == drop->seen.store && news->epoch == drop->seen.epoch &&
                 news->changes < drop->seen.changes;

    if (older)
        return;
    if (news->store != drop->seen.store && drop->seen.store != GATE_STORE_UNASKED)
        LOG(news->store == GATE_STORE_LOST ? LOG_ERROR : LOG_INFO, "gate in Redis",
            LOG_INT("coupon", drop->coupon_id), LOG_INT("epoch", news->epoch),
            LOG_CSTR("state", redis_store_name(news->store)));
    drop->seen = *news;
    if (news->store == GATE_STORE_OPEN || news->store == GATE_STORE_SEALED)
        drop->counts = *news;
    drop->store_epoch = MAX(drop->store_epoch, news->epoch);
    if (drop->over && (news->epoch != drop->over_epoch || news->version != drop->over_version ||
                       !redis_news_is_over(news)))
        redis_drop_forget_over(drop);
}

const char *redis_store_name(enum gate_store store)
{
    switch (store) {
    case GATE_STORE_UNASKED:
        return "not asked";
    case GATE_STORE_AWAY:
        return "away";
    case GATE_STORE_MISSING:
        return "missing";
    case GATE_STORE_BUILDING:
        return "building";
    case GATE_STORE_SEALED:
        return "sealed";
    case GATE_STORE_LOST:
        return "lost";
    case GATE_STORE_OPEN:
        break;
    }
    return "open";
}

void redis_drop_renew(struct redis_drop *drop, int64_t epoch,
                      const struct coupon_settings *settings)
{
    drop->known = true;
    drop->closed_here = false;
    drop->epoch = epoch;
    drop->settings = *settings;
    redis_drop_forget_over(drop);
}

bool redis_drop_is_open(const struct redis_drop *drop)
{
    return drop->known && !drop->closed_here && drop->seen.store == GATE_STORE_OPEN &&
           drop->seen.epoch == drop->epoch;
}

bool redis_drop_is_over_for(struct redis_gate *gate, struct redis_drop *drop, int64_t user_id)
{
    return drop->over && drop->over_epoch == drop->epoch &&
           drop->over_version == drop->settings.version &&
           clock_wall_ms() < drop->settings.ends_at_ms && redis_gate_has_lease(gate) &&
           clock_boot_ms() - drop->seen_boot_ms < OVER_LOOKED_MS &&
           !id_set_has(&drop->holders, user_id);
}

/* ---- gate.h ---- */

enum err gate_redis_set(struct gate *gate, int64_t coupon_id,
                        const struct coupon_settings *settings)
{
    struct redis_drop *drop = redis_drop_find(redis_gate_self(gate), coupon_id);

    if (!drop)
        return ERR_NOT_FOUND;
    pthread_mutex_lock(&drop->lock);
    bool known = drop->known;
    if (known && settings->version > drop->settings.version)
        drop->settings = *settings;
    pthread_mutex_unlock(&drop->lock);
    return known ? ERR_OK : ERR_NOT_FOUND;
}

static void closed_set(struct gate *gate, int64_t coupon_id, bool closed)
{
    struct redis_drop *drop = redis_drop_find(redis_gate_self(gate), coupon_id);

    if (!drop)
        return;
    pthread_mutex_lock(&drop->lock);
    drop->closed_here = closed;
    pthread_mutex_unlock(&drop->lock);
}

void gate_redis_close(struct gate *gate, int64_t coupon_id)
{
    closed_set(gate, coupon_id, true);
}

void gate_redis_reopen(struct gate *gate, int64_t coupon_id)
{
    closed_set(gate, coupon_id, false);
}

enum err gate_redis_adopt(struct gate *gate, int64_t coupon_id, int64_t epoch,
                          const struct coupon_settings *settings)
{
    struct redis_drop *drop = redis_drop_get(redis_gate_self(gate), coupon_id);

    if (!drop)
        return ERR_NOMEM;
    pthread_mutex_lock(&drop->lock);
    if (!drop->known || epoch > drop->epoch)
        redis_drop_renew(drop, epoch, settings);
    else if (settings->version > drop->settings.version)
        drop->settings = *settings;
    pthread_mutex_unlock(&drop->lock);
    return ERR_OK;
}

/* Places left, by the newest settings that are known here: a gate that has ended and is gone from
 * Redis is told of no new ones. */
static int64_t remaining_of(const struct redis_drop *drop)
{
    const struct drop_news *counts = &drop->counts;
    bool newer = drop->known && drop->settings.version > counts->version;
    int64_t quantity = newer ? drop->settings.total_quantity : counts->quantity;

    return MAX(quantity - counts->next + 1, 0) + counts->returned;
}

static struct gate_status status_of(const struct redis_gate *gate, const struct redis_drop *drop)
{
    const struct drop_news *seen = &drop->seen, *counts = &drop->counts;

    return (struct gate_status){
        .known = drop->known,
        .open =
            redis_drop_is_open(drop) && !atomic_load_explicit(&gate->fault, memory_order_relaxed),
        .closed_here = drop->closed_here,
        .store = seen->store,
        .granted = seen->held,
        .pending = seen->pending,
        .returned = seen->returned,
        .counted = counts->store != GATE_STORE_UNASKED,
        .remaining = remaining_of(drop),
        .stored = counts->held - counts->pending,
        .seen_at_ms = drop->seen_wall_ms,
        .epoch = drop->epoch,
        .store_epoch = drop->store_epoch,
        .settings_version = seen->version,
        .changes = redis_news_changes(seen),
    };
}

struct gate_status gate_redis_status(struct gate *base, int64_t coupon_id)
{
    struct redis_gate *gate = redis_gate_self(base);
    struct redis_drop *drop = redis_drop_find(gate, coupon_id);

    if (!drop)
        return (struct gate_status){ 0 };
    pthread_mutex_lock(&drop->lock);
    struct gate_status status = status_of(gate, drop);
    pthread_mutex_unlock(&drop->lock);
    return status;
}

uint64_t gate_redis_oldest_pending_ms(struct gate *gate, int64_t coupon_id)
{
    struct redis_drop *drop = redis_drop_find(redis_gate_self(gate), coupon_id);
    uint64_t oldest_ms = 0;

    if (!drop)
        return 0;
    pthread_mutex_lock(&drop->lock);
    if (drop->seen.pending && drop->oldest_ms)
        oldest_ms = drop->oldest_ms + (clock_boot_ms() - drop->oldest_boot_ms);
    pthread_mutex_unlock(&drop->lock);
    return oldest_ms;
}
