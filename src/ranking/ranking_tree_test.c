// SPDX-License-Identifier: Apache-2.0
/* Trees against a sorted array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "ranking/ranking_tree.h"

#define assert_ok(expr) assert_int_equal((expr), ERR_OK)
enum { MODEL_MAX = 20000, PAGE = 100 };

static struct sales_sum model[MODEL_MAX];
static size_t model_count;
static enum sales_window window;
static uint64_t random_state;

static uint64_t any(uint64_t below)
{
    random_state = hash_u64(random_state);
    return random_state % below;
}

/* Few different units and times, so that every part of the order matters. */
static struct sales_sum any_sum(uint64_t ids)
{
    return (struct sales_sum){ .product_id = (int64_t)any(ids) + 1,
                               .units = (int64_t)any(5) + 1,
                               .revenue = (int64_t)any(4),
                               .reached_ms = (int64_t)any(4) };
}

static size_t model_before(const struct sales_sum *sum)
{
    size_t low = 0, high = model_count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (sales_compare(window, &model[middle], sum) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool model_has(size_t at, const struct sales_sum *sum)
{
    return at < model_count && sales_compare(window, &model[at], sum) == 0;
}

static void expect_same(const struct ranking_tree *tree)
{
    struct ranking_entry page[PAGE];
    size_t offset = any(model_count + 20), max = any(PAGE) + 1;
    size_t count = ranking_tree_page(tree, offset, max, page);
    struct sales_sum some = any_sum(MODEL_MAX);

    assert_int_equal(tree->count, model_count);
    assert_int_equal(count, offset >= model_count ? 0 : MIN(max, model_count - offset));
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(page[i].rank, offset + i + 1);
        assert_memory_equal(&page[i].sum, &model[offset + i], sizeof some);
    }
    assert_int_equal(ranking_tree_before(tree, &some), model_before(&some));
}

static void add_or_remove(struct ranking_tree *tree, const struct sales_sum *sum)
{
    size_t at = model_before(sum);

    if (model_has(at, sum)) {
        ranking_tree_remove(tree, &model[at]);
        memmove(&model[at], &model[at + 1], (model_count - at - 1) * sizeof *model);
        model_count--;
    } else if (model_count < MODEL_MAX) {
        assert_ok(ranking_tree_add(tree, sum));
        memmove(&model[at + 1], &model[at], (model_count - at) * sizeof *model);
        model[at] = *sum;
        model_count++;
    }
}

static void grow_and_shrink(uint64_t seed, uint64_t ids, size_t steps)
{
    struct ranking_tree tree;

    random_state = seed;
    window = seed % 2 ? SALES_3DAYS : SALES_DAILY;
    model_count = 0;
    ranking_tree_init(&tree, window);
    for (size_t i = 0; i < steps; i++) {
        struct sales_sum sum = any_sum(ids);
        add_or_remove(&tree, &sum);
        if (i % 256 == 0) {
            ranking_tree_check(&tree);
            expect_same(&tree);
        }
    }
    for (size_t i = 0; model_count > 0; i++) { /* from the front, the end, anywhere */
        size_t at = seed % 3 == 0 ? 0 : seed % 3 == 1 ? model_count - 1 : any(model_count);
        struct sales_sum sum = model[at];
        add_or_remove(&tree, &sum);
        if (i % 128 == 0)
            ranking_tree_check(&tree);
    }
    ranking_tree_check(&tree);
    expect_same(&tree);
    ranking_tree_fini(&tree);
}

static void test_random(void **state)
{
    static const uint64_t ids[] = { 1, 3, 40, 1000, 100000 };

    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++)
        for (size_t i = 0; i < ARRAY_COUNT(ids); i++)
            grow_and_shrink(seed, ids[i], 12000);
}

static int compare_daily(const void *a, const void *b)
{
    return sales_compare(SALES_DAILY, a, b);
}

static void load(struct ranking_tree *tree, size_t count)
{
    window = SALES_DAILY;
    for (size_t i = 0; i < count; i++) {
        model[i] = any_sum(1);
        model[i].product_id = (int64_t)i + 1;
    }
    model_count = count;
    qsort(model, count, sizeof *model, compare_daily);
    ranking_tree_init(tree, window);
    assert_ok(ranking_tree_load(tree, model, count));
}

static void test_load(void **state)
{
    static const size_t counts[] = { 0,  1,   8,   22,   23,   24,   31,   32,
                                     46, 391, 392, 1000, 6647, 6648, 10000 };
    struct ranking_tree tree;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(counts); i++) {
        random_state = i;
        load(&tree, counts[i]);
        for (size_t j = 0; j < 3000; j++) {
            if (j % 500 == 0) {
                ranking_tree_check(&tree);
                expect_same(&tree);
            }
            struct sales_sum sum = any_sum(20000);
            add_or_remove(&tree, &sum);
        }
        ranking_tree_fini(&tree);
    }
}

/* What is taken from a full tree's memory is used again. */
static void test_memory(void **state)
{
    struct ranking_tree tree;

    (void)state;
    random_state = 1;
    load(&tree, MODEL_MAX / 2);
    for (size_t i = 0; i < 50000; i++) {
        struct sales_sum sum = model[any(model_count)];
        add_or_remove(&tree, &sum);
        sum.product_id += MODEL_MAX;
        add_or_remove(&tree, &sum);
    }
    assert_in_range(tree.node_count, 1, tree.count / 12);
    ranking_tree_fini(&tree);
}

static void test_no_memory(void **state)
{
    struct ranking_tree tree;
    size_t failed = 0;

    (void)state;
    long live = mem_live_count();
    random_state = 7;
    load(&tree, 500);
    for (int after = 0; after < 2; after++) {
        struct ranking_tree other;
        ranking_tree_init(&other, window);
        mem_fault_set(after);
        enum err e = ranking_tree_load(&other, model, 500);
        mem_fault_set(-1);
        assert_int_equal(e, ERR_NOMEM);
        ranking_tree_check(&other);
        assert_ok(ranking_tree_load(&other, model, 500));
        ranking_tree_check(&other);
        ranking_tree_fini(&other);
    }
    for (size_t i = 0; i < 5000; i++) {
        struct sales_sum sum = any_sum(MODEL_MAX);
        if (model_has(model_before(&sum), &sum))
            continue;
        mem_fault_set(0);
        enum err e = ranking_tree_add(&tree, &sum);
        mem_fault_set(-1);
        failed += e == ERR_NOMEM;
        if (e == ERR_OK)
            ranking_tree_remove(&tree, &sum);
        add_or_remove(&tree, &sum);
    }
    assert_true(failed > 0);
    ranking_tree_check(&tree);
    expect_same(&tree);
    ranking_tree_fini(&tree);
    assert_int_equal(mem_live_count(), live);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_load),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
