// SPDX-License-Identifier: Apache-2.0
/*
 * A batch's rows out of the database. What a row makes needed (an order its lines and products, an
 * attempt its order and key) is found by the same statements, through what never changes: who owns
 * an order or an attempt, the lines and coupon of an order. So one pass does, but for answers whose
 * bytes are gone: their orders are looked up in a second pass, without locks, to be shown only.
 *
 * Each statement sees what was committed before it began, and so, once the row of a user, a coupon
 * or a product is locked, what stands under that lock: keys, charges, orders, carts and coupons of
 * a user; rows of a coupon; sums of a product.
 */
#include "ledger/ledger_pg_load.h"

#include "base/assert.h"
#include "base/clock.h"
#include "ledger/ledger_pg_internal.h"

/* ---- asking ---- */

static bool is_unlooked(const struct ledger_table *table)
{
    return table->loaded < table->count;
}

static struct ledger_row *row_at(const struct ledger_table *table, size_t i)
{
    return table->rows[i];
}

/* An array of the ids that were not looked up: those to be locked, the others, or all. */
enum which { LOCKED, UNLOCKED, ALL };

static bool is_wanted(const struct ledger_table *table, size_t i, enum which which)
{
    return which == ALL || row_at(table, i)->locks == (which == LOCKED);
}

static bool has_any(const struct ledger_table *table, enum which which)
{
    for (size_t i = table->loaded; i < table->count; i++)
        if (is_wanted(table, i, which))
            return true;
    return false;
}

static void add_ids(struct pg_trip *trip, const struct ledger_table *table, enum which which)
{
    unsigned at = trip_arrays(trip, "i");

    for (size_t i = table->loaded; i < table->count; i++)
        if (is_wanted(table, i, which))
            trip_put(trip, at, row_at(table, i)->key.a);
}

static void add_pairs(struct pg_trip *trip, const struct ledger_table *table)
{
    unsigned at = trip_arrays(trip, "ii");

    for (size_t i = table->loaded; i < table->count; i++) {
        trip_put(trip, at, row_at(table, i)->key.a);
        trip_put(trip, at + 1, row_at(table, i)->key.b);
    }
}

#define USER_COLUMNS                                                       \
    "user_id, balance, held, incoming, orders_pending, orders_completed, " \
    "orders_cancelled, has_cart, events"

static void add_users(struct pg_writer *writer, bool lock)
{
    struct ledger_rows *rows = &writer->rows;
    struct pg_trip *trip = &writer->trip;

    if (!is_unlooked(&rows->orders) && !is_unlooked(&rows->attempts)) {
        if (!is_unlooked(&rows->users))
            return;
        trip_add(trip, PG_LOAD_USERS,
                 lock ? "SELECT " USER_COLUMNS " FROM users WHERE user_id = ANY($1)"
                        " ORDER BY user_id FOR UPDATE"
                      : "SELECT " USER_COLUMNS " FROM users WHERE user_id = ANY($1)");
        add_ids(trip, &rows->users, ALL);
        return;
    }
#define USERS_FOLLOWED                                                                         \
    "SELECT " USER_COLUMNS " FROM users WHERE user_id = ANY(ARRAY(SELECT unnest($1::bigint[])" \
    " UNION SELECT user_id FROM orders WHERE order_id = ANY($2)"                               \
    " UNION SELECT user_id FROM attempts WHERE (kind, subject_id, number) IN"                  \
    " (SELECT * FROM unnest($3::bigint[], $4::bigint[], $5::bigint[]))))"
    trip_add(trip, PG_LOAD_USERS,
             lock ? USERS_FOLLOWED " ORDER BY user_id FOR UPDATE" : USERS_FOLLOWED);
    add_ids(trip, &rows->users, ALL);
    add_ids(trip, &rows->orders, ALL);
    ledger_pg_load_attempts_put(trip, &rows->attempts);
}

static void add_coupons(struct pg_writer *writer, bool lock)
{
    struct ledger_rows *rows = &writer->rows;
    struct pg_trip *trip = &writer->trip;

    if (lock && has_any(&rows->coupons, LOCKED)) {
        trip_add(trip, PG_LOAD_COUPONS,
                 "SELECT " PG_COUPON_COLUMNS " FROM coupons WHERE coupon_id = ANY($1)"
                 " ORDER BY coupon_id FOR UPDATE");
        add_ids(trip, &rows->coupons, LOCKED);
    }
}

