// SPDX-License-Identifier: Apache-2.0
/*
 * The way of a request: route, caller, body, handler. http calls api_on_request(), the handler
 * answers, http calls api_on_answered().
 */
#include <stdio.h>

#include "api/api_policy.h"
#include "base/clock.h"
#include "base/log.h"

static struct api_loop *loop_of(const struct http_request *request)
{
    return request->app;
}

/* ---- answering ---- */

/* What other servers change is not counted here: of theirs, only what may be a moment old is kept.
 */
static bool may_keep(const struct api_call *call)
{
    return call->loop->answers && call->stamp.count &&
           (call->stamp.until_ms || !call->loop->shop->shop->servers);
}

void api_answer(struct api_call *call, unsigned status, const struct json_type *type,
                const void *object)
{
    struct buf *out = http_response_begin(call->http, status, STR("application/json"));
    size_t at = out->len;

    json_render(out, type, object);
    if (status == 200 && may_keep(call) && buf_ok(out))
        answer_cache_put(call->loop->answers, call->http->path, call->http->query,
                         (struct str){ out->ptr + at, out->len - at }, &call->stamp);
    http_response_end(call->http);
}

void api_keep(struct api_call *call, const _Atomic uint64_t *counter)
{
    answer_stamp_add(&call->stamp, counter);
}

enum { MOMENT_MS = 50 };

void api_keep_for_a_moment(struct api_call *call, const _Atomic uint64_t *one,
                           const _Atomic uint64_t *two)
{
    int64_t now_ms = clock_wall_ms();

    if (clock_day(now_ms) != clock_day(now_ms + MOMENT_MS))
        return;
    api_keep(call, one);
    api_keep(call, two);
    call->stamp.from_ms = now_ms;
    call->stamp.until_ms = now_ms + MOMENT_MS;
}

void api_problem(struct api_call *call, enum problem problem, const char *why)
{
    problem_respond(call->http, problem, why, NULL);
}

void api_invalid(struct api_call *call, const char *member, const char *why)
{
    struct problem_answer extra = { .member_is = JSON_GIVEN, .member = str_from(member) };
    char text[300];

    snprintf(text, sizeof text, "%s %s", *member ? member : "the body", why);
    problem_respond(call->http, PROBLEM_INVALID_INPUT, text, &extra);
}

void api_store_problem(struct api_call *call, enum err e)
{
    if (e == ERR_OVERLOADED)
        api_problem(call, PROBLEM_OVERLOADED, "too many commands wait for the ledger; try again");
    else if (e == ERR_UNCERTAIN)
        api_problem(
            call, PROBLEM_STORE_UNAVAILABLE,
            "the outcome is not known; repeat the call, with the same key where it has one");
    else
        api_problem(call, PROBLEM_STORE_UNAVAILABLE, "the store is away; nothing was done");
}

void *api_alloc(struct api_call *call, size_t size)
{
    void *object = arena_alloc(&call->http->arena, size);

    if (object)
        return memset(object, 0, size);
    api_problem(call, PROBLEM_OVERLOADED, "out of memory");
    return NULL;
}

uint64_t api_elapsed_us(const struct api_call *call)
{
    return (clock_mono_ns() - call->http->started_ns) / 1000;
}

/* ---- routing ---- */

struct str api_method_names(unsigned allowed, char out[API_METHODS_BYTES])
{
    static const char *const names[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE" };
    size_t n = 0;

    allowed |= allowed & 1u << HTTP_GET ? 1u << HTTP_HEAD : 0;
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if (allowed >> i & 1)
            n += (size_t)snprintf(out + n, API_METHODS_BYTES - n, "%s%s", n ? ", " : "", names[i]);
    return (struct str){ out, n };
}

static void answer_methods(struct http_request *request, unsigned allowed, bool refused)
{
    char names[API_METHODS_BYTES], text[API_METHODS_BYTES + 16];
    struct str methods = api_method_names(allowed, names);
    int n = snprintf(text, sizeof text, "%.*s%sOPTIONS", (int)methods.len, names,
                     methods.len ? ", " : "");

    http_response_header(request, STR("Allow"), (struct str){ text, (size_t)n });
    if (refused)
        problem_respond(request, PROBLEM_METHOD_NOT_ALLOWED, "this path does not have that method",
                        NULL);
    else
        http_respond(request, 204, STR_NONE, STR_NONE);
}

/* False: answered. */
static bool find_route(struct api_call *call)
{
    struct http_request *request = call->http;
    const struct api *api = call->loop->api;
    struct api_match match;

    if (request->method == HTTP_OPTIONS && str_equal(request->path, STR("*"))) {
        answer_methods(request, ~0u, false);
        return false;
    }
    api_router_match(api->router, request->method, request->path, &match);
    if (UNLIKELY(api->policy) && !api_policy_admit(call, &match))
        return false;
    bool hidden = match.test_only && api->config->profile != CONFIG_TEST;
    if (!match.path_known || hidden) {
        api_problem(call, PROBLEM_NOT_FOUND, "there is nothing at this path");
        return false;
    }
    if (!match.route) {
        answer_methods(request, match.allowed, request->method != HTTP_OPTIONS);
        return false;
    }
    call->route = match.route;
    if (match.bad_id) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)MIN(match.bad_id_name.len, sizeof name - 1),
                 match.bad_id_name.ptr);
        api_invalid(call, name, "must be an integer");
        return false;
    }
    memcpy(call->ids, match.ids, sizeof call->ids);
    return true;
}

