// SPDX-License-Identifier: Apache-2.0
/*
 * Requests made from the route table: mostly right, and wrong in one place or another. Everything
 * follows from `seed`.
 */
#pragma once
#include "api/api_fixture_test.h"
#include "base/hash.h"

struct maker {
    uint64_t seed;
    struct buf *out;
};

static inline unsigned pick(struct maker *m, unsigned below)
{
    m->seed = hash_u64(m->seed);
    return (unsigned)((m->seed >> 16) % below);
}

/* One time out of `n`. */
static inline bool seldom(struct maker *m, unsigned n)
{
    return pick(m, n) == 0;
}

static inline void put(struct maker *m, const char *text)
{
    buf_str_append(m->out, str_from(text));
}

#define PUT_ONE_OF(m, words) put((m), (words)[pick((m), ARRAY_COUNT(words))])

/* ---- values ---- */

static const char *const odd_ids[] = { "0",
                                       "-1",
                                       "-0",
                                       "+1",
                                       "01",
                                       "1.0",
                                       "1e3",
                                       "",
                                       "%31",
                                       "1%2F2",
                                       "%",
                                       "%00",
                                       "a",
                                       "..",
                                       "{couponId}",
                                       "2147483648",
                                       "4294967296",
                                       "9223372036854775807",
                                       "9223372036854775808",
                                       "-9223372036854775808",
                                       "99999999999999999999999999999999999999999",
                                       "\xEF\xBC\x91",
                                       "\xFF" };
static const char *const odd_values[] = { "null",
                                          "true",
                                          "[]",
                                          "{}",
                                          "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1",
                                          "\"\"",
                                          "\"1\"",
                                          "1.0",
                                          "1.5",
                                          "1e2",
                                          "1e400",
                                          "-1",
                                          "0",
                                          "-0",
                                          "9223372036854775807",
                                          "9223372036854775808",
                                          "-9223372036854775808",
                                          "-9223372036854775809",
                                          "1000000000001",
                                          "NaN",
                                          "\"\\u0000\"",
                                          "\"\\ud800\"",
                                          "\"\xED\xA0\x80\"",
                                          "\"\xC0\xAF\"",
                                          "\"\xFF\"",
                                          "\"\n\"",
                                          "'a'",
                                          "" };
static const char *const texts[] = { "a",
                                     "key-1",
                                     "key-2",
                                     "\xEA\xB0\x80\xEB\x82\x98",
                                     "\xF0\x9F\x8E\x81",
                                     "\\\"\\\\\\n",
                                     "\\u0041",
                                     "<script>",
                                     "' OR 1=1 --" };
static const char *const times[] = {
    "2026-03-06T12:00:00+09:00", "2036-03-06T12:00:00Z", "2099-12-31T23:59:59.999Z",
    "0001-01-02T00:00:00Z",      "9999-12-30T00:00:00Z", "9999-12-31T23:59:60-23:59",
    "2026-02-30T00:00:00Z",      "2026-03-06",           "now"
};

static const char *const dates[] = { "2026-03-06", "2036-03-06", "2026-02-30", "0001-01-02",
                                     "9999-12-30", "2026-3-6",   "today" };

static inline void put_user(struct maker *m)
{
    buf_printf(m->out, "%u", 1 + pick(m, seldom(m, 20) ? USERS * 2 : USERS / 10));
}

static inline void put_number(struct maker *m, struct str name)
{
    if (str_equal(name, STR("userId")))
        put_user(m);
    else if (str_equal(name, STR("fromUserId")))
        buf_printf(m->out, "%u", USERS + 1 + pick(m, 50));
    else if (str_equal(name, STR("toUserId")))
        buf_printf(m->out, "%u", USERS + 20 + pick(m, 50));
    else if (str_equal(name, STR("advanceSeconds")))
        buf_printf(m->out, "%d", (int)pick(m, 200000) - 100000);
    else
        buf_printf(m->out, "%u", 1 + pick(m, seldom(m, 3) ? 1000 : 12));
}

static inline void put_text(struct maker *m)
{
    put(m, "\"");
    for (unsigned n = seldom(m, 10) ? 1 + pick(m, 210) : 1; n > 0; n--)
        PUT_ONE_OF(m, texts);
    put(m, "\"");
}

static inline void put_enum(struct maker *m, const struct json_name *names)
{
    unsigned count = 0;

    while (names[count].name)
        count++;
    buf_printf(m->out, "%s", names[pick(m, count)].name);
}

static inline void put_body(struct maker *m, const struct json_type *type);

/* Mostly a few, sometimes none or more than there may be. */
static inline void put_objects(struct maker *m, const struct json_type *type)
{
    unsigned count = seldom(m, 20) ? 101 : seldom(m, 10) ? 0 : 1 + pick(m, 4);

    put(m, "[");
    for (unsigned i = 0; i < count; i++) {
        put(m, i ? "," : "");
        put_body(m, type);
    }
    put(m, "]");
}

