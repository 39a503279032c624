// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/attr.h"

/* Borrowed bytes, not NUL-terminated. Valid as long as whatever it points into. */
struct str {
    const char *ptr;
    size_t len;
};

#define STR(literal) ((struct str){ (literal), sizeof(literal) - 1 })
#define STR_NONE ((struct str){ NULL, 0 })

static inline struct str str_from(const char *cstr)
{
    return (struct str){ cstr, cstr ? strlen(cstr) : 0 };
}

static inline bool str_equal(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* ASCII letters of either case are the same. */
bool str_equal_nocase(struct str a, struct str b);
bool str_has_prefix(struct str s, struct str prefix);
/* Well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF). */
bool str_is_utf8(struct str s);
/* Code points of well-formed UTF-8. */
size_t str_length(struct str s);
/* Decimal int64, an optional '-', nothing else, no leading zeros; false for anything else. */
bool str_parse_int64(struct str s, int64_t *ret_value) MUST_CHECK;
/* As much of it as there is room for, with a NUL. */
void str_cstr(struct str s, char *out, size_t out_bytes);
/* Edit distance, for "did you mean"; both at most 64 bytes, longer ones answer a large number. */
unsigned str_distance(struct str a, struct str b);
