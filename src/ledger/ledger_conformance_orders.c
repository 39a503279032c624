// SPDX-License-Identifier: Apache-2.0
/* Orders: created, paid at once, cancelled; what that does to balance, stock, coupon and sums. */
#include "ledger/ledger_conformance_orders.h"

unsigned conf_order_render(const struct ledger_command *command, struct buf *answer)
{
    const struct ledger_order_result *result = conf_result(command);

    if (result->outcome == LEDGER_ORDER_REFUSED) {
        buf_printf(answer, "refused %lld", (long long)result->order_id);
        return 402;
    }
    if (result->outcome != LEDGER_ORDER_OK)
        return 0;
    buf_printf(answer, "op %d order %lld user %lld status %d total %lld lines %zu balance %lld",
               (int)result->operation, (long long)result->order_id, (long long)result->user_id,
               (int)result->order->status,
               (long long)(result->order->subtotal - result->order->discount),
               result->order->line_count, (long long)result->balance);
    return result->operation == LEDGER_OPERATION_ORDER ? 201 : 200;
}

const struct ledger_order_result *conf_result(const struct ledger_command *command)
{
    switch (command->op) {
    case LEDGER_ORDER_CREATE:
        return &command->order_create.result;
    case LEDGER_ORDER_PAY:
        return &command->order_pay.result;
    case LEDGER_ORDER_CANCEL:
        return &command->order_cancel.result;
    default:
        return &command->attempt_settle.result;
    }
}

static void keyed(struct conf_order *self, enum ledger_operation operation, int64_t user_id,
                  const char *key)
{
    self->command.render = conf_order_render;
    if (!key)
        return;
    self->key = (struct ledger_key){ .user_id = user_id, .operation = operation };
    self->key.key = str_from(key);
    memcpy(self->key.fingerprint, "fingerprint one", 16);
    self->command.key = &self->key;
}

void conf_order_create(struct conf_order *self, int64_t user_id, int64_t product_id,
                       int64_t quantity, const char *key)
{
    *self = (struct conf_order){ .line = { .product_id = product_id, .quantity = quantity } };
    self->command.op = LEDGER_ORDER_CREATE;
    self->command.order_create =
        (struct ledger_order_create){ .user_id = user_id, .lines = &self->line, .line_count = 1 };
    keyed(self, LEDGER_OPERATION_ORDER, user_id, key);
}

void conf_order_pay(struct conf_order *self, int64_t user_id, int64_t order_id, const char *key)
{
    *self = (struct conf_order){ .command = { .op = LEDGER_ORDER_PAY } };
    self->command.order_pay = (struct ledger_order_pay){ .user_id = user_id, .order_id = order_id };
    keyed(self, LEDGER_OPERATION_PAYMENT, user_id, key);
}

void conf_order_cancel(struct conf_order *self, int64_t user_id, int64_t order_id, const char *key)
{
    *self = (struct conf_order){ .command = { .op = LEDGER_ORDER_CANCEL } };
    self->command.order_cancel =
        (struct ledger_order_cancel){ .user_id = user_id, .order_id = order_id };
    keyed(self, LEDGER_OPERATION_CANCEL, user_id, key);
}

enum ledger_order_outcome conf_order_run(struct conf_order *self)
{
    conf_run(&self->command, 1);
    assert_ok(self->command.err);
    snprintf(self->text, sizeof self->text, "%.*s", (int)self->command.answer.len,
             self->command.answer.len ? self->command.answer.ptr : "");
    ledger_command_fini(&self->command);
    return conf_result(&self->command)->outcome;
}

void conf_product(int64_t product_id, int64_t price, int64_t stock)
{
    struct ledger_product product = { .product_id = product_id,
                                      .name = STR("Lamp"),
                                      .category = STR("light"),
                                      .price = price,
                                      .stock = stock };
    struct ledger_command command = { .op = LEDGER_PRODUCT_CREATE,
                                      .product_create = { .product = &product } };

    conf_run(&command, 1);
    assert_ok(command.err);
    assert_false(command.product_create.taken);
}

