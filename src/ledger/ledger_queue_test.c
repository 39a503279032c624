// SPDX-License-Identifier: Apache-2.0
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "ledger/ledger_queue.h"

/* Stands before the C library's: the clock that measures durations is ahead by this much. */
static _Atomic uint64_t ahead_ms;

int clock_gettime(clockid_t id, struct timespec *out)
{
    int result = (int)syscall(SYS_clock_gettime, id, out);

    if (id == CLOCK_MONOTONIC)
        out->tv_sec += (time_t)(atomic_load(&ahead_ms) / 1000);
    return result;
}

enum { LONG_MS = 3600000, BATCH = 4 };

static struct ledger_queue queue;
static struct ledger_command commands[64];
static size_t pushed;

/* The next `count` commands, in one push. */
static void push_op(enum ledger_op op, size_t count, bool unawaited)
{
    struct list list;

    list_init(&list);
    for (size_t i = 0; i < count; i++) {
        commands[pushed] = (struct ledger_command){ .op = op, .unawaited = unawaited };
        list_append(&list, &commands[pushed++].node);
    }
    ledger_queue_push(&queue, &list);
}

static void push(size_t count, bool unawaited)
{
    push_op(LEDGER_PLACE, count, unawaited);
}

static size_t take(size_t first)
{
    struct list batch;
    struct ledger_command *command;

    list_init(&batch);
    size_t count = ledger_queue_take(&queue, &batch, BATCH), at = 0;
    LIST_FOREACH (command, &batch, struct ledger_command, node)
        assert_ptr_equal(command, &commands[first + at++]); /* in arrival order */
    assert_int_equal(at, count);
    return count;
}

/* A writer that is under way with one batch. */
struct writer {
    pthread_t thread;
    struct list batch;
    size_t count;
    uint64_t waited_ns;
};

static void *write_one(void *context)
{
    struct writer *self = context;
    uint64_t start_ns = clock_mono_ns();

    self->count = ledger_queue_take(&queue, &self->batch, BATCH);
    self->waited_ns = clock_mono_ns() - start_ns;
    return NULL;
}

static void writer_start(struct writer *self)
{
    bool sleeps = false;

    list_init(&self->batch);
    assert_int_equal(pthread_create(&self->thread, NULL, write_one, self), 0);
    while (!sleeps) {
        pthread_mutex_lock(&queue.lock);
        sleeps = queue.writer_sleeps;
        pthread_mutex_unlock(&queue.lock);
        sched_yield();
    }
}

static size_t writer_end(struct writer *self)
{
    pthread_join(self->thread, NULL);
    return self->count;
}

static void begin(size_t room, uint64_t age_ms, uint64_t linger_ms)
{
    pushed = 0;
    atomic_store(&ahead_ms, 10 * LONG_MS); /* the machine has been up for long */
    ledger_queue_init(&queue, room, age_ms, linger_ms);
}

static void test_room(void **state)
{
    (void)state;
    begin(3, 1000, 0);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3; i++)
            assert_true(ledger_queue_room_take(&queue));
        assert_false(ledger_queue_room_take(&queue));
        assert_false(ledger_queue_room_take(&queue));
        ledger_queue_room_return(&queue, 1);
        assert_true(ledger_queue_room_take(&queue));
        ledger_queue_room_return(&queue, 3);
    }
    ledger_queue_fini(&queue);
}

/* The oldest counts until its batch is done, and then the oldest of those behind it. */
static void test_age(void **state)
{
    (void)state;
    begin(100, 4000, 0);
    push(1, false);
    atomic_fetch_add(&ahead_ms, 3000);
    push(1, false);
    assert_true(ledger_queue_room_take(&queue));
    assert_true(ledger_queue_stats(&queue).oldest_wait_ms >= 3000);
    assert_int_equal(ledger_queue_stats(&queue).queue_length, 2);
    atomic_fetch_add(&ahead_ms, 2000);
    assert_false(ledger_queue_room_take(&queue));
    assert_int_equal(take(0), 2);
    push(1, false);
    assert_false(ledger_queue_room_take(&queue)); /* being written is not done */
    ledger_queue_batch_done(&queue);
    assert_true(ledger_queue_room_take(&queue));
    atomic_fetch_add(&ahead_ms, 5000);
    assert_false(ledger_queue_room_take(&queue));
    assert_int_equal(take(2), 1);
    ledger_queue_batch_done(&queue);
    assert_true(ledger_queue_room_take(&queue));
    assert_int_equal(ledger_queue_stats(&queue).oldest_wait_ms, 0);
    ledger_queue_fini(&queue);
}

