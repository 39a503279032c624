// SPDX-License-Identifier: Apache-2.0
#include "json/json_schema.h"

#include "base/assert.h"
#include "json/json_row.h"

void json_schema_add(struct json_schema_set *set, const struct json_type *type)
{
    size_t at = 0;

    while (at < set->count && strcmp(set->types[at]->name, type->name) < 0)
        at++;
    if (at < set->count && strcmp(set->types[at]->name, type->name) == 0) {
        ASSERT(set->types[at] == type); /* two types of one name */
        return;
    }
    ASSERT(set->count < JSON_SCHEMA_TYPES_MAX);
    memmove(&set->types[at + 1], &set->types[at], (set->count - at) * sizeof set->types[0]);
    set->types[at] = type;
    set->count++;
    for (size_t i = 0; i < type->row_count; i++)
        if (type->rows[i].type)
            json_schema_add(set, type->rows[i].type);
}

void json_schema_ref(struct buf *buf, const struct json_type *type)
{
    buf_printf(buf, "{\"$ref\":\"#/components/schemas/%s\"}", type->name);
}

static void append_text(struct buf *buf, const char *key, const char *text)
{
    buf_printf(buf, ",\"%s\":", key);
    buf_json_string(buf, str_from(text));
}

static void append_bounds(struct buf *buf, const char *what, const char *min_key,
                          const char *max_key, const struct json_row *row, int64_t no_min)
{
    int64_t min = row->min_is_told ? row->told_min : row->min;

    buf_str_append(buf, str_from(what));
    if (min != no_min)
        buf_printf(buf, ",\"%s\":%lld", min_key, (long long)min);
    if (row->max != INT64_MAX)
        buf_printf(buf, ",\"%s\":%lld", max_key, (long long)row->max);
}

static void append_names(struct buf *buf, const struct json_row *row, bool nullable)
{
    buf_literal(buf, ",\"enum\":[");
    for (const struct json_name *n = row->names; n->name; n++) {
        if (n != row->names)
            buf_char(buf, ',');
        buf_json_string(buf, str_from(n->name));
    }
    buf_str_append(buf, nullable ? STR(",null]") : STR("]"));
}

/* The words after "type". */
static void append_kind(struct buf *buf, const struct json_row *row, bool nullable)
{
    switch ((enum json_kind)row->kind) {
    case JSON_KIND_INT64:
        append_bounds(buf, ",\"format\":\"int64\"", "minimum", "maximum", row, INT64_MIN);
        break;
    case JSON_KIND_STR:
        append_bounds(buf, "", "minLength", "maxLength", row, 0);
        break;
    case JSON_KIND_TIME:
        buf_literal(buf, ",\"format\":\"date-time\"");
        break;
    case JSON_KIND_DATE:
        buf_literal(buf, ",\"format\":\"date\"");
        break;
    case JSON_KIND_ENUM:
        append_names(buf, row, nullable);
        break;
    case JSON_KIND_ARRAY:
        append_bounds(buf, "", "minItems", "maxItems", row, 0);
        buf_literal(buf, ",\"items\":");
        json_schema_ref(buf, row->type);
        break;
    case JSON_KIND_STRS:
        append_bounds(buf, ",\"items\":{\"type\":\"string\"}", "minItems", "maxItems", row, 0);
        break;
    case JSON_KIND_BOOL:
    case JSON_KIND_OBJECT:
    case JSON_KIND_LITERAL:
        break;
    }
}

/* Of a string the text, of anything else JSON. */
static void append_value(struct buf *buf, const struct json_row *row)
{
    switch ((enum json_kind)row->kind) {
    case JSON_KIND_STR:
    case JSON_KIND_TIME:
    case JSON_KIND_DATE:
    case JSON_KIND_ENUM:
        if (strcmp(row->example, "null") == 0)
            buf_literal(buf, "null");
        else
            buf_json_string(buf, str_from(row->example));
        break;
    default:
        buf_str_append(buf, str_from(row->example));
    }
}

static void append_example(struct buf *buf, const struct json_row *row)
{
    if (!row->example)
        return;
    buf_literal(buf, ",\"examples\":[");
    append_value(buf, row);
    buf_char(buf, ']');
}

