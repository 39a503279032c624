// SPDX-License-Identifier: Apache-2.0
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

void buf_fini(struct buf *buf)
{
    mem_free(buf->ptr);
    *buf = (struct buf){ 0 };
}

void buf_reset(struct buf *buf)
{
    buf->len = 0;
    buf->failed = false;
}

void buf_grow(struct buf *buf, size_t n)
{
    size_t need, cap = MAX(buf->cap, (size_t)64);

    if (buf->failed || __builtin_add_overflow(buf->len, n, &need) || need > SIZE_MAX / 2) {
        buf->failed = true;
        return;
    }
    while (cap < need)
        cap *= 2;
    char *moved = mem_resize(buf->ptr, cap);
    if (!moved) {
        buf->failed = true;
        return;
    }
    buf->ptr = moved;
    buf->cap = cap;
}

static const char digit_pairs[] = "00010203040506070809101112131415161718192021222324"
                                  "25262728293031323334353637383940414243444546474849"
                                  "50515253545556575859606162636465666768697071727374"
                                  "75767778798081828384858687888990919293949596979899";

void buf_uint(struct buf *buf, uint64_t value)
{
    char text[20], *p = text + sizeof text;

    while (value >= 100) {
        p -= 2;
        memcpy(p, digit_pairs + value % 100 * 2, 2);
        value /= 100;
    }
    if (value >= 10) {
        p -= 2;
        memcpy(p, digit_pairs + value * 2, 2);
    } else {
        *--p = (char)('0' + value);
    }
    buf_bytes(buf, p, (size_t)(text + sizeof text - p));
}

void buf_int(struct buf *buf, int64_t value)
{
    if (value < 0)
        buf_char(buf, '-');
    buf_uint(buf, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0 || !buf_reserve(buf, (size_t)n + 1)) {
        buf->failed = true;
        return;
    }
    va_start(args, format);
    vsnprintf(buf->ptr + buf->len, (size_t)n + 1, format, args);
    va_end(args);
    buf->len += (size_t)n;
}

static void json_escaped(struct buf *buf, unsigned char c)
{
    static const char short_forms[] = "\"\"\\\\\bb\ff\nn\rr\tt";

    for (const char *p = short_forms; *p; p += 2)
        if ((unsigned char)p[0] == c) {
            buf_char(buf, '\\');
            buf_char(buf, p[1]);
            return;
        }
    buf_printf(buf, "\\u%04x", c);
}

static bool json_plain(unsigned char c)
{
    return c >= 0x20 && c != '"' && c != '\\' && c != 0x7F;
}

void buf_json_string(struct buf *buf, struct str text)
{
    bool valid = str_is_utf8(text);
    size_t i = 0;

    buf_char(buf, '"');
    while (i < text.len) {
        size_t start = i;
        while (i < text.len && json_plain((unsigned char)text.ptr[i]) &&
               (valid || (unsigned char)text.ptr[i] < 0x80))
            i++;
        buf_bytes(buf, text.ptr + start, i - start);
        if (i == text.len)
            break;
        unsigned char c = (unsigned char)text.ptr[i++];
        if (c >= 0x80)
            buf_literal(buf, "\xEF\xBF\xBD");
        else
            json_escaped(buf, c);
    }
    buf_char(buf, '"');
}
