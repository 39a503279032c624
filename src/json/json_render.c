// SPDX-License-Identifier: Apache-2.0
/*
 * Every answer of the server passes here, so a member is two copies: its prefix with the comma,
 * name and colon ready, and its value. The first comma becomes the opening brace afterwards, which
 * saves asking at each member whether it is the first.
 */
#include "base/assert.h"
#include "base/clock.h"
#include "json/json_bind.h"
#include "json/json_row.h"

bool json_date_parse(struct str text, int64_t *ret_days)
{
    static const char shape[] = "dddd-dd-dd";
    int64_t year, back_year;
    unsigned part[3] = { 0, 0, 0 }, month, day;
    size_t which = 0;

    if (text.len != JSON_DATE_BYTES)
        return false;
    for (size_t i = 0; i < JSON_DATE_BYTES; i++) {
        char c = text.ptr[i];
        if (shape[i] == '-' && c == '-')
            which++;
        else if (shape[i] == 'd' && c >= '0' && c <= '9')
            part[which] = part[which] * 10 + (unsigned)(c - '0');
        else
            return false;
    }
    year = part[0];
    if (part[1] < 1 || part[1] > 12 || part[2] < 1 || part[2] > 31)
        return false;
    *ret_days = clock_days_from_civil(year, part[1], part[2]);
    clock_civil_from_days(*ret_days, &back_year, &month, &day);
    return day == part[2] && month == part[1]; /* 31 April comes back as 1 May */
}

void json_date_format(int64_t days, char out[JSON_DATE_BYTES])
{
    int64_t year;
    unsigned month, day;

    clock_civil_from_days(days, &year, &month, &day);
    unsigned y = (unsigned)year;
    const char text[JSON_DATE_BYTES] = {
        (char)('0' + y / 1000 % 10),
        (char)('0' + y / 100 % 10),
        (char)('0' + y / 10 % 10),
        (char)('0' + y % 10),
        '-',
        (char)('0' + month / 10),
        (char)('0' + month % 10),
        '-',
        (char)('0' + day / 10),
        (char)('0' + day % 10),
    };
    memcpy(out, text, sizeof text);
}

/* Most strings need no escape: copy while checking, start over with the careful one if not. */
static void render_str(struct buf *buf, struct str text)
{
    if (!buf_reserve(buf, text.len + 2))
        return;
    char *out = buf->ptr + buf->len;
    *out++ = '"';
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (UNLIKELY(c < 0x20 || c >= 0x7F || c == '"' || c == '\\')) {
            buf_json_string(buf, text);
            return;
        }
        *out++ = (char)c;
    }
    *out++ = '"';
    buf->len += text.len + 2;
}

static void render_time(struct buf *buf, int64_t wall_ms)
{
    char text[CLOCK_RFC3339_BYTES + 2];
    size_t n = clock_format_rfc3339(wall_ms, text + 1);

    text[0] = text[n + 1] = '"';
    buf_bytes(buf, text, n + 2);
}

static void render_date(struct buf *buf, int64_t days)
{
    char text[JSON_DATE_BYTES + 2];

    json_date_format(days, text + 1);
    text[0] = text[JSON_DATE_BYTES + 1] = '"';
    buf_bytes(buf, text, sizeof text);
}

static void render_enum(struct buf *buf, const struct json_name *names, int value)
{
    while (names->name && names->value != value)
        names++;
    ASSERT(names->name); /* a value without a name is a hole in the table */
    buf_char(buf, '"');
    buf_str_append(buf, str_from(names->name));
    buf_char(buf, '"');
}

static void render_array(struct buf *buf, const struct json_row *row, const char *object)
{
    size_t size = row->kind == JSON_KIND_STRS ? sizeof(struct str) : row->type->size;
    const char *elements = *(const char *const *)(const void *)(object + row->offset);
    size_t count = *(const size_t *)(const void *)(object + row->count_offset);

    buf_char(buf, '[');
    for (size_t i = 0; i < count; i++) {
        const void *element = elements + i * size;
        if (i > 0)
            buf_char(buf, ',');
        if (row->kind == JSON_KIND_STRS)
            render_str(buf, *(const struct str *)element);
        else
            json_render(buf, row->type, element);
    }
    buf_char(buf, ']');
}

static void render_value(struct buf *buf, const struct json_row *row, const char *object)
{
    const void *member = object + row->offset;

    switch ((enum json_kind)row->kind) {
    case JSON_KIND_INT64:
        buf_int(buf, *(const int64_t *)member);
        break;
    case JSON_KIND_BOOL:
        buf_str_append(buf, *(const bool *)member ? STR("true") : STR("false"));
        break;
    case JSON_KIND_STR:
        render_str(buf, *(const struct str *)member);
        break;
    case JSON_KIND_TIME:
        render_time(buf, *(const int64_t *)member);
        break;
    case JSON_KIND_DATE:
        render_date(buf, *(const int64_t *)member);
        break;
    case JSON_KIND_ENUM:
        render_enum(buf, row->names, *(const int *)member);
        break;
    case JSON_KIND_OBJECT:
        json_render(buf, row->type, member);
        break;
    case JSON_KIND_ARRAY:
    case JSON_KIND_STRS:
        render_array(buf, row, object);
        break;
    case JSON_KIND_LITERAL:
        buf_str_append(buf, *(const struct str *)member);
        break;
    }
}

void json_render(struct buf *buf, const struct json_type *type, const void *object)
{
    size_t start = buf->len;

    for (const struct json_row *row = type->rows, *end = row + type->row_count; row < end; row++) {
        enum json_presence presence = json_row_presence(row, object);
        if (presence == JSON_ABSENT && (row->flags & JSON_FLAG_OMIT))
            continue;
        buf_bytes(buf, row->prefix, row->name_len + 4u);
        if (LIKELY(presence == JSON_GIVEN))
            render_value(buf, row, object);
        else
            buf_literal(buf, "null");
    }
    if (buf->len == start)
        buf_char(buf, '{');
    else
        buf->ptr[start] = '{';
    buf_char(buf, '}');
}
