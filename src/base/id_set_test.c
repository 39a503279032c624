// SPDX-License-Identifier: Apache-2.0
/* The set against an array of flags, with ids that crowd and ids that are far apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/id_set.h"
#include "base/mem.h"

enum { IDS = 20000, STEPS = 300000 };

static bool model[IDS];

/* Dense at first, then one in every 2^45, the last at the very end. */
static int64_t id_of(size_t i)
{
    return i < IDS / 2 ? (int64_t)i + 1 : INT64_MAX - (int64_t)(IDS - 1 - i) * (INT64_C(1) << 45);
}

static void test_model(void **state)
{
    struct id_set set = { 0 };
    uint64_t random = 7;
    size_t count = 0;

    (void)state;
    for (long step = 0; step < STEPS; step++) {
        size_t i = (random = hash_u64(random)) % IDS;
        bool added = !model[i];
        assert_int_equal(id_set_has(&set, id_of(i)), model[i]);
        if (step % 3 == 0)
            continue;
        mem_fault_set(step % 5 == 0 ? 0 : -1);
        enum err e = id_set_add(&set, id_of(i), &added);
        mem_fault_set(-1);
        if (e != ERR_OK) {
            assert_int_equal(e, ERR_NOMEM);
            assert_int_equal(id_set_has(&set, id_of(i)), model[i]);
        } else {
            assert_int_equal(added, !model[i]);
            count += added;
            model[i] = true;
        }
        assert_int_equal(set.count, count);
    }
    for (size_t i = 0; i < IDS; i++)
        assert_int_equal(id_set_has(&set, id_of(i)), model[i]);
    id_set_fini(&set);
    assert_int_equal(set.count, 0);
    assert_false(id_set_has(&set, 1));
    assert_int_equal(mem_live_count(), 0);
}

static void test_masks(void **state)
{
    struct id_set set = { 0 };

    (void)state;
    assert_int_equal(id_set_add_mask(&set, 0, 0), ERR_OK);
    assert_int_equal(set.count, 0);
    assert_int_equal(id_set_add(&set, 65, NULL), ERR_OK);
    assert_int_equal(id_set_add_mask(&set, 64, 0x8000000000000003u), ERR_OK);
    assert_int_equal(set.count, 3); /* 64, 65, 127 */
    for (int64_t id = 60; id < 200; id++)
        assert_int_equal(id_set_has(&set, id), id == 64 || id == 65 || id == 127);
    static const int64_t never[] = { 0, -1, INT64_MIN, -64 };
    for (size_t i = 0; i < ARRAY_COUNT(never); i++)
        assert_false(id_set_has(&set, never[i]));
    id_set_fini(&set);
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(test_model),
                                               cmocka_unit_test(test_masks) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