/* Those that are only looked at: what a discount is never changes. */
static void add_coupons_seen(struct pg_writer *writer, bool lock)
{
    struct ledger_rows *rows = &writer->rows;
    struct pg_trip *trip = &writer->trip;
    enum which which = lock ? UNLOCKED : ALL;

    if (!has_any(&rows->coupons, which) && !is_unlooked(&rows->orders))
        return;
    trip_add(trip, PG_LOAD_COUPONS,
             "SELECT " PG_COUPON_COLUMNS " FROM coupons WHERE coupon_id = ANY(ARRAY("
             "SELECT unnest($1::bigint[]) UNION SELECT coupon_id FROM orders"
             " WHERE order_id = ANY($2) AND coupon_id IS NOT NULL))");
    add_ids(trip, &rows->coupons, which);
    add_ids(trip, &rows->orders, ALL);
}

static void add_carts(struct pg_writer *writer)
{
    struct ledger_rows *rows = &writer->rows;
    struct pg_trip *trip = &writer->trip;

    if (is_unlooked(&rows->carts)) {
        trip_add(trip, PG_LOAD_CARTS,
                 "SELECT user_id, count(*), coalesce(max(line), 0) FROM cart_lines"
                 " WHERE user_id = ANY($1) GROUP BY user_id");
        add_ids(trip, &rows->carts, ALL);
    }
    if (is_unlooked(&rows->cart_lines)) {
        trip_add(trip, PG_LOAD_CART_LINES,
                 "SELECT user_id, product_id, quantity, line FROM cart_lines"
                 " JOIN unnest($1::bigint[], $2::bigint[]) AS k(user_id, product_id)"
                 " USING (user_id, product_id)");
        add_pairs(trip, &rows->cart_lines);
    }
}

/* Whose stock moves is locked; who is only looked at is not waited for. */
static void add_products(struct pg_writer *writer, bool lock)
{
    struct ledger_rows *rows = &writer->rows;
    struct pg_trip *trip = &writer->trip;
    enum which seen = lock ? UNLOCKED : ALL;

#define PRODUCTS_OF_ORDERS                                                                \
    "SELECT " PG_PRODUCT_COLUMNS " FROM products WHERE product_id = ANY(ARRAY("           \
    "SELECT unnest($1::bigint[]) UNION SELECT product_id FROM order_lines WHERE order_id" \
    " = ANY($2)))"
    if (has_any(&rows->products, seen)) {
        trip_add(trip, PG_LOAD_PRODUCTS,
                 "SELECT " PG_PRODUCT_COLUMNS " FROM products WHERE product_id = ANY($1)");
        add_ids(trip, &rows->products, seen);
    }
    if (is_unlooked(&rows->orders)) {
        trip_add(trip, PG_LOAD_PRODUCTS,
                 lock ? PRODUCTS_OF_ORDERS " ORDER BY product_id FOR UPDATE" : PRODUCTS_OF_ORDERS);
        add_ids(trip, &rows->products, LOCKED);
        add_ids(trip, &rows->orders, ALL);
    } else if (lock && has_any(&rows->products, LOCKED)) {
        trip_add(trip, PG_LOAD_PRODUCTS,
                 "SELECT " PG_PRODUCT_COLUMNS " FROM products WHERE product_id = ANY($1)"
                 " ORDER BY product_id FOR UPDATE");
        add_ids(trip, &rows->products, LOCKED);
    }
}

static void add_sales(struct pg_writer *writer)
{
    struct ledger_rows *rows = &writer->rows;
    struct pg_trip *trip = &writer->trip;

    if (!is_unlooked(&rows->sales) && !is_unlooked(&rows->orders))
        return;
    trip_add(trip, PG_LOAD_SALES,
             "SELECT day, product_id, units, revenue, reached_at, version FROM sales"
             " WHERE (day, product_id) IN (SELECT * FROM unnest($1::bigint[], $2::bigint[])"
             " UNION SELECT CASE WHEN status = 0 THEN $3 ELSE coalesce(sold_day, 0) END,"
             " product_id FROM orders JOIN order_lines USING (order_id)"
             " WHERE order_id = ANY($4))");
    add_pairs(trip, &rows->sales);
    trip_int(trip, rows->today);
    add_ids(trip, &rows->orders, ALL);
}

#define STORE_COLUMNS                                                                \
    "next_user_coupon_id, next_order_id, next_charge_id, products, clock_offset_ms," \
    " floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
#define NEXT_ID(column, table) \
    "SELECT least(coalesce(max(" column "), 0), 9223372036854775806) + 1 FROM " table

/* Last, so that the row that all servers take their numbers from is kept for the shortest time. The
 * clock is read once everything is locked. */
