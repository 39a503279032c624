// SPDX-License-Identifier: Apache-2.0
/* What gate.h promises, as tests that any implementation must pass. */
#pragma once
#include "gate/gate.h"

struct gate_host {
    const char *name;
    /* Its memory is a store's: time goes on there while a test runs, and an epoch that was begun is
     * used up. */
    bool in_store;
    struct gate *(*open)(void); /* empty: no coupon has a gate */
    void (*close)(struct gate *gate);
    struct loop *(*loop)(void);
    void (*turn)(void);        /* everything asked is answered */
    void (*pass)(uint64_t ms); /* time, for the sweeper */
};

/* Number of tests that failed. */
int gate_conformance(const struct gate_host *host);
