// SPDX-License-Identifier: Apache-2.0
/* What ranking.h promises, as tests that any implementation must pass. */
#pragma once
#include "ranking/ranking.h"

struct ranking_host {
    const char *name;
    struct ranking *(*open)(void); /* new, with nothing in it */
    void (*close)(struct ranking *ranking);
    struct loop *(*loop)(void);
    void (*settle)(void); /* returns when what was put can be read */
    unsigned slow;        /* so much shorter runs; 0: 1 */
    void (*turn)(void);   /* handles what has arrived; if nothing has, waits a little for it */
};

/* Number of tests that failed. */
int ranking_conformance(const struct ranking_host *host);
