// SPDX-License-Identifier: Apache-2.0
/* What was sold: sums, boards added up from them, boards of the backup. */
#include "base/clock.h"
#include "ledger/ledger_conformance_internal.h"

enum {
    DAY = 20600,
    DAYS = 45,
    PRODUCTS = 12,
    BOARDS_MAX = 4096,
    MADE = 1000000,
    DAY_MS = 86400000
};

static struct sales_sum model[DAYS][PRODUCTS + 1]; /* by the test's own count */
static struct str categories[PRODUCTS + 1];
static int64_t tick_ms;

/* ---- selling ---- */

static void sales_begin(void)
{
    assert_ok(clock_set_zone("UTC"));
    memset(model, 0, sizeof model);
    conf_user(1, 1000000);
    for (int64_t id = 1; id <= PRODUCTS; id++) {
        categories[id] = id % 3 == 0 ? STR_NONE : id % 3 == 1 ? STR("tea") : STR("a \"cup\", 컵");
        struct ledger_product product = { .product_id = id,
                                          .name = STR("thing"),
                                          .price = 10 * id,
                                          .stock = 1000,
                                          .category = categories[id] };
        struct ledger_command create = { .op = LEDGER_PRODUCT_CREATE,
                                         .product_create = { .product = &product } };
        conf_run(&create, 1);
        assert_ok(create.err);
        assert_false(create.product_create.taken);
    }
}

static void sales_end(void)
{
    clock_set_offset_ms(0);
}

/* Each sale is later than the one before it. */
static int64_t next_moment(void)
{
    tick_ms += 60000;
    clock_set_offset_ms(tick_ms);
    return clock_wall_ms();
}

static void sell(int64_t day, int64_t product_id, int64_t quantity)
{
    struct order_line line = { .product_id = product_id,
                               .name = STR("thing"),
                               .quantity = quantity,
                               .unit_price = 10 * product_id };
    struct ledger_order order = { .user_id = 1,
                                  .status = ORDER_COMPLETED,
                                  .lines = &line,
                                  .line_count = 1,
                                  .subtotal = quantity * line.unit_price,
                                  .created_at_ms = day * DAY_MS,
                                  .paid_at_ms = day * DAY_MS + DAY_MS - 1 };
    struct ledger_command import = { .op = LEDGER_ORDER_IMPORT, .order_import = { &order, false } };

    next_moment();
    conf_run(&import, 1);
    assert_ok(import.err);
    assert_false(import.order_import.taken);
    struct sales_sum *sum = &model[day - DAY][product_id];
    sum->product_id = product_id;
    sum->units += quantity;
    sum->revenue += quantity * line.unit_price;
}

static uint64_t seed;

static int64_t any(int64_t n)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (int64_t)((seed >> 33) % (uint64_t)n);
}

static void sell_much(void)
{
    seed = 7;
    for (int i = 0; i < 250; i++)
        sell(DAY + any(DAYS), 1 + any(PRODUCTS), 1 + any(3));
}

/* ---- what is to be expected ---- */

static bool take_time(void *context, const struct ledger_sale *sale)
{
    (void)context;
    struct sales_sum *sum = &model[sale->day - DAY][sale->sum.product_id];
    assert_int_equal(sale->sum.units, sum->units);
    assert_int_equal(sale->sum.revenue, sum->revenue);
    assert_true(sale->version > 0);
    assert_true(str_equal(sale->category, categories[sale->sum.product_id]));
    sum->reached_ms = sale->sum.reached_ms;
    return true;
}

/* In the order of the board; returns how many. */
static size_t expected(enum sales_window window, int64_t day, struct str category,
                       struct sales_sum out[PRODUCTS])
{
    struct sales_days days = sales_window_days(window, day);
    size_t count = 0;

    for (int64_t id = 1; id <= PRODUCTS; id++) {
        struct sales_sum sum = { .product_id = id };
        for (int64_t at = MAX(days.from, DAY); at <= MIN(days.to, DAY + DAYS - 1); at++) {
            sum.units += model[at - DAY][id].units;
            sum.revenue += model[at - DAY][id].revenue;
            sum.reached_ms = MAX(sum.reached_ms, model[at - DAY][id].reached_ms);
        }
        if (sum.units <= 0 || (category.ptr && !str_equal(category, categories[id])))
            continue;
        size_t at = count++;
        for (; at > 0 && sales_compare(window, &sum, &out[at - 1]) < 0; at--)
            out[at] = out[at - 1];
        out[at] = sum;
    }
    return count;
}

