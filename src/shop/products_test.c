// SPDX-License-Identifier: Apache-2.0
/* Products, carts, the counters of changes, and the load-test data's part of them. */
#include "shop/shop_fixture_test.h"

static struct arena arena;
static bool ended;

static bool has_ended(void)
{
    return ended;
}

/* ---- products ---- */

static void put_done(struct product_put *put)
{
    (void)put;
    ended = true;
}

static enum err put(struct product_put *put)
{
    put->done = put_done;
    put->arena = &arena;
    ended = false;
    product_put(&here, put);
    assert_false(ended); /* never from inside the call */
    wait_until(has_ended);
    ledger_command_fini(&put->command.ledger);
    return put->err;
}

static enum err make(int64_t product_id, int64_t price, int64_t stock)
{
    struct product_put self = {
        .create = true,
        .product = { .product_id = product_id, .name = STR("name"), .price = price, .stock = stock }
    };

    return put(&self);
}

static void get_done(struct product_get *get)
{
    (void)get;
    ended = true;
}

static struct product_get get(int64_t product_id)
{
    struct product_get self = { .done = get_done, .arena = &arena, .product_id = product_id };

    ended = false;
    product_get(&here, &self);
    wait_until(has_ended);
    return self;
}

static void list_done(struct product_list *list)
{
    (void)list;
    ended = true;
}

static void test_products(void **state)
{
    struct product_put change = { .change = {
                                      .product_id = 1, .has_price = true, .to = { .price = 20 } } };
    struct product_list list = { .done = list_done, .arena = &arena, .limit = 2 };

    (void)state;
    shop_begin(2, 1);
    assert_ok(make(1, 10, 5));
    assert_int_equal(make(1, 10, 5), ERR_CONFLICT);
    assert_ok(make(0, 30, 5));
    assert_ok(put(&change));
    assert_int_equal(change.now.price, 20);
    assert_int_equal(change.now.stock, 5);
    assert_int_equal(get(1).product.price, 20);
    assert_int_equal(get(3).err, ERR_NOT_FOUND);
    change.change.product_id = 3;
    assert_int_equal(put(&change), ERR_NOT_FOUND);
    assert_ok(make(7, 30, 5));
    product_list(&here, &list);
    ended = false;
    wait_until(has_ended);
    assert_ok(list.err);
    assert_int_equal(list.count, 2);
    assert_int_equal(list.total_count, 3);
    assert_true(list.more);
    ledger_fault_set(shop.ledger, true);
    assert_int_equal(get(1).err, ERR_UNAVAILABLE);
    assert_int_equal(make(9, 1, 1), ERR_UNAVAILABLE);
    ledger_fault_set(shop.ledger, false);
    arena_fini(&arena);
    shop_end();
}

/* ---- carts ---- */

static void cart_done(struct cart_put *put)
{
    (void)put;
    ended = true;
}

static struct cart_put cart_change(int64_t user_id, int64_t product_id, unsigned what,
                                   int64_t quantity)
{
    struct cart_put self = { .done = cart_done,
                             .arena = &arena,
                             .change = { .user_id = user_id,
                                         .product_id = product_id,
                                         .what = what,
                                         .quantity = quantity } };

    ended = false;
    cart_put(&here, &self);
    wait_until(has_ended);
    assert_ok(self.err);
    return self;
}

static void test_cart(void **state)
{
    (void)state;
    shop_begin(2, 1);
    assert_ok(make(1, 10, 5));
    assert_ok(make(2, INT64_MAX / 2, 5));
    struct cart_put done = cart_change(1, 1, LEDGER_CART_ADD, 2);
    assert_int_equal(done.count, 1);
    assert_int_equal(cart_sum(done.lines, done.count), 20);
    done = cart_change(1, 2, LEDGER_CART_ADD, 2);
    assert_int_equal(done.count, 2);
    assert_int_equal(done.lines[0].product.product_id, 2);
    assert_int_equal(cart_line_sum(&done.lines[0]), INT64_MAX - 1);
    assert_int_equal(cart_sum(done.lines, done.count), INT64_MAX);
    done = cart_change(1, 2, LEDGER_CART_SET, 3);
    assert_int_equal(done.product.product_id, 2);
    done = cart_change(1, 1, LEDGER_CART_ADD, 1);
    assert_int_equal(cart_line_sum(&done.lines[0]), INT64_MAX);
    done = cart_change(1, 2, LEDGER_CART_REMOVE, 0);
    assert_int_equal(done.change.outcome, LEDGER_CART_OK);
    done = cart_change(1, 2, LEDGER_CART_REMOVE, 0);
    assert_int_equal(done.change.outcome, LEDGER_CART_NO_LINE);
    done = cart_change(3, 2, LEDGER_CART_ADD, 1);
    assert_int_equal(done.change.outcome, LEDGER_CART_NO_USER);
    arena_fini(&arena);
    shop_end();
}

