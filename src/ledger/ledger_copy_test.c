// SPDX-License-Identifier: Apache-2.0
/* What a copy asks of a store, and how it sees that two are not the same; on shop.db alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ledger/ledger_copy_internal.h"
#include "ledger/ledger_sqlite.h"

#define assert_ok(expr) assert_int_equal((expr), ERR_OK)

static char dir[64], path[128];
static struct copy_side side;
static struct copy_tables tables;

static int setup(void **state)
{
    int64_t applied;

    (void)state;
    strcpy(dir, "/tmp/doorbuster-test-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/db", dir);
    assert_ok(ledger_sqlite_migrate(path, "test", "UTC", &applied));
    side = (struct copy_side){ 0 };
    assert_ok(copy_sqlite_open(&side, path, false));
    assert_ok(copy_tables_read(&tables, side.db));
    return 0;
}

static int teardown(void **state)
{
    static const char *const suffixes[] = { "", "-wal", "-shm" };

    (void)state;
    copy_side_close(&side);
    for (size_t i = 0; i < ARRAY_COUNT(suffixes); i++) {
        char name[160];
        snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        unlink(name);
    }
    return rmdir(dir);
}

static const struct copy_table *find(const char *name)
{
    for (size_t i = 0; i < tables.count; i++)
        if (strcmp(tables.items[i].name, name) == 0)
            return &tables.items[i];
    return NULL;
}

static void test_tables(void **state)
{
    const struct copy_table *keys = find("order_keys");

    (void)state;
    assert_string_equal(copy_tables_store(&tables)->name, "store");
    assert_null(find("event_relays"));
    assert_null(find("sales_outbox"));
    assert_null(find("sqlite_sequence"));
    assert_int_equal(keys->key_count, 3);
    assert_string_equal(keys->columns[keys->key[2]].name, "idempotency_key");
    assert_int_equal(keys->columns[keys->key[0]].kind, 'i');
    assert_int_equal(keys->columns[keys->key[2]].kind, 't');
    assert_int_equal(keys->columns[3].kind, 'b');
    for (size_t i = 0; i < tables.count; i++)
        assert_true(tables.items[i].key_count > 0);
}

/* ---- going on ---- */

struct seen {
    char keys[8][8];
    size_t count;
    struct buf next; /* the SELECT of what is behind the last row */
};

static enum err see(void *context, const struct pg_tuple *row)
{
    struct seen *seen = context;
    struct str key = row->columns[1];

    snprintf(seen->keys[seen->count++], sizeof seen->keys[0], "%.*s", (int)key.len, key.ptr);
    buf_reset(&seen->next);
    copy_select(&seen->next, find("charges"), row);
    return ERR_OK;
}

static void add_charge(const char *key)
{
    char *sql =
        sqlite3_mprintf("INSERT INTO charges (user_id, idempotency_key, fingerprint, amount,"
                        " balance_after, charged_at) VALUES (1, %Q, x'00', 1, 1, 1)",
                        key);

    assert_ok(side.ops->run(&side, sql));
    sqlite3_free(sql);
}

/* Every key has its place in the order, whatever is in it: from each row on come those behind it.
 */
static void test_from_any_row_on(void **state)
{
    static const char *const keys[] = { "", "'", "' OR 1", "A", "\\", "a''", "\xC3\xBC" };
    const struct copy_table *charges = find("charges");
    CLEANUP(buf_fini) struct buf select = { 0 };
    struct seen seen = { 0 };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++)
        add_charge(keys[i]);
    copy_select(&select, charges, NULL);
    assert_ok(side.ops->read(&side, charges, select.ptr, see, &seen));
    assert_int_equal(seen.count, ARRAY_COUNT(keys));
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        struct seen one = { 0 }, rest = { 0 };
        buf_reset(&select);
        buf_printf(&select, "SELECT ");
        copy_columns(&select, charges);
        buf_printf(&select, " FROM charges ORDER BY user_id, idempotency_key LIMIT 1 OFFSET %zu%c",
                   i, 0);
        assert_ok(side.ops->read(&side, charges, select.ptr, see, &one));
        assert_string_equal(one.keys[0], keys[i]);
        assert_ok(side.ops->read(&side, charges, one.next.ptr, see, &rest));
        assert_int_equal(rest.count, ARRAY_COUNT(keys) - i - 1);
        if (rest.count)
            assert_string_equal(rest.keys[0], keys[i + 1]);
        buf_fini(&one.next);
        buf_fini(&rest.next);
    }
    buf_fini(&seen.next);
}