/* Answered before, and nothing has changed since? False: answered. */
static bool answer_kept(struct api_call *call)
{
    struct api_loop *loop = call->loop;
    struct str body;

    if (!(call->route->flags & API_CACHED) || !loop->answers)
        return true;
    bool kept = answer_cache_get(loop->answers, call->http->path, call->http->query, &body);
    metrics_add(loop->metrics, kept ? METRIC_answers_kept : METRIC_answers_made, 1);
    if (kept)
        http_respond(call->http, 200, STR("application/json"), body);
    return !kept;
}

/* ---- query, body, key ---- */

static bool bind_failed(struct api_call *call, enum err e, const struct json_error *error)
{
    if (e == ERR_NOMEM)
        api_problem(call, PROBLEM_OVERLOADED, "out of memory");
    else
        api_invalid(call, error->member, error->detail);
    return false;
}

static bool bind_query(struct api_call *call)
{
    const struct json_type *type = call->route->query;
    struct json_error error = { 0 };

    if (!type)
        return true;
    call->query = api_alloc(call, type->size);
    if (!call->query)
        return false;
    enum err e = api_query_parse(call->http->query, type, &call->http->arena, call->query, &error);
    return e == ERR_OK || bind_failed(call, e, &error);
}

static bool content_type_is_json(struct str value)
{
    const char *semicolon = value.len ? memchr(value.ptr, ';', value.len) : NULL;

    if (semicolon)
        value.len = (size_t)(semicolon - value.ptr);
    while (value.len > 0 && (value.ptr[value.len - 1] == ' ' || value.ptr[value.len - 1] == '\t'))
        value.len--;
    return value.ptr == NULL || str_equal_nocase(value, STR("application/json"));
}

static bool bind_body(struct api_call *call)
{
    const struct json_type *type = call->route->body;
    struct json_error error = { 0 };

    if (!type)
        return true;
    if (!content_type_is_json(http_request_header(call->http, STR("Content-Type")))) {
        api_problem(call, PROBLEM_UNSUPPORTED_MEDIA_TYPE,
                    "send the body as Content-Type: application/json");
        return false;
    }
    call->body = api_alloc(call, type->size);
    if (!call->body)
        return false;
    enum err e = json_parse(call->http->body, type, &call->http->arena, call->body, &error);
    return e == ERR_OK || bind_failed(call, e, &error);
}

/* The header says one thing: given again, it says the same. */
static bool header_key_is_one(const struct http_request *request, struct str key)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (str_equal_nocase(request->headers[i].name, STR("Idempotency-Key")) &&
            !str_equal(request->headers[i].value, key))
            return false;
    return true;
}

/* In the body or in the header; the body names it, so one of them is required. */
static bool bind_key(struct api_call *call)
{
    struct str header, named;

    if (!(call->route->flags & API_KEYED))
        return true;
    header = http_request_header(call->http, STR("Idempotency-Key"));
    memcpy(&named, (const char *)call->body + call->route->body_key_offset, sizeof named);
    call->key = named.ptr ? named : header;
    if (!header_key_is_one(call->http, header)) {
        api_invalid(call, "Idempotency-Key", "is given twice, with different values");
        return false;
    }
    if (named.ptr && header.ptr && !str_equal(named, header)) {
        api_invalid(call, "idempotencyKey", "differs from the header Idempotency-Key");
        return false;
    }
    if (!call->key.ptr && (call->route->flags & API_KEY_OPTIONAL))
        return true;
    if (!call->key.ptr) {
        api_invalid(call, "idempotencyKey", "is missing");
        return false;
    }
    if (call->key.len < 1 || call->key.len > 400 || !str_is_utf8(call->key) ||
        str_length(call->key) > 100) {
        api_invalid(call, "idempotencyKey", "must have 1 to 100 characters");
        return false;
    }
    return true;
}

