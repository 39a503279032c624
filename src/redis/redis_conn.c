// SPDX-License-Identifier: Apache-2.0
/*
 * A connection is a stream of the loop, hiredis's parser, and a ring of the calls whose answers are
 * awaited, in the order sent. hiredis's own asynchronous connections are not used: they know no
 * time-outs, resolve names while the loop waits, and what became of a command that was half sent
 * cannot be asked.
 *
 * What a turn's calls append goes out together at its end. Of each call it is known at which byte
 * of the stream it ends: what was not handed to the kernel up to there was not executed, since no
 * server executes half a command.
 *
 * A call whose deadline passes is ended, and its place in the ring stays, empty, for the answer
 * that may still come. When nothing at all was heard for a while though answers are due, the peer
 * hangs and the connection is given up.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "redis/redis_internal.h"

enum {
    READ_BYTES = 64 * 1024,
    READS_MAX = 16, /* a turn */
    RING_MIN = 64,
    KEEP_BYTES_MAX = 256 * 1024,
};

enum conn_state {
    CONN_CONNECTING, /* no socket yet */
    CONN_GREETING,
    CONN_READY,
    CONN_CLOSING, /* the owner has forgotten it; freed when the loop has */
};

struct redis_conn {
    struct loop *loop;
    struct redis_conn_options options;
    enum conn_state state;
    struct loop_stream stream;
    struct loop_task flush; /* posted while `flushing` */
    bool flushing;
    struct loop_timer timer;
    uint64_t timer_at_ms; /* 0: not running */
    uint64_t greet_until_ms;
    uint64_t quiet_since_ms; /* the last byte heard; or when the first of those awaited was sent */
    redisReader *reader;
    struct redis_greeting greeting;
    struct buf out;
    size_t out_sent;
    uint64_t appended, sent;   /* bytes, ever */
    struct redis_call **ring;  /* NULL in it: nobody waits any more */
    uint64_t size, head, tail; /* [head, tail) are awaited; index modulo size, a power of 2 */
};

static void free_conn(struct redis_conn *conn)
{
    if (conn->reader)
        redisReaderFree(conn->reader);
    buf_fini(&conn->out);
    mem_free(conn->ring);
    mem_free(conn);
}

static void on_closed(struct loop_stream *stream)
{
    free_conn(CONTAINER_OF(stream, struct redis_conn, stream));
}

/* ---- its end ---- */

static void fail_calls(struct redis_conn *conn)
{
    for (; conn->head < conn->tail; conn->head++) {
        struct redis_call *call = conn->ring[conn->head & (conn->size - 1)];
        if (!call)
            continue;
        call->conn = NULL;
        conn->options.use->failed(call,
                                  call->end_offset <= conn->sent ? ERR_UNCERTAIN : ERR_UNAVAILABLE);
    }
}

void redis_conn_close(struct redis_conn *conn)
{
    ASSERT(conn->state != CONN_CLOSING);
    conn->state = CONN_CLOSING;
    loop_timer_stop(&conn->timer);
    if (conn->flushing) /* waits in the loop, which may not run again */
        list_remove(&conn->flush.node);
    conn->flushing = false;
    loop_stream_close(&conn->stream);
    fail_calls(conn);
}

void redis_conn_abandon(struct redis_conn *conn)
{
    conn->head = conn->tail;
    redis_conn_close(conn);
}

static void lose(struct redis_conn *conn, const char *why)
{
    const struct redis_conn_use *use = conn->options.use;
    void *owner = conn->options.owner;

    redis_conn_close(conn);
    use->lost(owner, why);
}

/* ---- time ---- */

static void start_timer(struct redis_conn *conn, uint64_t at_ms)
{
    uint64_t now = loop_now_ms(conn->loop);

    if (conn->timer_at_ms && conn->timer_at_ms <= at_ms)
        return;
    conn->timer_at_ms = at_ms;
    /* Without memory the next call's start tries again; those before it wait a bit longer. */
    if (loop_timer_start(conn->loop, &conn->timer, at_ms > now ? at_ms - now : 0) != ERR_OK)
        conn->timer_at_ms = 0;
}

static uint64_t quiet_until(const struct redis_conn *conn)
{
    return conn->quiet_since_ms + conn->options.silence_ms;
}

