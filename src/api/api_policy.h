// SPDX-License-Identifier: Apache-2.0
/*
 * What a server may put before its routes, none of it by default: proxies that are trusted, limits
 * of requests, pages of other origins. `struct api.policy` is NULL where none of it is configured,
 * and a request then costs one branch.
 */
#pragma once
#include <pthread.h>

#include "api/api_route.h"
#include "core/limiter.h"
#include "http/http_client_ip.h"

/* Users, or addresses, each with a bucket of its own; shared by all threads. */
struct api_limit {
    const char *name; /* of the policy, in the header fields */
    struct limiter_rule rule;
    char policy[64];              /* RateLimit-Policy */
    struct limit_stripe *stripes; /* NULL: off */
    uint64_t seed;
};

struct api_cors {
    bool any;            /* "*" */
    struct str *origins; /* borrowed from the config */
    size_t count;
};

struct api_policy {
    struct http_nets proxies;
    struct api_limit users, addresses;
    struct api_cors cors;
    bool admin_by_place; /* local and test: administration is whoever sits at this machine */
};

/*
 * The first thing that happens to a request: who stands behind the proxies, whose page it is, and
 * whether the address may ask again. `match` may be of a path that is unknown. False: answered.
 */
bool api_policy_admit(struct api_call *call, const struct api_match *match) MUST_CHECK;
/* Once it is known who asks. False: answered 429. */
bool api_policy_admit_user(struct api_call *call, int64_t user_id) MUST_CHECK;

/* Of a request that never became one. */
void api_policy_refusal(const struct api_policy *policy, struct http_request *request);
bool api_policy_limits(const struct api_policy *policy); /* takes NULL */

/* ---- api_limit.c ---- */

/* rate 0: stays off. ERR_NOMEM. */
enum err api_limit_init(struct api_limit *limit, const char *name, int64_t rate, int64_t burst,
                        int64_t entries_max) MUST_CHECK;
void api_limit_fini(struct api_limit *limit);
/* Adds the fields RateLimit and RateLimit-Policy. False: no token is left. */
bool api_limit_take(struct api_limit *limit, struct http_request *request,
                    struct limiter_key key) MUST_CHECK;

/* ---- api_cors.c ---- */

/* ERR_INVALID with ret_error; ERR_NOMEM. */
enum err api_cors_init(struct api_cors *cors, const char *origins,
                       struct config_error *ret_error) MUST_CHECK;
void api_cors_fini(struct api_cors *cors);
static inline bool api_cors_on(const struct api_cors *cors)
{
    return cors->any || cors->count > 0;
}
/* Adds what a browser asks for. `allowed`: bits of enum http_method, for a preflight; 0: none. */
void api_cors_answer(const struct api_cors *cors, struct http_request *request, unsigned allowed);
