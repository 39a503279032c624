// SPDX-License-Identifier: Apache-2.0
/*
 * A batch of new places in one round trip. All that it would load is the rows of its coupons and
 * the next number, and those are what the batch before has left, if nobody else writes them. So it
 * is decided on that, and locks, looks and stores at once: the statements that write compare what
 * they find with what was expected, and a difference makes a NULL, which the column refuses.
 * Nothing is stored then, and the batch is tried again with what it loads.
 *
 * A wrong guess costs a try. So none is made before some loads in a row have found what had been
 * left: where another server is at the same coupons, they do not.
 */
#include "base/assert.h"
#include "ledger/ledger_pg_load.h"
#include "ledger/ledger_pg_store.h"

/* RECALLED_MS: for so long after a load, which is also how the database's clock is seen. */
enum { UNCHANGED_MIN = 5, RECALLED_MS = 1000 };

static struct coupon *find(struct pg_recalled *recalled, int64_t coupon_id)
{
    for (size_t i = 0; i < recalled->count; i++)
        if (recalled->coupons[i].coupon_id == coupon_id)
            return &recalled->coupons[i];
    return NULL;
}

/* What a batch of places decides on. */
static bool is_same(const struct coupon *a, const struct coupon *b)
{
    return a->epoch == b->epoch && a->settings.version == b->settings.version &&
           witness_equal(&a->witness, &b->witness);
}

/* ---- guessing ---- */

/* Granted just now by the gate as it is remembered, and within the quantity. */
static bool is_expected(struct pg_recalled *recalled, const struct ledger_command *command)
{
    const struct ledger_place *place = &command->place;

    if (command->op != LEDGER_PLACE || !place->fresh)
        return false;
    const struct coupon *coupon = find(recalled, place->coupon_id);
    return coupon && (place->epoch == 0 || place->epoch == coupon->epoch) &&
           place->slot <= coupon->settings.total_quantity;
}

static bool may_guess(struct pg_writer *writer)
{
    struct pg_ledger *ledger = writer->ledger;
    struct ledger_command *command;

    if (ledger->recalled.unchanged < UNCHANGED_MIN || ledger->options.writers > 1 ||
        writer->tries > 1 || writer->one_by_one || writer->rows.consumers ||
        loop_now_ms(ledger->loop) - ledger->recalled.loaded_ms >= RECALLED_MS)
        return false;
    LIST_FOREACH (command, &writer->batch, struct ledger_command, node)
        if (!is_expected(&ledger->recalled, command))
            return false;
    return true;
}

bool ledger_pg_recall(struct pg_writer *writer)
{
    struct pg_recalled *recalled = &writer->ledger->recalled;
    struct ledger_rows *rows = &writer->rows;

    writer->recalled = may_guess(writer);
    if (!writer->recalled)
        return false;
    for (size_t i = 0; i < rows->coupons.count; i++) {
        struct ledger_coupon_row *row = rows->coupons.rows[i];
        const struct coupon *left = find(recalled, row->row.key.a);
        ASSERT(left);
        row->row.found = true;
        row->coupon = *left;
    }
    rows->next_user_coupon_id = recalled->next_user_coupon_id;
    if (writer->ledger->options.metrics)
        metrics_add(writer->ledger->options.metrics, METRIC_ledger_recalled, 1);
    return true;
}

void ledger_pg_recall_add(struct pg_writer *writer)
{
    struct pg_trip *trip = &writer->trip;

    ledger_pg_begin_add(writer, PG_STORE_ROWS);
    trip_add(trip, PG_STORE_ROWS,
             "SELECT coupon_id FROM coupons WHERE coupon_id = ANY($1) ORDER BY coupon_id"
             " FOR UPDATE");
    ledger_pg_load_keys(trip, &writer->rows.coupons, "a");
}

void ledger_pg_recall_numbers_add(struct pg_writer *writer)
{
    const struct pg_recalled *recalled = &writer->ledger->recalled;

    trip_add(&writer->trip, PG_STORE_ROWS,
             "UPDATE store SET next_user_coupon_id = CASE WHEN next_user_coupon_id = $2"
             " AND clock_offset_ms = $3 THEN $1 END");
    trip_int(&writer->trip, writer->rows.next_user_coupon_id);
    trip_int(&writer->trip, recalled->next_user_coupon_id);
    trip_int(&writer->trip, recalled->clock_offset_ms);
}

/* ---- what is left ---- */

void ledger_pg_recall_loaded(struct pg_writer *writer, int64_t clock_offset_ms)
{
    struct pg_recalled *recalled = &writer->ledger->recalled;
    const struct ledger_table *coupons = &writer->rows.coupons;

    if (coupons->count == 0)
        return;
    bool same = recalled->next_user_coupon_id == writer->rows.next_user_coupon_id;
    for (size_t i = 0; i < coupons->count && same; i++) {
        const struct ledger_coupon_row *row = coupons->rows[i];
        const struct coupon *left = find(recalled, row->row.key.a);
        same = left && is_same(left, &row->coupon);
    }
    recalled->unchanged = same ? recalled->unchanged + 1 : 0;
    recalled->clock_offset_ms = clock_offset_ms;
    recalled->loaded_ms = loop_now_ms(writer->ledger->loop);
}

void ledger_pg_recall_forget(struct pg_writer *writer)
{
    writer->ledger->recalled = (struct pg_recalled){ 0 };
}

void ledger_pg_recall_stored(struct pg_writer *writer)
{
    struct pg_recalled *recalled = &writer->ledger->recalled;
    const struct ledger_table *coupons = &writer->rows.coupons;

    if (recalled->count + coupons->count > PG_RECALLED_MAX)
        recalled->count = 0;
    for (size_t i = 0; i < coupons->count && i < PG_RECALLED_MAX; i++) {
        const struct ledger_coupon_row *row = coupons->rows[i];
        struct coupon *coupon = find(recalled, row->row.key.a);
        if (!row->row.found)
            continue;
        if (!coupon)
            coupon = &recalled->coupons[recalled->count++];
        *coupon = row->coupon;
    }
    recalled->next_user_coupon_id = writer->rows.next_user_coupon_id;
}
