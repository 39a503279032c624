// SPDX-License-Identifier: Apache-2.0
#include "base/assert.h"
#include "base/mem.h"
#include "loop/loop_sim_internal.h"

enum { END_BYTES = 4096 };

struct sim_listener {
    struct list node; /* in loop->listeners */
    struct loop_listener *owner;
    uint16_t port;
    bool closing;
    struct list backlog; /* struct waiting */
};

struct waiting {
    struct list node;
    struct loop_sim_peer *end; /* the server's end, not owned by a stream yet */
    struct loop_addr from;
};

static struct loop_sim_peer *new_end(struct loop *loop)
{
    struct loop_sim_peer *end = mem_alloc(sizeof *end);

    /* The simulator itself is not under test: it takes its memory before a test lets it fail. */
    ASSERT(end && buf_reserve(&end->in, END_BYTES));
    end->loop = loop;
    end->window = SIZE_MAX;
    list_init(&end->node);
    return end;
}

static void free_end(struct loop_sim_peer *end)
{
    if (end->other) {
        end->other->other = NULL;
        end->other->in_ended = true;
    }
    list_remove(&end->node);
    buf_fini(&end->in);
    mem_free(end);
}

static enum loop_io write_end(struct loop_sim_peer *end, const char *from, size_t n, size_t *ret_n)
{
    struct loop_sim_peer *other = end->other;

    if (end->broken || end->out_ended || !other)
        return LOOP_IO_GONE;
    if (other->in.len >= other->window)
        return LOOP_IO_AGAIN;
    n = MIN(n, other->window - other->in.len);
    buf_bytes(&other->in, from, n);
    ASSERT(buf_ok(&other->in));
    *ret_n = n;
    return LOOP_IO_OK;
}

static bool writable(const struct loop_sim_peer *end)
{
    return end->broken || !end->other || end->other->in.len < end->other->window;
}

static bool readable(const struct loop_sim_peer *end)
{
    return end->broken || end->in_ended || end->in.len > 0;
}

static void drop_in(struct loop_sim_peer *end, size_t n)
{
    memmove(end->in.ptr, end->in.ptr + n, end->in.len - n);
    end->in.len -= n;
}

/* ---- what product code sees ---- */

enum loop_io loop_stream_read(struct loop_stream *stream, char *to, size_t room, size_t *ret_n)
{
    struct loop_sim_peer *end = stream->impl;
    size_t n = MIN(room, end->in.len);

    if (end->broken)
        return LOOP_IO_GONE;
    if (end->in.len == 0)
        return end->in_ended ? LOOP_IO_EOF : LOOP_IO_AGAIN;
    memcpy(to, end->in.ptr, n);
    drop_in(end, n);
    *ret_n = n;
    return LOOP_IO_OK;
}

enum loop_io loop_stream_write(struct loop_stream *stream, const char *from, size_t n,
                               size_t *ret_n)
{
    return write_end(stream->impl, from, n, ret_n);
}

void loop_stream_wait_writable(struct loop_stream *stream)
{
    ((struct loop_sim_peer *)stream->impl)->wants_writable = true;
}

void loop_stream_read_stop(struct loop_stream *stream)
{
    ((struct loop_sim_peer *)stream->impl)->reading = false;
}

void loop_stream_read_start(struct loop_stream *stream)
{
    ((struct loop_sim_peer *)stream->impl)->reading = true;
}

void loop_stream_shutdown(struct loop_stream *stream)
{
    struct loop_sim_peer *end = stream->impl;

    end->out_ended = true;
    if (end->other)
        end->other->in_ended = true;
}

void loop_stream_close(struct loop_stream *stream)
{
    struct loop_sim_peer *end = stream->impl;

    ASSERT(!end->closing);
    end->closing = true;
}

static bool fault_now(struct loop *loop)
{
    return loop->opens_until_fault > 0 && --loop->opens_until_fault == 0;
}

static void attach(struct loop_sim_peer *end, struct loop_stream *stream)
{
    end->owner = stream;
    stream->impl = end;
    stream->loop = end->loop;
    list_append(&end->loop->ends, &end->node);
}

static struct sim_listener *find_listener(struct loop *loop, uint16_t port)
{
    struct sim_listener *li;

    LIST_FOREACH (li, &loop->listeners, struct sim_listener, node)
        if (li->port == port && !li->closing)
            return li;
    return NULL;
}

/* Answers the dialling end; the other one waits in the listener's backlog. */
static struct loop_sim_peer *dial(struct sim_listener *li, struct loop_addr from)
{
    struct loop *loop = li->owner->loop;
    struct loop_sim_peer *near = new_end(loop), *far = new_end(loop);
    struct waiting *waiting = mem_alloc(sizeof *waiting);

    ASSERT(waiting);
    near->other = far;
    far->other = near;
    waiting->end = far;
    waiting->from = from;
    list_append(&li->backlog, &waiting->node);
    return near;
}

enum err loop_connect(struct loop *loop, struct loop_stream *stream, const struct loop_addr *addr)
{
    struct sim_listener *li = find_listener(loop, loop_addr_port(addr));
    struct loop_sim_peer *end;

    if (fault_now(loop))
        return ERR_NOMEM;
    end = li ? dial(li, *addr) : new_end(loop);
    end->broken = !li;
    end->connecting = true;
    attach(end, stream);
    return ERR_OK;
}

