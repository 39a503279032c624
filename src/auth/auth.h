// SPDX-License-Identifier: Apache-2.0
/*
 * Bearer tokens: JWS compact serialisation (RFC 7515) of JWT claims (RFC 7519). The algorithm comes
 * from the key, never from the token. Today one HS256 secret; public keys and key sets fit behind
 * the same functions.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum { AUTH_SECRET_BYTES_MIN = 32, AUTH_TOKEN_BYTES_MAX = 8192 };

struct auth_keys;  /* immutable after auth_keys_new(): shared by all threads */
struct auth_cache; /* of one thread: verified tokens, remembered until they expire */

struct auth_claims {
    int64_t user_id; /* `sub`; only with has_user */
    bool has_user;   /* false: `sub` is missing or not a number, which only an admin may have */
    bool admin;
    int64_t expires_ms; /* wall ms of `exp`, leeway not added */
};

/* Why a token was refused; AUTH_OK is the only good one. */
enum auth_result {
    AUTH_OK,
    AUTH_MALFORMED, /* not a JWS of three parts, too long, or its JSON is not what we need */
    AUTH_ALGORITHM, /* `alg` is not the key's, or there is a critical header */
    AUTH_SIGNATURE, /* made with another key, or changed */
    AUTH_EXPIRED,
    AUTH_NOT_YET, /* `nbf` is still to come */
    AUTH_SUBJECT, /* no usable `sub`, and not an admin */
    AUTH_NOMEM,   /* could not look; not the caller's fault */
};

/*
 * secret     HMAC key, copied
 * leeway_ms  clocks may differ by this much
 * ERR_INVALID: shorter than AUTH_SECRET_BYTES_MIN. ERR_NOMEM.
 */
enum err auth_keys_new(struct str secret, int64_t leeway_ms,
                       struct auth_keys **ret_keys) MUST_CHECK;
struct auth_keys *auth_keys_free(struct auth_keys *keys);

/* capacity: tokens at most, rounded up to a power of two. NULL when there is no memory. */
struct auth_cache *auth_cache_new(size_t capacity) MUST_CHECK;
struct auth_cache *auth_cache_free(struct auth_cache *cache);

/*
 * bearer  the token's text, without "Bearer "
 * cache   of this thread, used with one `keys` only; may be NULL
 * now_ms  wall clock
 * `ret_claims` is set on AUTH_OK only.
 */
enum auth_result auth_verify(const struct auth_keys *keys, struct auth_cache *cache,
                             struct str bearer, int64_t now_ms,
                             struct auth_claims *ret_claims) MUST_CHECK;
/* One line for people, static. */
const char *auth_result_text(enum auth_result result);

/* Append a token for `user_id`, good from `now_ms` for `ttl_s`. ERR_NOMEM. */
enum err auth_sign(const struct auth_keys *keys, int64_t user_id, bool admin, int64_t now_ms,
                   int64_t ttl_s, struct buf *out) MUST_CHECK;

/* The token of an `Authorization` field's value: "Bearer" in any case, spaces. False: no bearer. */
bool auth_bearer(struct str field, struct str *ret_token) MUST_CHECK;
