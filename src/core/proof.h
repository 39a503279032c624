// SPDX-License-Identifier: Apache-2.0
/*
 * The proof of a drop: are the stored rows, the coupon's witness and the gate one story?
 *
 * Order matters while the drop is running: take the gate's picture first, read the rows after it.
 * Then every number without a row was, at the first picture, pending, returned, or not handed out.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/id_set.h"
#include "core/coupon.h"

/* The gate's picture of one coupon. Arrays are owned (mem_free), sorted ascending. */
struct gate_picture {
    bool known;        /* false: there is no gate for this coupon (ended, or stores at rest) */
    int64_t granted;   /* entries, pending ones included */
    int64_t next_slot; /* the first number never handed out */
    int64_t epoch;
    uint64_t changes; /* grows with every grant, confirmation, release and move */
    int64_t *pending; /* slots */
    size_t pending_count;
    int64_t *returned; /* slots */
    size_t returned_count;
};
void gate_picture_fini(struct gate_picture *picture);

enum proof_why { PROOF_RETURNED, PROOF_PENDING, PROOF_UNKNOWN };
struct proof_gap {
    int64_t from, to; /* inclusive */
    enum proof_why why;
};

enum proof_check_id {
    PROOF_QUANTITY,
    PROOF_USERS,
    PROOF_SEQUENCE,
    PROOF_WITNESS,
    PROOF_GATE,
    PROOF_TOLD,
    PROOF_CHECK_N,
};
enum { PROOF_DETAIL_BYTES = 160 };
struct proof_check {
    bool made, ok;
    char detail[PROOF_DETAIL_BYTES];
};

/* Filled by proof_begin() .. proof_finish(); zero-initialise it, proof_fini() frees. */
struct proof {
    const struct coupon *coupon;       /* borrowed; as read with the rows */
    const struct gate_picture *before; /* borrowed; taken before the rows were read */
    struct witness rows;               /* what the rows add up to */
    int64_t first_slot, last_slot;     /* 0 while there is no row */
    int64_t duplicate_slots, above_quantity;
    struct id_set users;
    struct proof_gap *gaps;
    size_t gap_count, gap_cap;
    size_t pending_at, returned_at; /* how far the picture's arrays are used up */
    struct proof_check checks[PROOF_CHECK_N];
    bool ok;
};

void proof_begin(struct proof *proof, const struct coupon *coupon,
                 const struct gate_picture *before);
/* One stored row; rows come in ascending order of slot. ERR_NOMEM. */
enum err proof_add_row(struct proof *proof, int64_t slot, int64_t user_id) MUST_CHECK;
/* `after`: the gate's picture once the rows were read; the gate check is exact if nothing moved. */
enum err proof_finish(struct proof *proof, const struct gate_picture *after) MUST_CHECK;
/* Adds the check `told`: `lies` of `told` people were told something that is not so. */
void proof_told(struct proof *proof, int64_t told, int64_t lies, const char *first_lie);
void proof_fini(struct proof *proof);

const char *proof_why_name(enum proof_why why);          /* "returned" */
const char *proof_check_name(enum proof_check_id check); /* "witness" */
