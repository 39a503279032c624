// SPDX-License-Identifier: Apache-2.0
/* Products, and what is told about commits. */
#include "base/clock.h"
#include "ledger/ledger_conformance_internal.h"

/* ---- products ---- */

struct ledger_command conf_create_product_of(struct ledger_product *product, int64_t product_id,
                                             const char *category, int64_t price, int64_t stock)
{
    *product = (struct ledger_product){ .product_id = product_id,
                                        .name = STR("이름"),
                                        .category = str_from(category),
                                        .price = price,
                                        .stock = stock };
    return (struct ledger_command){ .op = LEDGER_PRODUCT_CREATE,
                                    .product_create = { .product = product } };
}

void conf_create_product(int64_t product_id, const char *category, int64_t price, int64_t stock)
{
    struct ledger_product product;
    struct ledger_command command =
        conf_create_product_of(&product, product_id, category, price, stock);

    conf_run(&command, 1);
    assert_ok(command.err);
    assert_false(command.product_create.taken);
}

static void change(int64_t product_id, struct ledger_product_change what, bool found)
{
    struct ledger_command command = { .op = LEDGER_PRODUCT_CHANGE, .product_change = what };

    command.product_change.product_id = product_id;
    conf_run(&command, 1);
    assert_ok(command.err);
    assert_int_equal(command.product_change.found, found);
}

static struct ledger_product product_now(int64_t product_id)
{
    struct ledger_read read = { .op = LEDGER_READ_PRODUCT,
                                .product_id = product_id,
                                .arena = &world.arena };

    conf_read(&read);
    assert_ok(read.err);
    assert_int_equal(read.found, read.product.product_id != 0);
    return read.product;
}

static struct ledger_read page_of(const char *category, enum ledger_product_sort sort,
                                  int64_t after_key, int64_t after, int64_t limit)
{
    struct ledger_read read = { .op = LEDGER_READ_PRODUCTS,
                                .category = str_from(category),
                                .sort = sort,
                                .after_key = after_key,
                                .after = after,
                                .limit = limit,
                                .arena = &world.arena };

    conf_read(&read);
    assert_ok(read.err);
    return read;
}

static int64_t count_of(const char *category)
{
    return page_of(category, LEDGER_PRODUCTS_BY_ID, 0, 0, 1).total_count;
}

static void test_product(void **state)
{
    struct ledger_product product;
    struct ledger_command again = conf_create_product_of(&product, 5, NULL, 1, 1);

    (void)state;
    conf_create_product(5, "도서", 1000, 7);
    product = product_now(5);
    assert_int_equal(product.price, 1000);
    assert_int_equal(product.stock, 7);
    assert_int_equal(product.held, 0);
    assert_true(product.created_at_ms > 0);
    assert_true(str_equal(product.name, STR("이름")));
    assert_true(str_equal(product.category, STR("도서")));
    assert_null(product.description.ptr);
    again = conf_create_product_of(&product, 5, NULL, 1, 1);
    conf_run(&again, 1);
    assert_true(again.product_create.taken);
    assert_int_equal(product_now(5).price, 1000);
    assert_int_equal(product_now(6).product_id, 0);
    change(6, (struct ledger_product_change){ .has_price = true }, false);
    change(5,
           (struct ledger_product_change){ .has_description = true,
                                           .has_stock = true,
                                           .to = { .description = STR(""), .stock = 9 } },
           true);
    product = product_now(5);
    assert_int_equal(product.price, 1000);
    assert_int_equal(product.stock, 9);
    assert_non_null(product.description.ptr); /* none and an empty one are two things */
    assert_int_equal(product.description.len, 0);
    change(5,
           (struct ledger_product_change){ .has_description = true,
                                           .has_name = true,
                                           .has_price = true,
                                           .to = { .name = STR("other"), .price = 0 } },
           true);
    product = product_now(5);
    assert_null(product.description.ptr);
    assert_true(str_equal(product.name, STR("other")));
    assert_int_equal(product.price, 0);
}

