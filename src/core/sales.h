// SPDX-License-Identifier: Apache-2.0
/*
 * What the ranking counts, free of I/O. A *day* is a number of days since 1970-01-01 in the shop's
 * time zone. A *board* is the order of all products over a range of days.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum sales_window {
    SALES_DAILY,
    SALES_WEEKLY,  /* the ISO week that contains the date */
    SALES_MONTHLY, /* the calendar month that contains the date */
    SALES_ROLLING, /* the 7 days that end on the date */
    SALES_3DAYS,   /* the 3 days that end on the date; ordered by units, then revenue, then id */
    SALES_WINDOW_N,
};

/* Both ends belong to it. */
struct sales_days {
    int64_t from, to;
};

/* The days of the window that contains, or ends on, `day`. */
struct sales_days sales_window_days(enum sales_window window, int64_t day);
/* A day of the window one step earlier (yesterday, last week, last month, the window ending
 * yesterday): what movement is measured against. */
int64_t sales_window_before(enum sales_window window, int64_t day);

/* The sum of one product over some days. */
struct sales_sum {
    int64_t product_id;
    int64_t units;
    int64_t revenue;    /* unit price x quantity, before discounts; won */
    int64_t reached_ms; /* the last change of `units` */
};

/*
 * Who stands before whom: more units; then who reached that number earlier (SALES_3DAYS: more
 * revenue); then the smaller id. Negative: `a` stands before `b`; 0 only for one product.
 */
int sales_compare(enum sales_window window, const struct sales_sum *a, const struct sales_sum *b);
