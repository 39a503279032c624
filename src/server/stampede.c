// SPDX-License-Identifier: Apache-2.0
/*
 * One loop, N connections, each with one exchange at a time. Every connection first asks whether
 * the server is alive, so that it stands when the drop begins; when the last of them has its answer
 * all begin at once and take the next user each, until none is left.
 */
#include "server/stampede.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/mem.h"
#include "json/json_bind.h"

enum { PROGRESS_MS = 100, PATH_BYTES = 80, BODY_BYTES = 48 };

struct runner;

struct visitor {
    struct runner *runner;
    struct http_client_conn *conn;
    struct http_exchange x;
    struct http_field field; /* Authorization */
    struct buf authorization;
    int64_t user_id;
    bool issues;
    uint64_t asked_ns;
    char body[BODY_BYTES];
};

struct runner {
    struct stampede *stampede;
    struct loop *loop;
    struct visitor *visitors;
    size_t alive, waiting; /* connections that work; still under way in this phase */
    struct loop_timer progress;
    struct arena arena;
    char paths[2][PATH_BYTES]; /* reserve, issue */
};

struct answer {
    int64_t sequence_number;
    struct str error;
    enum json_presence sequence_number_is, error_is;
};
static const struct json_row answer_rows[] = {
    JSON_INT64(answer, sequence_number, "sequenceNumber", 1, INT64_MAX, "", "1",
               JSON_NULLABLE(answer, sequence_number)),
    JSON_STR(answer, error, "error", 0, 100, "", "", JSON_NULLABLE(answer, error)),
};
static const JSON_BODY(answer, "Answer", "What counts here of an answer to issue and reserve.");

const char *stampede_outcome_name(enum stampede_outcome outcome)
{
    static const char *const names[STAMPEDE_OUTCOME_N] = {
        [STAMPEDE_WON] = "won",         [STAMPEDE_SOLD_OUT] = "sold out",
        [STAMPEDE_ALREADY] = "already", [STAMPEDE_REFUSED] = "other 4xx",
        [STAMPEDE_UNAVAILABLE] = "503", [STAMPEDE_ERROR] = "errors",
    };

    return names[outcome];
}

/* ---- answers ---- */

static enum stampede_outcome classify(const struct http_exchange *x, const struct answer *answer)
{
    if (x->err != ERR_OK)
        return STAMPEDE_ERROR;
    if (x->status == 200)
        return answer->sequence_number_is == JSON_GIVEN ? STAMPEDE_WON : STAMPEDE_ERROR;
    if (x->status == 503)
        return STAMPEDE_UNAVAILABLE;
    if (x->status == 409 && str_equal(answer->error, STR("COUPON_SOLD_OUT")))
        return STAMPEDE_SOLD_OUT;
    if (x->status == 409 && str_equal(answer->error, STR("ALREADY_ISSUED_COUPON")))
        return STAMPEDE_ALREADY;
    return x->status >= 400 && x->status < 500 ? STAMPEDE_REFUSED : STAMPEDE_ERROR;
}

static void remember(struct visitor *visitor, enum stampede_outcome outcome,
                     const struct answer *answer)
{
    struct stampede *stampede = visitor->runner->stampede;
    enum told_kind kind = outcome == STAMPEDE_ALREADY ? TOLD_ALREADY
                          : visitor->issues           ? TOLD_ISSUED
                                                      : TOLD_RESERVED;

    if (outcome != STAMPEDE_WON && outcome != STAMPEDE_ALREADY)
        return;
    if (answer->sequence_number_is == JSON_GIVEN &&
        told_add(&stampede->told, kind, visitor->user_id, answer->sequence_number) != ERR_OK)
        stampede->short_of_memory = true;
}

static void keep_sample(struct stampede *stampede, enum stampede_outcome outcome,
                        const struct http_exchange *x, const struct answer *answer)
{
    char *sample = stampede->sample[outcome];

    if (sample[0] || outcome < STAMPEDE_REFUSED)
        return;
    if (x->err != ERR_OK)
        snprintf(sample, STAMPEDE_SAMPLE_BYTES, "%s", err_text(x->err));
    else
        snprintf(sample, STAMPEDE_SAMPLE_BYTES, "%u %.*s", x->status, (int)answer->error.len,
                 answer->error.ptr ? answer->error.ptr : "");
}

static void record(struct visitor *visitor)
{
    struct runner *runner = visitor->runner;
    struct stampede *stampede = runner->stampede;
    const struct http_exchange *x = &visitor->x;
    struct answer answer = { 0 };
    struct json_error why;

    if (x->err == ERR_OK) {
        histogram_add(&stampede->latency, clock_mono_ns() - visitor->asked_ns);
        arena_reset(&runner->arena);
        if (json_parse(x->response_body, &answer_json, &runner->arena, &answer, &why) != ERR_OK)
            answer = (struct answer){ 0 }; /* the status alone decides */
    }
    enum stampede_outcome outcome = classify(x, &answer);
    stampede->count[outcome]++;
    stampede->answered++;
    remember(visitor, outcome, &answer);
    keep_sample(stampede, outcome, x, &answer);
}

/* ---- asking ---- */

