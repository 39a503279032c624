// SPDX-License-Identifier: Apache-2.0
/* Webhooks on the real loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hook/hook.h"
#include "hook/hook_peer_test.h"
#include "hook/hook_sign.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define OK_ANSWER "HTTP/1.1 204 No Content\r\n\r\n"

static struct loop *loop;
static struct hook *hook;
static struct hook_client *client;
static int awaited;

static void begin(uint32_t timeout_ms)
{
    char url[64];

    peer_begin();
    snprintf(url, sizeof url, "http://127.0.0.1:%u/events", (unsigned)peer.port);
    const struct hook_options options = {
        .url = url, .secret = STR(SECRET), .connect_timeout_ms = 5000, .timeout_ms = timeout_ms
    };
    loop = loop_new();
    assert_int_equal(hook_new(&options, &hook), ERR_OK);
    client = hook_client_new(hook, loop);
    assert_non_null(client);
}

static void end(void)
{
    client = hook_client_free(client);
    hook = hook_free(hook);
    loop = loop_free(loop);
    peer_end();
}

static void call_done(struct hook_call *call)
{
    (void)call;
    if (--awaited == 0)
        loop_stop(loop);
}

static struct hook_call ask(const char *body)
{
    struct hook_call call = { .done = call_done, .body = str_from(body), .id = "coupon-7-1" };

    awaited = 1;
    hook_call(client, &call);
    loop_run(loop);
    return call;
}

static void test_delivered(void **state)
{
    char timestamp[24] = "", got[HOOK_SIGNATURE_BYTES] = "", wanted[HOOK_SIGNATURE_BYTES];

    (void)state;
    begin(5000);
    peer_set(PEER_ANSWERS, OK_ANSWER);
    assert_int_equal(ask("{\"type\":\"coupon.issued\"}").status, 204);
    const char *line = strstr(peer.request, "Doorbuster-Signature: t=");
    assert_non_null(line);
    assert_int_equal(sscanf(line, "Doorbuster-Signature: t=%20[0-9],v1=%64s", timestamp, got), 2);
    assert_int_equal(
        hook_sign(STR(SECRET), str_from(timestamp), STR("{\"type\":\"coupon.issued\"}"), wanted),
        ERR_OK);
    assert_string_equal(got, wanted);
    assert_non_null(strstr(peer.request, "Doorbuster-Event: coupon-7-1\r\n"));
    /* the connection is kept */
    assert_int_equal(ask("{}").status, 204);
    assert_int_equal(peer.connections, 1);
    end();
}

static void test_refused(void **state)
{
    (void)state;
    begin(300);
    peer_set(PEER_ANSWERS, "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(ask("{}").status, 500);
    peer_set(PEER_ANSWERS, "HTTP/1.1 302 Go\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(ask("{}").status, 302);
    peer_set(PEER_HANGS, "");
    struct hook_call call = ask("{}");
    assert_int_equal(call.status, 0);
    assert_true(call.why[0]);
    peer_set(PEER_FLOODS,
             "HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\nxxxxxxxxxxxxxxxxxxxx");
    assert_int_equal(ask("{}").status, 0);
    peer_set(PEER_ANSWERS_CLOSES, "");
    assert_int_equal(ask("{}").status, 0);
    end();
}

static void cut(struct loop_timer *timer)
{
    (void)timer;
    hook_client_cut(client);
}

static void test_cut(void **state)
{
    struct hook_call calls[3];
    struct loop_timer timer = { .run = cut };

    (void)state;
    begin(60000);
    peer_set(PEER_HANGS, "");
    awaited = 3;
    for (int i = 0; i < 3; i++) {
        calls[i] = (struct hook_call){ .done = call_done, .body = STR("{}"), .id = "x" };
        hook_call(client, &calls[i]);
    }
    assert_int_equal(loop_timer_start(loop, &timer, 50), ERR_OK);
    loop_run(loop);
    for (int i = 0; i < 3; i++)
        assert_int_equal(calls[i].status, 0);
    end();
}

static void test_urls(void **state)
{
    static const char *const bad[] = { "", "ftp://x/", "http://", "x" };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        assert_int_equal(hook_check_url(bad[i]), ERR_INVALID);
    assert_int_equal(hook_check_url("https://shop.example/events?x=1"), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delivered),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_urls),
    };

    return cmocka_run_group_tests_name("hook", tests, NULL, NULL);
}
