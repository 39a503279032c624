// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "gateway/gateway_http_internal.h"

static void expect_body(const struct gateway_call *call, const char *wanted)
{
    struct buf body = { 0 };

    gateway_http_render(&body, call, 1772766000123);
    buf_char(&body, '\0');
    assert_string_equal(body.ptr, wanted);
    buf_fini(&body);
}

static void test_bodies(void **state)
{
    struct gateway_call call = {
        .op = GATEWAY_CHARGE, .key = "order-17-1", .user_id = 42, .order_id = 17, .amount = 9000
    };

    (void)state;
    assert_int_equal(clock_set_zone("Asia/Seoul"), ERR_OK);
    expect_body(&call,
                "{\"operation\":\"charge\",\"key\":\"order-17-1\",\"userId\":42,\"orderId\":17,"
                "\"amount\":9000,\"refundedTransactionId\":null,"
                "\"sentAt\":\"2026-03-06T12:00:00.123+09:00\"}");
    call.op = GATEWAY_VOID;
    call.order_id = 0;
    expect_body(&call,
                "{\"operation\":\"void\",\"key\":\"order-17-1\",\"userId\":42,\"orderId\":null,"
                "\"amount\":9000,\"refundedTransactionId\":null,"
                "\"sentAt\":\"2026-03-06T12:00:00.123+09:00\"}");
    call.op = GATEWAY_REFUND;
    snprintf(call.refunded_id, sizeof call.refunded_id, "a\"b");
    expect_body(&call, "{\"operation\":\"refund\",\"key\":\"order-17-1\",\"userId\":42,"
                       "\"orderId\":null,\"amount\":9000,\"refundedTransactionId\":\"a\\\"b\","
                       "\"sentAt\":\"2026-03-06T12:00:00.123+09:00\"}");
}

/* Computed with Python's hmac. */
static void test_signature(void **state)
{
    char signature[HOOK_SIGNATURE_BYTES];

    (void)state;
    assert_int_equal(hook_sign(STR("0123456789abcdef0123456789abcdef"), STR("1772766000"),
                               STR("{\"key\":\"order-17-1\"}"), signature),
                     ERR_OK);
    assert_string_equal(signature,
                        "05d2393b21a0aea71837f3e2a4399a5bbde0fed7dfa159f9bbd8fd298d0ce494");
}

static char long_id[] = "{\"status\":\"approved\",\"transactionId\":\""
                        "0123456789012345678901234567890123456789012345678901234567890123"
                        "x\"}";

