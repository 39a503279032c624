// SPDX-License-Identifier: Apache-2.0
/* JSON Schema (2020-12, as OpenAPI 3.1 uses it) of the types of json/json_bind.h. */
#pragma once
#include "json/json_bind.h"

/* The types that a document names, each once, with all that they nest. */
enum { JSON_SCHEMA_TYPES_MAX = 256 };
struct json_schema_set {
    const struct json_type *types[JSON_SCHEMA_TYPES_MAX];
    size_t count;
};

void json_schema_add(struct json_schema_set *set, const struct json_type *type);
/* `{"Name":{…},…}`, sorted by name: the value of `components.schemas`. */
void json_schema_render(struct buf *buf, const struct json_schema_set *set);
/* `{"$ref":"#/components/schemas/Name"}` */
void json_schema_ref(struct buf *buf, const struct json_type *type);
/* The schema of one row's value, for parameters: `{"type":"integer","format":"int64",…}`. */
void json_schema_row(struct buf *buf, const struct json_row *row);
/* An object of this type, from the examples of its rows or its own. */
void json_schema_example(struct buf *buf, const struct json_type *type);
