// SPDX-License-Identifier: Apache-2.0
/* The gate in memory, while it is looked at, too. */
#include "gate/gate_hammer_test.h"
#include "gate/gate_memory.h"

static struct gate *gate;

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
    struct gate_client *client = gate_client_new(gate, loop, NULL);

    gate_sweep(client, &sweep);
    for (size_t i = 0; i < sweep.count; i++)
        gate_confirm(client, &entries[i]);
    loop_free(gate_client_free(client) ? NULL : loop);
}

static void test_threads(void **state)
{
    struct gate_memory_options options = { .journal = { .directory = dir,
                                                        .generation_bytes_max = 16384 } };
    struct journal_report report;

    (void)state;
    dir_make();
    assert_ok(gate_memory_open(&options, &report, &gate));
    hammer_open(gate);
    hammer_start(&gate, 1, 0);
    for (size_t i = 0; i < 200; i++)
        hammer_look(gate);
    int64_t holders = hammer_join();
    assert_int_equal(hammer_look(gate), holders);
    sweep_up();
    struct gate_status status = gate_status(gate, COUPON);
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
