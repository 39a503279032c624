// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "http/http_client.h"
#include "http/http_fixture_test.h"

static struct fixture f;
static struct http_client_conn *conn;
static unsigned done_count;
static char body[512], type[64];
static unsigned last_status;
static enum err last_err;

static void on_done(struct http_exchange *x)
{
    struct str field = http_exchange_header(x, STR("content-TYPE"));

    done_count++;
    last_err = x->err;
    last_status = x->status;
    snprintf(body, sizeof body, "%.*s", (int)x->response_body.len,
             x->response_body.len ? x->response_body.ptr : "");
    snprintf(type, sizeof type, "%.*s", (int)field.len, field.len ? field.ptr : "");
}

static void ask(struct http_exchange *x, const char *method, const char *target, const char *send)
{
    *x = (struct http_exchange){ .method = str_from(method),
                                 .target = str_from(target),
                                 .body = str_from(send),
                                 .timeout_ms = 1000,
                                 .done = on_done };
    unsigned before = done_count;
    http_client_send(conn, x);
    assert_int_equal(done_count, before); /* never from inside the start */
    loop_sim_turn(f.loop);
}

static void start(void)
{
    struct loop_addr addr;

    fixture_init(&f, (struct http_server_options){ 0 });
    assert_int_equal(loop_addr_parse(STR("127.0.0.1"), f.port, &addr), ERR_OK);
    conn = http_client_conn_new(f.loop, &addr);
    assert_non_null(conn);
    done_count = 0;
}

static void stop(void)
{
    conn = http_client_conn_free(conn);
    fixture_fini(&f);
    assert_int_equal(mem_live_count(), 0);
}

static void test_exchanges_share_a_connection(void **state)
{
    struct http_exchange x;

    (void)state;
    start();
    ask(&x, "GET", "/", NULL);
    assert_int_equal(last_err, ERR_OK);
    assert_int_equal(last_status, 200);
    assert_string_equal(body, "hello\n");
    assert_string_equal(type, "text/plain");
    ask(&x, "POST", "/echo", "{\"a\":1}");
    assert_string_equal(body, "{\"a\":1}");
    ask(&x, "HEAD", "/", NULL);
    assert_int_equal(last_status, 200);
    assert_string_equal(body, "");
    ask(&x, "POST", "/none", "");
    assert_int_equal(last_status, 204);
    assert_int_equal(done_count, 4);
    assert_int_equal(http_server_stats(f.server)->accepted, 1);
    stop();
}

static void test_reconnects(void **state)
{
    struct http_exchange x;

    (void)state;
    start();
    ask(&x, "FOO", "/", NULL); /* the server closes after it */
    assert_int_equal(last_status, 405);
    ask(&x, "GET", "/", NULL);
    assert_int_equal(last_status, 200);
    loop_sim_advance(f.loop, 61000); /* idle: the server closes */
    ask(&x, "GET", "/", NULL);
    assert_int_equal(last_status, 200);
    http_client_set_keep_alive(conn, false);
    ask(&x, "GET", "/", NULL);
    ask(&x, "GET", "/", NULL);
    assert_int_equal(last_status, 200);
    assert_int_equal(http_server_stats(f.server)->accepted, 4);
    stop();
}

static void test_streamed_answer(void **state)
{
    struct http_exchange x;

    (void)state;
    start();
    ask(&x, "GET", "/hold", NULL);
    struct http_request *req = TAKE(f.held[0]);
    http_stream_begin(req, 200, STR("text/csv"));
    http_stream_write(req, STR("one\n"));
    loop_sim_turn(f.loop);
    assert_int_equal(done_count, 0);
    http_stream_write(req, STR("two\n"));
    http_stream_end(req);
    loop_sim_turn(f.loop);
    assert_int_equal(last_err, ERR_OK);
    assert_string_equal(body, "one\ntwo\n");
    stop();
}

static void test_deadline(void **state)
{
    struct http_exchange x;

    (void)state;
    start();
    ask(&x, "GET", "/", NULL);
    ask(&x, "GET", "/hold", NULL);
    loop_sim_advance(f.loop, 999);
    assert_int_equal(done_count, 1);
    loop_sim_advance(f.loop, 1);
    assert_int_equal(done_count, 2);
    assert_int_equal(last_err, ERR_UNCERTAIN);
    ask(&x, "GET", "/", NULL); /* on a new connection */
    assert_int_equal(last_err, ERR_OK);
    stop();
}

