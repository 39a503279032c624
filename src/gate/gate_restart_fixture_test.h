// SPDX-License-Identifier: Apache-2.0
/* One coupon's memory gate that is asked, killed and started again. */
#pragma once
#include "base/log.h"
#include "base/mem.h"
#include "gate/gate_faults_test.h"
#include "gate/gate_memory_fixture_test.h"

enum { COUPON = 7, RECORD = sizeof(struct journal_record), HEADER = 64 };

static struct gate *gate;
static struct gate_client *client;
static long live;

static int setup(void **state)
{
    (void)state;
    faults_end();
    log_write(LOG_WARN, "a test begins", NULL, 0); /* its buffer is not counted */
    live = mem_live_count();
    here_begin();
    gate = gate_open_here();
    client = gate_client_new(gate, sim, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    gate_client_free(client);
    gate_memory_free(gate);
    here_end();
    return mem_live_count() == live ? 0 : -1;
}

struct row {
    int64_t slot, user_id;
};

static enum err try_open_coupon(int64_t quantity, const struct row *rows, size_t count)
{
    struct coupon_settings settings = { .total_quantity = quantity, .ends_at_ms = INT64_MAX };
    struct gate_rebuild *rebuild = NULL;

    enum err e = gate_rebuild_begin(gate, COUPON, 1, &settings, &rebuild);
    for (size_t i = 0; e == ERR_OK && i < count; i++)
        e = gate_rebuild_add(rebuild, rows[i].slot, rows[i].user_id);
    if (e == ERR_OK)
        e = gate_rebuild_open(rebuild, (int64_t)count);
    gate_rebuild_free(rebuild);
    return e;
}

static void open_coupon(int64_t quantity, const struct row *rows, size_t count)
{
    assert_ok(try_open_coupon(quantity, rows, count));
}

/* kill -9, and the next start: only the files are left. */
static void restart(void)
{
    gate_client_free(client);
    gate_memory_free(gate);
    gate = gate_open_here();
    client = gate_client_new(gate, sim, NULL);
}

static size_t answered;
static long journal_bytes_when_told;

static void note_answer(struct gate_ask *ask)
{
    (void)ask;
    answered++;
    journal_bytes_when_told = file_size("gate-00000001.journal");
}

static struct gate_ask question(int64_t user_id, enum gate_purpose purpose)
{
    return (struct gate_ask){ .done = note_answer,
                              .coupon_id = COUPON,
                              .user_id = user_id,
                              .purpose = purpose,
                              .token = gate_token(gate) };
}

static void put(struct gate_ask *asks, size_t count)
{
    answered = 0;
    for (size_t i = 0; i < count; i++)
        gate_ask(client, &asks[i]);
    loop_sim_turn(sim);
    assert_int_equal(answered, count);
}

static struct gate_ask ask(int64_t user_id, enum gate_purpose purpose)
{
    struct gate_ask one = question(user_id, purpose);

    put(&one, 1);
    return one;
}

static struct gate_entry expect(int64_t user_id, enum gate_purpose purpose,
                                enum gate_outcome outcome, int64_t slot)
{
    struct gate_ask one = ask(user_id, purpose);

    assert_int_equal(one.outcome, outcome);
    assert_int_equal(one.slot, slot);
    return (struct gate_entry){ COUPON, user_id, slot, one.token, one.epoch };
}

static struct gate_entry reserve(int64_t user_id, int64_t slot)
{
    return expect(user_id, GATE_RESERVE, GATE_GRANTED, slot);
}

static bool release(const struct gate_entry *entry)
{
    uint64_t before = gate_stats(gate).released;

    gate_release(client, entry);
    return gate_stats(gate).released > before;
}

static void note_move(struct gate_move *move)
{
    assert_non_null(move);
    answered++;
}

static enum gate_outcome move(struct gate_entry *entry, int64_t own_slot)
{
    struct gate_move one = { .done = note_move, .entry = *entry, .own_slot = own_slot };

    answered = 0;
    gate_move(client, &one);
    loop_sim_turn(sim);
    assert_int_equal(answered, 1);
    *entry = one.entry;
    return one.outcome;
}

static bool count_remembered(void *context, const struct gate_memory_entry *entry)
{
    assert_int_equal(entry->coupon_id, COUPON);
    ++*(size_t *)context;
    return true;
}

static size_t remembered(void)
{
    size_t count = 0;

    gate_memory_remembered(gate, count_remembered, &count);
    return count;
}
