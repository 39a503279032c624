// SPDX-License-Identifier: Apache-2.0
/*
 * What the rows of the route table promise is what happens: every problem that a route declares can
 * be had, none is answered that it does not declare, and the OpenAPI document says all of it.
 */
#include "api/api_ask_test.h"
#include "api/api_scenes_test.h"

#define COUPON(n)                                                                \
    "{\"couponId\":" n ",\"name\":\"n\",\"discountRate\":1,\"totalQuantity\":5," \
    "\"endsAt\":\"2099-01-01T00:00:00Z\"}"
#define CHARGE(amount, key) "{\"amount\":" amount ",\"idempotencyKey\":\"" key "\"}"

enum fault { WELL, NO_LEDGER, NO_GATE, NO_ROOM };

static void fault_set(enum fault fault)
{
    ledger_fault_set(whole.ledger, fault == NO_LEDGER);
    gate_fault_set(whole.gate, fault == NO_GATE);
}

/* ---- every declared problem ---- */

struct scene {
    enum fault fault;
    const char *method, *path, *body;
    int want; /* enum problem; PROBLEM_COUNT: success */
};

/* In this order, on one shop. */
static const struct scene scenes[] = {
#define TAKE_SCENES(way, mine, yours)                                                              \
    { WELL, "POST", "/api/coupons/1/" way, "{\"userId\":" mine "}", PROBLEM_COUNT },               \
        { WELL, "POST", "/api/coupons/1/" way, "{\"userId\":" mine "}",                            \
          PROBLEM_ALREADY_ISSUED_COUPON },                                                         \
        { WELL, "POST", "/api/coupons/1/" way, "{\"userId\":999999}", PROBLEM_USER_NOT_FOUND },    \
        { WELL, "POST", "/api/coupons/1/" way, "{\"userId\":-1}", PROBLEM_USER_NOT_FOUND },        \
        { WELL, "POST", "/api/coupons/99/" way, "{\"userId\":" mine "}", PROBLEM_INVALID_COUPON }, \
        { WELL, "POST", "/api/coupons/99/" way, "{\"userId\":999999}", PROBLEM_USER_NOT_FOUND },   \
        { WELL, "POST", "/api/coupons/3/" way, "{\"userId\":" mine "}", PROBLEM_COUPON_SOLD_OUT }, \
        { WELL, "POST", "/api/coupons/3/" way, "{\"userId\":1000}",                                \
          PROBLEM_ALREADY_ISSUED_COUPON },                                                         \
        { WELL, "POST", "/api/coupons/4/" way, "{\"userId\":" mine "}", PROBLEM_EXPIRED_COUPON },  \
        { WELL, "POST", "/api/coupons/4/" way, "{\"userId\":1000}",                                \
          PROBLEM_ALREADY_ISSUED_COUPON },                                                         \
        { WELL, "POST", "/api/coupons/5/" way, "{\"userId\":" mine "}",                            \
          PROBLEM_COUPON_NOT_STARTED },                                                            \
        { WELL, "POST", "/api/coupons/6/" way, "{\"userId\":" mine "}", PROBLEM_COUPON_ENDED },    \
        { NO_GATE, "POST", "/api/coupons/1/" way, "{\"userId\":" yours "}",                        \
          PROBLEM_COUPON_CLOSED },                                                                 \
        { NO_GATE, "POST", "/api/coupons/1/" way, "{\"userId\":" mine "}",                         \
          PROBLEM_ALREADY_ISSUED_COUPON },                                                         \
        { NO_LEDGER, "POST", "/api/coupons/1/" way, "{\"userId\":900000}",                         \
          PROBLEM_STORE_UNAVAILABLE },                                                             \
    {                                                                                              \
        NO_ROOM, "POST", "/api/coupons/1/" way, "{\"userId\":" yours "}", PROBLEM_OVERLOADED       \
    }
    PRODUCT_SCENES,
    CART_SCENES,
    RANKING_SCENES,
    TAKE_SCENES("issue", "10", "11"),
    TAKE_SCENES("reserve", "20", "21"),
    { WELL, "GET", "/api/coupons/1", NULL, PROBLEM_COUNT },
    { WELL, "GET", "/api/coupons/99", NULL, PROBLEM_NOT_FOUND },
    { WELL, "GET", "/api/users/1", NULL, PROBLEM_COUNT },
    { WELL, "GET", "/api/users/0", NULL, PROBLEM_USER_NOT_FOUND },
    { NO_LEDGER, "GET", "/api/users/1", NULL, PROBLEM_STORE_UNAVAILABLE },
    { WELL, "GET", "/api/users/999999/balance", NULL, PROBLEM_USER_NOT_FOUND },
    { NO_LEDGER, "GET", "/api/users/1/balance", NULL, PROBLEM_STORE_UNAVAILABLE },
    { WELL, "GET", "/api/users/999999/coupons", NULL, PROBLEM_USER_NOT_FOUND },
    { NO_LEDGER, "GET", "/api/users/1/coupons", NULL, PROBLEM_STORE_UNAVAILABLE },
    { WELL, "POST", "/api/users/1/balance/charge", CHARGE("5", "k"), PROBLEM_COUNT },
    { WELL, "POST", "/api/users/1/balance/charge", CHARGE("6", "k"),
      PROBLEM_IDEMPOTENCY_KEY_REUSED },
    { WELL, "POST", "/api/users/1/balance/charge", CHARGE("0", "l"),
      PROBLEM_INVALID_CHARGE_AMOUNT },
    { WELL, "POST", "/api/users/1/balance/charge", CHARGE("-9223372036854775808", "l"),
      PROBLEM_INVALID_CHARGE_AMOUNT },
    { WELL, "POST", "/api/users/1/balance/charge", CHARGE("1000000000001", "l"),
      PROBLEM_INVALID_CHARGE_AMOUNT },
    { WELL, "POST", "/api/users/1/balance/charge", CHARGE("1000000000000", "l"), PROBLEM_COUNT },
    { WELL, "POST", "/api/users/999999/balance/charge", CHARGE("1", "l"), PROBLEM_USER_NOT_FOUND },
    { NO_LEDGER, "POST", "/api/users/1/balance/charge", CHARGE("1", "m"),
      PROBLEM_STORE_UNAVAILABLE },
    { NO_ROOM, "POST", "/api/users/1/balance/charge", CHARGE("1", "m"), PROBLEM_OVERLOADED },
    { WELL, "POST", "/api/admin/coupons", COUPON("50"), PROBLEM_COUNT },
    { WELL, "POST", "/api/admin/coupons", COUPON("50"), PROBLEM_CONFLICT },
    { WELL, "POST", "/api/admin/coupons", COUPON("9223372036854775807"), PROBLEM_COUNT },
    { WELL, "POST", "/api/admin/coupons", COUPON("null"), PROBLEM_CONFLICT },
    { NO_LEDGER, "POST", "/api/admin/coupons", COUPON("51"), PROBLEM_STORE_UNAVAILABLE },
    { NO_ROOM, "POST", "/api/admin/coupons", COUPON("51"), PROBLEM_OVERLOADED },
    { WELL, "POST", "/api/admin/coupons/99/rebuild", NULL, PROBLEM_NOT_FOUND },
    { WELL, "POST", "/api/admin/coupons/3/rebuild", NULL, PROBLEM_COUNT },
    { NO_LEDGER, "POST", "/api/admin/coupons/3/rebuild", NULL, PROBLEM_STORE_UNAVAILABLE },
    { WELL, "PATCH", "/api/admin/coupons/99", "{}", PROBLEM_NOT_FOUND },
    { WELL, "PATCH", "/api/admin/coupons/3", "{\"totalQuantity\":1}", PROBLEM_CONFLICT },
    { WELL, "PATCH", "/api/admin/coupons/3", "{\"totalQuantity\":0}", PROBLEM_INVALID_INPUT },
    { WELL, "PATCH", "/api/admin/coupons/3", "{\"endsAt\":\"1999-01-01T00:00:00Z\"}",
      PROBLEM_INVALID_INPUT },
    { NO_LEDGER, "PATCH", "/api/admin/coupons/1", "{\"closed\":false}", PROBLEM_STORE_UNAVAILABLE },
    { NO_ROOM, "PATCH", "/api/admin/coupons/1", "{\"closed\":false}", PROBLEM_OVERLOADED },
    { WELL, "GET", "/api/admin/coupons/99/proof", NULL, PROBLEM_NOT_FOUND },
    { WELL, "GET", "/api/admin/coupons/1/proof", NULL, PROBLEM_COUNT },
    { NO_LEDGER, "GET", "/api/admin/coupons/1/proof", NULL, PROBLEM_STORE_UNAVAILABLE },
    { WELL, "GET", "/api/admin/coupons/99/winners", NULL, PROBLEM_NOT_FOUND },
    { WELL, "GET", "/api/admin/coupons/1/winners", NULL, PROBLEM_COUNT },
    { NO_LEDGER, "GET", "/api/admin/coupons/1/winners", NULL, PROBLEM_STORE_UNAVAILABLE },
    { WELL, "POST", "/api/admin/users", "{\"userId\":1}", PROBLEM_CONFLICT },
    { WELL, "POST", "/api/admin/users", "{\"userId\":9223372036854775807}", PROBLEM_COUNT },
    { WELL, "POST", "/api/admin/users", "{}", PROBLEM_CONFLICT },
    { NO_LEDGER, "POST", "/api/admin/users", "{\"userId\":5000}", PROBLEM_STORE_UNAVAILABLE },
    { NO_ROOM, "POST", "/api/admin/users", "{\"userId\":5000}", PROBLEM_OVERLOADED },
    { NO_LEDGER, "POST", "/api/admin/test/clock", "{\"advanceSeconds\":1}",
      PROBLEM_STORE_UNAVAILABLE },
    { NO_ROOM, "POST", "/api/admin/test/clock", "{\"advanceSeconds\":1}", PROBLEM_OVERLOADED },
    { WELL, "POST", "/api/admin/test/clock", "{\"now\":\"1969-12-31T23:59:59Z\"}",
      PROBLEM_INVALID_INPUT },
    { WELL, "POST", "/api/admin/test/clock", "{\"now\":\"9999-12-31T23:59:59Z\"}",
      PROBLEM_INVALID_INPUT },
    { WELL, "POST", "/api/admin/test/clock", "{}", PROBLEM_INVALID_INPUT },
    EVENT_SCENES,
    ORDER_SCENES,
};