static void expect_sum(const struct sales_sum *sum, const struct sales_sum *wanted)
{
    assert_int_equal(sum->product_id, wanted->product_id);
    assert_int_equal(sum->units, wanted->units);
    assert_int_equal(sum->revenue, wanted->revenue);
    assert_int_equal(sum->reached_ms, wanted->reached_ms);
}

/* ---- reads ---- */

static void expect_page(enum sales_window window, int64_t day, struct str category, int64_t after,
                        int64_t limit)
{
    struct ledger_read read = { .op = LEDGER_READ_SALES_PAGE,
                                .arena = &world.arena,
                                .window = window,
                                .day = day,
                                .category = category,
                                .after = after,
                                .limit = limit };
    struct sales_sum all[PRODUCTS];
    size_t count = expected(window, day, category, all), first = MIN((size_t)after, count);

    conf_read(&read);
    assert_ok(read.err);
    assert_int_equal(read.entry_count, MIN((size_t)limit, count - first));
    assert_int_equal(read.first_rank, first + 1);
    for (size_t i = 0; i < read.entry_count; i++)
        expect_sum(&read.entries[i], &all[first + i]);
    arena_reset(&world.arena);
}

static void test_pages(void **state)
{
    (void)state;
    sales_begin();
    sell_much();
    assert_ok(ledger_scan_sales(world.ledger, DAY, take_time, NULL));
    for (int i = 0; i < SALES_WINDOW_N; i++)
        for (int64_t day = DAY - 1; day <= DAY + DAYS; day++) {
            enum sales_window window = (enum sales_window)i;
            expect_page(window, day, STR_NONE, 0, 100);
            expect_page(window, day, STR_NONE, day % 5, 3);
            expect_page(window, day, STR("tea"), 0, 100);
        }
    expect_page(SALES_DAILY, DAY, STR("no such"), 0, 10);
    expect_page(SALES_MONTHLY, DAY, STR("a \"cup\", 컵"), 0, 10);
    sales_end();
}

static void expect_product(enum sales_window window, int64_t day, int64_t product_id,
                           int64_t around)
{
    struct ledger_read read = { .op = LEDGER_READ_SALES_PRODUCT,
                                .arena = &world.arena,
                                .window = window,
                                .day = day,
                                .product_id = product_id,
                                .around = around };
    struct sales_sum all[PRODUCTS];
    size_t count = expected(window, day, STR_NONE, all), at = 0;

    while (at < count && all[at].product_id != product_id)
        at++;
    conf_read(&read);
    assert_ok(read.err);
    if (at == count) {
        assert_int_equal(read.rank, -1);
        assert_int_equal(read.entry_count, 0);
        return;
    }
    size_t first = at - MIN(at, (size_t)around), end = MIN(at + (size_t)around + 1, count);
    assert_int_equal(read.rank, at + 1);
    expect_sum(&read.sum, &all[at]);
    assert_int_equal(read.first_rank, first + 1);
    assert_int_equal(read.entry_count, end - first);
    for (size_t i = 0; i < read.entry_count; i++)
        expect_sum(&read.entries[i], &all[first + i]);
    arena_reset(&world.arena);
}

static void test_products(void **state)
{
    (void)state;
    sales_begin();
    sell_much();
    assert_ok(ledger_scan_sales(world.ledger, DAY, take_time, NULL));
    for (int i = 0; i < SALES_WINDOW_N; i++)
        for (int64_t id = 0; id <= PRODUCTS + 1; id++) {
            expect_product((enum sales_window)i, DAY + 20, id, 0);
            expect_product((enum sales_window)i, DAY + 30, id, id % 4);
            expect_product((enum sales_window)i, DAY + 21, id, 10);
        }
    ledger_fault_set(world.ledger, true);
    struct ledger_read read = { .op = LEDGER_READ_SALES_PAGE, .arena = &world.arena, .limit = 1 };
    conf_read(&read);
    assert_int_equal(read.err, ERR_UNAVAILABLE);
    ledger_fault_set(world.ledger, false);
    sales_end();
}

