// SPDX-License-Identifier: Apache-2.0
/* Orders and windows. Pages and categories are in ranking_conformance_page.c, copies and faults in
 * ranking_conformance_copy.c, a comparison with a model in ranking_conformance_model.c. */
#include "ranking/ranking_conformance_internal.h"

struct conformance_world world;

int conformance_setup(void **state)
{
    (void)state;
    world.ranking = world.host->open();
    assert_non_null(world.ranking);
    world.client = ranking_client_new(world.ranking, world.host->loop(), NULL);
    assert_non_null(world.client);
    conf_copy(FROM_DAY);
    return 0;
}

int conformance_teardown(void **state)
{
    (void)state;
    world.client = ranking_client_free(world.client);
    world.host->close(world.ranking);
    arena_fini(&world.arena);
    return 0;
}

void conf_copy(int64_t from_day)
{
    assert_ok(ranking_copy_begin(world.ranking, from_day));
    assert_ok(ranking_copy_end(world.ranking));
}

struct ranking_sum conf_sum(int64_t day, int64_t product_id, int64_t version, int64_t units)
{
    return (struct ranking_sum){ .day = day,
                                 .version = version,
                                 .sum = { .product_id = product_id,
                                          .units = units,
                                          .revenue = units * 100,
                                          .reached_ms = version },
                                 .category = STR("") };
}

void conf_put(const struct ranking_sum *sum)
{
    ranking_put(world.ranking, sum, 1);
    world.host->settle();
}

void conf_sell(int64_t day, int64_t product_id, int64_t version, int64_t units)
{
    struct ranking_sum sum = conf_sum(day, product_id, version, units);

    conf_put(&sum);
}

/* ---- asking ---- */

static size_t answered;

static void count_answer(struct ranking_read *read)
{
    (void)read;
    answered++;
}

struct ranking_read conf_page_of(enum sales_window window, int64_t day, struct str category,
                                 int64_t offset, int64_t limit)
{
    return (struct ranking_read){ .op = RANKING_READ_PAGE,
                                  .window = window,
                                  .day = day,
                                  .category = category,
                                  .offset = offset,
                                  .limit = limit };
}

struct ranking_read conf_product_of(enum sales_window window, int64_t day, struct str category,
                                    int64_t product_id, int64_t around)
{
    return (struct ranking_read){ .op = RANKING_READ_PRODUCT,
                                  .window = window,
                                  .day = day,
                                  .category = category,
                                  .product_id = product_id,
                                  .around = around };
}

void conf_read(struct ranking_read *read)
{
    arena_reset(&world.arena);
    read->arena = &world.arena;
    read->done = count_answer;
    answered = 0;
    ranking_read(world.client, read);
    assert_int_equal(answered, 0); /* never from inside the call */
    while (answered == 0)
        world.host->turn();
    assert_int_equal(answered, 1);
    assert_ok(read->err);
}

void conf_expect_top(enum sales_window window, int64_t day, struct str category,
                     const struct conf_ids *ids)
{
    struct ranking_read read = conf_page_of(window, day, category, 0, 10);
    size_t count = 0;

    conf_read(&read);
    assert_int_equal(read.outcome, RANKING_OK);
    for (; ids->ids[count]; count++) {
        assert_true(count < read.entry_count);
        assert_int_equal(read.entries[count].sum.product_id, ids->ids[count]);
        assert_int_equal(read.entries[count].rank, count + 1);
    }
    assert_int_equal(read.entry_count, count);
}

void conf_expect_outcome(enum sales_window window, int64_t day, enum ranking_outcome outcome)
{
    struct ranking_read read = conf_page_of(window, day, ANY, 0, 10);

    conf_read(&read);
    assert_int_equal(read.outcome, outcome);
    assert_int_equal(read.entry_count, 0);
    read = conf_product_of(window, day, ANY, 1, 1);
    conf_read(&read);
    assert_int_equal(read.outcome, outcome);
}

/* ---- order ---- */