/* What takes a gateway that hangs, a gateway that refuses a refund, charges of profile prod, or a
 * balance near the largest number: payment_test.c of the shop, test_payments.py of test/integration
 * and api_access_test.c show it. */
static uint64_t shown_elsewhere(const struct api_route *route)
{
    uint64_t problems = PROBLEM_BIT(DUPLICATE_REQUEST);

    if (route->access == API_CHARGE)
        problems |= PROBLEM_BIT(PAYMENT_FAILED);
    if (strcmp(route->name, "cancelOrder") == 0)
        problems |= PROBLEM_BIT(PAYMENT_FAILED) | PROBLEM_BIT(CONFLICT);
    return problems;
}

/* Every place in the ledger's queue is taken. */
static size_t take_all_room(void)
{
    size_t taken = 0;

    while (ledger_room_take(whole.shop_loop.ledger))
        taken++;
    return taken;
}

static void play(const struct scene *scene)
{
    char what[200];

    fault_set(scene->fault);
    size_t taken = scene->fault == NO_ROOM ? take_all_room() : 0;
    struct answer answer = whole_call(scene->method, scene->path, "", scene->body);
    for (; taken > 0; taken--)
        ledger_room_return(whole.shop_loop.ledger);
    fault_set(WELL);
    whole_recover();
    snprintf(what, sizeof what, "%s %s %s, fault %d", scene->method, scene->path,
             scene->body ? scene->body : "", scene->fault);
    assert_problem(&answer,
                   scene->want == PROBLEM_COUNT ? NULL : problem_name((enum problem)scene->want),
                   what);
    bool waits = answer_field(answer.head, "Retry-After").len > 0;
    assert_int_equal(waits, answer.status == 503);
}