static void visit(struct visitor *visitor);

static void visited(struct http_exchange *x)
{
    struct visitor *visitor = CONTAINER_OF(x, struct visitor, x);

    record(visitor);
    visit(visitor);
}

/* The next user, or the end. */
static void visit(struct visitor *visitor)
{
    struct runner *runner = visitor->runner;
    struct stampede *stampede = runner->stampede;
    struct http_exchange *x = &visitor->x;

    if (stampede->next_user_id > stampede->to_user_id) {
        if (--runner->waiting == 0)
            loop_stop(runner->loop);
        return;
    }
    visitor->user_id = stampede->next_user_id++;
    visitor->issues = stampede->way == STAMPEDE_ISSUE ||
                      (stampede->way == STAMPEDE_MIXED && visitor->user_id % 2 == 0);
    int n =
        snprintf(visitor->body, sizeof visitor->body, "{\"userId\":%" PRId64 "}", visitor->user_id);
    x->method = STR("POST");
    x->target = str_from(runner->paths[visitor->issues]);
    x->content_type = STR("application/json");
    x->body = (struct str){ visitor->body, (size_t)n };
    x->done = visited;
    buf_reset(&visitor->authorization);
    if (target_authorize(stampede->target, visitor->user_id, false, &visitor->authorization) ==
            ERR_OK &&
        visitor->authorization.len > 0) {
        visitor->field =
            (struct http_field){ STR("Authorization"), buf_str(&visitor->authorization) };
        x->headers = &visitor->field;
        x->header_count = 1;
    }
    visitor->asked_ns = clock_mono_ns();
    http_client_send(visitor->conn, x);
}

static void all_begin(struct runner *runner)
{
    size_t count = runner->stampede->connections;

    runner->stampede->started_ns = clock_mono_ns();
    runner->waiting = count;
    for (size_t i = 0; i < count; i++)
        visit(&runner->visitors[i]);
}

static void connected(struct http_exchange *x)
{
    struct runner *runner = CONTAINER_OF(x, struct visitor, x)->runner;

    runner->alive += x->err == ERR_OK;
    if (--runner->waiting > 0)
        return;
    if (runner->alive > 0)
        all_begin(runner);
    else
        loop_stop(runner->loop);
}

static void show_progress(struct loop_timer *timer)
{
    struct runner *runner = CONTAINER_OF(timer, struct runner, progress);

    if (runner->stampede->started_ns)
        runner->stampede->progress(runner->stampede);
    err_ignore(loop_timer_start(runner->loop, timer, PROGRESS_MS), "then it is not shown");
}

/* ---- life ---- */

static enum err open_all(struct runner *runner)
{
    struct stampede *stampede = runner->stampede;

    runner->loop = loop_new();
    runner->visitors = mem_alloc(stampede->connections * sizeof *runner->visitors);
    if (!runner->loop || !runner->visitors)
        return ERR_NOMEM;
    for (size_t i = 0; i < stampede->connections; i++) {
        struct visitor *visitor = &runner->visitors[i];
        visitor->runner = runner;
        visitor->conn = http_client_conn_new(runner->loop, &stampede->target->addr);
        if (!visitor->conn)
            return ERR_NOMEM;
    }
    return ERR_OK;
}

static void close_all(struct runner *runner)
{
    for (size_t i = 0; runner->visitors && i < runner->stampede->connections; i++) {
        http_client_conn_free(runner->visitors[i].conn);
        buf_fini(&runner->visitors[i].authorization);
    }
    loop_timer_stop(&runner->progress);
    loop_free(runner->loop);
    mem_free(runner->visitors);
    arena_fini(&runner->arena);
}

static void run(struct runner *runner)
{
    struct stampede *stampede = runner->stampede;

    runner->waiting = stampede->connections;
    for (size_t i = 0; i < stampede->connections; i++) {
        struct visitor *visitor = &runner->visitors[i];
        visitor->x = (struct http_exchange){ .method = STR("GET"),
                                             .target = STR("/health/live"),
                                             .done = connected };
        http_client_send(visitor->conn, &visitor->x);
    }
    runner->progress.run = show_progress;
    if (stampede->progress)
        err_ignore(loop_timer_start(runner->loop, &runner->progress, PROGRESS_MS),
                   "then it is not shown");
    loop_run(runner->loop);
    stampede->ended_ns = clock_mono_ns();
}

enum err stampede_run(struct stampede *stampede)
{
    struct runner runner = { .stampede = stampede };
    static const char *const ways[] = { "reserve", "issue" };

    for (size_t i = 0; i < ARRAY_COUNT(ways); i++)
        snprintf(runner.paths[i], sizeof runner.paths[i], "/api/coupons/%" PRId64 "/%s",
                 stampede->coupon_id, ways[i]);
    stampede->next_user_id = stampede->from_user_id;
    enum err e = open_all(&runner);
    if (e == ERR_OK) {
        run(&runner);
        e = runner.alive > 0 ? ERR_OK : ERR_UNAVAILABLE;
    }
    close_all(&runner);
    return e;
}

void stampede_fini(struct stampede *stampede)
{
    told_fini(&stampede->told);
}
