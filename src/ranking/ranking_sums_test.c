// SPDX-License-Identifier: Apache-2.0
/* Products, days and categories against plain arrays; what is forgotten gives its memory back; and
 * the board that goes is the one that is unread for longest. */
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "ranking/ranking_memory_fixture_test.h"

#define assert_ok(expr) assert_int_equal((expr), ERR_OK)
enum { IDS = 6000, DAYS = 20, CATEGORIES = 40 };

static struct ranking_sums *sums;
static int64_t units[IDS][DAYS]; /* 0: no such day */
static uint32_t categories[IDS];
static uint64_t random_state;

static uint64_t any(uint64_t below)
{
    random_state = hash_u64(random_state);
    return random_state % below;
}

static uint32_t category_of(size_t number)
{
    char name[8];
    uint32_t index;

    int n = snprintf(name, sizeof name, "c%zu", number);
    assert_ok(ranking_category_get(sums, (struct str){ name, (size_t)n }, &index));
    return index;
}

static void put(size_t id, size_t day)
{
    struct ranking_product *product = ranking_sums_find(sums, (int64_t)id);

    if (!product) {
        categories[id] = category_of(any(CATEGORIES));
        product = ranking_sums_add(sums, (int64_t)id, categories[id]);
    }
    assert_non_null(product);
    struct ranking_day *row = ranking_product_day(product, (int64_t)day);
    assert_int_equal(row != NULL, units[id][day] != 0);
    if (!row)
        row = ranking_product_day_add(product, (int64_t)day);
    assert_non_null(row);
    row->units = units[id][day] = 1 + (int64_t)any(9);
}

static size_t days_of(size_t id)
{
    size_t count = 0;

    for (size_t day = 0; day < DAYS; day++)
        count += units[id][day] != 0;
    return count;
}

static void expect_product(size_t id)
{
    const struct ranking_product *product = ranking_sums_find(sums, (int64_t)id);
    struct sales_days days = { (int64_t)any(DAYS), (int64_t)any(DAYS) };
    int64_t sum = 0;

    assert_int_equal(product != NULL, days_of(id) > 0);
    if (!product)
        return;
    assert_int_equal(product->product_id, id);
    assert_int_equal(product->day_count, days_of(id));
    assert_int_equal(product->category, categories[id]);
    assert_ptr_equal(sums->categories[product->category].members[product->place], product);
    for (int64_t day = days.from; day <= days.to; day++)
        sum += units[id][day];
    assert_int_equal(ranking_product_sum(product, days).units, sum);
}

static void expect_all(void)
{
    size_t products = 0, members = 0;

    for (size_t id = 0; id < IDS; id++) {
        expect_product(id);
        products += days_of(id) > 0;
    }
    for (uint32_t i = 0; i < sums->category_count; i++)
        members += sums->categories[i].count;
    assert_int_equal(sums->count, products);
    assert_int_equal(members, products);
}

static void trim(size_t before)
{
    while (ranking_sums_trim(sums, (int64_t)before, 100))
        ;
    for (size_t id = 0; id < IDS; id++)
        memset(units[id], 0, before * sizeof units[id][0]);
}

static void move(size_t id)
{
    struct ranking_product *product = ranking_sums_find(sums, (int64_t)id);

    if (!product)
        return;
    categories[id] = category_of(any(CATEGORIES));
    assert_ok(ranking_category_move(sums, product, categories[id]));
}

static void test_sums(void **state)
{
    (void)state;
    long live = mem_live_count();
    sums = ranking_sums_new();
    assert_non_null(sums);
    for (size_t round = 0; round < 2; round++) {
        for (size_t before = 0; before <= DAYS; before += 5) {
            trim(before);
            expect_all();
            for (size_t i = 0; i < 4000; i++) {
                put(any(IDS), any(DAYS));
                move(any(IDS));
            }
            expect_all();
        }
        trim(DAYS);
        expect_all();
        assert_int_equal(sums->count, 0);
    }
    assert_in_range(sums->places, 1, IDS); /* places are used again */
    sums = ranking_sums_free(sums);
    assert_int_equal(mem_live_count(), live);
}

static void put_one(struct ranking *ranking, int64_t day, int64_t product)
{
    ranking_put(ranking,
                &(struct ranking_sum){
                    .day = day, .version = 1, .sum = { product, 1, 1, 1 }, .category = STR("") },
                1);
}

/* By and by, with what is put: four products each time. */
static void test_forget(void **state)
{
    struct ranking *ranking = here_open(4, 512);
    struct memory_ranking *memory = memory_ranking_self(ranking);

    (void)state;
    assert_ok(ranking_copy_begin(ranking, 100));
    assert_ok(ranking_copy_end(ranking));
    for (int64_t product = 1; product <= 400; product++)
        put_one(ranking, 100 + product % 2, product);
    ranking_forget_before(ranking, 101);
    put_one(ranking, 100, 1); /* not held */
    for (int64_t product = 1001; product <= 1049; product++)
        put_one(ranking, 102, product);
    ranking_forget_before(ranking, 102); /* in the middle: from the beginning */
    assert_in_range(memory->sums->count, 250, 350);
    for (int64_t product = 1101; product <= 1200; product++)
        put_one(ranking, 102, product);
    put_one(ranking, 101, 1);
    assert_int_equal(memory->sums->count, 149);
    here_close(ranking);
}

static void count_answer(struct ranking_read *read)
{
    (void)read;
}

static void test_least_recently_read(void **state)
{
    static const struct {
        int64_t day, gone;
    } rows[] = { { 1, 0 }, { 2, 0 }, { 3, 0 }, { 1, 0 }, { 4, 2 }, { 3, 0 }, { 2, 1 }, { 1, 4 } };
    struct ranking *ranking = here_open(3, 512);
    struct memory_ranking *memory = memory_ranking_self(ranking);
    struct ranking_client *client = ranking_client_new(ranking, here_loop(), NULL);
    struct arena arena = { 0 };

    (void)state;
    assert_ok(ranking_copy_begin(ranking, 0));
    assert_ok(ranking_copy_end(ranking));
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct ranking_read read = {
            .done = count_answer, .arena = &arena, .day = rows[i].day, .limit = 1
        };
        ranking_read(client, &read);
        here_turn();
        bool there = false;
        for (size_t j = 0; j < memory->board_count; j++) {
            assert_true(memory->boards[j]->days.from != rows[i].gone);
            there |= memory->boards[j]->days.from == rows[i].day;
        }
        assert_true(there);
        assert_true(memory->board_count <= 3);
    }
    arena_fini(&arena);
    ranking_client_free(client);
    here_close(ranking);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_forget),
        cmocka_unit_test(test_least_recently_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
