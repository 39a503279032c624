// SPDX-License-Identifier: Apache-2.0
/* Reads that add up the sums of many days, which takes as long as it takes: on a thread for such
 * work, then `done`. */
#pragma once
#include "ledger/ledger.h"
#include "ledger/ledger_sums.h"

/* SALES_PAGE, SALES_PRODUCT: from the sums of the window's days. ERR_NOMEM. */
enum err ledger_sums_answer(struct ledger_read *read, struct ledger_sums *sums) MUST_CHECK;
/* `work` is called on a thread for such work, then `read->done` on the loop. */
void ledger_sums_read_start(struct loop *loop, struct ledger_read *read,
                            void (*work)(struct loop_work *work));
/* The error as readers are told. */
enum err ledger_sums_read_err(const struct ledger_read *read, enum err e);
