// SPDX-License-Identifier: Apache-2.0
/* The memory gate keeps what gate.h promises. */
#include <sys/syscall.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "gate/gate_conformance.h"
#include "gate/gate_memory_fixture_test.h"

/* Stands before the C library's: the clock that measures durations is ahead by this much. */
static uint64_t ahead_ms;

int clock_gettime(clockid_t id, struct timespec *out)
{
    int result = (int)syscall(SYS_clock_gettime, id, out);

    if (id == CLOCK_MONOTONIC) {
        out->tv_sec += (time_t)(ahead_ms / 1000);
        out->tv_nsec += (long)(ahead_ms % 1000) * 1000000;
        out->tv_sec += out->tv_nsec / 1000000000;
        out->tv_nsec %= 1000000000;
    }
    return result;
}

static long live;

static struct gate *host_open(void)
{
    log_write(LOG_WARN, "a test begins", NULL, 0); /* its buffer is not counted */
    live = mem_live_count();
    here_begin();
    return gate_open_here();
}

static void host_close(struct gate *gate)
{
    gate_memory_free(gate);
    here_end();
    assert_int_equal(mem_live_count(), live);
}

static struct loop *host_loop(void)
{
    return sim;
}

static void host_turn(void)
{
    loop_sim_turn(sim);
}

static void host_pass(uint64_t ms)
{
    ahead_ms += ms;
}

int main(void)
{
    static const struct gate_host host = { .name = "memory gate",
                                           .open = host_open,
                                           .close = host_close,
                                           .loop = host_loop,
                                           .turn = host_turn,
                                           .pass = host_pass };

    return gate_conformance(&host);
}
