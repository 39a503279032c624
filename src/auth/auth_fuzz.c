// SPDX-License-Identifier: Apache-2.0
/*
 * The input as a token, which no key made, and as the claims of a token that ours did. Neither may
 * do more than be refused, but for claims that say enough; remembered, they say the same. And as a
 * file of keys: whatever it makes, no token of ours is of it.
 */
#include <string.h>

#include <cjose/cjose.h>

#include "auth/auth_internal.h"
#include "base/assert.h"

static const char secret[] = "0123456789abcdef0123456789abcdef";
#define NOW_MS INT64_C(1772766000000)

static void verify_signed(const struct auth_keys *keys, const uint8_t *claims, size_t size)
{
    cjose_jwk_t *jwk = cjose_jwk_create_oct_spec((const uint8_t *)secret, strlen(secret), NULL);
    cjose_header_t *header = cjose_header_new(NULL);
    struct auth_cache *cache = auth_cache_new(4);
    struct auth_claims first, second;
    const char *text = NULL;

    ASSERT(jwk && header && cache && cjose_header_set(header, "alg", "HS256", NULL));
    cjose_jws_t *jws = cjose_jws_sign(jwk, header, claims, size, NULL);
    if (jws && cjose_jws_export(jws, &text, NULL)) {
        enum auth_result result = auth_verify(keys, cache, str_from(text), NOW_MS, &first);
        ASSERT(result != AUTH_SIGNATURE && result != AUTH_ALGORITHM && result != AUTH_NOMEM);
        if (result == AUTH_OK) {
            ASSERT(first.has_user || first.admin);
            ASSERT(auth_verify(keys, cache, str_from(text), NOW_MS, &second) == AUTH_OK);
            ASSERT(first.user_id == second.user_id && first.has_user == second.has_user &&
                   first.admin == second.admin && first.expires_ms == second.expires_ms);
        }
    }
    cjose_jws_release(jws);
    auth_cache_free(cache);
    cjose_header_release(header);
    cjose_jwk_release(jwk);
}

static void open_keys(struct str text, struct str token)
{
    const struct auth_source sources[] = { { .jwks = text }, { .pem = text } };

    for (size_t i = 0; i < ARRAY_COUNT(sources); i++) {
        struct auth_keys *keys = NULL;
        struct auth_claims claims;
        struct auth_error error;
        enum err e = auth_keys_open(&sources[i], 0, &keys, &error);
        ASSERT(e == ERR_OK || e == ERR_INVALID);
        if (e == ERR_OK)
            ASSERT(auth_verify(keys, NULL, token, NOW_MS, &claims) == AUTH_ALGORITHM);
        auth_keys_free(keys);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct auth_keys *keys;
    static struct buf good;
    struct auth_claims claims;
    struct str token;

    if (!keys)
        ASSERT(auth_keys_new(str_from(secret), 0, &keys) == ERR_OK &&
               auth_sign(keys, 1, false, NOW_MS, 60, &good) == ERR_OK);
    if (size > 0 && (data[0] == '{' || data[0] == '-')) /* OpenSSL takes its time with the rest */
        open_keys((struct str){ (const char *)data, size }, buf_str(&good));
    if (auth_bearer((struct str){ (const char *)data, size }, &token))
        ASSERT(auth_verify(keys, NULL, token, NOW_MS, &claims) != AUTH_OK);
    ASSERT(auth_verify(keys, NULL, (struct str){ (const char *)data, size }, NOW_MS, &claims) !=
           AUTH_OK);
    if (size > 0)
        verify_signed(keys, data, size);
    return 0;
}
