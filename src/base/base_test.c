// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"

static void test_parse_int64(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        int64_t value;
    } rows[] = {
        { "0", true, 0 },
        { "7", true, 7 },
        { "-7", true, -7 },
        { "9223372036854775807", true, INT64_MAX },
        { "-9223372036854775808", true, INT64_MIN },
        { "9223372036854775808", false, 0 },
        { "-9223372036854775809", false, 0 },
        { "99999999999999999999", false, 0 },
        { "", false, 0 },
        { "-", false, 0 },
        { "-0", false, 0 },
        { "01", false, 0 },
        { "+1", false, 0 },
        { " 1", false, 0 },
        { "1 ", false, 0 },
        { "1.0", false, 0 },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        int64_t value = 0;
        assert_int_equal(str_parse_int64(str_from(rows[i].text), &value), rows[i].ok);
        assert_true(value == rows[i].value);
    }
}

static void test_utf8(void **state)
{
    static const struct {
        const char *text;
        bool ok;
    } rows[] = {
        { "", true },
        { "plain", true },
        { "\xEC\xA0\x84\xEC\x9E\x90", true },
        { "\xF0\x9F\x8E\x9F", true },
        { "\xC0\x80", false },
        { "\xED\xA0\x80", false },
        { "\xF4\x90\x80\x80", false },
        { "\xE0\x80\x80", false },
        { "\xFF", false },
        { "\xC2", false },
        { "a\x80", false },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        assert_int_equal(str_is_utf8(str_from(rows[i].text)), rows[i].ok);
}

static void test_distance(void **state)
{
    (void)state;
    assert_int_equal(str_distance(STR("pool.max"), STR("pool.max")), 0);
    assert_int_equal(str_distance(STR("pool.mx"), STR("pool.max")), 1);
    assert_int_equal(str_distance(STR(""), STR("abc")), 3);
    assert_int_equal(str_distance(STR("kitten"), STR("sitting")), 3);
}

static void test_buf_numbers_and_strings(void **state)
{
    struct buf buf = { 0 };
    (void)state;

    buf_int(&buf, INT64_MIN);
    buf_char(&buf, ' ');
    buf_int(&buf, 0);
    buf_char(&buf, ' ');
    buf_uint(&buf, UINT64_MAX);
    buf_json_string(&buf, STR("a\"\\\n\x01\x7F\xEC\xA0\x84"));
    buf_json_string(&buf, STR("\xFF!"));
    assert_true(buf_ok(&buf));
    buf_char(&buf, '\0');
    assert_string_equal(buf.ptr, "-9223372036854775808 0 18446744073709551615"
                                 "\"a\\\"\\\\\\n\\u0001\\u007f\xEC\xA0\x84\"\"\xEF\xBF\xBD!\"");
    buf_fini(&buf);
    assert_int_equal(mem_live_count(), 0);
}

static void test_buf_survives_no_memory(void **state)
{
    struct buf buf = { 0 };
    (void)state;

    mem_fault_set(0);
    buf_literal(&buf, "x");
    assert_false(buf_ok(&buf));
    mem_fault_set(-1);
    buf_reset(&buf);
    buf_literal(&buf, "x");
    assert_true(buf_ok(&buf) && buf.len == 1);
    buf_fini(&buf);
}

static void test_arena(void **state)
{
    struct arena arena = { 0 };
    (void)state;

    for (int round = 0; round < 3; round++) {
        char *a = arena_alloc(&arena, 10), *b = arena_alloc(&arena, 100000);
        struct str s = arena_copy(&arena, STR("copy"));
        assert_true(a && b && str_equal(s, STR("copy")));
        assert_int_equal((uintptr_t)b % 16, 0);
        memset(a, 1, 10);
        memset(b, 2, 100000);
        arena_reset(&arena);
        assert_int_equal(mem_live_count(), 1);
    }
    arena_fini(&arena);
    assert_int_equal(mem_live_count(), 0);
}

static void test_rfc3339(void **state)
{
    static const struct {
        const char *text;
        int64_t ms; /* -1: refused */
    } rows[] = {
        { "1970-01-01T00:00:00Z", 0 },
        { "2026-03-06T12:00:00+09:00", 1772766000000 },
        { "2026-03-06T12:00:00.5+09:00", 1772766000500 },
        { "2026-03-06T12:00:00.123999Z", 1772798400123 },
        { "2024-02-29T00:00:00Z", 1709164800000 },
        { "2023-02-29T00:00:00Z", -1 },
        { "2026-13-01T00:00:00Z", -1 },
        { "2026-01-01T24:00:00Z", -1 },
        { "2026-01-01T00:00:00", -1 },
        { "2026-01-01T00:00:00+9:00", -1 },
        { "2026-01-01T00:00:00Zx", -1 },
        { "2026-01-01", -1 },
        { "", -1 },
    };
    char text[CLOCK_RFC3339_BYTES];
    (void)state;

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        int64_t ms = -1;
        enum err e = clock_parse_rfc3339(str_from(rows[i].text), &ms);
        assert_int_equal(e, rows[i].ms < 0 ? ERR_INVALID : ERR_OK);
        assert_true(ms == rows[i].ms);
    }
    assert_int_equal(clock_set_zone("Asia/Seoul"), ERR_OK);
    clock_format_rfc3339(1772766000500, text);
    assert_string_equal(text, "2026-03-06T12:00:00.500+09:00");
    clock_format_date(1772766000500 + 12 * 3600000, text);
    assert_string_equal(text, "2026-03-07");
    assert_int_equal(clock_set_zone("America/New_York"), ERR_OK);
    clock_format_rfc3339(1772951400000, text); /* half past one, half an hour before the change */
    assert_string_equal(text, "2026-03-08T01:30:00.000-05:00");
    clock_format_rfc3339(1772951400000 + 3600000, text);
    assert_string_equal(text, "2026-03-08T03:30:00.000-04:00");
    int64_t day = clock_days_from_civil(2026, 3, 8); /* 23 hours long: 05:00 to 04:00 UTC */
    assert_int_equal(clock_day(day * 86400000 + 5 * 3600000), day);
    assert_int_equal(clock_day(day * 86400000 + 5 * 3600000 - 1), day - 1);
    assert_int_equal(clock_day(day * 86400000 + 28 * 3600000 - 1), day);
    assert_int_equal(clock_day(day * 86400000 + 28 * 3600000), day + 1);
    assert_int_equal(clock_set_zone("Not/AZone"), ERR_NOT_FOUND);
    assert_int_equal(clock_set_zone("../../etc/passwd"), ERR_NOT_FOUND);
}

