// SPDX-License-Identifier: Apache-2.0
/* What every writer does with a batch, whatever it writes into. */
#pragma once
#include "ledger/ledger_backend.h"
#include "metrics/metrics.h"

/* All commands of the batch end like this. */
void ledger_batch_set_err(struct list *batch, enum err e);
/* The error may be of one command only: run them one by one. */
bool ledger_batch_retry_may_help(enum err e);
/* As a command is told that was run by itself. */
enum err ledger_batch_err_of_one(enum err e);
/* `metrics` may be NULL. */
void ledger_batch_count(struct metrics_slot *metrics, size_t count, uint64_t started_ns,
                        enum err e);
/* Ranges of users go round again; the rest goes home. Returns how many are complete. */
size_t ledger_batch_complete(struct ledger_queue *queue, struct list *batch);

/* Does somebody want to know? Then they are told before readers can see it, and how it ended. */
bool ledger_watch_begin(struct ledger *ledger, const struct ledger_changes *changes);
void ledger_watch_end(struct ledger *ledger, const struct ledger_changes *changes, bool committed);

/* The next piece of a range of users: its first and how many. */
enum { LEDGER_USERS_PIECE = 2000 };
int64_t ledger_users_piece(const struct ledger_users_create *create, int64_t *ret_count);
