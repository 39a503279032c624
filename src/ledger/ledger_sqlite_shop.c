// SPDX-License-Identifier: Apache-2.0
/* A batch's products and carts, in and out. A payment changes stock only, which no index holds. */
#include "ledger/ledger_sqlite_internal.h"

enum err ledger_sqlite_shop_prepare(struct sqlite_ledger *ledger)
{
    struct sqlite_shop_statements *s = &ledger->stmt.shop;
    const struct sqlite_sql rows[] = {
        { &s->load_product, "SELECT " PRODUCT_COLUMNS " FROM products WHERE product_id = ?" },
        { &s->load_cart,
          "SELECT count(*), coalesce(max(line), 0) FROM cart_lines WHERE user_id = ?" },
        { &s->load_cart_line,
          "SELECT quantity, line FROM cart_lines WHERE user_id = ? AND product_id = ?" },
        { &s->insert_product,
          "INSERT INTO products (product_id, name, description, category, price,"
          " stock, held, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)" },
        { &s->update_product, "UPDATE products SET name = ?2, description = ?3, category = ?4,"
                              " price = ?5, stock = ?6, held = ?7, category_version = ?8"
                              " WHERE product_id = ?1" },
        { &s->store_stock, "UPDATE products SET stock = ?2, held = ?3 WHERE product_id = ?1" },
        { &s->count_category, "INSERT INTO categories (category, products) VALUES (?1, max(?2, 0))"
                              " ON CONFLICT (category) DO UPDATE SET products = products + ?2" },
        { &s->move_category, "UPDATE store SET category_moved_at = max(category_moved_at, ?)" },
        { &s->store_cart_line,
          "INSERT INTO cart_lines (user_id, product_id, quantity, line) VALUES (?, ?, ?, ?)"
          " ON CONFLICT DO UPDATE SET quantity = excluded.quantity, line = excluded.line" },
        { &s->delete_cart_line, "DELETE FROM cart_lines WHERE user_id = ? AND product_id = ?" },
    };

    return ledger_sqlite_prepare_all(ledger->db, rows, ARRAY_COUNT(rows));
}

enum err ledger_sqlite_product(struct arena *arena, sqlite3_stmt *stmt, int column,
                               struct ledger_product *ret_product)
{
    *ret_product = (struct ledger_product){
        .product_id = sqlite3_column_int64(stmt, column),
        .price = sqlite3_column_int64(stmt, column + 4),
        .stock = sqlite3_column_int64(stmt, column + 5),
        .held = sqlite3_column_int64(stmt, column + 6),
        .created_at_ms = sqlite3_column_int64(stmt, column + 7),
        .category_version = sqlite3_column_int64(stmt, column + 8),
    };
    TRY(ledger_sqlite_text(arena, stmt, column + 1, &ret_product->name));
    TRY(ledger_sqlite_text(arena, stmt, column + 2, &ret_product->description));
    return ledger_sqlite_text(arena, stmt, column + 3, &ret_product->category);
}

/* ---- load ---- */

static enum err load_product(struct arena *arena, sqlite3_stmt *stmt,
                             struct ledger_product_row *row)
{
    sqlite3_bind_int64(stmt, 1, row->row.key.a);
    TRY(ledger_sqlite_step_one(stmt, &row->row.found));
    if (!row->row.found)
        return ERR_OK;
    enum err e = ledger_sqlite_product(arena, stmt, 0, &row->product);
    row->category_before = row->product.category;
    sqlite3_reset(stmt);
    return e;
}

static enum err load_cart(sqlite3_stmt *stmt, struct ledger_cart_row *row)
{
    sqlite3_bind_int64(stmt, 1, row->row.key.a);
    TRY(ledger_sqlite_step_one(stmt, &row->row.found));
    if (!row->row.found)
        return ERR_CORRUPT; /* counting always gives a row */
    row->line_count = sqlite3_column_int64(stmt, 0);
    row->line_max = sqlite3_column_int64(stmt, 1);
    sqlite3_reset(stmt);
    return ERR_OK;
}

static enum err load_cart_line(sqlite3_stmt *stmt, struct ledger_cart_line_row *row)
{
    sqlite3_bind_int64(stmt, 1, row->row.key.a);
    sqlite3_bind_int64(stmt, 2, row->row.key.b);
    TRY(ledger_sqlite_step_one(stmt, &row->row.found));
    if (!row->row.found)
        return ERR_OK;
    row->quantity = sqlite3_column_int64(stmt, 0);
    row->line = sqlite3_column_int64(stmt, 1);
    sqlite3_reset(stmt);
    return ERR_OK;
}

