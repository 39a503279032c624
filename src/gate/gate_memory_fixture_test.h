// SPDX-License-Identifier: Apache-2.0
/* A memory gate in a directory of its own, on a simulated loop. */
#pragma once
#include "gate/gate_fixture_test.h"
#include "gate/gate_memory.h"
#include "loop/loop_sim.h"

static struct gate_memory_options gate_options;
static struct journal_report gate_report;
static struct loop *sim;

static inline struct gate *gate_open_here(void)
{
    struct gate *gate = NULL;

    assert_ok(gate_memory_open(&gate_options, &gate_report, &gate));
    return gate;
}

static inline void here_begin(void)
{
    dir_make();
    gate_options = (struct gate_memory_options){ .journal = { .directory = dir,
                                                              .database_id = "a database's id",
                                                              .generation_bytes_max = 1 << 20 } };
    sim = loop_new();
    assert_non_null(sim);
}

static inline void here_end(void)
{
    sim = loop_free(sim);
    dir_remove();
}
