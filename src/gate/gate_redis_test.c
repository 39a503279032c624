// SPDX-License-Identifier: Apache-2.0
/* The gate in Redis keeps what gate.h promises. */
#include "gate/gate_conformance.h"
#include "gate/gate_redis_fixture_test.h"

static struct gate *host_open(void)
{
    redis_begin();
    return redis_gate;
}

static void host_close(struct gate *gate)
{
    assert_ptr_equal(gate, redis_gate);
    redis_end();
}

static struct loop *host_loop(void)
{
    return redis_loop;
}

int main(int argc, char **argv)
{
    static const struct gate_host host = { .name = "Redis gate",
                                           .real_time = true,
                                           .open = host_open,
                                           .close = host_close,
                                           .loop = host_loop,
                                           .turn = redis_turn,
                                           .pass = redis_pass };

    if (argc > 1)
        redis_variable = argv[1];
    return gate_conformance(&host);
}
