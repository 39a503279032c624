// SPDX-License-Identifier: Apache-2.0
/*
 * Two servers write the same wallets, products, coupon and days at once, in batches that overlap in
 * every order. Nobody waits for each other in a circle, no money and no piece is lost or made.
 */
#include "ledger/ledger_coupon_test.h"
#include "ledger/ledger_pg_fixture_test.h"

enum {
    SERVERS = 2,
    USERS = 12,
    PRODUCTS = 6,
    QUANTITY = 4000,
    STOCK = 100000,
    BALANCE = 1000000,
    OF_A_KIND = 24, /* commands of a server and a round */
    ROUNDS = 40
};
enum { KINDS = 4, COMMANDS = SERVERS * KINDS * OF_A_KIND };

struct conformance_world world;

static struct ledger *ledgers[SERVERS];
static struct ledger_client *clients[SERVERS];
static struct loop *loop;
static struct ledger_command commands[COMMANDS];
static struct ledger_key keys[COMMANDS];
static char key_text[COMMANDS][32];
static struct order_line lines[COMMANDS][3];
static size_t waited_for;
static int64_t charged, paid_orders, stored;
static uint64_t seed = 11;

static int64_t any(int64_t n)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (int64_t)((seed >> 33) % (uint64_t)n);
}

static unsigned render(const struct ledger_command *command, struct buf *answer)
{
    bool ok = command->op == LEDGER_CHARGE ? command->charge.outcome == LEDGER_CHARGE_OK
                                           : command->order_create.result.outcome == 0;

    buf_str_append(answer, STR("{}"));
    return ok ? 200 : 0;
}

static void done(struct ledger_command *command)
{
    (void)command;
    if (--waited_for == 0)
        loop_stop(loop);
}

/* ---- what they ask for ---- */

static void name_key(size_t i, int64_t user_id, enum ledger_operation operation, int round)
{
    snprintf(key_text[i], sizeof key_text[i], "k-%d-%zu", round, i);
    keys[i] = (struct ledger_key){ .user_id = user_id,
                                   .operation = operation,
                                   .key = str_from(key_text[i]) };
    commands[i].key = &keys[i];
    commands[i].render = render;
}

static void ask_place(size_t i)
{
    commands[i] = (struct ledger_command){
        .op = LEDGER_PLACE,
        .place = { .coupon_id = COUPON, .user_id = 1000 + any(3000), .slot = 1 + any(QUANTITY) }
    };
}

static void ask_charge(size_t i, int round)
{
    int64_t user_id = 1 + any(USERS);

    commands[i] = (struct ledger_command){
        .op = LEDGER_CHARGE,
        .charge = { .user_id = user_id, .amount = 1 + any(9), .amount_max = 100 }
    };
    name_key(i, user_id, LEDGER_OPERATION_CHARGE, round);
}

static void ask_order(size_t i, int round)
{
    int64_t user_id = 1 + any(USERS), first = 1 + any(PRODUCTS);
    size_t count = (size_t)any(3) + 1;

    for (size_t line = 0; line < count; line++)
        lines[i][line] = (struct order_line){ .product_id = (first + (int64_t)line) % PRODUCTS + 1,
                                              .quantity = 1 + any(3) };
    count = order_lines_merge(lines[i], count);
    commands[i] = (struct ledger_command){
        .op = LEDGER_ORDER_CREATE,
        .order_create = { .user_id = user_id, .lines = lines[i], .line_count = count, .pay = true }
    };
    name_key(i, user_id, LEDGER_OPERATION_COMPLETE, round);
}

static void ask_cart(size_t i)
{
    commands[i] = (struct ledger_command){ .op = LEDGER_CART_CHANGE,
                                           .cart_change = { .user_id = 1 + any(USERS),
                                                            .product_id = 1 + any(PRODUCTS),
                                                            .what = LEDGER_CART_ADD,
                                                            .quantity = 1 } };
}

