// SPDX-License-Identifier: Apache-2.0
#include "api/products.h"

#define NAME_CHARS_MAX LEDGER_PRODUCT_NAME_CHARS_MAX
#define DESCRIPTION_MAX LEDGER_PRODUCT_DESCRIPTION_CHARS_MAX
#define CATEGORY_MAX LEDGER_PRODUCT_CATEGORY_CHARS_MAX

static const struct json_row product_answer_rows[] = {
    JSON_INT64(product_answer, product_id, "productId", 1, INT64_MAX, "Id.", "1", JSON_REQUIRED),
    JSON_STR(product_answer, name, "name", 1, NAME_CHARS_MAX, "Name.", "노트북", JSON_REQUIRED),
    JSON_STR(product_answer, description, "description", 0, DESCRIPTION_MAX, "What it is.",
             "가볍고 빠른 15인치 노트북", JSON_NULLABLE(product_answer, description)),
    JSON_INT64(product_answer, price, "price", 0, INT64_MAX, "Won, each.", "1500000",
               JSON_REQUIRED),
    JSON_INT64(product_answer, stock, "stock", 0, INT64_MAX, "How many can be bought.", "10000",
               JSON_REQUIRED),
    JSON_STR(product_answer, category, "category", 1, CATEGORY_MAX, "Category.", "전자제품",
             JSON_NULLABLE(product_answer, category)),
};
const JSON_ANSWER(product_answer, "Product", "A product.");

static const struct json_row product_list_answer_rows[] = {
    JSON_ARRAY(product_list_answer, products, "products", product_answer, 0, 100,
               "In the order that was asked for.", JSON_REQUIRED),
    JSON_INT64(product_list_answer, total_count, "totalCount", 0, INT64_MAX,
               "Products on all pages.", "21", JSON_REQUIRED),
    JSON_STR(product_list_answer, next_cursor, "nextCursor", 1, 100, "Null at the end.", "i-0-14",
             JSON_NULLABLE(product_list_answer, next_cursor)),
};
const JSON_ANSWER(product_list_answer, "ProductList", "A page of products.");

static const struct json_name sort_names[] = {
    { "price", LEDGER_PRODUCTS_BY_PRICE },           { "price_asc", LEDGER_PRODUCTS_BY_PRICE },
    { "price_desc", LEDGER_PRODUCTS_BY_PRICE_DOWN }, { "newest", LEDGER_PRODUCTS_NEWEST },
    { "popularity", PRODUCTS_BY_POPULARITY },        { NULL, 0 },
};
static const struct json_row product_query_rows[] = {
    JSON_STR(product_query, category, "category", 1, CATEGORY_MAX, "Only of this category.", "도서",
             JSON_OPTIONAL(product_query, category)),
    JSON_ENUM(
        product_query, sort, "sort", sort_names,
        "By id if missing; price is price_asc; popularity counts the units sold in seven days.",
        "price", JSON_OPTIONAL(product_query, sort)),
    PAGE_ROWS(product_query, page.limit, page.cursor, "i-0-14"),
};
const JSON_BODY(product_query, "ProductQuery", "Which products.");

static const struct json_row product_create_body_rows[] = {
    JSON_INT64(product_create_body, product_id, "productId", 1, INT64_MAX,
               "Its id; the next free one if missing.", "22",
               JSON_NULLABLE(product_create_body, product_id)),
    JSON_STR(product_create_body, name, "name", 1, NAME_CHARS_MAX, "Name.", "태블릿",
             JSON_REQUIRED),
    JSON_STR(product_create_body, description, "description", 0, DESCRIPTION_MAX, "What it is.",
             "11인치 태블릿", JSON_NULLABLE(product_create_body, description)),
    JSON_INT64(product_create_body, price, "price", 0, PRODUCT_PRICE_MAX, "Won, each.", "650000",
               JSON_REQUIRED),
    JSON_INT64(product_create_body, stock, "stock", 0, PRODUCT_STOCK_MAX, "How many there are.",
               "100", JSON_REQUIRED),
    JSON_STR(product_create_body, category, "category", 1, CATEGORY_MAX, "Category.", "전자제품",
             JSON_NULLABLE(product_create_body, category)),
};
const JSON_BODY(product_create_body, "ProductCreateRequest", "A new product.");

static const struct json_row product_patch_body_rows[] = {
    JSON_STR(product_patch_body, name, "name", 1, NAME_CHARS_MAX, "Name.", "태블릿 프로",
             JSON_OPTIONAL(product_patch_body, name)),
    JSON_STR(product_patch_body, description, "description", 0, DESCRIPTION_MAX,
             "What it is; null: nothing is said.", "13인치 태블릿",
             JSON_NULLABLE(product_patch_body, description)),
    JSON_INT64(product_patch_body, price, "price", 0, PRODUCT_PRICE_MAX, "Won, each.", "700000",
               JSON_OPTIONAL(product_patch_body, price)),
    JSON_INT64(product_patch_body, stock, "stock", 0, PRODUCT_STOCK_MAX,
               "How many can be bought, beside those that are being paid for.", "100",
               JSON_OPTIONAL(product_patch_body, stock)),
    JSON_STR(product_patch_body, category, "category", 1, CATEGORY_MAX, "Category; null: none.",
             "전자제품", JSON_NULLABLE(product_patch_body, category)),
};
const JSON_BODY(product_patch_body, "ProductPatchRequest", "What to change.");
