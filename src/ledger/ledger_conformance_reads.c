// SPDX-License-Identifier: Apache-2.0
#include "ledger/ledger_conformance_internal.h"

static struct ledger_read read_of(enum ledger_read_op op)
{
    return (struct ledger_read){ .op = op, .arena = &world.arena };
}

static void test_user(void **state)
{
    struct ledger_read read = read_of(LEDGER_READ_USER);
    struct ledger_command create = { .op = LEDGER_USERS_CREATE,
                                     .users_create = { .from_user_id = 2,
                                                       .to_user_id = 2,
                                                       .balance = 7,
                                                       .username = STR("kim"),
                                                       .email = STR("kim@example.org") } };

    (void)state;
    conf_user(1, 5);
    conf_run(&create, 1);
    read.user_id = 1;
    conf_read(&read);
    assert_true(read.found);
    assert_int_equal(read.user.balance, 5);
    assert_true(str_equal(read.user.username, STR("user1")));
    assert_true(str_equal(read.user.email, STR("user1@example.com")));
    read.user_id = 2;
    conf_read(&read);
    assert_true(str_equal(read.user.username, STR("kim")));
    assert_true(str_equal(read.user.email, STR("kim@example.org")));
    read.user_id = 3;
    conf_read(&read);
    assert_ok(read.err);
    assert_false(read.found);
}

static void test_users_exist(void **state)
{
    static const int64_t ids[] = { 1, 4095, 4096, 8191, 8192, INT64_MAX };
    struct ledger_read read = read_of(LEDGER_READ_USERS_EXIST);

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++)
        conf_user(ids[i], 0);
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++) {
        read.first_id = ids[i] - ids[i] % LEDGER_EXIST_SPAN;
        conf_read(&read);
        assert_ok(read.err);
        for (int64_t at = 0; at < LEDGER_EXIST_SPAN; at++) {
            bool there = false;
            for (size_t j = 0; j < ARRAY_COUNT(ids); j++)
                there = there || (uint64_t)ids[j] == (uint64_t)read.first_id + (uint64_t)at;
            assert_int_equal(read.exist[at / 64] >> (at % 64) & 1, there);
        }
    }
}

static void test_held(void **state)
{
    struct ledger_read read = read_of(LEDGER_READ_HELD);
    struct ledger_command place = conf_place(5, 2);

    (void)state;
    conf_coupon(3);
    place.place.uses = 1;
    conf_run(&place, 1);
    read.coupon_id = COUPON;
    read.user_id = 5;
    conf_read(&read);
    assert_true(read.found);
    assert_int_equal(read.held.slot, 2);
    assert_int_equal(read.held.user_coupon_id, place.place.user_coupon_id);
    assert_int_equal(read.held.issued_at_ms, place.place.issued_at_ms);
    assert_int_equal(read.held.expires_at_ms, 5000);
    assert_int_equal(read.held.uses, 1);
    assert_int_equal(read.held.used_at_ms, place.place.issued_at_ms);
    read.user_id = 6;
    conf_read(&read);
    assert_ok(read.err);
    assert_false(read.found);
}

static void test_held_list(void **state)
{
    struct ledger_read read = read_of(LEDGER_READ_HELD_LIST);
    struct coupon coupon;
    struct ledger_command command;

    (void)state;
    for (int64_t id = 1; id <= 40; id++) {
        command = conf_create(&coupon, id, 3);
        conf_run(&command, 1);
        command = conf_place(5, 1);
        command.place.coupon_id = id;
        conf_run(&command, 1);
    }
    read.user_id = 5;
    conf_read(&read);
    assert_int_equal(read.row_count, 40);
    for (size_t i = 0; i < 40; i++)
        assert_int_equal(read.rows[i].coupon_id, 40 - i); /* newest first */
    read.user_id = 6;
    conf_read(&read);
    assert_int_equal(read.row_count, 0);
}

static void test_winners(void **state)
{
    struct ledger_read read = read_of(LEDGER_READ_WINNERS);
    struct ledger_command places[25];

    (void)state;
    conf_coupon(100);
    for (size_t i = 0; i < 25; i++)
        places[i] = conf_place(200 - (int64_t)i, 2 * (int64_t)i + 1);
    conf_run(places, 25);
    read.coupon_id = COUPON;
    for (int64_t limit = 1; limit <= 30; limit++) {
        size_t seen = 0;
        read.limit = limit;
        read.after = 0;
        do {
            conf_read(&read);
            assert_ok(read.err);
            assert_true(read.row_count <= (size_t)limit);
            for (size_t i = 0; i < read.row_count; i++, seen++) {
                assert_int_equal(read.rows[i].slot, 2 * seen + 1);
                assert_int_equal(read.rows[i].user_id, 200 - seen);
            }
            assert_int_equal(read.more, seen < 25);
            assert_int_equal(read.total_count, 25);
            read.after = read.row_count ? read.rows[read.row_count - 1].slot : INT64_MAX;
        } while (read.more);
        assert_int_equal(seen, 25);
    }
    read.after = 49;
    conf_read(&read); /* behind the last one */
    assert_ok(read.err);
    assert_int_equal(read.row_count, 0);
    assert_int_equal(read.total_count, 25);
    read.coupon_id = COUPON + 1;
    conf_read(&read); /* not there */
    assert_ok(read.err);
    assert_int_equal(read.row_count, 0);
    assert_int_equal(read.total_count, 0);
}

