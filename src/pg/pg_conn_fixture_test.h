// SPDX-License-Identifier: Apache-2.0
/* One connection to a real server, and one exchange at a time on it. */
#pragma once
#include "pg/pg_fixture_test.h"

static struct pg_conn *conn;
static struct pg_exchange exchange;

static void begin(void)
{
    begin_at(test_url());
    conn = connect_one();
}

static void end(void)
{
    pg_exchange_fini(&exchange);
    conn = pg_conn_free(conn);
    finish();
}

static enum err run(const struct pg_statement *statements, size_t count)
{
    pg_exchange_fini(&exchange);
    return run_statements(conn, &exchange, statements, count, 10000);
}