enum err loop_listen(struct loop *loop, struct loop_listener *listener,
                     const struct loop_addr *addr, struct loop_addr *ret_bound)
{
    uint16_t port = loop_addr_port(addr) ? loop_addr_port(addr) : loop->next_port++;
    struct sim_listener *li = mem_alloc(sizeof *li);

    if (!li)
        return ERR_NOMEM;
    li->owner = listener;
    li->port = port;
    list_init(&li->backlog);
    list_append(&loop->listeners, &li->node);
    listener->impl = li;
    listener->loop = loop;
    return loop_addr_parse(STR("127.0.0.1"), port, ret_bound);
}

enum err loop_listen_probe(const struct loop_addr *addr)
{
    (void)addr;
    return ERR_OK;
}

void loop_listener_close(struct loop_listener *listener)
{
    ((struct sim_listener *)listener->impl)->closing = true;
}

/* ---- delivery ---- */

static bool accept_waiting(struct sim_listener *li)
{
    bool any = false;

    while (!list_empty(&li->backlog)) {
        struct waiting *waiting = CONTAINER_OF(li->backlog.next, struct waiting, node);
        struct loop_sim_peer *end = waiting->end;
        list_remove(&waiting->node);
        struct loop_stream *stream = li->owner->on_connection(li->owner, &waiting->from);
        mem_free(waiting);
        any = true;
        if (stream && !fault_now(end->loop)) {
            end->reading = true;
            attach(end, stream);
            continue;
        }
        free_end(end);
        if (stream)
            stream->on_closed(stream);
    }
    return any;
}

static bool deliver_close(struct loop_sim_peer *end)
{
    struct loop_stream *owner = end->owner;

    free_end(end);
    owner->impl = NULL;
    owner->on_closed(owner);
    return true;
}

static bool deliver_end(struct loop_sim_peer *end)
{
    bool any = false;

    if (end->closing)
        return deliver_close(end);
    if (end->connecting) {
        end->connecting = false;
        end->reading = !end->broken;
        end->owner->on_connected(end->owner, end->broken ? ERR_UNAVAILABLE : ERR_OK);
        return true;
    }
    if (end->wants_writable && writable(end)) {
        end->wants_writable = false;
        end->owner->on_writable(end->owner);
        any = true;
    }
    if (!end->closing && end->reading && readable(end)) {
        end->owner->on_readable(end->owner);
        any = true;
    }
    return any;
}

bool loop_sim_deliver(struct loop *loop)
{
    struct list todo;
    struct sim_listener *li;
    bool any = false;

    LIST_FOREACH (li, &loop->listeners, struct sim_listener, node) {
        any |= accept_waiting(li);
        if (!li->closing)
            continue;
        struct loop_listener *owner = li->owner;
        list_remove(&li->node);
        owner->impl = mem_free(li);
        owner->on_closed(owner);
        any = true;
    }
    /* A callback may close any end, but only this pass frees one: itself. */
    list_init(&todo);
    list_splice(&todo, &loop->ends);
    while (!list_empty(&todo)) {
        struct loop_sim_peer *end = CONTAINER_OF(todo.next, struct loop_sim_peer, node);
        list_remove(&end->node);
        list_append(&loop->ends, &end->node);
        any |= deliver_end(end);
    }
    return any;
}

/* ---- what a test sees ---- */

void loop_sim_fail_open(struct loop *loop, unsigned nth)
{
    loop->opens_until_fault = nth;
}

struct loop_sim_peer *loop_sim_dial_from(struct loop *loop, uint16_t port, const char *from)
{
    struct sim_listener *li = find_listener(loop, port);
    struct loop_addr addr;

    ASSERT(loop_addr_parse(str_from(from), 40000, &addr) == ERR_OK);
    return li ? dial(li, addr) : NULL;
}

struct loop_sim_peer *loop_sim_dial(struct loop *loop, uint16_t port)
{
    return loop_sim_dial_from(loop, port, "127.0.0.1");
}

void loop_sim_send(struct loop_sim_peer *peer, struct str bytes)
{
    size_t n;

    err_ignore(bytes.len == 0 || write_end(peer, bytes.ptr, bytes.len, &n) == LOOP_IO_OK
                   ? ERR_OK
                   : ERR_UNAVAILABLE,
               "the server may have closed: then the bytes are lost, as in a network");
}

struct str loop_sim_received(const struct loop_sim_peer *peer)
{
    return buf_str(&peer->in);
}

void loop_sim_drop(struct loop_sim_peer *peer, size_t n)
{
    ASSERT(n <= peer->in.len);
    if (n > 0)
        drop_in(peer, n);
}

void loop_sim_set_window(struct loop_sim_peer *peer, size_t bytes)
{
    peer->window = bytes;
}

void loop_sim_shutdown(struct loop_sim_peer *peer)
{
    peer->out_ended = true;
    if (peer->other)
        peer->other->in_ended = true;
}

void loop_sim_reset(struct loop_sim_peer *peer)
{
    peer->broken = true;
    if (peer->other)
        peer->other->broken = true;
}

bool loop_sim_ended(const struct loop_sim_peer *peer)
{
    return peer->in_ended;
}

bool loop_sim_closed(const struct loop_sim_peer *peer)
{
    return !peer->other;
}

struct loop_sim_peer *loop_sim_hang_up(struct loop_sim_peer *peer)
{
    if (peer)
        free_end(peer);
    return NULL;
}
