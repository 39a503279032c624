// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "auth/auth.h"

/* What a token says, before anything is compared with the clock. */
struct auth_token {
    struct auth_claims claims;
    int64_t not_before_ms; /* INT64_MIN: at once */
};

/* Is the header, decoded, one we take with a key of this algorithm? */
enum auth_result auth_header_check(struct str json, struct str algorithm) MUST_CHECK;
/* The claims, decoded; the signature has been verified. */
enum auth_result auth_claims_parse(struct str json, struct auth_token *ret_token) MUST_CHECK;

/* NULL when it is not there. */
const struct auth_token *auth_cache_find(const struct auth_cache *cache, struct str text);
/* Without memory it is not remembered. `now_ms`: what is expired makes room first. */
void auth_cache_store(struct auth_cache *cache, struct str text, const struct auth_token *token,
                      int64_t now_ms);
