// SPDX-License-Identifier: Apache-2.0
#include "json/json_bind.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"

struct line {
    int64_t product_id, quantity;
};
static const struct json_row line_rows[] = {
    JSON_INT64(line, product_id, "productId", 1, INT64_MAX, "Product.", "7", JSON_REQUIRED),
    JSON_INT64(line, quantity, "quantity", -5, 1000, "How many.", "2", JSON_REQUIRED),
};
static const JSON_BODY(line, "Line", "A line.");

enum color { RED = 3, BLUE = 9 };
static const struct json_name color_names[] = { { "RED", RED }, { "BLUE", BLUE }, { NULL, 0 } };

struct all {
    int64_t number, loose, instant, day;
    bool flag;
    struct str text, note, key;
    enum color color;
    struct line one;
    struct line *lines;
    size_t lines_count;
    struct str *words;
    size_t words_count;
    enum json_presence loose_is, instant_is, day_is, flag_is, note_is, key_is, color_is, one_is,
        lines_is, words_is;
};
static const struct json_row all_rows[] = {
    JSON_INT64(all, number, "number", INT64_MIN, INT64_MAX, "Any.", "1", JSON_REQUIRED),
    JSON_INT64_LOOSE(all, loose, "loose", 0, INT64_MAX, "Loose.", "1", JSON_OPTIONAL(all, loose)),
    JSON_TIME(all, instant, "instant", "When.", "2026-03-06T12:00:00+09:00",
              JSON_NULLABLE(all, instant)),
    JSON_DATE(all, day, "day", "Day.", "2026-03-06", JSON_NULLABLE(all, day)),
    JSON_BOOL(all, flag, "flag", "Yes or no.", "true", JSON_NULLABLE(all, flag)),
    JSON_STR(all, text, "text", 1, 4, "Text.", "abcd", JSON_REQUIRED),
    JSON_STR(all, note, "note", 0, 100, "Note.", "n", JSON_OMITTED(all, note)),
    JSON_STR(all, key, "key", 1, 100, "Key.", "k", JSON_NULLABLE_KEY(all, key)),
    JSON_ENUM(all, color, "color", color_names, "Colour.", "RED", JSON_NULLABLE(all, color)),
    JSON_OBJECT(all, one, "one", line, "One.", JSON_NULLABLE(all, one)),
    JSON_ARRAY(all, lines, "lines", line, 1, 3, "Lines.", JSON_NULLABLE(all, lines)),
    JSON_STRS(all, words, "words", 0, 2, "Words.", "[\"a\"]", JSON_NULLABLE(all, words)),
};
static const JSON_BODY(all, "All", "Everything.");

static enum err parse(const char *body, struct arena *arena, struct all *all,
                      struct json_error *error)
{
    return json_parse(str_from(body), &all_json, arena, all, error);
}

