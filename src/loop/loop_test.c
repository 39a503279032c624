// SPDX-License-Identifier: Apache-2.0
/* The contract of loop.h. Linked twice: with the loop of the server and with the simulated one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "loop/loop.h"

static struct loop *loop;
static char trace[256];

static void note(const char *what)
{
    size_t at = strlen(trace);

    snprintf(trace + at, sizeof trace - at, "%s ", what);
}

static int setup(void **state)
{
    (void)state;
    loop = loop_new();
    trace[0] = '\0';
    return loop ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    loop = loop_free(loop);
    return mem_live_count() == 0 ? 0 : -1;
}

/* ---- turns ---- */

static void run_stop(struct loop_task *task)
{
    (void)task;
    loop_stop(loop);
}
static struct loop_task stop_task = { .run = run_stop };

static void run_second(struct loop_task *task)
{
    (void)task;
    note("second");
}
static struct loop_task second = { .run = run_second };

static void run_first(struct loop_task *task)
{
    (void)task;
    loop_post(loop, &second); /* later, not now */
    note("first");
}
static struct loop_task first = { .run = run_first };

static int hook_runs;

static bool run_hook(struct loop_hook *hook)
{
    (void)hook;
    if (hook_runs++ != 0)
        return false;
    note("hook");
    loop_post(loop, &stop_task);
    return true;
}

static void test_tasks_and_hooks(void **state)
{
    struct loop_hook hook = { .run = run_hook };

    (void)state;
    hook_runs = 0;
    loop_hook_add(loop, &hook);
    loop_post(loop, &first);
    loop_run(loop);
    loop_hook_remove(&hook);
    assert_true(strcmp(trace, "first hook second ") == 0 ||
                strcmp(trace, "first second hook ") == 0);
    assert_true(hook_runs >= 2); /* asked again, because it had done something */
}

static void test_stop_before_run(void **state)
{
    (void)state;
    loop_stop(loop);
    loop_run(loop); /* returns */
}

static int endless_runs;

static void run_endless(struct loop_task *task)
{
    if (++endless_runs < 100000)
        loop_post(loop, task);
}

/* ---- timers ---- */

static void fired_b(struct loop_timer *timer)
{
    (void)timer;
    note("b");
    loop_stop(loop);
}
static struct loop_timer timer_b = { .run = fired_b };

static void fired_a(struct loop_timer *timer)
{
    note("a");
    if (strlen(trace) < 4)
        assert_int_equal(loop_timer_start(loop, timer, 1), ERR_OK); /* again, from inside */
}
static struct loop_timer timer_a = { .run = fired_a };

static void fired_never(struct loop_timer *timer)
{
    (void)timer;
    note("never");
}
static struct loop_timer timer_never = { .run = fired_never };

static void test_timers(void **state)
{
    uint64_t from_ms = loop_now_ms(loop);

    (void)state;
    assert_int_equal(loop_timer_start(loop, &timer_b, 30), ERR_OK);
    assert_int_equal(loop_timer_start(loop, &timer_a, 100000), ERR_OK);
    assert_int_equal(loop_timer_start(loop, &timer_a, 5), ERR_OK); /* moves it */
    assert_int_equal(loop_timer_start(loop, &timer_never, 10), ERR_OK);
    loop_timer_stop(&timer_never);
    loop_timer_stop(&timer_never);
    loop_run(loop);
    assert_string_equal(trace, "a a b ");
    assert_in_range(loop_now_ms(loop) - from_ms, 29, 5000);
    assert_null(timer_a.impl);
}

static void test_endless_task_lets_timers_run(void **state)
{
    struct loop_task endless = { .run = run_endless };

    (void)state;
    endless_runs = 0;
    loop_post(loop, &endless);
    assert_int_equal(loop_timer_start(loop, &timer_b, 1), ERR_OK);
    loop_run(loop);
    assert_string_equal(trace, "b ");
    endless_runs = 100000;
    loop_post(loop, &stop_task);
    loop_run(loop);
}

static void test_no_memory_for_a_timer(void **state)
{
    (void)state;
    mem_fault_set(0);
    assert_int_equal(loop_timer_start(loop, &timer_never, 1), ERR_NOMEM);
    mem_fault_set(-1);
    assert_null(timer_never.impl);
}

