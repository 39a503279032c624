// SPDX-License-Identifier: Apache-2.0
/* Query parameters, bound by the same rows as JSON: unknown ones are ignored, one given twice, of
 * the wrong type or out of range is an error that names it. */
#include <stdio.h>

#include "api/api_route.h"
#include "json/json_row.h"

static enum err invalid(struct json_error *error, struct str member, const char *detail)
{
    snprintf(error->member, sizeof error->member, "%.*s", (int)MIN(member.len, (size_t)60),
             member.ptr);
    snprintf(error->detail, sizeof error->detail, "%s", detail);
    return ERR_INVALID;
}

static const struct json_row *find_row(const struct json_type *type, struct str name)
{
    for (size_t i = 0; i < type->row_count; i++)
        if (str_equal(json_row_name(&type->rows[i]), name))
            return &type->rows[i];
    return NULL;
}

static enum err store_enum(const struct json_row *row, struct str text, void *member,
                           struct json_error *error)
{
    for (const struct json_name *name = row->names; name->name; name++)
        if (str_equal(str_from(name->name), text)) {
            memcpy(member, &name->value, sizeof name->value);
            return ERR_OK;
        }
    return invalid(error, json_row_name(row), "is not one of the values this parameter has");
}

static enum err store(const struct json_row *row, struct str text, void *member,
                      struct json_error *error)
{
    int64_t value;

    switch ((enum json_kind)row->kind) {
    case JSON_KIND_INT64:
        if (!str_parse_int64(text, &value))
            return invalid(error, json_row_name(row), "must be an integer");
        if (value < row->min || value > row->max)
            return invalid(error, json_row_name(row), "is out of range");
        memcpy(member, &value, sizeof value);
        return ERR_OK;
    case JSON_KIND_STR:
        if (!str_is_utf8(text) || (int64_t)str_length(text) < row->min ||
            (int64_t)str_length(text) > row->max)
            return invalid(error, json_row_name(row), "is too short, too long, or not UTF-8");
        memcpy(member, &text, sizeof text);
        return ERR_OK;
    case JSON_KIND_ENUM:
        return store_enum(row, text, member, error);
    case JSON_KIND_DATE:
        if (!json_date_parse(text, &value) || value < row->min || value > row->max)
            return invalid(error, json_row_name(row), "must be a date: yyyy-MM-dd");
        memcpy(member, &value, sizeof value);
        return ERR_OK;
    case JSON_KIND_BOOL:
    case JSON_KIND_TIME:
    case JSON_KIND_OBJECT:
    case JSON_KIND_ARRAY:
    case JSON_KIND_STRS:
    case JSON_KIND_LITERAL:
        break;
    }
    return invalid(error, json_row_name(row), "cannot be given here");
}

static enum json_presence *presence_of(const struct json_row *row, void *out)
{
    return (enum json_presence *)(void *)((char *)out + row->presence_offset);
}

/* A query is written as forms are: "+" is a space, "%2B" a plus. */
static enum err form_decode(struct arena *arena, struct str raw, struct str *ret_text)
{
    if (raw.len > 0 && memchr(raw.ptr, '+', raw.len)) {
        char *spaced = arena_alloc(arena, raw.len);
        if (!spaced)
            return ERR_NOMEM;
        memcpy(spaced, raw.ptr, raw.len);
        for (size_t i = 0; i < raw.len; i++)
            if (spaced[i] == '+')
                spaced[i] = ' ';
        raw.ptr = spaced;
    }
    return http_percent_decode(arena, raw, ret_text);
}

/* One "name=value". */
static enum err take_pair(struct str pair, const struct json_type *type, struct arena *arena,
                          void *out, uint64_t *seen, struct json_error *error)
{
    const char *equals = memchr(pair.ptr, '=', pair.len);
    size_t name_len = equals ? (size_t)(equals - pair.ptr) : pair.len;
    struct str name, value = STR(""),
                     raw = equals ? (struct str){ equals + 1, pair.len - name_len - 1 } : STR("");

    enum err e = form_decode(arena, (struct str){ pair.ptr, name_len }, &name);
    if (e == ERR_OK)
        e = form_decode(arena, raw, &value);
    if (e != ERR_OK)
        return e == ERR_NOMEM ? e : invalid(error, STR("query"), "has a broken % escape");
    const struct json_row *row = find_row(type, name);
    if (!row)
        return ERR_OK;
    uint64_t bit = UINT64_C(1) << (row - type->rows);
    if (*seen & bit)
        return invalid(error, name, "is given twice");
    *seen |= bit;
    if (row->flags & JSON_FLAG_OPTIONAL)
        *presence_of(row, out) = JSON_GIVEN;
    return store(row, value, (char *)out + row->offset, error);
}

enum err api_query_parse(struct str query, const struct json_type *type, struct arena *arena,
                         void *out, struct json_error *ret_error)
{
    uint64_t seen = 0;

    memset(out, 0, type->size);
    while (query.len > 0) {
        const char *amp = memchr(query.ptr, '&', query.len);
        size_t len = amp ? (size_t)(amp - query.ptr) : query.len;
        if (len > 0)
            TRY(take_pair((struct str){ query.ptr, len }, type, arena, out, &seen, ret_error));
        query.ptr += len + (amp != NULL);
        query.len -= len + (amp != NULL);
    }
    for (size_t i = 0; i < type->row_count; i++)
        if ((type->rows[i].flags & JSON_FLAG_REQUIRED) && !(seen >> i & 1))
            return invalid(ret_error, json_row_name(&type->rows[i]), "is missing");
    return ERR_OK;
}
