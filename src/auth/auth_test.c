// SPDX-License-Identifier: Apache-2.0
#include "auth/auth_fixture_test.h"
#include "base/mem.h"

static const char secret[] = "0123456789abcdef0123456789abcdef";
static const char other_secret[] = "0123456789abcdef0123456789abcdeF";
enum { LEEWAY_MS = 30000 };

static struct auth_keys *new_keys(void)
{
    struct auth_keys *keys = NULL;

    assert_int_equal(auth_keys_new(str_from(secret), LEEWAY_MS, &keys), ERR_OK);
    return keys;
}

#define GOOD_HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"

static const struct {
    const char *header, *claims;
    enum auth_result want;
    int64_t user_id;
    bool has_user, admin;
} rows[] = {
    { GOOD_HEADER, "{\"sub\":\"42\"," GOOD_EXP "}", AUTH_OK, 42, true, false },
    { GOOD_HEADER, "{\"sub\":42," GOOD_EXP "}", AUTH_OK, 42, true, false },
    { GOOD_HEADER, "{\"sub\":\"9223372036854775807\"," GOOD_EXP "}", AUTH_OK, INT64_MAX, true, 0 },
    { GOOD_HEADER, "{\"sub\":\"42\",\"exp\":1772766100.5}", AUTH_OK, 42, true, false },
    { "{\"alg\":\"HS256\",\"kid\":\"x\",\"typ\":7}", "{\"sub\":\"42\"," GOOD_EXP "}", AUTH_OK, 42,
      true, false },
    { GOOD_HEADER, "{\"sub\":\"42\",\"role\":\"admin\"," GOOD_EXP "}", AUTH_OK, 42, true, true },
    { GOOD_HEADER, "{\"sub\":\"42\",\"roles\":[\"x\",\"admin\"]," GOOD_EXP "}", AUTH_OK, 42, true,
      true },
    { GOOD_HEADER, "{\"sub\":\"boss\",\"role\":\"admin\"," GOOD_EXP "}", AUTH_OK, 0, false, true },
    { GOOD_HEADER, "{\"roles\":[\"admin\"]," GOOD_EXP "}", AUTH_OK, 0, false, true },
    { GOOD_HEADER, "{\"sub\":\"42\",\"role\":[\"admin\"],\"roles\":\"admin\"," GOOD_EXP "}",
      AUTH_OK, 42, true, false },
    { GOOD_HEADER, "{\"sub\":\"42\",\"role\":\"Admin\",\"roles\":[\"admin2\"]," GOOD_EXP "}",
      AUTH_OK, 42, true, false },
    /* times; 30 s of leeway */
    { GOOD_HEADER, "{\"sub\":\"42\",\"exp\":1772765971}", AUTH_OK, 42, true, false },
    { GOOD_HEADER, "{\"sub\":\"42\",\"exp\":1772765970}", AUTH_EXPIRED, 0, 0, 0 },
    { GOOD_HEADER, "{\"sub\":\"42\",\"exp\":0}", AUTH_EXPIRED, 0, 0, 0 },
    { GOOD_HEADER, "{\"sub\":\"42\",\"nbf\":1772766030," GOOD_EXP "}", AUTH_OK, 42, true, false },
    { GOOD_HEADER, "{\"sub\":\"42\",\"nbf\":1772766031," GOOD_EXP "}", AUTH_NOT_YET, 0, 0, 0 },
    { GOOD_HEADER, "{\"sub\":\"42\"}", AUTH_MALFORMED, 0, 0, 0 },
    { GOOD_HEADER, "{\"sub\":\"42\",\"exp\":\"1772766100\"}", AUTH_MALFORMED, 0, 0, 0 },
    { GOOD_HEADER, "{\"sub\":\"42\",\"exp\":9223372036854775807}", AUTH_MALFORMED, 0, 0, 0 },
    { GOOD_HEADER, "{\"sub\":\"42\",\"exp\":1e300}", AUTH_MALFORMED, 0, 0, 0 },
    { GOOD_HEADER, "{\"sub\":\"42\",\"nbf\":\"x\"," GOOD_EXP "}", AUTH_MALFORMED, 0, 0, 0 },
    { GOOD_HEADER, "{\"sub\":\"42\",\"exp\":1,\"exp\":1772766100}", AUTH_MALFORMED, 0, 0, 0 },
    /* subjects */
    { GOOD_HEADER, "{" GOOD_EXP "}", AUTH_SUBJECT, 0, 0, 0 },
    { GOOD_HEADER, "{\"sub\":\"\"," GOOD_EXP "}", AUTH_SUBJECT, 0, 0, 0 },
    { GOOD_HEADER, "{\"sub\":\"42x\"," GOOD_EXP "}", AUTH_SUBJECT, 0, 0, 0 },
    { GOOD_HEADER, "{\"sub\":\" 42\"," GOOD_EXP "}", AUTH_SUBJECT, 0, 0, 0 },
    { GOOD_HEADER, "{\"sub\":\"9223372036854775808\"," GOOD_EXP "}", AUTH_SUBJECT, 0, 0, 0 },
    { GOOD_HEADER, "{\"sub\":42.9," GOOD_EXP "}", AUTH_SUBJECT, 0, 0, 0 },
    { GOOD_HEADER, "{\"sub\":null," GOOD_EXP "}", AUTH_SUBJECT, 0, 0, 0 },
    { GOOD_HEADER, "{\"sub\":[42]," GOOD_EXP "}", AUTH_SUBJECT, 0, 0, 0 },
    /* what is signed is not claims */
    { GOOD_HEADER, "42", AUTH_MALFORMED, 0, 0, 0 },
    { GOOD_HEADER, "[]", AUTH_MALFORMED, 0, 0, 0 },
    { GOOD_HEADER, "{\"sub\":\"42\"," GOOD_EXP "}x", AUTH_MALFORMED, 0, 0, 0 },
    /* headers; all of these have a right HS256 signature */
    { "{\"alg\":\"none\"}", "{\"sub\":\"42\"," GOOD_EXP "}", AUTH_ALGORITHM, 0, 0, 0 },
    { "{\"alg\":\"hs256\"}", "{\"sub\":\"42\"," GOOD_EXP "}", AUTH_ALGORITHM, 0, 0, 0 },
    { "{\"alg\":\"HS384\"}", "{\"sub\":\"42\"," GOOD_EXP "}", AUTH_ALGORITHM, 0, 0, 0 },
    { "{\"alg\":\"RS256\"}", "{\"sub\":\"42\"," GOOD_EXP "}", AUTH_ALGORITHM, 0, 0, 0 },
    { "{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}", "{\"sub\":\"42\"," GOOD_EXP "}",
      AUTH_ALGORITHM, 0, 0, 0 },
    { "{\"alg\":\"HS256\",\"crit\":[]}", "{\"sub\":\"42\"," GOOD_EXP "}", AUTH_ALGORITHM, 0, 0, 0 },
    { "{\"alg\":\"HS256\",\"crit\":null}", "{\"sub\":\"42\"," GOOD_EXP "}", AUTH_ALGORITHM, 0, 0,
      0 },
    { "{\"alg\":\"HS256\",\"crit\":7}", "{\"sub\":\"42\"," GOOD_EXP "}", AUTH_MALFORMED, 0, 0, 0 },
    { "{\"alg\":\"none\",\"alg\":\"HS256\"}", "{\"sub\":\"42\"," GOOD_EXP "}", AUTH_MALFORMED, 0, 0,
      0 },
    { "{\"alg\":[\"HS256\"]}", "{\"sub\":\"42\"," GOOD_EXP "}", AUTH_MALFORMED, 0, 0, 0 },
    { "{}", "{\"sub\":\"42\"," GOOD_EXP "}", AUTH_MALFORMED, 0, 0, 0 },
    { "HS256", "{\"sub\":\"42\"," GOOD_EXP "}", AUTH_MALFORMED, 0, 0, 0 },
};

