// SPDX-License-Identifier: Apache-2.0
/* The gateway over HTTP on the real loop, against peers of every kind. */
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/gateway_http_internal.h"
#include "hook/hook_peer_test.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
#define BODY "{\"status\":\"approved\",\"transactionId\":\"T-1\"}"
#define APPROVED HEAD "Content-Length: 43\r\n\r\n" BODY
#define FAILURE "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"

/* Much, but where a test waits for its end. */
enum { TIMEOUT_MS = 10000, HASTY_CONNECT_MS = 150, HASTY_MS = 400, SLOW_NAME_MS = 1500 };

/* ---- names: the test's own resolver, for curl, too ---- */

__attribute__((visibility("default"))) int getaddrinfo(const char *node, const char *service,
                                                       const struct addrinfo *hints,
                                                       struct addrinfo **ret)
{
    (void)service, (void)hints, (void)ret;
    if (strcmp(node, "slow.test") == 0)
        usleep(SLOW_NAME_MS * 1000);
    return EAI_NONAME;
}

/* ---- one gateway, one client ---- */

static struct loop *loop;
static struct gateway *gateway;
static struct gateway_client *client;
static struct gateway_http_options options;
static char url[256];
static bool hasty;

static void begin_at(const char *where)
{
    options =
        (struct gateway_http_options){ .url = where,
                                       .secret = STR(SECRET),
                                       .connect_timeout_ms = hasty ? HASTY_CONNECT_MS : TIMEOUT_MS,
                                       .timeout_ms = hasty ? HASTY_MS : TIMEOUT_MS,
                                       .in_flight_max = 1000,
                                       .breaker = breaker_options_default(2000, 1) };
    options.breaker.calls_min = 20;
    options.breaker.open_ms = options.breaker.open_ms_max = 100;
    loop = loop_new();
    assert_non_null(loop);
    assert_int_equal(gateway_http_new(&options, &gateway), ERR_OK);
    client = gateway_client_new(gateway, loop, NULL);
    assert_non_null(client);
}

static void begin_with(const char *scheme)
{
    peer_begin();
    snprintf(url, sizeof url, "%s://127.0.0.1:%u/pay?shop=1", scheme, (unsigned)peer.port);
    begin_at(url);
}

static void begin(void)
{
    begin_with("http");
}

static void end_client(void)
{
    hasty = false;
    assert_int_equal(gateway_stats(gateway).in_flight, 0);
    client = gateway_client_free(client);
    gateway = gateway_free(gateway);
    loop = loop_free(loop);
    assert_int_equal(mem_live_count(), 0);
}

static void end(void)
{
    end_client();
    peer_end();
}

struct asked {
    struct gateway_call call;
    struct asked **last;
    int done;
};

static int waiting;

static void on_done(struct gateway_call *call)
{
    struct asked *asked = CONTAINER_OF(call, struct asked, call);

    asked->done++;
    if (--waiting == 0)
        loop_stop(loop);
}

static void start(struct asked *asked, enum gateway_op op)
{
    *asked = (struct asked){ .call = { .done = on_done,
                                       .op = op,
                                       .key = "order-17-1",
                                       .user_id = 42,
                                       .order_id = 17,
                                       .amount = 9000,
                                       .transaction_id = "before" } };
    waiting++;
    gateway_start(client, &asked->call);
    assert_int_equal(asked->done, 0); /* never inside */
}

/* Nothing is unsent that the peer has seen. */
static enum gateway_outcome ask(enum gateway_op op)
{
    struct asked asked;
    int before = peer.requests;

    start(&asked, op);
    loop_run(loop);
    assert_int_equal(asked.done, 1);
    if (asked.call.outcome == GATEWAY_UNSENT)
        assert_int_equal(peer.requests, before);
    if (asked.call.outcome == GATEWAY_APPROVED)
        assert_string_equal(asked.call.transaction_id, "T-1");
    else
        assert_string_equal(asked.call.transaction_id, "");
    return asked.call.outcome;
}

static uint64_t now_ms(void)
{
    return clock_mono_ns() / 1000000;
}

/* ---- what is sent ---- */