static inline void put_value(struct maker *m, const struct json_row *row)
{
    struct str name = { row->prefix + 2, row->name_len };

    if (seldom(m, 12)) {
        PUT_ONE_OF(m, odd_values);
    } else if (row->kind == JSON_KIND_INT64) {
        put_number(m, name);
    } else if (row->kind == JSON_KIND_BOOL) {
        put(m, seldom(m, 2) ? "true" : "false");
    } else if (row->kind == JSON_KIND_ENUM) {
        put(m, "\"");
        put_enum(m, row->names);
        put(m, "\"");
    } else if (row->kind == JSON_KIND_ARRAY) {
        put_objects(m, row->type);
    } else if (row->kind == JSON_KIND_OBJECT) {
        put_body(m, row->type);
    } else if (row->kind == JSON_KIND_DATE) {
        put(m, "\"");
        PUT_ONE_OF(m, dates);
        put(m, "\"");
    } else if (row->kind == JSON_KIND_TIME) {
        put(m, "\"");
        PUT_ONE_OF(m, times);
        put(m, "\"");
    } else {
        put_text(m);
    }
}

static inline void put_body(struct maker *m, const struct json_type *type)
{
    static const char *const wholes[] = { "",  "null",           "[]",  "1", "\"{}\"", "{}{}",
                                          "{", "\xEF\xBB\xBF{}", " {} " };
    unsigned count = 0;

    if (seldom(m, 30)) {
        PUT_ONE_OF(m, wholes);
        return;
    }
    put(m, "{");
    for (size_t i = 0; i < type->row_count; i++) {
        const struct json_row *row = &type->rows[i];
        if (pick(m, 16) >= (row->flags & JSON_FLAG_REQUIRED ? 15u : 5u))
            continue;
        for (unsigned twice = seldom(m, 40) ? 2 : 1; twice > 0; twice--) {
            buf_printf(m->out, "%s\"%.*s\":", count++ ? "," : "", (int)row->name_len,
                       row->prefix + 2);
            put_value(m, row);
        }
    }
    if (seldom(m, 12))
        buf_printf(m->out, "%s\"unknown\":{\"a\":[1,null,\"x\"]}", count ? "," : "");
    put(m, seldom(m, 50) ? "" : "}");
}

/* ---- the request line ---- */

static inline void put_path(struct maker *m, const char *template)
{
    static const char *const ends[] = { "/", "//", "/x", ".", "%2F", ";a=b", "/../..", "#f" };

    for (const char *at = template; *at; at++) {
        if (*at != '{') {
            buf_char(m->out, *at);
            continue;
        }
        if (seldom(m, 12))
            PUT_ONE_OF(m, odd_ids);
        else if (memcmp(at, "{userId}", 8) == 0)
            put_user(m);
        else
            buf_printf(m->out, "%u", 1 + pick(m, seldom(m, 6) ? 40 : COUPONS));
        at = strchr(at, '}');
    }
    if (seldom(m, 40))
        PUT_ONE_OF(m, ends);
}

static inline void put_query(struct maker *m, const struct json_type *type)
{
    static const char *const odd[] = { "",          "=",          "&&&",       "limit",
                                       "limit=",    "limit=0",    "limit=101", "limit=%31",
                                       "cursor=c-", "cursor=c-0", "cursor=x",  "cursor=c-%",
                                       "status=no", "%zz=1",      "a=b=c" };
    static const char *const cursors[] = { "c-1",
                                           "c-2",
                                           "c-a",
                                           "c-7ffffffffffffffe",
                                           "c-8000000000000000",
                                           "i-0-2",
                                           "p-64-1",
                                           "d-64-3",
                                           "n-1-1",
                                           "r-0-1",
                                           "u-0-2",
                                           "odd" };
    unsigned count = 0;

    put(m, "?");
    for (size_t i = 0; type && i < type->row_count; i++) {
        const struct json_row *row = &type->rows[i];
        if (pick(m, 16) >= (row->flags & JSON_FLAG_REQUIRED ? 15u : 8u))
            continue;
        buf_printf(m->out, "%s%.*s=", count++ ? "&" : "", (int)row->name_len, row->prefix + 2);
        if (row->kind == JSON_KIND_ENUM)
            put_enum(m, row->names);
        else if (str_equal((struct str){ row->prefix + 2, row->name_len }, STR("userId")))
            put_user(m);
        else if (row->kind == JSON_KIND_DATE)
            PUT_ONE_OF(m, dates);
        else if (row->kind == JSON_KIND_INT64)
            buf_printf(m->out, "%u", 1 + pick(m, seldom(m, 2) ? 3 : 110));
        else
            PUT_ONE_OF(m, cursors);
    }
    if (seldom(m, 3)) {
        put(m, count ? "&" : "");
        PUT_ONE_OF(m, odd);
    }
}