/* Twice with the cache: what it remembers answers the same. */
static void test_rows(void **state)
{
    struct auth_keys *keys = new_keys();
    struct auth_cache *cache = auth_cache_new(16);

    (void)state;
    assert_non_null(cache);
    for (size_t i = 0; i < ARRAY_COUNT(rows) * 3; i++) {
        size_t r = i / 3;
        struct auth_claims claims = { .user_id = 0 };
        struct buf token = forge(rows[r].header, rows[r].claims, str_from(secret), EVP_sha256());
        enum auth_result result =
            auth_verify(keys, i % 3 ? cache : NULL, buf_str(&token), NOW_MS, &claims);
        if (result != rows[r].want || claims.user_id != rows[r].user_id ||
            claims.has_user != rows[r].has_user || claims.admin != rows[r].admin)
            fail_msg("%s %s: %s", rows[r].header, rows[r].claims, auth_result_text(result));
        buf_fini(&token);
    }
    auth_cache_free(cache);
    auth_keys_free(keys);
}

static void expect(const struct auth_keys *keys, struct str token, enum auth_result want)
{
    struct auth_claims claims;

    assert_int_equal(auth_verify(keys, NULL, token, NOW_MS, &claims), want);
}

static void test_forged(void **state)
{
    static const char claims[] = "{\"sub\":\"42\",\"role\":\"admin\"," GOOD_EXP "}";
    struct auth_keys *keys = new_keys();
    struct buf token;

    (void)state;
    token = forge(GOOD_HEADER, claims, str_from(other_secret), EVP_sha256());
    expect(keys, buf_str(&token), AUTH_SIGNATURE);
    buf_fini(&token);
    token = forge(GOOD_HEADER, claims, STR(""), EVP_sha256());
    expect(keys, buf_str(&token), AUTH_SIGNATURE);
    buf_fini(&token);
    token =
        forge(GOOD_HEADER, claims, str_from(secret), EVP_sha512()); /* longer than it should be */
    expect(keys, buf_str(&token), AUTH_SIGNATURE);
    buf_fini(&token);
    token = forge(GOOD_HEADER, claims, str_from(secret), EVP_sha1());
    expect(keys, buf_str(&token), AUTH_SIGNATURE);
    buf_fini(&token);
    token = forge("{\"alg\":\"none\"}", claims, str_from(secret), NULL);
    expect(keys, buf_str(&token), AUTH_MALFORMED);
    buf_fini(&token);
    token = forge("{\"alg\":\"none\"}", claims, str_from(secret), NULL);
    buf_char(&token, 'A');
    expect(keys, buf_str(&token), AUTH_ALGORITHM);
    buf_fini(&token);
    auth_keys_free(keys);
}

