// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

enum { PENDING_BYTES_MAX = 64 * 1024 };

static const char *const level_names[] = { "debug", "info", "warn", "error" };
static _Atomic int current_level = LOG_INFO;
static enum log_format current_format;
static _Thread_local struct buf pending;

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&current_level, (int)level, memory_order_relaxed);
}

enum log_level log_get_level(void)
{
    return (enum log_level)atomic_load_explicit(&current_level, memory_order_relaxed);
}

void log_set_format(enum log_format format)
{
    current_format = format;
}

enum err log_level_parse(struct str name, enum log_level *ret_level)
{
    for (size_t i = 0; i < ARRAY_COUNT(level_names); i++)
        if (str_equal(name, str_from(level_names[i]))) {
            *ret_level = (enum log_level)i;
            return ERR_OK;
        }
    return ERR_INVALID;
}

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

static void append_json(struct buf *out, const char *time, enum log_level level, const char *event,
                        const struct log_field *fields, size_t field_count)
{
    buf_literal(out, "{\"time\":\"");
    buf_str_append(out, str_from(time));
    buf_literal(out, "\",\"level\":\"");
    buf_str_append(out, str_from(level_names[level]));
    buf_literal(out, "\",\"event\":");
    buf_json_string(out, str_from(event));
    for (size_t i = 0; i < field_count; i++) {
        buf_literal(out, ",\"");
        buf_str_append(out, str_from(fields[i].name));
        buf_literal(out, "\":");
        if (fields[i].kind == LOG_FIELD_INT)
            buf_int(out, fields[i].integer);
        else
            buf_json_string(out, fields[i].text);
    }
    buf_literal(out, "}\n");
}

static void append_text(struct buf *out, const char *time, enum log_level level, const char *event,
                        const struct log_field *fields, size_t field_count)
{
    buf_printf(out, "%s %-5s %s", time, level_names[level], event);
    for (size_t i = 0; i < field_count; i++) {
        buf_printf(out, " %s=", fields[i].name);
        if (fields[i].kind == LOG_FIELD_INT)
            buf_int(out, fields[i].integer);
        else
            buf_json_string(out, fields[i].text);
    }
    buf_char(out, '\n');
}

static pthread_key_t thread_key;
static pthread_once_t thread_once = PTHREAD_ONCE_INIT;

static void thread_ends(void *marked)
{
    (void)marked;
    log_flush();
    buf_fini(&pending);
}

static void thread_key_make(void)
{
    pthread_key_create(&thread_key, thread_ends);
}

/* What a thread has collected goes out, and its buffer goes, when the thread ends. */
static void thread_mark(void)
{
    pthread_once(&thread_once, thread_key_make);
    pthread_setspecific(thread_key, &pending);
}

void log_write(enum log_level level, const char *event, const struct log_field *fields,
               size_t field_count)
{
    char time[CLOCK_RFC3339_BYTES];

    if (!pending.ptr)
        thread_mark();
    clock_format_rfc3339(clock_wall_ms(), time);
    if (current_format == LOG_JSON)
        append_json(&pending, time, level, event, fields, field_count);
    else
        append_text(&pending, time, level, event, fields, field_count);
    if (level >= LOG_WARN || pending.len >= PENDING_BYTES_MAX || pending.failed)
        log_flush();
}

void log_flush(void)
{
    size_t done = 0;

    while (done < pending.len) {
        ssize_t n = write(STDERR_FILENO, pending.ptr + done, pending.len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break; /* a log that cannot be written must not stop the server */
        done += (size_t)n;
    }
    buf_reset(&pending);
}
