// SPDX-License-Identifier: Apache-2.0
/*
 * Reads of products and carts. A page goes on behind a key and an id: first the rest of those with
 * that very key, then those behind it, each straight from an index, so that a page costs the same
 * wherever it stands and however many products share a price. How many there are in all is a
 * counter, read at the same moment as the page.
 */
#include "base/assert.h"
#include "core/sales.h"
#include "ledger/ledger_sqlite_internal.h"

/* ?1 key, ?2 id, ?3 category, ?4 limit */
#define PART(where, order)                                                                    \
    "SELECT * FROM (SELECT " PRODUCT_COLUMNS " FROM products WHERE " where " ORDER BY " order \
    " LIMIT ?4)"
#define PAGE(of, ties, behind, order) \
    PART(of ties, order) " UNION ALL " PART(of behind, order) " ORDER BY " order " LIMIT ?4"

#define ALL ""
#define OF_CATEGORY "category = ?3 AND "
#define PAGES(of)                                                                               \
    {                                                                                           \
        [LEDGER_PRODUCTS_BY_ID] = PART(of "product_id > ?2", "product_id"),                     \
        [LEDGER_PRODUCTS_BY_PRICE] =                                                            \
            PAGE(of, "price = ?1 AND product_id > ?2", "price > ?1", "price, product_id"),      \
        [LEDGER_PRODUCTS_BY_PRICE_DOWN] =                                                       \
            PAGE(of, "price = ?1 AND product_id > ?2", "price < ?1", "price DESC, product_id"), \
        [LEDGER_PRODUCTS_NEWEST] = PAGE(of, "created_at = ?1 AND product_id < ?2",              \
                                        "created_at < ?1", "created_at DESC, product_id DESC"), \
    }

enum { WHOLE, CATEGORY };

enum err ledger_sqlite_read_shop_open(struct sqlite_client *client)
{
    static const char *const pages[2][LEDGER_PRODUCT_SORT_N] = {
        [WHOLE] = PAGES(ALL), [CATEGORY] = PAGES(OF_CATEGORY)
    };
    struct sqlite_shop_reads *r = &client->shop;
    const struct sqlite_sql rows[] = {
        { &r->product, "SELECT " PRODUCT_COLUMNS " FROM products WHERE product_id = ?" },
        { &r->count[WHOLE], "SELECT products FROM store" },
        { &r->count[CATEGORY], "SELECT products FROM categories WHERE category = ?3" },
        /* Each day is a place of its own in the index. */
        { &r->units, "SELECT coalesce(sum(units), 0) FROM sales WHERE product_id = ?1"
                     " AND day IN (?2, ?2 + 1, ?2 + 2, ?2 + 3, ?2 + 4, ?2 + 5, ?2 + 6)" },
        { &r->has_cart, "SELECT has_cart FROM users WHERE user_id = ?" },
        { &r->cart, "SELECT " PRODUCT_COLUMNS ", quantity FROM cart_lines"
                    " JOIN products USING (product_id) WHERE user_id = ? ORDER BY line DESC" },
    };

    TRY(ledger_sqlite_prepare_all(client->db, rows, ARRAY_COUNT(rows)));
    for (size_t of = WHOLE; of <= CATEGORY; of++)
        for (size_t sort = 0; sort < LEDGER_PRODUCT_SORT_N; sort++)
            TRY(sqlite_db_prepare(client->db, pages[of][sort], &r->page[of][sort]));
    return ERR_OK;
}

/* ---- products ---- */

/* *ret_product: product_id 0 where there is none. */
static enum err look_up(struct sqlite_client *client, int64_t product_id, struct arena *arena,
                        struct ledger_product *ret_product)
{
    sqlite3_stmt *stmt = client->shop.product;
    bool found;

    *ret_product = (struct ledger_product){ 0 };
    sqlite3_bind_int64(stmt, 1, product_id);
    TRY(ledger_sqlite_step_one(stmt, &found));
    if (!found)
        return ERR_OK;
    enum err e = ledger_sqlite_product(arena, stmt, 0, ret_product);
    sqlite3_reset(stmt);
    return e;
}

enum err ledger_sqlite_read_product(struct sqlite_client *client, struct ledger_read *read)
{
    TRY(look_up(client, read->product_id, read->arena, &read->product));
    read->found = read->product.product_id == read->product_id && read->product_id != 0;
    return ERR_OK;
}

enum err ledger_sqlite_read_products_by_id(struct sqlite_client *client, struct ledger_read *read)
{
    read->products = arena_alloc(read->arena, read->id_count * sizeof *read->products);
    if (!read->products)
        return ERR_NOMEM;
    for (size_t i = 0; i < read->id_count; i++)
        TRY(look_up(client, read->ids[i], read->arena, &read->products[i]));
    read->product_count = read->id_count;
    return ERR_OK;
}

/* The key and id that the first page stands behind. */
static void bind_from(sqlite3_stmt *stmt, const struct ledger_read *read)
{
    bool start = read->after_key == 0 && read->after == 0;
    bool down = read->sort == LEDGER_PRODUCTS_BY_PRICE_DOWN || read->sort == LEDGER_PRODUCTS_NEWEST;

    sqlite3_bind_int64(stmt, 1, !start ? read->after_key : down ? INT64_MAX : INT64_MIN);
    sqlite3_bind_int64(stmt, 2, !start ? read->after : down ? INT64_MAX : INT64_MIN);
}

static enum err read_page(sqlite3_stmt *stmt, struct ledger_read *read)
{
    size_t limit = (size_t)read->limit;
    int code;

