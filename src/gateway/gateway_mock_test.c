// SPDX-License-Identifier: Apache-2.0
#include "gateway/gateway_mock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "loop/loop_sim.h"

static struct loop *loop;
static struct gateway *gateway;
static struct gateway_client *client;
static int done;

static void begin(uint64_t latency_ms)
{
    loop = loop_new();
    assert_non_null(loop);
    gateway = gateway_mock_new(latency_ms);
    assert_non_null(gateway);
    client = gateway_client_new(gateway, loop, NULL);
    assert_non_null(client);
}

static void end(void)
{
    assert_int_equal(gateway_stats(gateway).in_flight, 0);
    assert_false(gateway_stats(gateway).has_breaker);
    gateway_client_free(client);
    gateway_free(gateway);
    loop_free(loop);
    assert_int_equal(mem_live_count(), 0);
}

static void on_done(struct gateway_call *call)
{
    (void)call;
    done++;
    loop_stop(loop);
}

static struct gateway_call ask(enum gateway_op op, const char *key, const char *client_key)
{
    struct gateway_call call = { .done = on_done,
                                 .op = op,
                                 .client_key = str_from(client_key),
                                 .user_id = 1,
                                 .order_id = 17,
                                 .amount = 100 };

    snprintf(call.key, sizeof call.key, "%s", key);
    done = 0;
    gateway_start(client, &call);
    assert_int_equal(done, 0); /* never inside */
    loop_run(loop);
    assert_int_equal(done, 1);
    return call;
}

static void test_refuses_fail(void **state)
{
    static const struct {
        enum gateway_op op;
        const char *client_key;
        enum gateway_outcome outcome;
    } rows[] = {
        { GATEWAY_CHARGE, "pay-1", GATEWAY_APPROVED },
        { GATEWAY_CHARGE, "fail", GATEWAY_REFUSED },
        { GATEWAY_CHARGE, "to-FaIl-it", GATEWAY_REFUSED },
        { GATEWAY_CHARGE, "it will FAIL", GATEWAY_REFUSED },
        { GATEWAY_CHARGE, "fai", GATEWAY_APPROVED },
        { GATEWAY_CHARGE, "f ail", GATEWAY_APPROVED },
        { GATEWAY_CHARGE, "", GATEWAY_APPROVED },
        { GATEWAY_REFUND, "fail", GATEWAY_APPROVED },
        { GATEWAY_VOID, "fail", GATEWAY_APPROVED },
    };

    (void)state;
    begin(0);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct gateway_call call = ask(rows[i].op, "order-17-1", rows[i].client_key);
        assert_int_equal(call.outcome, rows[i].outcome);
        assert_int_equal(call.transaction_id[0] != '\0', rows[i].outcome == GATEWAY_APPROVED);
    }
    end();
}

/* Written out: another version or process must not answer otherwise. */
static void test_same_key_same_transaction(void **state)
{
    (void)state;
    begin(0);
    struct gateway_call call = ask(GATEWAY_CHARGE, "order-17-1", "a");
    assert_string_equal(call.transaction_id, "mock-6555ee14df4de4192412071d0dda2284");
    assert_string_equal(ask(GATEWAY_CHARGE, "order-17-1", "b").transaction_id, call.transaction_id);
    assert_string_not_equal(ask(GATEWAY_CHARGE, "order-17-2", "a").transaction_id,
                            call.transaction_id);
    assert_string_not_equal(ask(GATEWAY_REFUND, "order-17-1", "a").transaction_id,
                            call.transaction_id);
    end();
}

static void test_latency(void **state)
{
    (void)state;
    begin(700);
    uint64_t start_ms = loop_now_ms(loop);
    assert_int_equal(ask(GATEWAY_CHARGE, "order-17-1", "a").outcome, GATEWAY_APPROVED);
    assert_int_equal(loop_now_ms(loop) - start_ms, 700);
    assert_true(gateway_timeout_ms(gateway) >= 700);
    end();
}

/* Without memory there is no gateway, no client; a call is answered all the same. */
static void test_every_allocation(void **state)
{
    (void)state;
    mem_fault_set(0);
    assert_null(gateway_mock_new(0));
    mem_fault_set(-1);
    begin(700);
    mem_fault_set(0);
    assert_null(gateway_client_new(gateway, loop, NULL));
    assert_int_equal(ask(GATEWAY_CHARGE, "order-17-1", "a").outcome, GATEWAY_APPROVED);
    mem_fault_set(-1);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refuses_fail),
        cmocka_unit_test(test_same_key_same_transaction),
        cmocka_unit_test(test_latency),
        cmocka_unit_test(test_every_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
