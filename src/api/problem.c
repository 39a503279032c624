// SPDX-License-Identifier: Apache-2.0
#include "api/problem.h"

#include <stdio.h>

#include "api/api_json.h"
#include "base/clock.h"
#include "base/hash.h"

static const struct {
    const char *name, *code, *title, *type;
    unsigned status;
} rows[] = {
#define PROBLEM(name, code, status, title) { #name, code, title, "/problems/" code, status },
#include "api/problem.def"
#undef PROBLEM
};

unsigned problem_status(enum problem problem)
{
    return rows[problem].status;
}

const char *problem_name(enum problem problem)
{
    return rows[problem].name;
}

const char *problem_code(enum problem problem)
{
    return rows[problem].code;
}

const char *problem_title(enum problem problem)
{
    return rows[problem].title;
}

static const struct json_row problem_answer_rows[] = {
    JSON_STR(problem_answer, type, "type", 1, 100, "A reference that names the problem.",
             "/problems/C001", JSON_REQUIRED),
    JSON_STR(problem_answer, title, "title", 1, 200, "The problem in a few words.", "Sold out",
             JSON_REQUIRED),
    JSON_INT64(problem_answer, status, "status", 400, 599, "The HTTP status.", "409",
               JSON_REQUIRED),
    JSON_STR(problem_answer, detail, "detail", 1, 1000, "This occurrence, for people.",
             "COUPON_SOLD_OUT: no coupon is left", JSON_REQUIRED),
    JSON_STR(problem_answer, instance, "instance", 0, 8000, "The path that was asked for.",
             "/api/coupons/1/issue", JSON_REQUIRED),
    JSON_STR(problem_answer, code, "code", 1, 20, "A short code.", "C001", JSON_REQUIRED),
    JSON_STR(problem_answer, message, "message", 1, 1000, "The same as detail.",
             "COUPON_SOLD_OUT: no coupon is left", JSON_REQUIRED),
    JSON_TIME(problem_answer, timestamp_ms, "timestamp", "When it happened.",
              "2026-03-06T12:00:00.000+09:00", JSON_REQUIRED),
    JSON_STR(problem_answer, error, "error", 1, 100, "The symbolic name.", "COUPON_SOLD_OUT",
             JSON_REQUIRED),
    JSON_STR(problem_answer, member, "member", 0, 200,
             "INVALID_INPUT: the member or parameter that is wrong.", "userId",
             JSON_OMITTED(problem_answer, member)),
    JSON_INT64(problem_answer, sequence_number, "sequenceNumber", 1, INT64_MAX,
               "ALREADY_ISSUED_COUPON: the user's own number.", "7",
               JSON_OMITTED(problem_answer, sequence_number)),
    JSON_INT64(problem_answer, user_coupon_id, "userCouponId", 1, INT64_MAX,
               "ALREADY_ISSUED_COUPON: the user's coupon; null while it is not stored.", "7",
               JSON_OMITTED(problem_answer, user_coupon_id)),
    JSON_ENUM(problem_answer, coupon_status, "couponStatus", held_state_names,
              "ALREADY_ISSUED_COUPON: the user's coupon's status.", "AVAILABLE",
              JSON_OMITTED(problem_answer, coupon_status)),
    JSON_TIME(problem_answer, starts_at_ms, "startsAt",
              "COUPON_NOT_STARTED: when the window begins.", "2026-03-06T12:00:00.000+09:00",
              JSON_OMITTED(problem_answer, starts_at_ms)),
    JSON_INT64(problem_answer, possible_quantity, "possibleQuantity", 1, INT64_MAX,
               "CONFLICT: the lowest quantity that is possible now.", "100",
               JSON_OMITTED(problem_answer, possible_quantity)),
};
const JSON_ANSWER(problem_answer, "Problem", "What went wrong (RFC 9457).");

/* 1 to 3 s, spread, so that those turned away together do not come back together. */
static void retry_after(struct http_request *request)
{
    static _Thread_local uint64_t counter;
    char text = (char)('1' + hash_u64(clock_mono_ns() + ++counter) % 3);

    http_response_header(request, STR("Retry-After"), (struct str){ &text, 1 });
}

enum { DETAIL_BYTES = 400 };

/* All but the members of some problems only; `detail` is borrowed. */
static void answer_fill(struct problem_answer *answer, enum problem problem, const char *why,
                        struct str instance, int64_t at_ms, char detail[DETAIL_BYTES])
{
    int n = snprintf(detail, DETAIL_BYTES, "%s: %s", rows[problem].name, why);

    answer->detail = answer->message =
        (struct str){ detail, MIN((size_t)MAX(n, 0), (size_t)DETAIL_BYTES - 1) };
    answer->type = str_from(rows[problem].type);
    answer->title = str_from(rows[problem].title);
    answer->status = rows[problem].status;
    answer->instance = instance;
    answer->code = str_from(rows[problem].code);
    answer->timestamp_ms = at_ms;
    answer->error = str_from(rows[problem].name);
}

void problem_respond(struct http_request *request, enum problem problem, const char *why,
                     struct problem_answer *extra)
{
    struct problem_answer answer = { 0 };
    char detail[DETAIL_BYTES];
    unsigned status = rows[problem].status;

    if (extra)
        answer = *extra;
    answer_fill(&answer, problem, why, request->path, clock_wall_ms(), detail);
    if (status == 429 || status == 503)
        retry_after(request);
    if (status == 401)
        http_response_header(request, STR("WWW-Authenticate"), STR("Bearer"));
    struct buf *out = http_response_begin(request, status, STR("application/problem+json"));
    json_render(out, &problem_answer_json, &answer);
    http_response_end(request);
}

void problem_render(struct buf *out, enum problem problem, const char *why, struct str instance,
                    int64_t at_ms)
{
    struct problem_answer answer = { 0 };
    char detail[DETAIL_BYTES];

    answer_fill(&answer, problem, why, instance, at_ms, detail);
    json_render(out, &problem_answer_json, &answer);
}
