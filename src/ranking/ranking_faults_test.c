// SPDX-License-Identifier: Apache-2.0
/*
 * Every allocation failed in turn, whichever thread it is in: alone, or with all that follow. What
 * is answered is exact all the same, or unreadable; and after a copy everything is there again.
 */
#include <string.h>

#include "base/mem.h"
#include "ranking/ranking_memory_fixture_test.h"
#include "ranking/ranking_model.h"

#define assert_ok(expr) assert_int_equal((expr), ERR_OK)
enum { PRODUCTS = 60, DAYS = 4, FIRST = 20000 };

/* ---- base/mem.h, for all threads together ---- */

static _Atomic long allocations, fail_at = -1, live;
static _Atomic bool fail_all, failed;

static bool fault_now(void)
{
    long number = atomic_fetch_add(&allocations, 1), at = atomic_load(&fail_at);
    bool now = at >= 0 && (number == at || (number > at && atomic_load(&fail_all)));

    if (now)
        atomic_store(&failed, true);
    return now;
}

void *mem_alloc(size_t size)
{
    void *ptr = fault_now() ? NULL : calloc(1, size);

    atomic_fetch_add(&live, ptr != NULL);
    return ptr;
}

void *mem_resize(void *ptr, size_t size)
{
    void *moved = fault_now() ? NULL : realloc(ptr, size);

    atomic_fetch_add(&live, !ptr && moved);
    return moved;
}

void *mem_free(void *ptr)
{
    atomic_fetch_sub(&live, ptr != NULL);
    free(ptr);
    return NULL;
}

static void faults_begin(long at, bool all)
{
    atomic_store(&allocations, 0);
    atomic_store(&fail_all, all);
    atomic_store(&failed, false);
    atomic_store(&fail_at, at);
}

static bool faults_end(void)
{
    atomic_store(&fail_at, -1);
    return atomic_load(&failed);
}

/* ---- a small shop ---- */

static struct ranking *ranking;
static struct ranking_client *client;
static struct arena arena;
static struct ranking_sum rows[DAYS][PRODUCTS];
static struct str categories[PRODUCTS];
static int64_t category_versions[PRODUCTS];
static int64_t versions;
static bool is_answered;

static void sell(size_t day, size_t product)
{
    struct ranking_sum *row = &rows[day][product];

    versions++;
    *row = (struct ranking_sum){ .day = FIRST + (int64_t)day,
                                 .version = versions,
                                 .sum = { (int64_t)product + 1, row->sum.units + 1, 7, versions },
                                 .category = categories[product],
                                 .category_version = category_versions[product] };
    ranking_put(ranking, row, 1);
}

static void answered(struct ranking_read *read)
{
    (void)read;
    is_answered = true;
}

/* Exact, or not at all. True: exact. */
static bool look(enum sales_window window, struct str category)
{
    struct ranking_model model = { FIRST, DAYS, PRODUCTS, &rows[0][0], categories };
    struct ranking_read read = { .done = answered,
                                 .arena = &arena,
                                 .window = window,
                                 .day = FIRST + DAYS - 1,
                                 .category = category,
                                 .limit = 100 };
    struct sales_sum sums[PRODUCTS];

    is_answered = false;
    for (ranking_read(client, &read); !is_answered;)
        here_turn();
    bool exact = read.outcome == RANKING_OK && read.err == ERR_OK;
    if (exact) {
        size_t count = ranking_model_board(&model, window, read.day, category, sums);
        assert_int_equal(read.entry_count, count);
        for (size_t i = 0; i < count; i++)
            assert_memory_equal(&read.entries[i].sum, &sums[i], sizeof sums[i]);
    } else {
        assert_int_equal(read.outcome, RANKING_UNREADABLE);
        assert_int_equal(read.entry_count, 0);
    }
    arena_fini(&arena);
    return exact;
}

static enum err copy(void)
{
    TRY(ranking_copy_begin(ranking, FIRST - 10));
    for (size_t day = 0; day < DAYS; day++)
        for (size_t product = 0; product < PRODUCTS; product++) {
            rows[day][product].category = categories[product];
            rows[day][product].category_version = category_versions[product];
            if (rows[day][product].version > 0)
                ranking_put(ranking, &rows[day][product], 1);
        }
    return ranking_copy_end(ranking);
}

static void work(void)
{
    static const struct str names[] = { { "a", 1 }, { "b", 1 }, { "c", 1 }, { "d", 1 }, { "e", 1 },
                                        { "f", 1 }, { "g", 1 }, { "h", 1 }, { "i", 1 } };

    look(SALES_DAILY, STR_NONE);
    look(SALES_ROLLING, STR("tea"));
    for (size_t i = 0; i < PRODUCTS; i++) { /* known products on known days, and new ones */
        sell(i % DAYS, i * 7 % PRODUCTS);
        if (i % 7 == 0) {
            categories[i] = names[i / 7];
            ranking_move(ranking, (int64_t)i + 1, categories[i], ++category_versions[i]);
        }
    }
    look(SALES_ROLLING, STR("tea"));
    look(SALES_3DAYS, STR_NONE);
    look(SALES_DAILY, STR_NONE);
}

static void open_half_full(size_t at_once_max)
{
    memset(rows, 0, sizeof rows);
    versions = 0;
    ranking = here_open(2, at_once_max);
    client = ranking_client_new(ranking, here_loop(), NULL);
    assert_non_null(client);
    for (size_t product = 0; product < PRODUCTS; product++)
        categories[product] = STR("tea");
    assert_ok(copy());
    for (size_t product = 0; product < PRODUCTS / 2; product++)
        sell(product % DAYS, product);
}

static bool run(size_t at_once_max, long at, bool all)
{
    long live_before = atomic_load(&live);

    open_half_full(at_once_max);
    faults_begin(at, all);
    work();
    bool hit = faults_end();
    if (ranking_status(ranking).incomplete) {
        assert_true(hit);
        assert_false(look(SALES_DAILY, STR_NONE));
        faults_begin(at % 60, all);
        enum err e = copy();
        faults_end();
        assert_true(e == ERR_OK || ranking_status(ranking).incomplete);
        if (e != ERR_OK)
            assert_ok(copy());
    }
    assert_true(look(SALES_DAILY, STR_NONE));
    assert_true(look(SALES_ROLLING, STR("tea")));
    assert_true(look(SALES_ROLLING, STR("i")));
    assert_true(look(SALES_3DAYS, STR_NONE));
    client = ranking_client_free(client);
    here_close(ranking);
    assert_int_equal(atomic_load(&live), live_before);
    return hit;
}

static void fail_each(size_t at_once_max)
{
    for (int all = 0; all < 2; all++) {
        long at = 0;
        while (run(at_once_max, at, all))
            at++;
        assert_in_range(at, 40, 1000);
    }
}

static void test_made_at_once(void **state)
{
    (void)state;
    fail_each(512);
}

static void test_made_by_thread(void **state)
{
    (void)state;
    fail_each(0);
}

static void test_new(void **state)
{
    long at = 0, live_before = atomic_load(&live);
    struct ranking *made = NULL;

    (void)state;
    for (; !made; at++) {
        faults_begin(at, false);
        made = ranking_memory_new(4);
        assert_true(faults_end() == !made);
    }
    assert_in_range(at, 6, 20);
    ranking_memory_free(made);
    assert_int_equal(atomic_load(&live), live_before);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made_at_once),
        cmocka_unit_test(test_made_by_thread),
        cmocka_unit_test(test_new),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
