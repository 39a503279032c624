// SPDX-License-Identifier: Apache-2.0
#include "server/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct histogram histogram;

static int clear(void **state)
{
    (void)state;
    histogram = (struct histogram){ 0 };
    return 0;
}

static void assert_near(uint64_t got, uint64_t wanted)
{
    if (got < wanted || got > wanted + wanted / HISTOGRAM_STEPS + 1)
        fail_msg("%lu instead of %lu", (unsigned long)got, (unsigned long)wanted);
}

static void test_empty(void **state)
{
    CLEANUP(buf_fini) struct buf out = { 0 };

    (void)state;
    assert_int_equal(histogram_at(&histogram, 0.5), 0);
    histogram_draw(&histogram, 80, &out);
    assert_int_equal(out.len, 0);
}

/* Each value alone: what comes back is it, to within a cell, whatever the share. */
static void test_one_value(void **state)
{
    static const uint64_t values[] = {
        0,         1, 31, 32, 33, 63, 64, 65, 999, 1000, 123456789, 3600000000000, UINT64_MAX / 2,
        UINT64_MAX
    };

    for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
        clear(state);
        histogram_add(&histogram, values[i]);
        assert_int_equal(histogram_at(&histogram, 0), values[i]);
        assert_int_equal(histogram_at(&histogram, 0.5), values[i]);
        assert_int_equal(histogram_at(&histogram, 1), values[i]);
    }
}

static void test_shares(void **state)
{
    (void)state;
    for (uint64_t us = 1; us <= 1000; us++)
        histogram_add(&histogram, us * 1000);
    assert_int_equal(histogram.count, 1000);
    assert_near(histogram_at(&histogram, 0.5), 500000);
    assert_near(histogram_at(&histogram, 0.9), 900000);
    assert_near(histogram_at(&histogram, 0.99), 990000);
    assert_int_equal(histogram_at(&histogram, 1), 1000000);
    assert_int_equal(histogram.max_ns, 1000000);
}

static void test_print(void **state)
{
    static const struct {
        uint64_t ns;
        const char *text;
    } rows[] = { { 0, "0.00 ns" },        { 999, "999 ns" },        { 1000, "1.00 µs" },
                 { 12340, "12.3 µs" },    { 999400, "999 µs" },     { 1850000, "1.85 ms" },
                 { 250000000, "250 ms" }, { 1500000000, "1.50 s" }, { 90000000000, "90.0 s" } };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        CLEANUP(buf_fini) struct buf out = { 0 };
        histogram_print_ns(&out, rows[i].ns);
        buf_char(&out, '\0');
        assert_string_equal(out.ptr, rows[i].text);
    }
}

static void test_picture(void **state)
{
    CLEANUP(buf_fini) struct buf out = { 0 };

    (void)state;
    for (int i = 0; i < 100; i++)
        histogram_add(&histogram, 1500000); /* 1 .. 2 ms */
    for (int i = 0; i < 50; i++)
        histogram_add(&histogram, 700000); /* 500 µs .. 1 ms */
    histogram_add(&histogram, 7000000);    /* 5 .. 10 ms; nothing in 2 .. 5 */
    histogram_draw(&histogram, 24 + 12 + 16, &out);
    buf_char(&out, '\0');
    assert_string_equal(out.ptr, "    500 µs ..     1 ms  ████████ 50\n"
                                 "      1 ms ..     2 ms  ████████████████ 100\n"
                                 "      2 ms ..     5 ms   0\n"
                                 "      5 ms ..    10 ms  ▏ 1\n");
}

/* A narrow terminal, very long and very short: still a picture, and all are in it. */
static void test_picture_has_all(void **state)
{
    CLEANUP(buf_fini) struct buf out = { 0 };
    unsigned long sum = 0;

    (void)state;
    for (uint64_t ns = 1; ns < UINT64_C(100000000000); ns = ns * 3 + 1)
        histogram_add(&histogram, ns);
    histogram_draw(&histogram, 0, &out);
    buf_char(&out, '\0');
    for (char *line = strtok(out.ptr, "\n"); line; line = strtok(NULL, "\n")) {
        sum += strtoul(strrchr(line, ' '), NULL, 10);
    }
    assert_int_equal(sum, histogram.count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_empty, clear),
        cmocka_unit_test_setup(test_one_value, clear),
        cmocka_unit_test_setup(test_shares, clear),
        cmocka_unit_test_setup(test_print, clear),
        cmocka_unit_test_setup(test_picture, clear),
        cmocka_unit_test_setup(test_picture_has_all, clear),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
