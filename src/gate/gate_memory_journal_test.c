// SPDX-License-Identifier: Apache-2.0
/* What the memory gate's journal is for: whatever was told survives, whatever was not goes back. */
#include "base/mem.h"
#include "gate/gate_restart_fixture_test.h"

/* ---- before it is told ---- */

static void test_journalled_before_told(void **state)
{
    struct gate_ask asks[6];

    (void)state;
    open_coupon(10, NULL, 0);
    expect(1, GATE_ISSUE, GATE_GRANTED, 1);
    assert_int_equal(journal_bytes_when_told, HEADER); /* an issue waits for its row instead */
    for (size_t i = 0; i < 5; i++)
        asks[i] = question(10 + (int64_t)i, GATE_RESERVE);
    asks[5] = question(1, GATE_RESERVE); /* joins the issue: then that needs a record, too */
    put(asks, 6);
    assert_int_equal(journal_bytes_when_told, HEADER + 6 * RECORD);
    assert_int_equal(gate_stats(gate).journal_writes, 1); /* one write for the turn */
    expect(1, GATE_RESERVE, GATE_ALREADY, 1);
    expect(10, GATE_RESERVE, GATE_ALREADY, 2);
    assert_int_equal(file_size("gate-00000001.journal"), HEADER + 6 * RECORD);
    restart();
    assert_int_equal(remembered(), 6);
    open_coupon(10, NULL, 0);
    assert_int_equal(remembered(), 0);
    assert_int_equal(gate_status(gate, COUPON).pending, 6);
    for (int64_t user = 10; user < 15; user++)
        expect(user, GATE_ISSUE, GATE_ALREADY, user - 8);
}

static void test_write_fails(void **state)
{
    (void)state;
    open_coupon(3, NULL, 0);
    reserve(1, 1);
    for (int limit = -1; limit < RECORD; limit += 7) {
        write_limit = limit;
        write_errno = limit < 0 ? ENOSPC : 0;
        expect(2, GATE_RESERVE, GATE_FAILED, 2);
        expect(3, GATE_RESERVE, GATE_FAILED, 2);  /* the same place again: it was not lost */
        expect(1, GATE_RESERVE, GATE_ALREADY, 1); /* journalled long ago */
        faults_end();
        assert_int_equal(gate_status(gate, COUPON).granted, 1);
        assert_true(gate_is_usable(gate));
    }
    write_errno = EIO;
    expect(4, GATE_ISSUE, GATE_GRANTED, 2); /* needs no journal */
    expect(4, GATE_RESERVE, GATE_FAILED, 2);
    faults_end();
    expect(4, GATE_RESERVE, GATE_ALREADY, 2);
    reserve(5, 3);
    restart();
    open_coupon(3, NULL, 0);
    assert_int_equal(gate_status(gate, COUPON).pending, 3);
}

