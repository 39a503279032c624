// SPDX-License-Identifier: Apache-2.0
/*
 * Reads of products and carts. A page goes on behind a key and an id: first the rest of those with
 * that very key, then those behind it, each straight from an index, so that a page costs the same
 * wherever it stands and however many products share a price. How many there are in all is a
 * counter, beside each of the page's rows.
 */
#include "base/assert.h"
#include "core/sales.h"
#include "ledger/ledger_pg_internal.h"

/* $1 key, $2 id, $3 category, $4 limit */
#define PART(where, order) "(SELECT * FROM products WHERE " where " ORDER BY " order " LIMIT $4)"
#define PAGE(count, of, ties, behind, order)                                                  \
    "SELECT n.products, p.* FROM (" count ") n LEFT JOIN LATERAL (SELECT " PG_PRODUCT_COLUMNS \
    " FROM (" PART(of ties, order) " UNION ALL " PART(                                        \
        of behind, order) ") q ORDER BY " order " LIMIT $4) p ON true ORDER BY " order
#define PAGES(count, of)                                                                          \
    {                                                                                             \
        [LEDGER_PRODUCTS_BY_ID] = PAGE(count, of, "false", "product_id > $2", "product_id"),      \
        [LEDGER_PRODUCTS_BY_PRICE] =                                                              \
            PAGE(count, of, "price = $1 AND product_id > $2", "price > $1", "price, product_id"), \
        [LEDGER_PRODUCTS_BY_PRICE_DOWN] = PAGE(count, of, "price = $1 AND product_id > $2",       \
                                               "price < $1", "price DESC, product_id"),           \
        [LEDGER_PRODUCTS_NEWEST] = PAGE(count, of, "created_at = $1 AND product_id < $2",         \
                                        "created_at < $1", "created_at DESC, product_id DESC"),   \
    }
#define OF_ALL ""
#define OF_CATEGORY "category = $3 AND "
#define COUNT_ALL "SELECT products FROM store"
#define COUNT_CATEGORY "SELECT products FROM categories WHERE category = $3"

static const char *const pages[2][LEDGER_PRODUCT_SORT_N] = { PAGES(COUNT_ALL, OF_ALL),
                                                             PAGES(COUNT_CATEGORY, OF_CATEGORY) };

/* The key and id that the first page stands behind. */
static void add_page(struct pg_trip *trip, const struct ledger_read *read)
{
    bool start = read->after_key == 0 && read->after == 0;
    bool down = read->sort == LEDGER_PRODUCTS_BY_PRICE_DOWN || read->sort == LEDGER_PRODUCTS_NEWEST;

    trip_add(trip, 0, pages[read->category.ptr != NULL][read->sort]);
    trip_int(trip, !start ? read->after_key : down ? INT64_MAX : INT64_MIN);
    trip_int(trip, !start ? read->after : down ? INT64_MAX : INT64_MIN);
    trip_text(trip, read->category);
    trip_int(trip, read->limit + 1);
}

static void add_by_id(struct pg_trip *trip, const struct ledger_read *read)
{
    trip_add(trip, 0,
             "SELECT " PG_PRODUCT_COLUMNS ", n FROM unnest($1::bigint[]) WITH ORDINALITY"
             " AS k(product_id, n) JOIN products USING (product_id)");
    unsigned at = trip_arrays(trip, "i");
    for (size_t i = 0; i < read->id_count; i++)
        trip_put(trip, at, read->ids[i]);
}

/* How many products a page may look at, so that none takes long. */
enum { LOOK_MAX = 500 };

#define UNSOLD(count, of)                                                                   \
    "SELECT n.products, p.*, coalesce((SELECT sum(units) FROM sales s"                      \
    " WHERE s.product_id = p.product_id AND s.day = ANY(ARRAY[$2, $2 + 1, $2 + 2, $2 + 3,"  \
    " $2 + 4, $2 + 5, $2 + 6]::bigint[])), 0)::bigint FROM (" count ") n LEFT JOIN LATERAL" \
    " (SELECT " PG_PRODUCT_COLUMNS " FROM products WHERE " of "product_id > $1"             \
    " ORDER BY product_id LIMIT $4) p ON true ORDER BY p.product_id"

static void add_unsold(struct pg_trip *trip, const struct ledger_read *read)
{
    const struct sales_days days = sales_window_days(read->window, read->day);

    ASSERT(days.to - days.from == 6); /* as the statement has it */
    trip_add(trip, 0,
             read->category.ptr ? UNSOLD(COUNT_CATEGORY, OF_CATEGORY) : UNSOLD(COUNT_ALL, OF_ALL));
    trip_int(trip, read->after);
    trip_int(trip, days.from);
    trip_text(trip, read->category);
    trip_int(trip, read->limit ? LOOK_MAX + 1 : 0);
}

#define PRODUCT_COLUMNS_P                                                                      \
    "p.product_id, p.name, p.description, p.category, p.price, p.stock, p.held, p.created_at," \
    " p.category_version"

