// SPDX-License-Identifier: Apache-2.0
/*
 * Loops on threads of their own hammer one coupon: exactly its quantity, each number once, and
 * nobody is told "sold out for good" who has one.
 */
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "base/hash.h"
#include "core/proof.h"
#include "gate/gate.h"
#include "gate/gate_fixture_test.h"
#include "loop/loop.h"

enum { COUPON = 7, THREADS = 4, USERS = 3000, QUANTITY = 2000, IN_FLIGHT = 32 };

static const struct coupon_settings hammer_settings = { .total_quantity = QUANTITY,
                                                        .ends_at_ms = INT64_MAX,
                                                        .version = 1 };
static _Atomic int64_t told[USERS + 1]; /* slot; by whichever thread first */
static _Atomic unsigned wrong;

static struct hammer {
    pthread_t thread;
    struct gate *gate;
    struct loop *loop;
    struct gate_client *client;
    struct gate_ask asks[IN_FLIGHT];
    struct loop_task begin;
    struct loop_timer end;
    useconds_t connects_us; /* what is asked before would be told that it is closed */
    int64_t users[USERS];
    size_t next, done;
    uint64_t random;
} hammers[THREADS];

static struct hammer *hammer_of(struct gate_ask *ask)
{
    return &hammers[((char *)ask - (char *)hammers) / (ptrdiff_t)sizeof hammers[0]];
}

static void tell(const struct gate_ask *ask)
{
    int64_t before = 0;

    if (!atomic_compare_exchange_strong(&told[ask->user_id], &before, ask->slot))
        atomic_fetch_add(&wrong, before != ask->slot);
    atomic_fetch_add(&wrong, ask->slot < 1 || ask->slot > QUANTITY);
}

static void ask_next(struct hammer *self, struct gate_ask *ask)
{
    if (self->next == USERS)
        return;
    self->random = hash_u64(self->random);
    ask->user_id = self->users[self->next++];
    ask->purpose = self->random % 2 ? GATE_ISSUE : GATE_RESERVE;
    ask->token = gate_token(self->gate);
    ask->deadline_ms = 0;
    gate_ask(self->client, ask);
}

static void end_when_idle(struct loop_timer *timer)
{
    struct hammer *self = CONTAINER_OF(timer, struct hammer, end);

    if (gate_client_is_idle(self->client))
        loop_stop(self->loop);
    else
        assert_ok(loop_timer_start(self->loop, timer, 1));
}

static void granted(struct hammer *self, struct gate_ask *ask)
{
    struct gate_entry entry = { ask->coupon_id, ask->user_id, ask->slot, ask->token, ask->epoch };

    if (ask->purpose == GATE_ISSUE && self->random % 8 == 0) {
        gate_release(self->client, &entry); /* as if its row had been refused */
        return;
    }
    tell(ask);
    gate_confirm(self->client, &entry);
}

static void answered(struct gate_ask *ask)
{
    struct hammer *self = hammer_of(ask);

    switch (ask->outcome) {
    case GATE_GRANTED:
        granted(self, ask);
        break;
    case GATE_ALREADY:
        tell(ask);
        break;
    case GATE_SOLD_OUT:
        atomic_fetch_add(&wrong, ask->for_good && (atomic_load(&told[ask->user_id]) != 0 ||
                                                   gate_status(self->gate, COUPON).remaining > 0));
        break;
    case GATE_NOT_STARTED:
    case GATE_EXPIRED:
    case GATE_ENDED:
    case GATE_CLOSED:
    case GATE_FAILED:
    case GATE_UNKNOWN:
        atomic_fetch_add(&wrong, 1);
        break;
    }
    if (++self->done == USERS)
        assert_ok(loop_timer_start(self->loop, &self->end, 0));
    ask_next(self, ask);
}

static void begin(struct loop_task *task)
{
    struct hammer *self = CONTAINER_OF(task, struct hammer, begin);

    for (size_t i = 0; i < IN_FLIGHT; i++) {
        self->asks[i] = (struct gate_ask){ .done = answered, .coupon_id = COUPON };
        ask_next(self, &self->asks[i]);
    }
}

static void *run(void *context)
{
    struct hammer *self = context;

    self->loop = loop_new();
    self->client = gate_client_new(self->gate, self->loop, NULL);
    self->begin.run = begin;
    self->end.run = end_when_idle;
    usleep(self->connects_us);
    loop_post(self->loop, &self->begin);
    loop_run(self->loop);
    self->client = gate_client_free(self->client);
    self->loop = loop_free(self->loop);
    return NULL;
}

/* Every thread asks for every user, each in an order of its own. */
static void shuffle(struct hammer *self, uint64_t seed)
{
    self->random = seed;
    for (size_t i = 0; i < USERS; i++) {
        self->random = hash_u64(self->random);
        size_t j = self->random % (i + 1);
        self->users[i] = self->users[j];
        self->users[j] = (int64_t)i + 1;
    }
}

static void hammer_open(struct gate *gate)
{
    struct gate_rebuild *rebuild;

    assert_ok(gate_rebuild_begin(gate, COUPON, 1, &hammer_settings, &rebuild));
    assert_ok(gate_rebuild_open(rebuild, 0));
    gate_rebuild_free(rebuild);
}

static void hammer_start(struct gate *const gates[], size_t gate_count, useconds_t connects_us)
{
    for (size_t i = 0; i < THREADS; i++) {
        shuffle(&hammers[i], i + 1);
        hammers[i].gate = gates[i % gate_count];
        hammers[i].connects_us = connects_us;
        assert_int_equal(pthread_create(&hammers[i].thread, NULL, run, &hammers[i]), 0);
    }
}

/* Returns how many were told that they have a place. */
static int64_t hammer_join(void)
{
    static bool slots[QUANTITY + 1];
    int64_t holders = 0;

    for (size_t i = 0; i < THREADS; i++)
        pthread_join(hammers[i].thread, NULL);
    for (size_t user = 1; user <= USERS; user++) {
        int64_t slot = atomic_load(&told[user]);
        if (!slot)
            continue;
        assert_false(slots[slot]);
        slots[slot] = true;
        holders++;
    }
    assert_int_equal(atomic_load(&wrong), 0);
    return holders;
}

/* Returns how many hold a place. */
static int64_t hammer_look(struct gate *gate)
{
    struct gate_picture picture;

    assert_ok(gate_picture(gate, COUPON, &picture));
    int64_t holders = picture.granted;
    assert_int_equal(holders + (int64_t)picture.returned_count, picture.next_slot - 1);
    assert_true(holders <= QUANTITY);
    gate_picture_fini(&picture);
    return holders;
}
