// SPDX-License-Identifier: Apache-2.0
/* Who exists, what a person holds, commands of the callers. */
#include "shop/shop_fixture_test.h"

enum { MANY = 600 };

static struct user_lookup lookups[MANY];
static enum err answers[MANY];
static size_t lookups_open;

static void lookup_done(struct user_lookup *lookup, enum err e)
{
    answers[lookup - lookups] = e;
    lookups_open--;
}

static bool all_looked_up(void)
{
    return lookups_open == 0;
}

static void look_up(size_t at, int64_t user_id)
{
    lookups[at] = (struct user_lookup){ .done = lookup_done, .user_id = user_id };
    list_init(&lookups[at].node);
    lookups_open++;
    user_lookup(&here, &lookups[at]);
    assert_true(lookups_open > 0); /* never from inside the call */
}

static void test_known(void **state)
{
    (void)state;
    shop_begin(5000, 1);
    make_users(100000, 100010);
    for (int64_t max = 0; max <= 1000000; max = max ? max * 100 : 100) {
        config.users_known_max = max;
        for (int round = 0; round < 20; round++) {
            for (size_t i = 0; i < MANY; i++)
                look_up(i, (int64_t)(i * 37 + (size_t)round * 1009) % 9000 - 10);
            wait_until(all_looked_up);
            for (size_t i = 0; i < MANY; i++) {
                int64_t id = lookups[i].user_id;
                assert_int_equal(answers[i], id >= 1 && id <= 5000 ? ERR_OK : ERR_NOT_FOUND);
            }
            assert_true(here.known_users.count <= (size_t)max + 64);
        }
    }
    look_up(0, 100005);
    look_up(1, 100011);
    wait_until(all_looked_up);
    assert_ok(answers[0]);
    assert_int_equal(answers[1], ERR_NOT_FOUND);
    make_users(100011, 100011); /* a new one is seen at once: only who exists is remembered */
    look_up(1, 100011);
    wait_until(all_looked_up);
    assert_ok(answers[1]);
    shop_end();
}

static void test_ledger_away(void **state)
{
    (void)state;
    shop_begin(10, 1);
    ledger_fault_set(shop.ledger, true);
    look_up(0, 5);
    look_up(1, 5);
    wait_until(all_looked_up);
    assert_int_equal(answers[0], ERR_UNAVAILABLE);
    assert_int_equal(answers[1], ERR_UNAVAILABLE);
    ledger_fault_set(shop.ledger, false);
    look_up(0, 5);
    wait_until(all_looked_up);
    assert_ok(answers[0]);
    ledger_fault_set(shop.ledger, true);
    look_up(0, 6); /* a neighbour, looked up with 5 */
    wait_until(all_looked_up);
    assert_ok(answers[0]);
    ledger_fault_set(shop.ledger, false);
    config.users_external = true;
    look_up(0, 999);
    look_up(1, 0);
    wait_until(all_looked_up);
    assert_ok(answers[0]);
    assert_int_equal(answers[1], ERR_NOT_FOUND);
    shop_end();
}

static bool listed;

static void list_done(struct held_list *list)
{
    (void)list;
    listed = true;
}

static bool is_listed(void)
{
    return listed;
}

static struct held_list list_now(struct arena *arena, int64_t user_id)
{
    struct held_list list = { .done = list_done, .arena = arena, .user_id = user_id };

    listed = false;
    held_list(&here, &list);
    wait_until(is_listed);
    return list;
}

static void test_held_list(void **state)
{
    struct arena arena = { 0 };

    (void)state;
    shop_begin(10, 5);
    make_coupon(8, 5);
    shop_stop();
    shop_start();
    struct held_list list = list_now(&arena, 99);
    assert_int_equal(list.err, ERR_NOT_FOUND);
    list = list_now(&arena, 2);
    assert_ok(list.err);
    assert_int_equal(list.count, 0);
    expect_take(2, false, COUPON_TAKE_ISSUED, 1);
    stall_begin();
    struct coupon_take take = { .done = take_done, .coupon_id = 8, .user_id = 2, .reserve = true };
    takes_open++;
    coupon_take(&here, &take);
    wait_until(all_taken);
    assert_int_equal(take.outcome, COUPON_TAKE_RESERVED);
    list = list_now(&arena, 2);
    assert_int_equal(list.count, 2);
    assert_int_equal(list.items[0].state, HELD_RESERVED);
    assert_int_equal(list.items[0].coupon->coupon_id, 8);
    assert_int_equal(list.items[0].row.slot, 1);
    assert_int_equal(list.items[1].state, HELD_AVAILABLE);
    assert_int_equal(list.items[1].row.coupon_id, COUPON);
    stall_end();
    wait_until(is_idle);
    list = list_now(&arena, 2);
    assert_int_equal(list.count, 2);
    assert_int_equal(list.items[0].state, HELD_AVAILABLE); /* newest first */
    assert_int_equal(list.items[0].coupon->coupon_id, 8);
    ledger_fault_set(shop.ledger, true);
    list = list_now(&arena, 2);
    assert_int_equal(list.err, ERR_UNAVAILABLE);
    ledger_fault_set(shop.ledger, false);
    arena_fini(&arena);
    shop_end();
}

static bool got;

static void get_done(struct user_get *get)
{
    (void)get;
    got = true;
}

static bool is_got(void)
{
    return got;
}

static void test_get(void **state)
{
    struct arena arena = { 0 };

    (void)state;
    shop_begin(3, 1);
    for (int64_t id = 3; id <= 4; id++) {
        struct user_get get = { .done = get_done, .arena = &arena, .user_id = id };
        got = false;
        user_get(&here, &get);
        wait_until(is_got);
        assert_int_equal(get.err, id == 3 ? ERR_OK : ERR_NOT_FOUND);
    }
    config.users_external = true;
    for (int64_t id = -1; id <= 4; id++) {
        struct user_get get = { .done = get_done, .arena = &arena, .user_id = id };
        got = false;
        user_get(&here, &get);
        wait_until(is_got);
        assert_int_equal(get.err, id > 0 ? ERR_OK : ERR_NOT_FOUND);
        if (id == 4) { /* as a row of the ledger without names */
            assert_true(get.user.user_id == 4 && get.user.balance == 0);
            assert_true(str_equal(get.user.username, STR("user4")));
            assert_true(str_equal(get.user.email, STR("user4@example.com")));
        }
    }
    config.users_external = false;
    arena_fini(&arena);
    shop_end();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_ledger_away),
        cmocka_unit_test(test_held_list),
        cmocka_unit_test(test_get),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
