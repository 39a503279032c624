// SPDX-License-Identifier: Apache-2.0
/* Every kind of key, every algorithm with every key, and keys that are replaced. */
#include <pthread.h>
#include <stdatomic.h>

#include "auth/auth_fixture_test.h"
#include "base/mem.h"

static const char secret[] = "0123456789abcdef0123456789abcdef";
static EVP_PKEY *rsa, *other_rsa, *weak_rsa, *ec, *other_ec, *p384;

static int make_keys(void **state)
{
    (void)state;
    rsa = EVP_RSA_gen(2048);
    other_rsa = EVP_RSA_gen(2048);
    weak_rsa = EVP_RSA_gen(1024);
    ec = EVP_EC_gen("P-256");
    other_ec = EVP_EC_gen("P-256");
    p384 = EVP_EC_gen("P-384");
    return !rsa || !other_rsa || !weak_rsa || !ec || !other_ec || !p384;
}

static int free_keys(void **state)
{
    EVP_PKEY *const all[] = { rsa, other_rsa, weak_rsa, ec, other_ec, p384 };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(all); i++)
        EVP_PKEY_free(all[i]);
    return 0;
}

static struct auth_keys *keys_of(struct str secret_text, struct str pem, struct str jwks)
{
    struct auth_source source = { secret_text, pem, jwks };
    struct auth_keys *keys = NULL;
    struct auth_error error = { .text = "no memory" };

    if (auth_keys_open(&source, 0, &keys, &error) != ERR_OK)
        fail_msg("%s", error.text);
    return keys;
}

static enum auth_result verdict(const struct auth_keys *keys, struct auth_cache *cache,
                                struct buf token)
{
    struct auth_claims claims = { .user_id = 0 };
    enum auth_result result = auth_verify(keys, cache, buf_str(&token), NOW_MS, &claims);

    assert_int_equal(claims.user_id, result == AUTH_OK ? 42 : 0);
    return result;
}

/* ---- algorithms and keys ---- */

enum maker { BY_SECRET, BY_RSA, BY_PSS, BY_EC, BY_OTHER_RSA, BY_OTHER_PSS, BY_OTHER_EC, MAKERS };
static const char *const maker_names[] = { "HMAC",           "RSA",           "PSS",
                                           "ECDSA",          "another's RSA", "another's PSS",
                                           "another's ECDSA" };
static const char *const algorithms[] = { "HS256", "RS256", "PS256", "ES256", "none",  "HS384",
                                          "RS384", "RS512", "PS384", "ES384", "EdDSA", "hs256" };

/* Signed by `maker`, saying that it was `algorithm`. `kid`: ",\"kid\":…" or "". */
static struct buf made(enum maker maker, const char *algorithm, const char *kid)
{
    static const char claims[] = "{\"sub\":\"42\"," GOOD_EXP "}";
    EVP_PKEY *const keys[] = { NULL, rsa, rsa, ec, other_rsa, other_rsa, other_ec };
    char header[200];

    snprintf(header, sizeof header, "{\"alg\":\"%s\"%s}", algorithm, kid);
    if (maker == BY_SECRET)
        return forge(header, claims, str_from(secret), EVP_sha256());
    return sign_with(keys[maker], maker == BY_PSS || maker == BY_OTHER_PSS, header, claims);
}

/* Only what a key made, and says that it made, with an algorithm that the key is for. */
static void check_all(const struct auth_keys *keys, unsigned makers, const char *what)
{
    struct auth_cache *cache = auth_cache_new(64);

    for (enum maker maker = 0; maker < MAKERS; maker++)
        for (size_t a = 0; a < ARRAY_COUNT(algorithms); a++) {
            struct buf token = made(maker, algorithms[a], "");
            bool good = a == maker && (makers >> maker & 1);
            for (int again = 0; again < 2; again++)
                if ((verdict(keys, cache, token) == AUTH_OK) != good)
                    fail_msg("%s: %s as %s is %s", what, maker_names[maker], algorithms[a],
                             good ? "refused" : "taken");
            buf_fini(&token);
        }
    auth_cache_free(cache);
}

