// SPDX-License-Identifier: Apache-2.0
#include "core/limiter.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/hash.h"

#define SECOND UINT64_C(1000000000)

static void test_bucket(void **state)
{
    const struct limiter_rule rule = limiter_rule(10, 5);
    uint64_t bucket = 0, now = 77 * SECOND;
    struct limiter_verdict verdict;

    (void)state;
    for (uint64_t left = 5; left-- > 0;) {
        verdict = limiter_take(&rule, &bucket, now);
        assert_true(verdict.allowed && verdict.left == left);
        assert_int_equal(verdict.full_ns, (5 - left) * SECOND / 10);
        assert_int_equal(verdict.retry_ns, left ? 0 : SECOND / 10);
    }
    verdict = limiter_take(&rule, &bucket, now);
    assert_true(!verdict.allowed && verdict.left == 0 && verdict.retry_ns == SECOND / 10);
    verdict = limiter_take(&rule, &bucket, now + SECOND / 10 - 1);
    assert_true(!verdict.allowed && verdict.retry_ns == 1);
    verdict = limiter_take(&rule, &bucket, now + SECOND / 10);
    assert_true(verdict.allowed && verdict.left == 0);
    /* refusals cost nothing; a long rest fills it, and no more than that */
    for (int i = 0; i < 1000; i++)
        assert_false(limiter_take(&rule, &bucket, now + SECOND / 10).allowed);
    verdict = limiter_take(&rule, &bucket, now + 3600 * SECOND);
    assert_true(verdict.allowed && verdict.left == 4);
}

static void test_extremes(void **state)
{
    static const uint64_t values[] = { 1, 3, 7, 1000, 1000000, 1000000000 };

    (void)state;
    for (size_t r = 0; r < ARRAY_COUNT(values); r++)
        for (size_t b = 0; b < ARRAY_COUNT(values); b++) {
            const struct limiter_rule rule = limiter_rule(values[r], values[b]);
            uint64_t bucket = 0, now = UINT64_C(1) << 62;
            struct limiter_verdict verdict = limiter_take(&rule, &bucket, now);
            assert_true(verdict.allowed && verdict.left == values[b] - 1);
            assert_true(verdict.full_ns <= SECOND && verdict.retry_ns <= SECOND);
        }
}

/* The same as a bucket that is filled drop by drop, over random arrivals. */
static void test_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        uint64_t rate = 1 + hash_u64(seed) % 50, burst = 1 + hash_u64(seed + 1000) % 20;
        const struct limiter_rule rule = limiter_rule(rate, burst);
        uint64_t bucket = 0, now = SECOND, last = now, tokens_ns = burst * rule.interval_ns;
        for (uint64_t i = 0; i < 500; i++) {
            now += hash_u64(seed * 1000 + i) % (2 * SECOND / rate);
            tokens_ns += now - last;
            last = now;
            if (tokens_ns > burst * rule.interval_ns)
                tokens_ns = burst * rule.interval_ns;
            bool allowed = tokens_ns >= rule.interval_ns;
            tokens_ns -= allowed ? rule.interval_ns : 0;
            struct limiter_verdict verdict = limiter_take(&rule, &bucket, now);
            assert_int_equal(verdict.allowed, allowed);
            assert_int_equal(verdict.left, tokens_ns / rule.interval_ns);
        }
    }
}

/* Far more keys than entries: bounded, and who asked most is remembered longest. */
static void test_table(void **state)
{
    static struct limiter_entry entries[64 * LIMITER_WAYS];
    const struct limiter_table table = { entries, 64, 42 };
    const struct limiter_rule rule = limiter_rule(1, 1000);
    const struct limiter_key busy = { 7, 7 };
    uint64_t now = SECOND;

    (void)state;
    for (int i = 0; i < 500; i++)
        assert_true(limiter_take(&rule, limiter_table_bucket(&table, busy), now).allowed);
    for (uint64_t i = 0; i < 100000; i++) {
        uint64_t *bucket = limiter_table_bucket(&table, (struct limiter_key){ 1, i });
        assert_true(bucket >= &entries[0].full_at_ns &&
                    bucket <= &entries[ARRAY_COUNT(entries) - 1].full_at_ns);
        assert_int_equal(limiter_take(&rule, bucket, now).left, 999);
    }
    assert_int_equal(limiter_take(&rule, limiter_table_bucket(&table, busy), now).left, 499);
    /* one of two keys in a set of their own each keeps its own count */
    const struct limiter_key one = { 2, 1 }, other = { 1, 2 };
    limiter_take(&rule, limiter_table_bucket(&table, one), now);
    limiter_take(&rule, limiter_table_bucket(&table, one), now);
    assert_int_equal(limiter_take(&rule, limiter_table_bucket(&table, other), now).left, 999);
    assert_int_equal(limiter_take(&rule, limiter_table_bucket(&table, one), now).left, 997);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bucket),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_table),
    };

    return cmocka_run_group_tests_name("limiter", tests, NULL, NULL);
}
