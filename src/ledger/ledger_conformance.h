// SPDX-License-Identifier: Apache-2.0
/* What ledger.h promises, as tests that any implementation must pass. */
#pragma once
#include "ledger/ledger.h"

struct ledger_host {
    const char *name;
    struct ledger *(*open)(void); /* a store that is migrated and empty */
    void (*close)(struct ledger *ledger);
    bool has_events; /* of both consumers */
};

/* Number of tests that failed. Runs on a loop of its own. */
int ledger_conformance(const struct ledger_host *host);
