// SPDX-License-Identifier: Apache-2.0
/* URLs, names and errors: no server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/mem.h"
#include "pg/pg_internal.h"

static struct pg_source *source;
static struct pg_reason reason;

static enum err read_url(const char *url)
{
    struct pg_options options = { .url = url };

    source = NULL;
    return pg_source_new(&options, &source, &reason);
}

static void expect_target(size_t i, const char *host, const char *port)
{
    if (host)
        assert_string_equal(source->target[i].host, host);
    else
        assert_null(source->target[i].host);
    if (port)
        assert_string_equal(source->target[i].port, port);
    else
        assert_null(source->target[i].port);
}

static void test_one_host(void **state)
{
    (void)state;
    assert_int_equal(read_url("postgresql://u:p@127.0.0.1:6000/shop"), ERR_OK);
    assert_int_equal(source->target_count, 1);
    expect_target(0, "127.0.0.1", "6000");
    assert_true(pg_target_is_plain(&source->target[0]));
    pg_source_free(source);
    assert_int_equal(read_url("dbname=shop"), ERR_OK);
    expect_target(0, NULL, NULL);
    assert_true(pg_target_is_plain(&source->target[0]));
    pg_source_free(source);
}

static void test_many_hosts(void **state)
{
    (void)state;
    assert_int_equal(read_url("postgresql://a.example:1,[::1]:2,/run/pg:3/shop"), ERR_OK);
    assert_int_equal(source->target_count, 3);
    expect_target(0, "a.example", "1");
    expect_target(1, "::1", "2");
    assert_false(pg_target_is_plain(&source->target[0]));
    assert_true(pg_target_is_plain(&source->target[1]));
    pg_source_free(source);
    assert_int_equal(read_url("host=a,b hostaddr=10.0.0.1,10.0.0.2 port=7"), ERR_OK);
    expect_target(1, "b", "7");
    assert_string_equal(source->target[1].hostaddr, "10.0.0.2");
    assert_true(pg_target_is_plain(&source->target[1]));
    pg_source_free(source);
}

static void test_bad_urls(void **state)
{
    static const char *const bad[] = {
        "nonsense",
        "host=a,b port=1,2,3",
        "host=a,b hostaddr=10.0.0.1",
        "postgresql://h/?no=such",
        "host=a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a", /* 17 */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        assert_int_equal(read_url(bad[i]), ERR_INVALID);
        assert_null(source);
        assert_true(reason.text[0]);
    }
    assert_int_equal(read_url("postgresql://u:verysecret@h:port/x"), ERR_OK); /* libpq's to say */
    pg_source_free(source);
}

static void test_password_is_not_repeated(void **state)
{
    (void)state;
    assert_int_equal(read_url("postgresql://u:verysecret@h/?no=such"), ERR_INVALID);
    assert_null(strstr(reason.text, "verysecret"));
}

static void test_every_allocation_fails(void **state)
{
    int failed = 0;

    (void)state;
    for (int after = 0;; after++) {
        long live = mem_live_count();
        mem_fault_set(after);
        enum err e = read_url("postgresql://a.example:1,b.example:2/shop");
        int hits = mem_fault_hits();
        mem_fault_set(-1);
        if (e == ERR_OK)
            pg_source_free(source);
        else
            assert_int_equal(e, ERR_NOMEM);
        assert_int_equal(mem_live_count(), live);
        if (hits == 0)
            break;
        failed++;
    }
    assert_true(failed >= 6);
}

static void test_sqlstates(void **state)
{
    static const struct {
        const char *sqlstate;
        enum err err;
    } rows[] = {
        { "40001", ERR_CONFLICT },    { "40P01", ERR_CONFLICT },    { "57014", ERR_TIMEOUT },
        { "55P03", ERR_TIMEOUT },     { "57P01", ERR_UNAVAILABLE }, { "57P03", ERR_UNAVAILABLE },
        { "08006", ERR_UNAVAILABLE }, { "53300", ERR_UNAVAILABLE }, { "53100", ERR_UNAVAILABLE },
        { "25006", ERR_UNAVAILABLE }, { "23505", ERR_INVALID },     { "22P02", ERR_INVALID },
        { "42601", ERR_IO },          { "XX001", ERR_CORRUPT },     { "XX000", ERR_IO },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        assert_int_equal(pg_sqlstate_err(rows[i].sqlstate), rows[i].err);
}

static void test_too_many_clients_is_kept(void **state)
{
    struct pg_reason first = { .sqlstate = PG_TOO_MANY_CLIENTS, .text = "sorry" };
    const struct pg_reason second = { .sqlstate = "57P03", .text = "starting" };

    (void)state;
    pg_reason_merge(&first, &second);
    assert_string_equal(first.sqlstate, PG_TOO_MANY_CLIENTS);
    first = (struct pg_reason){ .text = "refused" };
    pg_reason_merge(&first, &second);
    assert_string_equal(first.text, "starting");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_host),
        cmocka_unit_test(test_many_hosts),
        cmocka_unit_test(test_bad_urls),
        cmocka_unit_test(test_password_is_not_repeated),
        cmocka_unit_test(test_every_allocation_fails),
        cmocka_unit_test(test_sqlstates),
        cmocka_unit_test(test_too_many_clients_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
