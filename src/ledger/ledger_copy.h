// SPDX-License-Identifier: Apache-2.0
/*
 * A shop moves between shop.db and PostgreSQL. Rows go table by table in the order of their primary
 * keys, some ten thousand in a transaction, so that the last key that the target has says where to
 * go on after a kill. Until all of it is there and verified, the target holds a mark with the
 * source's id: no server runs on it (ledger_stamp.half_copied).
 */
#pragma once
#include "ledger/ledger_stamp.h"

/* What the gate granted and the source may not have yet. */
struct ledger_copy_place {
    int64_t coupon_id, user_id;
};

struct ledger_copy {
    const char *path; /* shop.db */
    const char *url;  /* PostgreSQL */
    bool to_postgres;
    /* Without a row for each of these nothing is copied. Borrowed. */
    const struct ledger_copy_place *places;
    size_t place_count;
    /* What it is at: "copying", "verifying"; of `of` rows of that table. Now and then, and once
     * with all of them. */
    void (*progress)(void *context, const char *what, const char *table, int64_t rows, int64_t of);
    void *context;

    /* out */
    int64_t tables, rows, coupons; /* of all of the shop */
    int64_t found;                 /* rows that an earlier call had copied */
    char why[400];                 /* the sentence for people, where it did not come about */
};

/*
 * Both are at the same level, and nobody else works on the source or the target (a running server
 * on PostgreSQL is noticed by its lease). The source is locked against writing meanwhile. May be
 * killed at any time and called again; after its end, that compares once more. `why` says what is
 * wrong: CONFLICT     refused, nothing was changed CORRUPT      what was copied is not what is in
 * the source, or the source does not agree with its coupons' witnesses UNAVAILABLE  a store failed:
 * call again to go on NOMEM, …
 */
enum err ledger_copy_run(struct ledger_copy *copy) MUST_CHECK;