static void test_every_algorithm_and_key(void **state)
{
    struct buf rsa_pem = pem_of(rsa, false), ec_pem = pem_of(ec, false), both = { 0 }, set = { 0 };
    const unsigned hs = 1 << BY_SECRET, rs = 1 << BY_RSA, ps = 1 << BY_PSS, es = 1 << BY_EC;
    struct auth_keys *keys;

    (void)state;
    keys = keys_of(str_from(secret), STR_NONE, STR_NONE);
    check_all(keys, hs, "a secret");
    auth_keys_free(keys);
    keys = keys_of(STR_NONE, buf_str(&rsa_pem), STR_NONE);
    check_all(keys, rs | ps, "an RSA key");
    auth_keys_free(keys);
    keys = keys_of(STR_NONE, buf_str(&ec_pem), STR_NONE);
    check_all(keys, es, "an EC key");
    auth_keys_free(keys);
    buf_str_append(&both, buf_str(&rsa_pem));
    buf_str_append(&both, buf_str(&ec_pem));
    keys = keys_of(str_from(secret), buf_str(&both), STR_NONE);
    assert_int_equal(auth_keys_count(keys), 3);
    check_all(keys, hs | rs | ps | es, "all of them");
    auth_keys_free(keys);
    append_jwk(&set, rsa, ",\"alg\":\"PS256\",\"use\":\"sig\"");
    append_jwk(&set, ec, ",\"key_ops\":[\"verify\"],\"x5t\":7");
    keys = keys_of(STR_NONE, STR_NONE, buf_str(&set));
    check_all(keys, ps | es, "a key set");
    auth_keys_free(keys);
    keys = keys_of(str_from(secret), buf_str(&rsa_pem), buf_str(&set));
    assert_int_equal(auth_keys_count(keys), 4);
    check_all(keys, hs | rs | ps | es, "three sources");
    auth_keys_free(keys);
    buf_fini(&rsa_pem);
    buf_fini(&ec_pem);
    buf_fini(&both);
    buf_fini(&set);
}

/* What everybody may know, the public key's own bytes, is nobody's secret. */
static void test_confusion(void **state)
{
    static const char claims[] = "{\"sub\":\"42\",\"role\":\"admin\"," GOOD_EXP "}";
    struct buf pem = pem_of(rsa, false), set = { 0 };
    struct auth_claims out;

    (void)state;
    append_jwk(&set, rsa, "");
    struct auth_keys *all[] = { keys_of(STR_NONE, buf_str(&pem), STR_NONE),
                                keys_of(str_from(secret), buf_str(&pem), buf_str(&set)) };
    const struct str guesses[] = { buf_str(&pem), { pem.ptr, pem.len - 1 }, buf_str(&set) };
    for (size_t k = 0; k < ARRAY_COUNT(all); k++) {
        for (size_t g = 0; g < ARRAY_COUNT(guesses); g++)
            for (size_t a = 0; a < 4; a++) {
                char header[100];
                snprintf(header, sizeof header, "{\"alg\":\"%s\"}", algorithms[a]);
                struct buf token = forge(header, claims, guesses[g], EVP_sha256());
                assert_int_not_equal(auth_verify(all[k], NULL, buf_str(&token), NOW_MS, &out),
                                     AUTH_OK);
                buf_fini(&token);
            }
        auth_keys_free(all[k]);
    }
    buf_fini(&pem);
    buf_fini(&set);
}

static void test_kid(void **state)
{
    static const struct {
        enum maker maker;
        const char *kid;
        enum auth_result want;
    } rows[] = {
        { BY_RSA, ",\"kid\":\"first\"", AUTH_OK },
        { BY_OTHER_RSA, ",\"kid\":\"second\"", AUTH_OK },
        { BY_RSA, "", AUTH_OK },
        { BY_OTHER_RSA, "", AUTH_OK },
        { BY_OTHER_RSA, ",\"kid\":null", AUTH_OK },
        { BY_RSA, ",\"kid\":\"second\"", AUTH_SIGNATURE },
        { BY_OTHER_RSA, ",\"kid\":\"first\"", AUTH_SIGNATURE },
        { BY_RSA, ",\"kid\":\"third\"", AUTH_KEY },
        { BY_RSA, ",\"kid\":\"\"", AUTH_KEY },
        { BY_RSA, ",\"kid\":\"First\"", AUTH_KEY },
        { BY_RSA, ",\"kid\":7", AUTH_MALFORMED },
        { BY_RSA, ",\"kid\":\"first\",\"kid\":\"first\"", AUTH_MALFORMED },
        { BY_RSA, ",\"kid\":\"first\",\"crit\":[\"kid\"]", AUTH_ALGORITHM },
    };
    struct buf set = { 0 };

    (void)state;
    append_jwk(&set, rsa, ",\"kid\":\"first\"");
    append_jwk(&set, other_rsa, ",\"kid\":\"second\"");
    struct auth_keys *keys = keys_of(STR_NONE, STR_NONE, buf_str(&set));
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct buf token = made(rows[i].maker, "RS256", rows[i].kid);
        enum auth_result result = verdict(keys, NULL, token);
        if (result != rows[i].want)
            fail_msg("%s by %s: %s", rows[i].kid, maker_names[rows[i].maker],
                     auth_result_text(result));
        buf_fini(&token);
    }
    struct buf token = made(BY_EC, "ES256", ",\"kid\":\"first\"");
    assert_int_equal(verdict(keys, NULL, token), AUTH_ALGORITHM);
    buf_fini(&token);
    buf_fini(&set);
    auth_keys_free(keys);
}

