// SPDX-License-Identifier: Apache-2.0
/*
 * At rest there is no gate to ask: the journal says what was granted and may not be stored. The
 * rows are read twice, first to see which of the journal's entries they have.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/mem.h"
#include "gate/journal.h"
#include "server/prove.h"
#include "server/stores.h"
#include "shop/shop.h"

/* ---- what the journal remembers of this coupon, by user ---- */

struct place {
    int64_t user_id, slot; /* slot 0: released, or stored */
    size_t order;          /* of the record */
};

struct places {
    int64_t coupon_id;
    struct place *items;
    size_t count, cap;
    bool failed; /* no memory */
};

static bool places_take(void *context, const struct journal_record *record)
{
    struct places *places = context;

    if (record->coupon_id != places->coupon_id || places->failed)
        return false;
    places->failed = !MEM_ROOM(places->items, places->count, places->cap, 1024);
    if (places->failed)
        return false;
    int64_t sign = record->kind == JOURNAL_RELEASE ? -1 : 1;
    places->items[places->count] =
        (struct place){ record->user_id, sign * record->slot, places->count };
    places->count++;
    return false;
}

static int by_user(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    if (x->user_id != y->user_id)
        return x->user_id < y->user_id ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

/* The last word on each user: a grant, unless it was released afterwards. */
static void places_settle(struct places *places)
{
    size_t kept = 0;

    if (places->count)
        qsort(places->items, places->count, sizeof *places->items, by_user);
    for (size_t i = 0; i < places->count;) {
        struct place last = { .user_id = places->items[i].user_id };
        for (; i < places->count && places->items[i].user_id == last.user_id; i++) {
            int64_t slot = places->items[i].slot;
            if (slot > 0)
                last.slot = slot;
            else if (last.slot == -slot)
                last.slot = 0;
        }
        if (last.slot > 0)
            places->items[kept++] = last;
    }
    places->count = kept;
}

static int compare_users(const void *key, const void *item)
{
    int64_t user_id = *(const int64_t *)key, other = ((const struct place *)item)->user_id;

    return (user_id > other) - (user_id < other);
}

static void places_stored(struct places *places, int64_t user_id)
{
    struct place *place = places->count ? bsearch(&user_id, places->items, places->count,
                                                  sizeof *places->items, compare_users)
                                        : NULL;

    if (place)
        place->slot = 0;
}

static int by_slot(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* What is left is pending. */
static enum err places_picture(const struct places *places, struct told *told,
                               struct gate_picture *picture)
{
    picture->pending = mem_alloc((places->count + 1) * sizeof *picture->pending);
    if (!picture->pending)
        return ERR_NOMEM;
    for (size_t i = 0; i < places->count; i++) {
        const struct place *place = &places->items[i];
        if (!place->slot)
            continue;
        picture->pending[picture->pending_count++] = place->slot;
        if (told)
            told_show_pending(told, place->slot, place->slot, place->user_id);
    }
    qsort(picture->pending, picture->pending_count, sizeof *picture->pending, by_slot);
    return ERR_OK;
}

/* ---- the rows ---- */

struct row_scan {
    struct ledger_scan scan;
    struct coupon coupon;
    struct places *places;
    struct told *told;
};

static bool note_coupon(struct ledger_scan *scan, const struct coupon *coupon)
{
    CONTAINER_OF(scan, struct row_scan, scan)->coupon = *coupon;
    return true;
}

static bool show_row(struct ledger_scan *scan, const struct ledger_held *row)
{
    struct row_scan *self = CONTAINER_OF(scan, struct row_scan, scan);

    places_stored(self->places, row->user_id);
    if (self->told)
        told_show_row(self->told, row->slot, row->user_id);
    return true;
}

static enum err read_journal(const struct store *store, struct places *places,
                             struct config_error *error)
{
    struct journal_options options = { .directory = store->directory, .read_only = true };
    struct journal_report report;
    struct journal *journal = NULL;

    memcpy(options.database_id, store->stamp.database_id, sizeof options.database_id);
    enum err e = journal_open(&options, places_take, places, &report, &journal);
    journal_close(journal);
    if (places->failed)
        return ERR_NOMEM;
    if (report.damaged)
        verb_fail(VERB_OK,
                  "note: the journal has %zu damaged record(s): reservations of theirs "
                  "that are not stored are lost",
                  report.damaged);
    if (e != ERR_OK && report.problem[0])
        snprintf(error->text, sizeof error->text, "%s", report.problem);
    places_settle(places);
    return e;
}

/* Of numbers that are pending in Redis it is not said here whose they are. */
static void tell_pending(struct prove *prove, const struct gate_picture *picture)
{
    for (size_t i = 0; prove->told && i < picture->pending_count; i++)
        told_show_pending(prove->told, picture->pending[i], picture->pending[i], 0);
}

static enum err make(struct prove *prove, const struct stores *stores, struct places *places)
{
    struct row_scan scan = {
        .scan = { .coupon_id = prove->coupon_id, .begin = note_coupon, .each = show_row },
        .places = places,
        .told = prove->told
    };
    struct shop shop = { .ledger = stores->ledger, .gate = stores->gate };
    char first_lie[TOLD_LIE_BYTES];

    TRY(ledger_scan_rows(stores->ledger, &scan.scan));
    if (stores->gate) /* a picture is taken of gates that are known */
        TRY(gate_adopt(stores->gate, scan.coupon.coupon_id, scan.coupon.epoch,
                       &scan.coupon.settings));
    else
        TRY(places_picture(places, prove->told, &prove->made.before));
    prove->made.coupon_id = prove->coupon_id;
    coupon_proof_run(&shop, &prove->made);
    TRY(prove->made.err);
    if (stores->gate)
        tell_pending(prove, &prove->made.before);
    if (prove->told) {
        int64_t lies = told_lies(prove->told, first_lie);
        proof_told(&prove->made.proof, (int64_t)prove->told->count, lies, first_lie);
    }
    return proof_answer_of(&prove->made.proof, &prove->arena, &prove->answer);
}

static enum err look(struct prove *prove, struct store *store, struct config *config,
                     struct config_error *error)
{
    struct places places = { .coupon_id = prove->coupon_id };
    struct stores stores = { .config = config, .store = store };

    TRY(store_look(store, config, error));
    if (!store->exists) {
        snprintf(error->text, sizeof error->text, "there is no store in %.300s", store->database);
        return ERR_INVALID;
    }
    TRY(store_lock(store, LOCK_TO_READ, error));
    snprintf(error->text, sizeof error->text, "%.300s cannot be read", store->database);
    enum err e = config->redis[0] ? stores_look_at_gate(&stores, error)
                                  : read_journal(store, &places, error);
    if (e == ERR_OK)
        e = store_open_at_rest(store, &stores.ledger);
    if (e == ERR_OK)
        e = make(prove, &stores, &places);
    if (e == ERR_NOT_FOUND)
        snprintf(error->text, sizeof error->text, "%.300s has no coupon %" PRId64, store->database,
                 prove->coupon_id);
    stores_close(&stores);
    mem_free(places.items);
    return e;
}

enum prove_result prove_at_rest(struct prove *prove, struct config *config,
                                struct config_error *ret_error)
{
    struct store store = { .lock = -1 };

    snprintf(ret_error->text, sizeof ret_error->text, "out of memory");
    prove->at_rest = true;
    enum err e = look(prove, &store, config, ret_error);
    store_unlock(&store);
    if (e != ERR_OK)
        return PROVE_COULD_NOT_LOOK;
    return prove->answer.ok ? PROVE_PROVED : PROVE_BROKEN;
}