static void test_order(void **state)
{
    static const struct {
        int64_t product_id, units, revenue, reached_ms;
    } rows[] = {
        { 5, 3, 10, 500 }, { 2, 3, 90, 500 }, { 9, 3, 10, 400 },
        { 1, 2, 99, 100 }, { 4, 7, 1, 900 },  { 3, 0, 0, 50 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        conf_put(&(struct ranking_sum){
            .day = DAY,
            .version = 1,
            .sum = { rows[i].product_id, rows[i].units, rows[i].revenue, rows[i].reached_ms },
            .category = STR("") });
    conf_expect_top(SALES_DAILY, DAY, ANY, IDS(4, 9, 2, 5, 1));
    conf_expect_top(SALES_WEEKLY, DAY, ANY, IDS(4, 9, 2, 5, 1));
    conf_expect_top(SALES_MONTHLY, DAY, ANY, IDS(4, 9, 2, 5, 1));
    conf_expect_top(SALES_ROLLING, DAY, ANY, IDS(4, 9, 2, 5, 1));
    conf_expect_top(SALES_3DAYS, DAY, ANY, IDS(4, 2, 5, 9, 1));
    struct ranking_read read = conf_product_of(SALES_DAILY, DAY, ANY, 2, 0);
    conf_read(&read);
    assert_int_equal(read.product.rank, 3);
    assert_int_equal(read.product.sum.units, 3);
    assert_int_equal(read.product.sum.revenue, 90);
    assert_int_equal(read.product.sum.reached_ms, 500);
}

/* Nothing has been sold, or all of it was given back: not ranked. */
static void test_refunds(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) { /* before the first read, and with all boards there */
        int64_t version = 10 * round;
        conf_sell(DAY, 1, version + 1, 5);
        conf_sell(DAY, 2, version + 2, 3);
        conf_sell(DAY - 1, 2, version + 2, 1);
        conf_expect_top(SALES_DAILY, DAY, ANY, IDS(1, 2));
        conf_sell(DAY, 1, version + 3, 2);
        conf_expect_top(SALES_DAILY, DAY, ANY, IDS(2, 1));
        conf_sell(DAY, 2, version + 4, 0);
        conf_expect_top(SALES_DAILY, DAY, ANY, IDS(1));
        conf_expect_top(SALES_WEEKLY, DAY, ANY, IDS(1, 2));
        conf_sell(DAY - 1, 2, version + 5, 0);
        conf_expect_top(SALES_WEEKLY, DAY, ANY, IDS(1));
        struct ranking_read read = conf_product_of(SALES_WEEKLY, DAY, ANY, 2, 3);
        conf_read(&read);
        assert_int_equal(read.outcome, RANKING_OK);
        assert_int_equal(read.product.rank, -1);
        assert_int_equal(read.product.sum.product_id, 2);
        assert_int_equal(read.product.sum.units, 0);
        assert_int_equal(read.product.sum.reached_ms, 0);
        assert_int_equal(read.entry_count, 0);
        /* Again: who was there before is the later one now. */
        conf_sell(DAY, 2, version + 6, 2);
        conf_expect_top(SALES_DAILY, DAY, ANY, IDS(1, 2));
    }
}

static void test_versions(void **state)
{
    (void)state;
    conf_sell(DAY, 1, 5, 3);
    conf_sell(DAY, 2, 6, 2);
    conf_sell(DAY, 1, 4, 1); /* late */
    conf_expect_top(SALES_DAILY, DAY, ANY, IDS(1, 2));
    conf_sell(DAY, 1, 5, 3); /* again */
    conf_expect_top(SALES_DAILY, DAY, ANY, IDS(1, 2));
    uint64_t version = ranking_status(world.ranking).version;
    conf_sell(DAY, 1, 5, 3);
    conf_sell(DAY, 1, 3, 9);
    assert_true(ranking_status(world.ranking).version == version);
    conf_sell(DAY, 1, 7, 1);
    assert_true(ranking_status(world.ranking).version != version);
    conf_expect_top(SALES_DAILY, DAY, ANY, IDS(2, 1));
    conf_sell(DAY, 3, 0, 4); /* the first is taken, whatever its version */
    conf_expect_top(SALES_DAILY, DAY, ANY, IDS(3, 2, 1));
    conf_sell(DAY + 1, 1, 1, 1); /* another day's version is another */
    conf_expect_top(SALES_DAILY, DAY + 1, ANY, IDS(1));
}

/* A later change of any day counts as the time when the window's number was reached. */
static void test_reached(void **state)
{
    (void)state;
    conf_sell(DAY - 1, 1, 100, 5);
    conf_sell(DAY - 1, 2, 50, 3);
    conf_sell(DAY, 2, 120, 2);
    conf_expect_top(SALES_ROLLING, DAY, ANY, IDS(1, 2));
    conf_sell(DAY, 1, 130, 0); /* sold and given back: it counts */
    conf_expect_top(SALES_ROLLING, DAY, ANY, IDS(2, 1));
    conf_expect_top(SALES_ROLLING, DAY - 1, ANY, IDS(1, 2));
    struct ranking_sum back = conf_sum(DAY, 1, 131, 0); /* the clock was set back */
    back.sum.reached_ms = 10;
    conf_put(&back);
    conf_expect_top(SALES_ROLLING, DAY, ANY, IDS(1, 2)); /* 100 and 120 */
    back = conf_sum(DAY, 2, 131, 2);
    back.sum.reached_ms = 10;
    conf_put(&back);
    conf_expect_top(SALES_ROLLING, DAY, ANY, IDS(2, 1)); /* 50 and 100 */
}

/* ---- windows ---- */

static void test_windows(void **state)
{
    static const struct {
        enum sales_window window;
        int64_t day, from, to;
    } rows[] = {
        { SALES_DAILY, DAY, DAY, DAY },
        { SALES_WEEKLY, DAY, DAY - 2, DAY + 4 }, /* over the end of the month */
        { SALES_WEEKLY, DAY + 4, DAY - 2, DAY + 4 },
        { SALES_WEEKLY, DAY + 5, DAY + 5, DAY + 11 },
        { SALES_WEEKLY, DAY - 58, DAY - 58, DAY - 52 }, /* 1 January, a Monday */
        { SALES_WEEKLY, DAY - 59, DAY - 65, DAY - 59 },
        { SALES_MONTHLY, DAY, DAY - 27, DAY + 1 },
        { SALES_MONTHLY, DAY + 2, DAY + 2, DAY + 32 },
        { SALES_MONTHLY, DAY - 59, DAY - 89, DAY - 59 },
        { SALES_ROLLING, DAY, DAY - 6, DAY },
        { SALES_3DAYS, DAY, DAY - 2, DAY },
    };

    (void)state;
    for (int64_t day = FROM_DAY; day < DAY + 40; day++)
        conf_sell(day, 1000 + day - FROM_DAY, 1, day - FROM_DAY + 1);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct ranking_read read = conf_page_of(rows[i].window, rows[i].day, ANY, 0, 100);
        conf_read(&read);
        assert_int_equal(read.outcome, RANKING_OK);
        assert_int_equal(read.entry_count, rows[i].to - rows[i].from + 1);
        for (size_t j = 0; j < read.entry_count; j++)
            assert_int_equal(read.entries[j].sum.product_id,
                             1000 + rows[i].to - (int64_t)j - FROM_DAY);
        read = conf_product_of(rows[i].window, sales_window_before(rows[i].window, rows[i].day),
                               ANY, 1000 + rows[i].from - 1 - FROM_DAY, 0);
        conf_read(&read);
        assert_int_equal(read.product.rank,
                         rows[i].window == SALES_ROLLING || rows[i].window == SALES_3DAYS
                             ? rows[i].to - rows[i].from + 1
                             : 1);
    }
}

