// SPDX-License-Identifier: Apache-2.0
/*
 * Two servers' rankings in one Redis: each sees what the other sells, at random as the memory
 * ranking has it; and what becomes of the store is noticed, told, and mended by one copy.
 */
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "ranking/ranking_memory.h"
#include "ranking/ranking_redis_fixture_test.h"

enum { DAY = 20000, DAYS = 70, PRODUCTS = 60, CATEGORIES = 4, WAIT_MS = 3000 };

static struct ranking *one, *two, *model;
static struct ranking_client *of_one, *of_two, *of_model;
static struct arena arena;
static uint64_t random_state = 7;
static int64_t versions;
/* The ledger. */
static struct ranking_sum sums[DAYS][PRODUCTS];
static int categories[PRODUCTS];
static int64_t category_versions[PRODUCTS];
static const struct str names[CATEGORIES] = {
    { "", 0 }, { "tea", 3 }, { "cups", 4 }, { "a=b:*", 5 }
};

static uint64_t any(uint64_t below)
{
    random_state = hash_u64(random_state);
    return random_state % below;
}

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- a world ---- */

static int setup(void **state)
{
    (void)state;
    store_open();
    memset(sums, 0, sizeof sums);
    memset(categories, 0, sizeof categories);
    one = here_open_more(64, 32);
    two = here_open_more(64, 32);
    model = ranking_memory_new(64);
    of_one = ranking_client_new(one, loop, NULL);
    of_two = ranking_client_new(two, loop, NULL);
    of_model = ranking_client_new(model, loop, NULL);
    assert_true(one && two && model && of_one && of_two && of_model);
    assert_here(ranking_copy_begin(model, DAY));
    assert_here(ranking_copy_end(model));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ranking_client_free(of_one);
    ranking_client_free(of_two);
    ranking_client_free(of_model);
    ranking_memory_free(model);
    ranking_redis_close(one);
    ranking_redis_close(two);
    arena_fini(&arena);
    store_close();
    return 0;
}

static enum err copy(struct ranking *ranking)
{
    TRY(ranking_copy_begin(ranking, DAY));
    for (size_t day = 0; day < DAYS; day++)
        for (size_t product = 0; product < PRODUCTS; product++)
            if (sums[day][product].version) {
                sums[day][product].category = names[categories[product]];
                sums[day][product].category_version = category_versions[product];
                ranking_put(ranking, &sums[day][product], 1);
            }
    return ranking_copy_end(ranking);
}

static struct ranking_sum *sell_at(size_t day, size_t product)
{
    struct ranking_sum *row = &sums[day][product];
    int64_t units = any(4) ? row->sum.units + (int64_t)any(5) : row->sum.units / 2;

    versions++;
    *row = (struct ranking_sum){ .day = DAY + (int64_t)day,
                                 .version = versions,
                                 .sum = { (int64_t)product + 1, units,
                                          units * (int64_t)any(INT64_C(1) << 50), versions / 6 },
                                 .category = names[categories[product]],
                                 .category_version = category_versions[product] };
    return row;
}

static void sell(struct ranking *ranking)
{
    const struct ranking_sum *sum = sell_at(any(DAYS), any(PRODUCTS));

    ranking_put(ranking, sum, 1);
    ranking_put(model, sum, 1);
}

static void move(struct ranking *ranking)
{
    size_t product = any(PRODUCTS);

    categories[product] = (int)any(CATEGORIES);
    category_versions[product]++;
    ranking_move(ranking, (int64_t)product + 1, names[categories[product]],
                 category_versions[product]);
    ranking_move(model, (int64_t)product + 1, names[categories[product]],
                 category_versions[product]);
}

/* ---- reading ---- */

static bool read_done;

static void on_read(struct ranking_read *read)
{
    (void)read;
    read_done = true;
}

static void read_of(struct ranking_client *client, struct ranking_read *read)
{
    here_turn();
    read->arena = &arena;
    read->done = on_read;
    read_done = false;
    ranking_read(client, read);
    while (!read_done)
        here_turn();
}

static struct ranking_read a_page(void)
{
    return (struct ranking_read){
        .op = RANKING_READ_PAGE, .window = SALES_MONTHLY, .day = DAY + 40, .limit = 100
    };
}

/* Anything that can be asked. */
static struct ranking_read a_question(void)
{
    struct ranking_read read = a_page();
    size_t name = any(CATEGORIES + 1);

