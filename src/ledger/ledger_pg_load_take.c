// SPDX-License-Identifier: Apache-2.0
/* What came of a load's statements: into the rows of the batch. */
#include "base/clock.h"
#include "ledger/ledger_pg_load.h"

void *ledger_pg_load_row(struct ledger_rows *rows, struct ledger_table *table, int64_t a, int64_t b,
                         struct str text)
{
    struct ledger_row_key key = { .a = a, .b = b, .text = text };
    struct ledger_row *row = ledger_table_find(table, &key);

    if (!row) {
        key.text = text.ptr ? arena_copy(&rows->arena, text) : STR_NONE;
        row = text.ptr && !key.text.ptr ? NULL : ledger_table_need(table, &rows->arena, &key);
    }
    if (row)
        row->found = true;
    return row;
}

static enum err take_user(struct ledger_rows *rows, const PGresult *result, int i)
{
    struct ledger_user_row *row =
        ledger_pg_load_row(rows, &rows->users, trip_get(result, i, 0), 0, STR_NONE);

    if (!row)
        return ERR_NOMEM;
    row->balance = trip_get(result, i, 1);
    row->held = trip_get(result, i, 2);
    row->incoming = trip_get(result, i, 3);
    for (int status = 0; status < ORDER_STATUS_N; status++)
        row->orders[status] = trip_get(result, i, 4 + status);
    row->has_cart = trip_get(result, i, 7) != 0;
    row->events = trip_get(result, i, 8);
    return ERR_OK;
}

void ledger_pg_coupon(const PGresult *result, int row, struct coupon *ret_coupon)
{
    *ret_coupon = (struct coupon){
        .coupon_id = trip_get(result, row, 0),
        .discount_rate = trip_get(result, row, 2),
        .uses_per_user = trip_get(result, row, 3),
        .settings = { .total_quantity = trip_get(result, row, 4),
                      .starts_at_ms = trip_get(result, row, 5),
                      .ends_at_ms = trip_get(result, row, 6),
                      .closed = trip_get(result, row, 7) != 0,
                      .version = trip_get(result, row, 8) },
        .epoch = trip_get(result, row, 9),
        .closing = trip_get(result, row, 13) != 0,
        .witness = { .issued = trip_get(result, row, 10),
                     .highest = trip_get(result, row, 11),
                     .hash = (uint64_t)trip_get(result, row, 12) },
    };
    str_cstr(trip_get_text(result, row, 1), ret_coupon->name, sizeof ret_coupon->name);
}

static enum err take_coupon(struct ledger_rows *rows, const PGresult *result, int i)
{
    struct ledger_coupon_row *row =
        ledger_pg_load_row(rows, &rows->coupons, trip_get(result, i, 0), 0, STR_NONE);

    if (!row)
        return ERR_NOMEM;
    ledger_pg_coupon(result, i, &row->coupon);
    return ERR_OK;
}

static enum err take_cart(struct ledger_rows *rows, const PGresult *result, int i)
{
    struct ledger_cart_row *row =
        ledger_pg_load_row(rows, &rows->carts, trip_get(result, i, 0), 0, STR_NONE);

    if (!row)
        return ERR_NOMEM;
    row->line_count = trip_get(result, i, 1);
    row->line_max = trip_get(result, i, 2);
    return ERR_OK;
}

static enum err take_cart_line(struct ledger_rows *rows, const PGresult *result, int i)
{
    struct ledger_cart_line_row *row = ledger_pg_load_row(
        rows, &rows->cart_lines, trip_get(result, i, 0), trip_get(result, i, 1), STR_NONE);

    if (!row)
        return ERR_NOMEM;
    row->quantity = trip_get(result, i, 2);
    row->line = trip_get(result, i, 3);
    return ERR_OK;
}

enum err ledger_pg_product(struct arena *arena, const PGresult *result, int row, int column,
                           struct ledger_product *ret_product)
{
    *ret_product = (struct ledger_product){
        .product_id = trip_get(result, row, column),
        .price = trip_get(result, row, column + 4),
        .stock = trip_get(result, row, column + 5),
        .held = trip_get(result, row, column + 6),
        .created_at_ms = trip_get(result, row, column + 7),
        .category_version = trip_get(result, row, column + 8),
    };
    TRY(trip_copy_text(arena, result, row, column + 1, &ret_product->name));
    TRY(trip_copy_text(arena, result, row, column + 2, &ret_product->description));
    return trip_copy_text(arena, result, row, column + 3, &ret_product->category);
}

/* A row that was only looked at and then locked comes twice: the later one counts. */
static enum err take_product(struct ledger_rows *rows, const PGresult *result, int i)
{
    struct ledger_product_row *row =
        ledger_pg_load_row(rows, &rows->products, trip_get(result, i, 0), 0, STR_NONE);

    if (!row)
        return ERR_NOMEM;
    TRY(ledger_pg_product(&rows->arena, result, i, 0, &row->product));
    row->category_before = row->product.category;
    return ERR_OK;
}

static enum err take_sale(struct ledger_rows *rows, const PGresult *result, int i)
{
    struct ledger_sale_row *row = ledger_pg_load_row(rows, &rows->sales, trip_get(result, i, 0),
                                                     trip_get(result, i, 1), STR_NONE);

