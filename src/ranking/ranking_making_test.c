// SPDX-License-Identifier: Apache-2.0
/*
 * What happens while the thread makes a board: between any two products, before and after the sort,
 * others sell, move, bring new products and forget, or the ranking is lost. Whatever is answered is
 * what a model says at that moment. Deterministic: the thread does it itself, where it has no lock.
 */
#include <string.h>

#include "base/hash.h"
#include "ranking/ranking_memory_fixture_test.h"
#include "ranking/ranking_model.h"

#define assert_ok(expr) assert_int_equal((expr), ERR_OK)
enum { PRODUCTS = 150, DAYS = 12, FIRST = 20000, BOARDS = 1500 };

static const struct str names[] = { { "", 0 }, { "tea", 3 }, { "cups", 4 } };

static struct ranking *ranking;
static struct ranking_client *client;
static struct arena arena;
static struct ranking_sum rows[DAYS][PRODUCTS];
static struct str categories[PRODUCTS];
static int64_t category_versions[PRODUCTS];
static int64_t versions, from_day;
static bool is_answered, disturbed, faulty;
static uint64_t random_state;
static _Atomic bool pausing;

static uint64_t any(uint64_t below)
{
    random_state = hash_u64(random_state);
    return random_state % below;
}

static void sell(void)
{
    size_t day = any(DAYS), product = any(PRODUCTS);
    struct ranking_sum *row = &rows[day][product];

    if (FIRST + (int64_t)day < from_day)
        return;
    versions++;
    int64_t units = any(3) ? row->sum.units + (int64_t)any(3) : 0;
    *row = (struct ranking_sum){ .day = FIRST + (int64_t)day,
                                 .version = versions,
                                 .sum = { (int64_t)product + 1, units, units * 3, versions / 8 },
                                 .category = categories[product],
                                 .category_version = category_versions[product] };
    ranking_put(ranking, row, 1);
}

static void move(void)
{
    size_t product = any(PRODUCTS);

    categories[product] = names[any(ARRAY_COUNT(names))];
    ranking_move(ranking, (int64_t)product + 1, categories[product], ++category_versions[product]);
}

static void copy(void)
{
    assert_ok(ranking_copy_begin(ranking, from_day));
    for (size_t day = 0; day < DAYS; day++)
        for (size_t product = 0; product < PRODUCTS; product++) {
            rows[day][product].category = categories[product];
            rows[day][product].category_version = category_versions[product];
            if (rows[day][product].version > 0)
                ranking_put(ranking, &rows[day][product], 1);
        }
    assert_ok(ranking_copy_end(ranking));
}

/* Products that have no other days go, and their places are taken by others. */
static void forget(void)
{
    if (from_day >= FIRST + DAYS - 3)
        return;
    from_day++;
    ranking_forget_before(ranking, from_day);
    for (int64_t day = FIRST; day < from_day; day++)
        memset(rows[day - FIRST], 0, sizeof rows[0]);
    disturbed = true;
}

static void lose(void)
{
    if (any(2)) /* and the ledger is another */
        memset(rows, 0, sizeof rows);
    ranking_fault_set(ranking, true);
    ranking_move(ranking, 1, categories[0], category_versions[0]);
    ranking_fault_set(ranking, false);
    copy();
    disturbed = true;
}

static void some(size_t steps)
{
    for (size_t i = 0; i < steps && !faulty; i++) {
        uint64_t what = any(2000);
        if (what < 1600)
            sell();
        else if (what < 1990)
            move();
        else if (what < 1993)
            forget();
        else if (what < 1994)
            lose();
        else if (what < 1995) {
            ranking_fault_set(ranking, true);
            faulty = true;
        }
    }
}

static void pause_making(void)
{
    atomic_store(&pausing, true);
    some(any(20) ? any(4) : any(200));
    atomic_store(&pausing, false);
}

static void answered(struct ranking_read *read)
{
    (void)read;
    is_answered = true;
}

static void read_whole(enum sales_window window, int64_t day, struct str category)
{
    struct ranking_model model = { FIRST, DAYS, PRODUCTS, &rows[0][0], categories };
    static struct sales_sum sums[PRODUCTS];
    struct ranking_read read = { .done = answered,
                                 .arena = &arena,
                                 .window = window,
                                 .day = day,
                                 .category = category,
                                 .limit = 100 };

    disturbed = is_answered = false;
    arena_reset(&arena);
    for (ranking_read(client, &read); !is_answered;)
        here_turn();
    while (atomic_load(&pausing)) /* the board has gone, and with it the answer came early */
        sched_yield();
    assert_ok(read.err);
    if (faulty || read.outcome == RANKING_UNREADABLE) {
        assert_int_equal(read.outcome, RANKING_UNREADABLE);
        assert_true(faulty || disturbed);
        ranking_fault_set(ranking, false);
        faulty = false;
        return;
    }
    if (read.outcome == RANKING_NOT_HELD)
        return;
    size_t count = ranking_model_board(&model, window, day, category, sums);
    assert_int_equal(read.entry_count, MIN(count, 100));
    for (size_t i = 0; i < read.entry_count; i++)
        assert_memory_equal(&read.entries[i].sum, &sums[i], sizeof sums[i]);
}

static void check_boards(void)
{
    struct memory_ranking *memory = memory_ranking_self(ranking);

    memory_lock(memory);
    for (size_t i = 0; i < memory->board_count; i++)
        ranking_tree_check(&memory->boards[i]->tree);
    memory_unlock(memory);
}

static void make_many(uint64_t seed, size_t scan_at_once, size_t boards_max)
{
    random_state = seed;
    versions = 0;
    from_day = FIRST - 40;
    memset(rows, 0, sizeof rows);
    for (size_t i = 0; i < PRODUCTS; i++)
        categories[i] = names[0];
    ranking = here_open(boards_max, 0);
    memory_ranking_self(ranking)->scan_at_once = scan_at_once;
    client = ranking_client_new(ranking, here_loop(), NULL);
    copy();
    memory_lock(memory_ranking_self(ranking));
    memory_ranking_self(ranking)->pause = pause_making;
    memory_unlock(memory_ranking_self(ranking));
    for (size_t i = 0; i < BOARDS; i++) {
        size_t name = any(ARRAY_COUNT(names) + 1);
        read_whole((enum sales_window)any(SALES_WINDOW_N), FIRST + (int64_t)any(DAYS),
                   name < ARRAY_COUNT(names) ? names[name] : STR_NONE);
        some(any(10));
        if (faulty)
            ranking_fault_set(ranking, false);
        faulty = false;
        if (i % 16 == 0)
            check_boards();
    }
    client = ranking_client_free(client);
    here_close(ranking);
    arena_fini(&arena);
}

static void test_product_by_product(void **state)
{
    (void)state;
    make_many(1, 1, 2);
    make_many(2, 1, 6);
}

static void test_some_at_a_time(void **state)
{
    (void)state;
    make_many(3, 17, 3);
    make_many(4, 64, 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_product_by_product),
        cmocka_unit_test(test_some_at_a_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
