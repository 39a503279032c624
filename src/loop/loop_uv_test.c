// SPDX-License-Identifier: Apache-2.0
/* What only real threads and descriptors show. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "loop/loop.h"

static struct loop *loop;

/* ---- mailbox ---- */

enum { SENDERS = 4, MAILS = 20000 };

struct mail {
    struct loop_task task;
    int sender, number;
};

static struct mail *mails[SENDERS];
static int next_number[SENDERS], received;

static void take_mail(struct loop_task *task)
{
    const struct mail *mail = CONTAINER_OF(task, struct mail, task);

    assert_int_equal(mail->number, next_number[mail->sender]++);
    if (++received == SENDERS * MAILS)
        loop_stop(loop);
}

static void *send_mails(void *arg)
{
    struct mail *mine = arg;

    for (int i = 0; i < MAILS; i++)
        loop_send(loop, &mine[i].task);
    return NULL;
}

static void test_mailbox(void **state)
{
    pthread_t threads[SENDERS];

    (void)state;
    loop = loop_new();
    assert_non_null(loop);
    for (int s = 0; s < SENDERS; s++) {
        mails[s] = mem_alloc(MAILS * sizeof *mails[s]);
        assert_non_null(mails[s]);
        for (int i = 0; i < MAILS; i++)
            mails[s][i] = (struct mail){ .task.run = take_mail, .sender = s, .number = i };
        assert_int_equal(pthread_create(&threads[s], NULL, send_mails, mails[s]), 0);
    }
    loop_run(loop);
    assert_int_equal(received, SENDERS * MAILS);
    for (int s = 0; s < SENDERS; s++) {
        pthread_join(threads[s], NULL);
        mem_free(mails[s]);
    }
    loop_free(loop);
}

/* ---- out of descriptors ---- */

enum { CLIENTS = 40, SPARE = 10 };

struct server_end {
    struct loop_stream stream;
    struct list node;
};

static struct server_end ends[CLIENTS];
static struct loop_stream clients[CLIENTS];
static int accepted, clients_closed, ends_closed;
static struct loop_listener listener;
static struct loop_timer later, late;

static void server_end_readable(struct loop_stream *stream)
{
    char byte;
    size_t n;

    if (loop_stream_read(stream, &byte, 1, &n) != LOOP_IO_OK)
        loop_stream_close(stream);
}

static void maybe_stop(void)
{
    if (ends_closed == CLIENTS && clients_closed == CLIENTS)
        loop_listener_close(&listener);
}

static void server_end_closed(struct loop_stream *stream)
{
    (void)stream;
    ends_closed++;
    maybe_stop();
}

static void client_closed(struct loop_stream *stream)
{
    (void)stream;
    clients_closed++;
    maybe_stop();
}

static struct loop_stream *on_connection(struct loop_listener *li, const struct loop_addr *peer)
{
    (void)li, (void)peer;
    assert_true(accepted < CLIENTS);
    struct loop_stream *stream = &ends[accepted++].stream;
    *stream =
        (struct loop_stream){ .on_readable = server_end_readable, .on_closed = server_end_closed };
    return stream;
}

static void client_readable(struct loop_stream *stream)
{
    (void)stream;
}

static void client_connected(struct loop_stream *stream, enum err e)
{
    (void)stream;
    assert_int_equal(e, ERR_OK);
}

static void listener_closed(struct loop_listener *li)
{
    (void)li;
    loop_stop(loop);
}

static double cpu_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_before;

/* All connected, descriptors short for a while: some are accepted, and the loop does not spin. */
static void look_later(struct loop_timer *timer)
{
    (void)timer;
    assert_in_range(accepted, 1, CLIENTS - 1);
    assert_true(cpu_s() - cpu_before < 0.15);
    for (int i = 0; i < CLIENTS; i++)
        loop_stream_close(&clients[i]); /* room for the rest, who see the end at once */
}

static void too_late(struct loop_timer *timer)
{
    (void)timer;
    fail_msg("%d accepted, %d and %d closed", accepted, ends_closed, clients_closed);
}

static void test_out_of_descriptors(void **state)
{
    struct rlimit before, tight;
    struct loop_addr addr;

    (void)state;
    loop = loop_new();
    listener =
        (struct loop_listener){ .on_connection = on_connection, .on_closed = listener_closed };
    assert_int_equal(loop_addr_parse(STR("127.0.0.1"), 0, &addr), ERR_OK);
    assert_int_equal(loop_listen(loop, &listener, &addr, &addr), ERR_OK);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (struct loop_stream){ .on_readable = client_readable,
                                           .on_connected = client_connected,
                                           .on_closed = client_closed };
        assert_int_equal(loop_connect(loop, &clients[i], &addr), ERR_OK);
    }
    int next_fd = dup(0);
    close(next_fd);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = before;
    tight.rlim_cur = (rlim_t)next_fd + SPARE;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    cpu_before = cpu_s();
    later.run = look_later;
    late.run = too_late;
    assert_int_equal(loop_timer_start(loop, &later, 400), ERR_OK);
    assert_int_equal(loop_timer_start(loop, &late, 20000), ERR_OK);
    loop_run(loop);
    loop_timer_stop(&late);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(accepted, CLIENTS);
    loop_free(loop);
    assert_int_equal(mem_live_count(), 0);
}

