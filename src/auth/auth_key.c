// SPDX-License-Identifier: Apache-2.0
/* One key into a set: what it is good for, and whether it is strong enough. */
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>

#include "auth/auth_internal.h"
#include "base/mem.h"

enum { RSA_BITS_MIN = 2048, RSA_BITS_MAX = 8192, EC_BYTES = 32, EXPONENT_BYTES_MAX = 8 };

unsigned auth_algorithm_of(struct str name)
{
    static const struct {
        struct str name;
        enum auth_algorithm algorithm;
    } rows[] = {
        { STR("HS256"), AUTH_HS256 },
        { STR("RS256"), AUTH_RS256 },
        { STR("PS256"), AUTH_PS256 },
        { STR("ES256"), AUTH_ES256 },
    };

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        if (str_equal(rows[i].name, name))
            return rows[i].algorithm;
    return 0;
}

/* Takes `jwk`, which may be NULL: no memory. */
static enum err add(struct auth_key_set *set, cjose_jwk_t *jwk, struct str kid, unsigned algorithms,
                    struct auth_error *error)
{
    struct auth_key *key = &set->keys[set->count];
    char *copy = kid.ptr ? mem_alloc(kid.len + 1) : NULL;

    if (!jwk || (kid.ptr && !copy) || set->count == AUTH_KEYS_MAX) {
        cjose_jwk_release(jwk);
        mem_free(copy);
        return jwk && set->count == AUTH_KEYS_MAX
                   ? auth_refuse(error, "holds more than %d keys", AUTH_KEYS_MAX)
                   : ERR_NOMEM;
    }
    if (copy)
        memcpy(copy, kid.ptr, kid.len);
    *key = (struct auth_key){ .jwk = jwk, .kid = { copy, kid.len }, .algorithms = algorithms };
    set->count++;
    return ERR_OK;
}

enum err auth_key_set_add_secret(struct auth_key_set *set, struct str secret,
                                 struct auth_error *ret_error)
{
    if (secret.len < AUTH_SECRET_BYTES_MIN)
        return auth_refuse(ret_error, "holds %zu bytes, a key has at least %d", secret.len,
                           AUTH_SECRET_BYTES_MIN);
    return add(set, cjose_jwk_create_oct_spec((const uint8_t *)secret.ptr, secret.len, NULL),
               STR_NONE, AUTH_HS256, ret_error);
}

/* ---- numbers ---- */

static struct str without_zeros(struct str number)
{
    while (number.len > 0 && number.ptr[0] == '\0')
        number = (struct str){ number.ptr + 1, number.len - 1 };
    return number;
}

static size_t bits_of(struct str number)
{
    return number.len == 0
               ? 0
               : number.len * 8 - (size_t)__builtin_clz((unsigned char)number.ptr[0]) + 24;
}

static bool is_odd(struct str number)
{
    return number.len > 0 && (number.ptr[number.len - 1] & 1);
}

enum err auth_key_set_add_rsa(struct auth_key_set *set, struct str n, struct str e, struct str kid,
                              unsigned algorithms, struct auth_error *ret_error)
{
    n = without_zeros(n);
    e = without_zeros(e);
    if (bits_of(n) < RSA_BITS_MIN || bits_of(n) > RSA_BITS_MAX)
        return auth_refuse(ret_error, "holds an RSA key of %zu bits: %d to %d are taken",
                           bits_of(n), RSA_BITS_MIN, RSA_BITS_MAX);
    /* With an exponent of 1 everybody signs. */
    if (!is_odd(n) || !is_odd(e) || bits_of(e) < 2 || e.len > EXPONENT_BYTES_MAX)
        return auth_refuse(ret_error, "holds an RSA key whose numbers cannot be right");
    cjose_jwk_rsa_keyspec spec = { .n = (uint8_t *)(uintptr_t)n.ptr,
                                   .nlen = n.len,
                                   .e = (uint8_t *)(uintptr_t)e.ptr,
                                   .elen = e.len };
    return add(set, cjose_jwk_create_RSA_spec(&spec, NULL), kid, algorithms, ret_error);
}

/* ERR_INVALID: it is not. `point`: 0x04, then both numbers. */
static enum err check_on_curve(const uint8_t point[1 + 2 * EC_BYTES])
{
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    EC_POINT *parsed = group ? EC_POINT_new(group) : NULL;
    enum err e = ERR_NOMEM;