    read->products = arena_alloc(read->arena, limit * sizeof *read->products);
    if (!read->products)
        return ERR_NOMEM;
    bind_from(stmt, read);
    ledger_sqlite_bind_text(stmt, 3, read->category);
    sqlite3_bind_int64(stmt, 4, read->limit + 1);
    while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
        if (read->product_count == limit) {
            read->more = true;
            return ERR_OK;
        }
        TRY(ledger_sqlite_product(read->arena, stmt, 0, &read->products[read->product_count++]));
    }
    return sqlite_db_err(code);
}

enum err ledger_sqlite_read_products(struct sqlite_client *client, struct ledger_read *read)
{
    unsigned of = read->category.ptr ? CATEGORY : WHOLE;
    sqlite3_stmt *count = client->shop.count[of], *page = client->shop.page[of][read->sort];
    bool found;

    read->product_count = 0;
    read->total_count = 0;
    read->more = false;
    ledger_sqlite_bind_text(count, 3, read->category);
    TRY(ledger_sqlite_step_one(count, &found));
    if (!found)
        return ERR_OK;
    read->total_count = sqlite3_column_int64(count, 0);
    enum err e = read_page(page, read); /* `count` is not reset yet: both see one moment */
    sqlite3_reset(page);
    sqlite3_reset(count);
    return e;
}

/* ---- those that were not sold ---- */

/* How many products a page may look at, so that none takes long. */
enum { LOOK_MAX = 500 };

static enum err read_units(sqlite3_stmt *stmt, int64_t product_id, int64_t from_day,
                           int64_t *ret_units)
{
    bool found;

    sqlite3_bind_int64(stmt, 1, product_id);
    sqlite3_bind_int64(stmt, 2, from_day);
    TRY(ledger_sqlite_step_one(stmt, &found));
    if (!found)
        return ERR_CORRUPT; /* a sum is always there */
    *ret_units = sqlite3_column_int64(stmt, 0);
    sqlite3_reset(stmt);
    return ERR_OK;
}

static enum err look_through(struct sqlite_client *client, sqlite3_stmt *page,
                             struct ledger_read *read, int64_t from_day)
{
    size_t limit = (size_t)read->limit, looked = 0;
    int code;

    while ((code = sqlite3_step(page)) == SQLITE_ROW) {
        int64_t product_id = sqlite3_column_int64(page, 0), units;
        read->more = looked++ == LOOK_MAX;
        if (read->more)
            return ERR_OK;
        TRY(read_units(client->shop.units, product_id, from_day, &units));
        read->more = units <= 0 && read->product_count == limit;
        if (read->more)
            return ERR_OK;
        if (units <= 0)
            TRY(ledger_sqlite_product(read->arena, page, 0,
                                      &read->products[read->product_count++]));
        read->after = product_id;
    }
    return sqlite_db_err(code);
}

enum err ledger_sqlite_read_products_unsold(struct sqlite_client *client, struct ledger_read *read)
{
    const struct sales_days days = sales_window_days(read->window, read->day);
    unsigned of = read->category.ptr ? CATEGORY : WHOLE;
    sqlite3_stmt *count = client->shop.count[of],
                 *page = client->shop.page[of][LEDGER_PRODUCTS_BY_ID];
    bool found;

    ASSERT(days.to - days.from == 6); /* as the statement has it */
    read->product_count = 0;
    read->total_count = 0;
    read->more = false;
    read->products = arena_alloc(read->arena, (size_t)read->limit * sizeof *read->products);
    if (!read->products)
        return ERR_NOMEM;
    ledger_sqlite_bind_text(count, 3, read->category);
    TRY(ledger_sqlite_step_one(count, &found));
    if (!found)
        return ERR_OK;
    read->total_count = sqlite3_column_int64(count, 0);
    sqlite3_bind_int64(page, 2, read->after);
    ledger_sqlite_bind_text(page, 3, read->category);
    sqlite3_bind_int64(page, 4, LOOK_MAX + 1);
    enum err e = read->limit ? look_through(client, page, read, days.from) : ERR_OK;
    sqlite3_reset(page);
    sqlite3_reset(count);
    return e;
}

/* ---- carts ---- */

static enum err read_lines(sqlite3_stmt *stmt, struct ledger_read *read)
{
    size_t cap = 0;
    int code;

    sqlite3_bind_int64(stmt, 1, read->user_id);
    while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
        if (read->cart_count == cap) {
            size_t bigger = cap ? cap * 2 : 16;
            struct ledger_cart_line *lines = arena_alloc(read->arena, bigger * sizeof *lines);
            if (!lines)
                return ERR_NOMEM;
            if (cap)
                memcpy(lines, read->cart, cap * sizeof *lines);
            read->cart = lines;
            cap = bigger;
        }
        struct ledger_cart_line *line = &read->cart[read->cart_count++];
        TRY(ledger_sqlite_product(read->arena, stmt, 0, &line->product));
        line->quantity = sqlite3_column_int64(stmt, PRODUCT_COLUMN_COUNT);
    }
    return sqlite_db_err(code);
}

enum err ledger_sqlite_read_cart(struct sqlite_client *client, struct ledger_read *read)
{
    const struct sqlite_ledger *ledger =
        CONTAINER_OF(client->base.ledger, struct sqlite_ledger, base);
    sqlite3_stmt *has_cart = client->shop.has_cart;
    bool found;

    read->cart = NULL;
    read->cart_count = 0;
    sqlite3_bind_int64(has_cart, 1, read->user_id);
    TRY(ledger_sqlite_step_one(has_cart, &found));
    read->found = found || (ledger->options.users_external && read->user_id >= 1);
    if (!found)
        return ERR_OK;
    enum err e = sqlite3_column_int64(has_cart, 0) ? read_lines(client->shop.cart, read) : ERR_OK;
    sqlite3_reset(client->shop.cart);
    sqlite3_reset(has_cart);
    return e;
}