/* Every prefix, every changed character: none is good, but for the unused bits of the last one. */
static void test_mutilated(void **state)
{
    struct auth_keys *keys = new_keys();
    struct auth_cache *cache = auth_cache_new(16);
    struct buf token =
        forge(GOOD_HEADER, "{\"sub\":\"42\"," GOOD_EXP "}", str_from(secret), EVP_sha256());
    struct auth_claims claims;

    (void)state;
    assert_int_equal(auth_verify(keys, cache, buf_str(&token), NOW_MS, &claims), AUTH_OK);
    for (size_t n = 0; n < token.len; n++)
        assert_int_not_equal(
            auth_verify(keys, cache, (struct str){ token.ptr, n }, NOW_MS, &claims), AUTH_OK);
    for (size_t i = 0; i < token.len - 1; i++) {
        char was = token.ptr[i];
        for (const char *p = "AQgw09-_.= \n\"{"; *p; p++) {
            token.ptr[i] = *p;
            if (*p != was)
                assert_int_not_equal(auth_verify(keys, cache, buf_str(&token), NOW_MS, &claims),
                                     AUTH_OK);
        }
        token.ptr[i] = was;
    }
    buf_char(&token, 'A');
    assert_int_not_equal(auth_verify(keys, cache, buf_str(&token), NOW_MS, &claims), AUTH_OK);
    buf_fini(&token);
    auth_cache_free(cache);
    auth_keys_free(keys);
}

static void test_size(void **state)
{
    struct auth_keys *keys = new_keys();
    struct buf claims = { 0 };

    (void)state;
    buf_literal(&claims, "{\"sub\":\"42\"," GOOD_EXP ",\"pad\":\"");
    for (int i = 0; i < 5000; i++)
        buf_char(&claims, 'x');
    buf_literal(&claims, "\"}");
    buf_char(&claims, '\0');
    struct buf token = forge(GOOD_HEADER, claims.ptr, str_from(secret), EVP_sha256());
    assert_true(token.len <= AUTH_TOKEN_BYTES_MAX);
    expect(keys, buf_str(&token), AUTH_OK);
    buf_fini(&token);

    claims.len -= 3;
    for (int i = 0; i < 2000; i++)
        buf_char(&claims, 'x');
    buf_literal(&claims, "\"}");
    buf_char(&claims, '\0');
    token = forge(GOOD_HEADER, claims.ptr, str_from(secret), EVP_sha256());
    assert_true(token.len > AUTH_TOKEN_BYTES_MAX);
    expect(keys, buf_str(&token), AUTH_MALFORMED);
    buf_fini(&token);
    buf_fini(&claims);

    char *huge = mem_alloc(10 << 20);
    memset(huge, 'A', 10 << 20);
    huge[100] = huge[200] = '.';
    expect(keys, (struct str){ huge, 10 << 20 }, AUTH_MALFORMED);
    mem_free(huge);
    expect(keys, STR_NONE, AUTH_MALFORMED);
    expect(keys, STR(".."), AUTH_MALFORMED);
    expect(keys, STR("a.b.c"), AUTH_MALFORMED);
    expect(keys, STR("a.b.c.d.e"), AUTH_MALFORMED);
    auth_keys_free(keys);
}