/* ---- scans of the sums ---- */

static size_t sales_seen, sales_wanted;
static int64_t last_day;

static bool see_sale(void *context, const struct ledger_sale *sale)
{
    (void)context;
    assert_true(sale->day >= last_day);
    last_day = sale->day;
    return ++sales_seen < sales_wanted;
}

static void expect_scan(int64_t from_day, size_t wanted, enum err e, size_t seen)
{
    sales_seen = 0;
    last_day = from_day;
    sales_wanted = wanted;
    assert_int_equal(ledger_scan_sales(world.ledger, from_day, see_sale, NULL), e);
    assert_int_equal(sales_seen, seen);
}

static void test_scan(void **state)
{
    (void)state;
    sales_begin();
    sell(DAY, 1, 1);
    sell(DAY, 2, 1);
    sell(DAY, 2, 5);
    sell(DAY + 1, 1, 1);
    expect_scan(0, 99, ERR_OK, 3);
    expect_scan(DAY + 1, 99, ERR_OK, 1);
    expect_scan(DAY + 2, 99, ERR_OK, 0);
    expect_scan(0, 2, ERR_NOMEM, 2);
    sales_end();
}

/* ---- boards of the backup ---- */

static struct ledger_board boards[BOARDS_MAX];
static size_t board_count;

static bool keep_board(void *context, const struct ledger_board *board)
{
    (void)context;
    if (!board)
        return true;
    struct ledger_board *kept = &boards[board_count++];
    *kept = *board;
    kept->category = board->category.len ? arena_copy(&world.arena, board->category) : STR_NONE;
    kept->entries = arena_alloc(&world.arena, (board->entry_count + 1) * sizeof *kept->entries);
    if (board->entry_count)
        memcpy(kept->entries, board->entries, board->entry_count * sizeof *kept->entries);
    return true;
}

static size_t scan_boards(int64_t from_day, int64_t to_day)
{
    board_count = 0;
    assert_ok(ledger_scan_boards(world.ledger, from_day, to_day, keep_board, NULL));
    return board_count;
}

static struct ledger_boards_store store_boards(size_t count, int64_t forget_before_day)
{
    struct ledger_command store = { .op = LEDGER_BOARDS_STORE,
                                    .boards_store = { .boards = boards,
                                                      .board_count = count,
                                                      .forget_before_day = forget_before_day } };

    conf_run(&store, 1);
    assert_ok(store.err);
    return store.boards_store;
}

/* The backup has it so; `count` SIZE_MAX: not at all. */
static void expect_board(enum sales_window window, int64_t day, struct str category,
                         const struct sales_sum *entries, size_t count, int64_t made_at_ms)
{
    struct ledger_read read = { .op = LEDGER_READ_BOARD,
                                .arena = &world.arena,
                                .window = window,
                                .day = day,
                                .category = category };

    conf_read(&read);
    assert_ok(read.err);
    assert_int_equal(read.found, count != SIZE_MAX);
    if (!read.found)
        return;
    assert_int_equal(read.made_at_ms, made_at_ms);
    assert_int_equal(read.entry_count, count);
    assert_int_equal(read.first_rank, 1);
    for (size_t i = 0; i < count; i++)
        expect_sum(&read.entries[i], &entries[i]);
}