static void test_days_round_trip(void **state)
{
    (void)state;
    for (int64_t days = -800000; days < 800000; days += 13) {
        int64_t year;
        unsigned month, day;
        clock_civil_from_days(days, &year, &month, &day);
        assert_true(clock_days_from_civil(year, month, day) == days);
    }
}

static void test_crc32c(void **state)
{
    (void)state;
    assert_int_equal(hash_crc32c(0, "123456789", 9), 0xE3069283u); /* the check value of RFC 3720 */
    assert_int_equal(hash_crc32c(hash_crc32c(0, "1234", 4), "56789", 5), 0xE3069283u);
}

struct node {
    int value;
    struct list link;
};

static void test_list(void **state)
{
    struct list head, other;
    struct node nodes[4] = { { .value = 1 }, { .value = 2 }, { .value = 3 }, { .value = 4 } };
    struct node *it;
    int sum = 0;
    (void)state;

    list_init(&head);
    list_init(&other);
    for (size_t i = 0; i < ARRAY_COUNT(nodes); i++)
        list_append(i < 2 ? &head : &other, &nodes[i].link);
    list_splice(&head, &other);
    assert_true(list_empty(&other));
    LIST_FOREACH (it, &head, struct node, link) {
        sum = sum * 10 + it->value;
        list_remove(&it->link);
    }
    assert_int_equal(sum, 1234);
    assert_true(list_empty(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_int64),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_distance),
        cmocka_unit_test(test_buf_numbers_and_strings),
        cmocka_unit_test(test_buf_survives_no_memory),
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_rfc3339),
        cmocka_unit_test(test_days_round_trip),
        cmocka_unit_test(test_crc32c),
        cmocka_unit_test(test_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
