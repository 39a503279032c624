// SPDX-License-Identifier: Apache-2.0
/* The ranking without its primary: last good answers, boards, sums, names; and the backup. */
#include <pthread.h>

#include "shop/ranking_internal.h"
#include "shop/shop_fixture_test.h"

enum { PRODUCTS = 130, DAY_MS = 86400000 };

static struct arena arena;
static size_t open_reads;
static int64_t noon_ms; /* offset of the clock with which a test begins: it ends on the same day */

/* Product p is sold p times today: it stands at rank PRODUCTS + 1 - p. */
static void sell_all(void)
{
    int64_t now_ms = clock_wall_ms();

    for (int64_t id = 1; id <= PRODUCTS; id++) {
        char name[16];
        int n = snprintf(name, sizeof name, "thing %d", (int)id);
        struct ledger_product product = { .product_id = id,
                                          .name = { name, (size_t)n },
                                          .price = 5,
                                          .category = id % 2 ? STR("odd") : STR_NONE };
        struct order_line line = {
            .product_id = id, .name = product.name, .quantity = id, .unit_price = 5
        };
        struct ledger_order order = { .user_id = 1,
                                      .status = ORDER_COMPLETED,
                                      .lines = &line,
                                      .line_count = 1,
                                      .subtotal = 5 * id,
                                      .created_at_ms = now_ms,
                                      .paid_at_ms = now_ms };
        struct ledger_command create = { .op = LEDGER_PRODUCT_CREATE,
                                         .product_create = { .product = &product } };
        struct ledger_command import = { .op = LEDGER_ORDER_IMPORT,
                                         .order_import = { .order = &order } };
        ledger_run(shop.ledger, &create);
        assert_ok(create.err);
        ledger_run(shop.ledger, &import);
        assert_ok(import.err);
        assert_false(import.order_import.taken);
    }
}

static void begin(void)
{
    assert_ok(clock_set_zone("UTC"));
    clock_set_offset_ms(0);
    noon_ms = DAY_MS / 2 - clock_wall_ms() % DAY_MS;
    clock_set_offset_ms(noon_ms);
    shop_begin(1, 1);
    config.ranking_backup_keep_days = 90;
    config.ranking_backup_every_ms = 0; /* by hand */
    sell_all();
}

static void end(void)
{
    clock_set_offset_ms(0);
    arena_fini(&arena);
    shop_end();
}

static bool all_read(void)
{
    return open_reads == 0;
}

static void top_done(struct ranking_top *top)
{
    (void)top;
    open_reads--;
}

static void top_begin(struct ranking_top *top, struct arena *in, enum sales_window window,
                      int64_t limit)
{
    *top = (struct ranking_top){ .done = top_done,
                                 .arena = in,
                                 .window = window,
                                 .day = clock_day(clock_wall_ms()),
                                 .limit = limit };
    open_reads++;
    ranking_top(&here, top);
}

static void place_done(struct ranking_place *place)
{
    (void)place;
    open_reads--;
}

static struct ranking_place place_now(int64_t product_id, int64_t around)
{
    struct ranking_place place = { .done = place_done,
                                   .arena = &arena,
                                   .window = SALES_WEEKLY,
                                   .day = clock_day(clock_wall_ms()),
                                   .product_id = product_id,
                                   .around = around };

    open_reads++;
    ranking_place(&here, &place);
    wait_until(all_read);
    return place;
}

static void back_up(void)
{
    int64_t written;

    assert_ok(backup_run(&shop, &written));
    assert_true(written > 0);
}

/* ---- tops ---- */

static void expect_top(enum sales_window window, int64_t limit, enum ranking_origin origin,
                       size_t count)
{
    struct ranking_top top;

    top_begin(&top, &arena, window, limit);
    wait_until(all_read);
    assert_ok(top.err);
    assert_int_equal(top.said.origin, origin);
    assert_true(top.said.stale);
    assert_int_equal(top.count, count);
    for (size_t i = 0; i < count; i++) {
        char name[16];
        int n = snprintf(name, sizeof name, "thing %d", (int)(PRODUCTS - i));
        assert_int_equal(top.rows[i].rank, i + 1);
        assert_int_equal(top.rows[i].sum.product_id, PRODUCTS - i);
        assert_int_equal(top.rows[i].sum.units, PRODUCTS - i);
        assert_true(str_equal(top.rows[i].name, (struct str){ name, (size_t)n }));
    }
    arena_reset(&arena);
}

