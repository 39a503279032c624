// SPDX-License-Identifier: Apache-2.0
/* The gate in Redis keeps what gate.h promises, in each topology. */
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

int main(void)
{
    static const struct {
        const char *name, *variable;
    } topologies[] = { { "Redis gate", "DOORBUSTER_TEST_REDIS" },
                       { "Redis gate, Sentinel", "DOORBUSTER_TEST_REDIS_SENTINEL" },
                       { "Redis gate, cluster", "DOORBUSTER_TEST_REDIS_CLUSTER" } };
    int failed = 0;

    for (size_t i = 0; i < ARRAY_COUNT(topologies); i++) {
        const struct gate_host host = { .name = topologies[i].name,
                                        .in_store = true,
                                        .open = host_open,
                                        .close = host_close,
                                        .loop = host_loop,
                                        .turn = redis_turn,
                                        .pass = redis_pass };
        redis_variable = topologies[i].variable;
        redis_hand = redis_sync_close(redis_hand);
        failed += gate_conformance(&host);
    }
    redis_hand = redis_sync_close(redis_hand);
    return failed;
}