static void test_two_listeners_share_a_port(void **state)
{
    struct loop_listener two[2] = { { .on_closed = listener_closed },
                                    { .on_closed = listener_closed } };
    struct loop_addr addr, again;

    (void)state;
    loop = loop_new();
    assert_int_equal(loop_addr_parse(STR("127.0.0.1"), 0, &addr), ERR_OK);
    assert_int_equal(loop_listen(loop, &two[0], &addr, &addr), ERR_OK);
    assert_int_equal(loop_listen_probe(&addr), ERR_CONFLICT);
    assert_int_equal(loop_listen(loop, &two[1], &addr, &again), ERR_OK);
    assert_int_equal(loop_addr_port(&addr), loop_addr_port(&again));
    for (int i = 0; i < 2; i++) {
        loop_listener_close(&two[i]);
        loop_run(loop);
    }
    assert_int_equal(loop_listen_probe(&addr), ERR_OK);
    assert_int_equal(loop_addr_parse(STR("192.0.2.1"), 0, &addr), ERR_OK);
    assert_int_equal(loop_listen(loop, &two[0], &addr, &addr), ERR_INVALID);
    loop_free(loop);
}

/* ---- descriptors of a library ---- */

static struct loop_poll watched;
static struct loop_timer patience;
static int pair[2], seen_events[8], seen_count;

static void hear(struct loop_poll *poll, int events)
{
    char byte;

    assert_ptr_equal(poll, &watched);
    assert_true(seen_count < (int)ARRAY_COUNT(seen_events));
    seen_events[seen_count++] = events;
    switch (seen_count) {
    case 1: /* writable: asks for the other */
        assert_int_equal(loop_poll_start(loop, poll, LOOP_POLL_READ), ERR_OK);
        assert_int_equal(write(pair[1], "x", 1), 1);
        break;
    case 2: /* readable, and left so: told again */
        break;
    case 3:
        assert_int_equal(read(poll->fd, &byte, 1), 1);
        close(pair[1]);
        break;
    case 4: /* the peer hung up, and still has when nobody cares */
        break;
    default:
        loop_poll_stop(poll);
        loop_poll_stop(poll);
        loop_stop(loop);
    }
}

static void be_patient(struct loop_timer *timer)
{
    (void)timer;
    loop_stop(loop);
}

static void test_watched_descriptor(void **state)
{
    static const int wanted[] = { LOOP_POLL_WRITE, LOOP_POLL_READ, LOOP_POLL_READ, LOOP_POLL_READ,
                                  LOOP_POLL_READ };

    (void)state;
    loop = loop_new();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    watched = (struct loop_poll){ .fd = pair[0], .run = hear };
    seen_count = 0;
    assert_int_equal(loop_poll_start(loop, &watched, LOOP_POLL_WRITE), ERR_OK);
    loop_run(loop);
    assert_int_equal(seen_count, ARRAY_COUNT(wanted));
    assert_memory_equal(seen_events, wanted, sizeof wanted);
    /* stopped is stopped, and the number may be watched again at once */
    assert_int_equal(loop_poll_start(loop, &watched, LOOP_POLL_READ), ERR_OK);
    loop_poll_stop(&watched);
    assert_int_equal(loop_poll_start(loop, &watched, LOOP_POLL_READ), ERR_OK);
    loop_poll_stop(&watched);
    patience.run = be_patient;
    assert_int_equal(loop_timer_start(loop, &patience, 20), ERR_OK);
    loop_run(loop);
    assert_int_equal(seen_count, ARRAY_COUNT(wanted));
    close(pair[0]);
    loop_free(loop);
    assert_int_equal(mem_live_count(), 0);
}

/* A connection that is refused is an error and a hang-up at once: reading tells, again and again.
 */
static void test_watched_error(void **state)
{
    struct loop_addr nobody;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int probe = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t n = sizeof nobody;

    (void)state;
    loop = loop_new();
    assert_int_equal(loop_addr_parse(STR("127.0.0.1"), 0, &nobody), ERR_OK);
    assert_int_equal(bind(probe, &nobody.any, loop_addr_bytes(&nobody)), 0);
    assert_int_equal(getsockname(probe, &nobody.any, &n), 0);
    close(probe);
    assert_int_equal(connect(fd, &nobody.any, loop_addr_bytes(&nobody)), -1);
    watched = (struct loop_poll){ .fd = fd, .run = hear };
    seen_count = 3; /* as hear() does after a hang-up */
    assert_int_equal(loop_poll_start(loop, &watched, LOOP_POLL_READ | LOOP_POLL_WRITE), ERR_OK);
    loop_run(loop);
    assert_int_equal(seen_events[3], LOOP_POLL_READ | LOOP_POLL_WRITE);
    assert_int_equal(seen_events[4], LOOP_POLL_READ | LOOP_POLL_WRITE);
    close(fd);
    loop_free(loop);
    assert_int_equal(mem_live_count(), 0);
}

static void test_not_watchable(void **state)
{
    FILE *file = tmpfile();

    (void)state;
    loop = loop_new();
    watched = (struct loop_poll){ .fd = fileno(file), .run = hear };
    assert_int_equal(loop_poll_start(loop, &watched, LOOP_POLL_READ), ERR_UNAVAILABLE);
    assert_null(watched.impl);
    mem_fault_set(0);
    assert_int_equal(loop_poll_start(loop, &watched, LOOP_POLL_READ), ERR_NOMEM);
    mem_fault_set(-1);
    assert_null(watched.impl);
    fclose(file);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mailbox),
        cmocka_unit_test(test_out_of_descriptors),
        cmocka_unit_test(test_two_listeners_share_a_port),
        cmocka_unit_test(test_watched_descriptor),
        cmocka_unit_test(test_watched_error),
        cmocka_unit_test(test_not_watchable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
