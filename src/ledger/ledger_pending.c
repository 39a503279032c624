// SPDX-License-Identifier: Apache-2.0
#include "ledger/ledger_sqlite_internal.h"
#define WEAK __attribute__((weak))
WEAK enum err ledger_decide_product_create(struct ledger_rows *r, struct ledger_product_create *c) { (void)r; (void)c; return ERR_INVALID; }
WEAK enum err ledger_decide_product_change(struct ledger_rows *r, struct ledger_product_change *c) { (void)r; (void)c; return ERR_INVALID; }
WEAK void ledger_decide_cart_change(struct ledger_rows *r, struct ledger_cart_change *c) { (void)r; (void)c; }
WEAK enum err ledger_sqlite_shop_prepare(struct sqlite_ledger *l) { (void)l; return ERR_OK; }
WEAK enum err ledger_sqlite_shop_load(struct sqlite_ledger *l) { (void)l; return ERR_OK; }
WEAK enum err ledger_sqlite_shop_store(struct sqlite_ledger *l) { (void)l; return ERR_OK; }
WEAK enum err ledger_sqlite_boards_store(struct sqlite_ledger *l, struct ledger_boards_store *b) { (void)l; (void)b; return ERR_OK; }