/* What a client may do wrong, and what it is told. */
static const struct {
    const char *body, *member, *detail;
} bad[] = {
    { "", "", "empty" },
    { " ", "", "malformed" },
    { "[]", "", "must be an object" },
    { "[{\"number\":1,\"text\":\"a\"}]", "", "must be an object" },
    { "1", "", "malformed" },
    { "null", "", "malformed" },
    { "{", "", "malformed" },
    { "}", "", "malformed" },
    { "]]]]{", "", "malformed" },
    { "{\"number\":1,\"text\":\"a\"} x", "", "after the end" },
    { "{\"number\":1,\"text\":\"a\"}{}", "", "after the end" },
    { "{\"number\":1,\"text\":\"a\",}", "", "malformed" },
    { "{'number':1}", "", "malformed" },
    { "{number:1}", "", "malformed" },
    { "\xEF\xBB\xBF{\"number\":1,\"text\":\"a\"}", "", "malformed" },
    { "{\"number\":1,\"text\":\"a\",\"number\":1}", "", "twice" },
    { "{\"number\":1,\"text\":\"a\",\"\\u006eumber\":1}", "", "twice" },
    { "{\"number\":1,\"text\":\"a\",\"x\":{\"y\":1,\"y\":2}}", "", "twice" },
    { "{\"number\":9223372036854775808,\"text\":\"a\"}", "number", "too large" },
    { "{\"number\":-9223372036854775809,\"text\":\"a\"}", "number", "too large" },
    { "{\"text\":\"a\",\"number\": 1e999}", "number", "too large" },
    { "{\"number\":01,\"text\":\"a\"}", "", "malformed" },
    { "{\"number\":+1,\"text\":\"a\"}", "", "malformed" },
    { "{\"number\":NaN,\"text\":\"a\"}", "", "malformed" },
    { "{\"number\":1.0,\"text\":\"a\"}", "number", "must be an integer" },
    { "{\"number\":1e3,\"text\":\"a\"}", "number", "must be an integer" },
    { "{\"number\":\"1\",\"text\":\"a\"}", "number", "must be an integer" },
    { "{\"number\":true,\"text\":\"a\"}", "number", "must be an integer" },
    { "{\"number\":[1],\"text\":\"a\"}", "number", "must be an integer" },
    { "{\"number\":null,\"text\":\"a\"}", "number", "must not be null" },
    { "{\"text\":\"a\"}", "number", "is missing" },
    { "{\"Number\":1,\"text\":\"a\"}", "number", "is missing" },
    { "{\"number\":1}", "text", "is missing" },
    { "{\"number\":1,\"text\":\"\"}", "text", "1 to 4 characters" },
    { "{\"number\":1,\"text\":\"abcde\"}", "text", "1 to 4 characters" },
    { "{\"number\":1,\"text\":1}", "text", "must be a string" },
    { "{\"number\":1,\"text\":\"a\\u0000\"}", "", "NUL" },
    { "{\"number\":1,\"text\":\"a\",\"b\\u0000\":1}", "", "NUL" },
    { "{\"number\":1,\"text\":\"\xC0\x80\"}", "", "UTF-8" },
    { "{\"number\":1,\"text\":\"\xED\xA0\x80\"}", "", "UTF-8" },
    { "{\"number\":1,\"text\":\"\xFF\"}", "", "UTF-8" },
    { "{\"number\":1,\"text\":\"\\ud800\"}", "", "malformed" },
    { "{\"number\":1,\"text\":\"a\nb\"}", "", "malformed" },
    { "{\"number\":1,\"text\":\"a\",\"loose\":null}", "loose", "must not be null" },
    { "{\"number\":1,\"text\":\"a\",\"loose\":\"1\"}", "loose", "must be an integer" },
    { "{\"number\":1,\"text\":\"a\",\"loose\":\"\"}", "loose", "must be an integer" },
    { "{\"number\":1,\"text\":\"a\",\"loose\":1e19}", "loose", "must be an integer" },
    { "{\"number\":1,\"text\":\"a\",\"loose\":false}", "loose", "must be an integer" },
    { "{\"number\":1,\"text\":\"a\",\"loose\":-1}", "loose", "at least 0" },
    { "{\"number\":1,\"text\":\"a\",\"instant\":1}", "instant", "time with offset" },
    { "{\"number\":1,\"text\":\"a\",\"instant\":\"2026-03-06T12:00:00\"}", "instant", "time" },
    { "{\"number\":1,\"text\":\"a\",\"instant\":\"0000-03-06T12:00:00Z\"}", "instant", "time" },
    { "{\"number\":1,\"text\":\"a\",\"day\":\"2026-02-29\"}", "day", "date" },
    { "{\"number\":1,\"text\":\"a\",\"day\":\"2026-04-31\"}", "day", "date" },
    { "{\"number\":1,\"text\":\"a\",\"day\":\"2026-4-3\"}", "day", "date" },
    { "{\"number\":1,\"text\":\"a\",\"day\":\"2026-00-01\"}", "day", "date" },
    { "{\"number\":1,\"text\":\"a\",\"day\":\"0000-01-01\"}", "day", "date" },
    { "{\"number\":1,\"text\":\"a\",\"day\":20260306}", "day", "date" },
    { "{\"number\":1,\"text\":\"a\",\"flag\":1}", "flag", "true or false" },
    { "{\"number\":1,\"text\":\"a\",\"flag\":\"true\"}", "flag", "true or false" },
    { "{\"number\":1,\"text\":\"a\",\"color\":\"red\"}", "color", "must be one of RED, BLUE" },
    { "{\"number\":1,\"text\":\"a\",\"color\":3}", "color", "must be one of" },
    { "{\"number\":1,\"text\":\"a\",\"one\":[]}", "one", "must be an object" },
    { "{\"number\":1,\"text\":\"a\",\"one\":{\"productId\":1}}", "one.quantity", "is missing" },
    { "{\"number\":1,\"text\":\"a\",\"lines\":[]}", "lines", "1 to 3 elements" },
    { "{\"number\":1,\"text\":\"a\",\"lines\":{}}", "lines", "must be an array" },
    { "{\"number\":1,\"text\":\"a\",\"lines\":[1]}", "lines[0]", "must be an object" },
    { "{\"number\":1,\"text\":\"a\",\"lines\":[{\"productId\":1,\"quantity\":2},"
      "{\"productId\":0,\"quantity\":2}]}",
      "lines[1].productId", "at least 1" },
    { "{\"number\":1,\"text\":\"a\",\"lines\":[{\"productId\":1,\"quantity\":1001}]}",
      "lines[0].quantity", "between -5 and 1000" },
    { "{\"number\":1,\"text\":\"a\",\"words\":[\"a\",2]}", "words[1]", "must be a string" },
    { "{\"number\":1,\"text\":\"a\",\"words\":[\"a\",\"b\",\"c\"]}", "words", "0 to 2" },
};

