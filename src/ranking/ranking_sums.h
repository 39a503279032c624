// SPDX-License-Identifier: Apache-2.0
/*
 * The sums of the ledger by product: its days side by side, so that the sum of any window is one
 * short walk. Not thread-safe. 95 to 120 bytes a product, 40 to 60 a day of a product.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "core/sales.h"

struct ranking_day {
    int64_t day, version, units, revenue, reached_ms;
};

/* Its address stays the same, and can be looked at, as long as the sums are there. */
struct ranking_product {
    int64_t product_id;
    int64_t category_version;
    struct ranking_day *days; /* in order */
    uint32_t day_count, day_cap;
    uint32_t category;
    uint32_t place; /* among its category's members */
    uint32_t seen;  /* the reader's own mark */
    bool used;      /* false: no product */
};

enum { RANKING_ALL = 0, RANKING_SHARDS = 1024 }; /* category 0 is everything and has no members */

struct ranking_category {
    char *name;
    size_t len;
    struct ranking_product **members;
    uint32_t count, cap;
};

struct ranking_cell {
    int64_t product_id;
    struct ranking_product *product; /* NULL: empty */
};

struct ranking_shard {
    struct ranking_cell *cells; /* by the hash of their ids */
    uint32_t size, used;        /* size: a power of two, or 0 */
};

struct ranking_sums {
    struct ranking_sums *next_dead;
    struct ranking_category *categories;
    uint32_t category_count, category_cap;
    uint32_t *category_cells; /* category_cap * 2 */
    struct ranking_product **pages;
    size_t page_count, page_cap;
    size_t places; /* records made, used or not: ranking_sums_at() 0..places-1 */
    size_t count;  /* used */
    struct ranking_product *spare;
    size_t trim_at; /* where ranking_sums_trim() goes on */
    struct ranking_shard shards[RANKING_SHARDS];
};

struct ranking_sums *ranking_sums_new(void) MUST_CHECK;
struct ranking_sums *ranking_sums_free(struct ranking_sums *sums);

struct ranking_product *ranking_sums_find(const struct ranking_sums *sums, int64_t product_id);
/* Not there yet. NULL: no memory. */
struct ranking_product *ranking_sums_add(struct ranking_sums *sums, int64_t product_id,
                                         uint32_t category);
struct ranking_product *ranking_sums_at(const struct ranking_sums *sums, size_t place);
/* Records of up to `count` further products lose their days before `day`, and go if they have none
 * left. False: that was the end; the next call begins again. */
bool ranking_sums_trim(struct ranking_sums *sums, int64_t day, size_t count);

struct ranking_day *ranking_product_day(const struct ranking_product *product, int64_t day);
/* Not there yet. NULL: no memory, and nothing has changed. */
struct ranking_day *ranking_product_day_add(struct ranking_product *product, int64_t day);
/* Sums wrap around rather than overflow. */
struct sales_sum ranking_product_sum(const struct ranking_product *product, struct sales_days days);

/* ranking_category.c */

/* False: no product was ever in such a one. */
bool ranking_category_find(const struct ranking_sums *sums, struct str name, uint32_t *ret_index);
/* Made if it is not there; a category stays. */
enum err ranking_category_get(struct ranking_sums *sums, struct str name,
                              uint32_t *ret_index) MUST_CHECK;
/* ERR_NOMEM: nothing has changed. */
enum err ranking_category_join(struct ranking_sums *sums, struct ranking_product *product,
                               uint32_t category) MUST_CHECK;
void ranking_category_leave(struct ranking_sums *sums, struct ranking_product *product);
enum err ranking_category_move(struct ranking_sums *sums, struct ranking_product *product,
                               uint32_t category) MUST_CHECK;
enum err ranking_categories_init(struct ranking_sums *sums) MUST_CHECK;
void ranking_categories_fini(struct ranking_sums *sums);
