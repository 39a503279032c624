// SPDX-License-Identifier: Apache-2.0
/* Pages of lists: what they are asked for with, and how one leads to the next. */
#pragma once
#include "api/api_route.h"
#include "json/json_bind.h"

/* All of a list's query, or the member `page` of it. */
struct page_query {
    int64_t limit;
    struct str cursor;
    enum json_presence limit_is, cursor_is;
};
extern const struct json_type page_query_json;

/* The rows of a query: PAGE_ROWS(order_query, page.limit, page.cursor, "c-1") */
#define PAGE_ROWS(tag, limit, cursor, example)                                               \
    JSON_INT64(tag, limit, "limit", 1, 100, "Items on a page; default 100.", "20",           \
               JSON_OPTIONAL(tag, limit)),                                                   \
        JSON_STR(tag, cursor, "cursor", 1, 100, "`nextCursor` of the page before.", example, \
                 JSON_OPTIONAL(tag, cursor))

int64_t api_page_limit(const struct page_query *page);
/* What the page before ended with; the first page leaves *after as it is. False: that is no cursor
 * of this server, and the caller has been told. */
bool api_page_after(struct api_call *call, const struct page_query *page,
                    int64_t *after) MUST_CHECK;

/* Opaque cursors: a positive int64. */
enum { API_CURSOR_BYTES = 24 };
struct str api_cursor(int64_t value, char out[API_CURSOR_BYTES]);
bool api_cursor_parse(struct str text, int64_t *ret_value) MUST_CHECK;