static void test_bad(void **state)
{
    struct arena arena = { 0 };
    long live = mem_live_count();

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct all all;
        struct json_error error = { "?", "?" };
        enum err err = parse(bad[i].body, &arena, &all, &error);
        if (err != ERR_INVALID || strcmp(error.member, bad[i].member) != 0 ||
            !strstr(error.detail, bad[i].detail))
            fail_msg("%s: %s, '%s' '%s'", bad[i].body, err_name(err), error.member, error.detail);
        assert_true(str_is_utf8(str_from(error.member)));
        arena_reset(&arena);
    }
    arena_fini(&arena);
    assert_int_equal(mem_live_count(), live);
}

static const char full[] =
    " {\"words\":[\"x\",\"\"], \"number\":-9223372036854775808,\"loose\":42.7,"
    "\"instant\":\"2026-03-06T03:00:00.5Z\",\"day\":\"2024-02-29\",\"flag\":true,"
    "\"text\":\"\\uD55C\xEA\xB5\xAD\\\"\\n\",\"note\":\"\",\"key\":\"k\",\"color\":\"BLUE\","
    "\"unknown\":[[[{}]]],\"one\":{\"quantity\":2,\"productId\":1},"
    "\"lines\":[{\"productId\":9223372036854775807,\"quantity\":-5}]}\n";

static void test_full(void **state)
{
    struct arena arena = { 0 };
    struct buf buf = { 0 };
    struct all all;
    struct json_error error;

    (void)state;
    assert_int_equal(parse(full, &arena, &all, &error), ERR_OK);
    assert_true(all.number == INT64_MIN && all.loose == 42 && all.flag && all.color == BLUE);
    assert_true(all.one.product_id == 1 && all.one.quantity == 2 && all.lines_count == 1);
    assert_true(all.lines[0].product_id == INT64_MAX && all.lines[0].quantity == -5);
    assert_true(all.words_count == 2 && str_equal(all.words[0], STR("x")));
    assert_true(all.note_is == JSON_GIVEN && all.note.len == 0);
    json_render(&buf, &all_json, &all);
    buf_char(&buf, '\0');
    assert_string_equal(
        buf.ptr,
        "{\"number\":-9223372036854775808,\"loose\":42,\"instant\":\"2026-03-06T12:00:00.500+09:"
        "00\","
        "\"day\":\"2024-02-29\",\"flag\":true,\"text\":\"\xED\x95\x9C\xEA\xB5\xAD\\\"\\n\","
        "\"note\":\"\","
        "\"key\":\"k\",\"color\":\"BLUE\",\"one\":{\"productId\":1,\"quantity\":2},"
        "\"lines\":[{\"productId\":9223372036854775807,\"quantity\":-5}],\"words\":[\"x\",\"\"]}");
    buf_fini(&buf);
    arena_fini(&arena);
}

