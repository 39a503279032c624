// SPDX-License-Identifier: Apache-2.0
/*
 * Who may call what. Every route of the tables, in profile prod, with every kind of caller; what is
 * expected follows from the row. Then the other profiles, and the order of the checks.
 */
#include "api/api_ask_test.h"

enum { OWNER = 7, OTHER = 8, TTL_S = 3600, ORDER = 4242, ORDERS_PRODUCT = 4243 };
/* Stands in what is the owner's alone; nobody else's answer may hold it. */
#define MARK "only-the-owner-may-see-this"

enum caller {
    NOBODY,
    GARBAGE,
    BASIC,
    NONE,      /* alg none, no signature */
    NONE_TAIL, /* alg none, and something for a signature */
    EXPIRED,
    FORGED,
    STRANGER,
    OWN,
    ADMIN,
    ADMIN_OWN,
    CALLERS
};
static const char *const caller_names[] = { "nobody",   "garbage",           "basic",
                                            "alg none", "alg none, signed",  "expired",
                                            "forged",   "stranger",          "owner",
                                            "admin",    "admin who is owner" };
#define NONE_TOKEN "eyJhbGciOiJub25lIn0.eyJzdWIiOiI3Iiwicm9sZSI6ImFkbWluIiwiZXhwIjo0MTAyNDQ0ODAwfQ."

/* A header line, or nothing. */
static const char *credentials(enum caller caller)
{
    static const char *const fixed[] = {
        [NOBODY] = "",
        [GARBAGE] = "Authorization: Bearer a.b.c\r\n",
        [BASIC] = "Authorization: Basic YWRtaW46YWRtaW4=\r\n",
        [NONE] = "Authorization: Bearer " NONE_TOKEN "\r\n",
        [NONE_TAIL] = "Authorization: Bearer " NONE_TOKEN "AAAA\r\n",
    };
    static char line[2000];
    static const char forged_secret[] = "another-secret-of-32-bytes-------";
    bool admin = caller == ADMIN || caller == ADMIN_OWN || caller == FORGED;
    int64_t user = caller == STRANGER || caller == ADMIN ? OTHER : OWNER,
            now_ms = clock_wall_ms() - (caller == EXPIRED ? (TTL_S + 60) * 1000LL : 0);
    struct auth_keys *forged = NULL;
    struct buf token = { 0 };

    if (caller < ARRAY_COUNT(fixed))
        return fixed[caller];
    if (caller == FORGED)
        assert_int_equal(auth_keys_new(str_from(forged_secret), 0, &forged), ERR_OK);
    assert_int_equal(auth_sign(forged ? forged : whole.keys, user, admin, now_ms, TTL_S, &token),
                     ERR_OK);
    snprintf(line, sizeof line, "Authorization: Bearer %.*s\r\n", (int)token.len, token.ptr);
    buf_fini(&token);
    auth_keys_free(forged);
    return line;
}

static bool is_owner(enum caller caller)
{
    return caller == OWN || caller == ADMIN_OWN;
}

static bool is_admin(enum caller caller)
{
    return caller == ADMIN || caller == ADMIN_OWN;
}

/* 401, 403 or 404; 0: let in. */
static unsigned expected(const struct api_route *route, enum caller caller)
{
    bool known = caller >= STRANGER;

    switch (route->access) {
    case API_PUBLIC:
        return 0;
    case API_TEST:
        return 404;
    case API_USER:
        return !known ? 401 : is_owner(caller) ? 0 : 403;
    case API_OPS:
        if (whole.config.metrics_public)
            return 0;
        return !known ? 401 : is_admin(caller) ? 0 : 403;
    case API_CHARGE:
        if (whole.config.payment_gateway != CONFIG_GATEWAY_NONE)
            return !known ? 401 : is_owner(caller) ? 0 : 403;
        break;
    case API_ADMIN:
        break;
    }
    return !known ? 401 : is_admin(caller) ? 0 : 403;
}

/* ---- a request of the owner's own, from the route's rows ---- */

static const char *owners_path(const struct api_route *route)
{
    static char path[400];
    size_t n = 0;

    for (const char *at = route->path; *at; at++)
        if (*at != '{') {
            path[n++] = *at;
        } else {
            n += (size_t)sprintf(path + n, "%d",
                                 strncmp(at, "{user", 5) == 0      ? OWNER
                                 : strncmp(at, "{order", 6) == 0   ? ORDER
                                 : strncmp(at, "{product", 8) == 0 ? ORDERS_PRODUCT
                                                                   : COUPON_SOLD);
            at = strchr(at, '}');
        }
    char mark = '?';
    for (size_t i = 0; route->query && i < route->query->row_count; i++) {
        const struct json_row *row = &route->query->rows[i];
        bool user = route->user_at == API_USER_IN_QUERY && row->offset == route->user_offset;
        if (!user && !(row->flags & JSON_FLAG_REQUIRED))
            continue;
        n += (size_t)sprintf(path + n, "%c%.*s=", mark, (int)row->name_len, row->prefix + 2);
        n +=
            (size_t)(user ? sprintf(path + n, "%d", OWNER) : sprintf(path + n, "%s", row->example));
        mark = '&';
    }
    path[n] = '\0';
    return path;
}