static const char *header(const char *name, char value[256])
{
    char wanted[64];

    snprintf(wanted, sizeof wanted, "\r\n%s: ", name);
    const char *at = strstr(peer.request, wanted);
    if (!at)
        return NULL;
    at += strlen(wanted);
    snprintf(value, 256, "%.*s", (int)strcspn(at, "\r"), at);
    return value;
}

static void test_request(void **state)
{
    char value[256], wanted[HOOK_SIGNATURE_BYTES], timestamp[256];

    (void)state;
    begin();
    peer_set(PEER_ANSWERS, APPROVED);
    assert_int_equal(ask(GATEWAY_CHARGE), GATEWAY_APPROVED);
    assert_int_equal(strncmp(peer.request, "POST /pay?shop=1 HTTP/1.1\r\n", 27), 0);
    assert_string_equal(header("Idempotency-Key", value), "order-17-1");
    assert_string_equal(header("Content-Type", value), "application/json");
    assert_null(header("Expect", value));
    const char *body = strstr(peer.request, "\r\n\r\n") + 4;
    assert_int_equal(strncmp(body, "{\"operation\":\"charge\",\"key\":\"order-17-1\",", 41), 0);
    int64_t sent_s = strtoll(header("X-Doorbuster-Timestamp", timestamp), NULL, 10);
    assert_in_range(clock_wall_ms() / 1000 - sent_s, 0, 5);
    assert_int_equal(hook_sign(STR(SECRET), str_from(timestamp), str_from(body), wanted), ERR_OK);
    assert_int_equal(strncmp(header("X-Doorbuster-Signature", value), "v1=", 3), 0);
    assert_string_equal(value + 3, wanted);
    for (int i = 0; i < 5; i++)
        assert_int_equal(ask(GATEWAY_VOID), GATEWAY_APPROVED);
    assert_int_equal(peer.connections, 1); /* it is kept */
    end();
}

/* ---- what is answered ---- */

#define TEN(x) x x x x x x x x x x

static void test_answers(void **state)
{
    static const struct {
        enum peer_manner manner;
        const char *answer;
        enum gateway_outcome outcome;
    } rows[] = {
        { PEER_ANSWERS, APPROVED, GATEWAY_APPROVED },
        { PEER_ANSWERS_CLOSES, HEAD "\r\n" BODY, GATEWAY_APPROVED },
        { PEER_ANSWERS, HEAD "Transfer-Encoding: chunked\r\n\r\n2b\r\n" BODY "\r\n0\r\n\r\n",
          GATEWAY_APPROVED },
        { PEER_ANSWERS, "HTTP/1.1 100 Continue\r\n\r\n" APPROVED, GATEWAY_APPROVED },
        { PEER_ANSWERS, HEAD "Content-Length: 20\r\n\r\n{\"status\":\"refused\"}",
          GATEWAY_REFUSED },
        { PEER_ANSWERS, "HTTP/1.1 402 Payment Required\r\nContent-Length: 0\r\n\r\n",
          GATEWAY_REFUSED },
        { PEER_ANSWERS, FAILURE, GATEWAY_UNKNOWN },
        { PEER_ANSWERS, "HTTP/1.1 404 Unknown key\r\nContent-Length: 0\r\n\r\n", GATEWAY_UNKNOWN },
        { PEER_ANSWERS, "HTTP/1.1 204 No\r\n\r\n", GATEWAY_UNKNOWN },
        { PEER_ANSWERS, "HTTP/1.1 307 On\r\nLocation: /pay\r\nContent-Length: 0\r\n\r\n",
          GATEWAY_UNKNOWN },
        { PEER_ANSWERS,
          "HTTP/1.1 302 On\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n",
          GATEWAY_UNKNOWN },
        /* cut off, at every place */
        { PEER_ANSWERS_CLOSES, "", GATEWAY_UNKNOWN },
        { PEER_ANSWERS_CLOSES, "HT", GATEWAY_UNKNOWN },
        { PEER_ANSWERS_CLOSES, "HTTP/1.1 402 Paym", GATEWAY_UNKNOWN },
        { PEER_ANSWERS_CLOSES, HEAD, GATEWAY_UNKNOWN },
        { PEER_ANSWERS_CLOSES, HEAD "Content-Length: 43\r\n\r\n", GATEWAY_UNKNOWN },
        { PEER_ANSWERS_CLOSES, HEAD "Content-Length: 44\r\n\r\n" BODY, GATEWAY_UNKNOWN },
        { PEER_ANSWERS_CLOSES, HEAD "Transfer-Encoding: chunked\r\n\r\n2b\r\n" BODY "\r\n",
          GATEWAY_UNKNOWN },
        /* not HTTP, or too much of it */
        { PEER_ANSWERS_CLOSES, BODY, GATEWAY_UNKNOWN },
        { PEER_ANSWERS_CLOSES, "SSH-2.0-x\r\n", GATEWAY_UNKNOWN },
        { PEER_ANSWERS_CLOSES, HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\n" BODY "\r\n0\r\n\r\n",
          GATEWAY_UNKNOWN },
        { PEER_FLOODS, "HTTP/1.1 100 Continue\r\n\r\n", GATEWAY_UNKNOWN },
        { PEER_FLOODS, HEAD, GATEWAY_UNKNOWN }, /* header fields for ever */
        { PEER_FLOODS, HEAD "\r\n" TEN(TEN("          ")), GATEWAY_UNKNOWN },
        /* not in time */
        { PEER_HANGS, "", GATEWAY_UNKNOWN },
        { PEER_TRICKLES, APPROVED, GATEWAY_UNKNOWN },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        hasty = rows[i].manner == PEER_HANGS || rows[i].manner == PEER_TRICKLES;
        begin();
        peer_set(rows[i].manner, rows[i].answer);
        uint64_t start_ms = now_ms();
        enum gateway_outcome outcome = ask(GATEWAY_CHARGE);
        if (outcome != rows[i].outcome || peer.requests != 1)
            fail_msg("row %zu: outcome %d, %d requests", i, outcome, peer.requests);
        /* a flood is seen for what it is before time is over */
        assert_true(now_ms() - start_ms <
                    (hasty ? gateway_timeout_ms(gateway) + 2000 : TIMEOUT_MS));
        end();
    }
}

