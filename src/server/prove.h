// SPDX-License-Identifier: Apache-2.0
/* The proof of a drop, asked of a running server or made from the stores at rest. */
#pragma once
#include "api/admin_json.h"
#include "core/proof.h"
#include "server/target.h"
#include "server/told.h"
#include "shop/shop.h"

enum prove_result {
    PROVE_PROVED = 0,
    PROVE_BROKEN = 1,
    PROVE_COULD_NOT_LOOK = 2, /* the error says why */
};

struct prove {
    int64_t coupon_id;
    struct told *told; /* or NULL */

    bool at_rest;
    struct proof_answer answer;
    struct arena arena;       /* the answer's memory */
    struct coupon_proof made; /* at rest: what the answer borrows from */
    struct proof told_check;  /* running: likewise */
};

/* While something is pending it asks again, for a little while. */
enum prove_result prove_ask(struct prove *prove, const struct target *target,
                            struct config_error *ret_error);
/* Reads database and journal, and changes nothing. */
enum prove_result prove_at_rest(struct prove *prove, struct config *config,
                                struct config_error *ret_error);
void prove_fini(struct prove *prove);

/* For people: a line for each check; for programs: the proof as JSON. */
void prove_print(const struct prove *prove, bool json, struct buf *out);
