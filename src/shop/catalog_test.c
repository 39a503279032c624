// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/mem.h"
#include "shop/catalog.h"

/* Stands before the C library's: the machine has been up for this much longer. */
static _Atomic time_t ahead_s;

int clock_gettime(clockid_t id, struct timespec *out)
{
    int result = (int)syscall(SYS_clock_gettime, id, out);

    if (id == CLOCK_BOOTTIME)
        out->tv_sec += atomic_load(&ahead_s);
    return result;
}

static struct coupon coupon_of(int64_t id, int64_t version, int64_t quantity)
{
    return (struct coupon){ .coupon_id = id,
                            .settings = { .total_quantity = quantity, .version = version } };
}

static void put(struct catalog *catalog, int64_t id, int64_t version, int64_t quantity)
{
    struct coupon coupon = coupon_of(id, version, quantity);

    assert_int_equal(catalog_put(catalog, &coupon), ERR_OK);
}

static void test_put_and_find(void **state)
{
    static const int64_t ids[] = { 5, 1, 9, 3, 7, INT64_MAX, 2 };
    struct catalog *catalog = catalog_new();

    (void)state;
    assert_int_equal(catalog_list(catalog)->count, 0);
    assert_null(catalog_find(catalog, 1));
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++) {
        put(catalog, ids[i], 1, 10 + (int64_t)i);
        const struct catalog_list *list = catalog_list(catalog);
        assert_int_equal(list->count, i + 1);
        for (size_t j = 0; j + 1 < list->count; j++)
            assert_true(list->items[j]->coupon_id < list->items[j + 1]->coupon_id);
    }
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++)
        assert_int_equal(catalog_find(catalog, ids[i])->settings.total_quantity, 10 + i);
    static const int64_t not_there[] = { 0, -5, 4, 8, 10, INT64_MAX - 1, INT64_MIN };
    for (size_t i = 0; i < ARRAY_COUNT(not_there); i++)
        assert_null(catalog_find(catalog, not_there[i]));
    catalog_free(catalog);
    assert_int_equal(mem_live_count(), 0);
}

static void test_versions(void **state)
{
    struct catalog *catalog = catalog_new();

    (void)state;
    put(catalog, 5, 3, 10);
    put(catalog, 5, 2, 20); /* came late */
    assert_int_equal(catalog_find(catalog, 5)->settings.total_quantity, 10);
    put(catalog, 5, 3, 30); /* the same settings, a new epoch */
    assert_int_equal(catalog_find(catalog, 5)->settings.total_quantity, 30);
    put(catalog, 5, 4, 40);
    assert_int_equal(catalog_find(catalog, 5)->settings.total_quantity, 40);
    assert_int_equal(catalog_list(catalog)->count, 1);
    catalog_free(catalog);
    assert_int_equal(mem_live_count(), 0);
}

/* Whoever found a coupon may keep it for the length of a request; then its memory goes. */
static void test_what_was_found_stays(void **state)
{
    struct catalog *catalog = catalog_new();

    (void)state;
    put(catalog, 5, 1, 10);
    const struct coupon *found = catalog_find(catalog, 5);
    const struct catalog_list *list = catalog_list(catalog);
    for (int64_t version = 2; version < 50; version++)
        put(catalog, 5, version, 10);
    atomic_fetch_add(&ahead_s, 50);
    put(catalog, 5, 50, 10);
    assert_int_equal(found->settings.version, 1);
    assert_int_equal(list->items[0]->settings.version, 1);
    long live = mem_live_count();
    atomic_fetch_add(&ahead_s, 20);
    put(catalog, 5, 51, 10);
    assert_true(mem_live_count() < live - 100);
    catalog_free(catalog);
    assert_int_equal(mem_live_count(), 0);
}

static void test_every_allocation(void **state)
{
    struct catalog *catalog = catalog_new();
    struct coupon coupon = coupon_of(5, 2, 20);
    enum err e = ERR_NOMEM;

    (void)state;
    for (int after = 0; after < 2; after++) {
        mem_fault_set(after);
        assert_null(catalog_new());
        mem_fault_set(-1);
    }
    put(catalog, 5, 1, 10);
    for (int after = 0; e != ERR_OK; after++) {
        long live = mem_live_count();
        mem_fault_set(after);
        e = catalog_put(catalog, &coupon);
        mem_fault_set(-1);
        assert_true(e == ERR_OK || mem_live_count() == live);
        assert_int_equal(catalog_find(catalog, 5)->settings.version, e == ERR_OK ? 2 : 1);
    }
    catalog_free(catalog);
    assert_int_equal(mem_live_count(), 0);
}

static struct catalog *shared;
static _Atomic bool over;

static void *read_on(void *context)
{
    uintptr_t wrong = 0;

    (void)context;
    while (!atomic_load(&over))
        for (int64_t id = 1; id <= 20; id++) {
            const struct coupon *coupon = catalog_find(shared, id);
            wrong += !coupon || coupon->settings.total_quantity != coupon->settings.version * id;
        }
    return (void *)wrong;
}

static void test_readers(void **state)
{
    pthread_t threads[3];

    (void)state;
    shared = catalog_new();
    for (int64_t id = 1; id <= 20; id++)
        put(shared, id, 1, id);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, NULL), 0);
    for (int64_t version = 2; version <= 100; version++)
        for (int64_t id = 1; id <= 20; id++)
            put(shared, id, version, version * id);
    atomic_store(&over, true);
    for (size_t i = 0; i < 3; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    catalog_free(shared);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_and_find),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_what_was_found_stays),
        cmocka_unit_test(test_every_allocation),
        cmocka_unit_test(test_readers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
