// SPDX-License-Identifier: Apache-2.0
/* Opening a shop that takes its time: a minute passes whenever anybody looks. */
#include <sys/syscall.h>
#include <time.h>

#include "base/mem.h"
#include "shop/shop_fixture_test.h"

static time_t ahead_s;

/* Stands before the C library's. */
int clock_gettime(clockid_t id, struct timespec *out)
{
    int result = (int)syscall(SYS_clock_gettime, id, out);

    if (id == CLOCK_BOOTTIME)
        out->tv_sec += ahead_s += 61;
    return result;
}

static void test_slow_opening(void **state)
{
    (void)state;
    shop_begin(30, 5);
    for (int64_t id = 100; id < 120; id++)
        make_coupon(id, id);
    expect_take(2, false, COUPON_TAKE_ISSUED, 1);
    shop_stop();
    shop_start();
    for (int64_t id = 100; id < 120; id++) {
        struct gate_status gate = gate_status(shop.gate, id);
        assert_true(gate.open);
        assert_int_equal(gate.remaining, id);
        assert_int_equal(gate.epoch, 2);
        assert_int_equal(catalog_find(shop.catalog, id)->epoch, 2);
    }
    assert_int_equal(catalog_list(shop.catalog)->count, 21);
    expect_take(2, false, COUPON_TAKE_ALREADY, 1);
    shop_end();
}

/* Without memory it does not open, and leaves nothing behind. */
static void test_every_allocation(void **state)
{
    enum err e = ERR_NOMEM;

    (void)state;
    shop_begin(30, 5);
    expect_take(2, true, COUPON_TAKE_RESERVED, 1);
    wait_until(nothing_pending);
    for (int after = 0; e != ERR_OK; after++) {
        struct shop second;
        int64_t holders = 0;
        long live = mem_live_count();
        mem_fault_set(after);
        e = shop_init(&second, &config, shop.ledger, shop.gate, NULL, NULL);
        if (e == ERR_OK)
            e = shop_open(&second, needs_no_gate, NULL, &holders);
        mem_fault_set(-1);
        assert_true(e == ERR_OK || e == ERR_NOMEM);
        assert_true(e != ERR_OK || holders == 1);
        shop_fini(&second);
        assert_true(mem_live_count() <= live + 4); /* what the gate keeps */
    }
    expect_take(2, true, COUPON_TAKE_ALREADY, 1);
    shop_end();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slow_opening),
        cmocka_unit_test(test_every_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