/* ---- a coupon that another server has just made ---- */

struct coupon_search {
    struct api_call *call;
    struct servers_refresh refresh;
};

static void coupon_searched(struct servers_refresh *refresh, enum err e)
{
    struct api_call *call = CONTAINER_OF(refresh, struct coupon_search, refresh)->call;

    err_ignore(e, "then it is not known here");
    call->route->handle(call);
}

/* False: it is known, or nobody else could have made it. */
static bool coupon_search(struct api_call *call)
{
    struct shop *shop = call->loop->shop->shop;
    struct coupon_search *search;

    if (!(call->route->flags & API_COUPON) || !shop->servers ||
        catalog_find(shop->catalog, call->ids[0]))
        return false;
    search = arena_alloc(&call->http->arena, sizeof *search);
    if (!search)
        return false;
    *search = (struct coupon_search){ .call = call, .refresh.done = coupon_searched };
    servers_refresh(call->loop->shop, &search->refresh);
    return true;
}

void api_on_request(struct http_request *request)
{
    struct api_loop *loop = loop_of(request);
    struct api_call *call = arena_alloc(&request->arena, sizeof *call);

    metrics_level(loop->metrics, METRIC_http_in_flight, 1);
    request->user = NULL;
    if (!call) {
        problem_respond(request, PROBLEM_OVERLOADED, "out of memory", NULL);
        return;
    }
    *call = (struct api_call){ .http = request, .loop = loop };
    request->user = call;
    if (find_route(call) && api_caller_admit(call) && answer_kept(call) && bind_query(call) &&
        bind_body(call) && api_caller_owns(call) && bind_key(call) && !coupon_search(call))
        call->route->handle(call);
}

void api_on_refusal(struct http_request *request, enum http_refusal why)
{
    static const struct {
        enum problem problem;
        const char *why;
    } rows[HTTP_REFUSAL_COUNT] = {
        [HTTP_REFUSAL_MALFORMED] = { PROBLEM_INVALID_INPUT, "not a well-formed HTTP request" },
        [HTTP_REFUSAL_URI_TOO_LONG] = { PROBLEM_URI_TOO_LONG, "the request line is too long" },
        [HTTP_REFUSAL_HEADERS_TOO_LARGE] = { PROBLEM_HEADERS_TOO_LARGE,
                                             "too many header fields, or too many bytes of them" },
        [HTTP_REFUSAL_BODY_TOO_LARGE] = { PROBLEM_PAYLOAD_TOO_LARGE, "the body is too large" },
        [HTTP_REFUSAL_TIMEOUT] = { PROBLEM_REQUEST_TIMEOUT, "the request did not arrive in time" },
        [HTTP_REFUSAL_TOO_MANY_CONNECTIONS] = { PROBLEM_OVERLOADED, "too many connections" },
    };
    struct api_loop *loop = loop_of(request);

    metrics_level(loop->metrics, METRIC_http_in_flight, 1);
    metrics_add(loop->metrics, METRIC_http_malformed, 1);
    request->user = NULL;
    if (UNLIKELY(loop->api->policy))
        api_policy_refusal(loop->api->policy, request);
    problem_respond(request, rows[why].problem, rows[why].why, NULL);
}

void api_on_answered(struct http_request *request, unsigned status, size_t bytes)
{
    struct api_loop *loop = loop_of(request);
    const struct api_call *call = request->user;
    const struct api_route *route = call ? call->route : NULL;
    uint64_t ns = clock_mono_ns() - request->started_ns;

    metrics_level(loop->metrics, METRIC_http_in_flight, -1);
    metrics_http(loop->metrics, api_router_index(loop->api->router, route), (int)status, ns);
    LOG(LOG_DEBUG, "request", LOG_STR("request", request->request_id),
        LOG_STR("method", request->method_token), LOG_STR("path", request->path),
        LOG_INT("status", status), LOG_INT("bytes", bytes), LOG_INT("duration_us", ns / 1000));
}

enum err api_init(struct api *api, const struct api_route *const *tables)
{
    api->router = api_router_new(tables);
    if (!api->router)
        return ERR_NOMEM;
    return api_openapi(api, &api->openapi);
}

void api_fini(struct api *api)
{
    api->router = api_router_free(api->router);
    buf_fini(&api->openapi);
}

const struct metrics_route *api_metric_routes(const struct api *api, size_t *ret_count)
{
    return api_router_metrics(api->router, ret_count);
}
