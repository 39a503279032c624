// SPDX-License-Identifier: Apache-2.0
/* Products in pages, which never move, and found by a table in shards, so that no single put pays
 * for making all of it bigger. */
#include "ranking/ranking_sums.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

enum { SHARD_MIN = 4, PAGE_PRODUCTS = 256, PAGES_MIN = 8, DAYS_MIN = 2 };

struct ranking_sums *ranking_sums_new(void)
{
    struct ranking_sums *sums = mem_alloc(sizeof *sums);

    if (sums && ranking_categories_init(sums) != ERR_OK)
        return mem_free(sums);
    return sums;
}

struct ranking_sums *ranking_sums_free(struct ranking_sums *sums)
{
    if (!sums)
        return NULL;
    for (size_t i = 0; i < sums->places; i++)
        if (ranking_sums_at(sums, i)->used)
            mem_free(ranking_sums_at(sums, i)->days);
    for (size_t i = 0; i < sums->page_count; i++)
        mem_free(sums->pages[i]);
    mem_free(sums->pages);
    for (size_t i = 0; i < RANKING_SHARDS; i++)
        mem_free(sums->shards[i].cells);
    ranking_categories_fini(sums);
    return mem_free(sums);
}

/* ---- the table: linear probing, at most three quarters full ---- */

static size_t shard_of(uint64_t hash)
{
    return hash % RANKING_SHARDS;
}

static uint32_t home_of(const struct ranking_shard *shard, uint64_t hash)
{
    return (uint32_t)(hash >> 32) & (shard->size - 1);
}

/* Its cell, or the empty one where it would be. */
static uint32_t cell_of(const struct ranking_shard *shard, uint64_t hash, int64_t product_id)
{
    uint32_t i = home_of(shard, hash);

    while (shard->cells[i].product && shard->cells[i].product_id != product_id)
        i = (i + 1) & (shard->size - 1);
    return i;
}

static enum err shard_grow(struct ranking_shard *shard)
{
    struct ranking_shard bigger = { .size = shard->size ? shard->size * 2 : SHARD_MIN,
                                    .used = shard->used };

    bigger.cells = mem_alloc(bigger.size * sizeof *bigger.cells);
    if (!bigger.cells)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < shard->size; i++) {
        const struct ranking_cell *cell = &shard->cells[i];
        uint64_t hash = hash_u64((uint64_t)cell->product_id);
        if (cell->product)
            bigger.cells[cell_of(&bigger, hash, cell->product_id)] = *cell;
    }
    mem_free(shard->cells);
    *shard = bigger;
    return ERR_OK;
}

/* What follows without a gap moves up, or it would not be found any more. */
static void shard_remove(struct ranking_shard *shard, int64_t product_id)
{
    uint32_t mask = shard->size - 1;
    uint32_t gap = cell_of(shard, hash_u64((uint64_t)product_id), product_id);

    for (uint32_t i = (gap + 1) & mask; shard->cells[i].product; i = (i + 1) & mask) {
        uint32_t home = home_of(shard, hash_u64((uint64_t)shard->cells[i].product_id));
        if (((i - home) & mask) >= ((i - gap) & mask)) {
            shard->cells[gap] = shard->cells[i];
            gap = i;
        }
    }
    shard->cells[gap].product = NULL;
    shard->used--;
}

struct ranking_product *ranking_sums_find(const struct ranking_sums *sums, int64_t product_id)
{
    uint64_t hash = hash_u64((uint64_t)product_id);
    const struct ranking_shard *shard = &sums->shards[shard_of(hash)];

    return shard->size ? shard->cells[cell_of(shard, hash, product_id)].product : NULL;
}

/* ---- records ---- */

struct ranking_product *ranking_sums_at(const struct ranking_sums *sums, size_t place)
{
    return &sums->pages[place / PAGE_PRODUCTS][place % PAGE_PRODUCTS];
}

static enum err page_add(struct ranking_sums *sums)
{
    if (!MEM_ROOM(sums->pages, sums->page_count, sums->page_cap, PAGES_MIN))
        return ERR_NOMEM;
    struct ranking_product *page = mem_alloc(PAGE_PRODUCTS * sizeof *page);
    if (!page)
        return ERR_NOMEM;
    sums->pages[sums->page_count++] = page;
    return ERR_OK;
}

/* A spare record's next one is in `days`. */
static struct ranking_product *record_take(struct ranking_sums *sums)
{
    struct ranking_product *product = sums->spare;

