// SPDX-License-Identifier: Apache-2.0
/*
 * The other implementation of loop.h: virtual time, a network that is a pair of buffers, one
 * thread. Nothing happens unless a test says so, and the same calls always give the same run; only
 * a thread that the test itself brings in, such as a ledger's writer, moves in real time.
 */
#pragma once
#include "base/buf.h"
#include "loop/loop.h"

/* Deliver what is ready, run tasks and hooks, until nothing is left to do at this moment. */
void loop_sim_turn(struct loop *loop);
/* Let time pass: timers that become due run in order, each followed by a turn. */
void loop_sim_advance(struct loop *loop, uint64_t ms);
/* Sleep, in real time, until another thread has sent something. False: nothing came in `ms`. */
bool loop_sim_wait(struct loop *loop, uint64_t ms);
/* From now on the n-th open of a stream fails, as if memory had run out; 0: none does. */
void loop_sim_fail_open(struct loop *loop, unsigned nth);

/* The test's end of a connection. */
struct loop_sim_peer;

/* Connects from 127.0.0.1, or from `from`. NULL: nobody listens on that port. It is accepted in
 * the next turn. */
struct loop_sim_peer *loop_sim_dial(struct loop *loop, uint16_t port);
struct loop_sim_peer *loop_sim_dial_from(struct loop *loop, uint16_t port, const char *from);
void loop_sim_send(struct loop_sim_peer *peer, struct str bytes);
/* What has arrived and was not dropped yet. Valid until the next call on this peer or turn. */
struct str loop_sim_received(const struct loop_sim_peer *peer);
void loop_sim_drop(struct loop_sim_peer *peer, size_t n);
/* How many unread bytes fit before the other side has to wait; default: no end. */
void loop_sim_set_window(struct loop_sim_peer *peer, size_t bytes);
void loop_sim_shutdown(struct loop_sim_peer *peer);     /* sends nothing more, still reads */
void loop_sim_reset(struct loop_sim_peer *peer);        /* the connection is broken */
bool loop_sim_ended(const struct loop_sim_peer *peer);  /* the other side sends nothing more */
bool loop_sim_closed(const struct loop_sim_peer *peer); /* the other side has closed */
struct loop_sim_peer *loop_sim_hang_up(struct loop_sim_peer *peer); /* close and free */