/* A key that its set gives to one algorithm is not used for another, though it could be. */
static void test_one_algorithm(void **state)
{
    struct buf set = { 0 }, token;

    (void)state;
    append_jwk(&set, rsa, ",\"alg\":\"PS256\"");
    append_jwk(&set, other_rsa, ",\"alg\":\"RS256\"");
    struct auth_keys *keys = keys_of(STR_NONE, STR_NONE, buf_str(&set));
    static const struct {
        enum maker maker;
        const char *algorithm;
        enum auth_result want;
    } rows[] = {
        { BY_PSS, "PS256", AUTH_OK },
        { BY_OTHER_RSA, "RS256", AUTH_OK },
        { BY_RSA, "RS256", AUTH_SIGNATURE },
        { BY_OTHER_PSS, "PS256", AUTH_SIGNATURE },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        token = made(rows[i].maker, rows[i].algorithm, "");
        assert_int_equal(verdict(keys, NULL, token), rows[i].want);
        buf_fini(&token);
    }
    buf_fini(&set);
    auth_keys_free(keys);
}

/* Every changed character and every length of a signature. */
static void test_mutilated(void **state)
{
    static const enum maker makers[] = { BY_RSA, BY_PSS, BY_EC };
    struct buf both = pem_of(rsa, false), ec_pem = pem_of(ec, false);
    struct auth_claims claims;

    (void)state;
    buf_str_append(&both, buf_str(&ec_pem));
    struct auth_keys *keys = keys_of(STR_NONE, buf_str(&both), STR_NONE);
    for (size_t m = 0; m < ARRAY_COUNT(makers); m++) {
        struct buf token = made(makers[m], algorithms[makers[m]], "");
        assert_int_equal(verdict(keys, NULL, token), AUTH_OK);
        for (size_t i = 0; i < token.len - 1; i += 1 + i % 3) {
            char was = token.ptr[i];
            token.ptr[i] = was == 'A' ? 'B' : 'A';
            assert_int_not_equal(auth_verify(keys, NULL, buf_str(&token), NOW_MS, &claims),
                                 AUTH_OK);
            token.ptr[i] = was;
        }
        size_t dot = token.len;
        while (token.ptr[dot - 1] != '.')
            dot--;
        for (size_t n = dot; n < token.len; n++)
            assert_int_not_equal(
                auth_verify(keys, NULL, (struct str){ token.ptr, n }, NOW_MS, &claims), AUTH_OK);
        /* numbers of nought */
        memset(token.ptr + dot, 'A', token.len - dot);
        assert_int_not_equal(auth_verify(keys, NULL, buf_str(&token), NOW_MS, &claims), AUTH_OK);
        buf_fini(&token);
    }
    auth_keys_free(keys);
    buf_fini(&both);
    buf_fini(&ec_pem);
}

/* ---- what is not a key ---- */

static void refuse(struct str secret_text, struct str pem, struct str jwks, const char *why)
{
    struct auth_source source = { secret_text, pem, jwks };
    struct auth_keys *keys = NULL;
    struct auth_error error = { .text = "" };

    if (auth_keys_open(&source, 0, &keys, &error) != ERR_INVALID)
        fail_msg("not refused: %s", why);
    if (!strstr(error.text, why))
        fail_msg("\"%s\" does not say \"%s\"", error.text, why);
}

static void refuse_jwks(const char *text, const char *why)
{
    refuse(STR_NONE, STR_NONE, str_from(text), why);
}

static void test_refused_pem(void **state)
{
    EVP_PKEY *const keys[] = { weak_rsa, p384, rsa, ec };
    static const char *const whys[] = { "1024 bits", "P-256", "private", "private" };

    (void)state;
    refuse(STR("too short"), STR_NONE, STR_NONE, "at least 32");
    refuse(STR_NONE, STR(""), STR_NONE, "no public key");
    refuse(STR_NONE, STR("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"), STR_NONE,
           "no public key");
    refuse(STR_NONE, STR_NONE, STR_NONE, "no key");
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        struct buf good = pem_of(other_rsa, false), pem = pem_of(keys[i], i >= 2);
        refuse(STR_NONE, buf_str(&pem), STR_NONE, whys[i]);
        buf_str_append(&good, buf_str(&pem)); /* nor behind a good one */
        refuse(STR_NONE, buf_str(&good), STR_NONE, whys[i]);
        buf_fini(&pem);
        buf_fini(&good);
    }
}

