// SPDX-License-Identifier: Apache-2.0
/* A JSON Web Key Set (RFC 7517, 7518). It is what an issuer publishes, so nothing in it is secret.
 */
#include "auth/auth_internal.h"
#include "json/json_bind.h"

enum { TEXT_MAX = AUTH_KEY_FILE_BYTES_MAX, ENTRIES_MAX = 256 };

struct jwk {
    struct str kty, kid, use, alg, crv, n, e, x, y, d, k;
    struct str *key_ops;
    size_t key_ops_count;
    enum json_presence kid_is, use_is, alg_is, crv_is, n_is, e_is, x_is, y_is, d_is, k_is,
        key_ops_is;
};
#define MEMBER(name) \
    JSON_STR(jwk, name, #name, 0, TEXT_MAX, "RFC 7517.", "x", JSON_NULLABLE(jwk, name))
static const struct json_row jwk_rows[] = {
    JSON_STR(jwk, kty, "kty", 1, TEXT_MAX, "Kind.", "RSA", JSON_REQUIRED),
    MEMBER(kid),
    MEMBER(use),
    MEMBER(alg),
    MEMBER(crv),
    MEMBER(n),
    MEMBER(e),
    MEMBER(x),
    MEMBER(y),
    MEMBER(d),
    MEMBER(k),
    JSON_STRS(jwk, key_ops, "key_ops", 0, TEXT_MAX, "RFC 7517.", "[\"verify\"]",
              JSON_NULLABLE(jwk, key_ops)),
};
static const JSON_BODY(jwk, "Jwk", "A key.");

struct jwks {
    struct jwk *keys;
    size_t keys_count;
};
static const struct json_row jwks_rows[] = {
    JSON_ARRAY(jwks, keys, "keys", jwk, 0, ENTRIES_MAX, "Keys.", JSON_REQUIRED),
};
static const JSON_BODY(jwks, "Jwks", "A set of keys.");

/* base64url without padding; in the arena. False: it is not that, or there is no memory. */
static bool decode(struct str text, struct arena *arena, struct str *ret_bytes)
{
    uint8_t *bytes = NULL;
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == '=' || text.ptr[i] == '+' || text.ptr[i] == '/')
            return false;
    if (text.len == 0 || !cjose_base64url_decode(text.ptr, text.len, &bytes, &len, NULL))
        return false;
    *ret_bytes = arena_copy(arena, (struct str){ (char *)bytes, len });
    cjose_get_dealloc()(bytes);
    return ret_bytes->ptr != NULL;
}

static bool is_for_signatures(const struct jwk *key)
{
    bool verifies = key->key_ops_is != JSON_GIVEN;

    for (size_t i = 0; i < key->key_ops_count; i++)
        verifies |= str_equal(key->key_ops[i], STR("verify"));
    return verifies && (!key->use.ptr || str_equal(key->use, STR("sig")));
}

/* Of those that its kind has, all, or the one that it names. 0: not one of ours. */
static unsigned algorithms_of(const struct jwk *key)
{
    unsigned kind = str_equal(key->kty, STR("RSA")) ? AUTH_RS256 | AUTH_PS256
                    : str_equal(key->kty, STR("EC")) && str_equal(key->crv, STR("P-256"))
                        ? AUTH_ES256
                        : 0;

    return key->alg.ptr ? kind & auth_algorithm_of(key->alg) : kind;
}

static enum err add(struct auth_key_set *set, const struct jwk *key, struct arena *arena,
                    struct auth_error *error)
{
    struct str kid = key->kid.len > 0 ? key->kid : STR_NONE;
    bool rsa = str_equal(key->kty, STR("RSA"));
    unsigned algorithms = algorithms_of(key);
    struct str first, second;

    if (key->k.ptr || str_equal(key->kty, STR("oct")))
        return auth_refuse(error, "is a symmetric key, which belongs into auth.secret_file");
    if (key->d.ptr)
        return auth_refuse(error, "is a private key: take out what only its owner may have");
    if (!is_for_signatures(key) || algorithms == 0)
        return ERR_OK;
    if (!decode(rsa ? key->n : key->x, arena, &first) ||
        !decode(rsa ? key->e : key->y, arena, &second))
        return auth_refuse(error, "has numbers that are missing or not base64url");
    return rsa ? auth_key_set_add_rsa(set, first, second, kid, algorithms, error)
               : auth_key_set_add_ec(set, first, second, kid, error);
}

enum err auth_key_set_add_jwks(struct auth_key_set *set, struct str jwks,
                               struct auth_error *ret_error)
{
    CLEANUP(arena_fini) struct arena arena = { 0 };
    struct json_error why;
    struct auth_error reason;
    struct jwks parsed;
    size_t before = set->count;

    if (jwks.len > AUTH_KEY_FILE_BYTES_MAX)
        return auth_refuse(ret_error, "is longer than %d bytes", AUTH_KEY_FILE_BYTES_MAX);
    enum err e = json_parse(jwks, &jwks_json, &arena, &parsed, &why);
    if (e == ERR_INVALID)
        return auth_refuse(ret_error, "is not a JSON Web Key Set: %s %s",
                           why.member[0] ? why.member : "the text", why.detail);
    for (size_t i = 0; e == ERR_OK && i < parsed.keys_count; i++) {
        e = add(set, &parsed.keys[i], &arena, &reason);
        if (e == ERR_INVALID)
            return auth_refuse(ret_error, "keys[%zu] %.150s", i, reason.text);
    }
    if (e == ERR_OK && set->count == before)
        return auth_refuse(ret_error,
                           "holds no key for signatures that is RSA, or EC of the curve P-256");
    return e;
}