    read.op = any(2) ? RANKING_READ_PAGE : RANKING_READ_PRODUCT;
    read.window = (enum sales_window)any(SALES_WINDOW_N);
    read.day = DAY + 10 + (int64_t)any(DAYS - 10);
    read.category = name == CATEGORIES ? STR_NONE : names[name];
    read.offset = (int64_t)any(20);
    read.limit = 1 + (int64_t)any(40);
    read.product_id = 1 + (int64_t)any(PRODUCTS);
    read.around = (int64_t)any(RANKING_AROUND_MAX + 1);
    return read;
}

static void expect_same(struct ranking_client *client, const struct ranking_read *question)
{
    struct ranking_read here = *question, there = *question;

    arena_reset(&arena);
    read_of(of_model, &here);
    read_of(client, &there);
    assert_int_equal(there.outcome, here.outcome);
    assert_int_equal(there.entry_count, here.entry_count);
    if (here.entry_count)
        assert_memory_equal(there.entries, here.entries, here.entry_count * sizeof *here.entries);
    assert_memory_equal(&there.product, &here.product, sizeof here.product);
}

static enum ranking_outcome outcome_of(struct ranking_client *client)
{
    struct ranking_read read = a_page();

    arena_reset(&arena);
    read_of(client, &read);
    return read.outcome;
}

static void wait_until(struct ranking *ranking, bool readable)
{
    uint64_t until = now_ms() + WAIT_MS;

    while (ranking_status(ranking).readable != readable) {
        assert_true(now_ms() < until);
        here_turn();
    }
}

/* ---- drills ---- */

static void sell_some(void)
{
    for (int i = 0; i < 300; i++) {
        sell(any(2) ? one : two);
        if (any(10) == 0)
            move(any(2) ? one : two);
    }
    rr_settle(one);
    rr_settle(two);
}

/* Lost for both, copied by one, right for both. */
static void expect_mended(void)
{
    wait_until(one, false);
    wait_until(two, false);
    assert_true(ranking_status(one).incomplete);
    assert_true(ranking_status(two).incomplete);
    assert_int_equal(outcome_of(of_one), RANKING_UNREADABLE);
    sell(one); /* a change makes nothing */
    rr_settle(one);
    assert_false(ranking_status(one).readable);
    assert_here(copy(two));
    wait_until(one, true);
    for (int i = 0; i < 30; i++) {
        struct ranking_read read = a_question();
        expect_same(any(2) ? of_one : of_two, &read);
    }
}

static void test_as_the_memory_ranking(void **state)
{
    (void)state;
    assert_here(copy(one));
    wait_until(two, true);
    for (int round = 0; round < 120; round++) {
        for (uint64_t i = 0, n = any(20); i < n; i++) {
            struct ranking *at = any(2) ? one : two;
            if (any(12) == 0)
                move(at);
            else
                sell(at);
            rr_settle(at); /* a move and a sale of two servers have no order otherwise */
        }
        for (int i = 0; i < 8; i++) {
            struct ranking_read read = a_question();
            expect_same(any(2) ? of_one : of_two, &read);
        }
    }
}

static void test_lost_keys(void **state)
{
    static const char *const keys[] = { "{ranking}:v2:meta", "{ranking}:v2:sums",
                                        "{ranking}:v2:ids" };

    (void)state;
    assert_here(copy(one));
    wait_until(two, true);
    sell_some();
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        PLAIN("DEL", keys[i]);
        expect_mended();
    }
    PLAIN("FLUSHALL");
    expect_mended();
    PLAIN("FUNCTION", "FLUSH");
    usleep(600000); /* whoever notices first loads it again, and nothing was lost */
    wait_until(one, true);
    wait_until(two, true);
    struct ranking_read page = a_page();
    expect_same(of_one, &page);
    PLAIN("DEBUG", "CHANGE-REPL-ID"); /* as after a restart or a fail-over */
    expect_mended();
}

/* Boards are made again of the sums. */
static void test_lost_boards(void **state)
{
    struct ranking_read page = a_page();

    (void)state;
    assert_here(copy(one));
    wait_until(two, true);
    sell_some();
    expect_same(of_one, &page);
    PLAIN("EVAL",
          "for _, k in ipairs(redis.call('KEYS', '{ranking}:v2:b:*')) do redis.call('DEL', k) end",
          "1", RANKING_REDIS_KEY);
    expect_same(of_one, &page);
    PLAIN("DEL", "{ranking}:v2:boards");
    expect_same(of_two, &page);
    sell_some();
    expect_same(of_two, &page);
    assert_true(ranking_status(one).readable);
}

