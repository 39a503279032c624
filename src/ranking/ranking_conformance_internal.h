// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ranking/ranking_conformance.h"

#define assert_ok(expr) assert_int_equal((expr), ERR_OK)
#define CONFORMANCE_TEST(name) \
    cmocka_unit_test_setup_teardown(name, conformance_setup, conformance_teardown)

/* 2024-02-28, a Wednesday in a leap year; the month ends the day after, the week on day 4. */
enum { DAY = 19781, FROM_DAY = DAY - 130 };
#define ANY STR_NONE

extern struct conformance_world {
    const struct ranking_host *host;
    struct ranking *ranking;
    struct ranking_client *client;
    struct arena arena;
} world;

/* A ranking that has been copied, from FROM_DAY on, and is empty. */
int conformance_setup(void **state);
int conformance_teardown(void **state);

void conf_copy(int64_t from_day); /* of nothing */
struct ranking_sum conf_sum(int64_t day, int64_t product_id, int64_t version, int64_t units);
void conf_put(const struct ranking_sum *sum);
/* conf_sum(), put. */
void conf_sell(int64_t day, int64_t product_id, int64_t version, int64_t units);

struct ranking_read conf_page_of(enum sales_window window, int64_t day, struct str category,
                                 int64_t offset, int64_t limit);
struct ranking_read conf_product_of(enum sales_window window, int64_t day, struct str category,
                                    int64_t product_id, int64_t around);
/* Asks, and waits for the answer; `read` is where it was asked from. */
void conf_read(struct ranking_read *read);

/* The first ten of the board: these products, up to a 0. */
struct conf_ids {
    int64_t ids[11];
};
#define IDS(...) (&(struct conf_ids){ { __VA_ARGS__ } })
void conf_expect_top(enum sales_window window, int64_t day, struct str category,
                     const struct conf_ids *ids);
void conf_expect_outcome(enum sales_window window, int64_t day, enum ranking_outcome outcome);

int ranking_conformance_page(void);
int ranking_conformance_copy(void);
int ranking_conformance_model(void);
