// SPDX-License-Identifier: Apache-2.0
/* Pages, neighbours, categories. */
#include "ranking/ranking_conformance_internal.h"

/* ---- pages and neighbours ---- */

enum { MANY = 250 };

static void put_many(void)
{
    struct ranking_sum sums[MANY];

    for (int64_t i = 0; i < MANY; i++) /* product i + 1 stands at i + 1 */
        sums[i] = conf_sum(DAY, i + 1, 1, MANY - i);
    ranking_put(world.ranking, sums, MANY);
    world.host->settle();
}

static void test_pages(void **state)
{
    static const struct {
        int64_t offset, limit, count;
    } rows[] = {
        { 0, 1, 1 },       { 0, 100, 100 }, { 1, 10, 10 },  { 149, 100, 100 },
        { 151, 100, 99 },  { 249, 100, 1 }, { 250, 10, 0 }, { 251, 10, 0 },
        { 100000, 10, 0 }, { 31, 1, 1 },    { 30, 33, 33 }, { INT64_MAX, 100, 0 },
    };

    (void)state;
    put_many();
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct ranking_read read =
            conf_page_of(SALES_DAILY, DAY, ANY, rows[i].offset, rows[i].limit);
        conf_read(&read);
        assert_int_equal(read.entry_count, rows[i].count);
        for (size_t j = 0; j < read.entry_count; j++) {
            assert_int_equal(read.entries[j].rank, rows[i].offset + (int64_t)j + 1);
            assert_int_equal(read.entries[j].sum.product_id, read.entries[j].rank);
        }
    }
}

static void test_neighbours(void **state)
{
    static const struct {
        int64_t product_id, around, above, below;
    } rows[] = {
        { 1, 0, 0, 0 },        { 1, 10, 0, 10 },    { 2, 10, 1, 10 },
        { 10, 10, 9, 10 },     { 11, 10, 10, 10 },  { 100, 3, 3, 3 },
        { MANY - 1, 5, 5, 1 }, { MANY, 10, 10, 0 }, { MANY, 1, 1, 0 },
    };

    (void)state;
    put_many();
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct ranking_read read =
            conf_product_of(SALES_DAILY, DAY, ANY, rows[i].product_id, rows[i].around);
        conf_read(&read);
        assert_int_equal(read.product.rank, rows[i].product_id);
        assert_int_equal(read.product.sum.product_id, rows[i].product_id);
        assert_int_equal(read.entry_count, rows[i].above + rows[i].below);
        for (int64_t j = 0; j < (int64_t)read.entry_count; j++) {
            int64_t rank = rows[i].product_id - rows[i].above + j + (j >= rows[i].above);
            assert_int_equal(read.entries[j].rank, rank);
            assert_int_equal(read.entries[j].sum.product_id, rank);
        }
    }
    struct ranking_read nobody = conf_product_of(SALES_DAILY, DAY, ANY, 9999, 10);
    conf_read(&nobody);
    assert_int_equal(nobody.outcome, RANKING_OK);
    assert_int_equal(nobody.product.rank, -1);
    assert_int_equal(nobody.product.sum.product_id, 9999);
    assert_int_equal(nobody.entry_count, 0);
}

/* ---- categories ---- */

static void sell_in(int64_t day, int64_t product_id, int64_t version, int64_t units,
                    struct str category)
{
    struct ranking_sum sum = conf_sum(day, product_id, version, units);

    sum.category = category;
    conf_put(&sum);
}

static void move(int64_t product_id, struct str category)
{
    static int64_t version;

    ranking_move(world.ranking, product_id, category, ++version);
    world.host->settle();
}

static void test_categories(void **state)
{
    struct str tea = STR("tea"), cups = STR("cups");

    (void)state;
    sell_in(DAY, 1, 1, 9, tea);
    sell_in(DAY, 2, 1, 8, cups);
    sell_in(DAY, 3, 1, 7, tea);
    sell_in(DAY, 4, 1, 6, STR(""));
    sell_in(DAY - 1, 3, 1, 5, tea);
    conf_expect_top(SALES_DAILY, DAY, ANY, IDS(1, 2, 3, 4));
    conf_expect_top(SALES_DAILY, DAY, tea, IDS(1, 3));
    conf_expect_top(SALES_DAILY, DAY, cups, IDS(2));
    conf_expect_top(SALES_DAILY, DAY, STR(""), IDS(4));
    conf_expect_top(SALES_DAILY, DAY, STR("te"), IDS(0));
    conf_expect_top(SALES_ROLLING, DAY, tea, IDS(3, 1));
    struct ranking_read read = conf_product_of(SALES_DAILY, DAY, cups, 3, 1);
    conf_read(&read);
    assert_int_equal(read.product.rank, -1); /* it is in another */
    read = conf_product_of(SALES_DAILY, DAY, tea, 3, 5);
    conf_read(&read);
    assert_int_equal(read.product.rank, 2);
    assert_int_equal(read.entry_count, 1);
    assert_int_equal(read.entries[0].sum.product_id, 1);
}

