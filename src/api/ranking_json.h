// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "json/json_bind.h"

enum ranking_source { RANKING_REDIS, RANKING_MEMORY, RANKING_BACKUP, RANKING_NONE };

struct ranking_top_query {
    int64_t date, limit;
    int window; /* enum sales_window */
    struct str category;
    enum json_presence date_is, limit_is, window_is, category_is;
};
struct ranking_place_query {
    int64_t date, around;
    int window;
    enum json_presence date_is, around_is, window_is;
};
struct ranking_stream_query {
    int window;
    enum json_presence window_is;
};

struct ranking_entry_answer {
    int64_t rank, product_id, sales_count;
    struct str product_name;
};
struct ranking_top_answer {
    int64_t date;
    struct ranking_entry_answer *rankings;
    size_t rankings_count;
    int source; /* enum ranking_source */
    int64_t as_of_ms;
    enum json_presence as_of_ms_is;
    bool stale;
};
struct ranking_place_answer {
    int64_t product_id, date, rank, sales_count, previous_rank;
    enum json_presence previous_rank_is;
    struct ranking_entry_answer *neighbours;
    size_t neighbours_count;
    int source;
    int64_t as_of_ms;
    enum json_presence as_of_ms_is;
    bool stale;
};
struct top_product_answer {
    int64_t rank, product_id, sales_count, revenue;
    struct str name;
};
struct top_products_answer {
    struct str period;
    struct top_product_answer *products;
    size_t products_count;
};

extern const struct json_type ranking_top_query_json, ranking_place_query_json,
    ranking_stream_query_json, ranking_top_answer_json, ranking_place_answer_json,
    top_products_answer_json;
