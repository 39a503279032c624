// SPDX-License-Identifier: Apache-2.0
#include "ledger/ledger_rows.h"

enum err ledger_decide_product_create(struct ledger_rows *rows,
                                      struct ledger_product_create *create)
{
    struct ledger_product *product = create->product;
    bool chosen = product->product_id == 0;
    struct ledger_product_row *row;

    if (chosen) {
        product->product_id = rows->next_product_id;
        create->taken = rows->next_product_id == INT64_MAX; /* to be had by its name only */
        row = create->taken ? NULL : ledger_rows_add_product(rows, product->product_id);
    } else {
        row = ledger_rows_product(rows, product->product_id);
        create->taken = row->row.found || row->created;
    }
    ledger_id_use(&rows->next_product_id, product->product_id);
    if (create->taken)
        return ERR_OK;
    if (!row)
        return ERR_NOMEM;
    product->held = product->category_version = 0;
    product->created_at_ms = rows->now_ms;
    row->product = *product;
    row->created = row->listed = true;
    rows->product_count++;
    rows->sequences_changed = true;
    return ERR_OK;
}

static void move(struct ledger_product *product, struct str category)
{
    product->category_version += !str_equal(product->category, category);
    product->category = category;
}

enum err ledger_decide_product_change(struct ledger_rows *rows,
                                      struct ledger_product_change *change)
{
    struct ledger_product_row *row = ledger_rows_product(rows, change->product_id);
    const struct ledger_product *to = &change->to;

    change->found = row->row.found || row->created;
    if (!change->found)
        return ERR_OK;
    if (change->has_name)
        row->product.name = to->name;
    if (change->has_description)
        row->product.description = to->description;
    if (change->has_category)
        move(&row->product, to->category);
    if (change->has_price)
        row->product.price = to->price;
    if (change->has_stock)
        row->product.stock = to->stock;
    row->listed |=
        change->has_name || change->has_description || change->has_category || change->has_price;
    row->changed |= row->listed || change->has_stock;
    return ERR_OK;
}
