// SPDX-License-Identifier: Apache-2.0
/*
 * jansson makes a tree of the body, the rows pick what they know out of it, the tree goes. Its
 * parser was chosen for what it refuses: duplicates, int64 overflow, bad UTF-8, NUL in strings,
 * bytes after the end.
 */
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "json/json_bind.h"
#include "json/json_row.h"

/* Where we are in the tree, innermost first; only walked when something is wrong. */
struct path {
    const struct path *outer;
    struct str name;
    long index; /* -1: not in an array */
};

struct parse {
    struct arena *arena;
    struct json_error *error;
};

/*
 * jansson's memory during one json_parse(): cut off one after the other, first from the stack, and
 * dropped as a whole. Where there is none left we jump out of jansson, over its frames: it loses
 * bytes of strings or trips over its own assertions when an allocation fails inside its scanner.
 * It holds nothing but memory meanwhile.
 */
enum { POOL_FIRST_BYTES = 2048, POOL_CHUNK_BYTES = 16 * 1024, POOL_ALIGNMENT = 16 };

struct pool_chunk {
    struct pool_chunk *older;
    _Alignas(POOL_ALIGNMENT) char bytes[];
};

struct pool {
    char *next;
    size_t left;
    struct pool_chunk *chunks;
    jmp_buf out_of_memory;
    _Alignas(POOL_ALIGNMENT) char first[POOL_FIRST_BYTES];
};

static _Thread_local struct pool *current_pool;

static void *pool_alloc(struct pool *pool, size_t size)
{
    size = (size + POOL_ALIGNMENT - 1) & ~(size_t)(POOL_ALIGNMENT - 1);
    if (pool->left < size) {
        size_t room = MAX(size, (size_t)POOL_CHUNK_BYTES);
        struct pool_chunk *chunk = mem_alloc(sizeof *chunk + room);
        if (!chunk)
            longjmp(pool->out_of_memory, 1);
        chunk->older = pool->chunks;
        pool->chunks = chunk;
        pool->next = chunk->bytes;
        pool->left = room;
    }
    void *ptr = pool->next;
    pool->next += size;
    pool->left -= size;
    return ptr;
}

static void pool_fini(struct pool *pool)
{
    while (pool->chunks) {
        struct pool_chunk *older = pool->chunks->older;
        mem_free(pool->chunks);
        pool->chunks = older;
    }
}

/* Outside json_parse() jansson works for other libraries, which expect it on the heap. */
static void *jansson_alloc(size_t size)
{
    return current_pool ? pool_alloc(current_pool, size) : malloc(size);
}

static void jansson_free(void *ptr)
{
    if (!current_pool)
        free(ptr);
}

/* Before main(), so that no thread can be inside jansson meanwhile. The seed is drawn here, too:
 * jansson would else do it at the first object, from whichever thread. */
__attribute__((constructor)) static void set_up_jansson(void)
{
    json_set_alloc_funcs(jansson_alloc, jansson_free);
    json_object_seed(0);
}

/* The tree, in the pool. ERR_INVALID: `ret_why`. */
static enum err load(struct pool *pool, struct str body, json_t **ret_tree, json_error_t *ret_why)
{
    enum err err = ERR_NOMEM;

    current_pool = pool;
    if (setjmp(pool->out_of_memory) == 0) {
        *ret_tree = json_loadb(body.ptr, body.len, JSON_REJECT_DUPLICATES, ret_why);
        err = *ret_tree ? ERR_OK : ERR_INVALID;
    }
    current_pool = NULL;
    return err;
}

static size_t append_path(char *out, size_t size, const struct path *path)
{
    size_t used = path->outer ? append_path(out, size, path->outer) : 0;

    if (path->name.len > 0 && used + path->name.len + 2 < size) {
        if (used > 0)
            out[used++] = '.';
        memcpy(out + used, path->name.ptr, path->name.len);
        used += path->name.len;
    }
    if (path->index >= 0 && used + 24 < size)
        used += (size_t)snprintf(out + used, size - used, "[%ld]", path->index);
    out[used] = '\0';
    return used;
}

PRINTF_LIKE(3, 4)
static enum err refuse(struct parse *parse, const struct path *path, const char *format, ...)
{
    va_list args;

    append_path(parse->error->member, sizeof parse->error->member, path);
    va_start(args, format);
    vsnprintf(parse->error->detail, sizeof parse->error->detail, format, args);
    va_end(args);
    return ERR_INVALID;
}

