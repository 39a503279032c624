// SPDX-License-Identifier: Apache-2.0
/* The life of a connection: order, answers, deadlines, back-pressure, ends. In virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "http/http_fixture_test.h"

#define HOST "Host: shop\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST "\r\n"

static struct fixture f;
static struct loop_sim_peer *peer;

static void start(struct http_server_options options)
{
    fixture_init(&f, options);
    peer = loop_sim_dial(f.loop, f.port);
    loop_sim_turn(f.loop);
}

static void stop(void)
{
    peer = loop_sim_hang_up(peer);
    fixture_fini(&f);
}

static void say(const char *text)
{
    loop_sim_send(peer, str_from(text));
    loop_sim_turn(f.loop);
}

static void expect(const char *want)
{
    char got[256];

    answers_text(peer, got, sizeof got);
    assert_string_equal(got, want);
}

static struct answer read_answer(bool to_head)
{
    struct answer a = { 0 };

    assert_true(answer_read(loop_sim_received(peer), to_head, &a) > 0);
    return a;
}

static void expect_str(struct str got, const char *want)
{
    if (!str_equal(got, str_from(want)))
        fail_msg("got \"%.*s\", want \"%s\"", (int)got.len, got.ptr, want);
}

static void answer_held(unsigned i, const char *body)
{
    http_respond(TAKE(f.held[i]), 200, STR("text/plain"), str_from(body));
    loop_sim_turn(f.loop);
}

static void test_request_is_complete(void **state)
{
    (void)state;
    start((struct http_server_options){ 0 });
    say("POST http://shop/hold?a=%20b HTTP/1.1\r\n" HOST "X-One: 1\r\nX-Two:\t two \r\n"
        "X-Request-Id: my_id-7\r\nContent-Length: 3\r\n\r\nabc");
    assert_int_equal(f.held_count, 1);
    const struct http_request *req = f.held[0];
    assert_int_equal(req->method, HTTP_POST);
    expect_str(req->method_token, "POST");
    expect_str(req->path, "/hold");
    expect_str(req->query, "a=%20b");
    expect_str(req->body, "abc");
    expect_str(req->request_id, "my_id-7");
    expect_str(req->peer_text, "127.0.0.1");
    assert_true(req->peer_is_loopback);
    assert_int_equal(req->header_count, 5);
    expect_str(http_request_header(req, STR("x-tWO")), "two");
    assert_null(http_request_header(req, STR("x-three")).ptr);
    answer_held(0, "done");
    struct answer a = read_answer(false);
    expect_str(answer_field(a.head, "X-Request-Id"), "my_id-7");
    expect_str(a.body, "done");
    stop();
}

static void test_request_ids(void **state)
{
    static char too_long[66];
    const char *const bad[] = { "", "a b", "\xC3\xA9", too_long };
    char first[17] = "", request[256];

    (void)state;
    memset(too_long, 'x', 65);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        start((struct http_server_options){ 0 });
        snprintf(request, sizeof request, "GET / HTTP/1.1\r\n" HOST "X-Request-Id: %s\r\n\r\n",
                 bad[i]);
        say(request);
        struct str id = answer_field(read_answer(false).head, "X-Request-Id");
        assert_int_equal(id.len, 16);
        assert_false(str_equal(id, str_from(first)));
        snprintf(first, sizeof first, "%.*s", (int)id.len, id.ptr ? id.ptr : "");
        stop();
    }
}

static void test_pipeline_keeps_order(void **state)
{
    (void)state;
    start((struct http_server_options){ 0 });
    say(GET("/hold") GET("/") "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nhi" GET(
        "/hold") "GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n" GET("/never"));
    assert_int_equal(f.requests, 1);
    expect("");
    answer_held(0, "one");
    assert_int_equal(f.requests, 4); /* the second hold */
    expect("200 200 200");
    answer_held(1, "four");
    expect("200 200 200 200 200x");
    assert_int_equal(f.requests, 5);
    stop();
}

static void test_next_request_never_inside_the_answer(void **state)
{
    (void)state;
    start((struct http_server_options){ 0 });
    say(GET("/hold") GET("/hold"));
    http_respond(TAKE(f.held[0]), 200, STR("text/plain"), STR("one"));
    assert_int_equal(f.requests, 1);
    loop_sim_turn(f.loop);
    assert_int_equal(f.requests, 2);
    answer_held(1, "two");
    expect("200 200");
    stop();
}

