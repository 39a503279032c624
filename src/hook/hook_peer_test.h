// SPDX-License-Identifier: Apache-2.0
/*
 * A peer of the worst kind, on threads of its own: it reads requests, remembers them, and then
 * does what it was told. For tests of what calls over HTTP.
 */
#pragma once
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/str.h"

enum peer_manner {
    PEER_ANSWERS, /* `answer`, and goes on */
    PEER_ANSWERS_CLOSES /* `answer`, which may be "", and hangs up */,
    PEER_HANGS,    /* says nothing */
    PEER_TRICKLES, /* `answer`, a byte every 20 ms */
    PEER_FLOODS,   /* `answer` again and again */
    PEER_BARKS,    /* `answer`, before it has read anything, and hangs up */
    PEER_LEAVES,   /* closes the connection and the port without a word */
};

enum { PEER_CONNECTIONS_MAX = 512, PEER_REQUEST_BYTES = 4096 };

struct peer {
    int listener;
    uint16_t port;
    pthread_t accepter, thread[PEER_CONNECTIONS_MAX];
    int fd[PEER_CONNECTIONS_MAX];
    _Atomic int connections;
    _Atomic bool ends;
    _Atomic int requests;
    pthread_mutex_t lock;
    enum peer_manner manner;          /* of the requests to come */
    const char *answer;               /* the same */
    char request[PEER_REQUEST_BYTES]; /* the last one */
};

static struct peer peer;

static void peer_set(enum peer_manner manner, const char *answer)
{
    pthread_mutex_lock(&peer.lock);
    peer.manner = manner;
    peer.answer = answer;
    pthread_mutex_unlock(&peer.lock);
}

static bool peer_send(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        bytes += sent;
        n -= (size_t)sent;
    }
    return true;
}

/* Head and body; what is no HTTP at all ends with the connection. */
static bool peer_read(int fd, char request[PEER_REQUEST_BYTES])
{
    size_t n = 0;

    for (;;) {
        ssize_t got = recv(fd, request + n, PEER_REQUEST_BYTES - 1 - n, 0);
        if (got <= 0)
            return false;
        n += (size_t)got;
        request[n] = '\0';
        const char *head_end = strstr(request, "\r\n\r\n");
        const char *length = strstr(request, "Content-Length: ");
        if (head_end && length &&
            strlen(head_end + 4) == strtoul(length + strlen("Content-Length: "), NULL, 10))
            return true;
    }
}

static void peer_nap(void)
{
    usleep(20000);
}

/* False: that was all on this connection. */
static bool peer_act(int fd, enum peer_manner manner, const char *answer)
{
    size_t n = strlen(answer);

    switch (manner) {
    case PEER_ANSWERS:
        return peer_send(fd, answer, n);
    case PEER_ANSWERS_CLOSES:
        peer_send(fd, answer, n);
        return false;
    case PEER_HANGS:
        while (!peer.ends)
            peer_nap();
        return false;
    case PEER_TRICKLES:
        for (size_t i = 0; i < n && !peer.ends && peer_send(fd, answer + i, 1); i++)
            peer_nap();
        return false;
    case PEER_FLOODS:
        while (!peer.ends && peer_send(fd, answer, n))
            ;
        return false;
    case PEER_BARKS:
        return false;
    case PEER_LEAVES:
        shutdown(peer.listener, SHUT_RDWR);
        close(peer.listener);
        return false;
    }
    return false;
}

static void *peer_serve(void *context)
{
    int fd = *(int *)context;
    char request[PEER_REQUEST_BYTES];
    bool more = peer.manner != PEER_BARKS || !peer_send(fd, peer.answer, strlen(peer.answer));

    while (more && peer_read(fd, request)) {
        pthread_mutex_lock(&peer.lock);
        memcpy(peer.request, request, sizeof request);
        enum peer_manner manner = peer.manner;
        const char *answer = peer.answer;
        pthread_mutex_unlock(&peer.lock);
        peer.requests++;
        more = peer_act(fd, manner, answer);
    }
    close(fd);
    return NULL;
}

static void *peer_accept(void *context)
{
    (void)context;
    for (;;) {
        int fd = accept(peer.listener, NULL, NULL);
        if (fd < 0)
            return NULL;
        ASSERT(peer.connections < PEER_CONNECTIONS_MAX);
        peer.fd[peer.connections] = fd;
        ASSERT(pthread_create(&peer.thread[peer.connections], NULL, peer_serve,
                              &peer.fd[peer.connections]) == 0);
        peer.connections++;
    }
}

static void peer_begin(void)
{
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof addr;

    peer = (struct peer){ .answer = "" };
    pthread_mutex_init(&peer.lock, NULL);
    peer.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT(bind(peer.listener, (struct sockaddr *)&addr, n) == 0);
    ASSERT(listen(peer.listener, 1024) == 0);
    ASSERT(getsockname(peer.listener, (struct sockaddr *)&addr, &n) == 0);
    peer.port = ntohs(addr.sin_port);
    ASSERT(pthread_create(&peer.accepter, NULL, peer_accept, NULL) == 0);
}

/* After the clients have closed their connections. */
static void peer_end(void)
{
    peer.ends = true;
    if (peer.manner != PEER_LEAVES)
        shutdown(peer.listener, SHUT_RDWR);
    pthread_join(peer.accepter, NULL);
    if (peer.manner != PEER_LEAVES)
        close(peer.listener);
    for (int i = 0; i < peer.connections; i++)
        pthread_join(peer.thread[i], NULL);
    pthread_mutex_destroy(&peer.lock);
}