struct ledger_product conf_product_now(int64_t product_id)
{
    struct ledger_read read = { .op = LEDGER_READ_PRODUCT,
                                .product_id = product_id,
                                .arena = &world.arena };

    conf_read(&read);
    assert_ok(read.err);
    assert_true(read.found);
    read.product.name = read.product.description = read.product.category = STR_NONE;
    return read.product;
}

int64_t conf_balance(int64_t user_id)
{
    struct ledger_read read = { .op = LEDGER_READ_USER, .user_id = user_id, .arena = &world.arena };

    conf_read(&read);
    assert_ok(read.err);
    return read.user.balance;
}

struct ledger_order conf_order_now(int64_t order_id, bool *ret_found)
{
    struct ledger_read read = { .op = LEDGER_READ_ORDER,
                                .order_id = order_id,
                                .arena = &world.arena };

    conf_read(&read);
    assert_ok(read.err);
    read.order.lines = NULL;
    read.order.transaction_id.ptr = NULL;
    *ret_found = read.found;
    return read.order;
}

static bool add_units(void *context, const struct ledger_sale *sale)
{
    *(int64_t *)context += sale->sum.units;
    return true;
}

int64_t conf_units_sold(void)
{
    int64_t units = 0;

    assert_ok(ledger_scan_sales(world.ledger, 0, add_units, &units));
    return units;
}

/* ---- tests ---- */

static void test_life(void **state)
{
    struct conf_order order, pay, cancel;
    bool found;

    (void)state;
    conf_user(1, 1000);
    conf_product(5, 100, 10);
    conf_order_create(&order, 1, 5, 3, "o");
    assert_int_equal(conf_order_run(&order), LEDGER_ORDER_OK);
    int64_t id = conf_result(&order.command)->order_id;
    assert_int_equal(conf_product_now(5).stock, 10); /* nothing is taken */
    assert_int_equal(conf_units_sold(), 0);

    conf_order_pay(&pay, 1, id, "p");
    assert_int_equal(conf_order_run(&pay), LEDGER_ORDER_OK);
    assert_int_equal(conf_result(&pay.command)->balance, 700);
    assert_int_equal(conf_balance(1), 700);
    assert_int_equal(conf_product_now(5).stock, 7);
    assert_int_equal(conf_units_sold(), 3);
    assert_int_equal(conf_order_now(id, &found).status, ORDER_COMPLETED);

    conf_order_cancel(&cancel, 1, id, "c");
    assert_int_equal(conf_order_run(&cancel), LEDGER_ORDER_OK);
    assert_int_equal(conf_balance(1), 1000);
    assert_int_equal(conf_product_now(5).stock, 10);
    assert_int_equal(conf_units_sold(), 0);
    conf_order_cancel(&cancel, 1, id, "c2");
    assert_int_equal(conf_order_run(&cancel), LEDGER_ORDER_INVALID_STATUS);
    conf_order_pay(&pay, 1, id, "p2");
    assert_int_equal(conf_order_run(&pay), LEDGER_ORDER_INVALID_STATUS);
}

