// SPDX-License-Identifier: Apache-2.0
/*
 * Sockets of our own, libuv only says when they are ready: its own streams would queue what does
 * not fit the socket, and allocate to do so.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "loop/loop_uv_internal.h"

enum {
    BACKLOG = 4096,            /* the kernel cuts it to net.core.somaxconn */
    ACCEPTS_PER_TURN_MAX = 64, /* so that a storm of connections does not starve those inside */
    ACCEPTS_AT_CLOSE_MAX = 2 * BACKLOG,
    PAUSE_MS = 50,
};

struct stream_impl {
    uv_poll_t poll;
    struct loop_stream *owner;
    int fd;
    int events; /* UV_READABLE | UV_WRITABLE wanted */
    bool connecting, closing;
};

struct listener_impl {
    uv_poll_t poll;
    uv_timer_t pause;
    struct loop_listener *owner;
    struct loop_task close_later;
    int fd;
    int handles_open;
};

static void on_event(uv_poll_t *poll, int status, int events);

static void set_events(struct stream_impl *st, int events)
{
    if (events == st->events || st->closing)
        return;
    st->events = events;
    if (events)
        uv_poll_start(&st->poll, events, on_event);
    else
        uv_poll_stop(&st->poll);
}

static void finish_connect(struct stream_impl *st)
{
    int error = 0;
    socklen_t bytes = sizeof error;

    st->connecting = false;
    if (getsockopt(st->fd, SOL_SOCKET, SO_ERROR, &error, &bytes) != 0)
        error = errno;
    if (error == 0)
        set_events(st, UV_READABLE);
    else
        set_events(st, 0);
    st->owner->on_connected(st->owner, error == 0 ? ERR_OK : ERR_UNAVAILABLE);
}

static void on_event(uv_poll_t *poll, int status, int events)
{
    struct stream_impl *st = poll->data;

    if (status < 0) { /* libuv has stopped polling: reading or writing will tell the owner why */
        events = st->events;
        st->events = 0;
    }
    if (st->connecting) {
        finish_connect(st);
        return;
    }
    if ((events & UV_WRITABLE) && (status < 0 || (st->events & UV_WRITABLE))) {
        set_events(st, st->events & ~UV_WRITABLE);
        st->owner->on_writable(st->owner);
    }
    if ((events & UV_READABLE) && !st->closing && (status < 0 || (st->events & UV_READABLE)))
        st->owner->on_readable(st->owner);
}

/* Takes over `fd`, also when it fails. */
static enum err open_stream(struct loop *loop, struct loop_stream *stream, int fd, int events)
{
    struct stream_impl *st = mem_alloc(sizeof *st);

    if (!st || uv_poll_init(&loop->uv, &st->poll, fd) != 0) {
        mem_free(st);
        close(fd);
        return ERR_NOMEM;
    }
    st->poll.data = st;
    st->owner = stream;
    st->fd = fd;
    stream->impl = st;
    stream->loop = loop;
    set_events(st, events);
    return ERR_OK;
}

static void stream_closed(uv_handle_t *handle)
{
    struct stream_impl *st = handle->data;
    struct loop_stream *stream = st->owner;

    mem_free(st);
    stream->impl = NULL;
    stream->on_closed(stream);
}

void loop_stream_close(struct loop_stream *stream)
{
    struct stream_impl *st = stream->impl;

    ASSERT(!st->closing);
    st->closing = true;
    uv_close((uv_handle_t *)&st->poll, stream_closed);
    close(st->fd);
}

enum loop_io loop_stream_read(struct loop_stream *stream, char *to, size_t room, size_t *ret_n)
{
    const struct stream_impl *st = stream->impl;
    ssize_t n;

