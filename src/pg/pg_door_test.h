// SPDX-License-Identifier: Apache-2.0
/*
 * A door between the test and the server, on a thread: it can let people in late, be shut, or let
 * nothing through while everybody believes that it does (a silent peer: no FIN, no RST).
 */
#pragma once
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "pg/pg_fixture_test.h"

enum { DOOR_PAIRS_MAX = 128, DOOR_POLL_MS = 1 };

struct door_pair {
    int in, out; /* out: -1 until `late_ms` have passed */
    uint64_t opens_ms;
};

static struct {
    pthread_t thread;
    uint16_t port, server_port;
    char url[512];
    _Atomic bool stop, shut, silent;
    _Atomic unsigned late_ms, accepted;
    int listener; /* of the thread */
    struct door_pair pair[DOOR_PAIRS_MAX];
    size_t count;
} door;

static inline struct sockaddr_in door_addr(uint16_t port)
{
    return (struct sockaddr_in){ .sin_family = AF_INET,
                                 .sin_port = htons(port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static inline int door_listen(uint16_t port)
{
    struct sockaddr_in addr = door_addr(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&addr, sizeof addr) == 0 && listen(fd, 128) == 0)
        return fd;
    close(fd);
    return -1;
}

static inline void door_drop(size_t i)
{
    close(door.pair[i].in);
    if (door.pair[i].out >= 0)
        close(door.pair[i].out);
    door.pair[i] = door.pair[--door.count];
}

/* False: one side is gone. */
static inline bool door_copy(int from, int to)
{
    char bytes[16384];
    ssize_t n = recv(from, bytes, sizeof bytes, MSG_DONTWAIT);

    if (n > 0)
        return send(to, bytes, (size_t)n, MSG_NOSIGNAL) == n;
    return n < 0;
}

static inline void door_accept(void)
{
    int fd = accept4(door.listener, NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0)
        return;
    if (door.count == DOOR_PAIRS_MAX) {
        close(fd);
        return;
    }
    door.accepted++;
    door.pair[door.count++] = (struct door_pair){
        .in = fd, .out = -1, .opens_ms = clock_mono_ns() / 1000000 + door.late_ms
    };
}

static inline bool door_let_in(struct door_pair *pair)
{
    struct sockaddr_in addr = door_addr(door.server_port);
    int on = 1;

    if (clock_mono_ns() / 1000000 < pair->opens_ms)
        return true;
    pair->out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(pair->out, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(pair->in, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return connect(pair->out, (struct sockaddr *)&addr, sizeof addr) == 0;
}

static inline void door_shut_or_open(void)
{
    if (door.shut && door.listener >= 0) {
        close(door.listener);
        door.listener = -1;
        while (door.count > 0)
            door_drop(0);
    }
    if (!door.shut && door.listener < 0)
        door.listener = door_listen(door.port);
}

static inline void door_turn(void)
{
    struct pollfd fds[1 + 2 * DOOR_PAIRS_MAX];
    size_t n = door.count;

    fds[0] = (struct pollfd){ .fd = door.listener, .events = POLLIN };
    for (size_t i = 0; i < n; i++) {
        bool open = door.pair[i].out >= 0 && !door.silent;
        fds[1 + 2 * i] = (struct pollfd){ .fd = open ? door.pair[i].in : -1, .events = POLLIN };
        fds[2 + 2 * i] = (struct pollfd){ .fd = open ? door.pair[i].out : -1, .events = POLLIN };
    }
    poll(fds, 1 + 2 * n, DOOR_POLL_MS);
    for (size_t i = n; i-- > 0;) {
        struct door_pair *pair = &door.pair[i];
        bool good = true;
        if (pair->out < 0)
            good = door.silent || door_let_in(pair);
        if (fds[1 + 2 * i].revents)
            good = door_copy(pair->in, pair->out) && good;
        if (fds[2 + 2 * i].revents)
            good = door_copy(pair->out, pair->in) && good;
        if (!good)
            door_drop(i);
    }
    if (fds[0].revents)
        door_accept();
}

static inline void *door_run(void *unused)
{
    (void)unused;
    while (!door.stop) {
        door_shut_or_open();
        door_turn();
    }
    while (door.count > 0)
        door_drop(0);
    if (door.listener >= 0)
        close(door.listener);
    return NULL;
}

/* Before the test's URL; `door.url` leads through it. */
static inline void door_begin(void)
{
    const char *server = test_url(), *at = strrchr(server, '@'), *slash;

    assert_non_null(at);
    slash = strchr(at, '/');
    memset(&door, 0, sizeof door);
    door.server_port = port_of(at);
    door.port = dead_port();
    door.listener = door_listen(door.port);
    assert_true(door.listener >= 0);
    snprintf(door.url, sizeof door.url, "%.*s127.0.0.1:%u%s", (int)(at + 1 - server), server,
             door.port, slash);
    assert_int_equal(pthread_create(&door.thread, NULL, door_run, NULL), 0);
}

static inline void door_end(void)
{
    door.stop = true;
    pthread_join(door.thread, NULL);
}
