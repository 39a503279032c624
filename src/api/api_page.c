// SPDX-License-Identifier: Apache-2.0
#include "api/api_page.h"

#include <stdio.h>

enum { LIMIT_DEFAULT = 100 };

static const struct json_row page_query_rows[] = { PAGE_ROWS(page_query, limit, cursor, "c-1") };
const JSON_BODY(page_query, "PageQuery", "A page of a list.");

int64_t api_page_limit(const struct page_query *page)
{
    return page->limit_is == JSON_GIVEN ? page->limit : LIMIT_DEFAULT;
}

struct str api_cursor(int64_t value, char out[API_CURSOR_BYTES])
{
    int n = snprintf(out, API_CURSOR_BYTES, "c-%llx", (unsigned long long)value);

    return (struct str){ out, (size_t)n };
}

bool api_cursor_parse(struct str text, int64_t *ret_value)
{
    uint64_t value = 0;

    if (text.len < 3 || text.len > 18 || !str_has_prefix(text, STR("c-")) || text.ptr[2] == '0')
        return false;
    for (size_t i = 2; i < text.len; i++) {
        char c = text.ptr[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                                                : 16;
        if (digit == 16)
            return false;
        value = value << 4 | digit;
    }
    if (value > INT64_MAX)
        return false;
    *ret_value = (int64_t)value;
    return true;
}

bool api_page_after(struct api_call *call, const struct page_query *page, int64_t *after)
{
    if (page->cursor_is != JSON_GIVEN || api_cursor_parse(page->cursor, after))
        return true;
    api_invalid(call, "cursor", "is not one that a list has given");
    return false;
}