/* ---- the same or not ---- */

static uint64_t hash_after(const char *sql)
{
    struct copy_sum sum;

    assert_ok(side.ops->run(&side, sql));
    assert_ok(copy_sum(&side, find("users"), &sum));
    return sum.hash;
}

static void test_sums(void **state)
{
    uint64_t hashes[7];

    (void)state;
    hashes[0] = hash_after("INSERT INTO users (user_id, balance) VALUES (1, 5), (2, 6)");
    hashes[1] = hash_after("UPDATE users SET username = '' WHERE user_id = 1");
    hashes[2] = hash_after("UPDATE users SET username = 'aaaaaaaa' WHERE user_id = 1");
    hashes[3] = hash_after("UPDATE users SET username = 'aaaaaaaab' WHERE user_id = 1");
    hashes[4] = hash_after("UPDATE users SET username = NULL, email = '' WHERE user_id = 1");
    hashes[5] = hash_after("UPDATE users SET email = NULL, balance = 11 - balance");
    hashes[6] = hash_after("DELETE FROM users");
    for (size_t i = 0; i < ARRAY_COUNT(hashes); i++)
        for (size_t j = 0; j < i; j++)
            assert_true(hashes[i] != hashes[j]);
    assert_true(hash_after("INSERT INTO users (user_id, balance) VALUES (2, 6), (1, 5)") ==
                hashes[0]);
}

#define ADD_COUPON                                                                        \
    "INSERT INTO coupons (coupon_id, name, discount_rate, uses_per_user, total_quantity," \
    " starts_at, ends_at) VALUES "
#define ADD_PLACE                                                                                \
    "INSERT INTO user_coupons (coupon_id, slot, user_id, user_coupon_id, issued_at, expires_at)" \
    " VALUES "

static int64_t broken(const char *sql)
{
    int64_t coupons, coupon_id;

    assert_ok(side.ops->run(&side, sql));
    assert_ok(copy_witnesses(&side, &coupons, &coupon_id));
    return coupon_id;
}

static void test_witnesses(void **state)
{
    (void)state;
    assert_int_equal(broken(ADD_COUPON "(3, 'a', 1, 1, 9, 0, 1), (7, 'b', 1, 1, 9, 0, 1)"), 0);
    assert_int_equal(broken(ADD_PLACE "(7, 1, 5, 1, 0, 0)"), 7);
    assert_int_equal(broken("DELETE FROM user_coupons"), 0);
    assert_int_equal(broken("UPDATE coupons SET issued = 1 WHERE coupon_id = 3"), 3);
    assert_int_equal(broken("UPDATE coupons SET issued = 0"), 0);
    assert_int_equal(broken(ADD_PLACE "(5, 1, 5, 1, 0, 0)"), 5); /* of no coupon */
}

static void test_places(void **state)
{
    const struct ledger_copy_place places[] = { { 7, 5 }, { 7, 6 } };
    int64_t coupon_id;

    (void)state;
    assert_ok(side.ops->run(&side, ADD_PLACE "(7, 1, 5, 1, 0, 0)"));
    assert_ok(copy_places_missing(&side, places, 1, &coupon_id));
    assert_int_equal(coupon_id, 0);
    assert_ok(copy_places_missing(&side, places, 2, &coupon_id));
    assert_int_equal(coupon_id, 7);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_tables),    TEST(test_from_any_row_on), TEST(test_sums),
        TEST(test_witnesses), TEST(test_places),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