static void test_refusals(void **state)
{
    struct conf_order order, pay;

    (void)state;
    conf_user(1, 100);
    conf_user(2, 1000);
    conf_product(5, 100, 2);
    conf_product(6, INT64_MAX / 2, 1000);
    conf_order_create(&order, 9, 5, 1, "a");
    assert_int_equal(conf_order_run(&order), LEDGER_ORDER_NO_USER);
    conf_order_create(&order, 1, 7, 1, "a");
    assert_int_equal(conf_order_run(&order), LEDGER_ORDER_NO_PRODUCT);
    assert_int_equal(conf_result(&order.command)->product_id, 7);
    conf_order_create(&order, 1, 5, 3, "a");
    assert_int_equal(conf_order_run(&order), LEDGER_ORDER_INSUFFICIENT_STOCK);
    conf_order_create(&order, 1, 6, 3, "a");
    assert_int_equal(conf_order_run(&order), LEDGER_ORDER_OVERFLOW);
    conf_order_create(&order, 1, 5, 1, "a");
    order.command.order_create.coupon_id = COUPON;
    assert_int_equal(conf_order_run(&order), LEDGER_ORDER_INVALID_COUPON);
    /* refusals are not kept: the same key, now a good order */
    conf_order_create(&order, 1, 5, 2, "a");
    assert_int_equal(conf_order_run(&order), LEDGER_ORDER_OK);
    int64_t id = conf_result(&order.command)->order_id;

    conf_order_pay(&pay, 9, id, "p");
    assert_int_equal(conf_order_run(&pay), LEDGER_ORDER_NO_USER);
    conf_order_pay(&pay, 1, id + 1, "p");
    assert_int_equal(conf_order_run(&pay), LEDGER_ORDER_NO_ORDER);
    conf_order_pay(&pay, 2, id, "p");
    assert_int_equal(conf_order_run(&pay), LEDGER_ORDER_NOT_OWNER);
    conf_order_pay(&pay, 1, id, "p");
    assert_int_equal(conf_order_run(&pay), LEDGER_ORDER_INSUFFICIENT_BALANCE);
    assert_int_equal(conf_balance(1), 100);
    assert_int_equal(conf_product_now(5).stock, 2);
}

static void test_keys(void **state)
{
    struct conf_order order, again, batch[3];
    struct ledger_command commands[3];

    (void)state;
    conf_user(1, 1000);
    conf_product(5, 100, 10);
    conf_order_create(&order, 1, 5, 1, "k");
    assert_int_equal(conf_order_run(&order), LEDGER_ORDER_OK);
    conf_order_create(&again, 1, 5, 1, "k");
    assert_int_equal(conf_order_run(&again), LEDGER_ORDER_OK);
    assert_int_equal(again.command.key_outcome, LEDGER_KEY_REPLAY);
    assert_int_equal(again.command.status, 201);
    assert_string_equal(again.text, order.text);
    conf_order_create(&again, 1, 5, 1, "k");
    again.key.fingerprint[0] = 'X';
    conf_order_run(&again);
    assert_int_equal(again.command.key_outcome, LEDGER_KEY_REUSED);

    /* three at once, in one batch: one order, three equal answers */
    for (size_t i = 0; i < 3; i++) {
        conf_order_create(&batch[i], 1, 5, 1, "three");
        commands[i] = batch[i].command;
    }
    conf_run(commands, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_ok(commands[i].err);
        assert_int_equal(commands[i].order_create.result.order_id,
                         commands[0].order_create.result.order_id);
        assert_true(str_equal(buf_str(&commands[i].answer), buf_str(&commands[0].answer)));
    }
    for (size_t i = 0; i < 3; i++)
        ledger_command_fini(&commands[i]);
}

/* One batch: a later command sees what an earlier one did. */
static void test_last_pieces(void **state)
{
    struct conf_order pay[3];
    struct ledger_command commands[3];
    int paid = 0;

    (void)state;
    conf_product(5, 100, 2);
    for (int64_t user = 1; user <= 3; user++) {
        struct conf_order order;
        conf_user(user, 1000);
        conf_order_create(&order, user, 5, 1, "o");
        assert_int_equal(conf_order_run(&order), LEDGER_ORDER_OK);
        conf_order_pay(&pay[user - 1], user, conf_result(&order.command)->order_id, "p");
        commands[user - 1] = pay[user - 1].command;
    }
    conf_run(commands, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_ok(commands[i].err);
        paid += commands[i].order_pay.result.outcome == LEDGER_ORDER_OK;
        ledger_command_fini(&commands[i]);
    }
    assert_int_equal(paid, 2);
    assert_int_equal(commands[2].order_pay.result.outcome, LEDGER_ORDER_INSUFFICIENT_STOCK);
    assert_int_equal(conf_product_now(5).stock, 0);
    assert_int_equal(conf_units_sold(), 2);
    assert_int_equal(conf_balance(3), 1000);
}

