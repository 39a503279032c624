// SPDX-License-Identifier: Apache-2.0
/*
 * Cells are linear within a power of two and double from one to the next, as in Gil Tene's
 * HdrHistogram: below 32 each number has its own.
 */
#include "server/histogram.h"

#include <inttypes.h>

enum { LABEL_COLUMNS = 24, COUNT_COLUMNS = 12, BAR_MIN = 10 };

static size_t cell_of(uint64_t ns)
{
    if (ns < HISTOGRAM_STEPS)
        return (size_t)ns;
    unsigned power = 63u - (unsigned)__builtin_clzll(ns); /* >= 5 */
    return MIN((size_t)(power - 4) * HISTOGRAM_STEPS +
                   (size_t)((ns >> (power - 5)) - HISTOGRAM_STEPS),
               (size_t)HISTOGRAM_CELLS - 1);
}

/* The least duration of a cell. */
static uint64_t cell_from(size_t cell)
{
    if (cell < HISTOGRAM_STEPS)
        return cell;
    size_t power = cell / HISTOGRAM_STEPS + 4;
    return (uint64_t)(cell % HISTOGRAM_STEPS + HISTOGRAM_STEPS) << (power - 5);
}

void histogram_add(struct histogram *histogram, uint64_t ns)
{
    histogram->cell[cell_of(ns)]++;
    histogram->count++;
    histogram->max_ns = MAX(histogram->max_ns, ns);
}

uint64_t histogram_at(const struct histogram *histogram, double share)
{
    double wanted = share * (double)histogram->count;
    uint64_t seen = 0;

    if (histogram->count == 0)
        return 0;
    for (size_t i = 0; i < HISTOGRAM_CELLS; i++) {
        seen += histogram->cell[i];
        if (seen > 0 && (double)seen >= wanted)
            return i + 1 < HISTOGRAM_CELLS ? MIN(cell_from(i + 1) - 1, histogram->max_ns)
                                           : histogram->max_ns;
    }
    return histogram->max_ns;
}

void histogram_print_ns(struct buf *out, uint64_t ns)
{
    static const struct {
        uint64_t ns;
        const char *name;
    } units[] = { { 1000000000, "s" }, { 1000000, "ms" }, { 1000, "µs" }, { 1, "ns" } };
    size_t i = 0;

    while (i + 1 < ARRAY_COUNT(units) && ns < units[i].ns)
        i++;
    double value = (double)ns / (double)units[i].ns;
    buf_printf(out, "%.*f %s", value < 9.995 ? 2 : value < 99.95 ? 1 : 0, value, units[i].name);
}

/* ---- the picture ---- */

static void print_bound(struct buf *out, uint64_t ns)
{
    if (ns >= 1000000000)
        buf_printf(out, "%5" PRIu64 " s ", ns / 1000000000);
    else if (ns >= 1000000)
        buf_printf(out, "%5" PRIu64 " ms", ns / 1000000);
    else if (ns >= 1000)
        buf_printf(out, "%5" PRIu64 " µs", ns / 1000);
    else
        buf_printf(out, "%5" PRIu64 " ns", ns);
}

/* 1, 2, 5, 10, 20, … */
static uint64_t bound_after(uint64_t bound)
{
    uint64_t digit = bound;

    while (digit >= 10)
        digit /= 10;
    return digit == 2 ? bound / 2 * 5 : bound * 2;
}

static uint64_t count_between(const struct histogram *histogram, uint64_t from_ns, uint64_t to_ns)
{
    uint64_t count = 0;

    for (size_t i = 0; i < HISTOGRAM_CELLS; i++)
        if (cell_from(i) >= from_ns && cell_from(i) < to_ns)
            count += histogram->cell[i];
    return count;
}

/* A bar of eighths of a column; what is there at all shows. */
static void draw_bar(struct buf *out, uint64_t count, uint64_t most, unsigned columns)
{
    static const char *const eighths[] = { "", "▏", "▎", "▍", "▌", "▋", "▊", "▉" };
    uint64_t length = (count * columns * 8 + most / 2) / most;

    if (count > 0 && length == 0)
        length = 1;
    for (uint64_t i = 0; i < length / 8; i++)
        buf_literal(out, "█");
    buf_str_append(out, str_from(eighths[length % 8]));
}

void histogram_draw(const struct histogram *histogram, unsigned columns, struct buf *out)
{
    unsigned bar = columns > LABEL_COLUMNS + COUNT_COLUMNS + BAR_MIN
                       ? columns - LABEL_COLUMNS - COUNT_COLUMNS
                       : BAR_MIN;
    uint64_t first = 1, most = 1;

    if (histogram->count == 0)
        return;
    while (count_between(histogram, 0, bound_after(first)) == 0)
        first = bound_after(first);
    for (uint64_t at = first; at <= histogram->max_ns; at = bound_after(at))
        most = MAX(most, count_between(histogram, at, bound_after(at)));
    for (uint64_t at = first; at <= histogram->max_ns; at = bound_after(at)) {
        uint64_t count = count_between(histogram, at == first ? 0 : at, bound_after(at));
        buf_literal(out, "  ");
        print_bound(out, at);
        buf_literal(out, " .. ");
        print_bound(out, bound_after(at));
        buf_literal(out, "  ");
        draw_bar(out, count, most, bar);
        buf_printf(out, " %" PRIu64 "\n", count);
    }
}