static void test_top(void **state)
{
    (void)state;
    begin();
    expect_top(SALES_DAILY, 100, RANKING_FROM_BACKUP, 100); /* sums */
    expect_top(SALES_3DAYS, 5, RANKING_FROM_BACKUP, 5);
    back_up();
    expect_top(SALES_DAILY, 10, RANKING_FROM_BACKUP, 10); /* a board */
    expect_top(SALES_MONTHLY, 100, RANKING_FROM_BACKUP, 100);
    clock_set_offset_ms(noon_ms + 400 * (int64_t)DAY_MS);
    expect_top(SALES_ROLLING, 10, RANKING_FROM_NOWHERE, 0);
    clock_set_offset_ms(noon_ms);
    ledger_fault_set(shop.ledger, true);
    expect_top(SALES_DAILY, 10, RANKING_FROM_NOWHERE, 0);
    struct ranking_top top;
    top_begin(&top, &arena, SALES_3DAYS, 5); /* its answer cannot say that it is from nowhere */
    wait_until(all_read);
    assert_int_equal(top.err, ERR_UNAVAILABLE);
    ledger_fault_set(shop.ledger, false);
    end();
}

/* Not more than so many boards are added up at once; the rest is told, and all end. */
static void test_too_many(void **state)
{
    static struct ranking_top tops[RANKING_SUMS_AT_ONCE + 5];
    struct arena arenas[ARRAY_COUNT(tops)] = { 0 };
    size_t refused = 0;

    (void)state;
    begin();
    for (size_t i = 0; i < ARRAY_COUNT(tops); i++)
        top_begin(&tops[i], &arenas[i], SALES_3DAYS, 1);
    wait_until(all_read);
    for (size_t i = 0; i < ARRAY_COUNT(tops); i++) {
        assert_true(tops[i].err == ERR_OK || tops[i].err == ERR_OVERLOADED);
        refused += tops[i].err == ERR_OVERLOADED;
        arena_fini(&arenas[i]);
    }
    assert_int_equal(refused, 5);
    assert_true(here.desk.sums_running == 0 && here.desk.reads == 0);
    end();
}

/* ---- places ---- */

static void expect_place(int64_t rank, int64_t around)
{
    struct ranking_place place = place_now(PRODUCTS + 1 - rank, around);
    int64_t first = MAX(rank - around, 1), last = MIN(rank + around, PRODUCTS);

    assert_ok(place.err);
    assert_int_equal(place.rank, rank);
    assert_int_equal(place.units, PRODUCTS + 1 - rank);
    assert_int_equal(place.previous_rank, -1);
    assert_int_equal(place.count, last - first);
    for (int64_t at = first, i = 0; at <= last; at++) {
        if (at == rank)
            continue;
        assert_int_equal(place.neighbours[i].rank, at);
        assert_int_equal(place.neighbours[i++].sum.product_id, PRODUCTS + 1 - at);
    }
    /* Only who is not on the board, with all neighbours, costs the sums. */
    bool board = clock_offset_ms() != noon_ms && rank + around <= LEDGER_BOARD_ENTRIES_MAX;
    assert_int_equal(place.said.as_of_ms < clock_wall_ms() - HOUR_MS / 2, board);
    assert_true(place.said.stale && place.said.origin == RANKING_FROM_BACKUP);
    arena_reset(&arena);
}

static void test_places(void **state)
{
    static const int64_t ranks[] = { 1, 2, 50, 97, 98, 100, 101, 129, PRODUCTS };

    (void)state;
    begin();
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < ARRAY_COUNT(ranks); i++) {
            expect_place(ranks[i], 0);
            expect_place(ranks[i], 3);
            expect_place(ranks[i], 10);
        }
        if (round == 0) {
            back_up();
            clock_set_offset_ms(noon_ms + HOUR_MS);
        }
    }
    struct ranking_place place = place_now(999, 3);
    assert_int_equal(place.err, ERR_NOT_FOUND);
    ledger_fault_set(shop.ledger, true);
    place = place_now(1, 3);
    assert_int_equal(place.err, ERR_UNAVAILABLE);
    ledger_fault_set(shop.ledger, false);
    end();
}

/* ---- last good answers ---- */

static void put_last(struct ranking_last *last, int64_t day, struct str category, int64_t limit,
                     size_t count, int64_t as_of_ms)
{
    struct ranking_row rows[20];
    struct ranking_top top = { .window = SALES_DAILY,
                               .day = day,
                               .category = category,
                               .limit = limit,
                               .rows = rows,
                               .count = count,
                               .said.as_of_ms = as_of_ms };

    for (size_t i = 0; i < count; i++)
        rows[i] = (struct ranking_row){ .rank = (int64_t)i + 1,
                                        .sum = { .product_id = as_of_ms + (int64_t)i } };
    ranking_last_put(last, &top);
}

/* `as_of_ms` 0: there is none. */
static void expect_last(const struct ranking_last *last, int64_t after_ms, int64_t day,
                        struct str category, int64_t limit, size_t count, int64_t as_of_ms)
{
    struct ranking_top top = {
        .window = SALES_DAILY, .day = day, .category = category, .limit = limit, .arena = &arena
    };

