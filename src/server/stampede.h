// SPDX-License-Identifier: Apache-2.0
/* A rehearsal of a drop: many people at once over real HTTP, each of them once. */
#pragma once
#include "server/histogram.h"
#include "server/target.h"
#include "server/told.h"

enum stampede_way {
    STAMPEDE_RESERVE,
    STAMPEDE_ISSUE,
    STAMPEDE_MIXED /* every other user issues */
};

enum stampede_outcome {
    STAMPEDE_WON,
    STAMPEDE_SOLD_OUT,
    STAMPEDE_ALREADY,
    STAMPEDE_REFUSED,     /* another 4xx */
    STAMPEDE_UNAVAILABLE, /* 503 */
    STAMPEDE_ERROR,       /* another 5xx, or no complete answer */
    STAMPEDE_OUTCOME_N,
};

enum { STAMPEDE_SAMPLE_BYTES = 64 };

struct stampede {
    const struct target *target;
    int64_t coupon_id, from_user_id, to_user_id;
    size_t connections;
    enum stampede_way way;
    /* Called now and then while it runs; may be NULL. */
    void (*progress)(const struct stampede *stampede);

    int64_t answered; /* users, in whatever way */
    uint64_t count[STAMPEDE_OUTCOME_N];
    char sample[STAMPEDE_OUTCOME_N][STAMPEDE_SAMPLE_BYTES]; /* the error's name of one of them */
    struct histogram latency;                               /* of complete answers */
    struct told told;
    uint64_t started_ns, ended_ns;
    bool short_of_memory; /* the told list is not whole */

    int64_t next_user_id; /* private */
};

/*
 * Opens the connections, then lets everybody go. ERR_UNAVAILABLE: nobody answers there; ERR_NOMEM.
 */
enum err stampede_run(struct stampede *stampede) MUST_CHECK;
void stampede_fini(struct stampede *stampede);
const char *stampede_outcome_name(enum stampede_outcome outcome); /* "sold out" */
