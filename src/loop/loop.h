// SPDX-License-Identifier: Apache-2.0
/*
 * One loop per thread. Only loop_send() and loop_stop() may be called from another thread.
 *
 * Two implementations share this header: loop_uv.c (libuv) in the server, and one with virtual
 * time and a virtual network in simulation. Which one is chosen when linking, so that no product
 * code has a branch for tests.
 *
 * A *turn* is: wait for events, handle them all, run posted tasks and hooks until none is left.
 *
 * Async contract, here and in everything built on it: the caller owns the object it hands over
 * (task, timer, stream, ...) and keeps it alive until the callback; callbacks run exactly once per
 * event, on the loop's own thread, and never from inside the call that asked for them.
 */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/list.h"
#include "base/str.h"

struct loop;

/* NULL without memory or file descriptors. */
struct loop *loop_new(void) MUST_CHECK;
struct loop *loop_free(struct loop *loop); /* stopped, and everything in it closed */
void loop_run(struct loop *loop);          /* until loop_stop() */
void loop_stop(struct loop *loop);         /* any thread */

/* Monotonic, sampled once per turn. Product code on a loop reads durations from here only. */
uint64_t loop_now_ms(const struct loop *loop);

/* ---- tasks ---- */

struct loop_task {
    struct list node; /* private */
    void (*run)(struct loop_task *task);
};

/* Run `task` later in this turn, or in the next. Not while it is still waiting to run. */
void loop_post(struct loop *loop, struct loop_task *task);
/* The same from any thread: a mailbox. Tasks from one sender run in the order they were sent. */
void loop_send(struct loop *loop, struct loop_task *task);

/* Called at the end of every turn, in the order added: where what a turn collected is sent as one
 * batch. A hook returns true if it did something (posted tasks and hooks are then run again). */
struct loop_hook {
    struct list node; /* private */
    bool (*run)(struct loop_hook *hook);
};
void loop_hook_add(struct loop *loop, struct loop_hook *hook);
void loop_hook_remove(struct loop_hook *hook);

/* ---- work that blocks ---- */

/* `work` runs on a thread of a small pool, then `done` on the loop. For whole scans and the like.
 */
struct loop_work {
    void *impl; /* private */
    void (*work)(struct loop_work *work);
    void (*done)(struct loop_work *work);
};
/* ERR_NOMEM: nothing will be called. */
enum err loop_work_start(struct loop *loop, struct loop_work *work) MUST_CHECK;

/* ---- timers ---- */

struct loop_timer {
    void *impl; /* private; NULL while not running */
    struct loop *loop;
    void (*run)(struct loop_timer *timer);
};
/* Fires once, `after_ms` from now; starting a running timer moves it. ERR_NOMEM. */
enum err loop_timer_start(struct loop *loop, struct loop_timer *timer,
                          uint64_t after_ms) MUST_CHECK;
void loop_timer_stop(struct loop_timer *timer); /* `run` will not be called; not running: no-op */

/* ---- somebody else's descriptor: a library's connection ---- */

enum { LOOP_POLL_READ = 1, LOOP_POLL_WRITE = 2 };

/*
 * Watches a descriptor that a library reads and writes. Level-triggered: `run` is called again and
 * again while there is something to do. `events` are those that were asked for and have come; after
 * an error or a hang-up all that were asked for, so that reading or writing tells. Stopped before
 * the descriptor is closed; one watcher per descriptor.
 */
struct loop_poll {
    void *impl; /* private; NULL while not watching */
    struct loop *loop;
    int fd;
    void (*run)(struct loop_poll *poll, int events);
};
/* `events`: any of LOOP_POLL_*; again: others from now on. ERR_NOMEM; ERR_UNAVAILABLE: not a
 * descriptor that can be watched, or there are none in this implementation. */
enum err loop_poll_start(struct loop *loop, struct loop_poll *poll, int events) MUST_CHECK;
void loop_poll_stop(struct loop_poll *poll); /* `run` will not be called; not watching: no-op */

/* ---- network: TCP over IPv4 and IPv6 ---- */

struct loop_addr {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    };
};

enum { LOOP_ADDR_TEXT_BYTES = 48 };

