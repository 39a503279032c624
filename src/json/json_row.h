// SPDX-License-Identifier: Apache-2.0
/* Rows, for whoever binds values by them: the parser, the renderer, query parameters. */
#pragma once
#include "json/json_bind.h"

static inline struct str json_row_name(const struct json_row *row)
{
    return (struct str){ row->prefix + 2, row->name_len };
}

/* Of a row that may be missing; a required one has a value. */
static inline enum json_presence json_row_presence(const struct json_row *row, const char *object)
{
    if (!(row->flags & JSON_FLAG_OPTIONAL))
        return JSON_GIVEN;
    return *(const enum json_presence *)(const void *)(object + row->presence_offset);
}

/* "yyyy-MM-dd", exactly, a day that exists. */
bool json_date_parse(struct str text, int64_t *ret_days) MUST_CHECK;
enum { JSON_DATE_BYTES = 10 };
void json_date_format(int64_t days, char out[JSON_DATE_BYTES]);