/* ---- work ---- */

static int worked;

static void work_run(struct loop_work *work)
{
    (void)work;
    worked++;
}

static void work_done(struct loop_work *work)
{
    (void)work;
    note("done");
    loop_stop(loop);
}

static void test_work(void **state)
{
    struct loop_work work = { .work = work_run, .done = work_done };

    (void)state;
    assert_int_equal(loop_work_start(loop, &work), ERR_OK);
    assert_string_equal(trace, "");
    loop_run(loop);
    assert_string_equal(trace, "done ");
    assert_int_equal(worked, 1);
}

/* ---- network: an echo that takes its time ---- */

enum { BYTES = 8 * 1024 * 1024 };

struct echo {
    struct loop_stream stream;
    struct buf bytes;
    size_t sent;
    bool ended;
};

static struct echo server_end, client_end;
static size_t client_read, closed_count;
static enum err connect_error;
static struct loop_listener listener;
static struct str peer_text;
static char peer_bytes[LOOP_ADDR_TEXT_BYTES];

static void echo_write(struct loop_stream *stream)
{
    struct echo *echo = CONTAINER_OF(stream, struct echo, stream);
    size_t n = 0;

    while (echo->sent < echo->bytes.len) {
        if (loop_stream_write(stream, echo->bytes.ptr + echo->sent, echo->bytes.len - echo->sent,
                              &n) != LOOP_IO_OK) {
            loop_stream_wait_writable(stream);
            return;
        }
        echo->sent += n;
    }
    if (echo->ended)
        loop_stream_close(stream);
}

static void server_readable(struct loop_stream *stream)
{
    struct echo *echo = CONTAINER_OF(stream, struct echo, stream);
    size_t n = 0;

    assert_true(buf_reserve(&echo->bytes, 65536));
    switch (loop_stream_read(stream, echo->bytes.ptr + echo->bytes.len, 65536, &n)) {
    case LOOP_IO_OK:
        echo->bytes.len += n;
        break;
    case LOOP_IO_AGAIN:
        break;
    case LOOP_IO_EOF: /* all was read: now all goes back */
        loop_stream_read_stop(stream);
        echo->ended = true;
        echo_write(stream);
        break;
    case LOOP_IO_GONE:
        loop_stream_close(stream);
        break;
    }
}

static void client_writable(struct loop_stream *stream)
{
    struct echo *echo = CONTAINER_OF(stream, struct echo, stream);

    echo_write(stream);
    if (echo->sent == echo->bytes.len)
        loop_stream_shutdown(stream);
}

static void client_readable(struct loop_stream *stream)
{
    static char bytes[65536];
    size_t n = 0;

    switch (loop_stream_read(stream, bytes, sizeof bytes, &n)) {
    case LOOP_IO_OK:
        assert_memory_equal(bytes, client_end.bytes.ptr + client_read, n);
        client_read += n;
        break;
    case LOOP_IO_AGAIN:
        break;
    case LOOP_IO_EOF:
    case LOOP_IO_GONE:
        loop_stream_close(stream);
        break;
    }
}

static void client_connected(struct loop_stream *stream, enum err e)
{
    connect_error = e;
    if (e == ERR_OK)
        client_writable(stream);
    else
        loop_stream_close(stream);
}

static void any_closed(struct loop_stream *stream)
{
    assert_null(stream->impl);
    if (++closed_count == 2 || connect_error != ERR_OK)
        loop_stop(loop);
}

static struct loop_stream *accept_one(struct loop_listener *li, const struct loop_addr *peer)
{
    (void)li;
    peer_text = loop_addr_text(peer, peer_bytes);
    return &server_end.stream;
}

static void listener_closed(struct loop_listener *li)
{
    assert_null(li->impl);
    note("listener");
    loop_stop(loop);
}

static void prepare_network(struct loop_addr *ret_addr)
{
    struct loop_addr any;

    server_end = (struct echo){ .stream = { .on_readable = server_readable,
                                            .on_writable = echo_write,
                                            .on_closed = any_closed } };
    client_end = (struct echo){ .stream = { .on_readable = client_readable,
                                            .on_writable = client_writable,
                                            .on_connected = client_connected,
                                            .on_closed = any_closed } };
    listener = (struct loop_listener){ .on_connection = accept_one, .on_closed = listener_closed };
    client_read = closed_count = 0;
    connect_error = ERR_OK;
    assert_int_equal(loop_addr_parse(STR("127.0.0.1"), 0, &any), ERR_OK);
    assert_int_equal(loop_listen(loop, &listener, &any, ret_addr), ERR_OK);
    assert_true(loop_addr_port(ret_addr) != 0);
}

