// SPDX-License-Identifier: Apache-2.0
/* Handlers of /api/products/ranking and /api/products/top. */
#pragma once
#include "api/api_route.h"
#include "api/ranking_json.h"

void ranking_get_top(struct api_call *call);
void ranking_get_place(struct api_call *call);
void ranking_get_stream(struct api_call *call);
void products_get_top(struct api_call *call);

/* What `top` says, its entries in its arena. False: no memory. */
bool ranking_answer_of(const struct shop *shop, const struct ranking_top *top,
                       struct ranking_top_answer *ret_answer) MUST_CHECK;
