// SPDX-License-Identifier: Apache-2.0
/* Several loops on threads of their own hammer one coupon: exactly its quantity, each number once.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "base/hash.h"
#include "gate/gate_fixture_test.h"
#include "gate/gate_memory.h"
#include "loop/loop.h"

enum { COUPON = 7, THREADS = 4, USERS = 3000, QUANTITY = 2000, IN_FLIGHT = 16 };

static struct gate *gate;
static _Atomic int64_t told[USERS + 1]; /* slot; by whichever thread first */
static _Atomic unsigned wrong;

struct hammer {
    pthread_t thread;
    struct loop *loop;
    struct gate_client *client;
    struct gate_ask asks[IN_FLIGHT];
    struct loop_task begin;
    int64_t users[USERS];
    size_t next, done;
    uint64_t random;
};

static struct hammer *hammer_of(struct gate_ask *ask);

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
    ask->token = gate_token(gate);
    gate_ask(self->client, ask);
}

static void answered(struct gate_ask *ask)
{
    struct hammer *self = hammer_of(ask);
    struct gate_entry entry = { ask->coupon_id, ask->user_id, ask->slot, ask->token, ask->epoch };

    switch (ask->outcome) {
    case GATE_GRANTED:
        if (ask->purpose == GATE_ISSUE && self->random % 8 == 0) {
            gate_release(self->client, &entry); /* as if its row had been refused */
            break;
        }
        tell(ask);
        gate_confirm(self->client, &entry);
        break;
    case GATE_ALREADY:
        tell(ask);
        break;
    case GATE_SOLD_OUT:
        atomic_fetch_add(&wrong, ask->for_good && gate_status(gate, COUPON).remaining > 0);
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
        loop_stop(self->loop);
    ask_next(self, ask);
}

static struct hammer hammers[THREADS];

static struct hammer *hammer_of(struct gate_ask *ask)
{
    return &hammers[((char *)ask - (char *)hammers) / (ptrdiff_t)sizeof hammers[0]];
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
    self->client = gate_client_new(gate, self->loop);
    self->begin.run = begin;
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

static void swept(struct gate_sweep *sweep)
{
    assert_true(sweep->count < sweep->room);
}

/* Some that were to be released had been joined, and told: their rows are stored now. */
static void sweep_up(void)
{
    static struct gate_entry entries[QUANTITY];
    struct gate_sweep sweep = { .done = swept, .entries = entries, .room = QUANTITY };
    struct loop *loop = loop_new();
    struct gate_client *client = gate_client_new(gate, loop);

    gate_sweep(client, &sweep);
    for (size_t i = 0; i < sweep.count; i++)
        gate_confirm(client, &entries[i]);
    loop_free(gate_client_free(client) ? NULL : loop);
}

static void look(void)
{
    struct gate_picture picture;

    assert_ok(gate_picture(gate, COUPON, &picture));
    assert_int_equal(picture.granted + (int64_t)picture.returned_count, picture.next_slot - 1);
    assert_true(picture.granted <= QUANTITY);
    gate_picture_fini(&picture);
}

static void test_threads(void **state)
{
    struct coupon_settings settings = { .total_quantity = QUANTITY, .ends_at_ms = INT64_MAX };
    struct gate_memory_options options = { .journal = { .directory = dir,
                                                        .generation_bytes_max = 16384 } };
    struct journal_report report;
    struct gate_rebuild *rebuild;
    static bool slots[QUANTITY + 1];
    int64_t holders = 0;

    (void)state;
    dir_make();
    assert_ok(gate_memory_open(&options, &report, &gate));
    assert_ok(gate_rebuild_begin(gate, COUPON, 1, &settings, &rebuild));
    assert_ok(gate_rebuild_open(rebuild, 0));
    gate_rebuild_free(rebuild);
    for (size_t i = 0; i < THREADS; i++) {
        shuffle(&hammers[i], i + 1);
        assert_int_equal(pthread_create(&hammers[i].thread, NULL, run, &hammers[i]), 0);
    }
    for (size_t i = 0; i < 200; i++)
        look();
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(hammers[i].thread, NULL);
    look();
    sweep_up();
    for (size_t user = 1; user <= USERS; user++) {
        int64_t slot = atomic_load(&told[user]);
        if (!slot)
            continue;
        assert_false(slots[slot]);
        slots[slot] = true;
        holders++;
    }
    struct gate_status status = gate_status(gate, COUPON);
    assert_int_equal(atomic_load(&wrong), 0);
    assert_true(gate_stats(gate).released > 0);
    assert_int_equal(status.pending, 0);
    assert_int_equal(status.granted, holders);
    assert_int_equal(status.granted + status.remaining, QUANTITY);
    assert_int_equal(status.remaining, status.returned);
    gate_memory_free(gate);
    dir_remove();
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(test_threads) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
