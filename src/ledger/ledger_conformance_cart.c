// SPDX-License-Identifier: Apache-2.0
/* Carts. */
#include "ledger/ledger_conformance_internal.h"

static enum ledger_cart_outcome cart(int64_t user_id, int64_t product_id, int what,
                                     int64_t quantity)
{
    struct ledger_command command = { .op = LEDGER_CART_CHANGE,
                                      .cart_change = { .user_id = user_id,
                                                       .product_id = product_id,
                                                       .what = (unsigned)what,
                                                       .quantity = quantity } };

    conf_run(&command, 1);
    assert_ok(command.err);
    return command.cart_change.outcome;
}

static struct ledger_read cart_now(int64_t user_id)
{
    struct ledger_read read = { .op = LEDGER_READ_CART, .user_id = user_id, .arena = &world.arena };

    conf_read(&read);
    assert_ok(read.err);
    return read;
}

/* Products and quantities, newest line first. */
static void expect_cart(int64_t user_id, const int64_t *lines, size_t count)
{
    struct ledger_read read = cart_now(user_id);

    assert_true(read.found);
    assert_int_equal(read.cart_count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(read.cart[i].product.product_id, lines[2 * i]);
        assert_int_equal(read.cart[i].quantity, lines[2 * i + 1]);
    }
}

#define EXPECT_CART(user_id, ...)                          \
    expect_cart(user_id, (const int64_t[]){ __VA_ARGS__ }, \
                sizeof((const int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t) / 2)

static void test_cart(void **state)
{
    (void)state;
    conf_user(1, 0);
    for (int64_t id = 1; id <= 3; id++)
        conf_create_product(id, NULL, id * 10, 10);
    EXPECT_CART(1, 0);
    assert_false(cart_now(2).found);
    assert_int_equal(cart(1, 1, LEDGER_CART_ADD, 2), LEDGER_CART_OK);
    assert_int_equal(cart(1, 2, LEDGER_CART_ADD, 10), LEDGER_CART_OK);
    assert_int_equal(cart(1, 3, LEDGER_CART_ADD, 1), LEDGER_CART_OK);
    assert_int_equal(cart(1, 1, LEDGER_CART_ADD, 3), LEDGER_CART_OK); /* keeps its place */
    EXPECT_CART(1, 3, 1, 2, 10, 1, 5);
    assert_int_equal(cart(1, 2, LEDGER_CART_SET, 4), LEDGER_CART_OK);
    EXPECT_CART(1, 3, 1, 2, 4, 1, 5);
    assert_int_equal(cart(1, 2, LEDGER_CART_SET, 0), LEDGER_CART_OK);
    assert_int_equal(cart(1, 3, LEDGER_CART_REMOVE, 0), LEDGER_CART_OK);
    EXPECT_CART(1, 1, 5);
    assert_int_equal(cart(1, 2, LEDGER_CART_ADD, 1), LEDGER_CART_OK);
    EXPECT_CART(1, 2, 1, 1, 5);
    struct ledger_command dearer = {
        .op = LEDGER_PRODUCT_CHANGE,
        .product_change = { .product_id = 2, .has_price = true, .to = { .price = 99 } }
    };
    conf_run(&dearer, 1);
    assert_int_equal(cart_now(1).cart[0].product.price, 99);
    assert_int_equal(cart_now(1).cart[0].product.stock, 10); /* nothing is taken */
}

static void test_cart_refuses(void **state)
{
    static const struct {
        int64_t user_id, product_id;
        int what;
        int64_t quantity;
        enum ledger_cart_outcome outcome;
    } rows[] = {
        /* by the order of the checks: user, cart, product or line, quantity, stock */
        { 9, 9, LEDGER_CART_ADD, 0, LEDGER_CART_NO_USER },
        { 9, 9, LEDGER_CART_SET, -1, LEDGER_CART_NO_USER },
        { 9, 9, LEDGER_CART_REMOVE, 0, LEDGER_CART_NO_USER },
        { 2, 9, LEDGER_CART_SET, -1, LEDGER_CART_NO_CART },
        { 2, 9, LEDGER_CART_REMOVE, 0, LEDGER_CART_NO_CART },
        { 1, 9, LEDGER_CART_ADD, 0, LEDGER_CART_NO_PRODUCT },
        { 1, 9, LEDGER_CART_SET, -1, LEDGER_CART_NO_LINE },
        { 1, 2, LEDGER_CART_SET, -1, LEDGER_CART_NO_LINE },
        { 1, 2, LEDGER_CART_REMOVE, 0, LEDGER_CART_NO_LINE },
        { 1, 2, LEDGER_CART_ADD, 0, LEDGER_CART_INVALID_QUANTITY },
        { 1, 2, LEDGER_CART_ADD, INT64_MIN, LEDGER_CART_INVALID_QUANTITY },
        { 1, 1, LEDGER_CART_SET, -1, LEDGER_CART_INVALID_QUANTITY },
        { 1, 2, LEDGER_CART_ADD, 1, LEDGER_CART_INSUFFICIENT_STOCK },
        { 1, 1, LEDGER_CART_ADD, 10, LEDGER_CART_INSUFFICIENT_STOCK },
        { 1, 1, LEDGER_CART_ADD, INT64_MAX, LEDGER_CART_INSUFFICIENT_STOCK },
        { 1, 1, LEDGER_CART_SET, 11, LEDGER_CART_INSUFFICIENT_STOCK },
        { 1, 1, LEDGER_CART_ADD, 9, LEDGER_CART_OK },
        { 1, 1, LEDGER_CART_REMOVE, 0, LEDGER_CART_OK },
        { 1, 1, LEDGER_CART_REMOVE, 0, LEDGER_CART_NO_LINE }, /* the cart stays, empty */
    };

    (void)state;
    conf_user(1, 0);
    conf_user(2, 0);
    conf_create_product(1, NULL, 5, 10);
    conf_create_product(2, NULL, 5, 0);
    assert_int_equal(cart(1, 1, LEDGER_CART_ADD, 1), LEDGER_CART_OK);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        assert_int_equal(cart(rows[i].user_id, rows[i].product_id, rows[i].what, rows[i].quantity),
                         rows[i].outcome);
    EXPECT_CART(1, 0);
}

/* One batch: each command sees what those before it did. */
static void test_cart_in_a_batch(void **state)
{
    static const struct {
        int64_t product_id;
        int what;
        int64_t quantity;
        enum ledger_cart_outcome outcome;
    } rows[] = {
        { 1, LEDGER_CART_SET, 1, LEDGER_CART_NO_CART },
        { 1, LEDGER_CART_ADD, 6, LEDGER_CART_OK },
        { 1, LEDGER_CART_ADD, 5, LEDGER_CART_INSUFFICIENT_STOCK },
        { 1, LEDGER_CART_ADD, 4, LEDGER_CART_OK },
        { 2, LEDGER_CART_ADD, 1, LEDGER_CART_OK },
        { 3, LEDGER_CART_ADD, 1, LEDGER_CART_OK },
        { 1, LEDGER_CART_REMOVE, 0, LEDGER_CART_OK },
        { 3, LEDGER_CART_SET, 0, LEDGER_CART_OK },
        { 1, LEDGER_CART_ADD, 2, LEDGER_CART_OK },
        { 3, LEDGER_CART_REMOVE, 0, LEDGER_CART_NO_LINE },
        { 4, LEDGER_CART_ADD, 1, LEDGER_CART_OK },
    };
    struct ledger_product product;
    struct ledger_command commands[ARRAY_COUNT(rows) + 1];

    (void)state;
    conf_user(1, 0);
    for (int64_t id = 1; id <= 3; id++)
        conf_create_product(id, NULL, 5, 10);
    commands[0] = conf_create_product_of(&product, 4, NULL, 1, 1);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        commands[i + 1] =
            (struct ledger_command){ .op = LEDGER_CART_CHANGE,
                                     .cart_change = { .user_id = 1,
                                                      .product_id = rows[i].product_id,
                                                      .what = (unsigned)rows[i].what,
                                                      .quantity = rows[i].quantity } };
    conf_run(commands, ARRAY_COUNT(commands));
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_ok(commands[i + 1].err);
        assert_int_equal(commands[i + 1].cart_change.outcome, rows[i].outcome);
    }
    EXPECT_CART(1, 4, 1, 1, 2, 2, 1);
}

