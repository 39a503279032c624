// SPDX-License-Identifier: Apache-2.0
/* Creating and changing coupons, also in the middle of a drop. */
#include "base/mem.h"
#include "shop/shop_fixture_test.h"

static bool patched;

static void patch_done(struct coupon_patch *patch)
{
    (void)patch;
    patched = true;
}

static bool is_patched(void)
{
    return patched;
}

static void patch_begin(struct coupon_patch *patch, struct coupon_change change)
{
    patched = false;
    *patch = (struct coupon_patch){ .done = patch_done, .coupon_id = COUPON, .change = change };
    coupon_patch(&here, patch);
}

static struct coupon_change quantity_of(int64_t quantity)
{
    return (struct coupon_change){ .has_quantity = true, .total_quantity = quantity };
}

static struct coupon_patch patch_now(struct coupon_change change)
{
    struct coupon_patch patch;

    patch_begin(&patch, change);
    wait_until(is_patched);
    return patch;
}

static size_t winners_of(const struct coupon_take *takes, size_t count)
{
    size_t winners = 0;

    for (size_t i = 0; i < count; i++)
        winners +=
            takes[i].outcome == COUPON_TAKE_ISSUED || takes[i].outcome == COUPON_TAKE_RESERVED;
    return winners;
}

/* Raised while people come: exactly the difference gets in. */
static void test_raised(void **state)
{
    static struct coupon_take takes[400];
    struct coupon_patch patch;

    (void)state;
    shop_begin(400, 100);
    for (int64_t i = 0; i < 200; i++)
        take_begin(&takes[i], i + 1, i % 2);
    patch_begin(&patch, quantity_of(150));
    wait_until(all_taken);
    assert_int_equal(winners_of(takes, 200), 100);
    wait_until(is_patched);
    assert_ok(patch.err);
    assert_int_equal(patch.outcome, COUPON_CHANGE_OK);
    for (int64_t i = 200; i < 400; i++)
        take_begin(&takes[i], i + 1, i % 2);
    wait_until(all_taken);
    assert_int_equal(winners_of(takes, 400), 150);
    assert_int_equal(gate_status(shop.gate, COUPON).epoch, patch.coupon.epoch);
    expect_rows(150);
    shop_end();
}

/* Lowered while people come: who is in stays in, and no more than the new quantity get in. */
static void test_lowered(void **state)
{
    static struct coupon_take takes[400];
    struct coupon_patch patch;

    (void)state;
    for (int reserve = 0; reserve < 2; reserve++) {
        shop_begin(400, 300);
        for (int64_t i = 0; i < 50; i++)
            take_begin(&takes[i], i + 1, reserve);
        wait_until(turned);
        patch_begin(&patch, quantity_of(120));
        for (int64_t i = 50; i < 200; i++)
            take_begin(&takes[i], i + 1, reserve);
        wait_until(is_patched);
        wait_until(all_taken);
        assert_ok(patch.err);
        assert_int_equal(patch.outcome, COUPON_CHANGE_OK);
        assert_int_equal(winners_of(takes, 50), 50);
        for (size_t i = 50; i < 200; i++)
            assert_int_equal(takes[i].outcome, COUPON_TAKE_CLOSED);
        for (int64_t i = 50; i < 400; i++)
            take_begin(&takes[i], i + 1, reserve);
        wait_until(all_taken);
        assert_int_equal(winners_of(takes, 400), 120);
        expect_rows(120);
        patch = patch_now(quantity_of(119));
        assert_ok(patch.err);
        assert_int_equal(patch.outcome, COUPON_CHANGE_BELOW_HANDED_OUT);
        assert_int_equal(patch.coupon.witness.highest, 120); /* what is possible */
        expect_take(1, true, COUPON_TAKE_ALREADY, 1);
        expect_take(399, true, COUPON_TAKE_SOLD_OUT, 0); /* open again */
        shop_end();
    }
}

