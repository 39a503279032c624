// SPDX-License-Identifier: Apache-2.0
/* What may stand before the routes: trusted proxies, limits, pages of other origins. */
#include "api/api_ask_test.h"
#include "api/api_policy.h"

static void configure(const char *proxies, const char *origins, int64_t user_burst,
                      int64_t address_burst)
{
    struct config_error error;

    whole.config.http_trusted_proxies = proxies;
    whole.config.cors_origins = origins;
    whole.config.limit_user_rate = user_burst > 0;
    whole.config.limit_user_burst = user_burst;
    whole.config.limit_address_rate = address_burst > 0;
    whole.config.limit_address_burst = address_burst;
    whole.api.policy = api_policy_free(whole.api.policy);
    if (api_policy_new(&whole.config, &whole.api.policy, &error) != ERR_OK)
        fail_msg("%s", error.text);
}

static int close_policy(void **state)
{
    whole.api.policy = api_policy_free(whole.api.policy);
    return close_it(state);
}

static struct answer ask(const char *from, const char *method, const char *path, const char *fields)
{
    char request[2000];

    snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: shop\r\n%s\r\n", method, path,
             fields);
    return whole_ask_from(from, str_from(request));
}

static void expect_field(const struct answer *answer, const char *name, const char *want)
{
    struct str got = answer_field(answer->head, name);

    if (want ? !str_equal(got, str_from(want)) : got.len > 0)
        fail_msg("%s: \"%s\", wanted \"%s\"", name, text_of(got), want ? want : "(none)");
}

static void test_off(void **state)
{
    (void)state;
    configure("", "", 0, 0);
    assert_null(whole.api.policy);
    struct answer answer =
        ask("203.0.113.1", "GET", "/api/coupons",
            "Origin: https://shop.example\r\nForwarded: nonsense\r\nX-Forwarded-For: \"\r\n");
    assert_int_equal(answer.status, 200);
    expect_field(&answer, "Vary", NULL);
    expect_field(&answer, "Access-Control-Allow-Origin", NULL);
    expect_field(&answer, "RateLimit", NULL);
}

static void test_refused_configuration(void **state)
{
    static const struct {
        const char *proxies, *origins, *why;
    } rows[] = {
        { "10.0.0.0/8 proxy.example", "", "\"proxy.example\" is no address or network" },
        { "", "https://shop.example/", "without a path" },
        { "", "shop.example", "\"shop.example\" is no origin" },
        { "", "null", "is no origin" },
        { "", "https://Shop.example", "is no origin" },
        { "", "https://", "is no origin" },
        { "", "://x", "is no origin" },
        { "", "https://a@b", "is no origin" },
        { "", "*, https://shop.example", "stands alone" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct api_policy *policy = NULL;
        struct config_error error = { "" };
        whole.config.http_trusted_proxies = rows[i].proxies;
        whole.config.cors_origins = rows[i].origins;
        assert_int_equal(api_policy_new(&whole.config, &policy, &error), ERR_INVALID);
        if (!strstr(error.text, rows[i].why))
            fail_msg("\"%s\" does not say \"%s\"", error.text, rows[i].why);
        assert_null(policy);
    }
}

/* ---- proxies ---- */

/* Administration, which in profile test is for loopback. */
static void test_proxies(void **state)
{
    static const struct {
        const char *from, *fields;
        unsigned status;
    } rows[] = {
        { "127.0.0.1", "", 200 },
        { "127.0.0.1", "X-Forwarded-For: 203.0.113.1\r\n", 403 },
        { "127.0.0.1", "Forwarded: for=203.0.113.1\r\n", 403 },
        { "127.0.0.1", "X-Forwarded-For: 127.0.0.1, 203.0.113.1\r\n", 403 },
        { "127.0.0.1", "X-Forwarded-For: 203.0.113.1, 127.0.0.1\r\n", 403 },
        { "127.0.0.1", "X-Forwarded-For: 127.0.0.1\r\n", 200 },
        { "127.0.0.1", "Forwarded: for=unknown\r\n", 403 },
        { "127.0.0.1", "Forwarded: for=\r\n", 400 },
        { "127.0.0.1", "X-Forwarded-For: nonsense\r\n", 400 },
        { "127.0.0.1", "X-Forwarded-For: 203.0.113.1\r\nForwarded: for=127.0.0.1\r\n", 400 },
        { "192.0.2.1", "X-Forwarded-For: 127.0.0.1\r\n", 200 },
        { "192.0.2.1", "", 403 },
        { "203.0.113.1", "X-Forwarded-For: 127.0.0.1\r\n", 403 }, /* not a proxy of ours */
        { "203.0.113.1", "Forwarded: for=127.0.0.1\r\n", 403 },
        { "203.0.113.1", "Forwarded: nonsense\r\n", 403 },
    };

    (void)state;
    configure("127.0.0.1, 192.0.2.0/24", "", 0, 0);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct answer answer = ask(rows[i].from, "GET", "/api/admin/coupons", rows[i].fields);
        if (answer.status != rows[i].status)
            fail_msg("%s %s: %u, wanted %u", rows[i].from, rows[i].fields, answer.status,
                     rows[i].status);
        if (answer.status == 400)
            assert_problem(&answer, "INVALID_INPUT", rows[i].fields);
    }
}

