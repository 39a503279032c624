// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"
#include "core/retry.h"

static void test_floor(void **state)
{
    struct retry_budget budget = { 0 };

    (void)state;
    for (int i = 0; i < RETRY_FLOOR; i++)
        assert_true(retry_budget_take(&budget, 5000, 0));
    assert_false(retry_budget_take(&budget, 5000, 0));
    assert_false(retry_budget_take(&budget, 14999, 0));
    assert_true(retry_budget_take(&budget, 15000, 0)); /* the window has moved on */
}

static void test_tries(void **state)
{
    struct retry_budget budget = { 0 };

    (void)state;
    assert_true(retry_budget_take(&budget, 0, RETRY_TRIES_MAX - 1));
    assert_false(retry_budget_take(&budget, 0, RETRY_TRIES_MAX));
}

/* Never more than a tenth of the calls of any window. */
static void test_tenth(void **state)
{
    struct retry_budget budget = { 0 };
    unsigned taken = 0;

    (void)state;
    for (uint64_t ms = 0; ms < 10000; ms++) {
        retry_budget_call(&budget, ms);
        taken += retry_budget_take(&budget, ms, 0);
    }
    assert_int_equal(taken, 1000);
    for (uint64_t ms = 10000; ms < 20000; ms++) /* nobody calls: what is left fades */
        taken += retry_budget_take(&budget, ms, 0);
    assert_true(taken <= 1000 + 2 * RETRY_FLOOR);
}

static void test_delay(void **state)
{
    uint64_t most[4] = { 0 };

    (void)state;
    for (uint64_t i = 0; i < 10000; i++)
        for (unsigned tries = 0; tries < 4; tries++) {
            uint64_t ms = retry_delay_ms(10, 35, tries, hash_u64(i));
            most[tries] = ms > most[tries] ? ms : most[tries];
        }
    assert_int_equal(most[0], 10);
    assert_int_equal(most[1], 20);
    assert_int_equal(most[2], 35);
    assert_int_equal(most[3], 35);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_floor),
        cmocka_unit_test(test_tries),
        cmocka_unit_test(test_tenth),
        cmocka_unit_test(test_delay),
    };

    return cmocka_run_group_tests_name("core/retry", tests, NULL, NULL);
}
