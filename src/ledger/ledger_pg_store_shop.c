// SPDX-License-Identifier: Apache-2.0
/* Products, categories, carts, boards of the backup: into the database. A payment changes stock
 * only, which no index holds. */
#include "ledger/ledger_boards.h"
#include "ledger/ledger_pg_internal.h"
#include "ledger/ledger_pg_store.h"

/* ---- categories: the store's row is locked wherever products are made or changed ---- */

static void count_category(struct pg_trip *trip, struct str category, int64_t change)
{
    if (!category.ptr)
        return;
    trip_add(trip, PG_STORE_ROWS,
             "INSERT INTO categories AS c (category, products) VALUES ($1, greatest($2, 0))"
             " ON CONFLICT (category) DO UPDATE SET products = c.products + $2");
    trip_text(trip, category);
    trip_int(trip, change);
}

/* How many products a category has is kept, never counted. A product that moves makes the backup's
 * boards out of date, though nothing was sold, and is noted for those who copy to a shared ranking:
 * on a day on which nothing was sold. */
static void add_category(struct pg_trip *trip, const struct ledger_product_row *row, int64_t now_ms)
{
    if (row->created) {
        count_category(trip, row->product.category, 1);
        return;
    }
    if (str_equal(row->product.category, row->category_before))
        return;
    trip_add(trip, PG_STORE_ROWS,
             "UPDATE store SET category_moved_at = greatest(category_moved_at, $1)");
    trip_int(trip, now_ms);
    trip_add(trip, PG_STORE_ROWS, "INSERT INTO sales_outbox (day, product_id) VALUES (0, $1)");
    trip_int(trip, row->product.product_id);
    count_category(trip, row->category_before, -1);
    count_category(trip, row->product.category, 1);
}

/* ---- products: made and changed one at a time, sold many at once ---- */

static void add_product(struct pg_trip *trip, const struct ledger_product_row *row, int64_t now_ms)
{
    const struct ledger_product *product = &row->product;

    add_category(trip, row, now_ms);
    trip_add(trip, PG_STORE_ROWS,
             row->created ? "INSERT INTO products (" PG_PRODUCT_COLUMNS ") VALUES"
                            " ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
                          : "UPDATE products SET name = $2, description = $3, category = $4,"
                            " price = $5, stock = $6, held = $7, category_version = $8"
                            " WHERE product_id = $1");
    trip_int(trip, product->product_id);
    trip_text(trip, product->name);
    trip_text(trip, product->description);
    trip_text(trip, product->category);
    trip_int(trip, product->price);
    trip_int(trip, product->stock);
    trip_int(trip, product->held);
    if (row->created)
        trip_int(trip, product->created_at_ms);
    trip_int(trip, product->category_version);
}

static void add_products(struct pg_trip *trip, const struct ledger_rows *rows)
{
    struct pg_store_rows products = {
        .trip = trip,
        .sql = "UPDATE products p SET stock = v.stock, held = v.held FROM"
               " unnest($1::bigint[], $2::bigint[], $3::bigint[])"
               " AS v(product_id, stock, held) WHERE p.product_id = v.product_id",
        .kinds = "iii",
    };

    for (size_t i = 0; i < rows->products.count; i++) {
        const struct ledger_product_row *row = rows->products.rows[i];
        if (row->created || row->listed)
            add_product(trip, row, rows->now_ms);
    }
    for (size_t i = 0; i < rows->products.count; i++) {
        const struct ledger_product_row *row = rows->products.rows[i];
        if (!row->changed || row->created || row->listed)
            continue;
        unsigned at = pg_store_begin(&products);
        trip_put(trip, at, row->product.product_id);
        trip_put(trip, at + 1, row->product.stock);
        trip_put(trip, at + 2, row->product.held);
    }
}

/* ---- carts ---- */

static void add_cart_lines(struct pg_trip *trip, const struct ledger_table *lines)
{
    struct pg_store_rows carts = {
        .trip = trip,
        .sql = "INSERT INTO cart_lines (user_id, product_id, quantity, line) SELECT * FROM"
               " unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])"
               " ON CONFLICT (user_id, product_id) DO UPDATE SET"
               " quantity = excluded.quantity, line = excluded.line",
        .kinds = "iiii",
    };

    for (size_t i = 0; i < lines->count; i++) {
        const struct ledger_cart_line_row *row = lines->rows[i];
        if (!row->changed || row->quantity == 0)
            continue;
        unsigned at = pg_store_begin(&carts);
        trip_put(trip, at, row->row.key.a);
        trip_put(trip, at + 1, row->row.key.b);
        trip_put(trip, at + 2, row->quantity);
        trip_put(trip, at + 3, row->line);
    }
}

static void add_cart_lines_removed(struct pg_trip *trip, const struct ledger_table *lines)
{
    struct pg_store_rows carts = {
        .trip = trip,
        .sql = "DELETE FROM cart_lines WHERE (user_id, product_id) IN"
               " (SELECT * FROM unnest($1::bigint[], $2::bigint[]))",
        .kinds = "ii",
    };

    for (size_t i = 0; i < lines->count; i++) {
        const struct ledger_cart_line_row *row = lines->rows[i];
        if (!row->changed || row->quantity != 0 || !row->row.found)
            continue;
        unsigned at = pg_store_begin(&carts);
        trip_put(trip, at, row->row.key.a);
        trip_put(trip, at + 1, row->row.key.b);
    }
}

void ledger_pg_store_shop_add(struct pg_writer *writer)
{
    add_products(&writer->trip, &writer->rows);
    add_cart_lines(&writer->trip, &writer->rows.cart_lines);
    add_cart_lines_removed(&writer->trip, &writer->rows.cart_lines);
}

/* ---- boards ---- */

enum err ledger_pg_boards_add(struct pg_writer *writer, struct ledger_boards_store *store)
{
    CLEANUP(buf_fini) struct buf entries = { 0 };
    struct pg_trip *trip = &writer->trip;

    store->written = store->forgotten = 0;
    if (store->board_count) {
        trip_add(trip, PG_STORE_BOARDS,
                 "INSERT INTO boards AS b (sales_window, day, category, version, made_at, entries)"
                 " SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[],"
                 " $5::bigint[], $6::text[]) ORDER BY 1, 2, 3"
                 " ON CONFLICT (sales_window, day, category) DO UPDATE SET"
                 " version = excluded.version, made_at = excluded.made_at,"
                 " entries = excluded.entries WHERE excluded.version > b.version"
                 " OR (excluded.version = b.version AND excluded.made_at > b.made_at"
                 " AND b.made_at <= (SELECT category_moved_at + 10000 FROM store))");
        unsigned at = trip_arrays(trip, "iitiit");
        for (size_t i = 0; i < store->board_count; i++) {
            const struct ledger_board *board = &store->boards[i];
            ledger_board_render(&entries, board);
            if (!buf_ok(&entries))
                return ERR_NOMEM;
            trip_put(trip, at, (int64_t)board->window);
            trip_put(trip, at + 1, board->day);
            trip_put_text(trip, at + 2, board->category.len ? board->category : STR(""));
            trip_put(trip, at + 3, board->version);
            trip_put(trip, at + 4, board->made_at_ms);
            trip_put_text(trip, at + 5, buf_str(&entries));
        }
    }
    trip_add(trip, PG_STORE_FORGOTTEN_BOARDS, "DELETE FROM boards WHERE day < $1");
    trip_int(trip, store->forget_before_day);
    return ERR_OK;
}