static void move_to(struct str category, int64_t version)
{
    ranking_move(world.ranking, 1, category, version);
    world.host->settle();
}

/* A move comes late, twice, with a sum of its day, of a day that is not held, or of none. */
static void test_category_versions(void **state)
{
    struct str tea = STR("tea"), cups = STR("cups"), none = STR("");
    struct ranking_sum sum = conf_sum(DAY, 1, 5, 9);

    (void)state;
    sum.category = tea;
    sum.category_version = 3;
    conf_put(&sum);
    conf_expect_top(SALES_DAILY, DAY, tea, IDS(1));
    conf_expect_top(SALES_DAILY, DAY, cups, IDS(0));
    move_to(cups, 2);
    move_to(cups, 3);
    conf_expect_top(SALES_DAILY, DAY, tea, IDS(1));
    move_to(cups, 4);
    move_to(none, 3);
    conf_expect_top(SALES_DAILY, DAY, tea, IDS(0));
    conf_expect_top(SALES_DAILY, DAY, cups, IDS(1));
    sum.category_version = 5; /* a sum that is not newer, of a category that is */
    conf_put(&sum);
    conf_expect_top(SALES_DAILY, DAY, tea, IDS(1));
    sum = (struct ranking_sum){
        .version = -1, .sum.product_id = 1, .category = cups, .category_version = 6
    };
    conf_put(&sum);
    conf_expect_top(SALES_DAILY, DAY, tea, IDS(0));
    conf_expect_top(SALES_DAILY, DAY, cups, IDS(1));
    sum = conf_sum(DAY - 1000, 1, 7, 7);
    sum.category = tea;
    sum.category_version = 7;
    assert_ok(ranking_put_surely(world.ranking, &sum, 1));
    conf_expect_top(SALES_DAILY, DAY, tea, IDS(1));
    sum.sum.product_id = 2; /* nothing of it is held */
    assert_ok(ranking_put_surely(world.ranking, &sum, 1));
    sum = conf_sum(DAY, 2, 1, 1);
    sum.category = cups;
    conf_put(&sum);
    conf_expect_top(SALES_DAILY, DAY, cups, IDS(2));
}

static void test_moves(void **state)
{
    struct str tea = STR("tea"), cups = STR("cups"), new = STR("new");

    (void)state;
    for (int round = 0; round < 2; round++) { /* before the first read, and with boards there */
        int64_t version = round * 10;
        sell_in(DAY, 1, version + 1, 9, tea);
        sell_in(DAY - 1, 1, version + 1, 2, tea);
        sell_in(DAY, 2, version + 1, 8, cups);
        uint64_t before = ranking_status(world.ranking).version;
        move(1, cups);
        assert_true(ranking_status(world.ranking).version != before);
        conf_expect_top(SALES_DAILY, DAY, tea, IDS(0));
        conf_expect_top(SALES_DAILY, DAY, cups, IDS(1, 2));
        conf_expect_top(SALES_DAILY, DAY - 1, cups, IDS(1));
        conf_expect_top(SALES_DAILY, DAY, ANY, IDS(1, 2));
        sell_in(DAY, 1, version + 2, 7, tea); /* was on its way when the product moved */
        conf_expect_top(SALES_DAILY, DAY, tea, IDS(0));
        conf_expect_top(SALES_DAILY, DAY, cups, IDS(2, 1));
        move(1, tea);
        conf_expect_top(SALES_DAILY, DAY, tea, IDS(1));
        conf_expect_top(SALES_ROLLING, DAY, cups, IDS(2));
    }
    move(3, new); /* before anything is known of it */
    sell_in(DAY, 3, 1, 5, tea);
    conf_expect_top(SALES_DAILY, DAY, new, IDS(3));
    conf_expect_top(SALES_DAILY, DAY, tea, IDS(1));
}

static const struct CMUnitTest pages[] = {
    CONFORMANCE_TEST(test_pages),      CONFORMANCE_TEST(test_neighbours),
    CONFORMANCE_TEST(test_categories), CONFORMANCE_TEST(test_category_versions),
    CONFORMANCE_TEST(test_moves),
};

int ranking_conformance_page(void)
{
    return cmocka_run_group_tests_name("pages and categories", pages, NULL, NULL);
}