/* `host` is a numeric address ("127.0.0.1", "::1", "[::1]") or "localhost" (127.0.0.1); names are
 * never resolved here. ERR_INVALID: it is not one. */
enum err loop_addr_parse(struct str host, uint16_t port, struct loop_addr *ret_addr) MUST_CHECK;
/* The address without its port, into `out`. IPv4 in IPv6 comes out as IPv4. */
struct str loop_addr_text(const struct loop_addr *addr, char out[LOOP_ADDR_TEXT_BYTES]);
uint16_t loop_addr_port(const struct loop_addr *addr);
bool loop_addr_is_loopback(const struct loop_addr *addr);
socklen_t loop_addr_bytes(const struct loop_addr *addr);

enum loop_io {
    LOOP_IO_OK,    /* at least one byte went through */
    LOOP_IO_AGAIN, /* not now: wait for the event */
    LOOP_IO_EOF,   /* read: the peer sends nothing more, and may still be listening */
    LOOP_IO_GONE,  /* the connection is broken */
};

/*
 * A stream tells when it is ready; its owner then reads or writes, into its own memory. Nothing is
 * queued here, so nothing here grows. The owner fills in the callbacks and keeps the object until
 * on_closed.
 */
struct loop_stream {
    void *impl; /* private; NULL while not open */
    struct loop *loop;
    /* There may be bytes, the end or an error: call loop_stream_read(). Again and again until that
     * is done, or reading is stopped. */
    void (*on_readable)(struct loop_stream *stream);
    /* Once after loop_stream_wait_writable(). Also when the connection broke: writing tells. */
    void (*on_writable)(struct loop_stream *stream);
    /* After loop_connect() only. ERR_OK or ERR_UNAVAILABLE. */
    void (*on_connected)(struct loop_stream *stream, enum err e);
    /* After loop_stream_close(): the object is the owner's again. */
    void (*on_closed)(struct loop_stream *stream);
};

enum loop_io loop_stream_read(struct loop_stream *stream, char *to, size_t room, size_t *ret_n);
/* *ret_n may be less than `n`: then wait for on_writable. */
enum loop_io loop_stream_write(struct loop_stream *stream, const char *from, size_t n,
                               size_t *ret_n);
void loop_stream_wait_writable(struct loop_stream *stream);
/* Reading is on when a stream opens. Off is for back-pressure: it costs two system calls. */
void loop_stream_read_stop(struct loop_stream *stream);
void loop_stream_read_start(struct loop_stream *stream);
void loop_stream_shutdown(struct loop_stream *stream); /* no more writes: the peer reads the end */
/* At once, what the kernel has not sent yet still goes out. on_closed follows; no other does. */
void loop_stream_close(struct loop_stream *stream);

/* on_connected follows unless the answer is not ERR_OK: ERR_NOMEM, ERR_UNAVAILABLE (no descriptor,
 * no route); the stream is then not open. */
enum err loop_connect(struct loop *loop, struct loop_stream *stream,
                      const struct loop_addr *addr) MUST_CHECK;

struct loop_listener {
    void *impl; /* private */
    struct loop *loop;
    /* Somebody is there: answer a stream with its callbacks set, or NULL to turn them away. Reading
     * is on when it returns; should the stream not open after all, its on_closed is called. */
    struct loop_stream *(*on_connection)(struct loop_listener *listener,
                                         const struct loop_addr *peer);
    void (*on_closed)(struct loop_listener *listener);
};

/*
 * Every loop has its own listener for the same address (SO_REUSEPORT). Port 0 is any free port;
 * *ret_bound tells which. When descriptors run out, accepting pauses for a moment.
 * ERR_NOMEM, ERR_CONFLICT (in use), ERR_INVALID (not an address of this machine), ERR_IO.
 */
enum err loop_listen(struct loop *loop, struct loop_listener *listener,
                     const struct loop_addr *addr, struct loop_addr *ret_bound) MUST_CHECK;
/* Whether some other process listens there already: sharing the port, it would silently get part of
 * the connections. Ask once, before the first loop_listen(). ERR_CONFLICT, and as loop_listen(). */
enum err loop_listen_probe(const struct loop_addr *addr) MUST_CHECK;
/* Connections that already wait are still handed over, then on_closed follows. */
void loop_listener_close(struct loop_listener *listener);
