// SPDX-License-Identifier: Apache-2.0
/* Handlers of /api/coupons and of a user's coupons. */
#pragma once
#include "api/api_route.h"
#include "api/coupons_json.h"

void coupons_issue(struct api_call *call);
void coupons_reserve(struct api_call *call);
void coupons_get(struct api_call *call);
void coupons_list(struct api_call *call);
void coupons_of_user(struct api_call *call);

/* The coupon as visitors see it; the name is borrowed from `coupon`. */
struct coupon_answer coupon_answer_of(struct api_call *call, const struct coupon *coupon);
/* Answers a page of the catalogue: those that are open or will open, or all. */
void coupons_page(struct api_call *call, bool all);