/* Ends those that are late; answers when to look again. */
static uint64_t end_late(struct redis_conn *conn, uint64_t now)
{
    uint64_t next = UINT64_MAX;

    for (uint64_t i = conn->head; i < conn->tail; i++) {
        struct redis_call **slot = &conn->ring[i & (conn->size - 1)], *call = *slot;
        if (!call)
            continue;
        if (call->deadline_ms > now) {
            next = MIN(next, call->deadline_ms);
            continue;
        }
        *slot = NULL; /* its bytes may be sent yet, so: */
        call->conn = NULL;
        conn->options.use->failed(call, ERR_UNCERTAIN);
    }
    return next;
}

static void read_some(struct redis_conn *conn);

static void on_timer(struct loop_timer *timer)
{
    struct redis_conn *conn = CONTAINER_OF(timer, struct redis_conn, timer);
    uint64_t now = loop_now_ms(conn->loop);

    conn->timer_at_ms = 0;
    /* If it was this thread that had no time, the answers are there already. */
    if (conn->state == CONN_GREETING || conn->state == CONN_READY)
        read_some(conn);
    if (conn->state == CONN_CLOSING)
        return;
    if (conn->state != CONN_READY) {
        if (now >= conn->greet_until_ms)
            lose(conn,
                 conn->state == CONN_CONNECTING ? "no connection in time" : "no greeting in time");
        else
            start_timer(conn, conn->greet_until_ms);
        return;
    }
    uint64_t next = end_late(conn, now);
    if (conn->state != CONN_READY || conn->head == conn->tail)
        return;
    if (now >= quiet_until(conn))
        lose(conn, "it does not answer");
    else
        start_timer(conn, MIN(next, quiet_until(conn)));
}

/* ---- answers ---- */

static void greet_on(struct redis_conn *conn, const redisReply *reply)
{
    const char *why = redis_greeting_take(&conn->greeting, &conn->options, reply);

    if (why) {
        lose(conn, why);
    } else if (conn->greeting.answered == conn->greeting.count) {
        conn->state = CONN_READY;
        loop_timer_stop(&conn->timer);
        conn->timer_at_ms = 0;
        conn->options.use->ready(conn->options.owner);
    }
}

/* Answers whether somebody has taken the reply over. */
static bool take_reply(struct redis_conn *conn, redisReply *reply)
{
    if (conn->state == CONN_GREETING) {
        greet_on(conn, reply);
        return false;
    }
    if (conn->head == conn->tail) {
        lose(conn, "an answer that was not asked for");
        return false;
    }
    struct redis_call *call = conn->ring[conn->head++ & (conn->size - 1)];
    if (!call)
        return false;
    call->conn = NULL;
    return conn->options.use->replied(call, reply);
}

static void take_replies(struct redis_conn *conn)
{
    while (conn->state != CONN_CLOSING) {
        void *reply = NULL;
        if (redisReaderGetReply(conn->reader, &reply) != REDIS_OK) {
            lose(conn, "not the protocol of Redis");
            return;
        }
        if (!reply)
            return;
        if (!take_reply(conn, reply))
            freeReplyObject(reply);
    }
}

static void read_some(struct redis_conn *conn)
{
    char bytes[READ_BYTES];
    size_t n = 0;

    for (unsigned i = 0; i < READS_MAX && conn->state != CONN_CLOSING; i++) {
        switch (loop_stream_read(&conn->stream, bytes, sizeof bytes, &n)) {
        case LOOP_IO_AGAIN:
            return;
        case LOOP_IO_EOF:
        case LOOP_IO_GONE:
            lose(conn, "the connection was closed");
            return;
        case LOOP_IO_OK:
            break;
        }
        conn->quiet_since_ms = loop_now_ms(conn->loop);
        if (redisReaderFeed(conn->reader, bytes, n) != REDIS_OK) {
            lose(conn, "no memory");
            return;
        }
        take_replies(conn);
        if (n < sizeof bytes)
            return;
    }
}

static void on_readable(struct loop_stream *stream)
{
    read_some(CONTAINER_OF(stream, struct redis_conn, stream));
}

/* ---- requests ---- */