static void append_object(struct buf *out, const struct json_type *type, bool all,
                          const struct api_route *route);

static void append_value(struct buf *out, const struct json_row *row, const struct api_route *route)
{
    switch ((enum json_kind)row->kind) {
    case JSON_KIND_ARRAY:
        buf_char(out, '[');
        append_object(out, row->type, false, NULL);
        buf_char(out, ']');
        return;
    case JSON_KIND_OBJECT:
        append_object(out, row->type, false, NULL);
        return;
    case JSON_KIND_INT64:
        if (route && route->user_at == API_USER_IN_BODY && row->offset == route->user_offset) {
            buf_int(out, OWNER);
            return;
        }
        buf_str_append(out, str_from(row->example));
        return;
    case JSON_KIND_BOOL:
    case JSON_KIND_STRS:
    case JSON_KIND_LITERAL:
        buf_str_append(out, str_from(row->example));
        return;
    case JSON_KIND_STR:
    case JSON_KIND_TIME:
    case JSON_KIND_DATE:
    case JSON_KIND_ENUM:
        break;
    }
    buf_json_string(out, str_from(row->example));
}

static void append_object(struct buf *out, const struct json_type *type, bool all,
                          const struct api_route *route)
{
    const char *comma = "";

    buf_char(out, '{');
    for (size_t i = 0; i < type->row_count; i++) {
        const struct json_row *row = &type->rows[i];
        if (!all && !(row->flags & JSON_FLAG_REQUIRED))
            continue;
        buf_printf(out, "%s\"%.*s\":", comma, (int)row->name_len, row->prefix + 2);
        append_value(out, row, route);
        comma = ",";
    }
    buf_char(out, '}');
}

static struct answer ask(const struct api_route *route, const char *fields)
{
    struct buf body = { 0 };

    /* All examples at once are too many for users: one, and a range. */
    if (route->body)
        append_object(&body, route->body, (route->flags & API_KEYED) != 0, route);
    buf_char(&body, '\0');
    assert_true(buf_ok(&body));
    struct answer answer = whole_call(method_words[route->method], owners_path(route), fields,
                                      route->body ? body.ptr : NULL);
    buf_fini(&body);
    log_set_level(LOG_ERROR); /* one of the routes has moved it */
    return answer;
}

/* ---- every route, every caller ---- */

/* An answer that never ends cannot be looked at as a whole. */
static bool is_endless(const struct api_route *route)
{
    return route->answer_type && strcmp(route->answer_type, "text/event-stream") == 0;
}

static void check(const struct api_route *route, enum caller caller)
{
    unsigned want = expected(route, caller);

    if (!want && is_endless(route))
        return;
    struct answer answer = ask(route, credentials(caller));
    bool turned_away = answer.status == 401 || answer.status == 403;
    char what[200];

    snprintf(what, sizeof what, "%s, %s", route->name, caller_names[caller]);
    if (want ? answer.status != want : turned_away || answer.status >= 500)
        fail_msg("%s: %u, wanted %u", what, answer.status, want);
    /* It is there, and so nobody's doubt hides that a stranger was asked about it. */
    if (!want && route->user_at == API_USER_IN_OBJECT && answer.status == 404)
        fail_msg("%s: the owner's own is not found", what);
    if (want == 401)
        assert_true(answer_field(answer.head, "WWW-Authenticate").len > 0);
    if (want)
        assert_problem(&answer,
                       want == 401   ? "UNAUTHENTICATED"
                       : want == 403 ? "FORBIDDEN"
                                     : "NOT_FOUND",
                       what);
    if (!is_owner(caller) && memmem(answer.body.ptr, answer.body.len, MARK, strlen(MARK)))
        fail_msg("%s: was told what is the owner's", what);
}

/* Those first who are turned away: the owner may change, or end, what the others ask for. */
static void check_all(void)
{
    static const enum caller order[] = { NOBODY, GARBAGE,  BASIC, NONE,      NONE_TAIL, EXPIRED,
                                         FORGED, STRANGER, ADMIN, ADMIN_OWN, OWN };
    const struct api_route *route;

    _Static_assert(ARRAY_COUNT(order) == CALLERS, "all of them");
    for (size_t i = 0; (route = api_router_route(whole.api.router, i)); i++)
        for (size_t c = 0; c < CALLERS; c++)
            check(route, order[c]);
}

