// SPDX-License-Identifier: Apache-2.0
/* A memory ranking on a simulated loop; its thread is real. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <stdio.h>

#include "loop/loop_sim.h"
#include "ranking/ranking_conformance.h"
#include "ranking/ranking_memory_internal.h"

static struct loop *sim;

/* Boards of more than `at_once_max` products are made by the thread. */
static inline struct ranking *here_open(size_t boards_max, size_t at_once_max)
{
    sim = loop_new();
    assert_non_null(sim);
    struct ranking *ranking = ranking_memory_new(boards_max);
    assert_non_null(ranking);
    memory_ranking_self(ranking)->at_once_max = at_once_max;
    return ranking;
}

static inline void here_close(struct ranking *ranking)
{
    assert_null(ranking_memory_free(ranking));
    sim = loop_free(sim);
}

static inline struct loop *here_loop(void)
{
    return sim;
}

static inline void here_settle(void)
{
}

static inline void here_turn(void)
{
    loop_sim_turn(sim);
    sched_yield();
}