/* [[[[… would only cost jansson stack, but a body has no use for it. */
static bool too_deep(struct str body)
{
    bool in_string = false;
    int depth = 0;

    for (size_t i = 0; i < body.len; i++) {
        char c = body.ptr[i];
        if (in_string && c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        else if (in_string)
            continue;
        else if ((c == '{' || c == '[') && ++depth > JSON_DEPTH_MAX)
            return true;
        else if ((c == '}' || c == ']') && --depth < 0)
            return false; /* jansson will say what is wrong */
    }
    return false;
}

/* The name before a number that does not fit: jansson only says where the number ends. */
static void name_before(struct str body, size_t end, struct json_error *error)
{
    size_t i = MIN(end, body.len);

    while (i > 0 && body.ptr[i - 1] != '"' && body.ptr[i - 1] != ',' && body.ptr[i - 1] != '[')
        i--;
    size_t stop = i > 0 ? i - 1 : 0;
    if (stop == 0 || body.ptr[stop] != '"')
        return;
    size_t start = stop;
    while (start > 0 && body.ptr[start - 1] != '"')
        start--;
    if (start > 0 && stop - start < sizeof error->member &&
        str_is_utf8((struct str){ body.ptr + start, stop - start }))
        snprintf(error->member, sizeof error->member, "%.*s", (int)(stop - start),
                 body.ptr + start);
}

static enum err refuse_body(struct str body, const json_error_t *why, struct json_error *error)
{
    size_t at = why->position > 0 ? (size_t)why->position : 0;
    const char *what = "malformed JSON";

    error->member[0] = '\0';
    switch (json_error_code(why)) {
    case json_error_duplicate_key:
        what = "a member is there twice";
        break;
    case json_error_numeric_overflow:
        what = "a number is too large";
        name_before(body, at, error);
        break;
    case json_error_invalid_utf8:
        what = "not UTF-8";
        break;
    case json_error_null_character:
    case json_error_null_byte_in_key:
        what = "NUL in a string";
        break;
    case json_error_end_of_input_expected:
        what = "there is something after the end";
        break;
    default:
        break;
    }
    snprintf(error->detail, sizeof error->detail, "%s, at byte %zu", what, at);
    return ERR_INVALID;
}

static enum err parse_int64(struct parse *parse, const struct path *path,
                            const struct json_row *row, json_t *value, int64_t *ret_value)
{
    int64_t number;

    if (json_is_integer(value)) {
        number = json_integer_value(value);
    } else if (row->flags & JSON_FLAG_LOOSE && json_is_real(value) &&
               fabs(json_real_value(value)) < 9.0e18) {
        number = (int64_t)floor(json_real_value(value));
    } else {
        return refuse(parse, path, "must be an integer");
    }
    if (number < row->min || number > row->max) {
        if (row->max == INT64_MAX)
            return refuse(parse, path, "must be at least %lld", (long long)row->min);
        return refuse(parse, path, "must be between %lld and %lld", (long long)row->min,
                      (long long)row->max);
    }
    *ret_value = number;
    return ERR_OK;
}

static int64_t count_chars(struct str text)
{
    int64_t n = 0;

    for (size_t i = 0; i < text.len; i++)
        n += ((unsigned char)text.ptr[i] & 0xC0) != 0x80;
    return n;
}

static enum err parse_str(struct parse *parse, const struct path *path, const struct json_row *row,
                          json_t *value, struct str *ret_text)
{
    if (!json_is_string(value))
        return refuse(parse, path, "must be a string");
    struct str text = { json_string_value(value), json_string_length(value) };
    int64_t chars = count_chars(text);
    if (row->kind == JSON_KIND_STR && (chars < row->min || chars > row->max))
        return refuse(parse, path, "must have %lld to %lld characters", (long long)row->min,
                      (long long)row->max);
    *ret_text = arena_copy(parse->arena, text);
    return ret_text->ptr ? ERR_OK : ERR_NOMEM;
}

static enum err parse_time(struct parse *parse, const struct path *path, const struct json_row *row,
                           json_t *value, int64_t *ret_ms)
{
    struct str text = { json_string_value(value), json_string_length(value) };
    int64_t ms;

    if (!json_is_string(value) || clock_parse_rfc3339(text, &ms) != ERR_OK || ms < row->min ||
        ms > row->max)
        return refuse(parse, path, "must be a time with offset, 2026-03-06T12:00:00+09:00");
    *ret_ms = ms;
    return ERR_OK;
}

static enum err parse_date(struct parse *parse, const struct path *path, const struct json_row *row,
                           json_t *value, int64_t *ret_days)
{
    struct str text = { json_string_value(value), json_string_length(value) };
    int64_t days;

    if (!json_is_string(value) || !json_date_parse(text, &days) || days < row->min ||
        days > row->max)
        return refuse(parse, path, "must be a date, 2026-03-06");
    *ret_days = days;
    return ERR_OK;
}

static enum err parse_enum(struct parse *parse, const struct path *path, const struct json_row *row,
                           json_t *value, int *ret_value)
{
    struct str text = { json_string_value(value), json_string_length(value) };
    struct json_error *error = parse->error;

    for (const struct json_name *n = row->names; text.ptr && n->name; n++)
        if (str_equal(text, str_from(n->name))) {
            *ret_value = n->value;
            return ERR_OK;
        }
    err_ignore(refuse(parse, path, "must be one of"), "completed here");
    for (const struct json_name *n = row->names; n->name; n++) {
        size_t used = strlen(error->detail);
        snprintf(error->detail + used, sizeof error->detail - used, "%s %s",
                 n == row->names ? "" : ",", n->name);
    }
    return ERR_INVALID;
}

static enum err parse_object(struct parse *parse, const struct path *path,
                             const struct json_type *type, json_t *object, char *out);

/* Common to arrays of objects and of strings: `element_size` bytes each, zeroed. */
static enum err start_array(struct parse *parse, const struct path *path,
                            const struct json_row *row, json_t *value, size_t element_size,
                            char **ret_elements)
{
    size_t count = json_array_size(value); /* 0 if it is none */

    if (!json_is_array(value))
        return refuse(parse, path, "must be an array");
    if ((int64_t)count < row->min || (int64_t)count > row->max)
        return refuse(parse, path, "must have %lld to %lld elements", (long long)row->min,
                      (long long)row->max);
    *ret_elements = arena_alloc(parse->arena, MAX(count, (size_t)1) * element_size);
    if (!*ret_elements)
        return ERR_NOMEM;
    memset(*ret_elements, 0, count * element_size);
    return ERR_OK;
}

static enum err parse_array(struct parse *parse, const struct path *path,
                            const struct json_row *row, json_t *value, char *out)
{
    size_t size = row->kind == JSON_KIND_STRS ? sizeof(struct str) : row->type->size;
    size_t count = json_array_size(value);
    char *elements = NULL;

    TRY(start_array(parse, path, row, value, size, &elements));
    for (size_t i = 0; i < count; i++) {
        struct path inner = { .outer = path, .index = (long)i };
        json_t *element = json_array_get(value, i);
        void *slot = elements + i * size;
        if (row->kind == JSON_KIND_STRS)
            TRY(parse_str(parse, &inner, row, element, slot));
        else
            TRY(parse_object(parse, &inner, row->type, element, slot));
    }
    memcpy(out + row->offset, &elements, sizeof elements);
    memcpy(out + row->count_offset, &count, sizeof count);
    return ERR_OK;
}

static enum err parse_value(struct parse *parse, const struct path *path,
                            const struct json_row *row, json_t *value, char *out)
{
    void *member = out + row->offset;

    switch ((enum json_kind)row->kind) {
    case JSON_KIND_INT64:
        return parse_int64(parse, path, row, value, member);
    case JSON_KIND_BOOL:
        if (!json_is_boolean(value))
            return refuse(parse, path, "must be true or false");
        *(bool *)member = json_is_true(value);
        return ERR_OK;
    case JSON_KIND_STR:
        return parse_str(parse, path, row, value, member);
    case JSON_KIND_TIME:
        return parse_time(parse, path, row, value, member);
    case JSON_KIND_DATE:
        return parse_date(parse, path, row, value, member);
    case JSON_KIND_ENUM:
        return parse_enum(parse, path, row, value, member);
    case JSON_KIND_OBJECT:
        return parse_object(parse, path, row->type, value, member);
    case JSON_KIND_ARRAY:
    case JSON_KIND_STRS:
        return parse_array(parse, path, row, value, out);
    case JSON_KIND_LITERAL:
        return ERR_OK; /* output only */
    }
    return ERR_INVALID;
}

static enum err parse_row(struct parse *parse, const struct path *outer, const struct json_row *row,
                          json_t *object, char *out)
{
    struct path path = { .outer = outer, .name = json_row_name(row), .index = -1 };
    json_t *value = json_object_getn(object, path.name.ptr, path.name.len);
    enum json_presence presence = !value                ? JSON_ABSENT
                                  : json_is_null(value) ? JSON_NULLED
                                                        : JSON_GIVEN;

    if (row->flags & JSON_FLAG_OPTIONAL)
        memcpy(out + row->presence_offset, &presence, sizeof presence);
    if (LIKELY(presence == JSON_GIVEN))
        return parse_value(parse, &path, row, value, out);
    if (row->flags & JSON_FLAG_REQUIRED)
        return refuse(parse, &path, value ? "must not be null" : "is missing");
    if (value && !(row->flags & JSON_FLAG_NULLABLE))
        return refuse(parse, &path, "must not be null");
    return ERR_OK;
}

static enum err parse_object(struct parse *parse, const struct path *path,
                             const struct json_type *type, json_t *object, char *out)
{
    if (!json_is_object(object))
        return refuse(parse, path, "must be an object");
    for (size_t i = 0; i < type->row_count; i++)
        TRY(parse_row(parse, path, &type->rows[i], object, out));
    return ERR_OK;
}

enum err json_parse(struct str body, const struct json_type *type, struct arena *arena, void *out,
                    struct json_error *ret_error)
{
    struct parse parse = { .arena = arena, .error = ret_error };
    struct path root = { .index = -1 };
    struct pool pool;
    json_error_t why;
    json_t *tree;

    memset(out, 0, type->size);
    if (body.len == 0)
        return refuse(&parse, &root, "the body is empty");
    if (too_deep(body))
        return refuse(&parse, &root, "more than %d levels deep", JSON_DEPTH_MAX);
    pool.next = pool.first;
    pool.left = sizeof pool.first;
    pool.chunks = NULL;
    enum err err = load(&pool, body, &tree, &why);
    if (err == ERR_OK)
        err = parse_object(&parse, &root, type, tree, out);
    else if (err == ERR_INVALID)
        err = refuse_body(body, &why, ret_error);
    pool_fini(&pool);
    return err;
}