/* ---- limits ---- */

static void expect_limited(const struct answer *answer, const char *what)
{
    assert_problem(answer, "TOO_MANY_REQUESTS", what);
    assert_true(answer_field(answer->head, "Retry-After").len == 1);
}

static void test_limit_address(void **state)
{
    (void)state;
    configure("192.0.2.1", "", 0, 3);
    for (int i = 3; i-- > 0;) {
        char want[40];
        struct answer answer = ask("203.0.113.1", "GET", "/api/coupons", "");
        assert_int_equal(answer.status, 200);
        expect_field(&answer, "RateLimit-Policy", "\"address\";q=3;w=3");
        snprintf(want, sizeof want, "\"address\";r=%d;t=%d", i, 3 - i);
        expect_field(&answer, "RateLimit", want);
    }
    struct answer answer = ask("203.0.113.1", "GET", "/api/coupons", "");
    expect_limited(&answer, "the fourth");
    expect_field(&answer, "RateLimit", "\"address\";r=0;t=3");
    answer = ask("203.0.113.1", "GET", "/nothing/here", "");
    expect_limited(&answer, "whatever it asks for");
    answer = ask("203.0.113.1", "OPTIONS", "/api/coupons", "");
    expect_limited(&answer, "by whatever method");
    /* others, and what everybody may ask at any time */
    assert_int_equal(ask("203.0.113.2", "GET", "/api/coupons", "").status, 200);
    assert_int_equal(ask("203.0.113.1", "GET", "/health/live", "").status, 200);
    assert_int_equal(ask("203.0.113.1", "GET", "/metrics", "").status, 200);
    answer = ask("203.0.113.1", "GET", "/health/ready", "");
    expect_field(&answer, "RateLimit", NULL);
    /* behind the proxy: each for themselves, and the same person either way */
    assert_int_equal(
        ask("192.0.2.1", "GET", "/api/coupons", "X-Forwarded-For: 203.0.113.3\r\n").status, 200);
    answer = ask("192.0.2.1", "GET", "/api/coupons", "X-Forwarded-For: 203.0.113.1\r\n");
    expect_limited(&answer, "through the proxy");
    /* this machine itself */
    for (int i = 0; i < 10; i++)
        assert_int_equal(ask("127.0.0.1", "GET", "/api/coupons", "").status, 200);
}

/* A customer has 2^64 addresses, and they count as one. */
static void test_limit_v6(void **state)
{
    (void)state;
    configure("192.0.2.1", "", 0, 3);
    for (int i = 0; i < 4; i++) {
        char field[100];
        snprintf(field, sizeof field, "X-Forwarded-For: 2001:db8:0:1:%x::1\r\n", i + 1);
        struct answer answer = ask("192.0.2.1", "GET", "/api/coupons", field);
        assert_int_equal(answer.status, i < 3 ? 200 : 429);
    }
    assert_int_equal(
        ask("192.0.2.1", "GET", "/api/coupons", "X-Forwarded-For: 2001:db8:0:2::1\r\n").status,
        200);
}

static const char *bearer(int64_t user, bool admin)
{
    static char line[2000];
    struct buf token = { 0 };

    assert_int_equal(auth_sign(whole.keys, user, admin, clock_wall_ms(), 60, &token), ERR_OK);
    snprintf(line, sizeof line, "Authorization: Bearer %.*s\r\n", (int)token.len, token.ptr);
    buf_fini(&token);
    return line;
}