static void test_sums_over_days(void **state)
{
    (void)state;
    for (int64_t day = DAY - 6; day <= DAY; day++) {
        conf_sell(day, 1, 10, 2);
        conf_sell(day, 2, 10, day == DAY ? 13 : 0);
    }
    struct ranking_read read = conf_product_of(SALES_ROLLING, DAY, ANY, 1, 1);
    conf_read(&read);
    assert_int_equal(read.product.rank, 1);
    assert_int_equal(read.product.sum.units, 14);
    assert_int_equal(read.product.sum.revenue, 1400);
    assert_int_equal(read.entry_count, 1);
    assert_int_equal(read.entries[0].sum.units, 13);
    conf_sell(DAY - 3, 1, 11, 0);
    conf_expect_top(SALES_ROLLING, DAY, ANY, IDS(2, 1));
    conf_expect_top(SALES_ROLLING, DAY + 6, ANY, IDS(2, 1));
    conf_expect_top(SALES_ROLLING, DAY + 7, ANY, IDS(0)); /* not sold yet is no error */
}

static const struct CMUnitTest orders[] = {
    CONFORMANCE_TEST(test_order),    CONFORMANCE_TEST(test_refunds),
    CONFORMANCE_TEST(test_versions), CONFORMANCE_TEST(test_reached),
    CONFORMANCE_TEST(test_windows),  CONFORMANCE_TEST(test_sums_over_days),
};

int ranking_conformance(const struct ranking_host *host)
{
    world.host = host;
    return cmocka_run_group_tests_name(host->name, orders, NULL, NULL) +
           ranking_conformance_page() + ranking_conformance_copy() + ranking_conformance_model();
}
