// SPDX-License-Identifier: Apache-2.0
/* Handlers and JSON of /api/products and /api/admin/products. */
#pragma once
#include "api/api_page.h"
#include "ledger/ledger.h"

void products_get(struct api_call *call);
void products_list(struct api_call *call);
void admin_products_create(struct api_call *call);
void admin_products_patch(struct api_call *call);

/* What more than an administrator's hand may name. */
#define PRODUCT_PRICE_MAX INT64_C(1000000000000)
#define PRODUCT_STOCK_MAX INT64_C(1000000000000)

enum { PRODUCTS_BY_POPULARITY = LEDGER_PRODUCT_SORT_N };

struct product_answer {
    int64_t product_id, price, stock;
    struct str name, description, category;
    enum json_presence description_is, category_is;
};
struct product_list_answer {
    struct product_answer *products;
    size_t products_count;
    int64_t total_count;
    struct str next_cursor;
    enum json_presence next_cursor_is;
};
struct product_query {
    struct str category;
    int sort; /* enum ledger_product_sort, or PRODUCTS_BY_POPULARITY */
    enum json_presence category_is, sort_is;
    struct page_query page;
};
struct product_create_body {
    int64_t product_id, price, stock;
    struct str name, description, category;
    enum json_presence product_id_is, description_is, category_is;
};
struct product_patch_body {
    int64_t price, stock;
    struct str name, description, category;
    enum json_presence name_is, description_is, price_is, stock_is, category_is;
};
extern const struct json_type product_answer_json, product_list_answer_json, product_query_json,
    product_create_body_json, product_patch_body_json;

/* The product as visitors see it; strings are borrowed. */
struct product_answer product_answer_of(const struct ledger_product *product);