    if (parsed)
        e = EC_POINT_oct2point(group, parsed, point, 1 + 2 * EC_BYTES, NULL) == 1 ? ERR_OK
                                                                                  : ERR_INVALID;
    EC_POINT_free(parsed);
    EC_GROUP_free(group);
    return e;
}

enum err auth_key_set_add_ec(struct auth_key_set *set, struct str x, struct str y, struct str kid,
                             struct auth_error *ret_error)
{
    uint8_t point[1 + 2 * EC_BYTES] = { POINT_CONVERSION_UNCOMPRESSED };
    uint8_t *x_at = point + 1, *y_at = x_at + EC_BYTES;

    x = without_zeros(x);
    y = without_zeros(y);
    if (x.len > EC_BYTES || y.len > EC_BYTES)
        return auth_refuse(ret_error, "holds an EC key whose numbers cannot be right");
    if (x.len > 0)
        memcpy(y_at - x.len, x.ptr, x.len);
    if (y.len > 0)
        memcpy(y_at + EC_BYTES - y.len, y.ptr, y.len);
    enum err e = check_on_curve(point);
    if (e != ERR_OK)
        return e == ERR_NOMEM
                   ? e
                   : auth_refuse(ret_error, "holds an EC key that is not a point of P-256");
    const cjose_jwk_ec_keyspec spec = {
        .crv = CJOSE_JWK_EC_P_256, .x = x_at, .xlen = EC_BYTES, .y = y_at, .ylen = EC_BYTES
    };
    return add(set, cjose_jwk_create_EC_spec(&spec, NULL), kid, AUTH_ES256, ret_error);
}

/* ---- PEM ---- */

/* Into `out`; STR_NONE when the key has no such number, or a longer one. */
static struct str number_of(const EVP_PKEY *key, const char *name, char *out, size_t size)
{
    BIGNUM *number = NULL;
    struct str result = STR_NONE;

    if (EVP_PKEY_get_bn_param(key, name, &number) == 1 && (size_t)BN_num_bytes(number) <= size)
        result = (struct str){ out, (size_t)BN_bn2bin(number, (unsigned char *)out) };
    BN_free(number);
    return result;
}

static enum err add_public(struct auth_key_set *set, const EVP_PKEY *key, struct auth_error *error)
{
    char first[RSA_BITS_MAX / 8 * 2], second[RSA_BITS_MAX / 8 * 2], group[32];
    size_t len;

    if (EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS")) {
        struct str n = number_of(key, OSSL_PKEY_PARAM_RSA_N, first, sizeof first);
        struct str e = number_of(key, OSSL_PKEY_PARAM_RSA_E, second, sizeof second);
        return auth_key_set_add_rsa(
            set, n, e, STR_NONE, EVP_PKEY_is_a(key, "RSA") ? AUTH_RS256 | AUTH_PS256 : AUTH_PS256,
            error);
    }
    if (!EVP_PKEY_is_a(key, "EC") ||
        EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group,
                                       &len) != 1 ||
        strcmp(group, "prime256v1") != 0)
        return auth_refuse(error, "holds a key that is neither RSA nor EC of the curve P-256");
    return auth_key_set_add_ec(set, number_of(key, OSSL_PKEY_PARAM_EC_PUB_X, first, sizeof first),
                               number_of(key, OSSL_PKEY_PARAM_EC_PUB_Y, second, sizeof second),
                               STR_NONE, error);
}

enum err auth_key_set_add_pem(struct auth_key_set *set, struct str pem,
                              struct auth_error *ret_error)
{
    enum err e = ERR_OK;
    size_t before = set->count;

    if (pem.len > AUTH_KEY_FILE_BYTES_MAX)
        return auth_refuse(ret_error, "is longer than %d bytes", AUTH_KEY_FILE_BYTES_MAX);
    if (memmem(pem.ptr, pem.len, "PRIVATE KEY-----", strlen("PRIVATE KEY-----")))
        return auth_refuse(ret_error, "holds a private key: the server needs the public one only "
                                      "(openssl pkey -in FILE -pubout)");
    BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    if (!bio)
        return ERR_NOMEM;
    while (e == ERR_OK) {
        EVP_PKEY *key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
        if (!key)
            break;
        e = add_public(set, key, ret_error);
        EVP_PKEY_free(key);
    }
    BIO_free(bio);
    if (e == ERR_OK && set->count == before)
        return auth_refuse(ret_error, "holds no public key (-----BEGIN PUBLIC KEY-----)");
    return e;
}