static void test_coupon_use(void **state)
{
    struct conf_order order, pay, cancel;
    struct ledger_command place = conf_place(1, 1);
    struct ledger_held held[4];
    struct coupon coupon;
    struct ledger_command create = conf_create(&coupon, COUPON, 5);

    (void)state;
    conf_user(1, 1000);
    conf_product(5, 105, 10);
    coupon.settings.ends_at_ms = INT64_C(4000000000000);
    conf_run(&create, 1);
    conf_run(&place, 1);
    conf_order_create(&order, 1, 5, 1, "o");
    order.command.order_create.coupon_id = COUPON;
    assert_int_equal(conf_order_run(&order), LEDGER_ORDER_OK);
    int64_t id = conf_result(&order.command)->order_id;
    conf_scan(&coupon, held, 4);
    assert_int_equal(held[0].uses, 0);
    int64_t discount = 105 * coupon.discount_rate / 100;
    conf_order_pay(&pay, 1, id, "p");
    assert_int_equal(conf_order_run(&pay), LEDGER_ORDER_OK);
    assert_int_equal(conf_balance(1), 1000 - 105 + discount);
    conf_scan(&coupon, held, 4);
    assert_int_equal(held[0].uses, 1);
    assert_true(held[0].used_at_ms > 0);
    conf_order_create(&order, 1, 5, 1, "o2");
    order.command.order_create.coupon_id = COUPON;
    assert_int_equal(conf_order_run(&order),
                     coupon.uses_per_user == 1 ? LEDGER_ORDER_INVALID_COUPON : LEDGER_ORDER_OK);
    conf_order_cancel(&cancel, 1, id, "c");
    assert_int_equal(conf_order_run(&cancel), LEDGER_ORDER_OK);
    conf_scan(&coupon, held, 4);
    assert_int_equal(held[0].uses, 0);
    assert_int_equal(held[0].used_at_ms, 0);
    assert_int_equal(conf_balance(1), 1000);
}

static void test_lists(void **state)
{
    struct conf_order order;
    struct ledger_read read = {
        .op = LEDGER_READ_ORDERS, .arena = &world.arena, .user_id = 1, .status = -1, .limit = 2
    };

    (void)state;
    conf_user(1, 1000);
    conf_product(5, 100, 10);
    for (int i = 0; i < 3; i++) {
        char key[] = { (char)('a' + i), '\0' };
        conf_order_create(&order, 1, 5, 1, key);
        conf_order_run(&order);
    }
    int64_t last = conf_result(&order.command)->order_id;
    conf_order_cancel(&order, 1, last - 1, "c");
    conf_order_run(&order);
    conf_read(&read);
    assert_int_equal(read.total_count, 3);
    assert_int_equal(read.order_count, 2);
    assert_true(read.more);
    assert_int_equal(read.orders[0].order_id, last);
    assert_int_equal(read.orders[0].line_count, 1);
    assert_int_equal(read.orders[1].status, ORDER_CANCELLED);
    read.after = read.orders[1].order_id;
    conf_read(&read);
    assert_int_equal(read.order_count, 1);
    assert_false(read.more);
    read.after = 0;
    read.status = ORDER_CANCELLED;
    conf_read(&read);
    assert_int_equal(read.total_count, 1);
    assert_int_equal(read.orders[0].order_id, last - 1);
    read.user_id = 2;
    conf_read(&read);
    assert_false(read.found);
}

int ledger_conformance_orders(void)
{
    static const struct CMUnitTest tests[] = {
        CONFORMANCE_TEST(test_life),       CONFORMANCE_TEST(test_refusals),
        CONFORMANCE_TEST(test_keys),       CONFORMANCE_TEST(test_last_pieces),
        CONFORMANCE_TEST(test_coupon_use), CONFORMANCE_TEST(test_lists),
    };
    return cmocka_run_group_tests_name("orders", tests, NULL, NULL);
}
