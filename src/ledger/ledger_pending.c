// SPDX-License-Identifier: Apache-2.0
#include "ledger/ledger_sqlite_internal.h"
#define WEAK __attribute__((weak))
WEAK enum err ledger_sqlite_boards_store(struct sqlite_ledger *l, struct ledger_boards_store *b) { (void)l; (void)b; return ERR_OK; }