/* A number that came back and is above the lowered quantity is dropped. */
static void test_returned_above_a_lowered_quantity(void **state)
{
    (void)state;
    shop_begin(10, 5);
    expect_take(1, false, COUPON_TAKE_ISSUED, 1);
    expect_take(2, false, COUPON_TAKE_ISSUED, 2);
    ledger_fault_set(shop.ledger, true);
    expect_take(3, false, COUPON_TAKE_UNAVAILABLE, 3);
    ledger_fault_set(shop.ledger, false);
    assert_ok(patch_now(quantity_of(2)).err);
    expect_take(3, false, COUPON_TAKE_SOLD_OUT, 0);
    assert_ok(patch_now(quantity_of(3)).err);
    expect_take(3, false, COUPON_TAKE_ISSUED, 3);
    expect_rows(3);
    shop_end();
}

static void test_cannot_drain(void **state)
{
    struct coupon_patch patch;

    (void)state;
    shop_begin(10, 5);
    expect_take(9, false, COUPON_TAKE_ISSUED, 1);
    stall_begin();
    struct coupon_take take;
    take_begin(&take, 2, false);
    wait_until(turned);
    patch_begin(&patch, quantity_of(3));
    wait_until(is_patched); /* gives up after its 5 seconds */
    assert_int_equal(patch.err, ERR_UNAVAILABLE);
    assert_true(gate_status(shop.gate, COUPON).open);
    stall_end();
    wait_until(all_taken);
    assert_int_equal(take.outcome, COUPON_TAKE_ISSUED);
    expect_rows(2);
    shop_end();
}

static void test_refused(void **state)
{
    struct coupon_patch patch;

    (void)state;
    shop_begin(10, 5);
    *(&patch) = (struct coupon_patch){ .done = patch_done, .coupon_id = 99 };
    patched = false;
    coupon_patch(&here, &patch);
    wait_until(is_patched);
    assert_int_equal(patch.err, ERR_NOT_FOUND);
    patch = patch_now((struct coupon_change){ .has_ends = true, .ends_at_ms = 1 });
    assert_ok(patch.err);
    assert_int_equal(patch.outcome, COUPON_CHANGE_EMPTY_WINDOW);
    patch = patch_now((struct coupon_change){ .has_closed = true, .closed = true });
    assert_ok(patch.err);
    expect_take(1, true, COUPON_TAKE_ENDED, 0);
    assert_true(catalog_find(shop.catalog, COUPON)->settings.closed);
    patch = patch_now((struct coupon_change){ .has_closed = true });
    expect_take(1, true, COUPON_TAKE_RESERVED, 1);
    ledger_fault_set(shop.ledger, true);
    patch = patch_now(quantity_of(9));
    assert_int_equal(patch.err, ERR_UNAVAILABLE);
    ledger_fault_set(shop.ledger, false);
    assert_int_equal(gate_status(shop.gate, COUPON).remaining, 4);
    expect_rows(1);
    shop_end();
}

static size_t patches_open;

static void one_patched(struct coupon_patch *patch)
{
    (void)patch;
    patches_open--;
}

static bool all_patched(void)
{
    return patches_open == 0;
}

/* One at a time: whatever the order, the last one asked for is what holds. */
static void test_many_at_once(void **state)
{
    static struct coupon_patch patches[20];

    (void)state;
    shop_begin(10, 5);
    for (size_t i = 0; i < 20; i++) {
        patches[i] = (struct coupon_patch){ .done = one_patched,
                                            .coupon_id = COUPON,
                                            .change = quantity_of(100 + (int64_t)(i * 7 % 20)) };
        patches_open++;
        coupon_patch(&here, &patches[i]);
    }
    wait_until(all_patched);
    for (size_t i = 0; i < 20; i++) {
        assert_ok(patches[i].err);
        assert_int_equal(patches[i].coupon.settings.version, 2 + i);
    }
    assert_int_equal(gate_status(shop.gate, COUPON).remaining, 113);
    assert_int_equal(catalog_find(shop.catalog, COUPON)->settings.total_quantity, 113);
    shop_end();
}