static void test_versions(void **state)
{
    struct ranking_sum newer, older;

    (void)state;
    assert_here(copy(one));
    wait_until(two, true);
    older = *sell_at(40, 1);
    newer = *sell_at(40, 1);
    ranking_put(one, &newer, 1);
    rr_settle(one);
    ranking_put(two, &older, 1);
    rr_settle(two);
    ranking_put(model, &newer, 1);
    struct ranking_read page = a_page();
    expect_same(of_two, &page);
}

/* One at a time; who did not end is not waited for for ever, and cannot end any more. */
static void test_two_copies(void **state)
{
    (void)state;
    sell_at(40, 1);
    ranking_put(model, &sums[40][1], 1);
    assert_here(ranking_copy_begin(one, DAY));
    assert_int_equal(ranking_copy_begin(two, DAY), ERR_CONFLICT);
    ranking_put(one, &sums[40][1], 1);
    const struct ranking_sum *late = sell_at(41, 2); /* another's sale, meanwhile */
    ranking_put(two, late, 1);
    ranking_put(model, late, 1);
    rr_settle(two);
    assert_here(ranking_copy_end(one));
    wait_until(two, true);
    struct ranking_read page = a_page();
    expect_same(of_two, &page);
    PLAIN("DEL", "{ranking}:v2:meta");
    wait_until(one, false);
    assert_here(ranking_copy_begin(one, DAY));
    PLAIN("HSET", "{ranking}:v2:meta", "until", "1"); /* its time is over */
    assert_here(ranking_copy_begin(two, DAY));
    ranking_put(one, &sums[40][1], 1);
    assert_int_equal(ranking_copy_end(one), ERR_UNAVAILABLE);
    for (size_t day = 40; day <= 41; day++)
        ranking_put(two, &sums[day][day - 39], 1);
    assert_here(ranking_copy_end(two));
    wait_until(one, true);
    expect_same(of_one, &page);
}

/* Something that one server could not send is missing for all. */
static void test_loss_of_one(void **state)
{
    (void)state;
    assert_here(copy(one));
    wait_until(two, true);
    sell_some();
    ranking_fault_set(one, true);
    sell(one);
    ranking_fault_set(one, false);
    wait_until(two, false);
    assert_here(copy(two));
    wait_until(one, true);
    struct ranking_read page = a_page();
    expect_same(of_one, &page);
}

static void test_others_changes_are_told(void **state)
{
    (void)state;
    assert_here(copy(one));
    wait_until(two, true);
    here_turn();
    uint64_t before = ranking_status(two).version, from_ms = now_ms();
    sell(one);
    while (ranking_status(two).version == before) {
        assert_true(now_ms() < from_ms + 1000);
        usleep(1000);
    }
}

/* A store that hangs: nobody waits longer than the deadline, then nobody asks; what is sold
 * meanwhile is there afterwards, without a copy. */
static void test_hang(void **state)
{
    const char *pid = getenv("DOORBUSTER_TEST_REDIS_PID");
    pid_t redis = pid ? (pid_t)strtol(pid, NULL, 10) : 0;
    int in_time = 0;

    (void)state;
    assert_true(redis > 0); /* DOORBUSTER_TEST_REDIS_PID */
    assert_here(copy(one));
    wait_until(two, true);
    sell_some();
    assert_int_equal(outcome_of(of_one), RANKING_OK);
    redis_ranking_self(one)->options.timeout_ms = 20;
    kill(redis, SIGSTOP);
    for (int i = 0; i < 20; i++) {
        uint64_t from_ms = now_ms();
        sell(one);
        assert_int_equal(outcome_of(of_one), RANKING_UNREADABLE);
        in_time += now_ms() - from_ms < 100;
        usleep(20000);
    }
    assert_true(in_time >= 15); /* the machine may be busy */
    wait_until(one, false);
    kill(redis, SIGCONT);
    redis_ranking_self(one)->options.timeout_ms = 2000;
    wait_until(one, true);
    rr_settle(one);
    while (outcome_of(of_one) != RANKING_OK)
        usleep(10000);
    struct ranking_read page = a_page();
    expect_same(of_one, &page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_as_the_memory_ranking, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lost_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lost_boards, setup, teardown),
        cmocka_unit_test_setup_teardown(test_versions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_copies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_loss_of_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_others_changes_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hang, setup, teardown),
    };

    store_use("DOORBUSTER_TEST_REDIS");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
