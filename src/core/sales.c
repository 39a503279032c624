// SPDX-License-Identifier: Apache-2.0
#include "core/sales.h"

static int64_t floor_mod(int64_t a, int64_t b)
{
    int64_t rest = a % b;

    return rest < 0 ? rest + b : rest;
}

/* 1..31, proleptic Gregorian (Hinnant, "chrono-Compatible Low-Level Date Algorithms"). */
static int64_t day_of_month(int64_t day)
{
    int64_t of_era = floor_mod(day + 719468, 146097);
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100); /* from 1 March */
    int64_t month = (5 * of_year + 2) / 153;

    return of_year - (153 * month + 2) / 5 + 1;
}

static struct sales_days month_of(int64_t day)
{
    int64_t from = day - day_of_month(day) + 1;
    int64_t in_next = from + 31; /* somewhere in the month after */

    return (struct sales_days){ from, in_next - day_of_month(in_next) };
}

static struct sales_days week_of(int64_t day)
{
    int64_t monday = day - floor_mod(day + 3, 7); /* day 0 was a Thursday */

    return (struct sales_days){ monday, monday + 6 };
}

struct sales_days sales_window_days(enum sales_window window, int64_t day)
{
    switch (window) {
    case SALES_WEEKLY:
        return week_of(day);
    case SALES_MONTHLY:
        return month_of(day);
    case SALES_ROLLING:
        return (struct sales_days){ day - 6, day };
    case SALES_3DAYS:
        return (struct sales_days){ day - 2, day };
    case SALES_DAILY:
    case SALES_WINDOW_N:
        break;
    }
    return (struct sales_days){ day, day };
}

int64_t sales_window_before(enum sales_window window, int64_t day)
{
    switch (window) {
    case SALES_WEEKLY:
    case SALES_MONTHLY:
        return sales_window_days(window, day).from - 1;
    case SALES_DAILY:
    case SALES_ROLLING:
    case SALES_3DAYS:
    case SALES_WINDOW_N:
        break;
    }
    return day - 1;
}

static int order(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

int sales_compare(enum sales_window window, const struct sales_sum *a, const struct sales_sum *b)
{
    if (a->units != b->units)
        return order(b->units, a->units);
    if (window == SALES_3DAYS && a->revenue != b->revenue)
        return order(b->revenue, a->revenue);
    if (window != SALES_3DAYS && a->reached_ms != b->reached_ms)
        return order(a->reached_ms, b->reached_ms);
    return order(a->product_id, b->product_id);
}