/* What lingers is not late yet. */
static void test_age_without_linger(void **state)
{
    (void)state;
    begin(100, 4000, 3000);
    push(1, true);
    assert_int_equal(take(0), 1);
    atomic_fetch_add(&ahead_ms, 6000);
    assert_true(ledger_queue_room_take(&queue));
    atomic_fetch_add(&ahead_ms, 2000);
    assert_false(ledger_queue_room_take(&queue));
    ledger_queue_batch_done(&queue);
    ledger_queue_fini(&queue);
}

static void test_order_and_size(void **state)
{
    (void)state;
    begin(100, 1000, 0);
    push(3, false);
    push(6, true);
    assert_int_equal(take(0), 4);
    assert_int_equal(take(4), 4);
    assert_int_equal(take(8), 1);
    ledger_queue_fini(&queue);
}

/* Who makes or changes what others are decided on does it alone. */
static void test_alone(void **state)
{
    (void)state;
    begin(100, 1000, 0);
    push(2, false);
    push_op(LEDGER_COUPON_CHANGE, 2, false);
    push_op(LEDGER_CHARGE, 2, false);
    push(1, false);
    push_op(LEDGER_USERS_CREATE, 1, false);
    static const size_t sizes[] = { 2, 1, 1, 3, 1 };
    for (size_t i = 0, first = 0; i < ARRAY_COUNT(sizes); first += sizes[i++])
        assert_int_equal(take(first), sizes[i]);
    ledger_queue_fini(&queue);
}

static void test_lone_unawaited_goes_at_once(void **state)
{
    (void)state;
    begin(100, 1000, LONG_MS);
    push(1, true);
    assert_int_equal(take(0), 1);
    ledger_queue_fini(&queue);
}

/* Behind a batch they wait, and one that somebody waits for takes them all along. */
static void test_awaited_ends_lingering(void **state)
{
    struct writer writer;

    (void)state;
    begin(100, 1000, LONG_MS);
    ledger_queue_batch_done(&queue);
    push(2, true);
    writer_start(&writer);
    push(1, true); /* wakes nobody */
    assert_int_equal(ledger_queue_stats(&queue).queue_length, 3);
    push(1, false);
    assert_int_equal(writer_end(&writer), 4);
    ledger_queue_fini(&queue);
}

static void test_linger_is_over(void **state)
{
    struct writer writer;

    (void)state;
    begin(100, 1000, 30);
    atomic_store(&ahead_ms, 0); /* waiting is by the real clock */
    ledger_queue_batch_done(&queue);
    push(2, true);
    list_init(&writer.batch);
    write_one(&writer);
    assert_int_equal(writer.count, 2);
    assert_true(writer.waited_ns > 20000000);
    /* Long after the last batch, nobody waits for company. */
    ledger_queue_batch_done(&queue);
    atomic_fetch_add(&ahead_ms, 1000);
    push(1, true);
    list_init(&writer.batch);
    write_one(&writer);
    assert_int_equal(writer.count, 1);
    assert_true(writer.waited_ns < 20000000);
    ledger_queue_fini(&queue);
}

static void test_wakes(void **state)
{
    struct writer writer;

    (void)state;
    begin(100, 1000, LONG_MS);
    writer_start(&writer); /* nothing to do */
    push(1, true);
    assert_int_equal(writer_end(&writer), 1);
    writer_start(&writer);
    push(3, false);
    assert_int_equal(writer_end(&writer), 3);
    ledger_queue_fini(&queue);
}

static void test_stop(void **state)
{
    struct writer writer;

    (void)state;
    begin(100, 1000, LONG_MS);
    ledger_queue_batch_done(&queue);
    push(6, true);
    writer_start(&writer); /* lingers */
    ledger_queue_stop(&queue);
    assert_int_equal(writer_end(&writer), 4);
    ledger_queue_batch_done(&queue);
    assert_int_equal(take(4), 2);
    assert_int_equal(take(6), 0);
    assert_int_equal(take(6), 0);
    ledger_queue_fini(&queue);
    begin(100, 1000, 0);
    writer_start(&writer);
    ledger_queue_stop(&queue);
    assert_int_equal(writer_end(&writer), 0);
    ledger_queue_fini(&queue);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_age),
        cmocka_unit_test(test_age_without_linger),
        cmocka_unit_test(test_order_and_size),
        cmocka_unit_test(test_alone),
        cmocka_unit_test(test_lone_unawaited_goes_at_once),
        cmocka_unit_test(test_awaited_ends_lingering),
        cmocka_unit_test(test_linger_is_over),
        cmocka_unit_test(test_wakes),
        cmocka_unit_test(test_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
