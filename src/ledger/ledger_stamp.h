// SPDX-License-Identifier: Apache-2.0
/* What a store says of itself; the same for every implementation. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "ledger/ledger.h"

enum { LEDGER_DATABASE_ID_BYTES = 16 };
/* A version and the next one run side by side, so migrations only add: a program works on a store
 * that is so many migrations ahead of it. */
enum { LEDGER_LEVELS_AHEAD = 1 };

/* What the first migration wrote into the store, and how far it is. */
struct ledger_stamp {
    uint8_t database_id[LEDGER_DATABASE_ID_BYTES];
    char profile[16], time_zone[64];
    int64_t clock_offset_ms;
    enum ledger_load_data load_data;
    bool empty;            /* neither a user nor a coupon */
    bool half_copied;      /* a copy that is not finished (ledger_copy.h): nothing to run on */
    bool sold;             /* there are sums of sales, by days of `time_zone` */
    int64_t level, latest; /* migrations: applied, known */
};
