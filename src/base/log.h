// SPDX-License-Identifier: Apache-2.0
/*
 * Structured logs to stderr, one object a line. Lines below LOG_WARN are collected per thread and
 * written together by log_flush(), which every loop calls once a turn; others go out at once.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_JSON, LOG_TEXT };

struct log_field {
    const char *name;
    enum { LOG_FIELD_INT, LOG_FIELD_STR } kind;
    int64_t integer;
    struct str text;
};

#define LOG_INT(name_, value) \
    ((struct log_field){ .name = (name_), .kind = LOG_FIELD_INT, .integer = (int64_t)(value) })
#define LOG_STR(name_, value) \
    ((struct log_field){ .name = (name_), .kind = LOG_FIELD_STR, .text = (value) })
#define LOG_CSTR(name_, value) LOG_STR(name_, str_from(value))

void log_set_level(enum log_level level); /* any thread, any time */
enum log_level log_get_level(void);
void log_set_format(enum log_format format); /* before threads start */
/* "debug", "info", "warn", "error". */
enum err log_level_parse(struct str name, enum log_level *ret_level) MUST_CHECK;
const char *log_level_name(enum log_level level);

void log_write(enum log_level level, const char *event, const struct log_field *fields,
               size_t field_count);
void log_flush(void); /* this thread's lines */

/* event: what happened, in words: "coupon issued". Fields follow: LOG_INT(...), LOG_CSTR(...). */
#define LOG(level, event, ...)                                                  \
    do {                                                                        \
        if ((level) >= log_get_level()) {                                       \
            const struct log_field log_fields_[] = { __VA_ARGS__ };             \
            log_write((level), (event), log_fields_, ARRAY_COUNT(log_fields_)); \
        }                                                                       \
    } while (0)
