// SPDX-License-Identifier: Apache-2.0
#include "api/ranking_json.h"

#include "api/api_json.h"
#include "core/sales.h"
#include "ledger/ledger_shop.h"
#include "ranking/ranking.h"

static const struct json_name window_names[] = {
    { "daily", SALES_DAILY },
    { "weekly", SALES_WEEKLY },
    { "monthly", SALES_MONTHLY },
    { "rolling", SALES_ROLLING },
    { NULL, 0 },
};

static const struct json_name source_names[] = {
    { "redis", RANKING_REDIS },
    { "memory", RANKING_MEMORY },
    { "backup", RANKING_BACKUP },
    { "none", RANKING_NONE },
    { NULL, 0 },
};

#define ABOUT_DATE "A day in the shop's zone; default today."
#define ABOUT_WINDOW                                                                           \
    "What the date stands for: that day, its ISO week, its calendar month, or the 7 days that" \
    " end on it; default daily."
#define ABOUT_SOURCE \
    "Where this is from: the primary (redis or memory), the backup, or nowhere: then it is empty."
#define ABOUT_AS_OF "When it was right; null: never."
#define ABOUT_STALE "The primary could not be read."

static const struct json_row ranking_top_query_rows[] = {
    JSON_DATE(ranking_top_query, date, "date", ABOUT_DATE, "2026-03-06",
              JSON_OPTIONAL(ranking_top_query, date)),
    JSON_INT64(ranking_top_query, limit, "limit", INT64_MIN, INT64_MAX,
               "How many, 1 to 100; anything else, and default: 10.", "10",
               JSON_OPTIONAL(ranking_top_query, limit)),
    JSON_ENUM(ranking_top_query, window, "window", window_names, ABOUT_WINDOW, "daily",
              JSON_OPTIONAL(ranking_top_query, window)),
    JSON_STR(ranking_top_query, category, "category", 1, LEDGER_PRODUCT_CATEGORY_CHARS_MAX,
             "Only products that are in it now.", "books",
             JSON_OPTIONAL(ranking_top_query, category)),
};
const JSON_BODY(ranking_top_query, "RankingTopQuery", "Which board, and how much of it.");

static const struct json_row ranking_place_query_rows[] = {
    JSON_DATE(ranking_place_query, date, "date", ABOUT_DATE, "2026-03-06",
              JSON_OPTIONAL(ranking_place_query, date)),
    JSON_ENUM(ranking_place_query, window, "window", window_names, ABOUT_WINDOW, "daily",
              JSON_OPTIONAL(ranking_place_query, window)),
    JSON_INT64(
        ranking_place_query, around, "around", INT64_MIN, INT64_MAX,
        "Neighbours above, and as many below, 0 to 10; beyond it, the nearer end; default 0.", "2",
        JSON_OPTIONAL(ranking_place_query, around)),
};
const JSON_BODY(ranking_place_query, "RankingPlaceQuery", "Which board, and what of it.");

static const struct json_row ranking_stream_query_rows[] = {
    JSON_ENUM(ranking_stream_query, window, "window", window_names,
              "The window that contains, or ends, today; default daily.", "daily",
              JSON_OPTIONAL(ranking_stream_query, window)),
};
const JSON_BODY(ranking_stream_query, "RankingStreamQuery", "Which board.");

static const struct json_row ranking_entry_answer_rows[] = {
    JSON_INT64(ranking_entry_answer, rank, "rank", 1, INT64_MAX, "From 1, no two alike.", "1",
               JSON_REQUIRED),
    JSON_INT64(ranking_entry_answer, product_id, "productId", INT64_MIN, INT64_MAX, "The product.",
               "1", JSON_REQUIRED),
    JSON_STR(ranking_entry_answer, product_name, "productName", 0, LEDGER_PRODUCT_NAME_CHARS_MAX,
             "Its name now.", "Keyboard", JSON_REQUIRED),
    JSON_INT64(ranking_entry_answer, sales_count, "salesCount", 1, INT64_MAX,
               "Units sold in the window.", "42", JSON_REQUIRED),
};
static const JSON_ANSWER(ranking_entry_answer, "RankingEntry", "One product's place.");

