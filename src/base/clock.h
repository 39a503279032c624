// SPDX-License-Identifier: Apache-2.0
/*
 * Three clocks. *mono* measures durations and deadlines; *boot* also runs while the machine sleeps
 * (leases); *wall* is what users and windows see. In profile `test` the wall clock carries an
 * offset that tests may set; the other two never do.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

uint64_t clock_mono_ns(void);
uint64_t clock_boot_ms(void);
int64_t clock_wall_ms(void); /* Unix time in ms, plus the test offset */
void clock_set_offset_ms(int64_t offset_ms);
int64_t clock_offset_ms(void);

/*
 * Choose the process's time zone by its tz database name ("Asia/Seoul"). Once, before threads
 * start. ERR_NOT_FOUND: the tz database does not have it.
 */
enum err clock_set_zone(const char *name) MUST_CHECK;
/* Seconds east of UTC that hold at `wall_ms` in the zone. */
int32_t clock_zone_offset_s(int64_t wall_ms);
/* The zone's calendar day, as days since 1970-01-01. */
int64_t clock_day(int64_t wall_ms);

enum { CLOCK_RFC3339_BYTES = 32, CLOCK_DATE_BYTES = 12 };
/* "2026-03-06T12:00:00.123+09:00" into `out`; returns its length. Years 0000..9999. */
size_t clock_format_rfc3339(int64_t wall_ms, char out[CLOCK_RFC3339_BYTES]);
/* The zone's calendar day as "2026-03-06"; returns its length. */
size_t clock_format_date(int64_t wall_ms, char out[CLOCK_DATE_BYTES]);
/* RFC 3339 date-time with any offset, to ms (further digits are cut). ERR_INVALID otherwise. */
enum err clock_parse_rfc3339(struct str text, int64_t *ret_wall_ms) MUST_CHECK;

/* Days since 1970-01-01 of a proleptic Gregorian date, and back (Hinnant, "chrono-Compatible
 * Low-Level Date Algorithms"). month 1..12, day 1..31. */
int64_t clock_days_from_civil(int64_t year, unsigned month, unsigned day);
void clock_civil_from_days(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day);
