// SPDX-License-Identifier: Apache-2.0
/* Full copies, what is lost, what is forgotten, and what the status says of it. */
#include "base/clock.h"
#include "ranking/ranking_conformance_internal.h"

static void expect_status(bool readable, bool incomplete, int64_t from_day)
{
    struct ranking_status status = ranking_status(world.ranking);

    assert_int_equal(status.readable, readable);
    assert_int_equal(status.incomplete, incomplete);
    if (readable)
        assert_int_equal(status.from_day, from_day);
}

static void expect_unreadable(void)
{
    expect_status(false, true, 0);
    conf_expect_outcome(SALES_DAILY, DAY, RANKING_UNREADABLE);
}

static int open_only(void **state)
{
    (void)state;
    world.ranking = world.host->open();
    assert_non_null(world.ranking);
    world.client = ranking_client_new(world.ranking, world.host->loop(), NULL);
    assert_non_null(world.client);
    return 0;
}

static void test_first_copy(void **state)
{
    (void)state;
    expect_unreadable();
    conf_sell(DAY, 9, 1, 1); /* before the beginning: the copy will have it */
    assert_int_equal(ranking_copy_end(world.ranking), ERR_UNAVAILABLE); /* of none */
    assert_ok(ranking_copy_begin(world.ranking, DAY - 3));
    expect_unreadable();
    conf_sell(DAY, 1, 2, 5);
    conf_sell(DAY, 1, 1, 4); /* the copy is behind */
    conf_sell(DAY - 3, 2, 1, 6);
    conf_sell(DAY - 4, 3, 1, 7); /* not to be held */
    ranking_move(world.ranking, 4, STR("tea"), 1);
    expect_unreadable();
    assert_ok(ranking_copy_end(world.ranking));
    expect_status(true, false, DAY - 3);
    conf_expect_top(SALES_DAILY, DAY, ANY, IDS(1));
    conf_expect_top(SALES_DAILY, DAY - 3, ANY, IDS(2));
    conf_expect_top(SALES_3DAYS, DAY - 1, ANY, IDS(2));
    conf_expect_outcome(SALES_DAILY, DAY - 4, RANKING_NOT_HELD);
    conf_expect_outcome(SALES_3DAYS, DAY - 2, RANKING_NOT_HELD);
    conf_expect_outcome(SALES_ROLLING, DAY + 2, RANKING_NOT_HELD);
    conf_expect_top(SALES_ROLLING, DAY + 3, ANY, IDS(2, 1));
    conf_expect_outcome(SALES_WEEKLY, DAY - 3, RANKING_NOT_HELD);
    conf_expect_top(SALES_WEEKLY, DAY, ANY, IDS(1));
    struct ranking_sum sum = conf_sum(DAY, 4, 1, 9);
    conf_put(&sum);
    conf_expect_top(SALES_DAILY, DAY, STR("tea"), IDS(4));
}

/* A copy of what is there changes nothing, and is read all the while. */
static void test_copy_again(void **state)
{
    (void)state;
    conf_sell(DAY, 1, 3, 5);
    conf_sell(DAY, 2, 3, 4);
    conf_expect_top(SALES_DAILY, DAY, ANY, IDS(1, 2));
    assert_ok(ranking_copy_begin(world.ranking, FROM_DAY));
    expect_status(true, false, FROM_DAY);
    conf_sell(DAY, 1, 3, 5);
    conf_expect_top(SALES_DAILY, DAY, ANY, IDS(1, 2));
    conf_sell(DAY, 2, 4, 6); /* somebody else's */
    conf_sell(DAY, 2, 3, 4);
    conf_expect_top(SALES_DAILY, DAY, ANY, IDS(2, 1));
    assert_ok(ranking_copy_begin(world.ranking, FROM_DAY)); /* from the beginning */
    conf_sell(DAY, 1, 3, 5);
    conf_sell(DAY, 2, 4, 6);
    assert_ok(ranking_copy_end(world.ranking));
    conf_expect_top(SALES_DAILY, DAY, ANY, IDS(2, 1));
    expect_status(true, false, FROM_DAY);
}

