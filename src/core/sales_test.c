// SPDX-License-Identifier: Apache-2.0
/* Windows against the C library's calendar, and the order of products. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>
#include <time.h>

#include "base/attr.h"
#include "core/sales.h"

enum { DAY_S = 86400 };

/* What the calendar calls the day, the week or the month. */
static void day_name(int64_t day, enum sales_window window, char out[16])
{
    time_t at = (time_t)(day * DAY_S);
    struct tm utc;

    assert_non_null(gmtime_r(&at, &utc));
    if (window == SALES_WEEKLY)
        strftime(out, 16, "%G-W%V", &utc);
    else if (window == SALES_MONTHLY)
        strftime(out, 16, "%Y-%m", &utc);
    else
        strftime(out, 16, "%Y-%m-%d", &utc);
}

/* "2026-03-06" */
static int64_t day_of(const char *date)
{
    struct tm utc = { 0 };

    assert_non_null(strptime(date, "%Y-%m-%d", &utc));
    return (int64_t)timegm(&utc) / DAY_S;
}

/* The window is all days around `day` that have the same name, and no other. */
static void expect_named(enum sales_window window, int64_t day)
{
    struct sales_days days = sales_window_days(window, day);
    char name[16], other[16];

    day_name(day, window, name);
    assert_true(days.from <= day && day <= days.to);
    for (int64_t d = days.from - 1; d <= days.to + 1; d++) {
        day_name(d, window, other);
        assert_int_equal(strcmp(name, other) == 0, d >= days.from && d <= days.to);
    }
    assert_int_equal(sales_window_days(window, sales_window_before(window, day)).to, days.from - 1);
}

static void test_calendar(void **state)
{
    (void)state;
    for (int64_t day = day_of("1890-01-01"); day <= day_of("2110-01-01"); day++) {
        expect_named(SALES_DAILY, day);
        expect_named(SALES_WEEKLY, day);
        expect_named(SALES_MONTHLY, day);
    }
}

static void test_windows(void **state)
{
    static const struct {
        enum sales_window window;
        const char *day, *from, *to, *before;
    } rows[] = {
        { SALES_DAILY, "2026-01-01", "2026-01-01", "2026-01-01", "2025-12-31" },
        { SALES_WEEKLY, "2026-01-01", "2025-12-29", "2026-01-04", "2025-12-28" },
        { SALES_WEEKLY, "2025-12-28", "2025-12-22", "2025-12-28", "2025-12-21" },
        { SALES_WEEKLY, "1969-12-31", "1969-12-29", "1970-01-04", "1969-12-28" },
        { SALES_MONTHLY, "2024-02-10", "2024-02-01", "2024-02-29", "2024-01-31" },
        { SALES_MONTHLY, "2100-02-28", "2100-02-01", "2100-02-28", "2100-01-31" },
        { SALES_MONTHLY, "2000-02-28", "2000-02-01", "2000-02-29", "2000-01-31" },
        { SALES_MONTHLY, "2026-01-31", "2026-01-01", "2026-01-31", "2025-12-31" },
        { SALES_MONTHLY, "0000-03-01", "0000-03-01", "0000-03-31", "0000-02-29" },
        { SALES_ROLLING, "2026-03-03", "2026-02-25", "2026-03-03", "2026-03-02" },
        { SALES_3DAYS, "2026-03-01", "2026-02-27", "2026-03-01", "2026-02-28" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct sales_days days = sales_window_days(rows[i].window, day_of(rows[i].day));
        assert_int_equal(days.from, day_of(rows[i].from));
        assert_int_equal(days.to, day_of(rows[i].to));
        assert_int_equal(sales_window_before(rows[i].window, day_of(rows[i].day)),
                         day_of(rows[i].before));
    }
}

/* Every row stands before all that follow it. */
static void test_order(void **state)
{
    static const struct sales_sum by_time[] = {
        { .product_id = 9, .units = INT64_MAX, .reached_ms = 9 },
        { .product_id = 9, .units = 5, .reached_ms = 1 },
        { .product_id = 3, .units = 5, .reached_ms = 2, .revenue = 1 },
        { .product_id = 4, .units = 5, .reached_ms = 2, .revenue = 2 },
        { .product_id = 1, .units = 1, .reached_ms = 0, .revenue = 99 },
        { .product_id = 1, .units = INT64_MIN },
    };
    static const struct sales_sum by_revenue[] = {
        { .product_id = 9, .units = 6, .revenue = 1, .reached_ms = 9 },
        { .product_id = 9, .units = 5, .revenue = 7, .reached_ms = 9 },
        { .product_id = 3, .units = 5, .revenue = 6, .reached_ms = 8 },
        { .product_id = 4, .units = 5, .revenue = 6, .reached_ms = 7 },
    };

    (void)state;
    for (enum sales_window window = 0; window < SALES_WINDOW_N; window++) {
        const struct sales_sum *rows = window == SALES_3DAYS ? by_revenue : by_time;
        size_t count = window == SALES_3DAYS ? ARRAY_COUNT(by_revenue) : ARRAY_COUNT(by_time);
        for (size_t i = 0; i < count; i++)
            for (size_t j = 0; j < count; j++) {
                int sign = sales_compare(window, &rows[i], &rows[j]);
                assert_int_equal((sign > 0) - (sign < 0), (i > j) - (i < j));
            }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calendar),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
