// SPDX-License-Identifier: Apache-2.0
/* Names and JSON types that several routes share. */
#pragma once
#include "core/coupon.h"
#include "json/json_bind.h"

extern const struct json_name held_state_names[];   /* RESERVED, AVAILABLE, USED, EXPIRED */
extern const struct json_name coupon_state_names[]; /* SCHEDULED, OPEN, SOLD_OUT, CLOSED, ENDED */

/* Examples shared by rows. */
#define EXAMPLE_TIME "2026-03-06T12:00:00.000+09:00"
