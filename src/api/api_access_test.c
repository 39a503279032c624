// SPDX-License-Identifier: Apache-2.0
/*
 * Who may call what. Every route of the tables, in profile prod, with every kind of caller; what is
 * expected follows from the row. Then the other profiles, and the order of the checks.
 */
#include "api/api_ask_test.h"

enum { OWNER = 7, OTHER = 8, TTL_S = 3600 };

enum caller { NOBODY, GARBAGE, EXPIRED, FORGED, STRANGER, OWN, ADMIN, ADMIN_OWN, CALLERS };
static const char *const caller_names[] = {
    "nobody", "garbage", "expired", "forged", "stranger", "owner", "admin", "admin who is owner"
};

/* A header line, or nothing. */
static const char *credentials(enum caller caller)
{
    static char line[2000];
    static const char forged_secret[] = "another-secret-of-32-bytes-------";
    bool admin = caller == ADMIN || caller == ADMIN_OWN;
    int64_t user = caller == STRANGER || caller == ADMIN ? OTHER : OWNER,
            now_ms = clock_wall_ms() - (caller == EXPIRED ? (TTL_S + 60) * 1000LL : 0);
    struct auth_keys *forged = NULL;
    struct buf token = { 0 };

    if (caller == NOBODY)
        return "";
    if (caller == GARBAGE)
        return "Authorization: Bearer a.b.c\r\n";
    if (caller == FORGED)
        assert_int_equal(auth_keys_new(str_from(forged_secret), 0, &forged), ERR_OK);
    assert_int_equal(auth_sign(forged ? forged : whole.keys, user, admin, now_ms, TTL_S, &token),
                     ERR_OK);
    snprintf(line, sizeof line, "Authorization: Bearer %.*s\r\n", (int)token.len, token.ptr);
    buf_fini(&token);
    auth_keys_free(forged);
    return line;
}

/* 401, 403 or 404; 0: let in. */
static unsigned expected(const struct api_route *route, enum caller caller)
{
    bool known = caller >= STRANGER, admin = caller == ADMIN || caller == ADMIN_OWN;

    switch (route->access) {
    case API_PUBLIC:
        return 0;
    case API_TEST:
        return 404;
    case API_USER:
        return !known ? 401 : caller == OWN || caller == ADMIN_OWN ? 0 : 403;
    case API_OPS:
        if (whole.config.metrics_public)
            return 0;
        return !known ? 401 : admin ? 0 : 403;
    case API_CHARGE:
    case API_ADMIN:
        break;
    }
    return !known ? 401 : admin ? 0 : 403;
}

static void check(const struct api_route *route, enum caller caller)
{
    struct buf body = { 0 };
    char what[200];

    /* All examples at once are too many for users: one, and a range. */
    if (route->body)
        example_body(&body, route->body, (route->flags & API_KEYED) != 0);
    if (route->user_at == API_USER_IN_BODY) {
        buf_reset(&body);
        buf_printf(&body, "{\"userId\":%d}", OWNER);
    }
    buf_char(&body, '\0');
    struct answer answer =
        whole_call(method_words[route->method], example_path(route, COUPON_SOLD, OWNER),
                   credentials(caller), route->body ? body.ptr : NULL);
    unsigned want = expected(route, caller);
    bool turned_away = answer.status == 401 || answer.status == 403;

    snprintf(what, sizeof what, "%s, %s", route->name, caller_names[caller]);
    if (want ? answer.status != want : turned_away || answer.status >= 500)
        fail_msg("%s: %u, wanted %u", what, answer.status, want);
    if (want == 401)
        assert_true(answer_field(answer.head, "WWW-Authenticate").len > 0);
    if (want)
        assert_problem(&answer,
                       want == 401   ? "UNAUTHENTICATED"
                       : want == 403 ? "FORBIDDEN"
                                     : "NOT_FOUND",
                       what);
    buf_fini(&body);
    log_set_level(LOG_ERROR); /* one of the routes has moved it */
}

static void check_all(void)
{
    const struct api_route *route;

    for (size_t i = 0; (route = api_router_route(whole.api.router, i)); i++)
        for (enum caller caller = NOBODY; caller < CALLERS; caller++)
            check(route, caller);
}

static void test_every_route_and_caller(void **state)
{
    (void)state;
    whole.config.metrics_public = false;
    check_all();
    whole.config.metrics_public = true;
    check_all();
}

/* The other way round: who may call what lies under which path, whatever the row says. */
static void test_rows(void **state)
{
    static const struct {
        const char *prefix;
        enum api_access access;
    } rules[] = {
        { "/api/admin/test/", API_TEST },
        { "/api/admin/", API_ADMIN },
        { "/api/users/{userId}/balance/charge", API_CHARGE },
        { "/api/users/", API_USER },
        { "/api/coupons/{couponId}/", API_USER },
        { "/api/coupons", API_PUBLIC },
        { "/health/", API_PUBLIC },
        { "/openapi.json", API_PUBLIC },
        { "/actuator/health", API_PUBLIC },
        { "/actuator/prometheus", API_OPS },
        { "/metrics", API_OPS },
    };
    const struct api_route *route;

    (void)state;
    for (size_t i = 0; (route = api_router_route(whole.api.router, i)); i++) {
        size_t rule = 0;
        while (rule < ARRAY_COUNT(rules) &&
               strncmp(route->path, rules[rule].prefix, strlen(rules[rule].prefix)) != 0)
            rule++;
        if (rule == ARRAY_COUNT(rules) || route->access != rules[rule].access)
            fail_msg("%s: who may call it?", route->path);
        bool of_user = route->access == API_USER || route->access == API_CHARGE;
        if (of_user != (route->user_at != API_USER_NOWHERE))
            fail_msg("%s: whose is it?", route->path);
        if (route->user_at == API_USER_IN_PATH)
            assert_int_equal(strncmp(strchr(route->path, '{'), "{userId}", 8), 0);
        if (route->user_at == API_USER_IN_QUERY)
            assert_non_null(route->query);
        if (route->user_at == API_USER_IN_BODY)
            assert_non_null(route->body);
    }
}