/* An id that the ledger chooses is free, whatever else is made in the same turn. */
static void test_chosen_id_is_free(void **state)
{
    static const int64_t asked[] = { 0, 3, 0, 2, 0, INT64_MAX, 0 },
                         expected[] = { 1, 3, 4, 2, 5, INT64_MAX, 0 };
    struct ledger_product products[7];
    struct ledger_command commands[7];

    (void)state;
    for (size_t i = 0; i < 7; i++)
        commands[i] = conf_create_product_of(&products[i], asked[i], i % 2 ? "a" : NULL, 1, 1);
    conf_run(commands, 7);
    for (size_t i = 0; i < 7; i++) {
        assert_ok(commands[i].err);
        assert_int_equal(commands[i].product_create.taken, expected[i] == 0);
        if (expected[i])
            assert_int_equal(products[i].product_id, expected[i]);
    }
    assert_int_equal(count_of(NULL), 6);
    assert_int_equal(count_of("a"), 3);
}

static void test_counters(void **state)
{
    const struct ledger_product to_b = { .category = STR("b") };

    (void)state;
    assert_int_equal(count_of(NULL), 0);
    for (int64_t id = 1; id <= 5; id++)
        conf_create_product(id, id < 4 ? "a" : NULL, 1, 1);
    assert_int_equal(count_of(NULL), 5);
    assert_int_equal(count_of("a"), 3);
    assert_int_equal(count_of("b"), 0);
    change(1, (struct ledger_product_change){ .has_category = true, .to = to_b }, true);
    change(1, (struct ledger_product_change){ .has_category = true, .to = to_b }, true);
    change(2, (struct ledger_product_change){ .has_category = true }, true);
    change(3, (struct ledger_product_change){ .has_price = true, .to = { .price = 9 } }, true);
    change(4, (struct ledger_product_change){ .has_category = true, .to = to_b }, true);
    assert_int_equal(count_of(NULL), 5);
    assert_int_equal(count_of("a"), 1);
    assert_int_equal(count_of("b"), 2);
    /* There and back in one batch, and made and moved in one. */
    struct ledger_product product;
    struct ledger_command commands[4] = {
        { .op = LEDGER_PRODUCT_CHANGE,
          .product_change = { .product_id = 3, .has_category = true, .to = to_b } },
        { .op = LEDGER_PRODUCT_CHANGE,
          .product_change = { .product_id = 3, .has_category = true, .to.category = STR("a") } },
        conf_create_product_of(&product, 6, "a", 1, 1),
        { .op = LEDGER_PRODUCT_CHANGE,
          .product_change = { .product_id = 6, .has_category = true, .to.category = STR("c") } },
    };
    conf_run(commands, 4);
    for (size_t i = 0; i < 4; i++)
        assert_ok(commands[i].err);
    assert_int_equal(count_of("a"), 1);
    assert_int_equal(count_of("b"), 2);
    assert_int_equal(count_of("c"), 1);
    assert_int_equal(count_of(NULL), 6);
}

/* Every sort, in pages of every size, of all products and of a category: each product once. */
static void check_pages(const char *category, enum ledger_product_sort sort, const int64_t *ids,
                        size_t count, int64_t limit)
{
    int64_t after_key = 0, after = 0;
    size_t seen = 0;
    bool more = true;

    while (more) {
        struct ledger_read page = page_of(category, sort, after_key, after, limit);
        assert_int_equal(page.total_count, count);
        assert_true(page.product_count > 0 && page.product_count <= (size_t)limit);
        for (size_t i = 0; i < page.product_count; i++)
            assert_int_equal(page.products[i].product_id, ids[seen++]);
        const struct ledger_product *last = &page.products[page.product_count - 1];
        after = last->product_id;
        after_key = sort == LEDGER_PRODUCTS_NEWEST  ? last->created_at_ms
                    : sort == LEDGER_PRODUCTS_BY_ID ? 0
                                                    : last->price;
        more = page.more;
        assert_int_equal(more, seen < count);
    }
    assert_int_equal(seen, count);
}

