// SPDX-License-Identifier: Apache-2.0
/* Every change of a sum is noted, and its note stays until somebody has copied it: once, by one of
 * those who look, whoever fails or is cut off on the way. */
#include "ledger/ledger_pg_fixture_test.h"

#define assert_ok(expr) assert_int_equal((expr), ERR_OK)
enum { DAY = 20600, DAY_MS = 86400000, PRODUCTS = 3 };

static struct ledger *one, *two;

/* ---- a small shop ---- */

static void sell(struct ledger *ledger, int64_t product_id, int64_t quantity)
{
    struct order_line line = {
        .product_id = product_id, .name = STR("thing"), .quantity = quantity, .unit_price = 10
    };
    struct ledger_order order = { .user_id = 1,
                                  .status = ORDER_COMPLETED,
                                  .lines = &line,
                                  .line_count = 1,
                                  .subtotal = quantity * 10,
                                  .created_at_ms = (int64_t)DAY * DAY_MS,
                                  .paid_at_ms = (int64_t)DAY * DAY_MS + 1000 };
    struct ledger_command import = { .op = LEDGER_ORDER_IMPORT, .order_import = { &order, false } };

    ledger_run(ledger, &import);
    assert_ok(import.err);
    ledger_command_fini(&import);
}

static int setup(void **state)
{
    (void)state;
    store_make();
    one = store_open();
    two = store_open();
    store_ask("INSERT INTO users (user_id, balance) VALUES (1, 0)");
    for (int64_t id = 1; id <= PRODUCTS; id++) {
        struct ledger_product product = { .product_id = id,
                                          .name = STR("thing"),
                                          .price = 10,
                                          .stock = 1000,
                                          .category = id == 2 ? STR("tea") : STR_NONE };
        struct ledger_command create = { .op = LEDGER_PRODUCT_CREATE,
                                         .product_create = { .product = &product } };
        ledger_run(one, &create);
        assert_ok(create.err);
        ledger_command_fini(&create);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    store_close(one);
    store_close(two);
    return 0;
}

static long long noted(void)
{
    return store_ask("SELECT count(*) FROM sales_outbox");
}

/* ---- whoever copies ---- */

struct copier {
    struct ledger_sales_relay relay;
    void (*meanwhile)(struct copier *copier);
    enum err err;
    size_t count, calls, others;
    struct ledger_sale sales[LEDGER_RELAY_AT_ONCE]; /* without categories */
    size_t in_tea;
};

static enum err copy(struct ledger_sales_relay *relay, const struct ledger_sale *sales,
                     size_t count)
{
    struct copier *copier = CONTAINER_OF(relay, struct copier, relay);

    copier->calls++;
    copier->count = count;
    memcpy(copier->sales, sales, count * sizeof *sales);
    for (size_t i = 0; i < count; i++)
        copier->in_tea += str_equal(sales[i].category, STR("tea"));
    if (copier->meanwhile)
        copier->meanwhile(copier);
    return copier->err;
}

static void test_notes(void **state)
{
    struct copier copier = { .relay.copy = copy };

    (void)state;
    assert_ok(ledger_relay_sales(one, &copier.relay));
    assert_int_equal(copier.relay.taken, 0);
    assert_int_equal(copier.calls, 0);
    sell(one, 1, 3);
    sell(two, 2, 4);
    sell(one, 1, 2);
    assert_int_equal(noted(), 3);
    assert_ok(ledger_relay_sales(two, &copier.relay));
    assert_int_equal(copier.relay.taken, 3);
    assert_true(copier.relay.oldest_ms > 0);
    assert_int_equal(copier.count, 3);
    for (size_t i = 0; i < copier.count; i++) { /* as they are now */
        const struct ledger_sale *sale = &copier.sales[i];
        assert_int_equal(sale->day, DAY);
        assert_int_equal(sale->sum.units, sale->sum.product_id == 1 ? 5 : 4);
        assert_int_equal(sale->sum.revenue, sale->sum.units * 10);
        assert_true(sale->version > 0);
        assert_true(sale->sum.reached_ms > 0);
    }
    assert_int_equal(copier.in_tea, 1);
    assert_int_equal(noted(), 0);
}

static void test_not_copied(void **state)
{
    struct copier copier = { .relay.copy = copy, .err = ERR_UNAVAILABLE };

    (void)state;
    sell(one, 1, 3);
    assert_int_equal(ledger_relay_sales(one, &copier.relay), ERR_UNAVAILABLE);
    assert_int_equal(noted(), 1);
    copier.err = ERR_OK;
    assert_ok(ledger_relay_sales(one, &copier.relay));
    assert_int_equal(copier.calls, 2);
    assert_int_equal(noted(), 0);
}

/* Who comes meanwhile takes what is left, and selling does not wait. */
static void another(struct copier *copier)
{
    struct copier other = { .relay.copy = copy };

    sell(two, 1, 1);
    assert_ok(ledger_relay_sales(two, &other.relay));
    copier->others = other.relay.taken;
}

static void test_two_at_once(void **state)
{
    struct copier copier = { .relay.copy = copy, .meanwhile = another };

    (void)state;
    sell(one, 1, 3);
    sell(one, 2, 3);
    assert_ok(ledger_relay_sales(one, &copier.relay));
    assert_int_equal(copier.relay.taken, 2);
    assert_int_equal(copier.others, 1);
    assert_int_equal(noted(), 0);
}

static void cut_off(struct copier *copier)
{
    (void)copier;
    store_ask("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
              " WHERE datname = current_database() AND pid <> pg_backend_pid()");
}

static void test_cut_off(void **state)
{
    struct copier copier = { .relay.copy = copy, .meanwhile = cut_off };

    (void)state;
    sell(one, 1, 3);
    assert_int_equal(ledger_relay_sales(one, &copier.relay), ERR_UNAVAILABLE);
    assert_int_equal(noted(), 1);
    copier.meanwhile = NULL;
    assert_ok(ledger_relay_sales(one, &copier.relay));
    assert_int_equal(noted(), 0);
    ledger_fault_set(one, true);
    assert_int_equal(ledger_relay_sales(one, &copier.relay), ERR_UNAVAILABLE);
    ledger_fault_set(one, false);
}

static void move(struct ledger *ledger, int64_t product_id, struct str category)
{
    struct ledger_command change = { .op = LEDGER_PRODUCT_CHANGE,
                                     .product_change = { .product_id = product_id,
                                                         .has_category = true,
                                                         .to = { .category = category } } };

    ledger_run(ledger, &change);
    assert_ok(change.err);
    ledger_command_fini(&change);
}

static bool take_scanned(void *context, const struct ledger_sale *sale)
{
    struct ledger_sale *taken = context;

    if (sale->sum.product_id == 2)
        *taken = *sale;
    return true;
}

/* A product that moves is noted, sold or not; what is copied knows which move was the last. */
static void test_moved(void **state)
{
    struct copier copier = { .relay.copy = copy };
    struct ledger_sale scanned;

    (void)state;
    sell(one, 2, 1);
    move(two, 1, STR("tea"));
    move(two, 1, STR("tea")); /* it is there */
    move(one, 2, STR_NONE);
    move(two, 2, STR("tea"));
    assert_int_equal(noted(), 4);
    assert_ok(ledger_relay_sales(one, &copier.relay));
    assert_int_equal(copier.count, 4);
    assert_int_equal(copier.in_tea, 4);
    for (size_t i = 0; i < copier.count; i++) {
        const struct ledger_sale *sale = &copier.sales[i];
        assert_int_equal(sale->version > 0, i == 0);
        assert_int_equal(sale->sum.product_id, i == 1 ? 1 : 2);
        assert_int_equal(sale->category_version, i == 1 ? 1 : 2);
    }
    assert_int_equal(noted(), 0);
    move(one, 2, STR_NONE);
    assert_ok(ledger_scan_sales(one, DAY, take_scanned, &scanned));
    assert_int_equal(scanned.category.len, 0);
    assert_int_equal(scanned.category_version, 3);
    sell(two, 2, 1);
    assert_ok(ledger_relay_sales(two, &copier.relay));
    assert_int_equal(copier.sales[copier.count - 1].category_version, 3);
}

static void test_compact(void **state)
{
    struct copier copier = { .relay.copy = NULL };

    (void)state;
    for (int i = 0; i < 10; i++) {
        sell(one, 1, 1);
        sell(two, 2, 1);
    }
    assert_int_equal(noted(), 20);
    assert_ok(ledger_relay_sales(one, &copier.relay));
    assert_int_equal(noted(), 2);
    copier.relay.copy = copy;
    assert_ok(ledger_relay_sales(one, &copier.relay));
    assert_int_equal(copier.count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_notes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_copied, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_moved, setup, teardown),
        cmocka_unit_test_setup_teardown(test_compact, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
