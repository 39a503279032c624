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

/* ---- timers ---- */

struct loop_timer {
    void *impl; /* private; NULL while not running */
    struct loop *loop;
    void (*run)(struct loop_timer *timer);
};
/* Fires once, `after_ms` from now; starting a running timer moves it. ERR_NOMEM. */
enum err loop_timer_start(struct loop *loop, struct loop_timer *timer, uint64_t after_ms) MUST_CHECK;
void loop_timer_stop(struct loop_timer *timer); /* `run` will not be called; not running: no-op */
