// SPDX-License-Identifier: Apache-2.0
/* Routes, queries, cursors, keys and problems, as a caller sees them; and what the rows promise. */
#include "api/api_ask_test.h"

/* ---- paths and methods ---- */

static void nothing(struct api_call *call)
{
    (void)call;
}

static void test_router(void **state)
{
    static const struct api_route table[] = {
        { HTTP_GET, "/a", "list", .handle = nothing },
        { HTTP_GET, "/a/top", "top", .handle = nothing },
        { HTTP_GET, "/a/{id}", "get", .handle = nothing },
        { HTTP_PATCH, "/a/{id}", "change", .handle = nothing },
        { HTTP_POST, "/a/{id}/b/{other}", "both", .handle = nothing },
        { 0 },
    };
    static const struct api_route *const tables[] = { table, NULL };
    static const struct {
        enum http_method method;
        const char *path, *name; /* NULL: no such path; "": no such method */
        int64_t first, second;
        const char *bad;
    } rows[] = {
        { HTTP_GET, "/a", "list", 0, 0, NULL },
        { HTTP_HEAD, "/a", "list", 0, 0, NULL },
        { HTTP_GET, "/a/top", "top", 0, 0, NULL },
        { HTTP_PATCH, "/a/top", "", 0, 0, NULL },
        { HTTP_GET, "/a/12", "get", 12, 0, NULL },
        { HTTP_PATCH, "/a/-9223372036854775808", "change", INT64_MIN, 0, NULL },
        { HTTP_GET, "/a/9223372036854775807", "get", INT64_MAX, 0, NULL },
        { HTTP_GET, "/a/9223372036854775808", "get", 0, 0, "id" },
        { HTTP_GET, "/a/01", "get", 0, 0, "id" },
        { HTTP_GET, "/a/+1", "get", 0, 0, "id" },
        { HTTP_GET, "/a/1.0", "get", 0, 0, "id" },
        { HTTP_GET, "/a/%31", "get", 0, 0, "id" },
        { HTTP_GET, "/a/1%2Fb%2F2", "get", 0, 0, "id" },
        { HTTP_GET, "/a/", "get", 0, 0, "id" },
        { HTTP_POST, "/a/1/b/2", "both", 1, 2, NULL },
        { HTTP_POST, "/a/1/b/x", "both", 1, 0, "other" },
        { HTTP_POST, "/a/x/b/y", "both", 0, 0, "id" },
        { HTTP_OTHER, "/a/1/b/2", "", 0, 0, NULL },
        { HTTP_GET, "/", NULL, 0, 0, NULL },
        { HTTP_GET, "//a", NULL, 0, 0, NULL },
        { HTTP_GET, "/a//b/2", "", 0, 0, NULL },
        { HTTP_GET, "/a/1/b/2/", NULL, 0, 0, NULL },
        { HTTP_GET, "/A", NULL, 0, 0, NULL },
        { HTTP_GET, "/b", NULL, 0, 0, NULL },
        { HTTP_GET, "/a/1/2/3/4/5/6/7/8/9/10/11/12", NULL, 0, 0, NULL },
        { HTTP_OPTIONS, "*", NULL, 0, 0, NULL },
    };
    struct api_router *router = api_router_new(tables);

    (void)state;
    assert_non_null(router);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct api_match match;
        api_router_match(router, rows[i].method, str_from(rows[i].path), &match);
        if (match.path_known != (rows[i].name != NULL))
            fail_msg("%s: known %d", rows[i].path, match.path_known);
        if (!rows[i].name)
            continue;
        assert_string_equal(match.route ? match.route->name : "", rows[i].name);
        assert_int_equal(match.bad_id, rows[i].bad != NULL);
        assert_int_equal(match.ids[0], rows[i].first);
        assert_int_equal(match.ids[1], rows[i].second);
        if (rows[i].bad)
            assert_string_equal(text_of(match.bad_id_name), rows[i].bad);
    }
    api_router_free(router);
}

