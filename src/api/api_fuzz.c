// SPDX-License-Identifier: Apache-2.0
/*
 * Requests on a connection to the whole server (api_fixture_test.h). Whatever they are: each answer
 * is well formed, has a status that its route documents, and a body of the type that its route
 * names; nothing is a 5xx but the 503 of a store that a request of profile `test` has switched off;
 * and every coupon can be proved at the end. The shop goes on from input to input, and is made
 * anew now and then: what breaks it is then in the last few thousand inputs.
 */
#include <time.h>

#include "api/api_grammar_fuzz.h"

enum { ASKED_MAX = 2048, INPUT_BYTES_MAX = 100000, INPUTS_PER_SHOP = 5000, INPUTS_PER_PROOF = 500 };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* What was asked on the connection of this input, in order. */
struct asked {
    const struct api_route *route;
    enum http_method method;
    bool path_known, star;
    unsigned refusal; /* its status; 0: a request */
    unsigned status;
};
static struct asked all[ASKED_MAX];
static unsigned asked_count, told_count;
static bool faulty;  /* a store was switched off, or the clock moved, by this input */
static bool endless; /* the last request is answered for as long as anybody listens */
static struct str input;

/* ---- saying what is wrong ---- */

static void show(const char *what, struct str text)
{
    fprintf(stderr, "---- %s, %zu bytes\n%.*s\n", what, text.len, (int)text.len,
            text.ptr ? text.ptr : "");
}

#define CHECK(cond, answer)               \
    do {                                  \
        if (UNLIKELY(!(cond))) {          \
            show("input", input);         \
            show("head", (answer)->head); \
            show("body", (answer)->body); \
            ASSERT(cond);                 \
        }                                 \
    } while (0)

/* ---- what was asked ---- */

static void on_asked(const struct http_request *request, const enum http_refusal *why)
{
    struct api_match match = { 0 };

    ASSERT(asked_count < ASKED_MAX);
    if (!why)
        api_router_match(whole.api.router, request->method, request->path, &match);
    all[asked_count++] = (struct asked){ .route = match.route,
                                         .method = request->method,
                                         .path_known = match.path_known,
                                         .star = str_equal(request->path, STR("*")),
                                         .refusal = why ? http_refusal_status(*why) : 0 };
    faulty |= match.route && match.route->access == API_TEST;
    endless = match.route && match.route->answer_type && request->method == HTTP_GET &&
              strcmp(match.route->answer_type, "text/event-stream") == 0;
}

static void on_told(unsigned status)
{
    ASSERT(told_count < asked_count);
    all[told_count++].status = status;
}

/* ---- what was answered ---- */

static uint64_t problems_of(const struct asked *asked)
{
    uint64_t set = PROBLEM_BIT(INVALID_INPUT);

    if (asked->refusal)
        return set | PROBLEM_BIT(URI_TOO_LONG) | PROBLEM_BIT(HEADERS_TOO_LARGE) |
               PROBLEM_BIT(PAYLOAD_TOO_LARGE) | PROBLEM_BIT(REQUEST_TIMEOUT);
    if (!asked->path_known)
        return PROBLEM_BIT(NOT_FOUND);
    if (!asked->route)
        return PROBLEM_BIT(METHOD_NOT_ALLOWED);
    set |= asked->route->problems & ~(uint64_t)PROBLEM_BIT(OVERLOADED);
    return set | (asked->route->body ? PROBLEM_BIT(UNSUPPORTED_MEDIA_TYPE) : 0);
}

static enum problem problem_named(struct str name, const struct answer *answer)
{
    for (enum problem problem = 0; problem < PROBLEM_COUNT; problem++)
        if (str_equal(name, str_from(problem_name(problem))))
            return problem;
    show("no such problem", answer->body);
    ASSERT(name.len == 0);
    return PROBLEM_COUNT;
}

static void check_problem(const struct asked *asked, const struct answer *a)
{
    struct arena arena = { 0 };
    struct problem_answer body;
    struct json_error error;
    char type[64];

    CHECK(str_equal(answer_field(a->head, "Content-Type"), STR("application/problem+json")), a);
    CHECK(json_parse(a->body, &problem_answer_json, &arena, &body, &error) == ERR_OK, a);
    enum problem problem = problem_named(body.error, a);
    snprintf(type, sizeof type, "/problems/%s", problem_code(problem));
    CHECK(problems_of(asked) >> problem & 1, a);
    CHECK(a->status == problem_status(problem) && body.status == a->status, a);
    CHECK(str_equal(body.type, str_from(type)), a);
    CHECK(str_equal(body.code, str_from(problem_code(problem))), a);
    CHECK(str_equal(body.title, str_from(problem_title(problem))), a);
    CHECK(str_equal(body.detail, body.message) && str_has_prefix(body.detail, body.error), a);
    CHECK((body.member_is == JSON_GIVEN) == (problem == PROBLEM_INVALID_INPUT && !asked->refusal),
          a);
    CHECK((body.sequence_number_is == JSON_GIVEN) == (problem == PROBLEM_ALREADY_ISSUED_COUPON), a);
    CHECK((body.starts_at_ms_is == JSON_GIVEN) == (problem == PROBLEM_COUPON_NOT_STARTED), a);
    arena_fini(&arena);
}

