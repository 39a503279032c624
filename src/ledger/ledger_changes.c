// SPDX-License-Identifier: Apache-2.0
#include "ledger/ledger_rows.h"

static enum err collect_sales(struct ledger_rows *rows, struct ledger_changes *changes)
{
    struct ledger_sale *sales = arena_alloc(&rows->arena, rows->sales.count * sizeof *sales);

    if (!sales)
        return ERR_NOMEM;
    for (size_t i = 0; i < rows->sales.count; i++) {
        const struct ledger_sale_row *row = rows->sales.rows[i];
        if (row->changed)
            sales[changes->sale_count++] = row->sale;
    }
    changes->sales = sales;
    return ERR_OK;
}

static enum err collect_products(struct ledger_rows *rows, struct ledger_changes *changes)
{
    struct ledger_product_changed *products =
        arena_alloc(&rows->arena, rows->products.count * sizeof *products);

    if (!products)
        return ERR_NOMEM;
    for (size_t i = 0; i < rows->products.count; i++) {
        const struct ledger_product_row *row = rows->products.rows[i];
        if (row->changed || row->created)
            products[changes->product_count++] =
                (struct ledger_product_changed){ .product_id = row->row.key.a,
                                                 .listed = row->created || row->listed,
                                                 .category = row->product.category,
                                                 .category_version =
                                                     row->product.category_version };
    }
    changes->products = products;
    return ERR_OK;
}

enum err ledger_changes_collect(struct ledger_rows *rows, struct ledger_changes *ret_changes)
{
    *ret_changes = (struct ledger_changes){ 0 };
    if (rows->sales.count)
        TRY(collect_sales(rows, ret_changes));
    return rows->products.count ? collect_products(rows, ret_changes) : ERR_OK;
}
