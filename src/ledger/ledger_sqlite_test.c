// SPDX-License-Identifier: Apache-2.0
/* The SQLite ledger keeps what ledger.h promises. */
#include <stdlib.h>
#include <unistd.h>

#include "ledger/ledger_conformance_internal.h"
#include "ledger/ledger_sqlite.h"

static char dir[64], path[128];

static void uncertain(void *context)
{
    (void)context;
    abort(); /* nothing fails here */
}

static struct ledger *host_open(void)
{
    struct ledger *ledger;
    int64_t applied;

    strcpy(dir, "/tmp/doorbuster-test-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/db", dir);
    assert_ok(ledger_sqlite_migrate(path, "test", "UTC", &applied));
    struct ledger_sqlite_options options = { .path = path,
                                             .queue_max = 1000,
                                             .batch_max = 200,
                                             .queue_age_max_ms = 60000,
                                             .consumers = 3,
                                             .on_uncertain = uncertain };
    assert_ok(ledger_sqlite_open(&options, &ledger));
    return ledger;
}

static void host_close(struct ledger *ledger)
{
    static const char *const suffixes[] = { "", "-wal", "-shm" };

    ledger_sqlite_stop(ledger);
    ledger_sqlite_free(ledger);
    for (size_t i = 0; i < ARRAY_COUNT(suffixes); i++) {
        char name[160];
        snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        unlink(name);
    }
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    static const struct ledger_host host = { "SQLite ledger", host_open, host_close,
                                             .has_events = true };

    return ledger_conformance(&host);
}