static void test_refused_jwks(void **state)
{
    struct buf set = { 0 };

    (void)state;
    refuse_jwks("", "not a JSON Web Key Set");
    refuse_jwks("{}", "keys is missing");
    refuse_jwks("[]", "not a JSON Web Key Set");
    refuse_jwks("{\"keys\":7}", "keys must");
    refuse_jwks("{\"keys\":[]}", "no key for signatures");
    refuse_jwks("{\"keys\":[{}]}", "keys[0].kty");
    refuse_jwks("{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\"}]}", "no key for");
    refuse_jwks(
        "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}]}",
        "symmetric");
    refuse_jwks("{\"keys\":[{\"kty\":\"RSA\",\"e\":\"AQAB\"}]}", "missing or not base64url");
    refuse_jwks("{\"keys\":[{\"kty\":\"RSA\",\"n\":\"A+/=\",\"e\":\"AQAB\"}]}", "not base64url");
    refuse_jwks("{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AAAA\",\"e\":\"AQAB\"}]}",
                "RSA key of 0 bits");
    refuse_jwks("{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"AAAA\"}]}",
                "not a point");
    refuse_jwks("{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AQ\",\"y\":\"AQ\"}]}",
                "not a point");
    append_jwk(&set, rsa, "");
    append_jwk(&set, weak_rsa, "");
    refuse(STR_NONE, STR_NONE, buf_str(&set), "keys[1] holds an RSA key of 1024 bits");
    buf_reset(&set);
    append_jwk(&set, rsa, ",\"d\":\"AAAA\"");
    refuse(STR_NONE, STR_NONE, buf_str(&set), "private");
    buf_reset(&set);
    append_jwk(&set, rsa, ",\"use\":\"enc\"");
    append_jwk(&set, ec, ",\"alg\":\"ES384\"");
    append_jwk(&set, rsa, ",\"key_ops\":[\"encrypt\"]");
    append_jwk(&set, rsa, ",\"alg\":\"HS256\"");
    refuse(STR_NONE, STR_NONE, buf_str(&set), "no key for signatures");
    buf_reset(&set);
    for (int i = 0; i < AUTH_KEYS_MAX + 1; i++)
        append_jwk(&set, ec, "");
    refuse(STR_NONE, STR_NONE, buf_str(&set), "more than 32");
    buf_fini(&set);
}

/* An exponent of 1 leaves the message as it is. */
static void test_exponent(void **state)
{
    struct buf set = { 0 };

    (void)state;
    append_jwk(&set, rsa, "");
    char *e = strstr(set.ptr, "AQAB");
    assert_non_null(e);
    e[1] = 'A';
    refuse(STR_NONE, STR_NONE, buf_str(&set), "cannot be right");
    e[1] = 'Q';
    e[3] = 'A';
    refuse(STR_NONE, STR_NONE, buf_str(&set), "cannot be right");
    buf_fini(&set);
}

/* ---- keys that are replaced ---- */

static void test_replace(void **state)
{
    struct buf first = { 0 }, second = { 0 };
    struct auth_cache *cache = auth_cache_new(64);
    struct buf by_rsa = made(BY_RSA, "RS256", ""), by_ec = made(BY_EC, "ES256", "");
    struct auth_error error;

    (void)state;
    append_jwk(&first, rsa, "");
    append_jwk(&second, ec, "");
    struct auth_keys *keys = keys_of(STR_NONE, STR_NONE, buf_str(&first));
    assert_int_equal(verdict(keys, cache, by_rsa), AUTH_OK);
    assert_int_equal(verdict(keys, cache, by_ec), AUTH_ALGORITHM);
    /* nothing good: as it was */
    struct auth_source bad = { .jwks = STR("{\"keys\":[]}") };
    assert_int_equal(auth_keys_replace(keys, &bad, &error), ERR_INVALID);
    assert_int_equal(verdict(keys, cache, by_rsa), AUTH_OK);
    /* what was remembered does not count any more */
    struct auth_source next = { .jwks = buf_str(&second) };
    assert_int_equal(auth_keys_replace(keys, &next, &error), ERR_OK);
    assert_int_equal(verdict(keys, cache, by_rsa), AUTH_ALGORITHM);
    assert_int_equal(verdict(keys, cache, by_ec), AUTH_OK);
    assert_int_equal(verdict(keys, cache, by_ec), AUTH_OK);
    struct auth_source back = { .jwks = buf_str(&first) };
    assert_int_equal(auth_keys_replace(keys, &back, &error), ERR_OK);
    assert_int_equal(verdict(keys, cache, by_rsa), AUTH_OK);
    assert_int_equal(verdict(keys, cache, by_ec), AUTH_ALGORITHM);
    struct buf out = { 0 };
    assert_int_equal(auth_sign(keys, 1, false, NOW_MS, 1, &out), ERR_NOT_FOUND);
    buf_fini(&out);
    buf_fini(&by_rsa);
    buf_fini(&by_ec);
    buf_fini(&first);
    buf_fini(&second);
    auth_cache_free(cache);
    auth_keys_free(keys);
}

