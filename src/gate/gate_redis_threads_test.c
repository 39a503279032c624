// SPDX-License-Identifier: Apache-2.0
/* Loops on threads of their own, of two servers, hammer one coupon: exactly its quantity, each
 * number once, and nobody is told "sold out for good" who has one. */
#include "base/hash.h"
#include "core/proof.h"
#include "gate/gate_redis_fixture_test.h"

enum { COUPON = 7, SERVERS = 2, THREADS = 4, USERS = 1500, QUANTITY = 1000, IN_FLIGHT = 32 };

static struct gate *gates[SERVERS];
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

    if (ask->outcome == GATE_GRANTED)
        granted(self, ask);
    else if (ask->outcome == GATE_ALREADY)
        tell(ask);
    else if (ask->outcome == GATE_SOLD_OUT)
        atomic_fetch_add(&wrong, ask->for_good && atomic_load(&told[ask->user_id]) != 0);
    else
        atomic_fetch_add(&wrong, 1);
    if (++self->done == USERS) {
        self->end.run = end_when_idle;
        assert_ok(loop_timer_start(self->loop, &self->end, 0));
    }
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
    self->client = gate_client_new(self->gate, self->loop);
    self->begin.run = begin;
    usleep(200000); /* connected: what is asked before would be told that it is closed */
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

static void open_everywhere(void)
{
    struct coupon_settings settings = { .total_quantity = QUANTITY,
                                        .ends_at_ms = INT64_MAX,
                                        .version = 1 };
    struct gate_redis_options options = { .redis = &redis_where, .deadline_ms = 60000 };
    struct gate_rebuild *rebuild;

    for (size_t i = 0; i < SERVERS; i++)
        assert_ok(gate_redis_open(&options, &gates[i]));
    assert_ok(gate_rebuild_begin(gates[0], COUPON, 1, &settings, &rebuild));
    assert_ok(gate_rebuild_open(rebuild, 0));
    gate_rebuild_free(rebuild);
    for (size_t i = 0; i < SERVERS; i++)
        assert_ok(gate_adopt(gates[i], COUPON, 1, &settings));
}

/* What was joined before it could be released stays pending: told, and to be stored. */
static void test_threads(void **state)
{
    static bool slots[QUANTITY + 1];
    struct gate_picture picture;
    int64_t holders = 0;
    uint64_t released = 0;

    (void)state;
    redis_connect();
    REDIS_TELL(NULL, "FLUSHALL");
    open_everywhere();
    for (size_t i = 0; i < THREADS; i++) {
        shuffle(&hammers[i], i + 1);
        hammers[i].gate = gates[i % SERVERS];
        assert_int_equal(pthread_create(&hammers[i].thread, NULL, run, &hammers[i]), 0);
    }
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
    assert_ok(gate_picture(gates[0], COUPON, &picture));
    assert_int_equal(atomic_load(&wrong), 0);
    assert_int_equal(picture.granted, holders);
    assert_int_equal(picture.granted + (int64_t)picture.returned_count, picture.next_slot - 1);
    assert_true(picture.granted <= QUANTITY);
    gate_picture_fini(&picture);
    for (size_t i = 0; i < SERVERS; i++) {
        released += gate_stats(gates[i]).released;
        gate_redis_free(gates[i]);
    }
    assert_true(released > 0);
    redis_hand = redis_sync_close(redis_hand);
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(test_threads) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
