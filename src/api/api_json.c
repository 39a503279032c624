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
