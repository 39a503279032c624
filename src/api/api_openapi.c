// SPDX-License-Identifier: Apache-2.0
/* The OpenAPI 3.1 document, from the rows of the route tables and their JSON types. */
#include "api/api_policy.h"
#include "json/json_schema.h"

#define COMMON_PROBLEMS                                                                      \
    (PROBLEM_BIT(INVALID_INPUT) | PROBLEM_BIT(REQUEST_TIMEOUT) | PROBLEM_BIT(URI_TOO_LONG) | \
     PROBLEM_BIT(HEADERS_TOO_LARGE) | PROBLEM_BIT(PAYLOAD_TOO_LARGE) | PROBLEM_BIT(OVERLOADED))

static bool is_prod(const struct api *api)
{
    return api->config->profile == CONFIG_PROD;
}

static uint64_t problems_of(const struct api *api, const struct api_route *route)
{
    uint64_t set = route->problems | COMMON_PROBLEMS;

    if (route->body)
        set |= PROBLEM_BIT(UNSUPPORTED_MEDIA_TYPE);
    if (api_policy_limits(api->policy) && !(route->flags & API_UNLIMITED))
        set |= PROBLEM_BIT(TOO_MANY_REQUESTS);
    if (route->access != API_PUBLIC) {
        if (is_prod(api))
            set |= PROBLEM_BIT(UNAUTHENTICATED);
        if (is_prod(api) || (route->access != API_USER && route->access != API_CHARGE))
            set |= PROBLEM_BIT(FORBIDDEN);
    }
    return set;
}

static void member(struct buf *out, const char *name, const char *value)
{
    buf_printf(out, "\"%s\":", name);
    buf_json_string(out, str_from(value));
}

/* ---- parameters ---- */

static void path_parameters(struct buf *out, const char *path, bool *first)
{
    for (const char *open = strchr(path, '{'); open; open = strchr(open + 1, '{')) {
        const char *end = strchr(open, '}');
        buf_printf(out,
                   "%s{\"name\":\"%.*s\",\"in\":\"path\",\"required\":true,"
                   "\"schema\":{\"type\":\"integer\",\"format\":\"int64\"},\"example\":1}",
                   *first ? "" : ",", (int)(end - open - 1), open + 1);
        *first = false;
    }
}

static void query_parameters(struct buf *out, const struct json_type *type, bool *first)
{
    for (size_t i = 0; type && i < type->row_count; i++) {
        const struct json_row *row = &type->rows[i];
        buf_printf(out, "%s{\"name\":\"%.*s\",\"in\":\"query\",\"required\":%s,", *first ? "" : ",",
                   (int)row->name_len, row->prefix + 2,
                   row->flags & JSON_FLAG_REQUIRED ? "true" : "false");
        member(out, "description", row->about);
        buf_literal(out, ",\"schema\":");
        json_schema_row(out, row);
        buf_char(out, '}');
        *first = false;
    }
}

static void parameters(struct buf *out, const struct api_route *route)
{
    bool first = true;

    buf_literal(out, ",\"parameters\":[");
    path_parameters(out, route->path, &first);
    query_parameters(out, route->query, &first);
    if (route->flags & API_KEYED)
        buf_printf(out,
                   "%s{\"name\":\"Idempotency-Key\",\"in\":\"header\",\"required\":false,"
                   "\"description\":\"Instead of the body's idempotencyKey; if both are given they"
                   " must be equal.\",\"schema\":{\"type\":\"string\",\"minLength\":1,"
                   "\"maxLength\":100},\"example\":\"key-1\"}",
                   first ? "" : ",");
    buf_char(out, ']');
}

/* ---- bodies and answers ---- */

/* A JSON object of `type`, or a text that looks like `text`. */
static void media(struct buf *out, const char *media_type, const struct json_type *type,
                  const char *text)
{
    buf_printf(out, "\"%s\":{\"schema\":", media_type);
    if (type) {
        json_schema_ref(out, type);
        buf_literal(out, ",\"example\":");
        json_schema_example(out, type);
    } else if (str_equal(str_from(media_type), STR("application/json"))) {
        buf_literal(out, "{\"type\":\"object\"},\"example\":{\"openapi\":\"3.1.0\"}");
    } else {
        buf_literal(out, "{\"type\":\"string\"}");
    }
    if (text) {
        buf_char(out, ',');
        member(out, "example", text);
    }
    buf_char(out, '}');
}

static void content(struct buf *out, const char *media_type, const struct json_type *type)
{
    buf_literal(out, "\"content\":{");
    media(out, media_type, type, NULL);
    buf_char(out, '}');
}

static void success(struct buf *out, const struct api_route *route)
{
    if (route->flags & API_EMPTY) {
        buf_printf(out, "\"%u\":{\"description\":\"Done.\"}", route->status);
        return;
    }
    buf_printf(out, "\"%u\":{\"description\":\"Done.\",\"content\":{", route->status);
    media(out, route->answer_type ? route->answer_type : "application/json", route->answer,
          route->other_type ? NULL : route->text_example);
    if (route->other_type) {
        buf_char(out, ',');
        media(out, route->other_type, NULL, route->text_example);
    }
    buf_literal(out, "}}");
}

/* Health says why in its own words. */
static void down(struct buf *out, const struct api_route *route)
{
    buf_literal(out, ",\"503\":{\"description\":\"Down.\",");
    content(out, "application/json", route->down);
    buf_char(out, '}');
}