enum err ledger_sqlite_shop_load(struct sqlite_ledger *ledger)
{
    struct ledger_rows *rows = &ledger->rows;
    struct ledger_table *products = &rows->products, *carts = &rows->carts,
                        *lines = &rows->cart_lines;
    struct sqlite_shop_statements *s = &ledger->stmt.shop;

    for (; products->loaded < products->count; products->loaded++)
        TRY(load_product(&rows->arena, s->load_product, products->rows[products->loaded]));
    for (; carts->loaded < carts->count; carts->loaded++)
        TRY(load_cart(s->load_cart, carts->rows[carts->loaded]));
    for (; lines->loaded < lines->count; lines->loaded++)
        TRY(load_cart_line(s->load_cart_line, lines->rows[lines->loaded]));
    return ERR_OK;
}

/* ---- store ---- */

static enum err count_category(sqlite3_stmt *stmt, struct str category, int64_t change)
{
    if (!category.ptr)
        return ERR_OK;
    ledger_sqlite_bind_text(stmt, 1, category);
    sqlite3_bind_int64(stmt, 2, change);
    return sqlite_db_run(stmt);
}

/* How many products a category has is kept, never counted. A product that moves makes the backup's
 * boards out of date, though nothing was sold. */
static enum err store_categories(struct sqlite_shop_statements *s,
                                 const struct ledger_product_row *row, int64_t now_ms)
{
    if (row->created)
        return count_category(s->count_category, row->product.category, 1);
    if (str_equal(row->product.category, row->category_before))
        return ERR_OK;
    sqlite3_bind_int64(s->move_category, 1, now_ms);
    TRY(sqlite_db_run(s->move_category));
    TRY(count_category(s->count_category, row->category_before, -1));
    return count_category(s->count_category, row->product.category, 1);
}

static enum err store_stock(sqlite3_stmt *stmt, const struct ledger_product *product)
{
    sqlite3_bind_int64(stmt, 1, product->product_id);
    sqlite3_bind_int64(stmt, 2, product->stock);
    sqlite3_bind_int64(stmt, 3, product->held);
    return sqlite_db_run(stmt);
}

static enum err store_product(struct sqlite_shop_statements *s,
                              const struct ledger_product_row *row, int64_t now_ms)
{
    const struct ledger_product *product = &row->product;
    sqlite3_stmt *stmt = row->created ? s->insert_product : s->update_product;

    if (!row->created && !row->listed)
        return store_stock(s->store_stock, product);
    TRY(store_categories(s, row, now_ms));
    sqlite3_bind_int64(stmt, 1, product->product_id);
    ledger_sqlite_bind_text(stmt, 2, product->name);
    ledger_sqlite_bind_text(stmt, 3, product->description);
    ledger_sqlite_bind_text(stmt, 4, product->category);
    sqlite3_bind_int64(stmt, 5, product->price);
    sqlite3_bind_int64(stmt, 6, product->stock);
    sqlite3_bind_int64(stmt, 7, product->held);
    sqlite3_bind_int64(stmt, 8, row->created ? product->created_at_ms : product->category_version);
    return sqlite_db_run(stmt);
}

static enum err store_cart_line(struct sqlite_shop_statements *s,
                                const struct ledger_cart_line_row *row)
{
    sqlite3_stmt *stmt = row->quantity ? s->store_cart_line : s->delete_cart_line;

    sqlite3_bind_int64(stmt, 1, row->row.key.a);
    sqlite3_bind_int64(stmt, 2, row->row.key.b);
    if (row->quantity) {
        sqlite3_bind_int64(stmt, 3, row->quantity);
        sqlite3_bind_int64(stmt, 4, row->line);
    }
    return sqlite_db_run(stmt);
}

enum err ledger_sqlite_shop_store(struct sqlite_ledger *ledger)
{
    const struct ledger_table *products = &ledger->rows.products, *lines = &ledger->rows.cart_lines;

    for (size_t i = 0; i < products->count; i++) {
        const struct ledger_product_row *row = products->rows[i];
        if (row->created || row->changed)
            TRY(store_product(&ledger->stmt.shop, row, ledger->rows.now_ms));
    }
    for (size_t i = 0; i < lines->count; i++) {
        const struct ledger_cart_line_row *row = lines->rows[i];
        if (row->changed)
            TRY(store_cart_line(&ledger->stmt.shop, row));
    }
    return ERR_OK;
}
