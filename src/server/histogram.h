// SPDX-License-Identifier: Apache-2.0
/* Durations from 1 ns to hours, each kept to within 1/32, and a picture of them for a terminal. */
#pragma once
#include <stdint.h>

#include "base/buf.h"

enum { HISTOGRAM_STEPS = 32, HISTOGRAM_CELLS = (64 - 5) * HISTOGRAM_STEPS };

struct histogram {
    uint64_t count;
    uint64_t max_ns;
    uint64_t cell[HISTOGRAM_CELLS];
};

void histogram_add(struct histogram *histogram, uint64_t ns);
/* What `share` of all durations do not exceed: 0.5 is the median. 0 while there are none. */
uint64_t histogram_at(const struct histogram *histogram, double share);
/* "1.8 ms": three digits that count and a unit. */
void histogram_print_ns(struct buf *out, uint64_t ns);
/*
 * One line for each of 1, 2, 5, 10, … from the shortest to the longest, with a bar that fills what
 * `columns` leaves for it (at least 10) where most are.
 */
void histogram_draw(const struct histogram *histogram, unsigned columns, struct buf *out);