/* Which route a scene is about. */
static size_t route_of(const struct scene *scene)
{
    struct api_match match;
    enum http_method method = HTTP_GET;

    while (strcmp(method_words[method], scene->method) != 0)
        method++;
    api_router_match(whole.api.router, method,
                     (struct str){ scene->path, strcspn(scene->path, "?") }, &match);
    assert_non_null(match.route);
    return api_router_index(whole.api.router, match.route);
}

/* OVERLOADED stands on reads, too: there it means memory, which is not taken away here. */
static void test_every_declared_problem(void **state)
{
    static uint64_t seen[METRICS_ROUTES_MAX];
    const struct api_route *route;

    (void)state;
    for (int64_t i = 0; i < LEDGER_CART_LINES_MAX; i++) {
        whole_add_product(FULL_CART + i, 1, 1);
        whole_add_to_cart(FULL_CART_USER, FULL_CART + i, 1);
    }
    for (size_t i = 0; i < ARRAY_COUNT(scenes); i++) {
        play(&scenes[i]);
        if (scenes[i].want != PROBLEM_COUNT)
            seen[route_of(&scenes[i])] |= UINT64_C(1) << scenes[i].want;
    }
    for (size_t i = 0; (route = api_router_route(whole.api.router, i)); i++) {
        uint64_t missing = route->problems & ~seen[i] & ~shown_elsewhere(route);
        if (route->method == HTTP_GET)
            missing &= ~(uint64_t)PROBLEM_BIT(OVERLOADED);
        for (enum problem problem = 0; problem < PROBLEM_COUNT; problem++)
            if (missing >> problem & 1)
                fail_msg("%s: nothing here answers %s", route->name, problem_name(problem));
        uint64_t more =
            seen[i] & ~(route->problems | PROBLEM_BIT(INVALID_INPUT) | PROBLEM_BIT(OVERLOADED));
        assert_int_equal(more, 0);
    }
}

/* ---- bodies and media types ---- */