/* More days, then fewer. */
static void test_copy_of_other_days(void **state)
{
    (void)state;
    conf_sell(DAY, 1, 1, 5);
    conf_sell(FROM_DAY - 1, 2, 1, 4);
    conf_expect_outcome(SALES_DAILY, FROM_DAY - 1, RANKING_NOT_HELD);
    assert_ok(ranking_copy_begin(world.ranking, FROM_DAY - 10));
    expect_status(true, false, FROM_DAY);
    conf_sell(FROM_DAY - 1, 2, 1, 4);
    conf_expect_outcome(SALES_DAILY, FROM_DAY - 1, RANKING_NOT_HELD);
    assert_ok(ranking_copy_end(world.ranking));
    expect_status(true, false, FROM_DAY - 10);
    conf_expect_top(SALES_DAILY, FROM_DAY - 1, ANY, IDS(2));
    conf_expect_top(SALES_DAILY, FROM_DAY - 9, ANY, IDS(0));
    conf_copy(DAY);
    expect_status(true, false, DAY);
    conf_expect_outcome(SALES_DAILY, FROM_DAY - 1, RANKING_NOT_HELD);
    conf_expect_top(SALES_DAILY, DAY, ANY, IDS(1));
}

static void test_fault(void **state)
{
    (void)state;
    conf_sell(DAY, 1, 1, 5);
    ranking_fault_set(world.ranking, true);
    expect_status(false, false, 0);
    conf_expect_outcome(SALES_DAILY, DAY, RANKING_UNREADABLE);
    ranking_fault_set(world.ranking, false); /* nothing was put: nothing was lost */
    expect_status(true, false, FROM_DAY);
    conf_expect_top(SALES_DAILY, DAY, ANY, IDS(1));
    ranking_fault_set(world.ranking, true);
    conf_sell(DAY, 2, 1, 6);
    assert_int_equal(ranking_copy_begin(world.ranking, FROM_DAY), ERR_UNAVAILABLE);
    ranking_fault_set(world.ranking, false);
    expect_unreadable();
    conf_sell(DAY, 3, 1, 7);
    expect_unreadable();
    assert_ok(ranking_copy_begin(world.ranking, FROM_DAY));
    expect_unreadable();
    conf_sell(DAY, 2, 1, 6);
    assert_ok(ranking_copy_end(world.ranking));
    conf_expect_top(SALES_DAILY, DAY, ANY, IDS(2)); /* what was there before is gone */
}

static void test_put_surely(void **state)
{
    struct ranking_sum sum = conf_sum(DAY, 1, 1, 5), late = conf_sum(DAY, 1, 2, 6);

    (void)state;
    assert_ok(ranking_put_surely(world.ranking, &sum, 1));
    conf_expect_top(SALES_DAILY, DAY, ANY, IDS(1));
    ranking_fault_set(world.ranking, true);
    assert_int_equal(ranking_put_surely(world.ranking, &late, 1), ERR_UNAVAILABLE);
    ranking_fault_set(world.ranking, false); /* whoever put it does so again */
    expect_status(true, false, FROM_DAY);
    assert_ok(ranking_put_surely(world.ranking, &late, 1));
    struct ranking_read read = conf_product_of(SALES_DAILY, DAY, ANY, 1, 0);
    conf_read(&read);
    assert_int_equal(read.product.sum.units, 6);
}

static void test_lost_moves(void **state)
{
    struct ranking_sum sum = conf_sum(DAY, 1, 1, 5);

    (void)state;
    sum.category = STR("tea");
    conf_put(&sum);
    ranking_fault_set(world.ranking, true);
    ranking_move(world.ranking, 1, STR("cups"), 1);
    ranking_fault_set(world.ranking, false);
    expect_unreadable();
    assert_ok(ranking_copy_begin(world.ranking, FROM_DAY));
    sum.category = STR("cups");
    sum.category_version = 1;
    conf_put(&sum); /* the same version: only the copy knows of the move */
    assert_ok(ranking_copy_end(world.ranking));
    conf_expect_top(SALES_DAILY, DAY, STR("cups"), IDS(1));
    conf_expect_top(SALES_DAILY, DAY, STR("tea"), IDS(0));
}

/* A copy during which something is lost is none. */
static void test_fault_in_copy(void **state)
{
    (void)state;
    for (int complete = 0; complete < 2; complete++) {
        assert_ok(ranking_copy_begin(world.ranking, FROM_DAY));
        conf_sell(DAY, 1, 1, 5);
        ranking_fault_set(world.ranking, true);
        conf_sell(DAY, 2, 1, 4);
        ranking_fault_set(world.ranking, false);
        conf_sell(DAY, 3, 1, 3);
        assert_int_equal(ranking_copy_end(world.ranking), ERR_UNAVAILABLE);
        expect_unreadable();
        assert_int_equal(ranking_copy_end(world.ranking), ERR_UNAVAILABLE);
        assert_ok(ranking_copy_begin(world.ranking, FROM_DAY));
        conf_sell(DAY, 1, 1, 5);
        conf_sell(DAY, 2, 1, 4);
        assert_ok(ranking_copy_end(world.ranking));
        conf_expect_top(SALES_DAILY, DAY, ANY, IDS(1, 2));
    }
    assert_ok(ranking_copy_begin(world.ranking, FROM_DAY));
    ranking_fault_set(world.ranking, true); /* away at the end, and nothing was lost */
    assert_int_equal(ranking_copy_end(world.ranking), ERR_UNAVAILABLE);
    ranking_fault_set(world.ranking, false);
    conf_expect_top(SALES_DAILY, DAY, ANY, IDS(1, 2));
}

