// SPDX-License-Identifier: Apache-2.0
/* Servers that answer what no real one can be made to answer at will. */
#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "redis/redis_fixture_test.h"

/* ---- a peer: a thread that answers commands ---- */

static struct {
    int listener;
    uint16_t port;
    pthread_t thread;
    /* What is answered to a call's command, `calls` counting from 1; NULL: it hangs up. Greetings
     * are answered as they should be, unless `greeting` says otherwise. */
    const char *(*answer)(const char *word, int calls);
    const char *greeting;
    _Atomic int calls, connections;
} peer;

static const char *answer_to(const redisReply *command)
{
    const char *word = command->element[0]->str;

    if (strcmp(word, "ROLE") == 0)
        return "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n";
    if (strcmp(word, "PING") == 0)
        return peer.greeting ? peer.greeting : "+PONG\r\n";
    if (strcmp(word, "CLIENT") == 0)
        return "+OK\r\n";
    return peer.answer(word, ++peer.calls);
}

/* False: it hangs up. */
static bool answer_all(redisReader *reader, int fd)
{
    void *command = NULL;

    while (redisReaderGetReply(reader, &command) == REDIS_OK && command) {
        const char *text = answer_to(command);
        freeReplyObject(command);
        if (!text)
            return false;
        if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
            return false;
    }
    return true;
}

static void serve(int fd)
{
    redisReader *reader = redisReaderCreate();
    char bytes[4096];
    ssize_t n;

    while ((n = recv(fd, bytes, sizeof bytes, 0)) > 0)
        if (redisReaderFeed(reader, bytes, (size_t)n) != REDIS_OK || !answer_all(reader, fd))
            break;
    redisReaderFree(reader);
    close(fd);
}

static void *run_peer(void *arg)
{
    int fd;

    while ((fd = accept(peer.listener, NULL, NULL)) >= 0) {
        peer.connections++;
        serve(fd);
    }
    return arg;
}

static void peer_begin(const char *(*answer)(const char *word, int calls))
{
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t bytes = sizeof addr;

    peer.answer = answer;
    peer.calls = peer.connections = 0;
    peer.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(peer.listener, (struct sockaddr *)&addr, bytes), 0);
    assert_int_equal(listen(peer.listener, 8), 0);
    assert_int_equal(getsockname(peer.listener, (struct sockaddr *)&addr, &bytes), 0);
    peer.port = ntohs(addr.sin_port);
    assert_int_equal(pthread_create(&peer.thread, NULL, run_peer, NULL), 0);
    LOG(LOG_ERROR, "a test begins"); /* its memory is there from here on */
    blocks = mem_live_count();
    target = (struct redis_target){ .topology = REDIS_SINGLE,
                                    .place = { { "127.0.0.1", peer.port } },
                                    .place_count = 1 };
    begin();
}

static void peer_end(void)
{
    end();
    shutdown(peer.listener, SHUT_RDWR);
    pthread_join(peer.thread, NULL);
    close(peer.listener);
    peer.greeting = NULL;
}

/* ---- not executed: tried again ---- */

static const char *busy_once(const char *word, int calls)
{
    (void)word;
    return calls == 1 ? "-BUSY Redis is busy running a script.\r\n" : ":7\r\n";
}

static const char *always_loading(const char *word, int calls)
{
    (void)word, (void)calls;
    return "-LOADING Redis is loading the dataset in memory\r\n";
}

static void test_later(void **state)
{
    (void)state;
    peer_begin(busy_once);
    struct asked asked = ask("INCR n");
    assert_int_equal(asked.call.err, ERR_OK);
    assert_int_equal(asked.integer, 7);
    assert_int_equal(peer.calls, 2);
    assert_int_equal(redis_stats(redis).retries, 1);
    peer_end();
}