static void test_ten_thousand_pipelined(void **state)
{
    struct buf bytes = { 0 };

    (void)state;
    for (int i = 0; i < 10000; i++)
        buf_literal(&bytes, GET("/"));
    start((struct http_server_options){ 0 });
    loop_sim_set_window(peer, 100000); /* a reader that reads by and by */
    loop_sim_send(peer, buf_str(&bytes));
    loop_sim_turn(f.loop);
    assert_in_range(f.requests, 500, 1500); /* not all: the answers have nowhere to go */
    while (loop_sim_received(peer).len > 0) {
        loop_sim_drop(peer, loop_sim_received(peer).len);
        loop_sim_turn(f.loop);
    }
    assert_int_equal(f.requests, 10000);
    buf_fini(&bytes);
    stop();
}

static void test_head_and_no_content(void **state)
{
    (void)state;
    start((struct http_server_options){ 0 });
    say("HEAD / HTTP/1.1\r\n" HOST "\r\n");
    struct answer a = read_answer(true);
    expect_str(answer_field(a.head, "Content-Length"), "6");
    assert_int_equal(loop_sim_received(peer).len, a.head.len + 2);
    loop_sim_drop(peer, a.head.len + 2);
    say(GET("/none"));
    a = read_answer(false);
    assert_int_equal(a.status, 204);
    assert_null(answer_field(a.head, "Content-Length").ptr);
    assert_int_equal(loop_sim_received(peer).len, a.head.len + 2);
    stop();
}

static void test_headers_and_lengths(void **state)
{
    static const size_t sizes[] = { 0, 1, 9, 10, 99, 2048, 2049, 100000 };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        start((struct http_server_options){ 0 });
        say(GET("/hold"));
        struct http_request *req = TAKE(f.held[0]);
        http_response_header(req, STR("Retry-After"), STR("3"));
        http_response_header(req, STR("Allow"), STR("GET,\r\nPOST"));
        struct buf *out = http_response_begin(req, 418, STR("text/plain"));
        for (size_t k = 0; k < sizes[i]; k++)
            buf_char(out, (char)('a' + k % 26));
        http_response_end(req);
        loop_sim_turn(f.loop);
        struct answer a = read_answer(false);
        assert_int_equal(a.status, 418);
        assert_int_equal(a.body.len, sizes[i]);
        assert_true(sizes[i] == 0 || a.body.ptr[0] == 'a');
        expect_str(answer_field(a.head, "Retry-After"), "3");
        expect_str(answer_field(a.head, "Allow"), "GET,  POST");
        stop();
    }
}

