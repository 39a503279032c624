// SPDX-License-Identifier: Apache-2.0
/* Places that come while a batch waits for the lock of their coupon are stored with it. */
#include "ledger/ledger_coupon_test.h"
#include "ledger/ledger_pg_fixture_test.h"

enum { QUANTITY = 100, COMMANDS_MAX = 12, BATCH_MAX = 8 };

struct conformance_world world;

static PGconn *holder; /* of the coupon's lock */
static struct ledger_command commands[COMMANDS_MAX];
static size_t asked, open_commands;

static int begin(void **state)
{
    struct ledger_pg_options options = store_options();

    (void)state;
    store_make();
    options.batch_max = BATCH_MAX;
    options.consumers = 0;
    world.ledger = store_open_with(&options);
    world.loop = loop_new();
    world.client = ledger_client_new(world.ledger, world.loop);
    asked = open_commands = 0;
    coupon_make(world.ledger, COUPON, QUANTITY);
    coupon_make(world.ledger, COUPON + 1, QUANTITY);
    holder = PQconnectdb(store_url());
    PQclear(PQexec(holder, "BEGIN; SELECT 1 FROM coupons WHERE coupon_id = 7 FOR UPDATE"));
    return 0;
}

static int end(void **state)
{
    (void)state;
    PQfinish(holder);
    ledger_client_free(world.client);
    loop_free(world.loop);
    store_close(world.ledger);
    return 0;
}

static void done(struct ledger_command *command)
{
    assert_ok(command->err);
    if (--open_commands == 0)
        loop_stop(world.loop);
}

static void ask(struct ledger_command command)
{
    struct ledger_command *kept = &commands[asked++];

    *kept = command;
    kept->done = done;
    list_init(&kept->node);
    assert_true(ledger_room_take(world.client));
    ledger_submit(world.client, kept);
    open_commands++;
}

static void ask_place(int64_t coupon_id, int64_t number)
{
    ask((struct ledger_command){
        .op = LEDGER_PLACE,
        .place = { .coupon_id = coupon_id, .user_id = number, .slot = number, .fresh = true } });
}

static void ask_cart(void)
{
    ask((struct ledger_command){ .op = LEDGER_CART_CHANGE,
                                 .cart_change = { .user_id = 1, .what = LEDGER_CART_ADD } });
}

static void pass_turn(struct loop_timer *timer)
{
    (void)timer;
    loop_stop(world.loop);
}

/* What was asked so far goes off. */
static void turn(void)
{
    struct loop_timer timer = { .run = pass_turn };

    assert_ok(loop_timer_start(world.loop, &timer, 1));
    loop_run(world.loop);
}

/* The first is a batch, and waits. */
static void ask_first(void)
{
    ask_place(COUPON, 1);
    turn();
    while (store_ask("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == 0)
        continue;
}

/* The lock is given up, all are done. Returns how many transactions have stored rows of COUPON. */
static int64_t finish(void)
{
    turn();
    PQclear(PQexec(holder, "ROLLBACK"));
    loop_run(world.loop);
    for (size_t i = 0; i < asked; i++)
        assert_true(commands[i].op != LEDGER_PLACE ||
                    commands[i].place.outcome == LEDGER_PLACE_STORED);
    coupon_look(world.ledger);
    return store_ask("SELECT count(DISTINCT xmin::text) FROM user_coupons WHERE coupon_id = 7");
}

/* So many transactions for so many places, all but the first of which come later. */
static void expect_transactions(int64_t places, int64_t transactions)
{
    ask_first();
    for (int64_t number = 2; number <= places; number++)
        ask_place(COUPON, number);
    assert_int_equal(finish(), transactions);
    assert_int_equal(rows.issued, places);
}

static void test_come_later(void **state)
{
    (void)state;
    expect_transactions(BATCH_MAX, 1);
}

static void test_no_more_than_a_batch(void **state)
{
    (void)state;
    expect_transactions(BATCH_MAX + 1, 2);
}

/* Whatever is not locked waits, and so does what comes behind it. */
static void test_of_another_coupon(void **state)
{
    (void)state;
    ask_first();
    ask_place(COUPON, 2);
    ask_place(COUPON + 1, 3);
    ask_place(COUPON, 4);
    assert_int_equal(finish(), 2);
    assert_int_equal(rows.issued, 3);
}

static void test_behind_another_command(void **state)
{
    (void)state;
    ask_first();
    ask_cart();
    ask_place(COUPON, 2);
    assert_int_equal(finish(), 2);
    assert_int_equal(commands[1].cart_change.outcome, LEDGER_CART_NO_USER);
    assert_int_equal(rows.issued, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    static const struct CMUnitTest tests[] = { TEST(test_come_later),
                                               TEST(test_no_more_than_a_batch),
                                               TEST(test_of_another_coupon),
                                               TEST(test_behind_another_command) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