    if (!row)
        return ERR_NOMEM;
    row->sale.day = row->row.key.a;
    row->sale.sum = (struct sales_sum){ .product_id = row->row.key.b,
                                        .units = trip_get(result, i, 2),
                                        .revenue = trip_get(result, i, 3),
                                        .reached_ms = trip_get(result, i, 4) };
    row->sale.version = trip_get(result, i, 5);
    return ERR_OK;
}

/* The store's test clock is that of all its servers. */
static void take_clock(struct pg_writer *writer, int64_t offset_ms, int64_t database_ms)
{
    struct pg_ledger *ledger = writer->ledger;

    if (ledger->options.test_clock && offset_ms != ledger->seen_offset_ms) {
        ledger->seen_offset_ms = offset_ms;
        clock_set_offset_ms(offset_ms);
    }
    writer->rows.now_ms = database_ms + clock_offset_ms();
    ledger->ahead_ms = writer->rows.now_ms - clock_wall_ms();
}

static enum err take_store(struct pg_writer *writer, const PGresult *result)
{
    struct ledger_rows *rows = &writer->rows;

    if (PQntuples(result) != 1)
        return ERR_CORRUPT;
    rows->next_user_coupon_id = trip_get(result, 0, 0);
    rows->next_order_id = trip_get(result, 0, 1);
    rows->next_charge_id = trip_get(result, 0, 2);
    rows->product_count = trip_get(result, 0, 3);
    take_clock(writer, trip_get(result, 0, 4), trip_get(result, 0, 5));
    ledger_pg_recall_loaded(writer, trip_get(result, 0, 4));
    return ERR_OK;
}

static enum err take_each(struct ledger_rows *rows, const PGresult *result,
                          enum err (*take)(struct ledger_rows *rows, const PGresult *result, int i))
{
    for (int i = 0; i < PQntuples(result); i++)
        TRY(take(rows, result, i));
    return ERR_OK;
}

static enum err take_result(struct pg_writer *writer, enum pg_load tag, const PGresult *result)
{
    struct ledger_rows *rows = &writer->rows;

    switch (tag) {
    case PG_LOAD_NOTHING:
        return ERR_OK;
    case PG_LOAD_USERS:
        return take_each(rows, result, take_user);
    case PG_LOAD_COUPONS:
        return take_each(rows, result, take_coupon);
    case PG_LOAD_CARTS:
        return take_each(rows, result, take_cart);
    case PG_LOAD_CART_LINES:
        return take_each(rows, result, take_cart_line);
    case PG_LOAD_PRODUCTS:
        return take_each(rows, result, take_product);
    case PG_LOAD_SALES:
        return take_each(rows, result, take_sale);
    case PG_LOAD_STORE:
        return take_store(writer, result);
    case PG_LOAD_NEXT_COUPON:
        rows->next_coupon_id = trip_get(result, 0, 0);
        return ERR_OK;
    case PG_LOAD_NEXT_USER:
        rows->next_user_id = trip_get(result, 0, 0);
        return ERR_OK;
    case PG_LOAD_NEXT_PRODUCT:
        rows->next_product_id = trip_get(result, 0, 0);
        return ERR_OK;
    case PG_LOAD_ORDERS:
    case PG_LOAD_LINES:
    case PG_LOAD_ATTEMPTS:
    case PG_LOAD_CHARGES:
    case PG_LOAD_KEYS:
    case PG_LOAD_HELD:
        return ledger_pg_load_orders_take(rows, tag, result);
    }
    return ERR_OK;
}

static void mark_looked_up(struct ledger_table *table)
{
    table->loaded = table->count;
}

/* What was looked up, whether it was there or not, but for those whose owners may be missing. */
static void mark_all(struct ledger_rows *rows, bool with_owners)
{
    struct ledger_table *const tables[] = { &rows->coupons, &rows->charges,    &rows->products,
                                            &rows->carts,   &rows->cart_lines, &rows->order_keys,
                                            &rows->held,    &rows->attempts,   &rows->sales,
                                            &rows->days };

    for (size_t i = 0; i < ARRAY_COUNT(tables); i++)
        mark_looked_up(tables[i]);
    if (with_owners) {
        mark_looked_up(&rows->users);
        mark_looked_up(&rows->orders);
    }
}

/* What the rows that are there need. The same statements asked for it: it is there, or is not. */
static enum err follow(struct ledger_rows *rows)
{
    size_t before, after;
    bool more;

    do {
        before = rows->followed_attempts + rows->followed_keys + rows->followed_orders;
        TRY(ledger_rows_follow(rows, &more));
        mark_all(rows, false);
        after = rows->followed_attempts + rows->followed_keys + rows->followed_orders;
    } while (before != after);
    return ERR_OK;
}

enum err ledger_pg_load_take(struct pg_writer *writer, bool *ret_more)
{
    struct ledger_rows *rows = &writer->rows;

    for (size_t i = 0; i < writer->trip.count; i++)
        TRY(take_result(writer, (enum pg_load)writer->trip.tags[i], writer->exchange.results[i]));
    if (writer->passes++ == 0 && clock_day(rows->now_ms) != rows->today)
        return ERR_CONFLICT; /* a new day has begun: its sums are needed */
    mark_all(rows, true);
    TRY(follow(rows));
    if (ledger_table_is_unlooked(&rows->users))
        return ERR_CONFLICT; /* an order appeared meanwhile: its owner is not locked */
    *ret_more = ledger_table_is_unlooked(&rows->orders);
    return *ret_more && writer->passes > 1 ? ERR_CONFLICT : ERR_OK;
}
