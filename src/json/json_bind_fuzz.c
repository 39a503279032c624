// SPDX-License-Identifier: Apache-2.0
/* Whatever parses must render to something that parses to the same. */
#include <stdlib.h>

#include "base/assert.h"
#include "json/json_bind.h"

struct item {
    int64_t product_id, quantity;
    struct str note;
    enum json_presence note_is;
};
static const struct json_row item_rows[] = {
    JSON_INT64(item, product_id, "productId", 1, INT64_MAX, "", "", JSON_REQUIRED),
    JSON_INT64(item, quantity, "quantity", -10, 10, "", "", JSON_REQUIRED),
    JSON_STR(item, note, "note", 0, 8, "", "", JSON_OMITTED(item, note)),
};
static const JSON_BODY(item, "Item", "");

static const struct json_name color_names[] = { { "RED", 1 }, { "\xED\x95\x9C", 2 }, { NULL, 0 } };

struct order {
    int64_t id, loose, at, day;
    bool flag;
    struct str key;
    int color;
    struct item one, *items;
    size_t items_count;
    struct str *words;
    size_t words_count;
    enum json_presence loose_is, at_is, day_is, flag_is, key_is, color_is, one_is, items_is,
        words_is;
};
static const struct json_row order_rows[] = {
    JSON_INT64(order, id, "id", INT64_MIN, INT64_MAX, "", "", JSON_REQUIRED),
    JSON_INT64_LOOSE(order, loose, "loose", INT64_MIN, INT64_MAX, "", "",
                     JSON_NULLABLE(order, loose)),
    JSON_TIME(order, at, "at", "", "", JSON_NULLABLE(order, at)),
    JSON_DATE(order, day, "day", "", "", JSON_NULLABLE(order, day)),
    JSON_BOOL(order, flag, "flag", "", "", JSON_NULLABLE(order, flag)),
    JSON_STR(order, key, "key", 0, 100, "", "", JSON_NULLABLE_KEY(order, key)),
    JSON_ENUM(order, color, "color", color_names, "", "", JSON_NULLABLE(order, color)),
    JSON_OBJECT(order, one, "one", item, "", JSON_NULLABLE(order, one)),
    JSON_ARRAY(order, items, "items", item, 0, 100, "", JSON_NULLABLE(order, items)),
    JSON_STRS(order, words, "words", 0, 100, "", "", JSON_NULLABLE(order, words)),
};
static const JSON_BODY(order, "Order", "");

/* Render what is in `from`, parse it into `to`; the text is the caller's. */
static struct buf round_trip(const void *from, struct arena *arena, void *to)
{
    struct json_error error;
    struct buf text = { 0 };

    json_render(&text, &order_json, from);
    ASSERT(buf_ok(&text));
    ASSERT(str_is_utf8(buf_str(&text)));
    ASSERT(json_parse(buf_str(&text), &order_json, arena, to, &error) == ERR_OK);
    return text;
}

static void fingerprint(const struct order *order, uint8_t out[JSON_FINGERPRINT_BYTES])
{
    struct json_fingerprint print = { { 0 } };

    json_fingerprint_object(&print, &order_json, order);
    json_fingerprint_end(&print, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str body = { (const char *)data, size };
    struct arena arena = { 0 };
    struct json_error error;
    struct order first, second, third;
    uint8_t print_second[JSON_FINGERPRINT_BYTES], print_third[JSON_FINGERPRINT_BYTES];

    enum err err = json_parse(body, &order_json, &arena, &first, &error);
    ASSERT(err == ERR_OK || err == ERR_INVALID);
    if (err == ERR_INVALID) {
        ASSERT(str_is_utf8(str_from(error.member)) && str_is_utf8(str_from(error.detail)));
    } else {
        struct buf text = round_trip(&first, &arena, &second);
        struct buf again = round_trip(&second, &arena, &third);
        ASSERT(str_equal(buf_str(&text), buf_str(&again)));
        fingerprint(&second, print_second);
        fingerprint(&third, print_third);
        ASSERT(memcmp(print_second, print_third, sizeof print_second) == 0);
        buf_fini(&text);
        buf_fini(&again);
    }
    arena_fini(&arena);
    return 0;
}
