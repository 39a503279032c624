// SPDX-License-Identifier: Apache-2.0
/* For tests: what a board is, by summing up and sorting everything for every question. */
#pragma once
#include <stdlib.h>

#include "base/attr.h"
#include "ranking/ranking.h"

struct ranking_model {
    int64_t first_day;
    size_t days, products;          /* products have the ids 1..products */
    const struct ranking_sum *rows; /* days x products */
    const struct str *categories;   /* of each product */
};

static inline int ranking_model_compare(const void *a, const void *b, void *window)
{
    return sales_compare(*(enum sales_window *)window, a, b);
}

static inline struct sales_sum ranking_model_sum(const struct ranking_model *model, size_t product,
                                                 struct sales_days days)
{
    struct sales_sum sum = { .product_id = (int64_t)product + 1 };

    for (size_t i = 0; i < model->days; i++) {
        int64_t day = model->first_day + (int64_t)i;
        const struct sales_sum *one = &model->rows[i * model->products + product].sum;
        if (day < days.from || day > days.to)
            continue;
        sum.units += one->units;
        sum.revenue += one->revenue;
        sum.reached_ms = MAX(sum.reached_ms, one->reached_ms);
    }
    return sum;
}

/* The whole board, best first, into `out`, where there is room for all products. */
static inline size_t ranking_model_board(const struct ranking_model *model,
                                         enum sales_window window, int64_t day, struct str category,
                                         struct sales_sum *out)
{
    struct sales_days days = sales_window_days(window, day);
    size_t count = 0;

    for (size_t product = 0; product < model->products; product++) {
        struct sales_sum sum = ranking_model_sum(model, product, days);
        if (sum.units > 0 && (!category.ptr || str_equal(model->categories[product], category)))
            out[count++] = sum;
    }
    qsort_r(out, count, sizeof *out, ranking_model_compare, &window);
    return count;
}
