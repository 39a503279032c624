// SPDX-License-Identifier: Apache-2.0
/* The PostgreSQL ledger keeps what ledger.h promises. */
#include "ledger/ledger_conformance_internal.h"
#include "ledger/ledger_pg_fixture_test.h"

static struct ledger *host_open(void)
{
    store_make();
    return store_open();
}

int main(void)
{
    static const struct ledger_host host = { "PostgreSQL ledger", host_open, store_close,
                                             .has_events = true };

    return ledger_conformance(&host);
}
