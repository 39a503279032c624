// SPDX-License-Identifier: Apache-2.0
/* One question to the whole server, one answer. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/api_fixture_test.h"

/* The one answer to `bytes`, on a connection of its own; valid until the next call. */
static inline struct answer whole_ask_from(const char *from, struct str bytes)
{
    static struct buf received;
    struct loop_sim_peer *peer = loop_sim_dial_from(whole.loop, whole.port, from);
    struct answer answer;

    loop_sim_send(peer, bytes);
    loop_sim_turn(whole.loop);
    whole_settle();
    buf_reset(&received);
    buf_str_append(&received, loop_sim_received(peer));
    loop_sim_hang_up(peer);
    loop_sim_turn(whole.loop);
    ASSERT(buf_ok(&received));
    size_t n = answer_read(buf_str(&received), str_has_prefix(bytes, STR("HEAD ")), &answer);
    ASSERT(n > 0 && n == received.len);
    return answer;
}

/* `fields`: further header lines, each with its CR LF. */
static inline struct answer whole_call(const char *method, const char *path, const char *fields,
                                       const char *body)
{
    struct buf request = { 0 };

    buf_printf(&request, "%s %s HTTP/1.1\r\nHost: shop\r\n%s", method, path, fields);
    if (body)
        buf_printf(&request, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                   strlen(body));
    buf_printf(&request, "\r\n%s", body ? body : "");
    struct answer answer = whole_ask_from("127.0.0.1", buf_str(&request));
    buf_fini(&request);
    return answer;
}

/* A problem's body, with all that it must have; its text is valid until the next call. */
static inline const struct problem_answer *problem_of(const struct answer *answer)
{
    static struct arena arena;
    static struct problem_answer problem;
    struct json_error error;

    arena_reset(&arena);
    assert_true(
        str_equal(answer_field(answer->head, "Content-Type"), STR("application/problem+json")));
    assert_int_equal(json_parse(answer->body, &problem_answer_json, &arena, &problem, &error),
                     ERR_OK);
    assert_int_equal(problem.status, answer->status);
    return &problem;
}

static inline const char *text_of(struct str text)
{
    static char copies[4][200];
    static unsigned next;
    char *copy = copies[next++ % ARRAY_COUNT(copies)];

    snprintf(copy, sizeof copies[0], "%.*s", (int)text.len, text.ptr ? text.ptr : "");
    return copy;
}

/* `want`: its symbolic name; NULL: no problem at all. `what`: said when it is another. */
static inline void assert_problem(const struct answer *answer, const char *want, const char *what)
{
    struct str got = answer->status < 400 ? STR_NONE : problem_of(answer)->error;

    if (!str_equal(got, str_from(want)))
        fail_msg("%s: %u %s, wanted %s: %.*s", what, answer->status, text_of(got),
                 want ? want : "success", (int)answer->body.len, answer->body.ptr);
}

/* A body as its rows' examples have it, all of them or only what is required. */
static inline void example_body(struct buf *out, const struct json_type *type, bool all)
{
    const char *comma = "";

    buf_char(out, '{');
    for (size_t i = 0; i < type->row_count; i++) {
        const struct json_row *row = &type->rows[i];
        bool bare = row->kind == JSON_KIND_INT64 || row->kind == JSON_KIND_BOOL;
        if (!all && !(row->flags & JSON_FLAG_REQUIRED))
            continue;
        buf_printf(out, bare ? "%s\"%.*s\":%s" : "%s\"%.*s\":\"%s\"", comma, (int)row->name_len,
                   row->prefix + 2, row->example);
        comma = ",";
    }
    buf_char(out, '}');
    assert_true(buf_ok(out));
}

/* The route's path with `coupon` and `user` for its parameters. */
static inline const char *example_path(const struct api_route *route, int coupon, int user)
{
    static char path[200];
    size_t n = 0;

    for (const char *at = route->path; *at; at++)
        if (*at != '{') {
            path[n++] = *at;
        } else {
            n += (size_t)sprintf(path + n, "%d", strncmp(at, "{user", 5) == 0 ? user : coupon);
            at = strchr(at, '}');
        }
    path[n] = '\0';
    return path;
}

static const char *const method_words[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE" };

static inline int open_test(void **state)
{
    (void)state;
    whole_open(CONFIG_TEST);
    log_set_level(LOG_ERROR);
    return 0;
}

static inline int open_prod(void **state)
{
    (void)state;
    whole_open(CONFIG_PROD);
    log_set_level(LOG_ERROR);
    return 0;
}

static inline int close_it(void **state)
{
    (void)state;
    whole_prove();
    whole_close();
    return 0;
}
