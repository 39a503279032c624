// SPDX-License-Identifier: Apache-2.0
/*
 * Each member is hashed with its name to 128 bits of its own, and these are added up: a sum does
 * not know an order. Two lanes of hash_u64() with different steps; bytes are taken as little-endian
 * words, so that every machine finds the same. Fingerprints are on disk: the vectors in the test
 * are never to be "updated".
 */
#include <endian.h>

#include "base/hash.h"
#include "json/json_bind.h"
#include "json/json_row.h"

enum tag { TAG_INT = 1, TAG_BOOL, TAG_STR, TAG_NULL, TAG_OBJECT, TAG_ARRAY };

static void absorb(struct json_fingerprint *h, uint64_t word)
{
    h->lane[0] = hash_u64(h->lane[0] ^ word);
    h->lane[1] = hash_u64((h->lane[1] + word) * 0xD6E8FEB86659FD93u) ^ h->lane[0];
}

static void absorb_bytes(struct json_fingerprint *h, struct str bytes)
{
    absorb(h, bytes.len);
    for (size_t i = 0; i < bytes.len; i += 8) {
        uint64_t word = 0;
        memcpy(&word, bytes.ptr + i, MIN(bytes.len - i, (size_t)8));
        absorb(h, le64toh(word));
    }
}

static struct json_fingerprint start(struct str name, enum tag tag)
{
    struct json_fingerprint h = { { 0x646F6F7262757374u, 0x66696E6765727072u } };

    absorb(&h, tag);
    absorb_bytes(&h, name);
    return h;
}

static void add(struct json_fingerprint *sum, const struct json_fingerprint *h)
{
    uint64_t carry = __builtin_add_overflow(sum->lane[0], h->lane[0], &sum->lane[0]);

    sum->lane[1] += h->lane[1] + carry;
}

void json_fingerprint_int(struct json_fingerprint *print, struct str name, int64_t value)
{
    struct json_fingerprint h = start(name, TAG_INT);

    absorb(&h, (uint64_t)value);
    add(print, &h);
}

void json_fingerprint_str(struct json_fingerprint *print, struct str name, struct str value)
{
    struct json_fingerprint h = start(name, TAG_STR);

    absorb_bytes(&h, value);
    add(print, &h);
}

static void absorb_object(struct json_fingerprint *h, const struct json_type *type,
                          const void *object)
{
    struct json_fingerprint inner = { { 0, 0 } };

    json_fingerprint_object(&inner, type, object);
    absorb(h, inner.lane[0]);
    absorb(h, inner.lane[1]);
}

/* Elements keep their order. */
static void absorb_array(struct json_fingerprint *h, const struct json_row *row, const char *object)
{
    const char *elements = *(const char *const *)(const void *)(object + row->offset);
    size_t count = *(const size_t *)(const void *)(object + row->count_offset);

    absorb(h, count);
    for (size_t i = 0; i < count; i++)
        if (row->kind == JSON_KIND_STRS)
            absorb_bytes(h, ((const struct str *)(const void *)elements)[i]);
        else
            absorb_object(h, row->type, elements + i * row->type->size);
}

static const char *enum_name(const struct json_row *row, int value)
{
    const struct json_name *n = row->names;

    while (n->name && n->value != value)
        n++;
    return n->name;
}

static void print_value(struct json_fingerprint *print, const struct json_row *row,
                        const char *object)
{
    const void *member = object + row->offset;
    struct str name = json_row_name(row);
    struct json_fingerprint h;

    switch ((enum json_kind)row->kind) {
    case JSON_KIND_INT64:
    case JSON_KIND_TIME:
    case JSON_KIND_DATE:
        json_fingerprint_int(print, name, *(const int64_t *)member);
        return;
    case JSON_KIND_STR:
    case JSON_KIND_LITERAL:
        json_fingerprint_str(print, name, *(const struct str *)member);
        return;
    case JSON_KIND_ENUM: /* by name: numbers may change between versions */
        json_fingerprint_str(print, name, str_from(enum_name(row, *(const int *)member)));
        return;
    case JSON_KIND_BOOL:
        h = start(name, TAG_BOOL);
        absorb(&h, *(const bool *)member);
        break;
    case JSON_KIND_OBJECT:
        h = start(name, TAG_OBJECT);
        absorb_object(&h, row->type, member);
        break;
    case JSON_KIND_ARRAY:
    case JSON_KIND_STRS:
        h = start(name, TAG_ARRAY);
        absorb_array(&h, row, object);
        break;
    default:
        return;
    }
    add(print, &h);
}

void json_fingerprint_object(struct json_fingerprint *print, const struct json_type *type,
                             const void *object)
{
    for (size_t i = 0; i < type->row_count; i++) {
        const struct json_row *row = &type->rows[i];
        enum json_presence presence = json_row_presence(row, object);
        if (row->flags & JSON_FLAG_UNPRINTED || presence == JSON_ABSENT)
            continue;
        if (presence == JSON_GIVEN) {
            print_value(print, row, object);
        } else {
            struct json_fingerprint h = start(json_row_name(row), TAG_NULL);
            add(print, &h);
        }
    }
}

void json_fingerprint_end(const struct json_fingerprint *print, uint8_t out[JSON_FINGERPRINT_BYTES])
{
    struct json_fingerprint h = *print;

    absorb(&h, h.lane[1]); /* a bare sum of one member would show that member's hash */
    uint64_t words[2] = { htole64(h.lane[0]), htole64(h.lane[1]) };
    memcpy(out, words, sizeof words);
}