static void test_sign(void **state)
{
    struct auth_keys *keys = new_keys(), *short_keys = NULL;
    struct auth_claims claims;
    struct buf token = { 0 };

    (void)state;
    assert_int_equal(auth_keys_new(STR("0123456789abcdef0123456789abcde"), 0, &short_keys),
                     ERR_INVALID);
    assert_int_equal(auth_sign(keys, -7, true, NOW_MS, 3600, &token), ERR_OK);
    assert_int_equal(auth_verify(keys, NULL, buf_str(&token), NOW_MS, &claims), AUTH_OK);
    assert_true(claims.user_id == -7 && claims.has_user && claims.admin);
    assert_int_equal(claims.expires_ms, (NOW_MS / 1000 + 3600) * 1000);
    assert_int_equal(
        auth_verify(keys, NULL, buf_str(&token), claims.expires_ms + LEEWAY_MS - 1, &claims),
        AUTH_OK);
    assert_int_equal(
        auth_verify(keys, NULL, buf_str(&token), claims.expires_ms + LEEWAY_MS, &claims),
        AUTH_EXPIRED);
    buf_fini(&token);
    auth_keys_free(keys);
}

/* More tokens than fit, again and again: bounded, and never a wrong user. */
static void test_cache(void **state)
{
    struct auth_keys *keys = new_keys();
    struct auth_cache *cache = auth_cache_new(16);
    struct buf tokens[100] = { { 0 } };
    struct auth_claims claims;
    long live = 0;

    (void)state;
    for (int i = 0; i < 100; i++)
        assert_int_equal(auth_sign(keys, i, false, NOW_MS, 60 + i, &tokens[i]), ERR_OK);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 100; i++) {
            assert_int_equal(auth_verify(keys, cache, buf_str(&tokens[i]), NOW_MS, &claims),
                             AUTH_OK);
            assert_int_equal(claims.user_id, i);
        }
        assert_true(round == 0 || mem_live_count() == live);
        live = mem_live_count();
    }
    /* remembered or not, they expire */
    for (int i = 0; i < 100; i++) {
        int64_t late = (NOW_MS / 1000 + 60 + i) * 1000 + LEEWAY_MS;
        assert_int_equal(auth_verify(keys, cache, buf_str(&tokens[i]), late, &claims),
                         AUTH_EXPIRED);
        buf_fini(&tokens[i]);
    }
    auth_cache_free(cache);
    auth_keys_free(keys);
}

static void test_bearer(void **state)
{
    static const struct {
        const char *field, *token;
    } fields[] = {
        { "Bearer abc", "abc" }, { "bearer  abc ", "abc" }, { "BEARER a b", "a b" },
        { "Bearer", NULL },      { "Bearer ", NULL },       { "Bearer   ", NULL },
        { "Bearerabc", NULL },   { "Basic abc", NULL },     { "", NULL },
        { "Bearer\tabc", NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(fields); i++) {
        struct str token = STR_NONE;
        assert_int_equal(auth_bearer(str_from(fields[i].field), &token), fields[i].token != NULL);
        if (fields[i].token)
            assert_true(str_equal(token, str_from(fields[i].token)));
    }
}

/* Every allocation of ours failed in turn: no answer but "could not look", nothing leaks. */
static void test_no_memory(void **state)
{
    struct auth_keys *keys = new_keys();
    struct buf token = { 0 };
    struct auth_claims claims;
    int hits = 1;

    (void)state;
    assert_int_equal(auth_sign(keys, 42, false, NOW_MS, 3600, &token), ERR_OK);
    long live = mem_live_count();
    for (int after = 0; hits > 0; after++) {
        mem_fault_set(after);
        enum auth_result result = auth_verify(keys, NULL, buf_str(&token), NOW_MS, &claims);
        hits = mem_fault_hits();
        mem_fault_set(-1);
        assert_int_equal(result, hits > 0 ? AUTH_NOMEM : AUTH_OK);
        assert_int_equal(mem_live_count(), live);
    }
    hits = 1;
    for (int after = 0; hits > 0; after++) {
        struct auth_keys *made = NULL;
        struct auth_cache *cache;
        mem_fault_set(after);
        enum err err = auth_keys_new(str_from(secret), 0, &made);
        cache = auth_cache_new(4);
        hits = mem_fault_hits();
        mem_fault_set(-1);
        assert_true(hits > 0 || (err == ERR_OK && cache));
        auth_keys_free(made);
        auth_cache_free(cache);
        assert_int_equal(mem_live_count(), live);
    }
    buf_fini(&token);
    auth_keys_free(keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),      cmocka_unit_test(test_forged),
        cmocka_unit_test(test_mutilated), cmocka_unit_test(test_size),
        cmocka_unit_test(test_sign),      cmocka_unit_test(test_cache),
        cmocka_unit_test(test_bearer),    cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests_name("auth", tests, NULL, NULL);
}