static const struct json_row ranking_top_answer_rows[] = {
    JSON_DATE(ranking_top_answer, date, "date", "The day asked for.", "2026-03-06", JSON_REQUIRED),
    JSON_ARRAY(ranking_top_answer, rankings, "rankings", ranking_entry_answer, 0, RANKING_LIMIT_MAX,
               "By units sold, then who reached that number earlier, then the smaller id.",
               JSON_REQUIRED),
    JSON_ENUM(ranking_top_answer, source, "source", source_names, ABOUT_SOURCE, "memory",
              JSON_REQUIRED),
    JSON_TIME(ranking_top_answer, as_of_ms, "asOf", ABOUT_AS_OF, EXAMPLE_TIME,
              JSON_NULLABLE(ranking_top_answer, as_of_ms)),
    JSON_BOOL(ranking_top_answer, stale, "stale", ABOUT_STALE, "false", JSON_REQUIRED),
};
const JSON_ANSWER(ranking_top_answer, "Ranking", "The first of a board.");

static const struct json_row ranking_place_answer_rows[] = {
    JSON_INT64(ranking_place_answer, product_id, "productId", INT64_MIN, INT64_MAX, "The product.",
               "1", JSON_REQUIRED),
    JSON_DATE(ranking_place_answer, date, "date", "The day asked for.", "2026-03-06",
              JSON_REQUIRED),
    JSON_INT64(ranking_place_answer, rank, "rank", -1, INT64_MAX, "From 1; -1: not ranked.", "2",
               JSON_REQUIRED),
    JSON_INT64(ranking_place_answer, sales_count, "salesCount", 0, INT64_MAX,
               "Units sold in the window.", "40", JSON_REQUIRED),
    JSON_INT64(ranking_place_answer, previous_rank, "previousRank", 1, INT64_MAX,
               "Its rank in the window one step earlier; null: none.", "5",
               JSON_NULLABLE(ranking_place_answer, previous_rank)),
    JSON_ARRAY(ranking_place_answer, neighbours, "neighbours", ranking_entry_answer, 0,
               2 * RANKING_AROUND_MAX, "Best first, without itself.", JSON_REQUIRED),
    JSON_ENUM(ranking_place_answer, source, "source", source_names, ABOUT_SOURCE, "memory",
              JSON_REQUIRED),
    JSON_TIME(ranking_place_answer, as_of_ms, "asOf", ABOUT_AS_OF, EXAMPLE_TIME,
              JSON_NULLABLE(ranking_place_answer, as_of_ms)),
    JSON_BOOL(ranking_place_answer, stale, "stale", ABOUT_STALE, "false", JSON_REQUIRED),
};
const JSON_ANSWER(ranking_place_answer, "RankingPlace", "One product's place and its neighbours.");

static const struct json_row top_product_answer_rows[] = {
    JSON_INT64(top_product_answer, rank, "rank", 1, INT64_MAX, "From 1.", "1", JSON_REQUIRED),
    JSON_INT64(top_product_answer, product_id, "productId", INT64_MIN, INT64_MAX, "The product.",
               "1", JSON_REQUIRED),
    JSON_STR(top_product_answer, name, "name", 0, LEDGER_PRODUCT_NAME_CHARS_MAX, "Its name now.",
             "Keyboard", JSON_REQUIRED),
    JSON_INT64(top_product_answer, sales_count, "salesCount", 1, INT64_MAX, "Units sold.", "42",
               JSON_REQUIRED),
    JSON_INT64(top_product_answer, revenue, "revenue", INT64_MIN, INT64_MAX,
               "Won, before discounts.", "5460000", JSON_REQUIRED),
};
static const JSON_ANSWER(top_product_answer, "TopProduct", "One of those sold most.");

static const struct json_row top_products_answer_rows[] = {
    JSON_STR(top_products_answer, period, "period", 1, 20, "Always the same.", "3days",
             JSON_REQUIRED),
    JSON_ARRAY(top_products_answer, products, "products", top_product_answer, 0, 5,
               "By units sold, then revenue, then the smaller id.", JSON_REQUIRED),
};
const JSON_ANSWER(top_products_answer, "TopProducts",
                  "What was sold most today and on the two days before.");