struct reader {
    const struct auth_keys *keys;
    struct buf tokens[2];
    _Atomic bool stop, failed;
};

/* One of both is good at any time; neither is ever anything but good or of an unknown algorithm. */
static void *read_on(void *context)
{
    struct reader *reader = context;
    struct auth_cache *cache = auth_cache_new(16);
    struct auth_claims claims;

    while (!atomic_load(&reader->stop))
        for (int i = 0; i < 2; i++) {
            enum auth_result result =
                auth_verify(reader->keys, cache, buf_str(&reader->tokens[i]), NOW_MS, &claims);
            if (result != AUTH_OK && result != AUTH_ALGORITHM)
                atomic_store(&reader->failed, true);
        }
    auth_cache_free(cache);
    return NULL;
}

static void test_threads(void **state)
{
    struct buf sets[2] = { { 0 }, { 0 } };
    struct reader reader = { .tokens = { made(BY_RSA, "RS256", ""), made(BY_EC, "ES256", "") } };
    struct auth_error error;
    pthread_t threads[3];

    (void)state;
    append_jwk(&sets[0], rsa, "");
    append_jwk(&sets[1], ec, "");
    struct auth_keys *keys = keys_of(STR_NONE, STR_NONE, buf_str(&sets[0]));
    reader.keys = keys;
    for (size_t i = 0; i < ARRAY_COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &reader), 0);
    for (int i = 1; i <= 500; i++) {
        struct auth_source source = { .jwks = buf_str(&sets[i % 2]) };
        assert_int_equal(auth_keys_replace(keys, &source, &error), ERR_OK);
    }
    atomic_store(&reader.stop, true);
    for (size_t i = 0; i < ARRAY_COUNT(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_false(reader.failed);
    auth_keys_free(keys);
    for (int i = 0; i < 2; i++) {
        buf_fini(&sets[i]);
        buf_fini(&reader.tokens[i]);
    }
}

/* Every allocation of ours failed in turn. */
static void test_no_memory(void **state)
{
    struct buf set = { 0 }, pem = pem_of(rsa, false), token = made(BY_EC, "ES256", "");
    int hits = 1;

    (void)state;
    append_jwk(&set, ec, ",\"kid\":\"k\"");
    struct auth_source source = { str_from(secret), buf_str(&pem), buf_str(&set) };
    long live = mem_live_count();
    for (int after = 0; hits > 0; after++) {
        struct auth_keys *keys = NULL;
        struct auth_error error;
        mem_fault_set(after);
        enum err opened = auth_keys_open(&source, 0, &keys, &error),
                 replaced = keys ? auth_keys_replace(keys, &source, &error) : ERR_NOMEM;
        hits = mem_fault_hits();
        mem_fault_set(-1);
        assert_true(opened == ERR_OK || opened == ERR_NOMEM);
        assert_int_equal(replaced, hits > 0 ? ERR_NOMEM : ERR_OK);
        if (keys)
            assert_int_equal(verdict(keys, NULL, token), AUTH_OK);
        auth_keys_free(keys);
        assert_int_equal(mem_live_count(), live);
    }
    buf_fini(&set);
    buf_fini(&pem);
    buf_fini(&token);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_algorithm_and_key),
        cmocka_unit_test(test_confusion),
        cmocka_unit_test(test_kid),
        cmocka_unit_test(test_one_algorithm),
        cmocka_unit_test(test_mutilated),
        cmocka_unit_test(test_refused_pem),
        cmocka_unit_test(test_refused_jwks),
        cmocka_unit_test(test_exponent),
        cmocka_unit_test(test_replace),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests_name("auth_keys", tests, make_keys, free_keys);
}