/* ---- counters ---- */

static uint64_t value_of(const _Atomic uint64_t *counter)
{
    uint64_t value;

    assert_true(changes_look(counter, &value));
    return value;
}

static void test_counters(void **state)
{
    const struct ledger_product_changed products[] = { { .product_id = 1 }, { .product_id = 1 } };
    const struct ledger_sale sale = { .day = 1 };
    const struct ledger_changes stock = { .products = products, .product_count = 2 },
                                sales = { .sales = &sale, .sale_count = 1 };
    struct changes *changes;
    uint64_t value;

    (void)state;
    shop_begin(1, 1);
    changes = shop.changes;
    const _Atomic uint64_t *one = changes_of_product(changes, 1),
                           *two = changes_of_product(changes, 2);
    assert_ptr_not_equal(one, two);
    uint64_t first = value_of(one), second = value_of(two), all = value_of(&changes->products),
             listed = value_of(&changes->listed);
    assert_ok(make(1, 10, 5));
    assert_int_not_equal(value_of(one), first);
    assert_int_equal(value_of(two), second);
    assert_int_not_equal(value_of(&changes->products), all);
    assert_int_not_equal(value_of(&changes->listed), listed);
    listed = value_of(&changes->listed);
    first = value_of(one);
    cart_change(1, 1, LEDGER_CART_ADD, 2);
    assert_int_equal(value_of(one), first);

    changes_begin(changes, &stock);
    assert_false(changes_look(one, &value));
    assert_false(changes_look(&changes->products, &value));
    assert_int_equal(value_of(&changes->listed), listed);
    changes_begin(changes, &sales);
    assert_false(changes_look(&changes->sales, &value));
    changes_end(changes, &sales);
    value_of(&changes->sales);
    changes_end(changes, &stock);
    assert_int_not_equal(value_of(one), first);
    assert_int_equal(value_of(two), second);
    arena_fini(&arena);
    shop_end();
}

/* ---- load-test data ---- */

static struct cart_put probe(int64_t user_id, int64_t product_id)
{
    return cart_change(user_id, product_id, LEDGER_CART_SET, -1);
}

static void test_load_data(void **state)
{
    struct load_data_report report;

    (void)state;
    shop_begin(1, 1);
    assert_ok(make(3, 7, 7)); /* an id that is taken is left alone */
    assert_ok(shop_load_data(shop.ledger, clock_wall_ms(), false, &report));
    assert_int_equal(report.products, 20);
    assert_int_equal(report.cart_lines, 3);
    assert_int_equal(get(3).product.price, 7);
    assert_int_equal(get(8).product.stock, 0);
    assert_int_equal(get(21).product.price, 15000000);
    cart_change(1, 2, LEDGER_CART_REMOVE, 0);
    cart_change(2, 3, LEDGER_CART_SET, 5);
    assert_ok(shop_load_data(shop.ledger, clock_wall_ms(), false, &report));
    assert_int_equal(report.products + report.cart_lines, 0); /* their own cart by now */
    assert_int_equal(probe(1, 2).change.outcome, LEDGER_CART_NO_LINE);
    assert_ok(shop_load_data(shop.ledger, clock_wall_ms(), true, &report));
    assert_int_equal(report.cart_lines, 1); /* it had begun, and was not finished */
    assert_int_equal(probe(1, 2).change.outcome, LEDGER_CART_INVALID_QUANTITY);
    arena_fini(&arena);
    shop_end();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_cart),
        cmocka_unit_test(test_counters),
        cmocka_unit_test(test_load_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