static void test_methods(void **state)
{
    static const struct {
        const char *method, *path, *want, *allow;
    } rows[] = {
        { "OPTIONS", "*", NULL, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS" },
        { "OPTIONS", "/api/coupons/1", NULL, "GET, HEAD, OPTIONS" },
        { "OPTIONS", "/api/coupons/x", NULL, "GET, HEAD, OPTIONS" },
        { "OPTIONS", "/api/coupons/1/issue", NULL, "POST, OPTIONS" },
        { "OPTIONS", "/api/admin/coupons", NULL, "GET, HEAD, POST, OPTIONS" },
        { "OPTIONS", "/nothing", "NOT_FOUND", "" },
        { "DELETE", "/api/coupons/1", "METHOD_NOT_ALLOWED", "GET, HEAD, OPTIONS" },
        { "GET", "/api/coupons/1/issue", "METHOD_NOT_ALLOWED", "POST, OPTIONS" },
        { "PUT", "/api/admin/coupons", "METHOD_NOT_ALLOWED", "GET, HEAD, POST, OPTIONS" },
        { "DOORS", "/api/coupons/1", "METHOD_NOT_ALLOWED", "GET, HEAD, OPTIONS" },
        { "TRACE", "/api/coupons", "METHOD_NOT_ALLOWED", "GET, HEAD, OPTIONS" },
        { "DOORS", "/nothing", "NOT_FOUND", "" },
        { "GET", "/api/coupons/", "INVALID_INPUT", "" },
        { "GET", "/api//coupons", "NOT_FOUND", "" },
        { "GET", "/api/coupons/1/", "NOT_FOUND", "" },
        { "GET", "/API/coupons", "NOT_FOUND", "" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct answer answer = whole_call(rows[i].method, rows[i].path, "", NULL);
        assert_problem(&answer, rows[i].want, rows[i].path);
        assert_string_equal(text_of(answer_field(answer.head, "Allow")), rows[i].allow);
    }
}

/* The same head as GET's, and no body. */
static void test_head(void **state)
{
    static const char *const paths[] = { "/api/coupons",  "/api/coupons/1", "/api/coupons/99",
                                         "/api/users/7",  "/nothing",       "/api/users/x",
                                         "/openapi.json", "/health/live" };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
        struct answer get = whole_call("GET", paths[i], "", NULL);
        const char *type = text_of(answer_field(get.head, "Content-Type")),
                   *length = text_of(answer_field(get.head, "Content-Length"));
        struct answer head = whole_call("HEAD", paths[i], "", NULL);
        assert_int_equal(head.status, get.status);
        assert_int_equal(head.body.len, 0);
        assert_string_equal(text_of(answer_field(head.head, "Content-Type")), type);
        assert_string_equal(text_of(answer_field(head.head, "Content-Length")), length);
    }
}

/* ---- queries and cursors ---- */

static void test_query(void **state)
{
    static const struct {
        const char *query, *member; /* NULL: good */
    } rows[] = {
        { "", NULL },
        { "?", NULL },
        { "?&&&", NULL },
        { "?unknown=1&unknown=2&=3", NULL },
        { "?limit=1", NULL },
        { "?limit=100", NULL },
        { "?%6Cimit=%31", NULL },
        { "?limit=0", "limit" },
        { "?limit=101", "limit" },
        { "?limit=", "limit" },
        { "?limit", "limit" },
        { "?limit=1.0", "limit" },
        { "?limit=+1", "limit" },
        { "?limit=9223372036854775808", "limit" },
        { "?limit=1&limit=1", "limit" },
        { "?limit=1&%6Cimit=1", "limit" },
        { "?limit=%", "query" },
        { "?limit=%0", "query" },
        { "?%zz=1", "query" },
        { "?x=%00", "query" },
        { "?cursor=c-1", NULL },
        { "?cursor=c-1&limit=2&status=USED", NULL },
        { "?cursor=", "cursor" },
        { "?cursor=1", "cursor" },
        { "?cursor=%FF", "cursor" },
        { "?status=AVAILABLE", NULL },
        { "?status=available", "status" },
        { "?status=", "status" },
    };
    char path[200];

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        snprintf(path, sizeof path, "/api/users/7/coupons%s", rows[i].query);
        struct answer answer = whole_call("GET", path, "", NULL);
        assert_problem(&answer, rows[i].member ? "INVALID_INPUT" : NULL, path);
        if (rows[i].member)
            assert_string_equal(text_of(problem_of(&answer)->member), rows[i].member);
    }
}