static int fault_after;

/* From the first turn on: the change is on its way to the ledger by then. */
static bool is_patched_without_memory(void)
{
    if (fault_after >= 0)
        mem_fault_set(fault_after);
    fault_after = -1;
    if (patched)
        mem_fault_set(-1);
    return patched;
}

/* Memory runs out somewhere on the way: an open gate never has more places than SQL allows. */
static void test_every_allocation_of_lowering(void **state)
{
    struct coupon now = { 0 };
    struct ledger_command look = { .op = LEDGER_COUPON_CHANGE,
                                   .coupon_change = { .coupon_id = COUPON, .coupon = &now } };
    int failed = 0;

    (void)state;
    shop_begin(10, 1000);
    expect_take(1, false, COUPON_TAKE_ISSUED, 1);
    for (int after = 0; after < 12; after++) {
        struct coupon_patch patch;
        patch_begin(&patch, quantity_of(900 - after));
        fault_after = after;
        wait_until(is_patched_without_memory);
        failed += patch.err != ERR_OK;
        struct gate_status gate = gate_status(shop.gate, COUPON);
        ledger_run(shop.ledger, &look);
        assert_ok(look.err);
        assert_true(!gate.open || gate.granted + gate.remaining <= now.settings.total_quantity);
    }
    assert_true(failed > 0);
    shop_end();
}

static bool gate_opened(void)
{
    return gate_status(shop.gate, COUPON).open;
}

/* A gate that was left closed is opened again without anybody asking. */
static void test_keeper(void **state)
{
    (void)state;
    shop_begin(10, 5);
    expect_take(1, false, COUPON_TAKE_ISSUED, 1);
    int64_t epoch = gate_status(shop.gate, COUPON).epoch;
    gate_close(shop.gate, COUPON);
    wait_until(gate_opened);
    wait_until(is_idle);
    assert_int_equal(gate_status(shop.gate, COUPON).epoch, epoch + 1);
    expect_take(1, false, COUPON_TAKE_ALREADY, 1);
    expect_take(2, false, COUPON_TAKE_ISSUED, 2);
    expect_rows(2);
    shop_end();
}

static bool created;

static void create_done(struct coupon_create *create)
{
    (void)create;
    created = true;
}

static bool is_created(void)
{
    return created;
}

static void test_create(void **state)
{
    int64_t now_ms = clock_wall_ms();

    (void)state;
    shop_begin(10, 5);
    static const struct {
        int64_t id, ret_id;
        enum err err;
    } rows[] = { { 0, 8, ERR_OK }, { 7, 7, ERR_CONFLICT }, { 50, 50, ERR_OK }, { 0, 51, ERR_OK } };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct coupon_create create = {
            .done = create_done,
            .coupon = { .coupon_id = rows[i].id,
                        .name = "NEW",
                        .settings = { .total_quantity = 2,
                                      .starts_at_ms = now_ms - 1000,
                                      .ends_at_ms = now_ms + HOUR_MS } },
        };
        created = false;
        coupon_create(&here, &create);
        wait_until(is_created);
        assert_int_equal(create.err, rows[i].err);
        assert_int_equal(create.coupon.coupon_id, rows[i].ret_id);
        assert_non_null(catalog_find(shop.catalog, rows[i].ret_id));
        if (rows[i].err == ERR_OK)
            assert_int_equal(gate_status(shop.gate, rows[i].ret_id).remaining, 2);
    }
    assert_int_equal(catalog_find(shop.catalog, COUPON)->settings.total_quantity, 5);
    shop_end();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_raised),
        cmocka_unit_test(test_lowered),
        cmocka_unit_test(test_returned_above_a_lowered_quantity),
        cmocka_unit_test(test_cannot_drain),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_every_allocation_of_lowering),
        cmocka_unit_test(test_keeper),
        cmocka_unit_test(test_create),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