static void write_out(struct redis_conn *conn)
{
    while (conn->out_sent < conn->out.len) {
        size_t n = 0;
        switch (loop_stream_write(&conn->stream, conn->out.ptr + conn->out_sent,
                                  conn->out.len - conn->out_sent, &n)) {
        case LOOP_IO_OK:
            conn->out_sent += n;
            conn->sent += n;
            break;
        case LOOP_IO_AGAIN:
            loop_stream_wait_writable(&conn->stream);
            return;
        case LOOP_IO_EOF:
        case LOOP_IO_GONE:
            lose(conn, "the connection was closed");
            return;
        }
    }
    conn->out_sent = 0;
    if (conn->out.cap > KEEP_BYTES_MAX)
        buf_fini(&conn->out);
    else
        buf_reset(&conn->out);
}

static void on_writable(struct loop_stream *stream)
{
    write_out(CONTAINER_OF(stream, struct redis_conn, stream));
}

static void on_flush(struct loop_task *task)
{
    struct redis_conn *conn = CONTAINER_OF(task, struct redis_conn, flush);

    conn->flushing = false;
    write_out(conn);
}

static void flush_later(struct redis_conn *conn)
{
    if (conn->flushing)
        return;
    conn->flushing = true;
    loop_post(conn->loop, &conn->flush);
}

static bool grow_ring(struct redis_conn *conn)
{
    uint64_t size = conn->size ? conn->size * 2 : RING_MIN;
    struct redis_call **ring = mem_alloc(size * sizeof(struct redis_call *));

    if (!ring)
        return false;
    for (uint64_t i = conn->head; i < conn->tail; i++)
        ring[i & (size - 1)] = conn->ring[i & (conn->size - 1)];
    mem_free(conn->ring);
    conn->ring = ring;
    conn->size = size;
    return true;
}

/* The bytes, or nothing. */
static bool append(struct redis_conn *conn, const struct redis_call *call)
{
    size_t before = conn->out.len;

    if (call->asking)
        buf_literal(&conn->out, "*1\r\n$6\r\nASKING\r\n");
    redis_command_append(&conn->out, call->argc, call->argv, call->argv_bytes);
    if (buf_ok(&conn->out)) {
        conn->appended += conn->out.len - before;
        return true;
    }
    conn->out.len = before;
    conn->out.failed = false;
    return false;
}

enum err redis_conn_send(struct redis_conn *conn, struct redis_call *call)
{
    ASSERT(conn->state == CONN_READY && call->argc > 0);
    while (conn->tail - conn->head + 2 > conn->size)
        if (!grow_ring(conn))
            return ERR_NOMEM;
    if (!append(conn, call))
        return ERR_NOMEM;
    if (conn->head == conn->tail)
        conn->quiet_since_ms = loop_now_ms(conn->loop);
    if (call->asking)
        conn->ring[conn->tail++ & (conn->size - 1)] = NULL;
    conn->ring[conn->tail++ & (conn->size - 1)] = call;
    call->conn = conn;
    call->end_offset = conn->appended;
    start_timer(conn, MIN(call->deadline_ms, quiet_until(conn)));
    flush_later(conn);
    return ERR_OK;
}

/* ---- its beginning ---- */

static void on_connected(struct loop_stream *stream, enum err e)
{
    struct redis_conn *conn = CONTAINER_OF(stream, struct redis_conn, stream);

    if (e != ERR_OK) {
        lose(conn, "nobody listens there");
        return;
    }
    conn->state = CONN_GREETING;
    redis_greeting_begin(&conn->greeting, &conn->options, &conn->out);
    if (!buf_ok(&conn->out)) {
        lose(conn, "no memory");
        return;
    }
    conn->appended = conn->out.len;
    write_out(conn);
}

struct redis_conn *redis_conn_new(struct loop *loop, const struct loop_addr *addr,
                                  const struct redis_conn_options *options)
{
    struct redis_conn *conn = mem_alloc(sizeof *conn);

    if (!conn)
        return NULL;
    conn->loop = loop;
    conn->options = *options;
    conn->stream = (struct loop_stream){ .loop = loop,
                                         .on_readable = on_readable,
                                         .on_writable = on_writable,
                                         .on_connected = on_connected,
                                         .on_closed = on_closed };
    conn->flush.run = on_flush;
    conn->timer.run = on_timer;
    conn->greet_until_ms = loop_now_ms(loop) + options->connect_timeout_ms;
    conn->reader = redis_reader_new();
    if (conn->reader && loop_connect(loop, &conn->stream, addr) == ERR_OK) {
        start_timer(conn, conn->greet_until_ms);
        return conn;
    }
    free_conn(conn);
    return NULL;
}