static void test_limit_user(void **state)
{
    (void)state;
    configure("", "", 2, 0);
    for (int i = 0; i < 2; i++) {
        struct answer answer = whole_call("GET", "/api/users/7", bearer(7, false), NULL);
        assert_int_equal(answer.status, 200);
        expect_field(&answer, "RateLimit-Policy", "\"user\";q=2;w=2");
    }
    struct answer answer = whole_call("GET", "/api/users/7", bearer(7, false), NULL);
    expect_limited(&answer, "the third");
    answer = whole_call("POST", "/api/coupons/1/issue", bearer(7, false), "{\"userId\":7}");
    expect_limited(&answer, "on every route");
    answer = whole_call("GET", "/api/users/8", bearer(7, false), NULL);
    expect_limited(&answer, "whoever is asked about");
    assert_int_equal(whole_call("GET", "/api/users/8", bearer(8, false), NULL).status, 200);
    /* nobody spends what is another's */
    for (int i = 0; i < 5; i++)
        assert_int_equal(whole_call("GET", "/api/users/9", bearer(10 + i, false), NULL).status,
                         403);
    assert_int_equal(whole_call("GET", "/api/users/9", bearer(9, false), NULL).status, 200);
    for (int i = 0; i < 5; i++)
        assert_int_equal(whole_call("GET", "/api/admin/coupons", bearer(7, true), NULL).status,
                         200);
}

/* Without tokens it is the user that path or body name. */
static void test_limit_named_user(void **state)
{
    (void)state;
    configure("", "", 2, 0);
    assert_int_equal(whole_call("GET", "/api/users/7", "", NULL).status, 200);
    assert_int_equal(whole_call("POST", "/api/coupons/1/issue", "", "{\"userId\":7}").status, 200);
    assert_int_equal(whole_call("POST", "/api/coupons/1/issue", "", "{\"userId\":7}").status, 429);
    assert_int_equal(whole_call("GET", "/api/users/7/coupons", "", NULL).status, 429);
    assert_int_equal(whole_call("GET", "/api/users/8", "", NULL).status, 200);
    assert_int_equal(whole_call("GET", "/api/admin/coupons", "", NULL).status, 200);
}

/* ---- pages of other origins ---- */

#define PREFLIGHT "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x\r\n"
#define SHOP "Origin: https://shop.example\r\n"

static void test_cors(void **state)
{
    struct answer answer;

    (void)state;
    configure("", "https://shop.example, http://localhost:3000", 0, 0);
    answer = ask("203.0.113.1", "OPTIONS", "/api/coupons/1/issue", SHOP PREFLIGHT);
    assert_int_equal(answer.status, 204);
    expect_field(&answer, "Access-Control-Allow-Origin", "https://shop.example");
    expect_field(&answer, "Access-Control-Allow-Methods", "POST");
    assert_non_null(strstr(text_of(answer_field(answer.head, "Access-Control-Allow-Headers")),
                           "Authorization, Content-Type, Idempotency-Key"));
    expect_field(&answer, "Access-Control-Max-Age", "600");
    expect_field(&answer, "Vary", "Origin");
    expect_field(&answer, "Access-Control-Allow-Credentials", NULL);
    answer = ask("203.0.113.1", "GET", "/api/coupons", "Origin: http://localhost:3000\r\n");
    assert_int_equal(answer.status, 200);
    expect_field(&answer, "Access-Control-Allow-Origin", "http://localhost:3000");
    assert_non_null(strstr(text_of(answer_field(answer.head, "Access-Control-Expose-Headers")),
                           "X-Request-Id, Retry-After, RateLimit"));
    /* refusals, too: a page must see why */
    answer = ask("203.0.113.1", "GET", "/api/users/7", SHOP);
    assert_int_equal(answer.status, 401);
    expect_field(&answer, "Access-Control-Allow-Origin", "https://shop.example");
    answer = ask("203.0.113.1", "GET", "/nothing", SHOP);
    assert_int_equal(answer.status, 404);
    expect_field(&answer, "Access-Control-Allow-Origin", "https://shop.example");
    answer = ask("203.0.113.1", "POST", "/api/coupons/1/issue", SHOP "Content-Length: 9999999\r\n");
    assert_int_equal(answer.status, 413);
    expect_field(&answer, "Access-Control-Allow-Origin", "https://shop.example");
    configure("", "https://shop.example", 0, 1);
    ask("203.0.113.1", "GET", "/api/coupons", SHOP);
    answer = ask("203.0.113.1", "GET", "/api/coupons", SHOP);
    assert_int_equal(answer.status, 429);
    expect_field(&answer, "Access-Control-Allow-Origin", "https://shop.example");
}

