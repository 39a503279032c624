// SPDX-License-Identifier: Apache-2.0
/* What gate.h promises, as tests that any implementation must pass. */
#pragma once
#include "gate/gate.h"

struct gate_host {
    const char *name;
    bool
        real_time; /* it goes on while a test runs: what depends on it to the ms is not looked at */
    struct gate *(*open)(void); /* empty: no coupon has a gate */
    void (*close)(struct gate *gate);
    struct loop *(*loop)(void);
    void (*turn)(void);        /* everything asked is answered */
    void (*pass)(uint64_t ms); /* time, for the sweeper */
};

/* Number of tests that failed. */
int gate_conformance(const struct gate_host *host);