static void test_bodies(void **state)
{
    static const char *const bad[] = {
        "",
        "null",
        "[]",
        "{",
        "{}",
        "{}x",
        "{\"userId\":null}",
        "{\"userId\":\"7\"}",
        "{\"userId\":7.0}",
        "{\"userId\":true}",
        "{\"userId\":7,\"userId\":7}",
        "{\"userId\":9223372036854775808}",
        "{\"userId\":1e3}",
        "\xEF\xBB\xBF{\"userId\":7}",
        "{\"userId\":7,\"a\":\"\xFF\"}",
        "{\"userId\":7,\"a\":\"\\ud800\"}",
        "{\"userId\":7}{\"userId\":7}",
    };
    static const struct {
        const char *type;
        unsigned status;
    } types[] = {
        { "Content-Type: application/json\r\n", 200 },
        { "Content-Type: APPLICATION/JSON ; charset=utf-8\r\n", 409 },
        { "", 409 }, /* older clients leave it out */
        { "Content-Type: text/plain\r\n", 415 },
        { "Content-Type: application/jsonx\r\n", 415 },
        { "Content-Type: \r\n", 415 },
        { "Content-Type: application/json, text/plain\r\n", 415 },
    };
    char request[300];

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct answer answer = whole_call("POST", "/api/coupons/1/issue", "", bad[i]);
        assert_problem(&answer, "INVALID_INPUT", bad[i]);
    }
    for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
        snprintf(request, sizeof request,
                 "POST /api/coupons/1/issue HTTP/1.1\r\nHost: shop\r\n%s"
                 "Content-Length: 12\r\n\r\n{\"userId\":7}",
                 types[i].type);
        struct answer answer = whole_ask_from("127.0.0.1", str_from(request));
        if (answer.status != types[i].status)
            fail_msg("%s: %u", types[i].type, answer.status);
    }
}

/* ---- the document ---- */

struct document {
    struct str openapi;
};

static bool has(struct str text, const char *before, const char *word, const char *after)
{
    char wanted[300];

    snprintf(wanted, sizeof wanted, "%s%s%s", before, word, after);
    return text.ptr && memmem(text.ptr, text.len, wanted, strlen(wanted)) != NULL;
}

/* The part of the document about one operation, as far as the next one. */
static struct str operation_of(struct str text, const struct api_route *route)
{
    char id[200];
    int n = snprintf(id, sizeof id, "\"operationId\":\"%s\"", route->name);
    const char *from = text.ptr ? memmem(text.ptr, text.len, id, (size_t)n) : NULL;

    if (!from) {
        fail_msg("%s is not in the document", route->name);
        return text;
    }
    text.len -= (size_t)(from + n - text.ptr);
    text.ptr = from + n;
    const char *end = memmem(text.ptr, text.len, "\"operationId\":", 14);
    return end ? (struct str){ text.ptr, (size_t)(end - text.ptr) } : text;
}

static void test_document(void **state)
{
    static const struct json_row rows[] = {
        JSON_STR(document, openapi, "openapi", 1, 10, "", "", JSON_REQUIRED),
    };
    static const struct json_type type = {
        .name = "Document", .rows = rows, .row_count = 1, .size = sizeof(struct document)
    };
    const struct api_route *route;
    struct arena arena = { 0 };
    struct document document;
    struct json_error error;

    (void)state;
    struct answer answer = whole_call("GET", "/openapi.json", "", NULL);
    if (json_parse(answer.body, &type, &arena, &document, &error) != ERR_OK)
        fail_msg("not one JSON object: %s %s", error.member, error.detail);
    assert_true(str_equal(document.openapi, STR("3.1.0")));
    for (size_t i = 0; (route = api_router_route(whole.api.router, i)); i++) {
        struct str part = operation_of(answer.body, route);
        assert_true(has(answer.body, "\"", route->path, "\":{"));
        assert_true(has(part, "", "INVALID_INPUT (COMMON002)", ""));
        for (enum problem problem = 0; problem < PROBLEM_COUNT; problem++)
            if ((route->problems >> problem & 1) && !route->down &&
                !has(part, "", problem_name(problem), " ("))
                fail_msg("%s does not document %s", route->name, problem_name(problem));
    }
    arena_fini(&arena);
}

/* Codes, names and titles are there, and no two problems share one. */
static void test_problem_table(void **state)
{
    (void)state;
    for (enum problem a = 0; a < PROBLEM_COUNT; a++) {
        assert_true(problem_status(a) >= 400 && problem_status(a) < 600);
        assert_true(strlen(problem_title(a)) > 0);
        for (enum problem b = 0; b < a; b++) {
            assert_string_not_equal(problem_code(a), problem_code(b));
            assert_string_not_equal(problem_name(a), problem_name(b));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_declared_problem, open_test, close_it),
        cmocka_unit_test_setup_teardown(test_bodies, open_test, close_it),
        cmocka_unit_test_setup_teardown(test_document, open_test, close_it),
        cmocka_unit_test(test_problem_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