static void test_cors_others(void **state)
{
    static const char *const origins[] = { "https://evil.example",      "https://shop.example.evil",
                                           "https://shop.example:8443", "http://shop.example",
                                           "https://SHOP.example",      "null",
                                           "https://shop.exampl",       "*" };

    (void)state;
    configure("", "https://shop.example", 0, 0);
    for (size_t i = 0; i < ARRAY_COUNT(origins); i++) {
        char fields[300];
        snprintf(fields, sizeof fields, "Origin: %s\r\n" PREFLIGHT, origins[i]);
        struct answer answer = ask("203.0.113.1", "OPTIONS", "/api/coupons/1/issue", fields);
        assert_int_equal(answer.status, 204);
        expect_field(&answer, "Access-Control-Allow-Origin", NULL);
        expect_field(&answer, "Access-Control-Allow-Methods", NULL);
        expect_field(&answer, "Vary", "Origin");
    }
    struct answer answer = ask("203.0.113.1", "GET", "/api/coupons", "");
    expect_field(&answer, "Access-Control-Allow-Origin", NULL);
    expect_field(&answer, "Vary", "Origin");
}

static void test_cors_any(void **state)
{
    (void)state;
    configure("", "*", 0, 0);
    struct answer answer = ask("203.0.113.1", "GET", "/api/coupons", "Origin: null\r\n");
    expect_field(&answer, "Access-Control-Allow-Origin", "*");
    expect_field(&answer, "Access-Control-Allow-Credentials", NULL);
    expect_field(&answer, "Vary", NULL);
}

/* In profile test the administrator is whoever sits here, and so is every page they look at. */
static void test_cors_not_for_loopback(void **state)
{
    (void)state;
    configure("", "*", 0, 0);
    struct answer answer = ask("127.0.0.1", "GET", "/api/admin/coupons", SHOP);
    assert_int_equal(answer.status, 403);
    expect_field(&answer, "Access-Control-Allow-Origin", NULL);
    answer = ask("127.0.0.1", "OPTIONS", "/api/admin/users", SHOP PREFLIGHT);
    expect_field(&answer, "Access-Control-Allow-Origin", NULL);
    answer = ask("127.0.0.1", "OPTIONS", "/api/admin/test/clock", SHOP PREFLIGHT);
    expect_field(&answer, "Access-Control-Allow-Origin", NULL);
    answer = ask("127.0.0.1", "GET", "/api/coupons", SHOP);
    expect_field(&answer, "Access-Control-Allow-Origin", "*");
}

/* What a page of another origin may send without a preflight changes nothing either. */
static void test_pages_do_not_administrate(void **state)
{
    static const struct {
        const char *origin;
        int status;
    } cases[] = {
        { "http://localhost:3000", 200 },
        { "http://127.0.0.1:8080", 200 },
        { "http://[::1]:8080", 200 },
        { "https://localhost", 200 },
        { "https://shop.example", 403 },
        { "null", 403 },
        { "", 403 },
        { "http://localhost.evil.example", 403 },
        { "http://127.0.0.1.evil.example", 403 },
        { "http://localhost:3000\r\nOrigin: http://evil.example", 403 },
    };

    (void)state;
    configure("", "", 0, 0);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char fields[200];
        snprintf(fields, sizeof fields, "Origin: %s\r\n", cases[i].origin);
        struct answer answer = ask("127.0.0.1", "GET", "/api/admin/coupons", fields);
        assert_int_equal(answer.status, cases[i].status);
        snprintf(fields, sizeof fields, "Origin: %s\r\nContent-Length: 4\r\n\r\n{}",
                 cases[i].origin);
        answer = ask("127.0.0.1", "PATCH", "/api/admin/products/1", fields);
        assert_int_equal(answer.status == 403, cases[i].status == 403);
    }
}

int main(void)
{
#define IN(profile, test) cmocka_unit_test_setup_teardown(test, open_##profile, close_policy)
    const struct CMUnitTest tests[] = {
        IN(test, test_off),
        IN(test, test_refused_configuration),
        IN(test, test_proxies),
        IN(test, test_limit_address),
        IN(test, test_limit_v6),
        IN(prod, test_limit_user),
        IN(test, test_limit_named_user),
        IN(prod, test_cors),
        IN(prod, test_cors_others),
        IN(prod, test_cors_any),
        IN(test, test_cors_not_for_loopback),
        IN(test, test_pages_do_not_administrate),
    };
#undef IN

    return cmocka_run_group_tests_name("api_policy", tests, NULL, NULL);
}
