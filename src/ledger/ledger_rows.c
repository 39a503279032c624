// SPDX-License-Identifier: Apache-2.0
#include "ledger/ledger_rows.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

static enum err index_init(struct ledger_index *index, size_t rows_max)
{
    index->size = 16;
    while (index->size < rows_max * 2 + 2)
        index->size *= 2;
    index->cells = mem_alloc(index->size * sizeof *index->cells);
    return index->cells ? ERR_OK : ERR_NOMEM;
}

enum err ledger_rows_init(struct ledger_rows *rows, size_t batch_max)
{
    *rows = (struct ledger_rows){ .max = batch_max };
    rows->users = mem_alloc(batch_max * sizeof *rows->users);
    rows->coupons = mem_alloc(batch_max * sizeof *rows->coupons);
    rows->charges = mem_alloc(batch_max * sizeof *rows->charges);
    if (!rows->users || !rows->coupons || !rows->charges ||
        index_init(&rows->user_index, batch_max) != ERR_OK ||
        index_init(&rows->coupon_index, batch_max) != ERR_OK ||
        index_init(&rows->charge_index, batch_max) != ERR_OK) {
        ledger_rows_fini(rows);
        return ERR_NOMEM;
    }
    return ERR_OK;
}

static void rows_clear(struct ledger_rows *rows)
{
    for (size_t i = 0; i < rows->charge_count; i++)
        if (rows->charges[i].found)
            buf_fini(&rows->charges[i].answer);
    if (rows->user_count)
        memset(rows->user_index.cells, 0, rows->user_index.size * sizeof(uint32_t));
    if (rows->coupon_count)
        memset(rows->coupon_index.cells, 0, rows->coupon_index.size * sizeof(uint32_t));
    if (rows->charge_count)
        memset(rows->charge_index.cells, 0, rows->charge_index.size * sizeof(uint32_t));
    rows->user_count = rows->coupon_count = rows->charge_count = 0;
    rows->needs_next_coupon_id = rows->needs_next_user_id = false;
}

void ledger_rows_fini(struct ledger_rows *rows)
{
    rows_clear(rows);
    mem_free(rows->users);
    mem_free(rows->coupons);
    mem_free(rows->charges);
    mem_free(rows->user_index.cells);
    mem_free(rows->coupon_index.cells);
    mem_free(rows->charge_index.cells);
    *rows = (struct ledger_rows){ 0 };
}

static uint64_t charge_hash(int64_t user_id, struct str key)
{
    return hash_u64((uint64_t)user_id ^ ((uint64_t)hash_crc32c(0, key.ptr, key.len) << 32));
}

/* The rows that may have `hash`, one a call, each as its number + 1; 0: no more. *step starts at 0.
 */
static uint32_t index_probe(const struct ledger_index *index, uint64_t hash, size_t *step)
{
    return index->cells[(hash + (*step)++) & (index->size - 1)];
}

struct ledger_user_row *ledger_rows_user(struct ledger_rows *rows, int64_t user_id)
{
    uint64_t hash = hash_u64((uint64_t)user_id);
    uint32_t number;

    for (size_t step = 0; (number = index_probe(&rows->user_index, hash, &step));)
        if (rows->users[number - 1].user_id == user_id)
            return &rows->users[number - 1];
    return NULL;
}

struct ledger_coupon_row *ledger_rows_coupon(struct ledger_rows *rows, int64_t coupon_id)
{
    uint64_t hash = hash_u64((uint64_t)coupon_id);
    uint32_t number;

    for (size_t step = 0; (number = index_probe(&rows->coupon_index, hash, &step));)
        if (rows->coupons[number - 1].coupon_id == coupon_id)
            return &rows->coupons[number - 1];
    return NULL;
}

struct ledger_charge_row *ledger_rows_charge(struct ledger_rows *rows, int64_t user_id,
                                             struct str key)
{
    uint64_t hash = charge_hash(user_id, key);
    uint32_t number;

    for (size_t step = 0; (number = index_probe(&rows->charge_index, hash, &step));) {
        struct ledger_charge_row *row = &rows->charges[number - 1];
        if (row->user_id == user_id && str_equal(row->key, key))
            return row;
    }
    return NULL;
}

static void index_add(struct ledger_index *index, uint64_t hash, size_t row_number)
{
    size_t i = hash & (index->size - 1);

    while (index->cells[i] != 0)
        i = (i + 1) & (index->size - 1);
    index->cells[i] = (uint32_t)row_number + 1;
}

static void need_user(struct ledger_rows *rows, int64_t user_id)
{
    if (ledger_rows_user(rows, user_id))
        return;
    ASSERT(rows->user_count < rows->max);
    rows->users[rows->user_count] = (struct ledger_user_row){ .user_id = user_id };
    index_add(&rows->user_index, hash_u64((uint64_t)user_id), rows->user_count++);
}

struct ledger_coupon_row *ledger_rows_add_coupon(struct ledger_rows *rows, int64_t coupon_id)
{
    ASSERT(rows->coupon_count < rows->max);
    struct ledger_coupon_row *row = &rows->coupons[rows->coupon_count];
    *row = (struct ledger_coupon_row){ .coupon_id = coupon_id };
    index_add(&rows->coupon_index, hash_u64((uint64_t)coupon_id), rows->coupon_count++);
    return row;
}

static void need_coupon(struct ledger_rows *rows, int64_t coupon_id)
{
    if (!ledger_rows_coupon(rows, coupon_id))
        ledger_rows_add_coupon(rows, coupon_id);
}

static void need_charge(struct ledger_rows *rows, int64_t user_id, struct str key)
{
    if (ledger_rows_charge(rows, user_id, key))
        return;
    ASSERT(rows->charge_count < rows->max);
    rows->charges[rows->charge_count] =
        (struct ledger_charge_row){ .user_id = user_id, .key = key };
    index_add(&rows->charge_index, charge_hash(user_id, key), rows->charge_count++);
}

void ledger_rows_collect(struct ledger_rows *rows, struct list *batch, int64_t now_ms)
{
    struct ledger_command *command;

    rows_clear(rows);
    rows->now_ms = now_ms;
    LIST_FOREACH (command, batch, struct ledger_command, node) {
        switch (command->op) {
        case LEDGER_PLACE:
            need_coupon(rows, command->place.coupon_id);
            break;
        case LEDGER_CHARGE:
            need_user(rows, command->charge.user_id);
            need_charge(rows, command->charge.user_id, command->key->key);
            break;
        case LEDGER_COUPON_CREATE:
            if (command->coupon_create.coupon->coupon_id)
                need_coupon(rows, command->coupon_create.coupon->coupon_id);
            else
                rows->needs_next_coupon_id = true;
            break;
        case LEDGER_COUPON_CHANGE:
            need_coupon(rows, command->coupon_change.coupon_id);
            break;
        case LEDGER_COUPON_EPOCH:
            need_coupon(rows, command->coupon_epoch.coupon_id);
            break;
        case LEDGER_USERS_CREATE:
            if (!command->users_create.from_user_id)
                rows->needs_next_user_id = true;
            break;
        case LEDGER_CLOCK_SET:
        case LEDGER_LOAD_DATA_SET:
        case LEDGER_FORGET:
        case LEDGER_OP_N:
            break;
        }
    }
}