static void test_cursors(void **state)
{
    static const int64_t values[] = { 1, 2, 15, 16, 255, 4096, INT64_MAX - 1, INT64_MAX };
    static const char *const bad[] = { "",
                                       "c",
                                       "c-",
                                       "c-0",
                                       "c-01",
                                       "c--1",
                                       "c-g",
                                       "c-A",
                                       "C-1",
                                       "c-1 ",
                                       " c-1",
                                       "1",
                                       "c-1z",
                                       "c-8000000000000000",
                                       "c-11111111111111111" };
    char text[API_CURSOR_BYTES];
    int64_t back;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
        assert_true(api_cursor_parse(api_cursor(values[i], text), &back));
        assert_int_equal(back, values[i]);
    }
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        if (api_cursor_parse(str_from(bad[i]), &back))
            fail_msg("'%s' is a cursor", bad[i]);
}

/* ---- idempotency keys ---- */

#define KEY_10                                                     \
    "\xEA\xB0\x80\xEA\xB0\x80\xEA\xB0\x80\xEA\xB0\x80\xEA\xB0\x80" \
    "\xEA\xB0\x80\xEA\xB0\x80\xEA\xB0\x80\xEA\xB0\x80\xEA\xB0\x80"
#define KEY_100 KEY_10 KEY_10 KEY_10 KEY_10 KEY_10 KEY_10 KEY_10 KEY_10 KEY_10 KEY_10

static void test_keys(void **state)
{
    static const struct {
        const char *body, *header, *want; /* NULL: good; else a problem */
    } rows[] = {
        { "\"a\"", NULL, NULL },
        { NULL, "b", NULL },
        { "\"c\"", "c", NULL },
        { "\"\\u0063\"", "c", NULL },
        { "null", "d", NULL },
        { NULL, NULL, "INVALID_INPUT" },
        { "null", NULL, "INVALID_INPUT" },
        { "\"a\"", "b", "INVALID_INPUT" },
        { "\"a\"", "A", "INVALID_INPUT" },
        { "\"\"", NULL, "INVALID_INPUT" },
        { "\"\"", "a", "INVALID_INPUT" },
        { "7", NULL, "INVALID_INPUT" },
        { "\"" KEY_100 "\"", NULL, NULL }, /* characters count, not their bytes */
        { NULL, KEY_100, NULL },
        { "\"" KEY_100 "x\"", NULL, "INVALID_INPUT" },
        { NULL, KEY_100 "x", "INVALID_INPUT" },
        { NULL, "\xFF", "INVALID_INPUT" },
        { NULL, "\xED\xA0\x80", "INVALID_INPUT" },
        { "\"\xFF\"", NULL, "INVALID_INPUT" },
    };
    char body[800], fields[800];

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        snprintf(body, sizeof body, "{\"amount\":1%s%s}",
                 rows[i].body ? ",\"idempotencyKey\":" : "", rows[i].body ? rows[i].body : "");
        snprintf(fields, sizeof fields, "%s%s%s", rows[i].header ? "Idempotency-Key: " : "",
                 rows[i].header ? rows[i].header : "", rows[i].header ? "\r\n" : "");
        struct answer answer = whole_call("POST", "/api/users/7/balance/charge", fields, body);
        assert_problem(&answer, rows[i].want, body);
        if (rows[i].want && answer.status == 400)
            assert_true(str_equal(problem_of(&answer)->member, STR("idempotencyKey")) ||
                        str_equal(problem_of(&answer)->member, STR("")));
    }
}

/* The key of the body and of the header is one key; other routes do not look at it. */
static void test_replay(void **state)
{
    char first[200];

    (void)state;
    struct answer answer = whole_call("POST", "/api/users/7/balance/charge", "",
                                      "{\"amount\":5,\"idempotencyKey\":\"k\"}");
    assert_problem(&answer, NULL, "charge");
    snprintf(first, sizeof first, "%.*s", (int)answer.body.len, answer.body.ptr);
    answer = whole_call("POST", "/api/users/7/balance/charge", "Idempotency-Key: k\r\n",
                        "{\"other\":1,\"amount\" : 5}");
    assert_string_equal(text_of(answer.body), first);
    answer = whole_call("POST", "/api/users/7/balance/charge", "Idempotency-Key: k\r\n",
                        "{\"amount\":6}");
    assert_problem(&answer, "IDEMPOTENCY_KEY_REUSED", "another amount");
    answer = whole_call("POST", "/api/users/8/balance/charge", "Idempotency-Key: k\r\n",
                        "{\"amount\":6}");
    assert_problem(&answer, NULL, "another user");
    answer = whole_call("POST", "/api/coupons/1/issue", "Idempotency-Key: \r\n", "{\"userId\":7}");
    assert_problem(&answer, NULL, "a route that takes no key");
}

