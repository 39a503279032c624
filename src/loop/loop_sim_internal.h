// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <pthread.h>

#include "loop/loop_sim.h"

/* One end of a connection: `owner` for product code, none for a test's peer. */
struct loop_sim_peer {
    struct list node; /* in loop->ends */
    struct loop *loop;
    struct loop_sim_peer *other; /* NULL once that end is closed */
    struct loop_stream *owner;
    struct buf in;
    size_t window;
    bool in_ended, broken, out_ended;
    bool reading, wants_writable, connecting, closing;
};

struct loop {
    uint64_t now_ms;
    struct list posted, hooks, timers, ends, listeners;
    unsigned opens_until_fault;
    uint16_t next_port;
    bool stop;
    /* What came by loop_send(), from whatever thread. */
    pthread_mutex_t lock;
    pthread_cond_t arrived;
    struct list mail;
};

bool loop_sim_deliver(struct loop *loop); /* one pass over the network; true: something happened */