static void test_presence(void **state)
{
    struct arena arena = { 0 };
    struct buf buf = { 0 };
    struct all all;
    struct json_error error;

    (void)state;
    assert_int_equal(
        parse("{\"number\":0,\"text\":\"a\",\"day\":null,\"note\":null}", &arena, &all, &error),
        ERR_OK);
    assert_true(all.day_is == JSON_NULLED && all.note_is == JSON_NULLED);
    assert_true(all.loose_is == JSON_ABSENT && all.flag_is == JSON_ABSENT);
    all.note_is = JSON_ABSENT; /* left out; the others are null */
    json_render(&buf, &all_json, &all);
    buf_char(&buf, '\0');
    assert_string_equal(buf.ptr, "{\"number\":0,\"loose\":null,\"instant\":null,\"day\":null,"
                                 "\"flag\":null,\"text\":\"a\",\"key\":null,\"color\":null,"
                                 "\"one\":null,\"lines\":null,\"words\":null}");
    buf_fini(&buf);
    arena_fini(&arena);
}

static void test_depth(void **state)
{
    struct arena arena = { 0 };
    struct all all;
    struct json_error error;
    char body[512];

    (void)state;
    for (int depth = 1; depth <= 40; depth++) {
        int n = snprintf(body, sizeof body, "{\"number\":1,\"text\":\"\\\"[\",\"x\":");
        memset(body + n, '[', (size_t)depth);
        memset(body + n + depth, ']', (size_t)depth);
        memcpy(body + n + 2 * depth, "}", 2);
        enum err want = depth < JSON_DEPTH_MAX ? ERR_OK : ERR_INVALID;
        assert_int_equal(parse(body, &arena, &all, &error), want);
    }
    assert_string_equal(error.detail, "more than 32 levels deep");
    arena_fini(&arena);
}

/* Every allocation failed once in turn: ERR_NOMEM each time, nothing leaks, then it works. */
static void test_no_memory(void **state)
{
    struct json_error error;
    struct all all;
    long live = mem_live_count();
    int failed = 0;
    char big[40000]; /* more than the pool's first bytes, so that it needs the heap */

    (void)state;
    int n = snprintf(big, sizeof big, "%.*s,\"pad\":[", (int)strlen(full) - 2, full);
    while (n < 30000)
        n += snprintf(big + n, sizeof big - (size_t)n, "{\"%d\":\"%0200d\"},", n, n);
    snprintf(big + n, sizeof big - (size_t)n, "1]}");
    for (;; failed++) {
        struct arena arena = { 0 };
        mem_fault_set(failed);
        enum err err = parse(big, &arena, &all, &error);
        int hits = mem_fault_hits();
        mem_fault_set(-1);
        arena_fini(&arena);
        assert_int_equal(mem_live_count(), live);
        if (hits == 0) {
            assert_int_equal(err, ERR_OK);
            break;
        }
        assert_int_equal(err, ERR_NOMEM);
    }
    assert_true(failed > 4);
}

static void fingerprint(const char *body, char hex[33])
{
    struct arena arena = { 0 };
    struct json_fingerprint print = { { 0 } };
    struct json_error error;
    struct all all;
    uint8_t out[JSON_FINGERPRINT_BYTES];

    assert_int_equal(parse(body, &arena, &all, &error), ERR_OK);
    json_fingerprint_int(&print, STR("/id"), 7);
    json_fingerprint_object(&print, &all_json, &all);
    json_fingerprint_end(&print, out);
    for (size_t i = 0; i < sizeof out; i++)
        snprintf(hex + 2 * i, 3, "%02x", out[i]);
    arena_fini(&arena);
}

