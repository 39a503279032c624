// SPDX-License-Identifier: Apache-2.0
#include "api/api_policy.h"

#include <stdio.h>

#include "base/mem.h"

static enum err fill(struct api_policy *policy, const struct config *config,
                     struct config_error *error)
{
    struct str bad;

    if (http_nets_parse(str_from(config->http_trusted_proxies), &policy->proxies, &bad) != ERR_OK) {
        snprintf(error->text, sizeof error->text,
                 "http.trusted_proxies: \"%.*s\" is no address or network such as 10.0.0.0/8, or "
                 "there are more than %d",
                 (int)MIN(bad.len, (size_t)60), bad.ptr, HTTP_NETS_MAX);
        return ERR_INVALID;
    }
    policy->admin_by_place = config->profile != CONFIG_PROD;
    TRY(api_cors_init(&policy->cors, config->cors_origins, error));
    TRY(api_limit_init(&policy->users, "user", config->limit_user_rate, config->limit_user_burst,
                       config->limit_entries_max));
    return api_limit_init(&policy->addresses, "address", config->limit_address_rate,
                          config->limit_address_burst, config->limit_entries_max);
}

DEFINE_CLEANUP(struct api_policy, api_policy_free)

enum err api_policy_new(const struct config *config, struct api_policy **ret_policy,
                        struct config_error *ret_error)
{
    CLEANUP(api_policy_freep) struct api_policy *policy = mem_alloc(sizeof *policy);

    if (!policy)
        return ERR_NOMEM;
    TRY(fill(policy, config, ret_error));
    bool any = policy->proxies.count > 0 || api_cors_on(&policy->cors) || policy->users.stripes ||
               policy->addresses.stripes;
    *ret_policy = any ? TAKE(policy) : NULL;
    return ERR_OK;
}

struct api_policy *api_policy_free(struct api_policy *policy)
{
    if (!policy)
        return NULL;
    api_cors_fini(&policy->cors);
    api_limit_fini(&policy->users);
    api_limit_fini(&policy->addresses);
    return mem_free(policy);
}

bool api_policy_limits(const struct api_policy *policy)
{
    return policy && (policy->users.stripes || policy->addresses.stripes);
}

/* ---- a request ---- */

/* From here on the request's peer is whom the proxies speak for. */
static bool see_through_proxies(const struct api_policy *policy, struct api_call *call,
                                struct http_ip *ret_client)
{
    struct http_request *request = call->http;
    char text[HTTP_IP_TEXT_BYTES];
    struct str copy;

    switch (http_client_find(request, &policy->proxies, ret_client)) {
    case HTTP_CLIENT_KNOWN:
        copy = arena_copy(&request->arena, http_ip_text(ret_client, text));
        request->peer_text = copy.ptr ? copy : STR("unknown");
        request->peer_is_loopback = http_ip_is_loopback(ret_client);
        return true;
    case HTTP_CLIENT_UNKNOWN:
        *ret_client = (struct http_ip){ { 0 } };
        request->peer_text = STR("unknown");
        request->peer_is_loopback = false;
        return true;
    case HTTP_CLIENT_MALFORMED:
        break;
    }
    request->peer_is_loopback = false;
    api_invalid(call, "Forwarded", "or X-Forwarded-For is malformed, or the two disagree");
    return false;
}

/* Pages of other origins never get at what only sitting at this machine protects. */
static bool is_for_pages(const struct api_policy *policy, const struct api_match *match)
{
    return !policy->admin_by_place || !match->by_place;
}

/* An IPv6 customer has a /64. */
static struct limiter_key address_key(const struct http_ip *ip)
{
    struct limiter_key key;

    memcpy(&key.high, ip->bytes, 8);
    memcpy(&key.low, ip->bytes + 8, 8);
    if (key.high != 0)
        key.low = 0;
    return key;
}

static bool admit_address(struct api_policy *policy, struct api_call *call,
                          const struct http_ip *client)
{
    if (api_limit_take(&policy->addresses, call->http, address_key(client)))
        return true;
    metrics_add(call->loop->metrics, METRIC_limited_addresses, 1);
    api_problem(call, PROBLEM_TOO_MANY_REQUESTS, "this address asks too often");
    return false;
}

bool api_policy_admit(struct api_call *call, const struct api_match *match)
{
    struct api_policy *policy = call->loop->api->policy;
    struct http_ip client = *call->http->peer_ip;

    if (api_cors_on(&policy->cors) && is_for_pages(policy, match))
        api_cors_answer(&policy->cors, call->http, match->allowed);
    if (policy->proxies.count > 0 && !see_through_proxies(policy, call, &client))
        return false;
    bool limited = policy->addresses.stripes && !call->http->peer_is_loopback &&
                   !(match->route && (match->route->flags & API_UNLIMITED));
    return !limited || admit_address(policy, call, &client);
}

bool api_policy_admit_user(struct api_call *call, int64_t user_id)
{
    struct api_policy *policy = call->loop->api->policy;
    const struct limiter_key key = { 1, (uint64_t)user_id };

    if (!policy->users.stripes || (call->route->flags & API_UNLIMITED) ||
        api_limit_take(&policy->users, call->http, key))
        return true;
    metrics_add(call->loop->metrics, METRIC_limited_users, 1);
    api_problem(call, PROBLEM_TOO_MANY_REQUESTS, "this user asks too often");
    return false;
}

void api_policy_refusal(const struct api_policy *policy, struct http_request *request)
{
    if (api_cors_on(&policy->cors))
        api_cors_answer(&policy->cors, request, 0);
}