static void ask(size_t i, int round)
{
    switch (i % KINDS) {
    case 0:
        ask_place(i);
        break;
    case 1:
        ask_charge(i, round);
        break;
    case 2:
        ask_order(i, round);
        break;
    default:
        ask_cart(i);
        break;
    }
    commands[i].done = done;
    list_init(&commands[i].node);
}

static void count(const struct ledger_command *command)
{
    assert_int_equal(command->err, ERR_OK);
    if (command->op == LEDGER_CHARGE) {
        assert_int_equal(command->charge.outcome, LEDGER_CHARGE_OK);
        charged += command->charge.amount;
    } else if (command->op == LEDGER_ORDER_CREATE) {
        assert_int_equal(command->order_create.result.outcome, LEDGER_ORDER_OK);
        paid_orders++;
    } else if (command->op == LEDGER_PLACE) {
        stored += command->place.outcome == LEDGER_PLACE_STORED;
    } else {
        assert_int_equal(command->cart_change.outcome, LEDGER_CART_OK);
    }
}

static void run_round(int round)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        struct ledger_client *client = clients[i / KINDS % SERVERS];
        ask(i, round);
        assert_true(ledger_room_take(client));
        ledger_submit(client, &commands[i]);
    }
    waited_for = COMMANDS;
    loop_run(loop);
    for (size_t i = 0; i < COMMANDS; i++) {
        count(&commands[i]);
        ledger_command_fini(&commands[i]);
    }
}

/* ---- what there must be ---- */

static void fill(void)
{
    struct ledger_command users = {
        .op = LEDGER_USERS_CREATE,
        .users_create = { .from_user_id = 1, .to_user_id = USERS, .balance = BALANCE }
    };

    coupon_make(ledgers[0], COUPON, QUANTITY);
    ledger_run(ledgers[1], &users);
    assert_ok(users.err);
    for (int64_t id = 1; id <= PRODUCTS; id++) {
        struct ledger_product product = {
            .product_id = id, .name = STR("n"), .price = id, .stock = STOCK
        };
        struct ledger_command make = { .op = LEDGER_PRODUCT_CREATE,
                                       .product_create = { .product = &product } };
        ledger_run(ledgers[id % SERVERS], &make);
        assert_ok(make.err);
    }
}

static void check_coupon(void)
{
    coupon_look(ledgers[1]);
    assert_int_equal(rows.issued, stored);
    /* An event for each, numbered without a gap. */
    assert_int_equal(store_ask("SELECT count(*) FROM events WHERE kind = 1"), stored);
    assert_int_equal(store_ask("SELECT max(number) FROM events WHERE kind = 1"), stored);
    assert_int_equal(store_ask("SELECT count(DISTINCT user_coupon_id) FROM user_coupons"), stored);
}

static void check_money(void)
{
    long long taken = store_ask("SELECT sum(subtotal - discount)::bigint FROM orders");
    long long sold = store_ask("SELECT sum(quantity)::bigint FROM order_lines");

    assert_int_equal(store_ask("SELECT sum(balance)::bigint FROM users"),
                     (int64_t)USERS * BALANCE + charged - taken);
    assert_int_equal(store_ask("SELECT count(*) FROM orders"), paid_orders);
    assert_int_equal(store_ask("SELECT sum(orders_completed)::bigint FROM users"), paid_orders);
    assert_int_equal(store_ask("SELECT sum(stock)::bigint FROM products"),
                     (int64_t)PRODUCTS * STOCK - sold);
    assert_int_equal(store_ask("SELECT sum(units)::bigint FROM sales"), sold);
    assert_int_equal(store_ask("SELECT sum(revenue)::bigint FROM sales"), taken);
    assert_int_equal(store_ask("SELECT sum(s.version)::bigint - (SELECT sum(version)::bigint"
                               " FROM sales_days) FROM sales s"),
                     0);
    assert_int_equal(store_ask("SELECT count(*) FROM events WHERE kind = 2"), paid_orders);
    assert_int_equal(store_ask("SELECT count(*) FROM users u WHERE events <>"
                               " (SELECT count(*) FROM events WHERE kind = 2"
                               " AND key_id = u.user_id)"),
                     0);
}