    do
        n = recv(st->fd, to, room, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? LOOP_IO_AGAIN : LOOP_IO_GONE;
    if (n == 0)
        return LOOP_IO_EOF;
    *ret_n = (size_t)n;
    return LOOP_IO_OK;
}

enum loop_io loop_stream_write(struct loop_stream *stream, const char *from, size_t n,
                               size_t *ret_n)
{
    const struct stream_impl *st = stream->impl;
    ssize_t sent;

    do
        sent = send(st->fd, from, n, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? LOOP_IO_AGAIN : LOOP_IO_GONE;
    *ret_n = (size_t)sent;
    return LOOP_IO_OK;
}

void loop_stream_wait_writable(struct loop_stream *stream)
{
    struct stream_impl *st = stream->impl;

    set_events(st, st->events | UV_WRITABLE);
}

void loop_stream_read_stop(struct loop_stream *stream)
{
    struct stream_impl *st = stream->impl;

    set_events(st, st->events & ~UV_READABLE);
}

void loop_stream_read_start(struct loop_stream *stream)
{
    struct stream_impl *st = stream->impl;

    set_events(st, st->events | UV_READABLE);
}

void loop_stream_shutdown(struct loop_stream *stream)
{
    const struct stream_impl *st = stream->impl;

    shutdown(st->fd, SHUT_WR);
}

static int open_socket(const struct loop_addr *addr)
{
    static const int on = 1;
    int fd = socket(addr->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    /* Accepted sockets inherit it. */
    if (fd >= 0)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

enum err loop_connect(struct loop *loop, struct loop_stream *stream, const struct loop_addr *addr)
{
    int fd = open_socket(addr);

    if (fd < 0)
        return ERR_UNAVAILABLE;
    if (connect(fd, &addr->any, loop_addr_bytes(addr)) != 0 && errno != EINPROGRESS) {
        close(fd);
        return ERR_UNAVAILABLE;
    }
    TRY(open_stream(loop, stream, fd, UV_WRITABLE));
    ((struct stream_impl *)stream->impl)->connecting = true;
    return ERR_OK;
}

static void on_acceptable(uv_poll_t *poll, int status, int events);

static void pause_over(uv_timer_t *timer)
{
    struct listener_impl *li = timer->data;

    uv_poll_start(&li->poll, UV_READABLE, on_acceptable);
}

static void hand_over(struct listener_impl *li, int fd, const struct loop_addr *peer)
{
    struct loop_stream *stream = li->owner->on_connection(li->owner, peer);

    if (!stream)
        close(fd);
    else if (open_stream(li->owner->loop, stream, fd, UV_READABLE) != ERR_OK)
        stream->on_closed(stream);
}

/* Out of descriptors or memory, the backlog keeps them: poll again in a moment, not at once. */
static void accept_some(struct listener_impl *li, unsigned at_most)
{
    for (unsigned i = 0; i < at_most; i++) {
        struct loop_addr peer = { 0 };
        socklen_t bytes = sizeof peer;
        int fd = accept4(li->fd, &peer.any, &bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            hand_over(li, fd, &peer);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            uv_poll_stop(&li->poll);
            uv_timer_start(&li->pause, pause_over, PAUSE_MS, 0);
            return;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return;
        /* ECONNABORTED and network errors belong to that one connection (accept(2)). */
    }
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    accept_some(poll->data, ACCEPTS_PER_TURN_MAX);
}

static enum err listen_error(void)
{
    switch (errno) {
    case EADDRINUSE:
        return ERR_CONFLICT;
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
        return ERR_INVALID;
    default:
        return ERR_IO;
    }
}

static enum err open_listener(const struct loop_addr *addr, bool shared, int *ret_fd)
{
    static const int on = 1;
    int fd = open_socket(addr);

    if (fd < 0)
        return listen_error();
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (shared)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (bind(fd, &addr->any, loop_addr_bytes(addr)) != 0 || listen(fd, BACKLOG) != 0) {
        enum err e = listen_error();
        close(fd);
        return e;
    }
    *ret_fd = fd;
    return ERR_OK;
}

enum err loop_listen_probe(const struct loop_addr *addr)
{
    int fd;

    TRY(open_listener(addr, false, &fd));
    close(fd);
    return ERR_OK;
}

static void listener_handle_closed(uv_handle_t *handle)
{
    struct listener_impl *li = handle->data;
    struct loop_listener *owner = li->owner;

    if (--li->handles_open > 0)
        return;
    mem_free(li);
    owner->impl = NULL;
    owner->on_closed(owner);
}

static void close_listener(struct loop_task *task)
{
    struct listener_impl *li = CONTAINER_OF(task, struct listener_impl, close_later);

    accept_some(li, ACCEPTS_AT_CLOSE_MAX);
    uv_close((uv_handle_t *)&li->poll, listener_handle_closed);
    uv_close((uv_handle_t *)&li->pause, listener_handle_closed);
    close(li->fd);
}

enum err loop_listen(struct loop *loop, struct loop_listener *listener,
                     const struct loop_addr *addr, struct loop_addr *ret_bound)
{
    CLEANUP(mem_freep) struct listener_impl *li = mem_alloc(sizeof *li);
    struct loop_addr bound = *addr;
    socklen_t bytes = sizeof bound;

    if (!li)
        return ERR_NOMEM;
    TRY(open_listener(addr, true, &li->fd));
    if (getsockname(li->fd, &bound.any, &bytes) != 0 ||
        uv_poll_init(&loop->uv, &li->poll, li->fd) != 0) {
        close(li->fd);
        return ERR_IO;
    }
    uv_timer_init(&loop->uv, &li->pause);
    li->poll.data = li->pause.data = li;
    li->handles_open = 2;
    li->owner = listener;
    li->close_later.run = close_listener;
    uv_poll_start(&li->poll, UV_READABLE, on_acceptable);
    listener->loop = loop;
    listener->impl = TAKE(li);
    *ret_bound = bound;
    return ERR_OK;
}

void loop_listener_close(struct loop_listener *listener)
{
    struct listener_impl *li = listener->impl;

    loop_post(listener->loop, &li->close_later);
}
