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

/* ---- asking ---- */

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

static void put_part(struct pg_trip *trip, unsigned at, const struct ledger_row_key *key, char part)
{
    switch (part) {
    case 'a':
        trip_put(trip, at, key->a);
        return;
    case 'b':
        trip_put(trip, at, key->b);
        return;
    case 'k':
        trip_put(trip, at, key->b & 3);
        return;
    case 'n':
        trip_put(trip, at, key->b >> 2);
        return;
    default:
        trip_put_text(trip, at, key->text);
    }
}

void ledger_pg_load_keys(struct pg_trip *trip, const struct ledger_table *table, const char *parts)
{
    for (const char *part = parts; *part; part++) {
        unsigned at = trip_arrays(trip, *part == 't' ? "t" : "i");
        for (size_t i = table->loaded; i < table->count; i++)
            put_part(trip, at, &row_at(table, i)->key, *part);
    }
}

static const struct ledger_table *table_of(const struct pg_writer *writer, size_t offset)
{
    return (const struct ledger_table *)(const void *)((const char *)&writer->rows + offset);
}

void ledger_pg_load_ask(struct pg_writer *writer, const struct pg_load_statement *statements,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct pg_load_statement *statement = &statements[i];
        const struct ledger_table *table = table_of(writer, statement->table);
        const struct ledger_table *followed =
            statement->followed_parts ? table_of(writer, statement->followed) : NULL;
        if (!ledger_table_is_unlooked(table) && !(followed && ledger_table_is_unlooked(followed)))
            continue;
        trip_add(&writer->trip, statement->tag, statement->sql);
        ledger_pg_load_keys(&writer->trip, table, statement->parts);
        if (followed)
            ledger_pg_load_keys(&writer->trip, followed, statement->followed_parts);
    }
}

#define USER_COLUMNS                                                       \
    "user_id, balance, held, incoming, orders_pending, orders_completed, " \
    "orders_cancelled, has_cart, events"

static void add_users(struct pg_writer *writer, bool lock)
{
    struct ledger_rows *rows = &writer->rows;
    struct pg_trip *trip = &writer->trip;

    if (!ledger_table_is_unlooked(&rows->orders) && !ledger_table_is_unlooked(&rows->attempts)) {
        if (!ledger_table_is_unlooked(&rows->users))
            return;
        trip_add(trip, PG_LOAD_USERS,
                 lock ? "SELECT " USER_COLUMNS " FROM users WHERE user_id = ANY($1)"
                        " ORDER BY user_id FOR UPDATE"
                      : "SELECT " USER_COLUMNS " FROM users WHERE user_id = ANY($1)");
        ledger_pg_load_keys(trip, &rows->users, "a");
        return;
    }
#define USERS_FOLLOWED                                                                         \
    "SELECT " USER_COLUMNS " FROM users WHERE user_id = ANY(ARRAY(SELECT unnest($1::bigint[])" \
    " UNION SELECT user_id FROM orders WHERE order_id = ANY($2)"                               \
    " UNION SELECT user_id FROM attempts WHERE (kind, subject_id, number) IN"                  \
    " (SELECT * FROM unnest($3::bigint[], $4::bigint[], $5::bigint[]))))"
    trip_add(trip, PG_LOAD_USERS,
             lock ? USERS_FOLLOWED " ORDER BY user_id FOR UPDATE" : USERS_FOLLOWED);
    ledger_pg_load_keys(trip, &rows->users, "a");
    ledger_pg_load_keys(trip, &rows->orders, "a");
    ledger_pg_load_keys(trip, &rows->attempts, "kan");
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

    if (!has_any(&rows->coupons, which) && !ledger_table_is_unlooked(&rows->orders))
        return;
    trip_add(trip, PG_LOAD_COUPONS,
             "SELECT " PG_COUPON_COLUMNS " FROM coupons WHERE coupon_id = ANY(ARRAY("
             "SELECT unnest($1::bigint[]) UNION SELECT coupon_id FROM orders"
             " WHERE order_id = ANY($2) AND coupon_id IS NOT NULL))");
    add_ids(trip, &rows->coupons, which);
    ledger_pg_load_keys(trip, &rows->orders, "a");
}

static const struct pg_load_statement carts[] = {
    { PG_LOAD_CARTS, PG_TABLE(carts), "a", 0, NULL,
      "SELECT user_id, count(*), coalesce(max(line), 0) FROM cart_lines"
      " WHERE user_id = ANY($1) GROUP BY user_id" },
    { PG_LOAD_CART_LINES, PG_TABLE(cart_lines), "ab", 0, NULL,
      "SELECT user_id, product_id, quantity, line FROM cart_lines"
      " JOIN unnest($1::bigint[], $2::bigint[]) AS k(user_id, product_id)"
      " USING (user_id, product_id)" },
};

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
    if (ledger_table_is_unlooked(&rows->orders)) {
        trip_add(trip, PG_LOAD_PRODUCTS,
                 lock ? PRODUCTS_OF_ORDERS " ORDER BY product_id FOR UPDATE" : PRODUCTS_OF_ORDERS);
        add_ids(trip, &rows->products, LOCKED);
        ledger_pg_load_keys(trip, &rows->orders, "a");
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

    if (!ledger_table_is_unlooked(&rows->sales) && !ledger_table_is_unlooked(&rows->orders))
        return;
    trip_add(trip, PG_LOAD_SALES,
             "SELECT day, product_id, units, revenue, reached_at, version FROM sales"
             " WHERE (day, product_id) IN (SELECT * FROM unnest($1::bigint[], $2::bigint[])"
             " UNION SELECT CASE WHEN status = 0 THEN $3 ELSE coalesce(sold_day, 0) END,"
             " product_id FROM orders JOIN order_lines USING (order_id)"
             " WHERE order_id = ANY($4))");
    ledger_pg_load_keys(trip, &rows->sales, "ab");
    trip_int(trip, rows->today);
    ledger_pg_load_keys(trip, &rows->orders, "a");
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

void ledger_pg_begin_add(struct pg_writer *writer, int tag)
{
    trip_add(&writer->trip, tag, "BEGIN");
    trip_add(&writer->trip, tag, writer->ledger->settings_sql);
}

enum err ledger_pg_load_add(struct pg_writer *writer)
{
    bool first = writer->passes == 0;

    TRY(name_orders(&writer->rows));
    if (first)
        ledger_pg_begin_add(writer, PG_LOAD_NOTHING);
    add_users(writer, first);
    add_coupons(writer, first);
    ledger_pg_load_orders_add(writer);
    add_coupons_seen(writer, first);
    ledger_pg_load_ask(writer, carts, ARRAY_COUNT(carts));
    add_products(writer, first);
    add_sales(writer);
    if (first)
        add_store(writer);
    return trip_finish(&writer->trip);
}