static void begin(bool users_external)
{
    store_make();
    loop = loop_new();
    for (size_t i = 0; i < SERVERS; i++) {
        ledgers[i] = store_open_as(users_external);
        clients[i] = ledger_client_new(ledgers[i], loop);
    }
}

static void end(void)
{
    for (size_t i = 0; i < SERVERS; i++) {
        ledger_client_free(clients[i]);
        store_close(ledgers[i]);
    }
    loop_free(loop);
    /* What a connection counted is there once it is closed. */
    assert_int_equal(store_ask("SELECT deadlocks FROM pg_stat_database"
                               " WHERE datname = current_database()"),
                     0);
}

static void test_two_servers(void **state)
{
    (void)state;
    begin(false);
    fill();
    for (int round = 0; round < ROUNDS; round++)
        run_round(round);
    check_coupon();
    check_money();
    end();
}

/* Whoever has no row gets one, from whichever server is first. */
static void test_new_users_on_both(void **state)
{
    enum { NEW_USERS = 40 };

    (void)state;
    begin(true);
    for (size_t i = 0; i < (size_t)SERVERS * NEW_USERS; i++) {
        int64_t user_id = 1 + (int64_t)(i / SERVERS);
        commands[i] = (struct ledger_command){
            .op = LEDGER_CHARGE,
            .charge = { .user_id = user_id, .amount = 10, .amount_max = 100 },
            .done = done
        };
        name_key(i, user_id, LEDGER_OPERATION_CHARGE, 0);
        list_init(&commands[i].node);
        assert_true(ledger_room_take(clients[i % SERVERS]));
        ledger_submit(clients[i % SERVERS], &commands[i]);
    }
    waited_for = (size_t)SERVERS * NEW_USERS;
    loop_run(loop);
    for (size_t i = 0; i < (size_t)SERVERS * NEW_USERS; i++) {
        assert_ok(commands[i].err);
        assert_int_equal(commands[i].charge.outcome, LEDGER_CHARGE_OK);
        ledger_command_fini(&commands[i]);
    }
    assert_int_equal(store_ask("SELECT count(*) FROM users WHERE balance = 20"), NEW_USERS);
    end();
}

/* ---- the same thing asked of both ---- */

enum { TWICE = 30 };

static void run_pairs(void (*ask_one)(size_t i, int64_t number))
{
    for (size_t i = 0; i < (size_t)SERVERS * TWICE; i++) {
        ask_one(i, 1 + (int64_t)(i / SERVERS));
        commands[i].done = done;
        list_init(&commands[i].node);
        assert_true(ledger_room_take(clients[i % SERVERS]));
        ledger_submit(clients[i % SERVERS], &commands[i]);
    }
    waited_for = (size_t)SERVERS * TWICE;
    loop_run(loop);
    for (size_t i = 0; i < (size_t)SERVERS * TWICE; i++) {
        assert_ok(commands[i].err);
        ledger_command_fini(&commands[i]);
    }
}

/* Of each pair exactly one was done, and the other one found it so. */
static enum ledger_order_outcome outcome_of(const struct ledger_command *command)
{
    switch (command->op) {
    case LEDGER_ORDER_PAY:
        return command->order_pay.result.outcome;
    case LEDGER_ORDER_CANCEL:
        return command->order_cancel.result.outcome;
    default:
        return command->attempt_settle.result.outcome;
    }
}

static void expect_one(enum ledger_order_outcome one, enum ledger_order_outcome other)
{
    for (size_t i = 0; i < (size_t)SERVERS * TWICE; i += SERVERS) {
        enum ledger_order_outcome a = outcome_of(&commands[i]), b = outcome_of(&commands[i + 1]);
        assert_true((a == one && b == other) || (a == other && b == one));
    }
}

