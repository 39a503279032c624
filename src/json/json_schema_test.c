// SPDX-License-Identifier: Apache-2.0
#include "json/json_schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

struct item {
    int64_t quantity;
};
static const struct json_row item_rows[] = {
    JSON_INT64(item, quantity, "quantity", 1, 1000, "How many.", "2", JSON_REQUIRED),
};
static const JSON_BODY(item, "Item", "A line.");

enum color { RED, BLUE };
static const struct json_name color_names[] = { { "RED", RED }, { "BLUE", BLUE }, { NULL, 0 } };

struct order {
    int64_t coupon_id, at, day;
    struct str key;
    bool flag;
    enum color color;
    struct item one;
    struct item *items;
    size_t items_count;
    struct str *words;
    size_t words_count;
    enum json_presence coupon_id_is, day_is, key_is, color_is, one_is;
};

static const struct json_row order_rows[] = {
    JSON_INT64(order, coupon_id, "couponId", INT64_MIN, INT64_MAX, "Which.", "7",
               JSON_NULLABLE(order, coupon_id)),
    JSON_TIME(order, at, "at", "When.", "2026-03-06T12:00:00+09:00", JSON_REQUIRED),
    JSON_DATE(order, day, "day", "Day.", NULL, JSON_OPTIONAL(order, day)),
    JSON_STR(order, key, "key", 1, 100, "A \"key\".", "k", JSON_OMITTED(order, key)),
    JSON_BOOL(order, flag, "flag", "Yes or no.", "true", JSON_REQUIRED),
    JSON_ENUM(order, color, "color", color_names, "Colour.", "RED", JSON_NULLABLE(order, color)),
    JSON_OBJECT(order, one, "one", item, "One.", JSON_NULLABLE(order, one)),
    JSON_ARRAY(order, items, "items", item, 1, 100, "Lines.", JSON_REQUIRED),
    JSON_STRS(order, words, "words", 0, 9, "Words.", "[\"a\"]", JSON_REQUIRED),
};
static const JSON_BODY(order, "OrderRequest", "A body.");

#define NULLABLE_INT "\"type\":[\"integer\",\"null\"]"
#define COMMON_HEAD                                                                       \
    "{\"type\":\"object\",\"description\":\"%s\",\"properties\":{"                        \
    "\"couponId\":{" NULLABLE_INT ",\"format\":\"int64\",\"description\":\"Which.\","     \
    "\"examples\":[7]},"                                                                  \
    "\"at\":{\"type\":\"string\",\"format\":\"date-time\",\"description\":\"When.\","     \
    "\"examples\":[\"2026-03-06T12:00:00+09:00\"]},"                                      \
    "\"day\":{\"type\":%s,\"format\":\"date\",\"description\":\"Day.\"},"                 \
    "\"key\":{\"type\":[\"string\",\"null\"],\"minLength\":1,\"maxLength\":100,"          \
    "\"description\":\"A \\\"key\\\".\",\"examples\":[\"k\"]},"                           \
    "\"flag\":{\"type\":\"boolean\",\"description\":\"Yes or no.\",\"examples\":[true]}," \
    "\"color\":{\"type\":[\"string\",\"null\"],\"enum\":[\"RED\",\"BLUE\",null],"         \
    "\"description\":\"Colour.\",\"examples\":[\"RED\"]},"                                \
    "\"one\":{\"anyOf\":[{\"$ref\":\"#/components/schemas/Item\"},{\"type\":\"null\"}],"  \
    "\"description\":\"One.\"},"                                                          \
    "\"items\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":100,"                      \
    "\"items\":{\"$ref\":\"#/components/schemas/Item\"},\"description\":\"Lines.\"},"     \
    "\"words\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"maxItems\":9,"       \
    "\"description\":\"Words.\",\"examples\":[[\"a\"]]}},\"required\":[%s]}"