    assert_int_equal(ranking_last_find(last, after_ms, &top), as_of_ms != 0);
    if (as_of_ms == 0)
        return;
    assert_ok(top.err);
    assert_int_equal(top.said.as_of_ms, as_of_ms);
    assert_int_equal(top.count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(top.rows[i].sum.product_id, as_of_ms + (int64_t)i);
}

static void test_last(void **state)
{
    struct ranking_last *last = ranking_last_new();

    (void)state;
    expect_last(last, 0, 1, STR_NONE, 10, 0, 0);
    put_last(last, 1, STR_NONE, 10, 10, 1000);
    put_last(last, 1, STR("tea"), 10, 3, 2000);
    expect_last(last, 0, 1, STR_NONE, 10, 10, 1000);
    expect_last(last, 0, 1, STR_NONE, 4, 4, 1000);
    expect_last(last, 0, 1, STR_NONE, 11, 0, 0);      /* there may be an eleventh */
    expect_last(last, 0, 1, STR("tea"), 50, 3, 2000); /* there is no fourth */
    expect_last(last, 1000, 1, STR_NONE, 10, 0, 0);   /* the backup is as young */
    expect_last(last, 999, 1, STR_NONE, 10, 10, 1000);
    expect_last(last, 0, 2, STR_NONE, 10, 0, 0);
    expect_last(last, 0, 1, STR("te"), 10, 0, 0);
    expect_last(last, 0, 1, STR(""), 10, 0, 0);
    put_last(last, 1, STR_NONE, 5, 5, 3000);
    expect_last(last, 0, 1, STR_NONE, 4, 4, 3000); /* the youngest that will do */
    expect_last(last, 0, 1, STR_NONE, 6, 6, 1000);
    for (int64_t i = 0; i < 63; i++) /* sixty-four are kept: those asked for last */
        put_last(last, 100 + i, STR_NONE, 5, 5, 4000 + i);
    expect_last(last, 0, 1, STR_NONE, 10, 0, 0);
    expect_last(last, 0, 1, STR_NONE, 5, 5, 3000);
    ranking_last_free(last);
    arena_fini(&arena);
}

/* ---- names ---- */

static void test_names(void **state)
{
    struct product_names *names = product_names_new();
    struct str name;

    (void)state;
    assert_false(product_names_find(names, 7, 2, true, &name));
    product_names_put(names, 7, 2, STR("tea"));
    assert_true(product_names_find(names, 7, 2, false, &name));
    assert_true(str_equal(name, STR("tea")));
    assert_false(product_names_find(names, 7, 4, false, &name));
    assert_true(product_names_find(names, 7, 4, true, &name));
    product_names_put(names, 7, 4, STR("green tea"));
    assert_true(product_names_find(names, 7, 4, false, &name));
    assert_true(str_equal(name, STR("green tea")));
    for (int64_t id = 100; id < 100000; id++) /* its place is taken sooner or later */
        product_names_put(names, id, 4, STR("cup"));
    assert_false(product_names_find(names, 7, 4, true, &name));
    product_names_free(names);
}

/* ---- the backup ---- */

static void *backup_thread(void *context)
{
    int64_t *written = context;

    assert_ok(backup_run(&shop, written));
    return NULL;
}

static bool no_board(void *context, const struct ledger_board *board)
{
    (void)context;
    return !board;
}

static void test_two_backups(void **state)
{
    pthread_t threads[2];
    int64_t written[2], today, again;

    (void)state;
    begin();
    today = clock_day(clock_wall_ms());
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, backup_thread, &written[i]), 0);
    for (size_t i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(written[0] + written[1], 8); /* each board once: four windows, two each */
    assert_ok(ledger_scan_boards(shop.ledger, today - 90, today, no_board, NULL));
    assert_ok(backup_run(&shop, &again));
    assert_int_equal(again, 0);
    struct ranking_numbers numbers = ranking_numbers(&shop);
    assert_true(numbers.boards_written == 8 && numbers.backup_failures == 0);
    assert_true(numbers.backup_at_ms > 0);
    ranking_backup_fault_set(&shop, true);
    assert_int_equal(backup_run(&shop, &again), ERR_UNAVAILABLE);
    assert_int_equal(ranking_numbers(&shop).backup_failures, 1);
    end();
}

/* What is left is out of date, and so is made at the next start. */
static void test_cut_short(void **state)
{
    int64_t written;

    (void)state;
    begin();
    atomic_store(&shop.ranking_feed->backup_cut, true);
    assert_int_equal(backup_run(&shop, &written), ERR_TIMEOUT);
    assert_int_equal(written, 0);
    atomic_store(&shop.ranking_feed->backup_cut, false);
    assert_ok(backup_run(&shop, &written));
    assert_int_equal(written, 8);
    atomic_store(&shop.ranking_feed->backup_cut, true);
    assert_int_equal(backup_run(&shop, &written), ERR_TIMEOUT); /* nor is it looked for more */
    atomic_store(&shop.ranking_feed->backup_cut, false);
    end();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_top),       cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_places),    cmocka_unit_test(test_last),
        cmocka_unit_test(test_names),     cmocka_unit_test(test_two_backups),
        cmocka_unit_test(test_cut_short),
    };
    return cmocka_run_group_tests_name("ranking without its primary", tests, NULL, NULL);
}
