// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "base/mem.h"
#include "ledger/ledger_pg_sales.h"

enum { KNOWN_FIRST = 1024 };

struct known_category {
    int64_t product_id;
    int64_t version;
    struct str category; /* of the arena */
};

void ledger_pg_categories_fini(struct pg_categories *categories)
{
    mem_free(categories->known);
    arena_fini(&categories->arena);
}

static enum err know(void *context, const struct pg_tuple *tuple)
{
    struct pg_categories *categories = context;

    if (!MEM_ROOM(categories->known, categories->count, categories->max, KNOWN_FIRST))
        return ERR_NOMEM;
    struct known_category *known = &categories->known[categories->count++];
    known->product_id = ledger_pg_tuple_int(tuple, 0);
    known->version = ledger_pg_tuple_int(tuple, 2);
    known->category = arena_copy(&categories->arena, tuple->columns[1]);
    return known->category.ptr ? ERR_OK : ERR_NOMEM;
}

enum err ledger_pg_categories_read(PGconn *conn, struct pg_categories *categories)
{
    return ledger_pg_copy(conn,
                          "SELECT product_id, coalesce(category, ''), category_version"
                          " FROM products WHERE category <> '' OR category_version > 0"
                          " ORDER BY product_id",
                          know, categories);
}

static int by_product(const void *a, const void *b)
{
    int64_t x = ((const struct known_category *)a)->product_id,
            y = ((const struct known_category *)b)->product_id;

    return (x > y) - (x < y);
}

struct str ledger_pg_category_of(const struct pg_categories *categories, int64_t product_id,
                                 int64_t *ret_version)
{
    const struct known_category wanted = { .product_id = product_id };
    const struct known_category *known =
        categories->count ? bsearch(&wanted, categories->known, categories->count,
                                    sizeof *categories->known, by_product)
                          : NULL;

    *ret_version = known ? known->version : 0;
    return known ? known->category : STR_NONE;
}