#define ITEM                                                                                  \
    "\"Item\":{\"type\":\"object\",\"description\":\"A line.\",\"properties\":{\"quantity\":" \
    "{\"type\":\"integer\",\"format\":\"int64\",\"minimum\":1,\"maximum\":1000,"              \
    "\"description\":\"How many.\",\"examples\":[2]}},\"required\":[\"quantity\"]}"

static void check(const struct json_schema_set *set, const char *name, const char *about,
                  const char *day_type, const char *required)
{
    struct buf got = { 0 }, want = { 0 };

    json_schema_render(&got, set);
    buf_printf(&want, "{" ITEM ",\"%s\":" COMMON_HEAD "}%c", name, about, day_type, required, '\0');
    buf_char(&got, '\0');
    assert_true(buf_ok(&got) && buf_ok(&want));
    assert_string_equal(got.ptr, want.ptr);
    buf_fini(&got);
    buf_fini(&want);
}

/* What a client must send is required of a body; all that is always written, of an answer. */
static void test_body(void **state)
{
    struct json_schema_set set = { 0 };

    (void)state;
    json_schema_add(&set, &order_json);
    json_schema_add(&set, &order_json);
    json_schema_add(&set, &item_json);
    assert_int_equal(set.count, 2);
    check(&set, "OrderRequest", "A body.", "\"string\"", "\"at\",\"flag\",\"items\",\"words\"");
}

static void test_answer(void **state)
{
    struct json_type answer = order_json;
    struct json_schema_set set = { 0 };

    (void)state;
    answer.is_body = false;
    answer.name = "Order";
    answer.about = "An answer.";
    json_schema_add(&set, &answer);
    check(&set, "Order", "An answer.", "[\"string\",\"null\"]",
          "\"couponId\",\"at\",\"day\",\"flag\",\"color\",\"one\",\"items\",\"words\"");
}

static void test_parts(void **state)
{
    struct buf buf = { 0 };

    (void)state;
    json_schema_ref(&buf, &item_json);
    json_schema_row(&buf, &item_rows[0]);
    assert_true(
        str_equal(buf_str(&buf),
                  STR("{\"$ref\":\"#/components/schemas/Item\"}"
                      "{\"type\":\"integer\",\"format\":\"int64\",\"minimum\":1,\"maximum\":1000,"
                      "\"description\":\"How many.\",\"examples\":[2]}")));
    buf_fini(&buf);
}

/* The shop's own limit is told, the table's is kept. */
static void test_told_min(void **state)
{
    static const struct json_row row = JSON_INT64(item, quantity, "quantity", INT64_MIN, INT64_MAX,
                                                  NULL, NULL, JSON_REQUIRED, JSON_TOLD_MIN(0));
    struct buf buf = { 0 };

    (void)state;
    json_schema_row(&buf, &row);
    assert_true(
        str_equal(buf_str(&buf), STR("{\"type\":\"integer\",\"format\":\"int64\",\"minimum\":0}")));
    buf_fini(&buf);
}

/* A body's example leaves out what has none, an answer's says null; neither has what is omitted. */
static void test_examples(void **state)
{
    struct json_type answer = order_json, own = item_json;
    struct buf buf = { 0 };

    (void)state;
    answer.is_body = false;
    own.example = "{\"quantity\":3}";
    json_schema_example(&buf, &order_json);
    json_schema_example(&buf, &answer);
    json_schema_example(&buf, &own);
#define HEAD "{\"couponId\":7,\"at\":\"2026-03-06T12:00:00+09:00\","
#define REST                                                                                 \
    "\"flag\":true,\"color\":\"RED\",\"one\":{\"quantity\":2},\"items\":[{\"quantity\":2}]," \
    "\"words\":[\"a\"]}"
    assert_true(
        str_equal(buf_str(&buf), STR(HEAD REST HEAD "\"day\":null," REST "{\"quantity\":3}")));
    buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_body),     cmocka_unit_test(test_answer),
        cmocka_unit_test(test_parts),    cmocka_unit_test(test_told_min),
        cmocka_unit_test(test_examples),
    };

    return cmocka_run_group_tests_name("json_schema", tests, NULL, NULL);
}