static void test_nobody_there(void **state)
{
    struct http_exchange x;
    struct loop_addr addr;

    (void)state;
    start();
    http_client_conn_free(conn);
    assert_int_equal(loop_addr_parse(STR("127.0.0.1"), 1, &addr), ERR_OK);
    conn = http_client_conn_new(f.loop, &addr);
    ask(&x, "GET", "/", NULL);
    assert_int_equal(last_err, ERR_UNAVAILABLE);
    loop_sim_fail_open(f.loop, 1);
    ask(&x, "GET", "/", NULL);
    assert_int_equal(last_err, ERR_NOMEM);
    assert_int_equal(done_count, 2);
    stop();
}

static void test_cancel(void **state)
{
    struct http_exchange x;

    (void)state;
    start();
    ask(&x, "GET", "/hold", NULL);
    http_client_cancel(conn);
    assert_int_equal(done_count, 0);
    loop_sim_turn(f.loop);
    assert_int_equal(last_err, ERR_UNCERTAIN);
    http_client_cancel(conn); /* nothing in flight */
    loop_sim_turn(f.loop);
    assert_int_equal(done_count, 1);
    stop();
}

/* ---- answers of a server that is not ours ---- */

static const char *canned;
static struct loop_stream canned_stream;

static void canned_readable(struct loop_stream *stream)
{
    char bytes[512];
    size_t n;

    if (loop_stream_read(stream, bytes, sizeof bytes, &n) != LOOP_IO_OK) {
        loop_stream_close(stream);
        return;
    }
    assert_int_equal(loop_stream_write(stream, canned, strlen(canned), &n), LOOP_IO_OK);
    if (strstr(canned, "close")) {
        loop_stream_shutdown(stream);
        loop_stream_read_start(stream);
    }
}

static void canned_closed(struct loop_stream *stream)
{
    (void)stream;
}

static struct loop_stream *canned_connection(struct loop_listener *listener,
                                             const struct loop_addr *peer)
{
    (void)listener, (void)peer;
    canned_stream =
        (struct loop_stream){ .on_readable = canned_readable, .on_closed = canned_closed };
    return &canned_stream;
}

static void listener_closed(struct loop_listener *listener)
{
    (void)listener;
}

static void test_other_answers(void **state)
{
    static const struct {
        const char *answer;
        enum err err;
        unsigned status;
        const char *body;
    } rows[] = {
        { "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", ERR_OK, 200, "hi" },
        { "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhi", ERR_OK, 200, "hi" },
        { "HTTP/1.0 503 Busy\r\nX: close\r\n\r\n", ERR_OK, 503, "" },
        { "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", ERR_OK,
          201, "" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi and more", ERR_OK, 200, "hi" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nX: close\r\n\r\nhi", ERR_UNCERTAIN, 0, "" },
        { "HTTP/1.1 200 OK\r\nX: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na", ERR_UNCERTAIN,
          0, "" },
        { "close", ERR_UNCERTAIN, 0, "" },
        { "nonsense", ERR_UNCERTAIN, 0, "" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
          ERR_UNCERTAIN, 0, "" },
    };
    struct loop_listener listener = { .on_connection = canned_connection,
                                      .on_closed = listener_closed };
    struct loop_addr addr;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct http_exchange x;
        start();
        http_client_conn_free(conn);
        assert_int_equal(loop_addr_parse(STR("127.0.0.1"), 0, &addr), ERR_OK);
        assert_int_equal(loop_listen(f.loop, &listener, &addr, &addr), ERR_OK);
        conn = http_client_conn_new(f.loop, &addr);
        canned = rows[i].answer;
        ask(&x, "GET", "/", NULL);
        loop_sim_advance(f.loop, 2000);
        assert_int_equal(done_count, 1);
        if (last_err != rows[i].err || last_status != rows[i].status)
            fail_msg("row %zu: %s, %u", i, err_name(last_err), last_status);
        assert_string_equal(body, rows[i].body);
        loop_listener_close(&listener);
        conn = http_client_conn_free(conn);
        loop_sim_turn(f.loop);
        stop();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exchanges_share_a_connection),
        cmocka_unit_test(test_reconnects),
        cmocka_unit_test(test_streamed_answer),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_other_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