/* Somebody joined in the turn whose write failed: nobody is told, and nothing is released. */
static void test_write_fails_for_joined(void **state)
{
    struct gate_ask asks[3] = { 0 };

    (void)state;
    open_coupon(3, NULL, 0);
    for (size_t i = 0; i < 3; i++)
        asks[i] = question(1, GATE_RESERVE);
    write_errno = EIO;
    put(asks, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(asks[i].outcome, GATE_FAILED);
    faults_end();
    assert_int_equal(gate_status(gate, COUPON).pending, 1); /* the sweeper's */
    expect(1, GATE_RESERVE, GATE_ALREADY, 1);
    restart();
    assert_int_equal(remembered(), 1);
}

static void test_cutting_back_fails(void **state)
{
    (void)state;
    open_coupon(3, NULL, 0);
    reserve(1, 1);
    write_limit = RECORD - 1;
    cut_fails = true;
    expect(2, GATE_RESERVE, GATE_FAILED, 2);
    faults_end();
    assert_false(gate_is_usable(gate));
    assert_false(gate_status(gate, COUPON).open);
    expect(3, GATE_ISSUE, GATE_CLOSED, 0);
    expect(1, GATE_RESERVE, GATE_CLOSED, 0);
    restart();
    assert_true(gate_is_usable(gate));
    open_coupon(3, NULL, 0);
    expect(1, GATE_RESERVE, GATE_ALREADY, 1);
    reserve(3, 2);
}

static void test_every_allocation_of_an_ask(void **state)
{
    (void)state;
    open_coupon(3000, NULL, 0);
    for (int64_t user = 1; user <= 3000; user++) {
        struct gate_ask one;
        for (int after = 0;; after++) {
            mem_fault_set(after);
            one = ask(user, GATE_RESERVE);
            mem_fault_set(-1);
            if (one.outcome != GATE_FAILED)
                break;
            assert_int_equal(gate_status(gate, COUPON).granted, user - 1);
        }
        assert_int_equal(one.outcome, GATE_GRANTED);
        assert_int_equal(one.slot, user);
    }
    restart();
    assert_int_equal(remembered(), 3000);
}

/* ---- after a restart ---- */

static void test_stored_meanwhile(void **state)
{
    static const struct row rows[] = { { 1, 1 }, { 2, 2 } };

    (void)state;
    open_coupon(5, NULL, 0);
    for (int64_t user = 1; user <= 3; user++)
        reserve(user, user);
    restart(); /* killed between the commit and the confirmation */
    open_coupon(5, rows, 2);
    assert_int_equal(gate_status(gate, COUPON).pending, 1);
    expect(1, GATE_ISSUE, GATE_ALREADY, 1);
    gate_confirm(client, &(struct gate_entry){ COUPON, 3, 3, 0, 0 });
    assert_int_equal(dir_count(".journal"), 1); /* the old one is settled */
    restart();
    assert_int_equal(remembered(), 0);
}

static void test_released_and_moved(void **state)
{
    (void)state;
    open_coupon(9, NULL, 0);
    struct gate_entry first = reserve(1, 1), second = reserve(2, 2), third = reserve(3, 3);
    assert_true(release(&first));
    reserve(4, 1); /* the same number, another person */
    assert_int_equal(move(&second, 0), GATE_GRANTED);
    assert_int_equal(second.slot, 4);
    assert_int_equal(move(&third, 9), GATE_ALREADY); /* a row of its own */
    reserve(1, 3);
    restart();
    /* 3 is remembered with the number it had: its row says better. */
    open_coupon(9, &(struct row){ 9, 3 }, 1);
    expect(1, GATE_ISSUE, GATE_ALREADY, 3);
    expect(2, GATE_ISSUE, GATE_ALREADY, 4);
    expect(3, GATE_ISSUE, GATE_ALREADY, 9);
    expect(4, GATE_ISSUE, GATE_ALREADY, 1);
    assert_int_equal(gate_status(gate, COUPON).pending, 3);
    reserve(5, 2);
}

static void test_failed_release_stays(void **state)
{
    (void)state;
    open_coupon(2, NULL, 0);
    struct gate_entry entry = reserve(1, 1);
    write_errno = ENOSPC;
    assert_false(release(&entry)); /* else a restart would give it to two */
    faults_end();
    assert_true(release(&entry));
    restart();
    assert_int_equal(remembered(), 0);
}

/* The number has become somebody else's row: the next free one, and that is remembered, too. */
static void test_loser_gets_the_next(void **state)
{
    static const struct row rows[] = { { 2, 20 }, { 5, 50 } };

    (void)state;
    open_coupon(6, NULL, 0);
    for (int64_t user = 1; user <= 3; user++)
        reserve(user, user);
    for (int round = 0; round < 2; round++) {
        restart();
        open_coupon(6, rows, 2);
        expect(1, GATE_RESERVE, GATE_ALREADY, 1);
        expect(2, GATE_RESERVE, GATE_ALREADY, 4);
        expect(3, GATE_RESERVE, GATE_ALREADY, 3);
        assert_int_equal(gate_status(gate, COUPON).remaining, 1);
    }
}

/* A rebuild that fails half-way forgets nothing: the next one takes up what the journal has. */
static void test_rebuild_fails_then_works(void **state)
{
    static const struct row rows[] = { { 2, 5000 }, { 3, 5001 } };

    (void)state;
    open_coupon(2000, NULL, 0);
    for (int64_t user = 1; user <= 1000; user++)
        reserve(user, user);
    for (int after = 0;; after++) {
        restart();
        assert_int_equal(remembered(), 1000);
        mem_fault_set(after);
        enum err e = try_open_coupon(2000, rows, 1);
        mem_fault_set(-1);
        if (e == ERR_OK)
            break;
        assert_int_equal(e, ERR_NOMEM);
        open_coupon(2000, rows, 1);
        assert_int_equal(gate_status(gate, COUPON).pending, 1000);
        expect(1, GATE_RESERVE, GATE_ALREADY, 1);
    }
    restart();
    write_errno = ENOSPC; /* the loser's new place cannot be written down */
    assert_int_equal(try_open_coupon(2000, rows, 2), ERR_IO);
    faults_end();
    open_coupon(2000, rows, 2);
    assert_int_equal(gate_status(gate, COUPON).pending, 1000);
    expect(2, GATE_RESERVE, GATE_ALREADY, 1001);
    expect(3, GATE_RESERVE, GATE_ALREADY, 1002);
}

static void test_every_allocation_of_opening(void **state)
{
    (void)state;
    open_coupon(5, NULL, 0);
    struct gate_entry entry = reserve(1, 1);
    assert_true(release(&entry));
    reserve(2, 1);
    for (int after = 0;; after++) {
        struct gate *second = NULL;
        long before = mem_live_count();
        mem_fault_set(after);
        enum err e = gate_memory_open(&gate_options, &gate_report, &second);
        int hits = mem_fault_hits();
        mem_fault_set(-1);
        gate_memory_free(second);
        assert_int_equal(mem_live_count(), before);
        if (hits == 0)
            break;
        assert_int_equal(e, ERR_NOMEM);
    }
    restart();
    assert_int_equal(remembered(), 1);
}

static void test_read_only(void **state)
{
    struct gate *second;

    (void)state;
    open_coupon(5, NULL, 0);
    struct gate_entry entry = reserve(1, 1);
    assert_true(release(&entry));
    restart();
    size_t files = dir_count(".journal");
    gate_options.journal.read_only = true;
    second = gate_open_here();
    gate_memory_free(second);
    assert_int_equal(dir_count(".journal"), files);
}

static void test_settled_files_go(void **state)
{
    (void)state;
    gate_options.journal.generation_bytes_max = 4096;
    restart();
    open_coupon(10000, NULL, 0);
    for (int64_t user = 1; user <= 2000; user++) {
        reserve(user, user);
        if (user > 10)
            gate_confirm(client, &(struct gate_entry){ COUPON, user - 10, user - 10, 0, 0 });
    }
    assert_true(gate_stats(gate).journal_generations <= 3);
    assert_true(dir_count(".journal") <= 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    static const struct CMUnitTest tests[] = {
        TEST(test_journalled_before_told),
        TEST(test_write_fails),
        TEST(test_write_fails_for_joined),
        TEST(test_cutting_back_fails),
        TEST(test_every_allocation_of_an_ask),
        TEST(test_stored_meanwhile),
        TEST(test_released_and_moved),
        TEST(test_failed_release_stays),
        TEST(test_loser_gets_the_next),
        TEST(test_rebuild_fails_then_works),
        TEST(test_every_allocation_of_opening),
        TEST(test_read_only),
        TEST(test_settled_files_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