static const char *const same[] = {
    "{\"number\":1,\"text\":\"ab\",\"color\":\"RED\",\"key\":\"x\"}",
    "{\"text\":\"ab\",\"key\":\"y\",\"color\":\"RED\",\"number\":1}",
    " { \"unknown\":{\"number\":2}, \"text\" : \"\\u0061b\" ,\"color\":\"RED\", \"number\":1 } ",
};
static const char *const different[] = {
    "{\"number\":2,\"text\":\"ab\",\"color\":\"RED\"}",
    "{\"number\":1,\"text\":\"ba\",\"color\":\"RED\"}",
    "{\"number\":1,\"text\":\"ab\",\"color\":\"BLUE\"}",
    "{\"number\":1,\"text\":\"ab\",\"color\":null}",
    "{\"number\":1,\"text\":\"ab\"}",
    "{\"number\":1,\"text\":\"ab\",\"color\":\"RED\",\"loose\":0}",
    "{\"number\":1,\"text\":\"ab\",\"color\":\"RED\",\"day\":\"1970-01-01\"}",
    "{\"number\":1,\"text\":\"ab\",\"color\":\"RED\",\"flag\":false}",
    "{\"number\":1,\"text\":\"ab\",\"color\":\"RED\",\"words\":[]}",
    "{\"number\":1,\"text\":\"ab\",\"color\":\"RED\",\"words\":[\"\"]}",
    "{\"number\":1,\"text\":\"ab\",\"color\":\"RED\",\"words\":[\"a\",\"b\"]}",
    "{\"number\":1,\"text\":\"ab\",\"color\":\"RED\",\"words\":[\"b\",\"a\"]}",
    "{\"number\":1,\"text\":\"ab\",\"color\":\"RED\",\"one\":{\"productId\":1,\"quantity\":2}}",
    "{\"number\":1,\"text\":\"ab\",\"color\":\"RED\",\"one\":{\"productId\":2,\"quantity\":1}}",
    "{\"number\":1,\"text\":\"ab\",\"color\":\"RED\",\"lines\":[{\"productId\":1,\"quantity\":2}]}",
};

static void test_fingerprint(void **state)
{
    char seen[ARRAY_COUNT(different) + 1][33];

    (void)state;
    fingerprint(same[0], seen[0]);
    for (size_t i = 1; i < ARRAY_COUNT(same); i++) {
        fingerprint(same[i], seen[1]);
        assert_string_equal(seen[0], seen[1]);
    }
    for (size_t i = 0; i < ARRAY_COUNT(different); i++) {
        fingerprint(different[i], seen[i + 1]);
        for (size_t j = 0; j <= i; j++)
            assert_string_not_equal(seen[i + 1], seen[j]);
    }
    /* On disk for good: these two never change. */
    assert_string_equal(seen[0], "76faa9cc8d2ba2301a6d26f207edcb3b");
    fingerprint(full, seen[0]);
    assert_string_equal(seen[0], "a95b63d1a2f8be364a573630e4cb45e4");
}

struct empty_answer {
    struct str raw;
    enum json_presence raw_is;
};
static const struct json_row empty_answer_rows[] = {
    JSON_LITERAL(empty_answer, raw, "raw", "JSON.", "{}", JSON_OMITTED(empty_answer, raw)),
};
static const JSON_ANSWER(empty_answer, "Empty", "Nothing.");

static void test_render_edges(void **state)
{
    struct buf buf = { 0 };
    struct empty_answer empty = { 0 };

    (void)state;
    json_render(&buf, &empty_answer_json, &empty);
    empty.raw_is = JSON_GIVEN;
    empty.raw = STR("[1]");
    json_render(&buf, &empty_answer_json, &empty);
    assert_true(str_equal(buf_str(&buf), STR("{}{\"raw\":[1]}")));
    buf_fini(&buf);

    struct buf none = { 0 };
    mem_fault_set(0);
    json_render(&none, &empty_answer_json, &empty);
    mem_fault_set(-1);
    assert_false(buf_ok(&none));
    buf_fini(&none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad),          cmocka_unit_test(test_full),
        cmocka_unit_test(test_presence),     cmocka_unit_test(test_depth),
        cmocka_unit_test(test_no_memory),    cmocka_unit_test(test_fingerprint),
        cmocka_unit_test(test_render_edges),
    };

    if (clock_set_zone("Asia/Seoul") != ERR_OK)
        return 1;
    return cmocka_run_group_tests_name("json_bind", tests, NULL, NULL);
}
