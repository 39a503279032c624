// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cjose/cjose.h>

#include "auth/auth.h"
#include "base/arena.h"

/* ---- keys ---- */

enum auth_algorithm { AUTH_HS256 = 1, AUTH_RS256 = 2, AUTH_PS256 = 4, AUTH_ES256 = 8 };
/* 0: not one of these. */
unsigned auth_algorithm_of(struct str name);

struct auth_key {
    cjose_jwk_t *jwk;
    struct str kid;      /* owned; ptr NULL: it has none, and may be any */
    unsigned algorithms; /* enum auth_algorithm: what it verifies */
};

/* Immutable once it is in use. */
struct auth_key_set {
    uint64_t generation; /* of all sets ever made, each has its own */
    size_t count;
    struct auth_key keys[AUTH_KEYS_MAX];
};

struct auth_key_set *auth_key_set_free(struct auth_key_set *set);
/* Add a key. ERR_INVALID with ret_error; ERR_NOMEM. Big-endian numbers; `kid` may be STR_NONE. */
enum err auth_key_set_add_secret(struct auth_key_set *set, struct str secret,
                                 struct auth_error *ret_error) MUST_CHECK;
enum err auth_key_set_add_rsa(struct auth_key_set *set, struct str n, struct str e, struct str kid,
                              unsigned algorithms, struct auth_error *ret_error) MUST_CHECK;
enum err auth_key_set_add_ec(struct auth_key_set *set, struct str x, struct str y, struct str kid,
                             struct auth_error *ret_error) MUST_CHECK;
enum err auth_key_set_add_pem(struct auth_key_set *set, struct str pem,
                              struct auth_error *ret_error) MUST_CHECK;
enum err auth_key_set_add_jwks(struct auth_key_set *set, struct str jwks,
                               struct auth_error *ret_error) MUST_CHECK;
/* The set in force; good for the length of a call. */
const struct auth_key_set *auth_keys_set(const struct auth_keys *keys);
int64_t auth_keys_leeway_ms(const struct auth_keys *keys);

/* Always ERR_INVALID. */
PRINTF_LIKE(2, 3)
enum err auth_refuse(struct auth_error *error, const char *format, ...) MUST_CHECK;

/* ---- tokens ---- */

struct auth_header {
    unsigned algorithm; /* 0: none of ours */
    struct str kid;     /* in the arena; ptr NULL: not given */
};

/* What a token says, before anything is compared with the clock. */
struct auth_token {
    struct auth_claims claims;
    int64_t not_before_ms; /* INT64_MIN: at once */
};

/* The header, decoded. AUTH_ALGORITHM: it has a critical extension. */
enum auth_result auth_header_parse(struct str json, struct arena *arena,
                                   struct auth_header *ret_header) MUST_CHECK;
/* The claims, decoded; the signature has been verified. */
enum auth_result auth_claims_parse(struct str json, struct auth_token *ret_token) MUST_CHECK;

/* NULL when it is not there, or was verified with keys of another generation. */
const struct auth_token *auth_cache_find(const struct auth_cache *cache, uint64_t generation,
                                         struct str text);
/* Without memory it is not remembered. `now_ms`: what is expired makes room first, and what is of
 * another generation. */
void auth_cache_store(struct auth_cache *cache, uint64_t generation, struct str text,
                      const struct auth_token *token, int64_t now_ms);
