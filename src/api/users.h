// SPDX-License-Identifier: Apache-2.0
/* Handlers and JSON of /api/users. */
#pragma once
#include "api/api_route.h"

void users_get(struct api_call *call);
void users_balance(struct api_call *call);
void users_charge(struct api_call *call);

struct charge_body {
    int64_t amount;
    struct str idempotency_key;
    enum json_presence idempotency_key_is;
};
struct charge_answer {
    int64_t user_id, balance, charged_amount, charged_at_ms;
};
extern const struct json_type user_answer_json, balance_answer_json, charge_body_json,
    charge_answer_json;