static inline void put_line(struct maker *m, const struct api_route *route)
{
    static const char *const methods[] = { "GET",    "HEAD",    "POST",  "PUT",   "PATCH",
                                           "DELETE", "OPTIONS", "TRACE", "PURGE", "DOORS" };
    static const char *const names[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE" };

    if (seldom(m, 12))
        PUT_ONE_OF(m, methods);
    else
        put(m, names[route->method]);
    put(m, " ");
    put_path(m, route->path);
    if (route->user_at == API_USER_IN_QUERY ? !seldom(m, 15) : seldom(m, route->query ? 2 : 15))
        put_query(m, route->query);
    put(m, seldom(m, 60) ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n");
}

/* ---- the fields ---- */

static inline void put_fields(struct maker *m, const struct api_route *route)
{
    static const char *const types[] = { "text/plain", "application/json; charset=utf-8",
                                         "APPLICATION/JSON", "application/jsonx", "" };
    static const char *const others[] = { "Accept: text/csv\r\n",
                                          "Accept: application/openmetrics-text\r\n",
                                          "X-Request-Id: abc_DEF-1\r\n",
                                          "X-Request-Id: not one\r\n",
                                          "Authorization: Bearer a.b.c\r\n",
                                          "Expect: 100-continue\r\n",
                                          "Connection: close\r\n",
                                          "Connection: keep-alive\r\n",
                                          "Cookie: a=b\r\n",
                                          "X-Forwarded-For: 1.2.3.4\r\n" };

    put(m, seldom(m, 100) ? "" : "Host: shop\r\n");
    if (route->body) {
        put(m, "Content-Type: ");
        if (seldom(m, 20))
            PUT_ONE_OF(m, types);
        else
            put(m, "application/json");
        put(m, "\r\n");
    }
    if (seldom(m, route->flags & API_KEYED ? 2 : 20)) {
        put(m, "Idempotency-Key: ");
        for (unsigned n = seldom(m, 8) ? 1 + pick(m, 120) : 1; n > 0; n--)
            PUT_ONE_OF(m, texts);
        put(m, "\r\n");
    }
    if (seldom(m, 5))
        PUT_ONE_OF(m, others);
}

static inline void make_request(struct maker *m)
{
    CLEANUP(buf_fini) struct buf body = { 0 };
    struct maker inner = { .out = &body };
    const struct api_route *route;
    size_t routes;

    (void)api_metric_routes(&whole.api, &routes);
    do
        route = api_router_route(whole.api.router, pick(m, (unsigned)routes));
    while (route->access == API_OPS && !seldom(m, 8)); /* metrics are long, and always the same */
    put_line(m, route);
    put_fields(m, route);
    inner.seed = m->seed;
    if (route->body || seldom(m, 30))
        put_body(&inner, route->body ? route->body : &problem_answer_json);
    m->seed = inner.seed;
    if (body.len > 0 && seldom(m, 20))
        buf_printf(m->out, "Transfer-Encoding: chunked\r\n\r\n%zx\r\n%.*s\r\n0\r\n\r\n", body.len,
                   (int)body.len, body.ptr);
    else if (body.len > 0 || route->body)
        buf_printf(m->out, "Content-Length: %zu\r\n\r\n%.*s",
                   seldom(m, 200) ? body.len + 1 : body.len, (int)body.len,
                   body.ptr ? body.ptr : "");
    else
        put(m, "\r\n");
}

/* ---- changing what there is ---- */

/* Another number in the place of one. */
static inline void change_number(struct maker *m, struct str text)
{
    size_t at = text.len ? pick(m, (unsigned)text.len) : 0, end;

    while (at < text.len && (text.ptr[at] < '0' || text.ptr[at] > '9'))
        at++;
    for (end = at; end < text.len && text.ptr[end] >= '0' && text.ptr[end] <= '9'; end++)
        ;
    buf_bytes(m->out, text.ptr, at);
    if (seldom(m, 2))
        PUT_ONE_OF(m, odd_ids);
    else
        buf_printf(m->out, "%u", pick(m, 20));
    buf_bytes(m->out, text.ptr + end, text.len - end);
}

/* Content-Length of the last request fits its body again. */
static inline void mend_length(struct buf *text)
{
    static const char name[] = "Content-Length: ";
    char *at = NULL, *end, digits[24];

    for (char *next = text->ptr;
         next && (next = memmem(next, (size_t)(text->ptr + text->len - next), name, 16)); next++)
        at = next + 16;
    end = at ? memmem(at, (size_t)(text->ptr + text->len - at), "\r\n\r\n", 4) : NULL;
    if (!end)
        return;
    size_t body = (size_t)(text->ptr + text->len - end - 4), width = 0;
    while (at + width < end && at[width] >= '0' && at[width] <= '9')
        width++;
    if (width && width < 20 &&
        snprintf(digits, sizeof digits, "%0*zu", (int)width, body) == (int)width)
        memcpy(at, digits, width);
}
