// SPDX-License-Identifier: Apache-2.0
/*
 * Connections that break before, in and after a commit, and at any other moment. Whatever is
 * answered is so: OK is there, UNAVAILABLE is not, UNCERTAIN may be; the ledger goes on.
 */
#include <time.h>

#include "ledger/ledger_faults_test.h"
#include "ledger/ledger_pg_fixture_test.h"

static int64_t next_number;

/* ---- the fixture ---- */

static int setup(void **state)
{
    (void)state;
    store_make();
    next_number = 1;
    world.ledger = store_open();
    coupon_make(world.ledger, COUPON, SLOTS_MAX);
    world.loop = loop_new();
    world.client = ledger_client_new(world.ledger, world.loop);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ledger_client_free(world.client);
    loop_free(world.loop);
    store_close(world.ledger);
    return 0;
}

/* The next places. */
static void run_next(struct ledger_command *commands)
{
    run_batch(commands, next_number);
    next_number += PLACES;
}

static void look(void)
{
    coupon_look(world.ledger);
    assert_int_equal(store_ask("SELECT count(*) FROM events WHERE kind = 1"), rows.issued);
}

#define KILL_MYSELF                                                      \
    "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN" \
    " PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$;"
#define KILL_OTHERS                                                 \
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity" \
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"

/* ---- before, in, after ---- */

static void test_while_it_is_stored(void **state)
{
    struct ledger_command commands[PLACES];

    (void)state;
    store_ask(KILL_MYSELF "CREATE TRIGGER t BEFORE INSERT ON user_coupons FOR EACH ROW"
                          " EXECUTE FUNCTION die()");
    run_next(commands);
    store_ask("DROP TRIGGER t ON user_coupons");
    look();
    assert_int_equal(rows.issued, 0);
    for (size_t i = 0; i < PLACES; i++)
        assert_true(commands[i].err == ERR_UNAVAILABLE || commands[i].err == ERR_UNCERTAIN);
    settle(commands);
    look();
    assert_int_equal(rows.issued, PLACES);
}

static void test_in_the_commit(void **state)
{
    struct ledger_command commands[PLACES];

    (void)state;
    store_ask(KILL_MYSELF "CREATE CONSTRAINT TRIGGER t AFTER INSERT ON user_coupons DEFERRABLE"
                          " INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die()");
    run_next(commands);
    store_ask("DROP TRIGGER t ON user_coupons");
    look();
    assert_int_equal(rows.issued, 0);
    expect(commands, ERR_UNCERTAIN);
    settle(commands);
}

static void wait_for_waiting(const char *event)
{
    char sql[200];

    snprintf(sql, sizeof sql, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = '%s'",
             event);
    for (int i = 0; store_ask(sql) == 0 && i < 500; i++)
        nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
}

/* Asks from aside, while the batch is on its way. */
struct aside {
    struct loop_work work;
    const char *event, *sql;
};

static void aside_work(struct loop_work *work)
{
    struct aside *aside = CONTAINER_OF(work, struct aside, work);

    wait_for_waiting(aside->event);
    store_ask(aside->sql);
}

static void aside_done(struct loop_work *work)
{
    (void)work;
    one_less();
}

static void run_batch_with(struct ledger_command *commands, const char *event, const char *sql)
{
    struct aside aside = { .work = { .work = aside_work, .done = aside_done },
                           .event = event,
                           .sql = sql };

    assert_ok(loop_work_start(world.loop, &aside.work));
    submit_batch(commands, next_number);
    next_number += PLACES;
    open_commands++;
    loop_run(world.loop);
}

/* The commit is done, and the connection breaks before it says so; or only a standby is missing. */
static void test_after_the_commit(void **state)
{
    static const char *const ends[] = {
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event = "
        "'SyncRep'",
        "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
    };
    struct ledger_command commands[PLACES];

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(ends); i++) {
        store_ask("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
        store_ask("SELECT pg_reload_conf()");
        store_ask("SELECT pg_sleep(0.5)"); /* until all processes have read it */
        run_batch_with(commands, "SyncRep", ends[i]);
        store_ask("ALTER SYSTEM RESET synchronous_standby_names");
        store_ask("SELECT pg_reload_conf()");
        expect(commands, ERR_UNCERTAIN);
        look();
        for (size_t j = 0; j < PLACES; j++)
            assert_true(is_there(&commands[j]));
        settle(commands);
    }
}

/* While it waits for a row that somebody else has: nothing was done yet, it is tried again. */
static void test_while_it_is_loaded(void **state)
{
    struct ledger_command commands[PLACES];
    PGconn *other = PQconnectdb(store_url());

    (void)state;
    PQclear(PQexec(other, "BEGIN"));
    PQclear(PQexec(other, "SELECT * FROM coupons FOR UPDATE"));
    run_batch_with(commands, "transactionid",
                   "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                   " WHERE datname = current_database() AND pid <> pg_backend_pid()");
    PQfinish(other);
    expect(commands, ERR_OK);
    look();
    check_answers(commands);
}

/* ---- at any moment ---- */

struct killer {
    struct loop_work work;
    _Atomic bool stop;
};

static void kill_now_and_then(struct loop_work *work)
{
    struct killer *killer = CONTAINER_OF(work, struct killer, work);
    PGconn *conn = PQconnectdb(store_url());

    for (long n = 1; !killer->stop; n++) {
        nanosleep(&(struct timespec){ .tv_nsec = 3000000 + n * 7919 % 20 * 1000000 }, NULL);
        PQclear(PQexec(conn, KILL_OTHERS " AND backend_type = 'client backend'"));
    }
    PQfinish(conn);
}

static void killer_done(struct loop_work *work)
{
    (void)work;
    loop_stop(world.loop);
}

static void test_at_any_moment(void **state)
{
    enum { BATCHES = 100 };
    static struct ledger_command commands[BATCHES][PLACES];
    struct killer killer = { .work = { .work = kill_now_and_then, .done = killer_done } };
    int counts[ERR_CORRUPT + 1] = { 0 };

    (void)state;
    assert_ok(loop_work_start(world.loop, &killer.work));
    for (size_t i = 0; i < BATCHES; i++)
        run_next(commands[i]);
    killer.stop = true;
    loop_run(world.loop);
    look();
    for (size_t i = 0; i < BATCHES; i++) {
        check_answers(commands[i]);
        counts[commands[i][0].err]++;
    }
    print_message("batches: %d ok, %d unavailable, %d uncertain\n", counts[ERR_OK],
                  counts[ERR_UNAVAILABLE], counts[ERR_UNCERTAIN]);
    assert_true(counts[ERR_OK] > 0);
    for (size_t i = 0; i < BATCHES; i++)
        settle(commands[i]);
}

int main(void)
{
#define FAULTS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    static const struct CMUnitTest tests[] = {
        FAULTS_TEST(test_while_it_is_loaded), FAULTS_TEST(test_while_it_is_stored),
        FAULTS_TEST(test_in_the_commit),      FAULTS_TEST(test_after_the_commit),
        FAULTS_TEST(test_at_any_moment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