static void test_answers(void **state)
{
    static const char json[] = "application/json";
    static const struct {
        long status;
        const char *type, *body;
        enum gateway_outcome charge, undo; /* of a charge or refund; of a void */
        const char *transaction_id;
    } rows[] = {
#define ALL(outcome) outcome, outcome
        { 200, json, "{\"status\":\"approved\",\"transactionId\":\"T-1\"}", ALL(GATEWAY_APPROVED),
          "T-1" },
        { 200, "Application/JSON; charset=utf-8",
          " {\"transactionId\":\"!~\",\"more\":[1],\"status\":\"approved\"}\n",
          ALL(GATEWAY_APPROVED), "!~" },
        { 200, json, "{\"status\":\"approved\"}", GATEWAY_UNKNOWN, GATEWAY_APPROVED, "" },
        { 200, json, "{\"status\":\"approved\",\"transactionId\":null}", GATEWAY_UNKNOWN,
          GATEWAY_APPROVED, "" },
        { 200, json, "{\"status\":\"refused\"}", ALL(GATEWAY_REFUSED), "" },
        { 200, json, "{\"status\":\"refused\",\"transactionId\":\"T-1\"}", ALL(GATEWAY_REFUSED),
          "" },
        { 402, json, "{\"status\":\"approved\",\"transactionId\":\"T-1\"}", ALL(GATEWAY_REFUSED),
          "" },
        { 402, NULL, "", ALL(GATEWAY_REFUSED), "" },
        { 402, "text/html", "<p>no", ALL(GATEWAY_REFUSED), "" },
        /* not a name of a transaction */
        { 200, json, "{\"status\":\"approved\",\"transactionId\":\"\"}", ALL(GATEWAY_UNKNOWN), "" },
        { 200, json, "{\"status\":\"approved\",\"transactionId\":\"T 1\"}", ALL(GATEWAY_UNKNOWN),
          "" },
        { 200, json, "{\"status\":\"approved\",\"transactionId\":\"T\\n\"}", ALL(GATEWAY_UNKNOWN),
          "" },
        { 200, json, "{\"status\":\"approved\",\"transactionId\":\"T\\u0000\"}",
          ALL(GATEWAY_UNKNOWN), "" },
        { 200, json, "{\"status\":\"approved\",\"transactionId\":\"T\\u007f\"}",
          ALL(GATEWAY_UNKNOWN), "" },
        { 200, json, "{\"status\":\"approved\",\"transactionId\":\"\xC3\xA9\"}",
          ALL(GATEWAY_UNKNOWN), "" },
        { 200, json, "{\"status\":\"approved\",\"transactionId\":1}", ALL(GATEWAY_UNKNOWN), "" },
        { 200, json, long_id, ALL(GATEWAY_UNKNOWN), "" },
        /* not an answer */
        { 200, json, "{\"status\":\"Approved\",\"transactionId\":\"T-1\"}", ALL(GATEWAY_UNKNOWN),
          "" },
        { 200, json, "{\"status\":\"pending\",\"transactionId\":\"T-1\"}", ALL(GATEWAY_UNKNOWN),
          "" },
        { 200, json, "{\"status\":true,\"transactionId\":\"T-1\"}", ALL(GATEWAY_UNKNOWN), "" },
        { 200, json, "{\"transactionId\":\"T-1\"}", ALL(GATEWAY_UNKNOWN), "" },
        { 200, json, "{\"status\":\"refused\",\"status\":\"approved\",\"transactionId\":\"T-1\"}",
          ALL(GATEWAY_UNKNOWN), "" },
        { 200, json, "{\"status\":\"approved\",\"transactionId\":\"T-1\"", ALL(GATEWAY_UNKNOWN),
          "" },
        { 200, json, "{\"status\":\"approved\",\"transactionId\":\"T-1\"}}", ALL(GATEWAY_UNKNOWN),
          "" },
        { 200, json, "[{\"status\":\"approved\",\"transactionId\":\"T-1\"}]", ALL(GATEWAY_UNKNOWN),
          "" },
        { 200, json, "", ALL(GATEWAY_UNKNOWN), "" },
        { 200, json, "<html>", ALL(GATEWAY_UNKNOWN), "" },
        { 200, NULL, "{\"status\":\"approved\",\"transactionId\":\"T-1\"}", ALL(GATEWAY_UNKNOWN),
          "" },
        { 200, "text/html", "{\"status\":\"approved\",\"transactionId\":\"T-1\"}",
          ALL(GATEWAY_UNKNOWN), "" },
        { 200, "application/jsonp", "{\"status\":\"approved\",\"transactionId\":\"T-1\"}",
          ALL(GATEWAY_UNKNOWN), "" },
        { 200, "application", "{\"status\":\"approved\",\"transactionId\":\"T-1\"}",
          ALL(GATEWAY_UNKNOWN), "" },
        { 200, "text/html", "{\"status\":\"refused\"}", ALL(GATEWAY_UNKNOWN), "" },
        /* any other status, whatever it says */
        { 0, json, "{\"status\":\"approved\",\"transactionId\":\"T-1\"}", ALL(GATEWAY_UNKNOWN),
          "" },
        { 201, json, "{\"status\":\"approved\",\"transactionId\":\"T-1\"}", ALL(GATEWAY_UNKNOWN),
          "" },
        { 204, NULL, "", ALL(GATEWAY_UNKNOWN), "" },
        { 302, json, "{\"status\":\"approved\",\"transactionId\":\"T-1\"}", ALL(GATEWAY_UNKNOWN),
          "" },
        { 400, json, "{\"status\":\"refused\"}", ALL(GATEWAY_UNKNOWN), "" },
        { 401, json, "{\"status\":\"refused\"}", ALL(GATEWAY_UNKNOWN), "" },
        { 404, json, "{\"status\":\"refused\"}", ALL(GATEWAY_UNKNOWN), "" },
        { 429, json, "{\"status\":\"refused\"}", ALL(GATEWAY_UNKNOWN), "" },
        { 500, json, "{\"status\":\"refused\"}", ALL(GATEWAY_UNKNOWN), "" },
        { 503, json, "{\"status\":\"approved\",\"transactionId\":\"T-1\"}", ALL(GATEWAY_UNKNOWN),
          "" },
#undef ALL
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        for (int op = GATEWAY_CHARGE; op <= GATEWAY_VOID; op++) {
            struct gateway_call call = { .op = (enum gateway_op)op, .transaction_id = "before" };
            gateway_http_judge(&call, rows[i].status, rows[i].type, str_from(rows[i].body));
            if (call.outcome != (op == GATEWAY_VOID ? rows[i].undo : rows[i].charge))
                fail_msg("row %zu, operation %d: %d", i, op, call.outcome);
            assert_string_equal(call.transaction_id,
                                call.outcome == GATEWAY_APPROVED ? rows[i].transaction_id : "");
        }
    assert_int_equal(mem_live_count(), 0);
}

/* The longest name there may be. */
static void test_longest_id(void **state)
{
    struct gateway_call call = { .op = GATEWAY_CHARGE };
    char *x = strchr(long_id, 'x');

    (void)state;
    memcpy(x, "\"} ", 4);
    gateway_http_judge(&call, 200, "application/json", str_from(long_id));
    assert_int_equal(call.outcome, GATEWAY_APPROVED);
    assert_int_equal(strlen(call.transaction_id), GATEWAY_TRANSACTION_BYTES_MAX);
}

/* Without memory nobody can say what an answer means. */
static void test_no_memory(void **state)
{
    struct gateway_call call = { .op = GATEWAY_CHARGE };
    char signature[HOOK_SIGNATURE_BYTES];

    (void)state;
    mem_fault_set(0);
    gateway_http_judge(&call, 200, "application/json",
                       STR("{\"status\":\"approved\",\"transactionId\":\"T-1\"}"));
    assert_int_equal(
        hook_sign(STR("0123456789abcdef0123456789abcdef"), STR("1"), STR("{}"), signature),
        ERR_NOMEM);
    mem_fault_set(-1);
    assert_int_equal(call.outcome, GATEWAY_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies),    cmocka_unit_test(test_signature),
        cmocka_unit_test(test_answers),   cmocka_unit_test(test_longest_id),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