static void test_forget(void **state)
{
    (void)state;
    for (int64_t day = DAY - 10; day <= DAY; day++)
        for (int64_t product = 1; product <= 3; product++)
            conf_sell(day, product, 1, product + (day == DAY - 10 ? 100 : 0));
    conf_sell(DAY - 9, 4, 1, 1000);
    conf_expect_top(SALES_MONTHLY, DAY, ANY, IDS(4, 3, 2, 1));
    conf_expect_top(SALES_ROLLING, DAY - 3, ANY, IDS(4, 3, 2, 1));
    uint64_t version = ranking_status(world.ranking).version;
    ranking_forget_before(world.ranking, DAY - 9);
    assert_true(ranking_status(world.ranking).version != version);
    expect_status(true, false, DAY - 9);
    conf_expect_outcome(SALES_MONTHLY, DAY, RANKING_NOT_HELD);
    conf_expect_outcome(SALES_DAILY, DAY - 10, RANKING_NOT_HELD);
    conf_expect_top(SALES_ROLLING, DAY - 3, ANY, IDS(4, 3, 2, 1));
    conf_sell(DAY - 10, 1, 2, 5000); /* late: not held */
    conf_expect_outcome(SALES_DAILY, DAY - 10, RANKING_NOT_HELD);
    ranking_forget_before(world.ranking, DAY - 20); /* has been */
    expect_status(true, false, DAY - 9);
    ranking_forget_before(world.ranking, DAY - 1);
    for (int64_t product = 5; product <= 60; product++) /* and its memory goes */
        conf_sell(DAY + 40, product, 1, 1);
    conf_expect_top(SALES_DAILY, DAY - 1, ANY, IDS(3, 2, 1));
    conf_sell(DAY, 4, 2, 1000); /* was forgotten altogether */
    conf_sell(DAY, 3, 2, 2000);
    conf_expect_top(SALES_DAILY, DAY, ANY, IDS(3, 4, 2, 1));
    conf_expect_outcome(SALES_3DAYS, DAY, RANKING_NOT_HELD);
    conf_expect_top(SALES_3DAYS, DAY + 1, ANY, IDS(3, 4, 2, 1));
    assert_ok(ranking_copy_begin(world.ranking, DAY - 10));
    ranking_forget_before(world.ranking, DAY);
    assert_ok(ranking_copy_end(world.ranking));
    expect_status(true, false, DAY);
}

static void test_status(void **state)
{
    struct ranking_read read = conf_page_of(SALES_DAILY, DAY, ANY, 0, 10);

    (void)state;
    assert_int_equal(ranking_status(world.ranking).as_of_ms, 0);
    assert_true(ranking_source(world.ranking)[0] != '\0');
    conf_read(&read);
    assert_int_equal(read.as_of_ms, 0);
    int64_t from_ms = clock_wall_ms();
    conf_sell(DAY, 1, 2, 5);
    int64_t to_ms = clock_wall_ms();
    struct ranking_status status = ranking_status(world.ranking);
    assert_in_range(status.as_of_ms, from_ms, to_ms);
    clock_set_offset_ms(5000);
    conf_sell(DAY, 1, 1, 9); /* changes nothing */
    clock_set_offset_ms(0);
    assert_int_equal(ranking_status(world.ranking).as_of_ms, status.as_of_ms);
    conf_read(&read);
    assert_int_equal(read.as_of_ms, status.as_of_ms);
    assert_true(read.version == ranking_status(world.ranking).version);
    ranking_fault_set(world.ranking, true);
    assert_true(read.version != ranking_status(world.ranking).version);
}

static const struct CMUnitTest copying[] = {
    cmocka_unit_test_setup_teardown(test_first_copy, open_only, conformance_teardown),
    CONFORMANCE_TEST(test_copy_again),
    CONFORMANCE_TEST(test_copy_of_other_days),
    CONFORMANCE_TEST(test_fault),
    CONFORMANCE_TEST(test_put_surely),
    CONFORMANCE_TEST(test_lost_moves),
    CONFORMANCE_TEST(test_fault_in_copy),
    CONFORMANCE_TEST(test_forget),
    CONFORMANCE_TEST(test_status),
};

int ranking_conformance_copy(void)
{
    return cmocka_run_group_tests_name("copies", copying, NULL, NULL);
}