/* 64 KiB are an answer, one byte more is not. */
static void test_answer_size(void **state)
{
    static char answer[GATEWAY_HTTP_ANSWER_BYTES_MAX + 512];

    (void)state;
    for (int over = 0; over <= 1; over++) {
        int body = GATEWAY_HTTP_ANSWER_BYTES_MAX + over;
        snprintf(answer, sizeof answer, HEAD "Content-Length: %d\r\n\r\n%-*s", body, body, BODY);
        begin();
        peer_set(PEER_ANSWERS, answer);
        assert_int_equal(ask(GATEWAY_CHARGE), over ? GATEWAY_UNKNOWN : GATEWAY_APPROVED);
        end();
    }
}

/* The same with 64 KiB of header fields: 32 of 2,010 bytes, one more. */
static void test_head_size(void **state)
{
    static char answer[GATEWAY_HTTP_ANSWER_BYTES_MAX + 4096];
    int n;

    (void)state;
    for (int over = 0; over <= 1; over++) {
        n = snprintf(answer, sizeof answer, HEAD);
        for (int i = 0; i < 32 + over; i++)
            n += snprintf(answer + n, sizeof answer - (size_t)n, "X-Much: %-2000d\r\n", i);
        snprintf(answer + n, sizeof answer - (size_t)n, "Content-Length: 43\r\n\r\n" BODY);
        begin();
        peer_set(PEER_ANSWERS, answer);
        assert_int_equal(ask(GATEWAY_CHARGE), over ? GATEWAY_UNKNOWN : GATEWAY_APPROVED);
        end();
    }
}

/* ---- connections that were kept ---- */

/* It hung up while nobody looked: that is seen before anything is sent. */
static void test_stale_connection(void **state)
{
    (void)state;
    begin();
    peer_set(PEER_ANSWERS_CLOSES, APPROVED);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask(GATEWAY_CHARGE), GATEWAY_APPROVED);
        while (peer.connections <= i)
            usleep(1000); /* its thread is noted a little after it began */
        pthread_join(peer.thread[i], NULL);
        peer.thread[i] = pthread_self();
    }
    assert_int_equal(peer.connections, 3);
    peer.connections = 0; /* joined */
    end();
}

