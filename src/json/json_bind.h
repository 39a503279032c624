// SPDX-License-Identifier: Apache-2.0
/*
 * One table of rows per JSON object: it parses a body into a struct, renders a struct, makes its
 * fingerprint and its JSON Schema (json/json_schema.h).
 *
 *     struct reserve_body { int64_t user_id; };
 *     static const struct json_row reserve_body_rows[] = {
 *         JSON_INT64(reserve_body, user_id, "userId", 1, INT64_MAX, "Who asks.", "42",
 *                    JSON_REQUIRED),
 *     };
 *     static const JSON_BODY(reserve_body, "ReserveRequest", "Who wants a coupon.");
 *
 *     json_parse(body, &reserve_body_json, arena, &parsed, &error);
 *
 * The first argument of a row is the tag of the struct. A row whose member has another C type than
 * the row says does not compile. Rows of the members "a.b" are made with nested objects, never with
 * dots. The tables are static; nothing here is locked and every function may run on any thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* What became of a member that may be missing; `<member>_is` beside the member. */
enum json_presence { JSON_ABSENT, JSON_NULLED, JSON_GIVEN };

/* C type of the member in brackets. */
enum json_kind {
    JSON_KIND_INT64,   /* [int64_t] min..max; a real such as 1.0 is not an integer */
    JSON_KIND_BOOL,    /* [bool] */
    JSON_KIND_STR,     /* [struct str] min..max characters (code points); UTF-8 without NUL */
    JSON_KIND_TIME,    /* [int64_t] wall ms; RFC 3339, written with the shop's offset */
    JSON_KIND_DATE,    /* [int64_t] days since 1970-01-01; "yyyy-MM-dd" */
    JSON_KIND_ENUM,    /* [any enum, int] a name of the row's value table, exact case */
    JSON_KIND_OBJECT,  /* [struct TAG] nested */
    JSON_KIND_ARRAY,   /* [struct TAG * and size_t <member>_count] min..max objects */
    JSON_KIND_STRS,    /* [struct str * and size_t <member>_count] min..max strings */
    JSON_KIND_LITERAL, /* [struct str] output only: JSON text, copied as it is */
};

enum json_flag {
    JSON_FLAG_REQUIRED = 1,   /* input: must be there, and not null */
    JSON_FLAG_OPTIONAL = 2,   /* `<member>_is` tells; not JSON_GIVEN is written as null */
    JSON_FLAG_NULLABLE = 4,   /* null is allowed on input; never without OPTIONAL */
    JSON_FLAG_OMIT = 8,       /* JSON_ABSENT is left out instead of written as null */
    JSON_FLAG_LOOSE = 16,     /* int64: a real, rounded down, will do */
    JSON_FLAG_UNPRINTED = 32, /* not part of the fingerprint */
};

/* A table of these, ended by a NULL name. */
struct json_name {
    const char *name;
    int value;
};

struct json_type;

struct json_row {
    const char *prefix; /* `,"name":` */
    uint16_t name_len;  /* name = prefix + 2 */
    uint8_t kind;       /* enum json_kind */
    uint8_t flags;      /* enum json_flag */
    uint32_t offset, presence_offset, count_offset;
    int64_t min, max;
    const struct json_type *type;  /* OBJECT, ARRAY */
    const struct json_name *names; /* ENUM */
    const char *about, *example;   /* for OpenAPI; the example is JSON without a string's quotes */
    /* INT64, ARRAY: what the schema says instead of `min`, where less is refused by the shop's
     * rules, with an error of its own; JSON_TOLD_MIN() */
    bool min_is_told;
    int64_t told_min;
};

struct json_type {
    const char *name, *about; /* of the schema: unique in the OpenAPI document */
    const struct json_row *rows;
    uint32_t row_count, size;
    bool is_body; /* made with JSON_BODY: its schema requires only what a client must send */
    /* JSON; NULL: made of the rows' examples. For bodies of which not everything goes together. */
    const char *example;
};

struct json_error {
    char member[64];  /* path of the culprit, "items[2].quantity"; "" for the body itself */
    char detail[160]; /* the rest of the sentence: "must be an integer" */
};

/*
 * Parse `body` into `out` (type->size bytes, zeroed first). Strings and arrays live in `arena`.
 * Unknown members are ignored, duplicate ones are refused. Nesting is at most JSON_DEPTH_MAX.
 * ERR_INVALID: not one JSON object, or a member of the wrong type, missing or out of range;
 * `ret_error` says which. ERR_NOMEM: nothing is known about the body; `ret_error` is unset.
 */
