// SPDX-License-Identifier: Apache-2.0
/* Who is calling, and whether they may: from the route's row, the profile and the token. */
#include "api/api_policy.h"
#include "base/clock.h"

/* Two of them would be read by one program in this order, by another in that. */
static bool is_given_twice(const struct http_request *request, struct str name)
{
    size_t count = 0;

    for (size_t i = 0; i < request->header_count; i++)
        count += str_equal_nocase(request->headers[i].name, name);
    return count > 1;
}

static bool authenticate(struct api_call *call)
{
    struct api_loop *loop = call->loop;
    struct str field = http_request_header(call->http, STR("Authorization")), token;

    if (is_given_twice(call->http, STR("Authorization"))) {
        api_problem(call, PROBLEM_UNAUTHENTICATED, "Authorization is given twice");
        return false;
    }
    if (!field.ptr || !auth_bearer(field, &token)) {
        api_problem(call, PROBLEM_UNAUTHENTICATED, "send Authorization: Bearer with a token");
        return false;
    }
    enum auth_result result =
        auth_verify(loop->api->keys, loop->auth_cache, token, clock_wall_ms(), &call->claims);
    if (result == AUTH_OK)
        return true;
    if (result == AUTH_NOMEM) {
        api_problem(call, PROBLEM_OVERLOADED, "out of memory");
        return false;
    }
    metrics_add(loop->metrics, METRIC_tokens_refused, 1);
    api_problem(call, PROBLEM_UNAUTHENTICATED, auth_result_text(result));
    return false;
}

/* Shops of an administrator's own, which speak for many, are not users. */
static bool limit(struct api_call *call)
{
    return LIKELY(!call->loop->api->policy) || call->claims.admin ||
           api_policy_admit_user(call, call->claims.user_id);
}

static bool admin_only(struct api_call *call)
{
    if (call->claims.admin)
        return true;
    api_problem(call, PROBLEM_FORBIDDEN, "this needs the role admin");
    return false;
}

/* A page of this machine, or no page at all: a browser names the page of whatever changes
 * something, also where it would not show the answer to that page. */
static bool is_page_of_this_machine(struct http_request *request)
{
    static const char *const hosts[] = { "http://localhost", "https://localhost",
                                         "http://127.0.0.1", "https://127.0.0.1",
                                         "http://[::1]",     "https://[::1]" };
    struct str origin = http_request_header(request, STR("Origin"));

    if (!origin.ptr)
        return true;
    for (size_t i = 0; i < ARRAY_COUNT(hosts); i++) {
        struct str host = str_from(hosts[i]);
        if (str_has_prefix(origin, host) && (origin.len == host.len || origin.ptr[host.len] == ':'))
            return !is_given_twice(request, STR("Origin"));
    }
    return false;
}

/* Administration without tokens. */
static bool admit_by_place(struct api_call *call)
{
    if (!call->http->peer_is_loopback) {
        api_problem(call, PROBLEM_FORBIDDEN,
                    "administration is open to callers from loopback only");
        return false;
    }
    if (is_page_of_this_machine(call->http))
        return true;
    api_problem(call, PROBLEM_FORBIDDEN, "administration is closed to pages of other origins");
    return false;
}

/* With no gateway a charge is money from nowhere: an administrator's to give. */
static bool needs_admin(const struct config *config, enum api_access access)
{
    return access != API_USER &&
           (access != API_CHARGE || config->payment_gateway == CONFIG_GATEWAY_NONE);
}

bool api_caller_admit(struct api_call *call)
{
    const struct config *config = call->loop->api->config;
    enum api_access access = call->route->access;

    if (access == API_PUBLIC || (access == API_OPS && config->metrics_public))
        return true;
    if (config->profile != CONFIG_PROD) {
        if (access != API_ADMIN && access != API_TEST && access != API_OPS)
            return true;
        return admit_by_place(call);
    }
    if (!authenticate(call) || !limit(call))
        return false;
    return needs_admin(config, access) ? admin_only(call) : true;
}

bool api_owns(struct api_call *call, int64_t owner_id)
{
    if (call->loop->api->config->profile != CONFIG_PROD)
        return true;
    if (call->claims.has_user && call->claims.user_id == owner_id)
        return true;
    api_problem(call, PROBLEM_FORBIDDEN, "the token is another user's");
    return false;
}

/* False: the route's row does not say whose it is, or only the object does. */
static bool user_of(const struct api_call *call, int64_t *ret_user_id)
{
    const struct api_route *route = call->route;

    switch (route->user_at) {
    case API_USER_IN_PATH:
        *ret_user_id = call->ids[0];
        return true;
    case API_USER_IN_QUERY:
        memcpy(ret_user_id, (const char *)call->query + route->user_offset, sizeof *ret_user_id);
        return true;
    case API_USER_IN_BODY:
        memcpy(ret_user_id, (const char *)call->body + route->user_offset, sizeof *ret_user_id);
        return true;
    case API_USER_IN_OBJECT:
    case API_USER_NOWHERE:
        break;
    }
    return false;
}

/* Role admin gives no right here. In local and test the user is believed, and may be limited. */
bool api_caller_owns(struct api_call *call)
{
    const struct api *api = call->loop->api;
    const struct api_route *route = call->route;
    bool prod = api->config->profile == CONFIG_PROD;
    int64_t user_id;

    if (LIKELY(!prod && !api->policy) || (route->access != API_USER && route->access != API_CHARGE))
        return true;
    if (user_of(call, &user_id))
        return prod ? needs_admin(api->config, route->access) || api_owns(call, user_id)
                    : api_policy_admit_user(call, user_id);
    if (!prod || route->user_at == API_USER_IN_OBJECT)
        return true;
    api_problem(call, PROBLEM_FORBIDDEN, "this is nobody's");
    return false;
}