/* ---- problems ---- */

static void test_members(void **state)
{
    static const char take[] = "{\"userId\":1000}";
    const struct problem_answer *problem;

    (void)state;
    struct answer answer = whole_call("POST", "/api/coupons/3/issue", "", take);
    problem = problem_of(&answer);
    assert_problem(&answer, "ALREADY_ISSUED_COUPON", "stored");
    assert_true(problem->user_coupon_id_is == JSON_GIVEN && problem->sequence_number == 1 &&
                problem->coupon_status == HELD_AVAILABLE);
    answer = whole_call("POST", "/api/coupons/4/reserve", "", take);
    problem = problem_of(&answer);
    assert_problem(&answer, "ALREADY_ISSUED_COUPON", "ended");
    assert_int_equal(problem->coupon_status, HELD_EXPIRED);
    answer = whole_call("POST", "/api/coupons/5/reserve", "", take);
    problem = problem_of(&answer);
    assert_problem(&answer, "COUPON_NOT_STARTED", "tomorrow");
    assert_true(problem->starts_at_ms_is == JSON_GIVEN && problem->starts_at_ms > clock_wall_ms());
    answer = whole_call("PATCH", "/api/admin/coupons/3", "", "{\"totalQuantity\":1}");
    problem = problem_of(&answer);
    assert_problem(&answer, "CONFLICT", "below what is handed out");
    assert_true(problem->possible_quantity_is == JSON_GIVEN && problem->possible_quantity == 2);
    answer = whole_call("POST", "/api/admin/coupons", "", "{\"name\":\"a\",\"discountRate\":101}");
    problem = problem_of(&answer);
    assert_problem(&answer, "INVALID_INPUT", "a rate");
    assert_string_equal(text_of(problem->member), "discountRate");
    assert_string_equal(text_of(problem->instance), "/api/admin/coupons");
}

/* A place that is promised and not stored yet: its number is said, its id is null. */
static void test_member_null(void **state)
{
    (void)state;
    struct answer answer = whole_call("POST", "/api/coupons/1/issue", "", "{\"userId\":1}");
    assert_problem(&answer, NULL, "now the users are known");
    ledger_fault_set(whole.ledger, true);
    answer = whole_call("POST", "/api/coupons/1/reserve", "", "{\"userId\":2}");
    assert_problem(&answer, NULL, "the journal promises");
    answer = whole_call("POST", "/api/coupons/1/reserve", "", "{\"userId\":2}");
    const struct problem_answer *problem = problem_of(&answer);
    assert_problem(&answer, "ALREADY_ISSUED_COUPON", "not stored");
    assert_true(problem->user_coupon_id_is == JSON_NULLED && problem->sequence_number == 2 &&
                problem->coupon_status == HELD_RESERVED);
    ledger_fault_set(whole.ledger, false);
    whole_recover();
    answer = whole_call("POST", "/api/coupons/1/reserve", "", "{\"userId\":2}");
    problem = problem_of(&answer);
    assert_true(problem->user_coupon_id_is == JSON_GIVEN && problem->sequence_number == 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_router),
        cmocka_unit_test_setup_teardown(test_methods, open_test, close_it),
        cmocka_unit_test_setup_teardown(test_head, open_test, close_it),
        cmocka_unit_test_setup_teardown(test_query, open_test, close_it),
        cmocka_unit_test(test_cursors),
        cmocka_unit_test_setup_teardown(test_keys, open_test, close_it),
        cmocka_unit_test_setup_teardown(test_replay, open_test, close_it),
        cmocka_unit_test_setup_teardown(test_members, open_test, close_it),
        cmocka_unit_test_setup_teardown(test_member_null, open_test, close_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