static void test_http_10_keeps_alive_if_asked(void **state)
{
    (void)state;
    start((struct http_server_options){ 0 });
    say("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    expect_str(answer_field(read_answer(false).head, "Connection"), "keep-alive");
    say("GET / HTTP/1.0\r\n\r\n");
    expect("200 200x");
    stop();
}

static void test_expect_continue(void **state)
{
    (void)state;
    start((struct http_server_options){ 0 });
    say("POST /echo HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\nContent-Length: 2\r\n\r\n");
    expect("100");
    say("hi");
    expect("100 200");
    loop_sim_drop(peer, loop_sim_received(peer).len);
    say("POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi");
    expect("200"); /* it did not wait */
    say("POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 65537\r\n\r\n");
    expect("200 413x"); /* the body is not asked for */
    stop();
}

static void test_expect_continue_chunked(void **state)
{
    (void)state;
    start((struct http_server_options){ 0 });
    say("POST /echo HTTP/1.1\r\n" HOST
        "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n");
    expect("100");
    say("2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n");
    expect("100 200");
    assert_string_equal(f.last, "POST /echo hi!");
    stop();
}

static void test_slow_head(void **state)
{
    (void)state;
    start((struct http_server_options){ 0 });
    say("GET / HT");
    loop_sim_advance(f.loop, 9000);
    say("TP/1.1\r\nHost");
    expect("");
    loop_sim_advance(f.loop, 1100);
    expect("408x");
    assert_int_equal(f.last_refusal, HTTP_REFUSAL_TIMEOUT);
    assert_int_equal(http_server_stats(f.server)->connections, 0);
    stop();
}

static void test_slow_head_on_a_kept_connection(void **state)
{
    (void)state;
    start((struct http_server_options){ 0 });
    say(GET("/"));
    loop_sim_advance(f.loop, 30000);
    say("GET /");
    loop_sim_advance(f.loop, 9800);
    expect("200");
    loop_sim_advance(f.loop, 400);
    expect("200 408x");
    stop();
}

static void test_silent_connections_go(void **state)
{
    (void)state;
    start((struct http_server_options){ 0 });
    loop_sim_advance(f.loop, 9800);
    expect("");
    loop_sim_advance(f.loop, 400);
    expect("x");
    assert_int_equal(http_server_stats(f.server)->timed_out, 1);
    stop();
    start((struct http_server_options){ 0 });
    say(GET("/"));
    loop_sim_advance(f.loop, 59000);
    expect("200");
    loop_sim_advance(f.loop, 1500);
    expect("200x");
    stop();
}

static void test_slow_body(void **state)
{
    (void)state;
    start((struct http_server_options){ 0 });
    say("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 60000\r\n\r\n");
    for (int s = 0; s < 30; s++) { /* as fast as it must be */
        struct buf bytes = { 0 };
        for (int i = 0; i < 500; i++)
            buf_char(&bytes, 'x');
        loop_sim_send(peer, buf_str(&bytes));
        buf_fini(&bytes);
        loop_sim_advance(f.loop, 1000);
        expect("");
    }
    loop_sim_advance(f.loop, 5200); /* and then no more */
    expect("408x");
    stop();
}

static void test_reader_that_does_not_read(void **state)
{
    (void)state;
    start((struct http_server_options){ 0 });
    loop_sim_set_window(peer, 100);
    say(GET("/"));
    assert_int_equal(loop_sim_received(peer).len, 100);
    loop_sim_advance(f.loop, 9900);
    assert_int_equal(http_server_stats(f.server)->connections, 1);
    loop_sim_advance(f.loop, 600);
    assert_int_equal(http_server_stats(f.server)->connections, 0);
    assert_int_equal(http_server_stats(f.server)->timed_out, 1);
    stop();
}

static void test_held_request_stops_reading(void **state)
{
    struct buf bytes = { 0 };

    (void)state;
    start((struct http_server_options){ 0 });
    say(GET("/hold"));
    for (int i = 0; i < 1000; i++)
        buf_literal(&bytes, GET("/"));
    loop_sim_send(peer, buf_str(&bytes));
    loop_sim_turn(f.loop);
    expect_str(f.held[0]->path, "/hold"); /* still in its place */
    assert_int_equal(f.requests, 1);
    answer_held(0, "now");
    assert_int_equal(f.requests, 1001);
    buf_fini(&bytes);
    stop();
}

static void test_peer_goes_while_held(void **state)
{
    (void)state;
    start((struct http_server_options){ 0 });
    say(GET("/hold"));
    loop_sim_reset(peer);
    loop_sim_turn(f.loop);
    assert_true(http_request_peer_gone(f.held[0]));
    expect_str(f.held[0]->path, "/hold");
    answer_held(0, "into the void");
    assert_int_equal(f.answers, 1);
    assert_int_equal(http_server_stats(f.server)->connections, 0);
    stop();
}

static void test_half_close_is_answered(void **state)
{
    (void)state;
    start((struct http_server_options){ 0 });
    loop_sim_send(peer, STR(GET("/hold") GET("/")));
    loop_sim_shutdown(peer);
    loop_sim_turn(f.loop);
    expect("");
    answer_held(0, "one");
    expect("200 200x");
    stop();
    start((struct http_server_options){ 0 });
    loop_sim_send(peer, STR("GET / HTT"));
    loop_sim_shutdown(peer);
    loop_sim_turn(f.loop);
    expect("400x");
    stop();
    start((struct http_server_options){ 0 });
    loop_sim_shutdown(peer);
    loop_sim_turn(f.loop);
    expect("x");
    stop();
}

static void test_refused_connection_lingers(void **state)
{
    (void)state;
    start((struct http_server_options){ 0 });
    say("POST / HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\n");
    expect("413x");
    assert_false(loop_sim_closed(peer)); /* what still comes is read, and dropped */
    say("xxxxxxxxxxxxxxxx");
    assert_int_equal(f.requests + f.refusals, 1);
    loop_sim_advance(f.loop, 2200);
    assert_true(loop_sim_closed(peer));
    stop();
}

static void test_too_many_connections(void **state)
{
    struct loop_sim_peer *more[20];

    (void)state;
    start((struct http_server_options){ .connections_max = 1 });
    for (size_t i = 0; i < ARRAY_COUNT(more); i++) {
        more[i] = loop_sim_dial(f.loop, f.port);
        loop_sim_send(more[i], STR(GET("/")));
    }
    loop_sim_turn(f.loop);
    assert_int_equal(f.refusals, 16);
    assert_int_equal(f.last_refusal, HTTP_REFUSAL_TOO_MANY_CONNECTIONS);
    assert_int_equal(http_server_stats(f.server)->turned_away, 4);
    say(GET("/")); /* the first one is served as ever */
    expect("200");
    for (size_t i = 0; i < ARRAY_COUNT(more); i++)
        loop_sim_hang_up(more[i]);
    loop_sim_advance(f.loop, 3000);
    struct loop_sim_peer *first = peer;
    loop_sim_hang_up(first);
    loop_sim_turn(f.loop);
    peer = loop_sim_dial(f.loop, f.port);
    say(GET("/")); /* and there is room again */
    expect("200");
    stop();
}

static void test_drain(void **state)
{
    struct loop_sim_peer *busy, *waiting;

    (void)state;
    start((struct http_server_options){ 0 });
    say(GET("/")); /* idle now */
    busy = loop_sim_dial(f.loop, f.port);
    loop_sim_send(busy, STR(GET("/hold")));
    loop_sim_turn(f.loop);
    waiting = loop_sim_dial(f.loop, f.port); /* in the backlog */
    http_server_drain(f.server, fixture_done, &f);
    loop_sim_turn(f.loop);
    assert_null(loop_sim_dial(f.loop, f.port));
    loop_sim_send(waiting, STR(GET("/")));
    loop_sim_advance(f.loop, 500);
    expect("200");
    say(GET("/")); /* was on its way when the drain began */
    expect("200 200x");
    struct answer a;
    assert_true(answer_read(loop_sim_received(waiting), false, &a) > 0 && a.close);
    answer_held(0, "held");
    assert_true(answer_read(loop_sim_received(busy), false, &a) > 0);
    expect_str(a.body, "held");
    assert_true(a.close);
    loop_sim_hang_up(busy);
    loop_sim_hang_up(waiting);
    loop_sim_advance(f.loop, 1200);
    assert_true(f.done);
    f.done = false;
    stop();
}

static void test_drain_closes_quiet_ones(void **state)
{
    (void)state;
    start((struct http_server_options){ 0 });
    say(GET("/"));
    http_server_drain(f.server, fixture_done, &f);
    loop_sim_advance(f.loop, 900);
    assert_false(f.done);
    loop_sim_advance(f.loop, 300);
    assert_true(f.done);
    expect("200x");
    stop();
}

static void test_stop_with_requests_out(void **state)
{
    (void)state;
    start((struct http_server_options){ 0 });
    say(GET("/hold"));
    http_server_stop(f.server, fixture_done, &f);
    loop_sim_turn(f.loop);
    assert_true(loop_sim_closed(peer));
    assert_false(f.done);
    answer_held(0, "too late");
    assert_true(f.done);
    peer = loop_sim_hang_up(peer);
    http_server_free(f.server);
    loop_free(f.loop);
}

/* ---- streamed answers ---- */

static void count_drain(struct http_request *req)
{
    ((struct fixture *)req->app)->drains++;
}

static struct http_request *begin_stream(const char *request)
{
    say(request);
    struct http_request *req = TAKE(f.held[0]);
    req->on_drain = count_drain;
    http_stream_begin(req, 200, STR("text/csv"));
    return req;
}

static void test_stream(void **state)
{
    (void)state;
    start((struct http_server_options){ 0 });
    struct http_request *req = begin_stream(GET("/hold") GET("/"));
    assert_int_equal(http_stream_write(req, STR("one\n")), HTTP_STREAM_GO);
    assert_int_equal(http_stream_write(req, STR_NONE), HTTP_STREAM_GO);
    loop_sim_turn(f.loop);
    assert_non_null(memmem(loop_sim_received(peer).ptr, loop_sim_received(peer).len, "one", 3));
    assert_int_equal(http_stream_write(req, STR("two\n")), HTTP_STREAM_GO);
    http_stream_end(req);
    loop_sim_turn(f.loop);
    assert_true(read_answer(false).chunked);
    expect_str(read_answer(false).body, "4\r\none\n\r\n4\r\ntwo\n\r\n0\r\n\r\n");
    expect("200 200");
    stop();
}

static void test_stream_to_http_10(void **state)
{
    (void)state;
    start((struct http_server_options){ 0 });
    struct http_request *req = begin_stream("GET /hold HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    http_stream_write(req, STR("one\n"));
    http_stream_end(req);
    loop_sim_turn(f.loop);
    expect_str(read_answer(false).body, "one\n");
    expect("200x");
    stop();
}

static void test_stream_of_head(void **state)
{
    (void)state;
    start((struct http_server_options){ 0 });
    struct http_request *req = begin_stream("HEAD /hold HTTP/1.1\r\n" HOST "\r\n");
    http_stream_write(req, STR("one\n"));
    http_stream_end(req);
    loop_sim_turn(f.loop);
    assert_int_equal(loop_sim_received(peer).len, read_answer(true).head.len + 2);
    stop();
}

static void test_stream_pauses(void **state)
{
    static char piece[8192];
    enum http_stream verdict = HTTP_STREAM_GO;
    int pieces = 0;

    (void)state;
    start((struct http_server_options){ 0 });
    loop_sim_set_window(peer, 1000);
    struct http_request *req = begin_stream(GET("/hold"));
    for (; verdict == HTTP_STREAM_GO; pieces++)
        verdict = http_stream_write(req, (struct str){ piece, sizeof piece });
    assert_int_equal(verdict, HTTP_STREAM_PAUSE);
    assert_in_range(pieces, 8, 10);
    assert_int_equal(f.drains, 0);
    loop_sim_set_window(peer, 1000000);
    loop_sim_turn(f.loop);
    assert_int_equal(f.drains, 1);
    assert_int_equal(http_stream_write(req, STR("end")), HTTP_STREAM_GO);
    http_stream_end(req);
    loop_sim_turn(f.loop);
    expect("200");
    stop();
}

static void test_stream_loses_its_peer(void **state)
{
    (void)state;
    start((struct http_server_options){ 0 });
    struct http_request *req = begin_stream(GET("/hold"));
    loop_sim_turn(f.loop);
    loop_sim_reset(peer);
    loop_sim_turn(f.loop);
    assert_int_equal(f.drains, 1);
    assert_true(http_request_peer_gone(req));
    assert_int_equal(http_stream_write(req, STR("x")), HTTP_STREAM_GONE);
    http_stream_end(req);
    loop_sim_turn(f.loop);
    assert_int_equal(http_server_stats(f.server)->connections, 0);
    stop();
}

static void test_stream_that_ignores_pause(void **state)
{
    static char piece[65536];
    enum http_stream verdict = HTTP_STREAM_GO;

    (void)state;
    start((struct http_server_options){ .stream_bytes_max = 300000 });
    loop_sim_set_window(peer, 1000);
    struct http_request *req = begin_stream(GET("/hold"));
    for (int i = 0; verdict != HTTP_STREAM_GONE; i++) {
        assert_true(i < 10);
        verdict = http_stream_write(req, (struct str){ piece, sizeof piece });
    }
    http_stream_end(req);
    loop_sim_turn(f.loop);
    assert_int_equal(http_server_stats(f.server)->connections, 0);
    stop();
}

/* ---- memory ---- */

static const char scenario[] =
    GET("/") GET("/hold") "POST /echo HTTP/1.1\r\n" HOST
                          "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";

static void test_no_memory(void **state)
{
    int failed = 1;

    (void)state;
    for (int after = 0; failed > 0; after++) {
        assert_true(after < 100);
        fixture_init(&f, (struct http_server_options){ 0 });
        peer = loop_sim_dial(f.loop, f.port);
        loop_sim_send(peer, STR(scenario));
        mem_fault_set(after);
        loop_sim_turn(f.loop);
        if (f.held_count > 0) {
            struct http_request *req = TAKE(f.held[0]);
            http_response_header(req, STR("A"), STR("b"));
            http_respond(req, 200, STR("text/plain"), STR("held"));
        }
        loop_sim_turn(f.loop);
        failed = mem_fault_hits();
        mem_fault_set(-1);
        char got[64];
        answers_text(peer, got, sizeof got); /* whole answers or none */
        if (strcmp(got, "200 200 200") != 0)
            assert_true(failed > 0 && loop_sim_ended(peer));
        stop();
        assert_int_equal(mem_live_count(), 0);
    }
}

static void test_stream_does_not_open(void **state)
{
    (void)state;
    fixture_init(&f, (struct http_server_options){ 0 });
    loop_sim_fail_open(f.loop, 1);
    peer = loop_sim_dial(f.loop, f.port);
    loop_sim_turn(f.loop);
    expect("x");
    assert_int_equal(http_server_stats(f.server)->connections, 0);
    stop();
}

static void test_idle_connections_give_memory_back(void **state)
{
    (void)state;
    start((struct http_server_options){ 0 });
    long before = mem_live_count();
    say(GET("/"));
    assert_true(mem_live_count() > before);
    loop_sim_advance(f.loop, 1500);
    assert_int_equal(mem_live_count(), before);
    say(GET("/"));
    expect("200 200");
    stop();
}

static void test_percent_decode(void **state)
{
    static const struct {
        const char *text, *want; /* NULL: ERR_INVALID */
    } rows[] = {
        { "", "" },      { "plain", "plain" }, { "a%20b+c", "a b+c" },   { "%2F%2f%41", "//A" },
        { "%", NULL },   { "a%2", NULL },      { "%G0", NULL },          { "%0g", NULL },
        { "%00", NULL }, { "%%20", NULL },     { "%C3%A9", "\xC3\xA9" },
    };
    struct arena arena = { 0 };
    struct str got;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        enum err e = http_percent_decode(&arena, str_from(rows[i].text), &got);
        assert_int_equal(e, rows[i].want ? ERR_OK : ERR_INVALID);
        if (rows[i].want)
            expect_str(got, rows[i].want);
    }
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_is_complete),
        cmocka_unit_test(test_request_ids),
        cmocka_unit_test(test_pipeline_keeps_order),
        cmocka_unit_test(test_next_request_never_inside_the_answer),
        cmocka_unit_test(test_ten_thousand_pipelined),
        cmocka_unit_test(test_head_and_no_content),
        cmocka_unit_test(test_headers_and_lengths),
        cmocka_unit_test(test_http_10_keeps_alive_if_asked),
        cmocka_unit_test(test_expect_continue),
        cmocka_unit_test(test_expect_continue_chunked),
        cmocka_unit_test(test_slow_head),
        cmocka_unit_test(test_slow_head_on_a_kept_connection),
        cmocka_unit_test(test_silent_connections_go),
        cmocka_unit_test(test_slow_body),
        cmocka_unit_test(test_reader_that_does_not_read),
        cmocka_unit_test(test_held_request_stops_reading),
        cmocka_unit_test(test_peer_goes_while_held),
        cmocka_unit_test(test_half_close_is_answered),
        cmocka_unit_test(test_refused_connection_lingers),
        cmocka_unit_test(test_too_many_connections),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_drain_closes_quiet_ones),
        cmocka_unit_test(test_stop_with_requests_out),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_stream_to_http_10),
        cmocka_unit_test(test_stream_of_head),
        cmocka_unit_test(test_stream_pauses),
        cmocka_unit_test(test_stream_loses_its_peer),
        cmocka_unit_test(test_stream_that_ignores_pause),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_stream_does_not_open),
        cmocka_unit_test(test_idle_connections_give_memory_back),
        cmocka_unit_test(test_percent_decode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
