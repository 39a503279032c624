// SPDX-License-Identifier: Apache-2.0
/* Keys and tokens made with OpenSSL alone, without the code under test. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "auth/auth.h"

#define NOW_MS INT64_C(1772766000500)
#define GOOD_EXP "\"exp\":1772766100"

static inline void append_base64url(struct buf *buf, const void *bytes, size_t n)
{
    char text[16384];
    size_t len = (size_t)EVP_EncodeBlock((unsigned char *)text, bytes, (int)n);

    for (size_t i = 0; i < len && text[i] != '='; i++)
        buf_char(buf, (char)(text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i]));
}

/* "header.claims." */
static inline struct buf unsigned_token(const char *header, const char *claims)
{
    struct buf token = { 0 };

    append_base64url(&token, header, strlen(header));
    buf_char(&token, '.');
    append_base64url(&token, claims, strlen(claims));
    return token;
}

/* digest NULL: an empty signature. */
static inline struct buf forge(const char *header, const char *claims, struct str key,
                               const EVP_MD *digest)
{
    struct buf token = unsigned_token(header, claims);
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned mac_len = 0;

    if (digest)
        HMAC(digest, key.ptr, (int)key.len, (const unsigned char *)token.ptr, token.len, mac,
             &mac_len);
    buf_char(&token, '.');
    append_base64url(&token, mac, mac_len);
    assert_true(buf_ok(&token));
    return token;
}

/* ECDSA as JWS has it: both numbers, 32 bytes each. */
static inline size_t raw_from_der(unsigned char *sig, size_t len)
{
    const unsigned char *at = sig;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)len);

    assert_non_null(pair);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(pair), sig, 32), 32);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(pair), sig + 32, 32), 32);
    ECDSA_SIG_free(pair);
    return 64;
}

/* Signed with a private key: PKCS #1 v1.5, or PSS with salt as long as the digest, or ECDSA. */
static inline struct buf sign_with(EVP_PKEY *key, bool pss, const char *header, const char *claims)
{
    struct buf token = unsigned_token(header, claims);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *options;
    unsigned char sig[2048];
    size_t len = sizeof sig;

    assert_int_equal(EVP_DigestSignInit(ctx, &options, EVP_sha256(), NULL, key), 1);
    if (pss) {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST), 1);
    }
    assert_int_equal(EVP_DigestSign(ctx, sig, &len, (const unsigned char *)token.ptr, token.len),
                     1);
    EVP_MD_CTX_free(ctx);
    if (EVP_PKEY_is_a(key, "EC"))
        len = raw_from_der(sig, len);
    buf_char(&token, '.');
    append_base64url(&token, sig, len);
    return token;
}

/* ---- keys as files hold them ---- */

static inline struct buf pem_of(EVP_PKEY *key, bool private)
{
    struct buf out = { 0 };
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;

    assert_int_equal(private ? PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)
                             : PEM_write_bio_PUBKEY(bio, key),
                     1);
    long len = BIO_get_mem_data(bio, &text);
    buf_bytes(&out, text, (size_t)len);
    BIO_free(bio);
    return out;
}

static inline void append_number(struct buf *out, EVP_PKEY *key, const char *name)
{
    unsigned char bytes[2048];
    BIGNUM *number = NULL;

    assert_int_equal(EVP_PKEY_get_bn_param(key, name, &number), 1);
    append_base64url(out, bytes, (size_t)BN_bn2bin(number, bytes));
    BN_free(number);
}

/* One entry of a key set; `more`: further members, each with a comma before it. */
static inline void append_jwk(struct buf *out, EVP_PKEY *key, const char *more)
{
    bool rsa = EVP_PKEY_is_a(key, "RSA");

    if (out->len == 0) {
        buf_literal(out, "{\"keys\":[");
    } else {
        out->len -= 2; /* the end of a set with one key less */
        buf_char(out, ',');
    }
    buf_printf(out,
               rsa ? "{\"kty\":\"RSA\",\"n\":\"" : "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"");
    append_number(out, key, rsa ? OSSL_PKEY_PARAM_RSA_N : OSSL_PKEY_PARAM_EC_PUB_X);
    buf_printf(out, rsa ? "\",\"e\":\"" : "\",\"y\":\"");
    append_number(out, key, rsa ? OSSL_PKEY_PARAM_RSA_E : OSSL_PKEY_PARAM_EC_PUB_Y);
    buf_printf(out, "\"%s}]}", more);
    assert_true(buf_ok(out));
}