/* At most twice, and within the deadline. */
static void test_later_for_ever(void **state)
{
    (void)state;
    peer_begin(always_loading);
    assert_int_equal(ask("INCR n").call.err, ERR_UNAVAILABLE);
    assert_int_equal(peer.calls, 1 + RETRY_TRIES_MAX);
    uint64_t before = loop_now_ms(loop);
    enum err err = ask_for("INCR n", 1).call.err;
    /* The millisecond may also be over before the refusal is here. */
    assert_true(err == ERR_UNAVAILABLE || err == ERR_UNCERTAIN);
    assert_true(loop_now_ms(loop) - before < 100);
    peer_end();
}

/* A tenth of the calls: what is failing does not get more to do because it fails. */
static void test_retries_are_few(void **state)
{
    (void)state;
    peer_begin(always_loading);
    for (int i = 0; i < 19; i++) /* one more, and the breaker would open */
        assert_int_equal(ask("INCR n").call.err, ERR_UNAVAILABLE);
    assert_true(peer.calls <= 19 + RETRY_FLOOR);
    peer_end();
}

static void test_loading_at_greeting(void **state)
{
    (void)state;
    peer.greeting = "-LOADING Redis is loading the dataset in memory\r\n";
    peer_begin(busy_once);
    assert_int_equal(ask("INCR n").call.err, ERR_UNAVAILABLE);
    assert_int_equal(peer.calls, 0);
    peer.greeting = NULL;
    settle(500);
    assert_int_equal(ask("INCR n").call.err, ERR_OK);
    peer_end();
}

/* ---- not known ---- */

static const char *hang_up(const char *word, int calls)
{
    (void)word, (void)calls;
    return NULL;
}

static const char *half(const char *word, int calls)
{
    (void)word;
    return calls == 1 ? "$100\r\nhalf of" : NULL;
}

static const char *nonsense(const char *word, int calls)
{
    (void)word, (void)calls;
    return "HTTP/1.1 400 Bad Request\r\n\r\n";
}

static const char *too_many(const char *word, int calls)
{
    (void)word, (void)calls;
    return "*2147483647\r\n";
}

static void test_unknown(void **state)
{
    static const char *(*const peers[])(const char *word, int calls) = { hang_up, nonsense,
                                                                         too_many };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(peers); i++) {
        peer_begin(peers[i]);
        assert_int_equal(ask("INCR n").call.err, ERR_UNCERTAIN);
        assert_int_equal(peer.calls, 1); /* never again by itself */
        peer_end();
    }
    peer_begin(half);
    assert_int_equal(ask_for("INCR n", 100).call.err, ERR_UNCERTAIN);
    assert_int_equal(peer.calls, 1);
    peer_end();
}

static const char *twice(const char *word, int calls)
{
    (void)word, (void)calls;
    return ":1\r\n:2\r\n";
}

/* Whose answers cannot be told apart any more is left. */
static void test_too_many_answers(void **state)
{
    (void)state;
    peer_begin(twice);
    assert_int_equal(ask("INCR n").integer, 1);
    settle(100);
    assert_int_equal(redis_stats(redis).reconnects, 1);
    peer_end();
}

/* ---- elsewhere ---- */

static const char *moved(const char *word, int calls)
{
    (void)word, (void)calls;
    return "-MOVED 1 127.0.0.1:1\r\n";
}

static const char *raised(const char *word, int calls)
{
    (void)word, (void)calls;
    return "-OOM command not allowed. script: f, on @user_function:3.\r\n";
}

static void test_not_ours(void **state)
{
    (void)state;
    peer_begin(moved);
    assert_int_equal(ask("INCR n").call.err, ERR_UNAVAILABLE);
    peer_end();
    peer_begin(raised); /* it may have written: the caller's to judge */
    struct asked asked = ask("FCALL f 0");
    assert_int_equal(asked.call.err, ERR_OK);
    assert_int_equal(asked.type, REDIS_REPLY_ERROR);
    peer_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_later),           cmocka_unit_test(test_later_for_ever),
        cmocka_unit_test(test_retries_are_few), cmocka_unit_test(test_loading_at_greeting),
        cmocka_unit_test(test_unknown),         cmocka_unit_test(test_too_many_answers),
        cmocka_unit_test(test_not_ours),
    };

    return cmocka_run_group_tests_name("redis/peer", tests, NULL, NULL);
}
