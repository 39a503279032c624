// SPDX-License-Identifier: Apache-2.0
/* Events in the PostgreSQL ledger; part of ledger_pg_internal.h. */
#pragma once
#include <libpq-fe.h>

#include "ledger/ledger.h"

struct pg_writer;
struct pg_trip;

/* Those that the batch has made. */
void ledger_pg_events_add(struct pg_writer *writer);
/* What the batch's commands do with events. */
void ledger_pg_event_commands_add(struct pg_writer *writer);
void ledger_pg_events_revived(struct pg_writer *writer, const PGresult *result);
/* False: not a read of events. */
bool ledger_pg_read_events_add(struct pg_trip *trip, const struct ledger_read *read);
enum err ledger_pg_read_events_take(struct ledger_read *read, const PGresult *result) MUST_CHECK;