bool ledger_pg_read_shop_add(struct pg_trip *trip, const struct ledger_read *read)
{
    switch (read->op) {
    case LEDGER_READ_PRODUCT:
        trip_add(trip, 0, "SELECT " PG_PRODUCT_COLUMNS " FROM products WHERE product_id = $1");
        trip_int(trip, read->product_id);
        return true;
    case LEDGER_READ_PRODUCTS:
        add_page(trip, read);
        return true;
    case LEDGER_READ_PRODUCTS_BY_ID:
        add_by_id(trip, read);
        return true;
    case LEDGER_READ_PRODUCTS_UNSOLD:
        add_unsold(trip, read);
        return true;
    case LEDGER_READ_CART:
        trip_add(trip, 0,
                 "SELECT " PRODUCT_COLUMNS_P ", l.quantity FROM users u"
                 " LEFT JOIN (cart_lines l JOIN products p USING (product_id))"
                 " ON l.user_id = u.user_id WHERE u.user_id = $1 ORDER BY l.line DESC");
        trip_int(trip, read->user_id);
        return true;
    default:
        return false;
    }
}

/* ---- taking ---- */

static enum err take_product(struct ledger_read *read, const PGresult *result)
{
    read->product = (struct ledger_product){ 0 };
    read->found = PQntuples(result) > 0;
    return read->found ? ledger_pg_product(read->arena, result, 0, 0, &read->product) : ERR_OK;
}

/* Column 0 is how many there are in all; without products there is one row of NULLs beside it. */
static enum err take_page(struct ledger_read *read, const PGresult *result)
{
    size_t rows = (size_t)PQntuples(result), limit = (size_t)read->limit;

    read->total_count = rows ? trip_get(result, 0, 0) : 0;
    if (rows && trip_is_null(result, 0, 1))
        rows = 0;
    read->more = rows > limit;
    read->product_count = MIN(rows, limit);
    read->products = arena_alloc(read->arena, (read->product_count + 1) * sizeof *read->products);
    if (!read->products)
        return ERR_NOMEM;
    for (size_t i = 0; i < read->product_count; i++)
        TRY(ledger_pg_product(read->arena, result, (int)i, 1, &read->products[i]));
    return ERR_OK;
}

static enum err take_by_id(struct ledger_read *read, const PGresult *result)
{
    read->product_count = read->id_count;
    read->products = arena_alloc(read->arena, (read->id_count + 1) * sizeof *read->products);
    if (!read->products)
        return ERR_NOMEM;
    memset(read->products, 0, read->id_count * sizeof *read->products);
    for (int i = 0; i < PQntuples(result); i++) {
        size_t at = (size_t)trip_get(result, i, PG_PRODUCT_COLUMN_COUNT) - 1;
        TRY(ledger_pg_product(read->arena, result, i, 0, &read->products[at]));
    }
    return ERR_OK;
}

static enum err look_through(struct ledger_read *read, const PGresult *result)
{
    size_t limit = (size_t)read->limit;

    for (int i = 0; i < PQntuples(result); i++) {
        int64_t units = trip_get(result, i, 1 + PG_PRODUCT_COLUMN_COUNT);
        if (trip_is_null(result, i, 1))
            return ERR_OK;
        read->more = i == LOOK_MAX || (units <= 0 && read->product_count == limit);
        if (read->more)
            return ERR_OK;
        if (units <= 0)
            TRY(ledger_pg_product(read->arena, result, i, 1,
                                  &read->products[read->product_count++]));
        read->after = trip_get(result, i, 1);
    }
    return ERR_OK;
}

static enum err take_unsold(struct ledger_read *read, const PGresult *result)
{
    read->product_count = 0;
    read->more = false;
    read->total_count = PQntuples(result) ? trip_get(result, 0, 0) : 0;
    read->products = arena_alloc(read->arena, ((size_t)read->limit + 1) * sizeof *read->products);
    if (!read->products)
        return ERR_NOMEM;
    return read->limit ? look_through(read, result) : ERR_OK;
}

/* One row of NULLs: a user without a line. */
static enum err take_cart(const struct pg_ledger *ledger, struct ledger_read *read,
                          const PGresult *result)
{
    size_t rows = (size_t)PQntuples(result);

    read->found = rows > 0 || (ledger->options.users_external && read->user_id >= 1);
    read->cart_count = rows && !trip_is_null(result, 0, 0) ? rows : 0;
    read->cart = arena_alloc(read->arena, (read->cart_count + 1) * sizeof *read->cart);
    if (!read->cart)
        return ERR_NOMEM;
    for (size_t i = 0; i < read->cart_count; i++) {
        TRY(ledger_pg_product(read->arena, result, (int)i, 0, &read->cart[i].product));
        read->cart[i].quantity = trip_get(result, (int)i, PG_PRODUCT_COLUMN_COUNT);
    }
    return ERR_OK;
}

enum err ledger_pg_read_shop_take(const struct pg_ledger *ledger, struct ledger_read *read,
                                  const PGresult *result)
{
    switch (read->op) {
    case LEDGER_READ_PRODUCT:
        return take_product(read, result);
    case LEDGER_READ_PRODUCTS:
        return take_page(read, result);
    case LEDGER_READ_PRODUCTS_BY_ID:
        return take_by_id(read, result);
    case LEDGER_READ_PRODUCTS_UNSOLD:
        return take_unsold(read, result);
    default:
        return take_cart(ledger, read, result);
    }
}