enum { JSON_DEPTH_MAX = 32 };
enum err json_parse(struct str body, const struct json_type *type, struct arena *arena, void *out,
                    struct json_error *ret_error) MUST_CHECK;

/* Append `object` as JSON. Failure as for every append: buf_ok(). */
void json_render(struct buf *buf, const struct json_type *type, const void *object);

/*
 * A 128-bit fingerprint of parsed values: order of members, white space and unknown members do not
 * count, neither does the order of rows, nor a row added later that a body does not have. It is
 * stored, so its definition never changes. Not cryptographic: who finds a collision only gets the
 * stored answer to a request of their own.
 */
enum { JSON_FINGERPRINT_BYTES = 16 };
struct json_fingerprint {
    uint64_t lane[2]; /* zeroed at first */
};
void json_fingerprint_int(struct json_fingerprint *print, struct str name, int64_t value);
void json_fingerprint_str(struct json_fingerprint *print, struct str name, struct str value);
void json_fingerprint_object(struct json_fingerprint *print, const struct json_type *type,
                             const void *object);
void json_fingerprint_end(const struct json_fingerprint *print,
                          uint8_t out[JSON_FINGERPRINT_BYTES]);

/* clang-format off */
/*
 * Rows. The last argument is one of
 *   JSON_REQUIRED              always there
 *   JSON_OPTIONAL(tag, member) may be missing, but not null; needs `enum json_presence member_is`
 *   JSON_NULLABLE(tag, member) may be missing or null
 *   JSON_OMITTED(tag, member)  as JSON_NULLABLE, and not written when JSON_ABSENT
 *   JSON_NULLABLE_KEY(tag, member)  as JSON_NULLABLE, and not part of the fingerprint
 */
#define JSON_REQUIRED .flags = JSON_FLAG_REQUIRED
#define JSON_OPTIONAL(tag, member) JSON_PRESENCE_(tag, member, JSON_FLAG_OPTIONAL)
#define JSON_NULLABLE(tag, member) JSON_PRESENCE_(tag, member, JSON_FLAG_OPTIONAL | JSON_FLAG_NULLABLE)
#define JSON_OMITTED(tag, member) \
    JSON_PRESENCE_(tag, member, JSON_FLAG_OPTIONAL | JSON_FLAG_NULLABLE | JSON_FLAG_OMIT)
#define JSON_NULLABLE_KEY(tag, member) \
    JSON_PRESENCE_(tag, member, JSON_FLAG_OPTIONAL | JSON_FLAG_NULLABLE | JSON_FLAG_UNPRINTED)

/* After the last argument of JSON_INT64 or JSON_ARRAY. */
#define JSON_TOLD_MIN(min_) .min_is_told = true, .told_min = (min_)

#define JSON_INT64(tag, member, name, min, max, about, example, ...) \
    JSON_ROW_(tag, member, int64_t, JSON_KIND_INT64, name, min, max, about, example, __VA_ARGS__)
/* Also takes 42.0 and 42.7, rounded down: for what other people's software writes. */
#define JSON_INT64_LOOSE(tag, member, name, min, max, about, example, ...) \
    JSON_ROW_(tag, member, int64_t, JSON_KIND_INT64, name, min, max, about, example, __VA_ARGS__ | JSON_FLAG_LOOSE)
#define JSON_BOOL(tag, member, name, about, example, ...) \
    JSON_ROW_(tag, member, bool, JSON_KIND_BOOL, name, 0, 1, about, example, __VA_ARGS__)
#define JSON_STR(tag, member, name, chars_min, chars_max, about, example, ...) \
    JSON_ROW_(tag, member, struct str, JSON_KIND_STR, name, chars_min, chars_max, about, example, __VA_ARGS__)
#define JSON_TIME(tag, member, name, about, example, ...) \
    JSON_ROW_(tag, member, int64_t, JSON_KIND_TIME, name, JSON_TIME_MIN_MS, JSON_TIME_MAX_MS, about, example, __VA_ARGS__)
#define JSON_DATE(tag, member, name, about, example, ...) \
    JSON_ROW_(tag, member, int64_t, JSON_KIND_DATE, name, JSON_DATE_MIN, JSON_DATE_MAX, about, example, __VA_ARGS__)