static void test_boards(void **state)
{
    struct sales_sum all[PRODUCTS];
    bool all_products_seen[SALES_WINDOW_N][DAYS * 2] = { 0 };

    (void)state;
    sales_begin();
    sell_much();
    assert_ok(ledger_scan_sales(world.ledger, DAY, take_time, NULL));
    size_t count = scan_boards(DAY, DAY + DAYS - 1);
    assert_int_equal(store_boards(count, 0).written, count);
    for (size_t i = 0; i < count; i++) {
        const struct ledger_board *board = &boards[i];
        struct str category = board->category.len ? board->category : STR_NONE;
        size_t ranked = expected(board->window, board->day, category, all);
        assert_int_equal(sales_window_days(board->window, board->day).to, board->day);
        assert_false(all_products_seen[board->window][board->day - DAY]); /* it comes last */
        all_products_seen[board->window][board->day - DAY] = !category.ptr;
        assert_true(board->version > 0 && ranked > 0);
        expect_board(board->window, board->day, category, all, ranked, board->made_at_ms);
    }
    for (int64_t day = DAY; day < DAY + DAYS; day++)
        for (int i = 0; i < SALES_3DAYS; i++) {
            int64_t end = sales_window_days((enum sales_window)i, day).to;
            bool any = expected((enum sales_window)i, day, STR_NONE, all) > 0;
            assert_int_equal(all_products_seen[i][end - DAY], any);
        }
    assert_int_equal(scan_boards(DAY, DAY + DAYS - 1), 0);
    sales_end();
}

/* One more sale: its own day, week and month, and the seven days from it on; no other. */
static void test_boards_out_of_date(void **state)
{
    (void)state;
    sales_begin();
    for (int64_t day = DAY; day < DAY + 30; day++)
        sell(day, 1 + day % 2, 1);
    store_boards(scan_boards(DAY, DAY + 29), 0);
    sell(DAY + 10, 1, 1);
    scan_boards(DAY, DAY + 14);
    size_t of[SALES_WINDOW_N] = { 0 };
    for (size_t i = 0; i < board_count; i++) {
        struct sales_days days = sales_window_days(boards[i].window, boards[i].day);
        assert_true(days.from <= DAY + 10 && DAY + 10 <= days.to);
        of[boards[i].window] += !boards[i].category.len;
    }
    assert_true(of[SALES_DAILY] == 1 && of[SALES_WEEKLY] == 1 && of[SALES_MONTHLY] == 1);
    assert_int_equal(of[SALES_ROLLING], 5); /* to_day is the last */
    sales_end();
}

/* A copy made earlier, or twice at once, changes nothing. */
static void test_boards_versions(void **state)
{
    struct sales_sum one[1] = { { 1, 5, 50, 77 } }, two[1] = { { 2, 9, 180, 88 } };
    struct {
        int64_t version;
        struct sales_sum *entries;
        size_t count;
        int64_t written;
    } rows[] = { { 5, one, 1, 1 }, { 5, two, 1, 0 }, { 4, two, 1, 0 },
                 { 4, two, 0, 0 }, { 6, two, 1, 1 }, { 7, two, 0, 1 } };

    (void)state;
    sales_begin();
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        boards[0] = (struct ledger_board){ .window = SALES_WEEKLY,
                                           .day = DAY,
                                           .category = STR("tea"),
                                           .version = rows[i].version,
                                           .made_at_ms = MADE + (int64_t)i,
                                           .entries = rows[i].entries,
                                           .entry_count = rows[i].count };
        assert_int_equal(store_boards(1, 0).written, rows[i].written);
        if (rows[i].written)
            expect_board(SALES_WEEKLY, DAY, STR("tea"), rows[i].entries, rows[i].count,
                         MADE + (int64_t)i);
    }
    expect_board(SALES_WEEKLY, DAY, STR("tea"), NULL, 0, MADE + 5);
    expect_board(SALES_WEEKLY, DAY, STR_NONE, NULL, SIZE_MAX, 0);
    expect_board(SALES_DAILY, DAY, STR("tea"), NULL, SIZE_MAX, 0);
    boards[0].day = DAY + 1;
    assert_int_equal(store_boards(1, DAY + 1).forgotten, 1);
    expect_board(SALES_WEEKLY, DAY, STR("tea"), NULL, SIZE_MAX, 0);
    expect_board(SALES_WEEKLY, DAY + 1, STR("tea"), NULL, 0, MADE + 5);
    sales_end();
}

