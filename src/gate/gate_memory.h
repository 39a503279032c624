// SPDX-License-Identifier: Apache-2.0
/* The embedded gate: in memory, rebuilt from the ledger at start, with a journal for `reserve`. */
#pragma once
#include "gate/gate.h"
#include "gate/journal.h"

struct gate_memory_options {
    struct journal_options journal;
};

/* Reads the journal; every coupon's gate is unknown until it is rebuilt. Errors: journal_open(). */
enum err gate_memory_open(const struct gate_memory_options *options,
                          struct journal_report *ret_report, struct gate **ret_gate) MUST_CHECK;
struct gate *gate_memory_free(struct gate *gate); /* its clients freed */

/* A reservation that the journal has and that was not released. */
struct gate_memory_entry {
    int64_t coupon_id, user_id, slot;
};
/* What the journal brought back and no rebuild has taken up yet. False from `each` stops. */
void gate_memory_remembered(struct gate *gate,
                            bool (*each)(void *context, const struct gate_memory_entry *entry),
                            void *context);
/* Nothing is granted any more, in no coupon: a commit's outcome is unknown, or the journal's end.
 */
void gate_memory_shut(struct gate *gate, bool shut);
