// SPDX-License-Identifier: Apache-2.0
/*
 * Bearer tokens: JWS compact serialisation (RFC 7515) of JWT claims (RFC 7519). The algorithm comes
 * from the key, never from the token: a secret is for HS256, an RSA key for RS256 and PS256, an EC
 * key of P-256 for ES256.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum { AUTH_SECRET_BYTES_MIN = 32, AUTH_TOKEN_BYTES_MAX = 8192 };
enum { AUTH_SUBJECT_BYTES_MAX = 64 };
enum { AUTH_KEYS_MAX = 32, AUTH_KEY_FILE_BYTES_MAX = 64 * 1024 };

struct auth_keys;  /* shared by all threads; what is in it may be replaced while they verify */
struct auth_cache; /* of one thread: verified tokens, remembered until they expire */

struct auth_claims {
    int64_t user_id; /* `sub`; only with has_user */
    bool has_user;   /* false: `sub` is missing or not a number, which only an admin may have */
    bool admin;
    int64_t expires_ms;                       /* wall ms of `exp`, leeway not added */
    char subject[AUTH_SUBJECT_BYTES_MAX + 1]; /* `sub` for people, cut off where it is long */
};

/* Why a token was refused; AUTH_OK is the only good one. */
enum auth_result {
    AUTH_OK,
    AUTH_MALFORMED, /* not a JWS of three parts, too long, or its JSON is not what we need */
    AUTH_ALGORITHM, /* no key is for its `alg`, or there is a critical header */
    AUTH_KEY,       /* its `kid` is none of ours */
    AUTH_SIGNATURE, /* made with another key, or changed */
    AUTH_EXPIRED,
    AUTH_NOT_YET, /* `nbf` is still to come */
    AUTH_SUBJECT, /* no usable `sub`, and not an admin */
    AUTH_NOMEM,   /* could not look; not the caller's fault */
};

/* What keys are made of; ptr NULL: none of that kind. Borrowed for the call. */
struct auth_source {
    struct str secret; /* of HS256, as it is */
    struct str pem;    /* one or more public keys: SubjectPublicKeyInfo, "BEGIN PUBLIC KEY" */
    struct str jwks;   /* RFC 7517; keys of other kinds or uses are left out */
};

/* The rest of a sentence whose beginning names where it is `from`: "holds no public key". */
struct auth_error {
    enum { AUTH_FROM_SECRET, AUTH_FROM_PEM, AUTH_FROM_JWKS } from;
    char text[200];
};

/*
 * ERR_INVALID, with ret_error: a secret below AUTH_SECRET_BYTES_MIN, an RSA key below 2,048 bits, a
 * private or symmetric key where a public one belongs, more than AUTH_KEYS_MAX, or none. ERR_NOMEM.
 * leeway_ms: clocks may differ by this much.
 */
enum err auth_keys_open(const struct auth_source *source, int64_t leeway_ms,
                        struct auth_keys **ret_keys, struct auth_error *ret_error) MUST_CHECK;
/* The same of a secret alone. */
enum err auth_keys_new(struct str secret, int64_t leeway_ms,
                       struct auth_keys **ret_keys) MUST_CHECK;
struct auth_keys *auth_keys_free(struct auth_keys *keys);
/*
 * Other keys from now on, for all threads; what was remembered of the old ones does not count any
 * more. Errors as above: the old keys stay. One thread at a time.
 */
enum err auth_keys_replace(struct auth_keys *keys, const struct auth_source *source,
                           struct auth_error *ret_error) MUST_CHECK;
size_t auth_keys_count(const struct auth_keys *keys);

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

/* Append a token for `user_id`, good from `now_ms` for `ttl_s`, signed with the secret.
 * ERR_NOT_FOUND: there is none. ERR_NOMEM. */
enum err auth_sign(const struct auth_keys *keys, int64_t user_id, bool admin, int64_t now_ms,
                   int64_t ttl_s, struct buf *out) MUST_CHECK;

/* The token of an `Authorization` field's value: "Bearer" in any case, spaces. False: no bearer. */
bool auth_bearer(struct str field, struct str *ret_token) MUST_CHECK;