/* names: static const struct json_name[] ended by { NULL, 0 } */
#define JSON_ENUM(tag, member, name, names_, about_, example_, ...) \
    { .prefix = ",\"" name "\":", .name_len = sizeof(name) - 1, .kind = JSON_KIND_ENUM, \
      .offset = JSON_OFFSET_(tag, member, _Generic(((struct tag *)0)->member, int: 1, unsigned: 1, default: 0)), \
      .names = (names_), .about = (about_), .example = (example_), __VA_ARGS__ }
#define JSON_LITERAL(tag, member, name, about, example, ...) \
    JSON_ROW_(tag, member, struct str, JSON_KIND_LITERAL, name, 0, INT64_MAX, about, example, __VA_ARGS__)
/* Of `struct of`, whose type was made with JSON_BODY(of, …) or JSON_ANSWER(of, …). */
#define JSON_OBJECT(tag, member, name, of, about_, ...) \
    { .prefix = ",\"" name "\":", .name_len = sizeof(name) - 1, .kind = JSON_KIND_OBJECT, \
      .offset = JSON_OFFSET_(tag, member, _Generic(((struct tag *)0)->member, struct of: 1, default: 0)), \
      .type = &of##_json, .about = (about_), __VA_ARGS__ }
#define JSON_ARRAY(tag, member, name, of, count_min, count_max, about_, ...) \
    { .prefix = ",\"" name "\":", .name_len = sizeof(name) - 1, .kind = JSON_KIND_ARRAY, \
      .offset = JSON_OFFSET_(tag, member, _Generic(((struct tag *)0)->member, \
                             struct of *: 1, const struct of *: 1, default: 0)), \
      JSON_COUNT_(tag, member, count_min, count_max), .type = &of##_json, .about = (about_), __VA_ARGS__ }
#define JSON_STRS(tag, member, name, count_min, count_max, about_, example_, ...) \
    { .prefix = ",\"" name "\":", .name_len = sizeof(name) - 1, .kind = JSON_KIND_STRS, \
      .offset = JSON_OFFSET_(tag, member, _Generic(((struct tag *)0)->member, \
                             struct str *: 1, const struct str *: 1, default: 0)), \
      JSON_COUNT_(tag, member, count_min, count_max), .about = (about_), .example = (example_), __VA_ARGS__ }

/*
 * The type of `struct tag` from `tag_rows`; write `static const` or `const` before it. A body is
 * read: its schema requires what is JSON_REQUIRED. An answer is written: every member is there.
 * `.example = "{…}"` may follow.
 */
#define JSON_BODY(tag, name_, about_, ...) JSON_TYPE_(tag, name_, about_, true, __VA_ARGS__)
#define JSON_ANSWER(tag, name_, about_, ...) JSON_TYPE_(tag, name_, about_, false, __VA_ARGS__)

/* 0001-01-02 .. 9999-12-30, so that every offset keeps the year within four digits */
#define JSON_TIME_MIN_MS INT64_C(-62135510400000)
#define JSON_TIME_MAX_MS INT64_C(253402214400000)
#define JSON_DATE_MIN INT64_C(-719162)
#define JSON_DATE_MAX INT64_C(2932896)

#define JSON_TYPE_(tag, name_, about_, is_body_, ...) \
    struct json_type tag##_json = { .name = (name_), .about = (about_), .rows = tag##_rows, \
        .row_count = sizeof(tag##_rows) / sizeof(tag##_rows)[0], .size = sizeof(struct tag), .is_body = (is_body_), __VA_ARGS__ }
#define JSON_OFFSET_(tag, member, ok) \
    (uint32_t)(offsetof(struct tag, member) + 0 * sizeof(char[(ok) ? 1 : -1]))
#define JSON_PRESENCE_(tag, member, flags_) \
    .presence_offset = JSON_OFFSET_(tag, member##_is, _Generic(((struct tag *)0)->member##_is, \
                                    enum json_presence: 1, default: 0)), .flags = (flags_)
#define JSON_COUNT_(tag, member, count_min, count_max) \
    .count_offset = JSON_OFFSET_(tag, member##_count, _Generic(((struct tag *)0)->member##_count, \
                                 size_t: 1, default: 0)), .min = (count_min), .max = (count_max)
#define JSON_ROW_(tag, member, ctype, kind_, name, min_, max_, about_, example_, ...) \
    { .prefix = ",\"" name "\":", .name_len = sizeof(name) - 1, .kind = (kind_), \
      .offset = JSON_OFFSET_(tag, member, _Generic(((struct tag *)0)->member, ctype: 1, default: 0)), \
      .min = (min_), .max = (max_), .about = (about_), .example = (example_), __VA_ARGS__ }
/* clang-format on */