/* A product that moves to another category is in its boards, though nothing is sold. */
static void test_boards_moved(void **state)
{
    struct ledger_product to = { .category = STR("pots") };
    struct ledger_command move = { .op = LEDGER_PRODUCT_CHANGE,
                                   .product_change = {
                                       .product_id = 1, .to = to, .has_category = true } };
    struct sales_sum all[PRODUCTS];

    (void)state;
    sales_begin();
    sell(DAY, 1, 3);
    sell(DAY, 4, 2);
    assert_ok(ledger_scan_sales(world.ledger, DAY, take_time, NULL));
    next_moment();
    store_boards(scan_boards(DAY, DAY), 0);
    assert_int_equal(scan_boards(DAY, DAY), 0);
    next_moment();
    conf_run(&move, 1);
    assert_ok(move.err);
    categories[1] = STR("pots");
    next_moment();
    size_t count = scan_boards(DAY, DAY);
    assert_int_equal(count, 12); /* four windows: all, and two categories */
    assert_int_equal(store_boards(count, 0).written, count);
    assert_int_equal(scan_boards(DAY, DAY), 0);
    for (size_t i = 0; i < count; i++) {
        const struct ledger_board *board = &boards[i];
        struct str category = board->category.len ? board->category : STR_NONE;
        size_t ranked = expected(board->window, board->day, category, all);
        assert_int_equal(ranked, category.ptr ? 1 : 2);
        expect_board(board->window, board->day, category, all, ranked, board->made_at_ms);
    }
    sales_end();
}

/* ---- given back ---- */

static struct ledger_command buy(int64_t product_id, int64_t quantity)
{
    struct order_line line = { .product_id = product_id, .quantity = quantity };
    struct ledger_command create = {
        .op = LEDGER_ORDER_CREATE,
        .order_create = { .user_id = 1, .lines = &line, .line_count = 1, .pay = true }
    };

    next_moment();
    conf_run(&create, 1);
    assert_ok(create.err);
    assert_int_equal(create.order_create.result.outcome, LEDGER_ORDER_OK);
    return create;
}

static struct ledger_sale scanned[8];
static size_t scanned_count;

static bool keep_sale(void *context, const struct ledger_sale *sale)
{
    (void)context;
    scanned[scanned_count++] = *sale;
    return true;
}

/* A refund lowers the day of the sale, whenever it comes, and empties the board of its category. */
static void test_refund(void **state)
{
    (void)state;
    sales_begin();
    struct ledger_command bought = buy(1, 3);
    int64_t day = clock_day(clock_wall_ms());
    store_boards(scan_boards(day, day), 0);
    tick_ms += 2 * (int64_t)DAY_MS;
    next_moment();
    struct ledger_command cancel = {
        .op = LEDGER_ORDER_CANCEL,
        .order_cancel = { .user_id = 1, .order_id = bought.order_create.result.order_id }
    };
    conf_run(&cancel, 1);
    assert_ok(cancel.err);
    assert_int_equal(cancel.order_cancel.result.outcome, LEDGER_ORDER_OK);
    scanned_count = 0;
    assert_ok(ledger_scan_sales(world.ledger, 0, keep_sale, NULL));
    assert_int_equal(scanned_count, 1);
    assert_true(scanned[0].day == day && scanned[0].version == 2);
    assert_true(scanned[0].sum.units == 0 && scanned[0].sum.revenue == 0);
    assert_int_equal(scanned[0].sum.reached_ms, cancel.order_cancel.result.at_ms);
    size_t count = scan_boards(day, day);
    assert_int_equal(count, 8); /* four windows, all and one category each */
    assert_int_equal(store_boards(count, 0).written, count);
    expect_board(SALES_DAILY, day, STR("tea"), NULL, 0, boards[0].made_at_ms);
    expect_board(SALES_DAILY, day, STR_NONE, NULL, 0, boards[1].made_at_ms);
    tick_ms -= 2 * (int64_t)DAY_MS;
    sales_end();
}

int ledger_conformance_sales(void)
{
    static const struct CMUnitTest tests[] = {
        CONFORMANCE_TEST(test_pages),
        CONFORMANCE_TEST(test_products),
        CONFORMANCE_TEST(test_scan),
        CONFORMANCE_TEST(test_boards),
        CONFORMANCE_TEST(test_boards_out_of_date),
        CONFORMANCE_TEST(test_boards_versions),
        CONFORMANCE_TEST(test_boards_moved),
        CONFORMANCE_TEST(test_refund),
    };
    return cmocka_run_group_tests_name("sales", tests, NULL, NULL);
}