static void append_row(struct buf *buf, const struct json_row *row, bool nullable)
{
    static const char *const type_names[] = {
        [JSON_KIND_INT64] = "integer", [JSON_KIND_BOOL] = "boolean", [JSON_KIND_STR] = "string",
        [JSON_KIND_TIME] = "string",   [JSON_KIND_DATE] = "string",  [JSON_KIND_ENUM] = "string",
        [JSON_KIND_ARRAY] = "array",   [JSON_KIND_STRS] = "array",
    };

    buf_char(buf, '{');
    if (row->kind == JSON_KIND_OBJECT) {
        buf_str_append(buf, nullable ? STR("\"anyOf\":[") : STR("\"allOf\":["));
        json_schema_ref(buf, row->type);
        buf_str_append(buf, nullable ? STR(",{\"type\":\"null\"}]") : STR("]"));
    } else if (row->kind == JSON_KIND_LITERAL) {
        buf_literal(buf, "\"$comment\":\"any JSON\"");
    } else {
        buf_printf(buf, nullable ? "\"type\":[\"%s\",\"null\"]" : "\"type\":\"%s\"",
                   type_names[row->kind]);
    }
    append_kind(buf, row, nullable);
    if (row->about)
        append_text(buf, "description", row->about);
    append_example(buf, row);
    buf_char(buf, '}');
}

void json_schema_row(struct buf *buf, const struct json_row *row)
{
    append_row(buf, row, false);
}

/* What is written is always there, as null if need be; only JSON_OMITTED rows may lack. */
static bool row_required(const struct json_type *type, const struct json_row *row)
{
    return type->is_body ? row->flags & JSON_FLAG_REQUIRED : !(row->flags & JSON_FLAG_OMIT);
}

static bool row_nullable(const struct json_type *type, const struct json_row *row)
{
    return row->flags & (type->is_body ? JSON_FLAG_NULLABLE : JSON_FLAG_OPTIONAL);
}

static void append_type(struct buf *buf, const struct json_type *type)
{
    size_t count = 0;

    buf_literal(buf, "{\"type\":\"object\"");
    if (type->about)
        append_text(buf, "description", type->about);
    buf_literal(buf, ",\"properties\":{");
    for (size_t i = 0; i < type->row_count; i++) {
        const struct json_row *row = &type->rows[i];
        size_t skip_comma = i == 0;
        buf_bytes(buf, row->prefix + skip_comma, row->name_len + 4 - skip_comma);
        append_row(buf, row, row_nullable(type, row));
    }
    buf_char(buf, '}');
    for (size_t i = 0; i < type->row_count; i++)
        if (row_required(type, &type->rows[i])) {
            buf_str_append(buf, count++ == 0 ? STR(",\"required\":[") : STR(","));
            buf_json_string(buf, json_row_name(&type->rows[i]));
        }
    buf_str_append(buf, count > 0 ? STR("]}") : STR("}"));
}

void json_schema_render(struct buf *buf, const struct json_schema_set *set)
{
    buf_char(buf, '{');
    for (size_t i = 0; i < set->count; i++) {
        if (i > 0)
            buf_char(buf, ',');
        buf_json_string(buf, str_from(set->types[i]->name));
        buf_char(buf, ':');
        append_type(buf, set->types[i]);
    }
    buf_char(buf, '}');
}

/* A body's optional member without an example is left out, an answer's is null. */
static bool has_example(const struct json_type *type, const struct json_row *row)
{
    if (row->flags & JSON_FLAG_OMIT)
        return false;
    return !type->is_body || row->example || row->type || row->flags & JSON_FLAG_REQUIRED;
}

static void append_row_example(struct buf *buf, const struct json_row *row)
{
    switch ((enum json_kind)row->kind) {
    case JSON_KIND_OBJECT:
        json_schema_example(buf, row->type);
        return;
    case JSON_KIND_ARRAY:
        buf_char(buf, '[');
        json_schema_example(buf, row->type);
        buf_char(buf, ']');
        return;
    default:
        if (row->example)
            append_value(buf, row);
        else
            buf_literal(buf, "null");
    }
}

void json_schema_example(struct buf *buf, const struct json_type *type)
{
    bool first = true;

    if (type->example) {
        buf_str_append(buf, str_from(type->example));
        return;
    }
    buf_char(buf, '{');
    for (size_t i = 0; i < type->row_count; i++) {
        const struct json_row *row = &type->rows[i];
        if (!has_example(type, row))
            continue;
        buf_bytes(buf, row->prefix + first, row->name_len + 4u - first);
        append_row_example(buf, row);
        first = false;
    }
    buf_char(buf, '}');
}
