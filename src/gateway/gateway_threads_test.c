// SPDX-License-Identifier: Apache-2.0
/* Clients of several threads at one gateway: room, breaker and metrics are shared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "gateway/gateway_http.h"
#include "hook/hook_peer_test.h"

enum { THREADS = 4, AT_ONCE = 8, ROOM = 20, CALLS = 400 };

static const char good[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                           "Content-Length: 43\r\n\r\n"
                           "{\"status\":\"approved\",\"transactionId\":\"T-1\"}";
static const char bad[] = "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n";

static struct gateway *gateway;
static struct metrics *metrics;
static _Atomic int outcomes[4];
static _Atomic uint64_t most_in_flight;

struct errand {
    struct gateway_call call;
    struct worker *worker;
};

struct worker {
    pthread_t thread;
    struct loop *loop;
    struct gateway_client *client;
    struct errand errands[AT_ONCE];
    int started, ended, index;
};

static void run_errand(struct errand *errand);

static void on_done(struct gateway_call *call)
{
    struct errand *errand = CONTAINER_OF(call, struct errand, call);
    struct worker *worker = errand->worker;

    outcomes[call->outcome]++;
    if (++worker->ended == CALLS)
        loop_stop(worker->loop);
    else if (worker->started < CALLS)
        run_errand(errand);
}

static void run_errand(struct errand *errand)
{
    errand->worker->started++;
    errand->call = (struct gateway_call){
        .done = on_done, .op = GATEWAY_CHARGE, .key = "order-17-1", .user_id = 1, .amount = 1
    };
    gateway_start(errand->worker->client, &errand->call);
    uint64_t in_flight = gateway_stats(gateway).in_flight;
    if (in_flight > most_in_flight)
        most_in_flight = in_flight;
}

static void *work(void *arg)
{
    struct worker *worker = arg;

    for (int i = 0; i < AT_ONCE; i++) {
        worker->errands[i].worker = worker;
        run_errand(&worker->errands[i]);
    }
    loop_run(worker->loop);
    return NULL;
}

/* As the server does: made and freed on the main thread, while none runs. */
static void begin_worker(struct worker *worker, int index)
{
    *worker = (struct worker){ .index = index, .loop = loop_new() };
    assert_non_null(worker->loop);
    worker->client =
        gateway_client_new(gateway, worker->loop, metrics_slot(metrics, (size_t)index));
    assert_non_null(worker->client);
}

static void end_worker(struct worker *worker)
{
    gateway_client_free(worker->client);
    loop_free(worker->loop);
}

static void run(void)
{
    static struct worker workers[THREADS];
    char url[64];
    struct gateway_http_options options = { .url = url,
                                            .secret = STR("0123456789abcdef0123456789abcdef"),
                                            .connect_timeout_ms = 5000,
                                            .timeout_ms = 10000,
                                            .in_flight_max = ROOM,
                                            .breaker = breaker_options_default(2000, 1) };

    options.breaker.open_ms = options.breaker.open_ms_max = 60000; /* longer than any run */
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", (unsigned)peer.port);
    metrics = metrics_new(NULL, 0, THREADS, "", "");
    assert_non_null(metrics);
    assert_int_equal(gateway_http_new(&options, &gateway), ERR_OK);
    for (int i = 0; i < 4; i++)
        outcomes[i] = 0;
    most_in_flight = 0;
    for (int i = 0; i < THREADS; i++)
        begin_worker(&workers[i], i);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
    for (int i = 0; i < THREADS; i++)
        end_worker(&workers[i]);
    assert_int_equal(outcomes[0] + outcomes[1] + outcomes[2] + outcomes[3], THREADS * CALLS);
    assert_int_equal(gateway_stats(gateway).in_flight, 0);
    assert_in_range(most_in_flight, 1, ROOM + THREADS); /* counted, then found to be too many */
}

static void finish(void)
{
    gateway_free(gateway);
    metrics_free(metrics);
    peer_end();
}

static bool is_rendered(const char *line)
{
    struct buf text = { 0 };

    metrics_render(metrics, METRICS_PROMETHEUS, &text);
    buf_char(&text, '\0');
    bool found = strstr(text.ptr, line) != NULL;
    buf_fini(&text);
    return found;
}

static void test_room(void **state)
{
    char line[128];

    (void)state;
    peer_begin();
    peer_set(PEER_ANSWERS, good);
    run();
    assert_true(outcomes[GATEWAY_APPROVED] > 0);
    assert_int_equal(outcomes[GATEWAY_APPROVED], peer.requests);
    assert_int_equal(outcomes[GATEWAY_APPROVED] + outcomes[GATEWAY_UNSENT], THREADS * CALLS);
    assert_int_equal(gateway_stats(gateway).breaker.state, BREAKER_CLOSED);
    snprintf(line, sizeof line, "calls_seconds_count{name=\"gateway\",kind=\"successful\"} %d\n",
             outcomes[GATEWAY_APPROVED]);
    assert_true(is_rendered(line));
    finish();
}

/* The one breaker of all: once it is open, nobody asks any more. */
static void test_breaker(void **state)
{
    (void)state;
    peer_begin();
    peer_set(PEER_ANSWERS, bad);
    run();
    assert_in_range(outcomes[GATEWAY_UNKNOWN], 20, 20 + ROOM - 1);
    assert_int_equal(outcomes[GATEWAY_UNKNOWN], peer.requests);
    assert_true(is_rendered("{name=\"gateway\",kind=\"successful\"} 0\n"));
    assert_int_equal(gateway_stats(gateway).breaker.state, BREAKER_OPEN);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_breaker),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