static void test_cart_is_full(void **state)
{
    static struct ledger_product products[LEDGER_CART_LINES_MAX + 1];
    static struct ledger_command commands[LEDGER_CART_LINES_MAX];

    (void)state;
    conf_user(1, 0);
    conf_create_product(LEDGER_CART_LINES_MAX + 1, NULL, 1, 9);
    for (int64_t i = 0; i < LEDGER_CART_LINES_MAX; i++)
        commands[i] = conf_create_product_of(&products[i], i + 1, NULL, 1, 9);
    conf_run(commands, LEDGER_CART_LINES_MAX);
    for (int64_t i = 0; i < LEDGER_CART_LINES_MAX; i++)
        commands[i] = (struct ledger_command){
            .op = LEDGER_CART_CHANGE,
            .cart_change = { .user_id = 1, .product_id = i + 1, .quantity = 1 }
        };
    conf_run(commands, LEDGER_CART_LINES_MAX);
    assert_int_equal(cart(1, LEDGER_CART_LINES_MAX + 1, LEDGER_CART_ADD, 1), LEDGER_CART_FULL);
    assert_int_equal(cart(1, 5, LEDGER_CART_ADD, 1), LEDGER_CART_OK); /* a line that is there */
    assert_int_equal(cart(1, 5, LEDGER_CART_REMOVE, 0), LEDGER_CART_OK);
    assert_int_equal(cart(1, LEDGER_CART_LINES_MAX + 1, LEDGER_CART_ADD, 1), LEDGER_CART_OK);
    struct ledger_read read = cart_now(1);
    assert_int_equal(read.cart_count, LEDGER_CART_LINES_MAX);
    assert_int_equal(read.cart[0].product.product_id, LEDGER_CART_LINES_MAX + 1);
    assert_int_equal(read.cart[1].product.product_id, LEDGER_CART_LINES_MAX);
}

int ledger_conformance_cart(void)
{
    static const struct CMUnitTest tests[] = {
        CONFORMANCE_TEST(test_cart),
        CONFORMANCE_TEST(test_cart_refuses),
        CONFORMANCE_TEST(test_cart_in_a_batch),
        CONFORMANCE_TEST(test_cart_is_full),
    };
    return cmocka_run_group_tests_name("carts", tests, NULL, NULL);
}