/* A kept connection takes the request and hangs up: curl tries once more, elsewhere nobody is.
 * That the second attempt could not even connect says nothing about the first. */
static void test_reset_and_gone(void **state)
{
    (void)state;
    begin();
    peer_set(PEER_ANSWERS, APPROVED);
    assert_int_equal(ask(GATEWAY_CHARGE), GATEWAY_APPROVED);
    peer_set(PEER_LEAVES, "");
    assert_int_equal(ask(GATEWAY_CHARGE), GATEWAY_UNKNOWN);
    assert_int_equal(peer.requests, 2);
    assert_int_equal(ask(GATEWAY_CHARGE), GATEWAY_UNSENT); /* now it is certain */
    end();
}

/* ---- certainly not sent ---- */

static void test_nobody_there(void **state)
{
    (void)state;
    begin();
    peer_end();
    assert_int_equal(ask(GATEWAY_CHARGE), GATEWAY_UNSENT);
    end_client();
}

static void test_no_such_name(void **state)
{
    (void)state;
    begin_at("http://nowhere.test/pay");
    assert_int_equal(ask(GATEWAY_CHARGE), GATEWAY_UNSENT);
    end_client();
}

static int ticks;
static struct loop_timer ticker;

static void tick(struct loop_timer *timer)
{
    ticks++;
    assert_int_equal(loop_timer_start(loop, timer, 10), ERR_OK);
}

/* The loop goes on meanwhile, and afterwards nobody waits for the name. */
static void test_slow_name(void **state)
{
    uint64_t start_ms = now_ms();

    (void)state;
    hasty = true;
    begin_at("http://slow.test/pay");
    ticks = 0;
    ticker.run = tick;
    assert_int_equal(loop_timer_start(loop, &ticker, 10), ERR_OK);
    assert_int_equal(ask(GATEWAY_CHARGE), GATEWAY_UNSENT);
    assert_true(now_ms() - start_ms < SLOW_NAME_MS / 2);
    assert_true(ticks >= 5);
    loop_timer_stop(&ticker);
    end_client();
    assert_true(now_ms() - start_ms < SLOW_NAME_MS / 2);
    usleep(SLOW_NAME_MS * 1000); /* its thread ends before the program does */
}

/* TLS that does not come about: with a word in another language, or in none. */
static void test_no_tls(void **state)
{
    static const enum peer_manner manners[] = { PEER_BARKS, PEER_HANGS };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(manners); i++) {
        hasty = manners[i] == PEER_HANGS;
        begin_with("https");
        peer_set(manners[i], APPROVED);
        assert_int_equal(ask(GATEWAY_CHARGE), GATEWAY_UNSENT);
        assert_int_equal(peer.connections, 1);
        end();
    }
}

static void test_room(void **state)
{
    struct asked asked[3];

    (void)state;
    hasty = true;
    begin();
    CONTAINER_OF(gateway, struct http_gateway, base)->in_flight_max = 2;
    peer_set(PEER_HANGS, "");
    for (int i = 0; i < 3; i++)
        start(&asked[i], GATEWAY_CHARGE);
    assert_int_equal(gateway_stats(gateway).in_flight, 2);
    loop_run(loop);
    assert_int_equal(asked[0].call.outcome, GATEWAY_UNKNOWN);
    assert_int_equal(asked[1].call.outcome, GATEWAY_UNKNOWN);
    assert_int_equal(asked[2].call.outcome, GATEWAY_UNSENT);
    assert_int_equal(peer.requests, 2);
    end();
}

/* ---- the breaker ---- */

static enum breaker_state breaker_now(void)
{
    return gateway_stats(gateway).breaker.state;
}