/* ---- scans ---- */

static int64_t coupons_seen[8];
static size_t coupon_count, coupons_wanted;

static bool see_coupon(void *context, const struct coupon *coupon)
{
    (void)context;
    coupons_seen[coupon_count++] = coupon->coupon_id;
    return coupon_count < coupons_wanted;
}

static void test_scan_coupons(void **state)
{
    struct coupon coupons[3];
    struct ledger_command commands[3] = { conf_create(&coupons[0], 9, 1),
                                          conf_create(&coupons[1], 2, 1),
                                          conf_create(&coupons[2], 30, 1) };

    (void)state;
    conf_run(commands, 3);
    coupon_count = 0;
    coupons_wanted = 9;
    assert_ok(ledger_scan_coupons(world.ledger, see_coupon, NULL));
    assert_int_equal(coupon_count, 3);
    assert_true(coupons_seen[0] == 2 && coupons_seen[1] == 9 && coupons_seen[2] == 30);
    coupon_count = 0;
    coupons_wanted = 2;
    assert_int_equal(ledger_scan_coupons(world.ledger, see_coupon, NULL), ERR_NOMEM);
    assert_int_equal(coupon_count, 2);
}

static struct witness scanned, stated;
static int64_t next_slot;

static bool moment_begin(struct ledger_scan *scan, const struct coupon *coupon)
{
    (void)scan;
    stated = coupon->witness;
    return true;
}

/* While one scan goes on, more rows are stored behind and before it. */
static bool moment_row(struct ledger_scan *scan, const struct ledger_held *row)
{
    struct ledger_command place = conf_place(1000 + next_slot, next_slot);

    (void)scan;
    witness_add(&scanned, row->slot, row->user_id);
    ledger_run(world.ledger, &place);
    assert_ok(place.err);
    assert_int_equal(place.place.outcome, LEDGER_PLACE_STORED);
    next_slot++;
    return true;
}

static void test_scan_of_one_moment(void **state)
{
    struct ledger_scan scan = { .coupon_id = COUPON, .begin = moment_begin, .each = moment_row };
    struct ledger_command places[10];

    (void)state;
    conf_coupon(200);
    for (size_t i = 0; i < 10; i++)
        places[i] = conf_place((int64_t)i + 1, 10 * (int64_t)i + 1);
    conf_run(places, 10);
    scanned = (struct witness){ 0 };
    next_slot = 92;
    assert_ok(ledger_scan_rows(world.ledger, &scan));
    assert_int_equal(scanned.issued, 10);
    assert_true(witness_equal(&scanned, &stated));
    assert_int_equal(conf_check(), 20);
    scan.coupon_id = 99;
    assert_int_equal(ledger_scan_rows(world.ledger, &scan), ERR_NOT_FOUND);
}

static int64_t first_after;

static bool after_row(struct ledger_scan *scan, const struct ledger_held *row)
{
    (void)scan;
    first_after = row->slot;
    return false;
}

static void test_scan_after(void **state)
{
    struct ledger_scan scan = { .coupon_id = COUPON, .each = after_row };
    struct ledger_command places[3] = { conf_place(1, 1), conf_place(2, 5), conf_place(3, 9) };

    (void)state;
    conf_coupon(9);
    conf_run(places, 3);
    static const struct {
        int64_t after, first;
    } rows[] = { { 0, 1 }, { 1, 5 }, { 4, 5 }, { 5, 9 } };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        scan.after_slot = rows[i].after;
        assert_int_equal(ledger_scan_rows(world.ledger, &scan), ERR_NOMEM);
        assert_int_equal(first_after, rows[i].first);
    }
    scan.after_slot = 9;
    assert_ok(ledger_scan_rows(world.ledger, &scan));
}

int ledger_conformance_reads(void)
{
    static const struct CMUnitTest tests[] = {
        CONFORMANCE_TEST(test_user),
        CONFORMANCE_TEST(test_users_exist),
        CONFORMANCE_TEST(test_held),
        CONFORMANCE_TEST(test_held_list),
        CONFORMANCE_TEST(test_winners),
        CONFORMANCE_TEST(test_scan_coupons),
        CONFORMANCE_TEST(test_scan_of_one_moment),
        CONFORMANCE_TEST(test_scan_after),
    };
    return cmocka_run_group_tests_name("reads", tests, NULL, NULL);
}
