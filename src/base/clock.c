// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { MS_PER_S = 1000, MS_PER_DAY = 86400000, MS_PER_QUARTER = 900000 };

static _Atomic int64_t offset_ms;

static uint64_t read_ns(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t clock_mono_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

uint64_t clock_boot_ms(void)
{
    return read_ns(CLOCK_BOOTTIME) / 1000000u;
}

int64_t clock_wall_ms(void)
{
    return (int64_t)(read_ns(CLOCK_REALTIME) / 1000000u) + clock_offset_ms();
}

void clock_set_offset_ms(int64_t new_offset_ms)
{
    atomic_store_explicit(&offset_ms, new_offset_ms, memory_order_relaxed);
}

int64_t clock_offset_ms(void)
{
    return atomic_load_explicit(&offset_ms, memory_order_relaxed);
}

enum err clock_set_zone(const char *name)
{
    char path[256];

    if (name[0] == '\0' || name[0] == '/' || strstr(name, "..") || strlen(name) > 200)
        return ERR_NOT_FOUND;
    snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", name);
    if (access(path, R_OK) != 0 && strcmp(name, "UTC") != 0)
        return ERR_NOT_FOUND;
    if (setenv("TZ", name, 1) != 0)
        return ERR_NOMEM;
    tzset();
    return ERR_OK;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* localtime_r() takes a lock, and offsets change at quarter hours only: ask once per quarter. */
int32_t clock_zone_offset_s(int64_t wall_ms)
{
    static _Thread_local struct {
        int64_t quarter_and_1; /* 0: empty */
        int32_t offset_s;
    } cache[16];
    int64_t quarter = floor_div(wall_ms, MS_PER_QUARTER);
    size_t i = (size_t)quarter % ARRAY_COUNT(cache);

    if (quarter + 1 != cache[i].quarter_and_1) {
        time_t at = (time_t)floor_div(wall_ms, MS_PER_S);
        struct tm local;
        cache[i].offset_s = localtime_r(&at, &local) ? (int32_t)local.tm_gmtoff : 0;
        cache[i].quarter_and_1 = quarter + 1;
    }
    return cache[i].offset_s;
}

int64_t clock_days_from_civil(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int64_t era = floor_div(year, 400);
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (int64_t)(month + (month > 2 ? -3u : 9u)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * 146097 + day_of_era - 719468;
}

void clock_civil_from_days(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day)
{
    days += 719468;
    int64_t era = floor_div(days, 146097);
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned shifted_month = (unsigned)((5 * day_of_year + 2) / 153);

    *ret_day = (unsigned)(day_of_year - (153 * shifted_month + 2) / 5 + 1);
    *ret_month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
    *ret_year = year_of_era + era * 400 + (*ret_month <= 2);
}

static char *put_digits(char *out, unsigned value, int digits)
{
    for (int i = digits - 1; i >= 0; i--, value /= 10)
        out[i] = (char)('0' + value % 10);
    return out + digits;
}

static char *put_date(char *out, int64_t days)
{
    int64_t year;
    unsigned month, day;

    clock_civil_from_days(days, &year, &month, &day);
    out = put_digits(out, (unsigned)year, 4);
    *out++ = '-';
    out = put_digits(out, month, 2);
    *out++ = '-';
    return put_digits(out, day, 2);
}

int64_t clock_day(int64_t wall_ms)
{
    return floor_div(wall_ms + (int64_t)clock_zone_offset_s(wall_ms) * MS_PER_S, MS_PER_DAY);
}

size_t clock_format_date(int64_t wall_ms, char out[CLOCK_DATE_BYTES])
{
    char *end = put_date(out, clock_day(wall_ms));

    *end = '\0';
    return (size_t)(end - out);
}

size_t clock_format_rfc3339(int64_t wall_ms, char out[CLOCK_RFC3339_BYTES])
{
    int32_t offset_s = clock_zone_offset_s(wall_ms);
    int64_t local_ms = wall_ms + (int64_t)offset_s * MS_PER_S;
    int64_t days = floor_div(local_ms, MS_PER_DAY);
    unsigned of_day_ms = (unsigned)(local_ms - days * MS_PER_DAY);
    unsigned offset_min = (unsigned)abs(offset_s) / 60;
    char *p = put_date(out, days);

    *p++ = 'T';
    p = put_digits(p, of_day_ms / 3600000, 2);
    *p++ = ':';
    p = put_digits(p, of_day_ms / 60000 % 60, 2);
    *p++ = ':';
    p = put_digits(p, of_day_ms / 1000 % 60, 2);
    *p++ = '.';
    p = put_digits(p, of_day_ms % 1000, 3);
    *p++ = offset_s < 0 ? '-' : '+';
    p = put_digits(p, offset_min / 60, 2);
    *p++ = ':';
    p = put_digits(p, offset_min % 60, 2);
    *p = '\0';
    return (size_t)(p - out);
}

/* Exactly `digits` digits at *p, moved past; false if there are not so many. */
static bool take_digits(struct str *p, size_t digits, unsigned *ret_value)
{
    unsigned value = 0;

    if (p->len < digits)
        return false;
    for (size_t i = 0; i < digits; i++) {
        if (p->ptr[i] < '0' || p->ptr[i] > '9')
            return false;
        value = value * 10 + (unsigned)(p->ptr[i] - '0');
    }
    p->ptr += digits;
    p->len -= digits;
    *ret_value = value;
    return true;
}

static bool take_char(struct str *p, const char *one_of)
{
    if (p->len == 0 || p->ptr[0] == '\0' || !strchr(one_of, p->ptr[0]))
        return false;
    p->ptr++;
    p->len--;
    return true;
}

static bool take_date(struct str *p, int64_t *ret_days)
{
    static const unsigned char month_days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    unsigned year, month, day;

    if (!take_digits(p, 4, &year) || !take_char(p, "-") || !take_digits(p, 2, &month) ||
        !take_char(p, "-") || !take_digits(p, 2, &day))
        return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (month < 1 || month > 12 || day < 1 || day > month_days[month - 1] ||
        (month == 2 && day == 29 && !leap))
        return false;
    *ret_days = clock_days_from_civil(year, month, day);
    return true;
}

/* "Z" or "+09:00". */
static bool take_offset(struct str *p, int64_t *ret_offset_s)
{
    unsigned hours, minutes;

    *ret_offset_s = 0;
    if (take_char(p, "Zz"))
        return true;
    int sign = p->len > 0 && p->ptr[0] == '-' ? -1 : 1;
    if (!take_char(p, "+-") || !take_digits(p, 2, &hours) || !take_char(p, ":") ||
        !take_digits(p, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *ret_offset_s = sign * (int64_t)(hours * 3600 + minutes * 60);
    return true;
}

enum err clock_parse_rfc3339(struct str text, int64_t *ret_wall_ms)
{
    int64_t days, offset_s, ms = 0;
    unsigned hour, minute, second, digit;

    if (!take_date(&text, &days) || !take_char(&text, "Tt ") || !take_digits(&text, 2, &hour) ||
        !take_char(&text, ":") || !take_digits(&text, 2, &minute) || !take_char(&text, ":") ||
        !take_digits(&text, 2, &second) || hour > 23 || minute > 59 || second > 59)
        return ERR_INVALID;
    if (take_char(&text, ".")) {
        int64_t scale = 100;
        if (!take_digits(&text, 1, &digit))
            return ERR_INVALID;
        do {
            ms += digit * scale;
            scale /= 10;
        } while (take_digits(&text, 1, &digit));
    }
    if (!take_offset(&text, &offset_s) || text.len > 0)
        return ERR_INVALID;
    *ret_wall_ms = days * MS_PER_DAY +
                   ((int64_t)hour * 3600 + minute * 60 + second - offset_s) * MS_PER_S + ms;
    return ERR_OK;
}