static bool status_documented(const struct asked *asked, unsigned status)
{
    uint64_t set = problems_of(asked);

    if (status == 503 && asked->route && asked->route->down)
        return true;
    for (enum problem problem = 0; problem < PROBLEM_COUNT; problem++)
        if ((set >> problem & 1) && problem_status(problem) == status)
            return true;
    return false;
}

static void check_success(const struct asked *asked, const struct answer *a)
{
    const struct api_route *route = asked->route;
    struct str type = answer_field(a->head, "Content-Type");
    struct arena arena = { 0 };
    struct json_error error;

    if (asked->method == HTTP_OPTIONS) {
        CHECK(a->status == 204 && answer_field(a->head, "Allow").len > 0, a);
        return;
    }
    CHECK(route && a->status == route->status, a);
    if (route->flags & API_EMPTY) {
        CHECK(a->body.len == 0, a);
        return;
    }
    CHECK(type.len > 0, a);
    if (!route->answer || asked->method == HTTP_HEAD ||
        (route->other_type && str_has_prefix(type, str_from(route->other_type))))
        return;
    void *object = arena_alloc(&arena, route->answer->size);
    ASSERT(object);
    CHECK(json_parse(a->body, route->answer, &arena, object, &error) == ERR_OK, a);
    arena_fini(&arena);
}

static void check_answer(const struct asked *asked, const struct answer *a)
{
    CHECK(a->status == asked->status, a);
    CHECK(a->status < 500 || (a->status == 503 && faulty), a);
    CHECK((a->status == 503) == (answer_field(a->head, "Retry-After").len > 0), a);
    CHECK(!asked->refusal || a->status == asked->refusal, a);
    if (a->status < 400)
        check_success(asked, a);
    else if (asked->method == HTTP_HEAD)
        CHECK(a->body.len == 0 && status_documented(asked, a->status), a);
    else if (a->status != 503 || !asked->route->down)
        check_problem(asked, a);
    if (a->status == 405)
        CHECK(answer_field(a->head, "Allow").len > 0, a);
}

/* `cut`: the last answer has no end. */
static void check_answers(struct loop_sim_peer *peer, bool cut)
{
    struct str rest = loop_sim_received(peer);
    unsigned i = 0;
    struct answer a;

    while (rest.len > 0 && !(cut && i == told_count)) {
        size_t n = answer_read(rest, i < told_count && all[i].method == HTTP_HEAD, &a);
        ASSERT(n > 0);
        rest = (struct str){ rest.ptr + n, rest.len - n };
        if (a.status >= 200) {
            CHECK(i < told_count, &a);
            check_answer(&all[i++], &a);
        }
    }
    ASSERT(i == told_count);
}

/* Until all is answered, or the one is that has no end; true: it has none. */
static bool settle(const struct loop_sim_peer *peer)
{
    static const char sign[] = "text/event-stream";

    loop_sim_turn(whole.loop);
    for (unsigned tries = 0; whole.answered < whole.asked; tries++) {
        struct str got = loop_sim_received(peer);
        ASSERT(tries < 20000);
        if (endless && memmem(got.ptr, got.len, sign, strlen(sign)))
            return true;
        if (loop_sim_wait(whole.loop, 1))
            loop_sim_turn(whole.loop);
        else
            loop_sim_advance(whole.loop, 10);
    }
    return false;
}

/* ---- one input ---- */

static uint64_t inputs, requests, opened_at;

/* Closed, so that whatever is left is a leak. */
static void end(void)
{
    if (whole.loop) {
        whole_prove();
        whole_close();
    }
    fprintf(stderr, "api: %llu inputs, %llu requests answered\n", (unsigned long long)inputs,
            (unsigned long long)requests);
}

static void shop_open_anew(void)
{
    if (whole.loop) {
        whole_prove();
        whole_close();
    }
    whole_open(CONFIG_TEST);
    whole.on_asked = on_asked;
    whole.on_told = on_told;
    log_set_level(LOG_ERROR);
    opened_at = inputs;
}

static void put_right(void)
{
    ledger_fault_set(whole.ledger, false);
    gate_fault_set(whole.gate, false);
    log_set_level(LOG_ERROR);
    clock_set_offset_ms(0);
    if (faulty)
        whole_recover();
}