    if (product) {
        sums->spare = (void *)product->days;
        *product = (struct ranking_product){ 0 };
        return product;
    }
    if (sums->places == sums->page_count * PAGE_PRODUCTS && page_add(sums) != ERR_OK)
        return NULL;
    return ranking_sums_at(sums, sums->places++);
}

static void record_give(struct ranking_sums *sums, struct ranking_product *product)
{
    *product = (struct ranking_product){ .days = (void *)sums->spare };
    sums->spare = product;
}

struct ranking_product *ranking_sums_add(struct ranking_sums *sums, int64_t product_id,
                                         uint32_t category)
{
    uint64_t hash = hash_u64((uint64_t)product_id);
    struct ranking_shard *shard = &sums->shards[shard_of(hash)];

    if ((shard->used + 1) * 4 > shard->size * 3 && shard_grow(shard) != ERR_OK)
        return NULL;
    struct ranking_product *product = record_take(sums);
    if (!product)
        return NULL;
    if (ranking_category_join(sums, product, category) != ERR_OK) {
        record_give(sums, product);
        return NULL;
    }
    product->product_id = product_id;
    product->used = true;
    shard->cells[cell_of(shard, hash, product_id)] = (struct ranking_cell){ product_id, product };
    shard->used++;
    sums->count++;
    return product;
}

static void product_remove(struct ranking_sums *sums, struct ranking_product *product)
{
    size_t shard = shard_of(hash_u64((uint64_t)product->product_id));

    shard_remove(&sums->shards[shard], product->product_id);
    ranking_category_leave(sums, product);
    mem_free(product->days);
    record_give(sums, product);
    sums->count--;
}

static void days_trim(struct ranking_product *product, int64_t day)
{
    uint32_t gone = 0;

    while (gone < product->day_count && product->days[gone].day < day)
        gone++;
    if (gone == 0)
        return;
    product->day_count -= gone;
    memmove(product->days, &product->days[gone], product->day_count * sizeof *product->days);
}

bool ranking_sums_trim(struct ranking_sums *sums, int64_t day, size_t count)
{
    for (; count > 0 && sums->trim_at < sums->places; count--) {
        struct ranking_product *product = ranking_sums_at(sums, sums->trim_at++);
        if (!product->used)
            continue;
        days_trim(product, day);
        if (product->day_count == 0)
            product_remove(sums, product);
    }
    if (sums->trim_at < sums->places)
        return true;
    sums->trim_at = 0;
    return false;
}

/* ---- days: the last ones are asked for most ---- */

/* How many of them are before `day`. */
static uint32_t days_before(const struct ranking_product *product, int64_t day)
{
    uint32_t i = product->day_count;

    while (i > 0 && product->days[i - 1].day >= day)
        i--;
    return i;
}

struct ranking_day *ranking_product_day(const struct ranking_product *product, int64_t day)
{
    uint32_t i = days_before(product, day);

    return i < product->day_count && product->days[i].day == day ? &product->days[i] : NULL;
}

struct ranking_day *ranking_product_day_add(struct ranking_product *product, int64_t day)
{
    if (product->day_count == product->day_cap) {
        uint32_t cap = product->day_cap + product->day_cap / 2 + DAYS_MIN;
        struct ranking_day *moved = mem_resize(product->days, cap * sizeof *moved);
        if (!moved)
            return NULL;
        product->days = moved;
        product->day_cap = cap;
    }
    uint32_t i = days_before(product, day);
    struct ranking_day *place = &product->days[i];
    memmove(place + 1, place, (product->day_count - i) * sizeof *place);
    product->day_count++;
    *place = (struct ranking_day){ .day = day };
    return place;
}

static int64_t add_wrapping(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

struct sales_sum ranking_product_sum(const struct ranking_product *product, struct sales_days days)
{
    struct sales_sum sum = { .product_id = product->product_id };
    uint32_t i = product->day_count;

    while (i > 0 && product->days[i - 1].day > days.to)
        i--;
    for (; i > 0 && product->days[i - 1].day >= days.from; i--) {
        const struct ranking_day *day = &product->days[i - 1];
        sum.units = add_wrapping(sum.units, day->units);
        sum.revenue = add_wrapping(sum.revenue, day->revenue);
        sum.reached_ms = MAX(sum.reached_ms, day->reached_ms);
    }
    return sum;
}
