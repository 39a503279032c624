// SPDX-License-Identifier: Apache-2.0
#include "base/hash.h"
#include "base/mem.h"
#include "core/witness.h"
#include "ledger/ledger_copy_internal.h"

/* ---- all rows ---- */

static uint64_t hash_value(uint64_t hash, struct str value)
{
    uint64_t word;
    size_t i = 0;

    if (!value.ptr)
        return hash_u64(hash ^ UINT64_MAX);
    hash = hash_u64(hash ^ value.len);
    for (; i + sizeof word <= value.len; i += sizeof word) {
        memcpy(&word, value.ptr + i, sizeof word);
        hash = hash_u64(hash ^ word);
    }
    if (i == value.len)
        return hash;
    word = 0;
    memcpy(&word, value.ptr + i, value.len - i);
    return hash_u64(hash ^ word);
}

static enum err add_row(void *context, const struct pg_tuple *row)
{
    struct copy_sum *sum = context;
    uint64_t hash = 0;

    for (int i = 0; i < row->count; i++)
        hash = hash_value(hash, row->columns[i]);
    sum->rows++;
    sum->hash += hash;
    return ERR_OK;
}

enum err copy_sum(struct copy_side *side, const struct copy_table *table, struct copy_sum *ret_sum)
{
    CLEANUP(buf_fini) struct buf sql = { 0 };

    *ret_sum = (struct copy_sum){ 0 };
    buf_literal(&sql, "SELECT ");
    copy_columns(&sql, table);
    buf_printf(&sql, " FROM %s%c", table->name, 0);
    return buf_ok(&sql) ? side->ops->read(side, table, sql.ptr, add_row, ret_sum) : ERR_NOMEM;
}

/* ---- witnesses ---- */

/* Coupons and their rows come in the order of their ids. */
struct witnesses {
    struct counted {
        int64_t coupon_id;
        struct witness kept, counted;
    } * items;
    size_t count, max, at;
    int64_t stray; /* a row's coupon that is not there */
};

static const struct copy_table coupon_columns = { .column_count = 4,
                                                  .columns = { { .kind = 'i' },
                                                               { .kind = 'i' },
                                                               { .kind = 'i' },
                                                               { .kind = 'i' } } },
                               place_columns = {
                                   .column_count = 3,
                                   .columns = { { .kind = 'i' }, { .kind = 'i' }, { .kind = 'i' } }
                               };

static enum err take_coupon(void *context, const struct pg_tuple *row)
{
    struct witnesses *all = context;

    if (!MEM_ROOM(all->items, all->count, all->max, 256))
        return ERR_NOMEM;
    all->items[all->count++] =
        (struct counted){ .coupon_id = ledger_pg_tuple_int(row, 0),
                          .kept = { .issued = ledger_pg_tuple_int(row, 1),
                                    .highest = ledger_pg_tuple_int(row, 2),
                                    .hash = (uint64_t)ledger_pg_tuple_int(row, 3) } };
    return ERR_OK;
}

static enum err take_place(void *context, const struct pg_tuple *row)
{
    struct witnesses *all = context;
    int64_t coupon_id = ledger_pg_tuple_int(row, 0);

    while (all->at < all->count && all->items[all->at].coupon_id < coupon_id)
        all->at++;
    if (all->at < all->count && all->items[all->at].coupon_id == coupon_id)
        witness_add(&all->items[all->at].counted, ledger_pg_tuple_int(row, 1),
                    ledger_pg_tuple_int(row, 2));
    else if (!all->stray)
        all->stray = coupon_id;
    return ERR_OK;
}

static enum err count(struct copy_side *side, struct witnesses *all)
{
    TRY(side->ops->read(
        side, &coupon_columns,
        "SELECT coupon_id, issued, highest_slot, witness FROM coupons ORDER BY coupon_id",
        take_coupon, all));
    return side->ops->read(side, &place_columns,
                           "SELECT coupon_id, slot, user_id FROM user_coupons"
                           " ORDER BY coupon_id, slot",
                           take_place, all);
}

enum err copy_witnesses(struct copy_side *side, int64_t *ret_coupons, int64_t *ret_coupon_id)
{
    struct witnesses all = { 0 };

    enum err e = count(side, &all);
    *ret_coupons = (int64_t)all.count;
    *ret_coupon_id = all.stray;
    for (size_t i = 0; i < all.count && !*ret_coupon_id; i++)
        if (!witness_equal(&all.items[i].kept, &all.items[i].counted))
            *ret_coupon_id = all.items[i].coupon_id;
    mem_free(all.items);
    return e;
}

/* ---- what the gate remembers ---- */

enum err copy_places_missing(struct copy_side *side, const struct ledger_copy_place *places,
                             size_t count, int64_t *ret_coupon_id)
{
    CLEANUP(buf_fini) struct buf sql = { 0 };
    int64_t rows;

    *ret_coupon_id = 0;
    for (size_t i = 0; i < count && !*ret_coupon_id; i++) {
        buf_reset(&sql);
        buf_printf(&sql,
                   "SELECT count(*) FROM user_coupons WHERE coupon_id = %lld AND user_id = %lld%c",
                   (long long)places[i].coupon_id, (long long)places[i].user_id, 0);
        if (!buf_ok(&sql))
            return ERR_NOMEM;
        TRY(side->ops->ask(side, sql.ptr, &rows));
        if (rows == 0)
            *ret_coupon_id = places[i].coupon_id;
    }
    return ERR_OK;
}
