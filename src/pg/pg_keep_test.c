// SPDX-License-Identifier: Apache-2.0
/* Statements that are kept, against a real server. */
#include "pg/pg_conn_fixture_test.h"

#define KEPT(sql_) ((struct pg_statement){ .sql = (sql_), .keep = true })
#define HOW_MANY "SELECT count(*)::text FROM pg_prepared_statements"

/* How many the session has. */
static int kept(void)
{
    const struct pg_statement statement = { .sql = HOW_MANY };

    assert_int_equal(run(&statement, 1), ERR_OK);
    return (int)strtol(PQgetvalue(exchange.results[0], 0, 0), NULL, 10);
}

static void run_batch(void)
{
    const char *const values[] = { "20", "22" };
    const struct pg_statement batch[] = {
        KEPT("BEGIN"),
        { .sql = "SELECT $1::int + $2::int", .param_count = 2, .values = values, .keep = true },
        KEPT("SELECT 'one' WHERE true"),
        { .sql = "SELECT $1::int + $2::int", .param_count = 2, .values = values, .keep = true },
        KEPT("COMMIT"),
    };

    assert_int_equal(run(batch, 5), ERR_OK);
    assert_int_equal(exchange.failed, 5);
    assert_string_equal(PQgetvalue(exchange.results[1], 0, 0), "42");
    assert_string_equal(PQgetvalue(exchange.results[2], 0, 0), "one");
    assert_string_equal(PQgetvalue(exchange.results[3], 0, 0), "42");
    assert_string_equal(PQcmdStatus(exchange.results[4]), "COMMIT");
    assert_false(pg_conn_in_transaction(conn));
}

static void test_parsed_once(void **state)
{
    (void)state;
    begin();
    for (int i = 0; i < 20; i++)
        run_batch();
    assert_int_equal(kept(), 2);
    end();
}

static void test_forgotten_after_a_while(void **state)
{
    const struct pg_statement other = KEPT("SELECT 'another one'");

    (void)state;
    begin();
    run_batch();
    conn->keep.since_ms -= 10000;
    run_for(1);
    assert_int_equal(run(&other, 1), ERR_OK);
    assert_int_equal(kept(), 1);
    run_batch();
    end();
}

/* What was not reached was not made ready: all are, anew. */
static void test_after_an_error(void **state)
{
    const struct pg_statement bad[] = { KEPT("BEGIN"), KEPT("SELECT 1/(2 - 2) AS none"),
                                        KEPT("SELECT 'never reached'"), KEPT("COMMIT") };
    const struct pg_statement later[] = { KEPT("SELECT 'never reached'") };

    (void)state;
    begin();
    run_batch();
    assert_int_equal(run(bad, 4), ERR_INVALID);
    assert_int_equal(exchange.failed, 1);
    assert_null(exchange.results[2]);
    assert_int_equal(run_sql(conn, "ROLLBACK"), ERR_OK);
    assert_int_equal(run(later, 1), ERR_OK);
    assert_string_equal(PQgetvalue(exchange.results[0], 0, 0), "never reached");
    run_batch();
    assert_int_equal(kept(), 3);
    end();
}

static void test_text_that_is_none(void **state)
{
    const struct pg_statement bad = KEPT("no such statement as this");

    (void)state;
    begin();
    assert_int_equal(run(&bad, 1), ERR_IO);
    assert_int_equal(exchange.failed, 0);
    assert_string_equal(exchange.sqlstate, "42601");
    run_batch();
    end();
}

/* As through a PgBouncer: another session, without them. Last: from then on nothing is kept. */
static void test_gone_behind_its_back(void **state)
{
    (void)state;
    begin();
    run_batch();
    assert_int_equal(run_sql(conn, "DEALLOCATE ALL"), ERR_OK);
    const struct pg_statement batch[] = { KEPT("BEGIN"), KEPT("SELECT 'one' WHERE true"),
                                          KEPT("COMMIT") };
    assert_int_equal(run(batch, 3), ERR_CONFLICT);
    assert_int_equal(exchange.failed, 1);
    assert_int_equal(run_sql(conn, "ROLLBACK"), ERR_OK);
    run_batch();
    run_batch();
    assert_int_equal(kept(), 0);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parsed_once),          cmocka_unit_test(test_forgotten_after_a_while),
        cmocka_unit_test(test_after_an_error),       cmocka_unit_test(test_text_that_is_none),
        cmocka_unit_test(test_gone_behind_its_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