static void finish_network(void)
{
    loop_listener_close(&listener);
    loop_run(loop);
    assert_string_equal(trace, "listener ");
    buf_fini(&server_end.bytes);
    buf_fini(&client_end.bytes);
}

static void test_network_carries_every_byte(void **state)
{
    struct loop_addr addr;

    (void)state;
    prepare_network(&addr);
    for (uint32_t i = 0; i < BYTES / 4; i++)
        buf_bytes(&client_end.bytes, &i, sizeof i);
    assert_true(buf_ok(&client_end.bytes));
    assert_int_equal(loop_connect(loop, &client_end.stream, &addr), ERR_OK);
    loop_run(loop);
    assert_int_equal(client_read, BYTES);
    assert_true(str_equal(peer_text, STR("127.0.0.1")));
    finish_network();
}

static void test_nobody_listens(void **state)
{
    struct loop_addr addr;

    (void)state;
    prepare_network(&addr);
    finish_network();
    trace[0] = '\0';
    assert_int_equal(loop_connect(loop, &client_end.stream, &addr), ERR_OK);
    loop_run(loop);
    assert_int_equal(connect_error, ERR_UNAVAILABLE);
    assert_int_equal(closed_count, 1);
}

/* Who is in the backlog when a listener closes is still served. */
static void test_close_takes_the_backlog(void **state)
{
    struct loop_addr addr;

    (void)state;
    prepare_network(&addr);
    buf_literal(&client_end.bytes, "hello");
    assert_int_equal(loop_connect(loop, &client_end.stream, &addr), ERR_OK);
    loop_listener_close(&listener);
    loop_run(loop);
    if (closed_count < 2)
        loop_run(loop);
    assert_int_equal(client_read, 5);
    buf_fini(&server_end.bytes);
    buf_fini(&client_end.bytes);
}

static void test_addresses(void **state)
{
    static const struct {
        const char *host, *text; /* text NULL: ERR_INVALID */
        bool loopback;
    } rows[] = {
        { "127.0.0.1", "127.0.0.1", true },
        { "localhost", "127.0.0.1", true },
        { "127.9.9.9", "127.9.9.9", true },
        { "10.0.0.1", "10.0.0.1", false },
        { "0.0.0.0", "0.0.0.0", false },
        { "::1", "::1", true },
        { "[::1]", "::1", true },
        { "[::]", "::", false },
        { "::ffff:127.0.0.1", "127.0.0.1", true },
        { "::ffff:10.0.0.1", "10.0.0.1", false },
        { "2001:db8::7", "2001:db8::7", false },
        { "", NULL, false },
        { "[]", NULL, false },
        { "[", NULL, false },
        { "1.2.3", NULL, false },
        { "1.2.3.256", NULL, false },
        { "shop.example", NULL, false },
        { "127.0.0.1 ", NULL, false },
    };
    char text[LOOP_ADDR_TEXT_BYTES];
    struct loop_addr addr;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        enum err e = loop_addr_parse(str_from(rows[i].host), 8080, &addr);
        assert_int_equal(e, rows[i].text ? ERR_OK : ERR_INVALID);
        if (!rows[i].text)
            continue;
        assert_true(str_equal(loop_addr_text(&addr, text), str_from(rows[i].text)));
        assert_int_equal(loop_addr_port(&addr), 8080);
        assert_int_equal(loop_addr_is_loopback(&addr), rows[i].loopback);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tasks_and_hooks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop_before_run, setup, teardown),
        cmocka_unit_test_setup_teardown(test_timers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_endless_task_lets_timers_run, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory_for_a_timer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_work, setup, teardown),
        cmocka_unit_test_setup_teardown(test_network_carries_every_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nobody_listens, setup, teardown),
        cmocka_unit_test_setup_teardown(test_close_takes_the_backlog, setup, teardown),
        cmocka_unit_test(test_addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