/* One response a status, naming the errors that share it. */
static void failure(struct buf *out, uint64_t set, unsigned status)
{
    bool first = true, waits = status == 429 || status == 503;

    buf_printf(out, ",\"%u\":{\"description\":\"", status);
    for (enum problem problem = 0; problem < PROBLEM_COUNT; problem++)
        if ((set >> problem & 1) && problem_status(problem) == status) {
            buf_printf(out, "%s%s (%s): %s", first ? "" : "; ", problem_name(problem),
                       problem_code(problem), problem_title(problem));
            first = false;
        }
    buf_literal(out, "\",");
    if (waits)
        buf_literal(out, "\"headers\":{\"Retry-After\":{\"description\":\"Seconds.\","
                         "\"required\":true,\"schema\":{\"type\":\"integer\"},\"example\":2}},");
    buf_literal(out, "\"content\":{\"application/problem+json\":{\"schema\":");
    json_schema_ref(out, &problem_answer_json);
    buf_literal(out, ",\"examples\":{");
    first = true;
    for (enum problem problem = 0; problem < PROBLEM_COUNT; problem++)
        if ((set >> problem & 1) && problem_status(problem) == status) {
            buf_printf(out, "%s\"%s\":{\"$ref\":\"#/components/examples/%s\"}", first ? "" : ",",
                       problem_name(problem), problem_name(problem));
            first = false;
        }
    buf_literal(out, "}}}}");
}

/* One of each problem, for the answers to refer to. */
static void problem_examples(struct buf *out)
{
    const int64_t noon_ms = 1772766000000; /* 2026-03-06T12:00:00+09:00 */

    buf_literal(out, ",\"examples\":{");
    for (enum problem problem = 0; problem < PROBLEM_COUNT; problem++) {
        buf_printf(out, "%s\"%s\":{", problem == 0 ? "" : ",", problem_name(problem));
        member(out, "summary", problem_title(problem));
        buf_literal(out, ",\"value\":");
        problem_render(out, problem, problem_title(problem), STR("/api/path"), noon_ms);
        buf_char(out, '}');
    }
    buf_char(out, '}');
}

static void responses(struct buf *out, const struct api *api, const struct api_route *route)
{
    uint64_t set = problems_of(api, route);

    buf_literal(out, ",\"responses\":{");
    success(out, route);
    for (unsigned status = 400; status < 600; status++)
        for (enum problem problem = 0; problem < PROBLEM_COUNT; problem++)
            if ((set >> problem & 1) && problem_status(problem) == status) {
                if (status == 503 && route->down)
                    down(out, route);
                else
                    failure(out, set, status);
                break;
            }
    buf_char(out, '}');
}

static void operation(struct buf *out, const struct api *api, const struct api_route *route)
{
    static const char *const names[] = { "get", "head", "post", "put", "patch", "delete" };

    buf_printf(out, "\"%s\":{", names[route->method]);
    member(out, "operationId", route->name);
    buf_printf(out, ",\"tags\":[\"%s\"],", route->tag);
    member(out, "summary", route->summary);
    parameters(out, route);
    if (route->body) {
        buf_literal(out, ",\"requestBody\":{\"required\":true,");
        content(out, "application/json", route->body);
        buf_char(out, '}');
    }
    responses(out, api, route);
    if (is_prod(api) && route->access != API_PUBLIC)
        buf_literal(out, ",\"security\":[{\"bearer\":[]}]");
    buf_char(out, '}');
}

/* Routes of one path stand side by side in the tables. */
static void paths(struct buf *out, struct api *api, struct json_schema_set *schemas)
{
    const char *path = NULL;
    const struct api_route *route;

    buf_literal(out, ",\"paths\":{");
    for (size_t i = 0; (route = api_router_route(api->router, i)); i++) {
        if (route->access == API_TEST && api->config->profile != CONFIG_TEST)
            continue;
        bool same = path && strcmp(path, route->path) == 0;
        buf_printf(out, "%s", same ? "," : path ? "}," : "");
        if (!same)
            buf_printf(out, "\"%s\":{", route->path);
        path = route->path;
        operation(out, api, route);
        if (route->body)
            json_schema_add(schemas, route->body);
        if (route->answer)
            json_schema_add(schemas, route->answer);
    }
    buf_literal(out, "}}");
}

enum err api_openapi(struct api *api, struct buf *out)
{
    struct json_schema_set schemas = { 0 };

    buf_literal(out, "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Doorbuster\",\"version\":\"1\","
                     "\"description\":\"Limited coupons, first come, first served.\","
                     "\"license\":{\"name\":\"Apache-2.0\",\"identifier\":\"Apache-2.0\"}},"
                     "\"servers\":[{\"url\":\"/\"}]");
    json_schema_add(&schemas, &problem_answer_json);
    paths(out, api, &schemas);
    buf_literal(out, ",\"components\":{\"schemas\":");
    json_schema_render(out, &schemas);
    problem_examples(out);
    if (is_prod(api))
        buf_literal(out, ",\"securitySchemes\":{\"bearer\":{\"type\":\"http\","
                         "\"scheme\":\"bearer\",\"bearerFormat\":\"JWT\"}}");
    buf_literal(out, "}}");
    return buf_ok(out) ? ERR_OK : ERR_NOMEM;
}
