// SPDX-License-Identifier: Apache-2.0
/* What is kept is used while its stamp holds, and never else; bounds hold whatever comes. */
#include "api/answer_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"

static _Atomic uint64_t counter, other;

static void put(struct answer_cache *cache, const char *path, const char *query, const char *body)
{
    struct answer_stamp stamp = { 0 };

    answer_stamp_add(&stamp, &counter);
    answer_cache_put(cache, str_from(path), str_from(query), str_from(body), &stamp);
}

static bool has(struct answer_cache *cache, const char *path, const char *query, const char *body)
{
    struct str kept;

    if (!answer_cache_get(cache, str_from(path), str_from(query), &kept))
        return false;
    if (body)
        assert_true(str_equal(kept, str_from(body)));
    return true;
}

static void test_keys(void **state)
{
    struct answer_cache *cache = answer_cache_new(16, 1 << 16);

    (void)state;
    assert_false(has(cache, "/a", NULL, NULL));
    put(cache, "/a", NULL, "no query");
    put(cache, "/a", "", "an empty one");
    put(cache, "/a", "b=1", "b is 1");
    put(cache, "/a", "b=2", "b is 2");
    put(cache, "/ab", NULL, "longer");
    put(cache, "/ab", "=1", "the same bytes, cut elsewhere");
    put(cache, "/0123456789abcdef", "0123456789abcdef", "");
    assert_true(has(cache, "/a", NULL, "no query"));
    assert_true(has(cache, "/a", "", "an empty one"));
    assert_true(has(cache, "/a", "b=1", "b is 1"));
    assert_true(has(cache, "/a", "b=2", "b is 2"));
    assert_true(has(cache, "/ab", NULL, "longer"));
    assert_true(has(cache, "/ab", "=1", "the same bytes, cut elsewhere"));
    assert_true(has(cache, "/0123456789abcdef", "0123456789abcdef", ""));
    assert_false(has(cache, "/a", "b=3", NULL));
    put(cache, "/a", "b=2", "b is still 2");
    assert_true(has(cache, "/a", "b=2", "b is still 2"));
    answer_cache_free(cache);
}

static void test_counters(void **state)
{
    struct answer_cache *cache = answer_cache_new(16, 1 << 16);
    struct answer_stamp both = { 0 }, late = { 0 }, none = { 0 }, many = { 0 };

    (void)state;
    put(cache, "/a", NULL, "old");
    atomic_fetch_add(&counter, 1); /* a commit begins */
    assert_false(has(cache, "/a", NULL, NULL));
    put(cache, "/a", NULL, "who knows");
    assert_false(has(cache, "/a", NULL, NULL));
    atomic_fetch_add(&counter, 1); /* and ends */
    assert_false(has(cache, "/a", NULL, NULL));
    put(cache, "/a", NULL, "new");
    assert_true(has(cache, "/a", NULL, "new"));

    answer_stamp_add(&both, &counter);
    answer_stamp_add(&both, &other);
    answer_cache_put(cache, STR("/b"), STR_NONE, STR("b"), &both);
    assert_true(has(cache, "/b", NULL, "b"));
    atomic_fetch_add(&other, 2);
    assert_true(has(cache, "/a", NULL, "new"));
    assert_false(has(cache, "/b", NULL, NULL));

    answer_stamp_add(&late, &counter); /* read; then it changes; then it is put */
    atomic_fetch_add(&counter, 2);
    answer_cache_put(cache, STR("/c"), STR_NONE, STR("c"), &late);
    assert_false(has(cache, "/c", NULL, NULL));
    answer_cache_put(cache, STR("/d"), STR_NONE, STR("d"), &none);
    assert_false(has(cache, "/d", NULL, NULL));
    for (int i = 0; i <= ANSWER_COUNTERS_MAX; i++)
        answer_stamp_add(&many, &counter);
    answer_cache_put(cache, STR("/e"), STR_NONE, STR("e"), &many);
    assert_false(has(cache, "/e", NULL, NULL));
    answer_cache_free(cache);
}

/* Also when somebody moves the clock, either way. */
static void test_times(void **state)
{
    struct answer_cache *cache = answer_cache_new(16, 1 << 16);
    int64_t now_ms = clock_wall_ms();
    static const struct {
        int64_t from, until, offset;
        bool kept;
    } rows[] = {
        { -60000, 60000, 0, true },        { -60000, 60000, 120000, false },
        { -60000, 60000, -120000, false }, { 60000, 90000, 0, false },
        { 60000, 90000, 70000, true },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct answer_stamp stamp = { .from_ms = now_ms + rows[i].from,
                                      .until_ms = now_ms + rows[i].until };
        answer_stamp_add(&stamp, &counter);
        answer_cache_put(cache, STR("/a"), STR_NONE, STR("a"), &stamp);
        clock_set_offset_ms(rows[i].offset);
        assert_int_equal(has(cache, "/a", NULL, "a"), rows[i].kept);
        clock_set_offset_ms(0);
    }
    answer_cache_free(cache);
}

static void test_bounds(void **state)
{
    static char body[4096];
    struct answer_cache *cache = answer_cache_new(100, 64 * 1024);
    char query[40];

    (void)state;
    memset(body, 'x', sizeof body - 1);
    for (int i = 0; i < 20000; i++) {
        snprintf(query, sizeof query, "made-up=%d", i);
        body[1 + i % 4000] = '\0';
        put(cache, "/a", query, body);
        body[1 + i % 4000] = 'x';
        assert_true(answer_cache_bytes(cache) <= 64 * 1024);
        assert_true(has(cache, "/a", query, NULL));
    }
    static char large[64 * 1024 / 8 + 2];
    memset(large, 'x', sizeof large - 1);
    put(cache, "/large", NULL, large);
    assert_false(has(cache, "/large", NULL, NULL));
    answer_cache_free(cache);
    cache = answer_cache_new(0, 64 * 1024);
    put(cache, "/a", NULL, "a");
    assert_false(has(cache, "/a", NULL, NULL));
    answer_cache_free(cache);
}

/* What is asked for all the time stays, whatever else is made up in between. */
static void test_hot_ones_stay(void **state)
{
    struct answer_cache *cache = answer_cache_new(64, 1 << 20);
    char query[40], path[40];
    unsigned missed = 0;

    (void)state;
    for (int i = 0; i < 100000; i++) {
        snprintf(query, sizeof query, "made-up=%d", i);
        put(cache, "/a", query, "a");
        snprintf(path, sizeof path, "/hot/%d", i % 16);
        if (!has(cache, path, NULL, path)) {
            missed++;
            put(cache, path, NULL, path);
        }
    }
    assert_true(missed < 100);
    answer_cache_free(cache);
}

static void test_without_memory(void **state)
{
    long before = mem_live_count();

    (void)state;
    for (int after = 0; after < 2; after++) {
        mem_fault_set(after);
        assert_null(answer_cache_new(16, 1024));
        mem_fault_set(-1);
    }
    struct answer_cache *cache = answer_cache_new(16, 65536);
    put(cache, "/a", NULL, "a");
    mem_fault_set(0);
    put(cache, "/a", NULL, "b"); /* rather nothing than the old */
    put(cache, "/b", NULL, "b");
    mem_fault_set(-1);
    assert_false(has(cache, "/a", NULL, NULL));
    assert_false(has(cache, "/b", NULL, NULL));
    put(cache, "/b", NULL, "b");
    assert_true(has(cache, "/b", NULL, "b"));
    answer_cache_free(cache);
    assert_int_equal(mem_live_count(), before);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),          cmocka_unit_test(test_counters),
        cmocka_unit_test(test_times),         cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_hot_ones_stay), cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
