// SPDX-License-Identifier: Apache-2.0
/* The gate in Redis, of two servers. */
#include "gate/gate_hammer_test.h"
#include "gate/gate_redis_fixture_test.h"

enum { SERVERS = 2 };

/* What was joined before it could be released stays pending: told, and to be stored. */
static void test_threads(void **state)
{
    struct gate *gates[SERVERS];
    uint64_t released = 0;

    (void)state;
    redis_connect();
    REDIS_TELL(NULL, "FLUSHALL");
    struct gate_redis_options options = { .redis = &redis_where, .deadline_ms = 60000 };
    for (size_t i = 0; i < SERVERS; i++)
        assert_ok(gate_redis_open(&options, &gates[i]));
    hammer_open(gates[0]);
    for (size_t i = 0; i < SERVERS; i++)
        assert_ok(gate_adopt(gates[i], COUPON, 1, &hammer_settings));
    hammer_start(gates, SERVERS, 200000);
    int64_t holders = hammer_join();
    assert_int_equal(hammer_look(gates[0]), holders);
    for (size_t i = 0; i < SERVERS; i++) {
        released += gate_stats(gates[i]).released;
        gate_redis_free(gates[i]);
    }
    assert_true(released > 0);
    redis_hand = redis_sync_close(redis_hand);
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(test_threads) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