/* A caller who may not is told so before anything is said about what there is. */
static void test_order(void **state)
{
    static const struct {
        enum caller caller;
        const char *method, *path, *body, *want;
    } rows[] = {
        { NOBODY, "POST", "/api/coupons/1/issue", "not JSON", "UNAUTHENTICATED" },
        { OWN, "POST", "/api/coupons/1/issue", "not JSON", "INVALID_INPUT" },
        { STRANGER, "POST", "/api/coupons/99/issue", "{\"userId\":7}", "FORBIDDEN" },
        { OWN, "POST", "/api/coupons/99/issue", "{\"userId\":7}", "INVALID_COUPON" },
        { NOBODY, "POST", "/api/coupons/x/issue", "{\"userId\":7}", "INVALID_INPUT" },
        { OWN, "POST", "/api/coupons/1/issue", "{\"userId\":9223372036854775807}", "FORBIDDEN" },
        { STRANGER, "GET", "/api/users/99999", NULL, "FORBIDDEN" },
        { ADMIN, "GET", "/api/users/7", NULL, "FORBIDDEN" },
        { ADMIN, "GET", "/api/users/7/coupons", NULL, "FORBIDDEN" },
        { OWN, "GET", "/api/users/7/coupons?limit=0", NULL, "INVALID_INPUT" },
        { NOBODY, "GET", "/api/admin/coupons?limit=0", NULL, "UNAUTHENTICATED" },
        { OWN, "POST", "/api/admin/users", "not JSON", "FORBIDDEN" },
        { NOBODY, "DELETE", "/api/admin/coupons", NULL, "METHOD_NOT_ALLOWED" },
        { NOBODY, "GET", "/api/admin/nothing", NULL, "NOT_FOUND" },
        { ADMIN, "GET", "/api/admin/test/clock", NULL, "NOT_FOUND" },
        { OWN, "POST", "/api/users/7/balance/charge", "{\"amount\":1,\"idempotencyKey\":\"k\"}",
          "FORBIDDEN" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct answer answer =
            whole_call(rows[i].method, rows[i].path, credentials(rows[i].caller), rows[i].body);
        assert_problem(&answer, rows[i].want, rows[i].path);
    }
}

/* A charge by an administrator is the user's: the same key is a replay, whoever sends it. */
static void test_key_belongs_to_the_user(void **state)
{
    static const char body[] = "{\"amount\":5,\"idempotencyKey\":\"k\"}";
    char first[200];

    (void)state;
    struct answer answer =
        whole_call("POST", "/api/users/7/balance/charge", credentials(ADMIN), body);
    assert_problem(&answer, NULL, "charge");
    snprintf(first, sizeof first, "%.*s", (int)answer.body.len, answer.body.ptr);
    answer = whole_call("POST", "/api/users/7/balance/charge", credentials(ADMIN_OWN), body);
    assert_string_equal(first, text_of(answer.body));
    answer = whole_call("POST", "/api/users/8/balance/charge", credentials(ADMIN), body);
    assert_problem(&answer, NULL, "another's key is another key");
    assert_string_not_equal(first, text_of(answer.body));
}

/* Profile test: no token, but administration from this machine only. */
static void test_loopback(void **state)
{
    const struct api_route *route;

    (void)state;
    whole.config.metrics_public = false;
    for (size_t i = 0; (route = api_router_route(whole.api.router, i)); i++) {
        bool shut =
            route->access == API_ADMIN || route->access == API_TEST || route->access == API_OPS;
        for (int near = 0; near < 2; near++) {
            char request[400];
            snprintf(request, sizeof request,
                     "%s %s HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n"
                     "X-Forwarded-For: 127.0.0.1\r\nForwarded: for=127.0.0.1\r\n\r\n",
                     method_words[route->method], example_path(route, 1, OWNER));
            struct answer answer =
                whole_ask_from(near ? "127.0.0.1" : "192.0.2.1", str_from(request));
            if ((answer.status == 403) != (shut && !near))
                fail_msg("%s from %s: %u", route->name, near ? "here" : "there", answer.status);
            assert_true(answer.status < 500 && answer.status != 401);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_route_and_caller, open_prod, close_it),
        cmocka_unit_test_setup_teardown(test_rows, open_prod, close_it),
        cmocka_unit_test_setup_teardown(test_order, open_prod, close_it),
        cmocka_unit_test_setup_teardown(test_key_belongs_to_the_user, open_prod, close_it),
        cmocka_unit_test_setup_teardown(test_loopback, open_test, close_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