static void test_pages(void **state)
{
    static const int64_t prices[] = { 30, 10, 10, 0, 20, 10, 30 }; /* of products 1..7 */
    static const int64_t all[][7] = {
        [LEDGER_PRODUCTS_BY_ID] = { 1, 2, 3, 4, 5, 6, 7 },
        [LEDGER_PRODUCTS_BY_PRICE] = { 4, 2, 3, 6, 5, 1, 7 },
        [LEDGER_PRODUCTS_BY_PRICE_DOWN] = { 1, 7, 5, 2, 3, 6, 4 },
        [LEDGER_PRODUCTS_NEWEST] = { 7, 6, 5, 4, 3, 2, 1 },
    };
    struct ledger_product products[7];
    struct ledger_command commands[7];

    (void)state;
    /* One batch, so that they are equally old. */
    for (size_t i = 0; i < 7; i++)
        commands[i] = conf_create_product_of(&products[i], (int64_t)i + 1, i % 3 ? "odd" : "even",
                                             prices[i], 1);
    conf_run(commands, 7);
    for (unsigned sort = 0; sort < ARRAY_COUNT(all); sort++) {
        int64_t even[3];
        size_t count = 0;
        for (size_t i = 0; i < 7; i++)
            if (all[sort][i] % 3 == 1)
                even[count++] = all[sort][i];
        for (int64_t limit = 1; limit <= 8; limit++) {
            check_pages(NULL, (enum ledger_product_sort)sort, all[sort], 7, limit);
            check_pages("even", (enum ledger_product_sort)sort, even, count, limit);
        }
        struct ledger_read page = page_of("none", (enum ledger_product_sort)sort, 0, 0, 5);
        assert_int_equal(page.product_count + (size_t)page.total_count + page.more, 0);
    }
}

static void test_by_id(void **state)
{
    static const int64_t ids[] = { 3, 9, 1, 3 };
    struct ledger_read read = {
        .op = LEDGER_READ_PRODUCTS_BY_ID, .ids = ids, .id_count = 4, .arena = &world.arena
    };

    (void)state;
    conf_create_product(1, NULL, 10, 1);
    conf_create_product(3, "a", 30, 1);
    conf_read(&read);
    assert_ok(read.err);
    assert_int_equal(read.product_count, 4);
    assert_int_equal(read.products[0].price, 30);
    assert_int_equal(read.products[1].product_id, 0);
    assert_int_equal(read.products[2].price, 10);
    assert_int_equal(read.products[3].product_id, 3);
}

/* ---- what was not sold ---- */

enum { MANY = 600, SOLD = 550 };

/* An order of so many products from the first on, paid at that time. */
static void sell(struct order_line *lines, size_t count, int64_t paid_at_ms)
{
    struct ledger_order order = { .user_id = 1,
                                  .status = ORDER_COMPLETED,
                                  .lines = lines,
                                  .line_count = count,
                                  .created_at_ms = paid_at_ms,
                                  .paid_at_ms = paid_at_ms };
    struct ledger_command command = { .op = LEDGER_ORDER_IMPORT,
                                      .order_import = { .order = &order } };

    for (size_t i = 0; i < count; i++)
        lines[i] =
            (struct order_line){ .product_id = (int64_t)i + 1, .quantity = 1, .name = STR("n") };
    conf_run(&command, 1);
    assert_ok(command.err);
    assert_false(command.order_import.taken);
}

static struct ledger_read unsold(const char *category, int64_t after, int64_t limit)
{
    struct ledger_read read = { .op = LEDGER_READ_PRODUCTS_UNSOLD,
                                .category = str_from(category),
                                .window = SALES_ROLLING,
                                .day = clock_day(clock_wall_ms()),
                                .after = after,
                                .limit = limit,
                                .arena = &world.arena };

    conf_read(&read);
    assert_ok(read.err);
    assert_int_equal(read.total_count, category ? MANY / 2 : MANY);
    return read;
}

