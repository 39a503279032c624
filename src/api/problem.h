// SPDX-License-Identifier: Apache-2.0
/* Errors as callers see them: application/problem+json (RFC 9457), with older clients' members. */
#pragma once
#include "base/attr.h"
#include "http/http.h"
#include "json/json_bind.h"

enum problem {
#define PROBLEM(name, code, status, title) PROBLEM_##name,
#include "api/problem.def"
#undef PROBLEM
    PROBLEM_COUNT,
};

/* The set of problems that a route answers. */
#define PROBLEM_BIT(name) (UINT64_C(1) << PROBLEM_##name)
_Static_assert(PROBLEM_COUNT <= 64, "a set is one word");

struct problem_answer {
    struct str type, title, detail, instance, code, message, error;
    int64_t status;
    int64_t timestamp_ms;
    /* Members of some problems only. */
    enum json_presence member_is, sequence_number_is, user_coupon_id_is, coupon_status_is,
        starts_at_ms_is, possible_quantity_is;
    struct str member;       /* INVALID_INPUT: the culprit */
    int64_t sequence_number; /* ALREADY_ISSUED_COUPON */
    int64_t user_coupon_id;
    int coupon_status;         /* enum held_state */
    int64_t starts_at_ms;      /* COUPON_NOT_STARTED */
    int64_t possible_quantity; /* CONFLICT: lowering a quantity */
};
extern const struct json_type problem_answer_json;

unsigned problem_status(enum problem problem);
const char *problem_name(enum problem problem);
const char *problem_code(enum problem problem);
const char *problem_title(enum problem problem);

/*
 * Answers `request`. `why` is the rest of the sentence, without the symbolic name. `extra` may be
 * NULL; its further members are written. Adds Retry-After, with jitter, to 429 and 503.
 */
void problem_respond(struct http_request *request, enum problem problem, const char *why,
                     struct problem_answer *extra);
/* The body alone, for an answer that is kept: of the path `instance`, at that time. Any thread. */
void problem_render(struct buf *out, enum problem problem, const char *why, struct str instance,
                    int64_t at_ms);
