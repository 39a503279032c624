// SPDX-License-Identifier: Apache-2.0
/*
 * A route is one row: what it matches, what it binds, what it answers, and its handler. The same
 * row makes the OpenAPI document. A handler is called with everything bound and the caller allowed;
 * it answers now or later, exactly once.
 */
#pragma once
#include "api/api.h"
#include "api/problem.h"
#include "base/log.h"
#include "json/json_bind.h"

enum api_access {
    API_PUBLIC,
    API_USER,   /* prod: the token's subject must be the user that `user_at` names */
    API_CHARGE, /* as API_USER; prod with payment.gateway none: role admin, whatever its subject */
    API_ADMIN,  /* prod: role admin; local and test: callers from loopback */
    API_OPS,    /* prod: role admin, unless metrics.public */
    API_TEST,   /* profile test only; elsewhere there is no such path */
};

/* Where a route of API_USER or API_CHARGE names the user whose things it is about. */
enum api_user_at {
    API_USER_NOWHERE, /* nobody may call it in prod: a row that forgot to say */
    API_USER_IN_PATH, /* the path's first {…} */
    API_USER_IN_QUERY,
    API_USER_IN_BODY,
    API_USER_IN_OBJECT, /* in the store: the handler asks api_owns() before it answers or changes */
};

enum { API_PATH_IDS_MAX = 2 };

struct api_call {
    struct http_request *http;
    struct api_loop *loop;
    const struct api_route *route;
    int64_t ids[API_PATH_IDS_MAX]; /* the path's {…}, in order */
    void *query;                   /* of route->query */
    void *body;                    /* of route->body */
    struct auth_claims claims;     /* prod, unless the route is public */
    struct str key;                /* idempotency key; routes with API_KEYED; ptr NULL: none */
    void *state;                   /* the handler's own */
    struct answer_stamp stamp;     /* routes with API_CACHED; see api_keep() */
};

/* Who changes something, for the log: the token's subject, "" without tokens, and from where. */
#define API_LOG_BY(call) \
    LOG_CSTR("by", (call)->claims.subject), LOG_STR("by_address", (call)->http->peer_text)

enum api_flag {
    API_KEYED = 1,        /* takes an Idempotency-Key, which the body may name, too */
    API_KEY_OPTIONAL = 4, /* and does without one */
    API_UNLIMITED = 2,    /* may be called as often as one likes: health and metrics */
    API_CACHED = 8,       /* a public GET whose answer is kept while what api_keep() says holds */
    API_EMPTY = 16,       /* success has no body */
    API_COUPON = 32, /* the path's first {…} is a coupon, which another server may have made */
};

struct api_route {
    enum http_method method;
    const char *path; /* "/api/coupons/{couponId}/issue"; every {…} is an int64 */
    const char *name, *tag, *summary;
    void (*handle)(struct api_call *call);
    enum api_access access;
    unsigned flags; /* enum api_flag */
    const struct json_type *query, *body;
    enum api_user_at user_at; /* API_USER and API_CHARGE */
    size_t user_offset;       /* of an int64_t in `query` or `body`, as user_at says */
    /* Where the body's key is, for API_KEYED: of a struct str; ptr NULL: not given. */
    size_t body_key_offset;
    unsigned status; /* of success */
    const struct json_type *answer;
    const char *answer_type;      /* NULL: application/json */
    const char *other_type;       /* or, at the caller's wish, this text; NULL: no other */
    const char *text_example;     /* of that text, or of an answer that is all text */
    const struct json_type *down; /* health: the body of its 503; NULL: a problem */
    uint64_t problems;            /* PROBLEM_BIT()s, beside those that every such route has */
};

extern const struct api_route api_routes[]; /* ended by a row without a path */

/* ---- answering ---- */

void api_answer(struct api_call *call, unsigned status, const struct json_type *type,
                const void *object);
void api_problem(struct api_call *call, enum problem problem, const char *why);
void api_invalid(struct api_call *call, const char *member, const char *why);
/*
 * Routes with API_CACHED: the answer (200, by api_answer()) may be kept while `counter` says what
 * it says now. To be called before anything that it counts is read; once for each counter, of which
 * there may be ANSWER_COUNTERS_MAX.
 */
void api_keep(struct api_call *call, const _Atomic uint64_t *counter);
/* An answer that depends on the clock, too, or on whether stores are away: for a moment only, and
 * never across midnight. */
void api_keep_for_a_moment(struct api_call *call, const _Atomic uint64_t *one,
                           const _Atomic uint64_t *two);
/* The problem of a failed store. */
void api_store_problem(struct api_call *call, enum err e);
/* From the request's arena, zeroed; NULL: answered 503 already. */
void *api_alloc(struct api_call *call, size_t size) MUST_CHECK;
uint64_t api_elapsed_us(const struct api_call *call);
/*
 * May this caller have what belongs to `owner_id`? Always in local and test; in prod the token must
 * be the owner's. False: answered 403. For objects whose owner is known only when they are read;
 * one that does not exist is the handler's 404.
 */
bool api_owns(struct api_call *call, int64_t owner_id) MUST_CHECK;

/* ---- between the parts of api ---- */

struct api_match {
    const struct api_route *route; /* NULL: the path has no such method, or is unknown */
    bool path_known;
    bool test_only; /* the path is there in profile test only */
    bool by_place;  /* it is administration, which in local and test needs no token */
    bool bad_id;    /* a {…} is not an int64; `bad_id_name` says which */
    struct str bad_id_name;
    int64_t ids[API_PATH_IDS_MAX];
    unsigned allowed; /* bits of enum http_method */
};
/* "GET, HEAD" */
enum { API_METHODS_BYTES = 64 };
struct str api_method_names(unsigned allowed, char out[API_METHODS_BYTES]);
struct api_router *api_router_new(const struct api_route *const *tables) MUST_CHECK;
struct api_router *api_router_free(struct api_router *router);
void api_router_match(const struct api_router *router, enum http_method method, struct str path,
                      struct api_match *ret_match);
const struct metrics_route *api_router_metrics(const struct api_router *router, size_t *ret_count);
/* The number of a route in the metrics; of NULL: unmatched. */
size_t api_router_index(const struct api_router *router, const struct api_route *route);
/* All routes, in table order. */
const struct api_route *api_router_route(const struct api_router *router, size_t index);

/* Before the body is read; a user's route is checked again once its user is known:
 * api_caller_owns(), with query and body bound. False: answered. */
bool api_caller_admit(struct api_call *call) MUST_CHECK;
bool api_caller_owns(struct api_call *call) MUST_CHECK;

/* Query parameters into a struct, by the rows of `type`. ERR_INVALID with ret_error; ERR_NOMEM. */
enum err api_query_parse(struct str query, const struct json_type *type, struct arena *arena,
                         void *out, struct json_error *ret_error) MUST_CHECK;

enum err api_openapi(struct api *api, struct buf *out) MUST_CHECK;
