// SPDX-License-Identifier: Apache-2.0
/* Names and JSON types that several routes share. */
#pragma once
#include "core/coupon.h"
#include "json/json_bind.h"

extern const struct json_name held_state_names[];   /* RESERVED, AVAILABLE, USED, EXPIRED */
extern const struct json_name coupon_state_names[]; /* SCHEDULED, OPEN, SOLD_OUT, CLOSED, ENDED */

/* Examples shared by rows. */
#define EXAMPLE_TIME "2026-03-06T12:00:00.000+09:00"

/* `limit` and `cursor` of lists. */
struct page_query {
    int64_t limit;
    struct str cursor;
    enum json_presence limit_is, cursor_is;
};
extern const struct json_type page_query_json;