static void test_breaker(void **state)
{
    (void)state;
    begin();
    peer_set(PEER_ANSWERS, FAILURE);
    for (int i = 0; i < 20; i++)
        assert_int_equal(ask(GATEWAY_CHARGE), GATEWAY_UNKNOWN);
    assert_int_equal(breaker_now(), BREAKER_OPEN);
    assert_int_equal(ask(GATEWAY_CHARGE), GATEWAY_UNSENT);
    assert_int_equal(gateway_stats(gateway).breaker.not_permitted, 1);
    assert_int_equal(peer.requests, 20);
    peer_set(PEER_ANSWERS, APPROVED);
    while (breaker_now() != BREAKER_HALF_OPEN)
        usleep(1000);
    for (int i = 0; i < 5; i++)
        assert_int_equal(ask(GATEWAY_CHARGE), GATEWAY_APPROVED);
    assert_int_equal(breaker_now(), BREAKER_CLOSED);
    end();
}

/* No is an answer: it says nothing against the gateway. */
static void test_refusals_do_not_open(void **state)
{
    (void)state;
    begin();
    peer_set(PEER_ANSWERS, "HTTP/1.1 402 No\r\nContent-Length: 0\r\n\r\n");
    for (int i = 0; i < 30; i++)
        assert_int_equal(ask(GATEWAY_CHARGE), GATEWAY_REFUSED);
    assert_int_equal(breaker_now(), BREAKER_CLOSED);
    end();
}

/* ---- many at once; no memory; bad URLs ---- */

static void test_many(void **state)
{
    static struct asked asked[200];

    (void)state;
    begin();
    peer_set(PEER_ANSWERS, APPROVED);
    for (size_t i = 0; i < ARRAY_COUNT(asked); i++)
        start(&asked[i], GATEWAY_CHARGE);
    loop_run(loop);
    for (size_t i = 0; i < ARRAY_COUNT(asked); i++) {
        assert_int_equal(asked[i].done, 1);
        assert_int_equal(asked[i].call.outcome, GATEWAY_APPROVED);
    }
    assert_int_equal(peer.requests, ARRAY_COUNT(asked));
    end();
}

/* With memory failing from the n-th allocation on, a call ends all the same, and in time. */
static void test_every_allocation(void **state)
{
    enum gateway_outcome outcome = GATEWAY_UNSENT;
    struct asked asked;
    int unsent = 0;

    (void)state;
    hasty = true;
    begin();
    peer_set(PEER_ANSWERS, APPROVED);
    for (int after = 0; outcome != GATEWAY_APPROVED; after++) {
        int before = peer.requests;
        breaker_set(&CONTAINER_OF(gateway, struct http_gateway, base)->breaker, BREAKER_CLOSED, 0);
        mem_fault_set(after);
        start(&asked, GATEWAY_CHARGE);
        loop_run(loop);
        mem_fault_set(-1);
        outcome = asked.call.outcome;
        assert_int_equal(asked.done, 1);
        unsent += outcome == GATEWAY_UNSENT;
        if (outcome == GATEWAY_UNSENT)
            assert_int_equal(peer.requests, before);
        assert_true(after < 100);
    }
    assert_true(unsent >= 3);
    end();
}

static void test_new(void **state)
{
    static const char *const bad[] = { "ftp://a/",    "http://",         "a", "http://a b",
                                       "http://a:x/", "http://a/\nx: y", "" };
    enum err e = ERR_NOMEM;

    (void)state;
    begin_at("https://user:password@gateway.example:8443/pay");
    end_client();
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        options.url = bad[i];
        if (gateway_http_new(&options, &gateway) != ERR_INVALID)
            fail_msg("%s", bad[i]);
    }
    options.url = "http://127.0.0.1/";
    for (int after = 0; e != ERR_OK; after++) {
        mem_fault_set(after);
        e = gateway_http_new(&options, &gateway);
        mem_fault_set(-1);
        assert_true(e == ERR_OK || e == ERR_NOMEM);
    }
    gateway_free(gateway);
    assert_int_equal(mem_live_count(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_answer_size),
        cmocka_unit_test(test_head_size),
        cmocka_unit_test(test_stale_connection),
        cmocka_unit_test(test_reset_and_gone),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_no_such_name),
        cmocka_unit_test(test_slow_name),
        cmocka_unit_test(test_no_tls),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_breaker),
        cmocka_unit_test(test_refusals_do_not_open),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_every_allocation),
        cmocka_unit_test(test_new),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
