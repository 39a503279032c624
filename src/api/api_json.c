// SPDX-License-Identifier: Apache-2.0
#include "api/api_json.h"

const struct json_name held_state_names[] = {
    { "RESERVED", HELD_RESERVED },
    { "AVAILABLE", HELD_AVAILABLE },
    { "USED", HELD_USED },
    { "EXPIRED", HELD_EXPIRED },
    { NULL, 0 },
};

const struct json_name coupon_state_names[] = {
    { "SCHEDULED", COUPON_SCHEDULED }, { "OPEN", COUPON_OPEN },   { "SOLD_OUT", COUPON_SOLD_OUT },
    { "CLOSED", COUPON_CLOSED },       { "ENDED", COUPON_ENDED }, { NULL, 0 },
};

static const struct json_row page_query_rows[] = {
    JSON_INT64(page_query, limit, "limit", 1, 100, "Items on a page; default 100.", "20",
               JSON_OPTIONAL(page_query, limit)),
    JSON_STR(page_query, cursor, "cursor", 1, 100, "`nextCursor` of the page before.", "c-1",
             JSON_OPTIONAL(page_query, cursor)),
};
const JSON_BODY(page_query, "PageQuery", "A page of a list.");