static void add_store(struct pg_writer *writer)
{
    struct ledger_rows *rows = &writer->rows;
    struct pg_trip *trip = &writer->trip;

    trip_add(trip, PG_LOAD_STORE,
             rows->needs_ids ? "SELECT " STORE_COLUMNS " FROM (SELECT * FROM store FOR UPDATE) s"
                             : "SELECT " STORE_COLUMNS " FROM store");
    if (rows->needs_next_coupon_id)
        trip_add(trip, PG_LOAD_NEXT_COUPON, NEXT_ID("coupon_id", "coupons"));
    if (rows->needs_next_user_id)
        trip_add(trip, PG_LOAD_NEXT_USER, NEXT_ID("user_id", "users"));
    if (rows->needs_next_product_id)
        trip_add(trip, PG_LOAD_NEXT_PRODUCT, NEXT_ID("product_id", "products"));
}

/* What an attempt to pay or to refund is about says its key. */
static enum err name_orders(struct ledger_rows *rows)
{
    for (size_t i = rows->attempts.loaded; i < rows->attempts.count; i++) {
        const struct ledger_row_key *key = &row_at(&rows->attempts, i)->key;
        if ((key->b & 3) != LEDGER_ATTEMPT_CHARGE && !ledger_rows_add_order(rows, key->a))
            return ERR_NOMEM;
    }
    return ERR_OK;
}

enum err ledger_pg_load_add(struct pg_writer *writer)
{
    bool first = writer->passes == 0;

    TRY(name_orders(&writer->rows));
    if (first) {
        trip_add(&writer->trip, PG_LOAD_NOTHING, "BEGIN");
        trip_add(&writer->trip, PG_LOAD_NOTHING, writer->ledger->settings_sql);
    }
    add_users(writer, first);
    add_coupons(writer, first);
    ledger_pg_load_orders_add(writer);
    add_coupons_seen(writer, first);
    add_carts(writer);
    add_products(writer, first);
    add_sales(writer);
    if (first)
        add_store(writer);
    return trip_finish(&writer->trip);
}

/* ---- taking ---- */

static void *row_of(struct ledger_rows *rows, struct ledger_table *table, int64_t a, int64_t b)
{
    struct ledger_row_key key = { .a = a, .b = b };
    struct ledger_row *row = ledger_table_need(table, &rows->arena, &key);

    if (row)
        row->found = true;
    return row;
}

static enum err take_user(struct ledger_rows *rows, const PGresult *result, int i)
{
    struct ledger_user_row *row = row_of(rows, &rows->users, trip_get(result, i, 0), 0);

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
    struct str name = trip_get_text(result, row, 1);

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
    if (name.len)
        memcpy(ret_coupon->name, name.ptr, MIN(name.len, (size_t)COUPON_NAME_BYTES_MAX));
}

static enum err take_coupon(struct ledger_rows *rows, const PGresult *result, int i)
{
    struct ledger_coupon_row *row = row_of(rows, &rows->coupons, trip_get(result, i, 0), 0);

    if (!row)
        return ERR_NOMEM;
    ledger_pg_coupon(result, i, &row->coupon);
    return ERR_OK;
}

static enum err take_cart(struct ledger_rows *rows, const PGresult *result, int i)
{
    struct ledger_cart_row *row = row_of(rows, &rows->carts, trip_get(result, i, 0), 0);

    if (!row)
        return ERR_NOMEM;
    row->line_count = trip_get(result, i, 1);
    row->line_max = trip_get(result, i, 2);
    return ERR_OK;
}

static enum err take_cart_line(struct ledger_rows *rows, const PGresult *result, int i)
{
    struct ledger_cart_line_row *row =
        row_of(rows, &rows->cart_lines, trip_get(result, i, 0), trip_get(result, i, 1));

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
    };
    TRY(trip_copy_text(arena, result, row, column + 1, &ret_product->name));
    TRY(trip_copy_text(arena, result, row, column + 2, &ret_product->description));
    return trip_copy_text(arena, result, row, column + 3, &ret_product->category);
}

/* A row that was only looked at and then locked comes twice: the later one counts. */
static enum err take_product(struct ledger_rows *rows, const PGresult *result, int i)
{
    struct ledger_product_row *row = row_of(rows, &rows->products, trip_get(result, i, 0), 0);

    if (!row)
        return ERR_NOMEM;
    TRY(ledger_pg_product(&rows->arena, result, i, 0, &row->product));
    row->category_before = row->product.category;
    return ERR_OK;
}

static enum err take_sale(struct ledger_rows *rows, const PGresult *result, int i)
{
    struct ledger_sale_row *row =
        row_of(rows, &rows->sales, trip_get(result, i, 0), trip_get(result, i, 1));

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
        return ledger_pg_load_orders_take(rows, (int)tag, result);
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
    if (is_unlooked(&rows->users))
        return ERR_CONFLICT; /* an order appeared meanwhile: its owner is not locked */
    *ret_more = is_unlooked(&rows->orders);
    return *ret_more && writer->passes > 1 ? ERR_CONFLICT : ERR_OK;
}
