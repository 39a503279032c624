// SPDX-License-Identifier: Apache-2.0
/*
 * The file: inih splits its lines. What inih would pass over in silence (a line longer than its
 * buffer, an indented line that continues the value before) is caught while lines are handed to it.
 */
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "config/config_internal.h"

enum { FILE_BYTES_MAX = 1 << 20, SECRET_BYTES_MAX = 4096 };

enum err config_file_read(const char *path, size_t bytes_max, struct buf *out,
                          struct config_error *ret_error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : 0;

    while (fd >= 0 && out->len <= bytes_max) {
        if (!buf_reserve(out, 4096))
            break;
        n = read(fd, out->ptr + out->len, 4096);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        out->len += (size_t)n;
    }
    int why = errno;
    if (fd >= 0)
        close(fd);
    if (n < 0)
        return config_refuse(ret_error, "cannot read %.200s: %s", path, strerror(why));
    if (!buf_ok(out))
        return ERR_NOMEM;
    if (out->len > bytes_max)
        return config_refuse(ret_error, "%.200s is larger than %zu bytes", path, bytes_max);
    return ERR_OK;
}

enum err config_read_secret(const char *path, struct buf *out, struct config_error *ret_error)
{
    TRY(config_file_read(path, SECRET_BYTES_MAX, out, ret_error));
    while (out->len > 0 && (out->ptr[out->len - 1] == '\n' || out->ptr[out->len - 1] == '\r'))
        out->len--;
    return ERR_OK;
}

struct reader {
    struct config *config;
    const char *path;
    struct str rest;
    uint32_t line;
    uint32_t seen[CONFIG_OPTION_COUNT]; /* line + 1 of each option in this file */
    struct config_error *error;
    enum err err;
};

PRINTF_LIKE(2, 3) static void fail_line(struct reader *reader, const char *format, ...)
{
    char text[300];
    va_list args;

    if (reader->err != ERR_OK)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    reader->err = config_refuse(reader->error, "%.150s:%u: %s", reader->path, reader->line, text);
}

/* As fgets(): the next line into `out`. NULL ends inih's loop. */
static char *next_line(char *out, int size, void *stream)
{
    struct reader *reader = stream;
    const char *end = memchr(reader->rest.ptr, '\n', reader->rest.len);
    size_t taken = end ? (size_t)(end - reader->rest.ptr) + 1 : reader->rest.len;
    struct str line = { reader->rest.ptr, taken };

    if (taken == 0 || reader->err != ERR_OK)
        return NULL;
    reader->line++;
    reader->rest = (struct str){ reader->rest.ptr + taken, reader->rest.len - taken };
    while (line.len > 0 && (line.ptr[0] == ' ' || line.ptr[0] == '\t'))
        line = (struct str){ line.ptr + 1, line.len - 1 };
    if (line.len >= (size_t)size) {
        fail_line(reader, "a line has at most %d bytes; longer values go into the environment",
                  size - 2);
        return NULL;
    }
    if (memchr(line.ptr, '\0', line.len)) {
        fail_line(reader, "not a text file");
        return NULL;
    }
    memcpy(out, line.ptr, line.len);
    out[line.len] = '\0';
    return out;
}

static int take_value(void *context, const char *section, const char *name, const char *value)
{
    struct reader *reader = context;
    const char *nearest;
    char key[256];
    size_t option;

    if (reader->err != ERR_OK)
        return 0;
    snprintf(key, sizeof key, "%s%s%s", section, section[0] ? "." : "", name);
    if (!config_find_key(key, &option, &nearest)) {
        if (nearest)
            fail_line(reader, "no option \"%s\": did you mean \"%s\"?", key, nearest);
        else
            fail_line(reader, "no option \"%s\"", key);
        return 0;
    }
    if (reader->seen[option]) {
        fail_line(reader, "\"%s\" is already in line %u", key, reader->seen[option]);
        return 0;
    }
    reader->seen[option] = reader->line;
    reader->err =
        config_propose(reader->config, option, CONFIG_FROM_FILE, reader->line, str_from(value));
    return reader->err == ERR_OK;
}

enum err config_file_parse(struct config *config, const char *path, struct str text,
                           struct config_error *ret_error)
{
    struct reader reader = { .config = config, .path = path, .rest = text, .error = ret_error };

    int bad_line = ini_parse_stream(next_line, &reader, take_value, &reader);
    if (reader.err == ERR_OK && bad_line < 0)
        return ERR_NOMEM;
    /* inih goes on behind a line it does not understand: that one may be the cause of a later one
     */
    if (bad_line > 0 && (reader.err == ERR_OK || (uint32_t)bad_line < reader.line)) {
        reader.err = ERR_OK;
        reader.line = (uint32_t)bad_line;
        fail_line(&reader, "must be \"key = value\" or \"[section]\"");
    }
    return reader.err;
}