static void test_unsold(void **state)
{
    static struct ledger_product products[MANY];
    static struct ledger_command commands[MANY];
    static struct order_line lines[SOLD];
    enum { DAY_MS = 86400000 };

    (void)state;
    conf_user(1, 0);
    for (int64_t i = 0; i < MANY; i++)
        commands[i] = conf_create_product_of(&products[i], i + 1, i % 2 ? "a" : NULL, 1, 1);
    conf_run(commands, MANY);
    sell(lines, SOLD, clock_wall_ms() - 8 * (int64_t)DAY_MS); /* before the window */
    struct ledger_read read = unsold(NULL, 0, 10);
    assert_int_equal(read.product_count, 10);
    assert_int_equal(read.after, 10);
    assert_true(read.more);
    sell(lines, 4, clock_wall_ms() - 6 * (int64_t)DAY_MS);
    read = unsold(NULL, 0, 10);
    assert_int_equal(read.products[0].product_id, 5);
    assert_int_equal(unsold("a", 0, 2).products[0].product_id, 6);
    sell(lines, SOLD, clock_wall_ms());
    read = unsold(NULL, 0, 10); /* a page looks at so many, and no further */
    assert_int_equal(read.product_count, 0);
    assert_true(read.more && read.after > 0 && read.after < SOLD);
    read = unsold(NULL, read.after, 10);
    assert_int_equal(read.products[0].product_id, SOLD + 1);
    assert_int_equal(read.after, SOLD + 10);
    read = unsold(NULL, MANY - 10, 10);
    assert_int_equal(read.product_count, 10);
    assert_false(read.more);
    read = unsold(NULL, 0, 0);
    assert_int_equal(read.product_count, 0);
}

/* ---- what is told ---- */

static struct told {
    struct ledger_watch watch;
    unsigned committing, committed, given_up;
    struct ledger_product_changed last;
    int64_t category_b;
} told;

static void take(const struct ledger_changes *changes)
{
    assert_int_equal(changes->product_count, 1);
    told.last = changes->products[0];
    told.category_b = str_equal(told.last.category, STR("b"));
}

static void tell_committing(struct ledger_watch *watch, const struct ledger_changes *changes)
{
    (void)watch;
    take(changes);
    told.committing++;
}

static void tell_committed(struct ledger_watch *watch, const struct ledger_changes *changes)
{
    (void)watch;
    take(changes);
    told.committed++;
}

static void tell_given_up(struct ledger_watch *watch, const struct ledger_changes *changes)
{
    (void)watch;
    take(changes);
    told.given_up++;
}

static void expect_told(unsigned times, int64_t product_id, bool listed, bool category_b)
{
    assert_int_equal(told.committing, times);
    assert_int_equal(told.committed, times);
    assert_int_equal(told.given_up, 0);
    assert_int_equal(told.last.product_id, product_id);
    assert_int_equal(told.last.listed, listed);
    assert_int_equal(told.category_b, category_b);
}

static void test_told(void **state)
{
    (void)state;
    told = (struct told){ .watch = { .committing = tell_committing,
                                     .committed = tell_committed,
                                     .given_up = tell_given_up } };
    ledger_watch_set(world.ledger, &told.watch);
    conf_user(1, 0);
    assert_int_equal(told.committing, 0); /* no product, no sale */
    conf_create_product(1, "b", 1, 9);
    expect_told(1, 1, true, true);
    change(1, (struct ledger_product_change){ .has_stock = true, .to = { .stock = 5 } }, true);
    expect_told(2, 1, false, true);
    change(7, (struct ledger_product_change){ .has_price = true }, false);
    expect_told(2, 1, false, true); /* nothing changed */
    change(1, (struct ledger_product_change){ .has_category = true }, true);
    expect_told(3, 1, true, false);
}

int ledger_conformance_shop(void)
{
    static const struct CMUnitTest tests[] = {
        CONFORMANCE_TEST(test_product),  CONFORMANCE_TEST(test_chosen_id_is_free),
        CONFORMANCE_TEST(test_counters), CONFORMANCE_TEST(test_pages),
        CONFORMANCE_TEST(test_by_id),    CONFORMANCE_TEST(test_unsold),

        CONFORMANCE_TEST(test_told),
    };
    return cmocka_run_group_tests_name("products", tests, NULL, NULL) + ledger_conformance_cart();
}