static void ask_new_order(size_t i, int64_t number)
{
    lines[i][0] = (struct order_line){ .product_id = 1 + number % PRODUCTS, .quantity = 2 };
    commands[i] = (struct ledger_command){
        .op = LEDGER_ORDER_CREATE,
        .order_create = { .user_id = 1 + number % USERS, .lines = lines[i], .line_count = 1 }
    };
}

/* One of the two orders that each pair made. */
static int64_t order_of(int64_t number)
{
    return 2 * number - 1;
}

static int64_t owner_of(int64_t order_id)
{
    char sql[80];

    snprintf(sql, sizeof sql, "SELECT user_id FROM orders WHERE order_id = %lld",
             (long long)order_id);
    return store_ask(sql);
}

static int64_t owners[2 * TWICE + 1];

static void ask_pay(size_t i, int64_t number)
{
    int64_t order_id = order_of(number);

    commands[i] = (struct ledger_command){
        .op = LEDGER_ORDER_PAY, .order_pay = { .user_id = owners[order_id], .order_id = order_id }
    };
}

static void ask_cancel(size_t i, int64_t number)
{
    int64_t order_id = order_of(number);

    commands[i] = (struct ledger_command){ .op = LEDGER_ORDER_CANCEL,
                                           .order_cancel = { .user_id = owners[order_id],
                                                             .order_id = order_id } };
}

static void ask_pay_by_gateway(size_t i, int64_t number)
{
    int64_t order_id = order_of(number) + 1;

    commands[i] = (struct ledger_command){
        .op = LEDGER_ORDER_PAY,
        .order_pay = { .user_id = owners[order_id], .order_id = order_id, .gateway = true }
    };
}

static void ask_settle(size_t i, int64_t number)
{
    commands[i] = (struct ledger_command){ .op = LEDGER_ATTEMPT_SETTLE,
                                           .attempt_settle = { .kind = LEDGER_ATTEMPT_PAYMENT,
                                                               .subject_id = order_of(number) + 1,
                                                               .number = 1,
                                                               .answer = LEDGER_ATTEMPT_APPROVED,
                                                               .transaction_id = "t" } };
}

/* Two servers are asked to pay, settle and cancel the same orders at once. */
static void test_one_order_on_both(void **state)
{
    (void)state;
    begin(false);
    fill();
    run_pairs(ask_new_order);
    for (int64_t order_id = 1; order_id <= 2 * TWICE; order_id++)
        owners[order_id] = owner_of(order_id);
    run_pairs(ask_pay);
    expect_one(LEDGER_ORDER_OK, LEDGER_ORDER_INVALID_STATUS);
    run_pairs(ask_pay_by_gateway);
    expect_one(LEDGER_ORDER_HELD, LEDGER_ORDER_BUSY);
    run_pairs(ask_settle);
    expect_one(LEDGER_ORDER_OK, LEDGER_ORDER_STALE);
    run_pairs(ask_cancel);
    expect_one(LEDGER_ORDER_OK, LEDGER_ORDER_INVALID_STATUS);
    /* Half of the orders are paid, the other half was paid and given back. */
    assert_int_equal(store_ask("SELECT sum(quantity)::bigint FROM order_lines JOIN orders"
                               " USING (order_id) WHERE status = 1"),
                     store_ask("SELECT sum(units)::bigint FROM sales"));
    assert_int_equal(store_ask("SELECT sum(balance + held)::bigint FROM users"),
                     (int64_t)USERS * BALANCE -
                         store_ask("SELECT sum(subtotal)::bigint FROM orders WHERE status = 1"));
    assert_int_equal(store_ask("SELECT sum(held)::bigint FROM users"), 0);
    assert_int_equal(store_ask("SELECT sum(stock + held)::bigint FROM products"),
                     (int64_t)PRODUCTS * STOCK - 2 * TWICE);
    end();
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(test_two_servers),
                                               cmocka_unit_test(test_new_users_on_both),
                                               cmocka_unit_test(test_one_order_on_both) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
