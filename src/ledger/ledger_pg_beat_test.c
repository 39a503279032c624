// SPDX-License-Identifier: Apache-2.0
/* Signs of life: leases, who is alone, which coupons changed, and who still holds something of a
 * gate that is being closed. */
#include "ledger/ledger_coupon_test.h"
#include "ledger/ledger_pg_fixture_test.h"

enum { LEASE_MS = 60000 };

struct conformance_world world;
static struct arena arena;

static int setup(void **state)
{
    (void)state;
    store_make();
    world.ledger = store_open();
    world.loop = loop_new();
    world.client = ledger_client_new(world.ledger, world.loop);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ledger_client_free(world.client);
    loop_free(world.loop);
    store_close(world.ledger);
    arena_fini(&arena);
    return 0;
}

static void beaten(struct ledger_beat *beat)
{
    (void)beat;
    loop_stop(world.loop);
}

static struct ledger_beat beat_of(int64_t server_id)
{
    return (struct ledger_beat){ .arena = &arena,
                                 .server_id = server_id,
                                 .url = server_id == 1 ? "http://one" : "http://two",
                                 .lease_ms = LEASE_MS };
}

static void beat_run(struct ledger_beat *beat)
{
    beat->done = beaten;
    beat->deadline_ms = loop_now_ms(world.loop) + 5000;
    ledger_beat(world.client, beat);
    loop_run(world.loop);
}

static void coupon_close(int64_t coupon_id)
{
    struct coupon coupon = { 0 };
    struct ledger_command closing = {
        .op = LEDGER_COUPON_CLOSING,
        .coupon_closing = { .coupon_id = coupon_id, .epoch_expected = 1, .coupon = &coupon }
    };

    ledger_run(world.ledger, &closing);
    assert_ok(closing.err);
    assert_true(coupon.closing);
}

static void test_leases(void **state)
{
    struct ledger_beat one = beat_of(1), two = beat_of(2);

    (void)state;
    assert_true(ledger_is_shared(world.ledger));
    beat_run(&one);
    assert_ok(one.err);
    assert_int_equal(one.live, 1);
    assert_true(one.database_ms > 0);
    assert_int_equal(strlen(one.timeline), 8);
    beat_run(&two);
    assert_int_equal(two.live, 2);
    beat_run(&one);
    assert_int_equal(one.live, 2);
    two.leave = true;
    beat_run(&two);
    assert_ok(two.err);
    beat_run(&one);
    assert_int_equal(one.live, 1);
    /* One that says nothing any more is not there when its lease is over. */
    two = beat_of(2);
    two.lease_ms = 1;
    beat_run(&two);
    store_ask("SELECT pg_sleep(0.01)");
    beat_run(&one);
    assert_int_equal(one.live, 1);
}

static void test_sole(void **state)
{
    struct ledger_beat one = beat_of(1), two = beat_of(2);

    (void)state;
    one.sole = two.sole = true;
    beat_run(&one);
    assert_false(one.refused);
    assert_int_equal(one.live, 1);
    beat_run(&two);
    assert_ok(two.err);
    assert_true(two.refused);
    assert_string_equal(two.other_url, "http://one");
    assert_int_equal(two.live, 1);
    beat_run(&one); /* its own lease does not stand against it */
    assert_false(one.refused);
    two.sole = false;
    beat_run(&two);
    assert_int_equal(two.live, 2);
    beat_run(&one);
    assert_true(one.refused);
    assert_string_equal(one.other_url, "http://two");
    assert_int_equal(one.live, 1); /* it has no lease any more */
}

static void test_coupons(void **state)
{
    struct ledger_known_coupon known[2] = { { .coupon_id = 1, .version = 1, .epoch = 1 },
                                            { .coupon_id = 2, .version = 1, .epoch = 1 } };
    struct ledger_beat one = beat_of(1);

    (void)state;
    coupon_make(world.ledger, 1, 10);
    coupon_make(world.ledger, 2, 10);
    beat_run(&one);
    assert_int_equal(one.coupon_count, 2);
    assert_string_equal(one.coupons[1].name, "X");
    one.known = known;
    one.known_count = 2;
    beat_run(&one);
    assert_int_equal(one.coupon_count, 0);
    coupon_close(2);
    beat_run(&one);
    assert_int_equal(one.coupon_count, 1);
    assert_int_equal(one.coupons[0].coupon_id, 2);
    assert_true(one.coupons[0].closing);
}

static void test_closings(void **state)
{
    struct ledger_hand_in hand_in = { .coupon_id = 1, .epoch = 1 };
    struct ledger_beat one = beat_of(1), two = beat_of(2);
    struct coupon coupon;
    struct ledger_command raise = { .op = LEDGER_COUPON_EPOCH,
                                    .coupon_epoch = { .coupon_id = 1, .coupon = &coupon } };

    (void)state;
    coupon_make(world.ledger, 1, 10);
    coupon_close(1);
    beat_run(&one);
    beat_run(&two);
    assert_int_equal(two.closing_count, 1);
    assert_int_equal(two.closings[0].coupon_id, 1);
    assert_int_equal(two.closings[0].epoch, 1);
    assert_int_equal(two.closings[0].waiting_for, 2);
    one.hand_ins = &hand_in;
    one.hand_in_count = 1;
    beat_run(&one);
    beat_run(&one); /* again is no other hand-in */
    assert_int_equal(one.closings[0].waiting_for, 1);
    two.leave = true;
    beat_run(&two);
    beat_run(&one);
    assert_int_equal(one.closings[0].waiting_for, 0);
    ledger_run(world.ledger, &raise);
    assert_ok(raise.err);
    /* of servers that have died */
    assert_int_equal(store_ask("INSERT INTO hand_ins VALUES (1, 1, 77) RETURNING 1"), 1);
    assert_int_equal(store_ask("INSERT INTO servers VALUES (78, 'dead', 1) RETURNING 1"), 1);
    beat_run(&one);
    assert_ok(one.err);
    assert_int_equal(one.closing_count, 0);
    assert_int_equal(store_ask("SELECT count(*) FROM hand_ins"), 0);
    assert_int_equal(store_ask("SELECT count(*) FROM servers"), 1);
}

static void test_away(void **state)
{
    struct ledger_beat one = beat_of(1);

    (void)state;
    ledger_fault_set(world.ledger, true);
    beat_run(&one);
    assert_int_equal(one.err, ERR_UNAVAILABLE);
    ledger_fault_set(world.ledger, false);
    beat_run(&one);
    assert_ok(one.err);
}

int main(void)
{
#define BEAT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    static const struct CMUnitTest tests[] = { BEAT_TEST(test_leases), BEAT_TEST(test_sole),
                                               BEAT_TEST(test_coupons), BEAT_TEST(test_closings),
                                               BEAT_TEST(test_away) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