static struct loop_sim_peer *get(const char *path, const char *more)
{
    struct loop_sim_peer *peer = loop_sim_dial(whole.loop, whole.port);
    char request[200];

    asked_count = told_count = 0;
    int n =
        snprintf(request, sizeof request, "GET %s%s HTTP/1.1\r\nHost: shop\r\n\r\n", path, more);
    loop_sim_send(peer, (struct str){ request, (size_t)n });
    loop_sim_shutdown(peer);
    whole_settle();
    return peer;
}

/* What is kept of products is what would be made of them now. */
static void check_kept(void)
{
    static const char *const paths[] = { "/api/products/1?", "/api/products/3?", "/api/products?",
                                         "/api/products?sort=price_desc&limit=3&" };
    struct answer kept, made;
    char unknown[40];

    snprintf(unknown, sizeof unknown, "now=%llu", (unsigned long long)inputs);
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
        struct loop_sim_peer *one = get(paths[i], "now=0"), *other = get(paths[i], unknown);
        ASSERT(answer_read(loop_sim_received(one), false, &kept) > 0);
        ASSERT(answer_read(loop_sim_received(other), false, &made) > 0);
        CHECK(kept.status == 200 && str_equal(kept.body, made.body), &kept);
        loop_sim_hang_up(one);
        loop_sim_hang_up(other);
    }
}

/* Timers run, too: the sweeper, the keeper, the invariants. */
static void look_after(uint64_t took_ms)
{
    if (++inputs % 64 == 0) {
        loop_sim_advance(whole.loop, 700);
        check_kept();
    }
    if (inputs % INPUTS_PER_PROOF == 0)
        whole_prove();
    if (inputs - opened_at >= INPUTS_PER_SHOP || took_ms > 500)
        shop_open_anew();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t started_ns = clock_mono_ns();

    if (size > INPUT_BYTES_MAX)
        return -1;
    if (!whole.loop)
        shop_open_anew();
    input = (struct str){ (const char *)data, size };
    asked_count = told_count = 0;
    faulty = endless = false;
    struct loop_sim_peer *peer = loop_sim_dial(whole.loop, whole.port);
    loop_sim_send(peer, input);
    loop_sim_shutdown(peer);
    bool cut = settle(peer);
    if (cut)
        loop_sim_advance(whole.loop, 1000);
    else
        ASSERT(loop_sim_ended(peer) && told_count == asked_count);
    check_answers(peer, cut);
    loop_sim_hang_up(peer);
    for (int i = 0; cut && i < 20 && whole.answered < whole.asked; i++)
        loop_sim_advance(whole.loop, 3000); /* the stream notices when it has something to say */
    whole_settle();
    loop_sim_turn(whole.loop);
    requests += told_count;
    put_right();
    look_after((clock_mono_ns() - started_ns) / 1000000);
    return 0;
}

/*
 * Two defaults that do not fit an input whose effect depends on those before it: half of the time
 * would go into weighing features that come and go, and into looking for leaks where the shop has
 * merely grown. What is lost for good is still found at the end, and flags of a caller win.
 */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static char entropic[] = "-entropic=0", leaks[] = "-detect_leaks=0", *args[64];
    int count = 0;

    ASSERT(*argc > 0 && *argc < 60);
    args[count++] = (*argv)[0];
    args[count++] = entropic;
    args[count++] = leaks;
    for (int i = 1; i < *argc; i++)
        args[count++] = (*argv)[i];
    *argc = count;
    *argv = args;
    return atexit(end);
}

/* ---- the next input ---- */

static void mutate(struct maker *m, struct str old, size_t max_size)
{
    unsigned way = pick(m, 10);

    if (way < 4 || old.len == 0) {
        for (unsigned n = 1 + pick(m, 5); n > 0; n--)
            make_request(m);
    } else if (way < 6) {
        buf_str_append(m->out, old);
        make_request(m);
    } else if (way < 7) {
        change_number(m, old);
    } else if (buf_reserve(m->out, max_size)) {
        memcpy(m->out->ptr, old.ptr, old.len);
        m->out->len = LLVMFuzzerMutate((uint8_t *)m->out->ptr, old.len, max_size);
        if (way < 9)
            mend_length(m->out);
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    static struct buf out;
    struct maker m = { .seed = seed, .out = &out };

    if (!whole.loop)
        shop_open_anew();
    buf_reset(&out);
    mutate(&m, (struct str){ (const char *)data, size }, max_size);
    ASSERT(buf_ok(&out));
    size = MIN(out.len, max_size);
    memcpy(data, out.ptr, size);
    return size;
}
