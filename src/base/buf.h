// SPDX-License-Identifier: Apache-2.0
/*
 * Growing bytes. Appending never fails at the call: when memory runs out, `failed` is set, the
 * bytes so far stay, and whoever uses the result asks once, with buf_ok().
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct buf {
    char *ptr; /* owned; NULL while empty */
    size_t len, cap;
    bool failed;
};

void buf_fini(struct buf *buf);  /* frees; the buf is empty and usable again */
void buf_reset(struct buf *buf); /* forgets the bytes and the failure, keeps the memory */

void buf_grow(struct buf *buf, size_t n); /* out of line half of buf_reserve() */

/* Room for `n` more bytes at ptr + len. False when there is none (and `failed` is set). */
static inline bool buf_reserve(struct buf *buf, size_t n)
{
    if (UNLIKELY(buf->cap - buf->len < n))
        buf_grow(buf, n);
    return buf->cap - buf->len >= n;
}

void buf_int(struct buf *buf, int64_t value);
void buf_uint(struct buf *buf, uint64_t value);
void buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
/* A JSON string with its quotes. Bytes that are not UTF-8 come out as U+FFFD. */
void buf_json_string(struct buf *buf, struct str text);

static inline bool buf_ok(const struct buf *buf)
{
    return !buf->failed;
}

static inline struct str buf_str(const struct buf *buf)
{
    return (struct str){ buf->ptr, buf->len };
}

static inline void buf_bytes(struct buf *buf, const void *bytes, size_t n)
{
    if (LIKELY(buf_reserve(buf, n)) && n > 0) {
        memcpy(buf->ptr + buf->len, bytes, n);
        buf->len += n;
    }
}

static inline void buf_str_append(struct buf *buf, struct str s)
{
    buf_bytes(buf, s.ptr, s.len);
}

static inline void buf_char(struct buf *buf, char c)
{
    buf_bytes(buf, &c, 1);
}

#define buf_literal(buf, literal) buf_bytes((buf), (literal), sizeof(literal) - 1)