/* With a gateway a charge is the user's; how it ends is not looked at here. */
static void check_charges(void)
{
    static const enum config_gateway gateways[] = { CONFIG_GATEWAY_HTTP, CONFIG_GATEWAY_MOCK };
    const struct api_route *route;

    for (size_t g = 0; g < ARRAY_COUNT(gateways); g++) {
        whole.config.payment_gateway = gateways[g];
        for (size_t i = 0; (route = api_router_route(whole.api.router, i)); i++)
            for (enum caller caller = NOBODY; route->access == API_CHARGE && caller < CALLERS;
                 caller++)
                if (expected(route, caller) != 0)
                    check(route, caller);
    }
    whole.config.payment_gateway = CONFIG_GATEWAY_NONE;
}

static int open_without_gateway(void **state)
{
    open_prod(state);
    whole.config.payment_gateway = CONFIG_GATEWAY_NONE;
    return 0;
}

static int open_with_gateway(void **state)
{
    open_prod(state);
    whole.config.payment_gateway = CONFIG_GATEWAY_MOCK;
    return 0;
}

/* An order of the owner's, and a name that only they know. */
static int open_with_order(void **state)
{
    struct order_line line = {
        .product_id = ORDERS_PRODUCT, .name = STR(MARK), .quantity = 1, .unit_price = 100
    };
    struct ledger_order order = { .order_id = ORDER,
                                  .user_id = OWNER,
                                  .status = ORDER_PENDING,
                                  .lines = &line,
                                  .line_count = 1,
                                  .subtotal = 100,
                                  .created_at_ms = clock_wall_ms() };
    struct ledger_command import = { .op = LEDGER_ORDER_IMPORT, .order_import = { &order, false } };

    open_without_gateway(state);
    whole_run(&import);
    assert_false(import.order_import.taken);
    return 0;
}

static void test_every_route_and_caller(void **state)
{
    (void)state;
    whole.config.metrics_public = false;
    check_all();
    whole.config.metrics_public = true;
    check_all();
    check_charges();
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
        { "/api/products", API_PUBLIC },
        { "/api/cart", API_USER },
        { "/api/orders", API_USER },
        { "/health/", API_PUBLIC },
        { "/openapi.json", API_PUBLIC },
        { "/actuator/health", API_PUBLIC },
        { "/actuator/prometheus", API_OPS },
        { "/metrics", API_OPS },
        { "/ops", API_OPS },
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
        /* what is kept is answered to whoever asks next */
        if ((route->flags & API_CACHED) && route->access != API_PUBLIC)
            fail_msg("%s: is kept, and not for everybody", route->path);
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

static void test_two_tokens(void **state)
{
    char both[4000];

    (void)state;
    snprintf(both, sizeof both, "%s", credentials(OWN));
    snprintf(both + strlen(both), sizeof both - strlen(both), "%s", credentials(ADMIN));
    struct answer answer = whole_call("GET", "/api/users/7", both, NULL);
    assert_problem(&answer, "UNAUTHENTICATED", "an owner's and an administrator's");
    answer = whole_call("GET", "/api/coupons", both, NULL);
    assert_problem(&answer, NULL, "where none is needed");
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

/* With a gateway the charge is the user's own, and the gateway may refuse it. */
static void test_charge_through_the_gateway(void **state)
{
    static const char path[] = "/api/users/7/balance/charge";

    (void)state;
    struct answer answer = whole_call("POST", path, credentials(OWN),
                                      "{\"amount\":5,\"idempotencyKey\":\"may FAIL\"}");
    assert_problem(&answer, "PAYMENT_FAILED", "refused");
    answer = whole_call("POST", path, credentials(OWN), "{\"amount\":5,\"idempotencyKey\":\"k\"}");
    assert_problem(&answer, NULL, "charged");
    assert_non_null(strstr(text_of(answer.body), "\"balance\":1005"));
}

/* Profile test: no token, but administration from this machine only. */
static void test_loopback(void **state)
{
    const struct api_route *route;

    (void)state;
    whole.config.metrics_public = false;
    for (size_t i = 0; (route = api_router_route(whole.api.router, i)); i++) {
        if (is_endless(route))
            continue;
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
        cmocka_unit_test_setup_teardown(test_every_route_and_caller, open_with_order, close_it),
        cmocka_unit_test_setup_teardown(test_rows, open_prod, close_it),
        cmocka_unit_test_setup_teardown(test_order, open_without_gateway, close_it),
        cmocka_unit_test_setup_teardown(test_two_tokens, open_prod, close_it),
        cmocka_unit_test_setup_teardown(test_key_belongs_to_the_user, open_without_gateway,
                                        close_it),
        cmocka_unit_test_setup_teardown(test_charge_through_the_gateway, open_with_gateway,
                                        close_it),
        cmocka_unit_test_setup_teardown(test_loopback, open_test, close_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
