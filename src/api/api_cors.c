// SPDX-License-Identifier: Apache-2.0
/*
 * Cross-origin requests (the Fetch standard). Tokens travel in a field that scripts set, never in
 * cookies, so no answer ever allows credentials, and a page gets at nothing without a token.
 */
#include <stdio.h>

#include "api/api_policy.h"
#include "base/mem.h"

#define ALLOWED_FIELDS "Authorization, Content-Type, Idempotency-Key, X-Request-Id, Last-Event-ID"
#define EXPOSED_FIELDS "X-Request-Id, Retry-After, RateLimit, RateLimit-Policy, Allow"
#define MAX_AGE_S "600"

static enum err refuse(struct config_error *error, struct str origin, const char *why)
{
    snprintf(error->text, sizeof error->text, "cors.origins: \"%.*s\" %s",
             (int)MIN(origin.len, (size_t)100), origin.ptr, why);
    return ERR_INVALID;
}

/* As a browser writes it: scheme, "://", host, perhaps a port; lower case, and nothing more. */
static bool is_origin(struct str text)
{
    const char *end = memmem(text.ptr, text.len, "://", 3);
    size_t scheme = end ? (size_t)(end - text.ptr) : 0;

    if (scheme == 0 || text.len <= scheme + 3)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
        bool of_host = c == ':' || c == '[' || c == ']' || c == '_';
        if (i < scheme ? !word && c != '+' : i >= scheme + 3 && !word && !of_host)
            return false;
    }
    return true;
}

enum err api_cors_init(struct api_cors *cors, const char *origins, struct config_error *ret_error)
{
    struct str list = str_from(origins);

    *cors = (struct api_cors){ 0 };
    if (list.len == 0)
        return ERR_OK;
    cors->origins = mem_alloc((list.len / 2 + 1) * sizeof *cors->origins);
    if (!cors->origins)
        return ERR_NOMEM;
    while (list.len > 0) {
        size_t len = 0;
        while (len < list.len && list.ptr[len] != ',' && list.ptr[len] != ' ')
            len++;
        struct str origin = { list.ptr, len };
        if (str_equal(origin, STR("*")))
            cors->any = true;
        else if (len > 0 && !is_origin(origin))
            return refuse(ret_error, origin,
                          "is no origin such as https://shop.example, without a path");
        else if (len > 0)
            cors->origins[cors->count++] = origin;
        len += len < list.len;
        list = (struct str){ list.ptr + len, list.len - len };
    }
    if (cors->any && cors->count > 0)
        return refuse(ret_error, STR("*"), "stands alone: it is every origin");
    return ERR_OK;
}

void api_cors_fini(struct api_cors *cors)
{
    cors->origins = mem_free(cors->origins);
}

static bool is_listed(const struct api_cors *cors, struct str origin)
{
    for (size_t i = 0; i < cors->count; i++)
        if (str_equal(cors->origins[i], origin))
            return true;
    return false;
}

static void allow_methods(struct http_request *request, unsigned allowed)
{
    char text[API_METHODS_BYTES];

    http_response_header(request, STR("Access-Control-Allow-Methods"),
                         api_method_names(allowed, text));
    http_response_header(request, STR("Access-Control-Allow-Headers"), STR(ALLOWED_FIELDS));
    http_response_header(request, STR("Access-Control-Max-Age"), STR(MAX_AGE_S));
}

void api_cors_answer(const struct api_cors *cors, struct http_request *request, unsigned allowed)
{
    struct str origin = http_request_header(request, STR("Origin"));
    bool asks = request->method == HTTP_OPTIONS &&
                http_request_header(request, STR("Access-Control-Request-Method")).ptr;

    if (!cors->any)
        http_response_header(request, STR("Vary"), STR("Origin"));
    if (!cors->any && (!origin.ptr || !is_listed(cors, origin)))
        return;
    http_response_header(request, STR("Access-Control-Allow-Origin"),
                         cors->any ? STR("*") : origin);
    if (asks && allowed)
        allow_methods(request, allowed);
    else
        http_response_header(request, STR("Access-Control-Expose-Headers"), STR(EXPOSED_FIELDS));
}
