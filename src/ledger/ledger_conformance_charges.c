// SPDX-License-Identifier: Apache-2.0
/* Wallets, idempotency keys, users. */
#include "ledger/ledger_conformance_internal.h"

static const uint8_t fingerprints[2][16] = { "fingerprint one", "fingerprint two" };

static unsigned render(const struct ledger_command *command, struct buf *answer)
{
    buf_printf(answer, "balance %lld at %lld", (long long)command->charge.balance,
               (long long)command->charge.charged_at_ms);
    return 200;
}

struct keyed {
    struct ledger_key key;
    struct ledger_command command;
};

static void charge_of(struct keyed *keyed, int64_t user_id, int64_t amount, const char *key,
                      unsigned fingerprint)
{
    *keyed = (struct keyed){
        .key = { .user_id = user_id,
                 .operation = LEDGER_OPERATION_CHARGE,
                 .key = { key, strlen(key) } },
        .command = { .op = LEDGER_CHARGE,
                     .render = render,
                     .charge = { .user_id = user_id, .amount = amount, .amount_max = INT64_MAX } },
    };
    memcpy(keyed->key.fingerprint, fingerprints[fingerprint], 16);
    keyed->command.key = &keyed->key;
}

static void expect_charge(int64_t user_id, int64_t amount, const char *key, unsigned fingerprint,
                          enum ledger_key_outcome key_outcome, enum ledger_charge_outcome outcome,
                          int64_t balance)
{
    struct keyed keyed;

    charge_of(&keyed, user_id, amount, key, fingerprint);
    conf_run(&keyed.command, 1);
    assert_ok(keyed.command.err);
    assert_int_equal(keyed.command.key_outcome, key_outcome);
    if (key_outcome != LEDGER_KEY_REUSED) {
        assert_int_equal(keyed.command.charge.outcome, outcome);
        if (outcome == LEDGER_CHARGE_OK) {
            assert_int_equal(keyed.command.charge.balance, balance);
            assert_int_equal(keyed.command.status, 200);
        }
    }
    ledger_command_fini(&keyed.command);
}

static int64_t balance_of(int64_t user_id)
{
    struct arena arena = { 0 };
    struct ledger_read read = { .op = LEDGER_READ_USER, .user_id = user_id, .arena = &arena };

    conf_read(&read);
    assert_ok(read.err);
    assert_true(read.found);
    arena_fini(&arena);
    return read.user.balance;
}

static void test_charge(void **state)
{
    (void)state;
    conf_user(1, 100);
    conf_user(2, INT64_MAX - 5);
    expect_charge(1, 50, "a", 0, LEDGER_KEY_FRESH, LEDGER_CHARGE_OK, 150);
    expect_charge(1, 50, "a", 0, LEDGER_KEY_REPLAY, LEDGER_CHARGE_OK, 150);
    expect_charge(1, 60, "b", 1, LEDGER_KEY_FRESH, LEDGER_CHARGE_OK, 210);
    expect_charge(1, 50, "a", 0, LEDGER_KEY_REPLAY, LEDGER_CHARGE_OK, 150); /* as it was then */
    expect_charge(1, 51, "a", 1, LEDGER_KEY_REUSED, LEDGER_CHARGE_OK, 0);
    expect_charge(2, 5, "a", 1, LEDGER_KEY_FRESH, LEDGER_CHARGE_OK, INT64_MAX); /* its own keys */
    expect_charge(2, 1, "b", 0, LEDGER_KEY_FRESH, LEDGER_CHARGE_INVALID_AMOUNT, 0);
    expect_charge(1, 0, "c", 0, LEDGER_KEY_FRESH, LEDGER_CHARGE_INVALID_AMOUNT, 0);
    expect_charge(1, -1, "c", 0, LEDGER_KEY_FRESH, LEDGER_CHARGE_INVALID_AMOUNT, 0);
    expect_charge(3, 1, "c", 0, LEDGER_KEY_FRESH, LEDGER_CHARGE_NO_USER, 0);
    /* A refusal is not kept: the key is as good as new, for anything. */
    expect_charge(1, 7, "c", 1, LEDGER_KEY_FRESH, LEDGER_CHARGE_OK, 217);
    assert_int_equal(balance_of(1), 217);
    assert_int_equal(balance_of(2), INT64_MAX);
}

static void test_replay_has_the_same_bytes(void **state)
{
    struct keyed first, again;
    char long_key[101];

    (void)state;
    memset(long_key, 'k', 100);
    long_key[100] = '\0';
    conf_user(1, 0);
    charge_of(&first, 1, 5, long_key, 0);
    conf_run(&first.command, 1);
    expect_charge(1, 5, "other", 0, LEDGER_KEY_FRESH, LEDGER_CHARGE_OK, 10);
    charge_of(&again, 1, 5, long_key, 0);
    conf_run(&again.command, 1);
    assert_true(first.command.answer.len > 10);
    assert_true(str_equal(buf_str(&first.command.answer), buf_str(&again.command.answer)));
    assert_int_equal(again.command.charge.charged_at_ms, first.command.charge.charged_at_ms);
    ledger_command_fini(&first.command);
    ledger_command_fini(&again.command);
}

static void test_same_key_at_once(void **state)
{
    struct keyed keyed[20];
    struct ledger_command commands[20];

    (void)state;
    conf_user(1, 0);
    for (size_t i = 0; i < 20; i++) {
        charge_of(&keyed[i], 1, 5, "once", i == 13);
        commands[i] = keyed[i].command;
    }
    conf_run(commands, 20);
    for (size_t i = 0; i < 20; i++) {
        assert_ok(commands[i].err);
        assert_int_equal(commands[i].key_outcome, i == 0    ? LEDGER_KEY_FRESH
                                                  : i == 13 ? LEDGER_KEY_REUSED
                                                            : LEDGER_KEY_REPLAY);
        if (i != 13)
            assert_true(str_equal(buf_str(&commands[i].answer), buf_str(&commands[0].answer)));
    }
    for (size_t i = 0; i < 20; i++)
        ledger_command_fini(&commands[i]);
    assert_int_equal(balance_of(1), 5);
}

static void test_many_on_one_wallet(void **state)
{
    struct keyed keyed[100];
    struct ledger_command commands[100];
    char keys[100][8];

    (void)state;
    conf_user(1, 0);
    for (size_t i = 0; i < 100; i++) {
        snprintf(keys[i], sizeof keys[i], "%zu", i);
        charge_of(&keyed[i], i % 10 == 9 ? 2 : 1, (int64_t)i, keys[i], 0);
        commands[i] = keyed[i].command;
    }
    conf_run(commands, 100);
    int64_t sum = 0;
    for (size_t i = 0; i < 100; i++) {
        bool refused = i % 10 == 9 || i == 0;
        assert_int_equal(commands[i].charge.outcome == LEDGER_CHARGE_OK, !refused);
        if (!refused)
            assert_int_equal(commands[i].charge.balance, sum += (int64_t)i);
        ledger_command_fini(&commands[i]);
    }
    assert_int_equal(balance_of(1), sum);
}

/* ---- users ---- */

static struct ledger_command users_of(int64_t from, int64_t to)
{
    return (struct ledger_command){ .op = LEDGER_USERS_CREATE,
                                    .users_create = {
                                        .from_user_id = from, .to_user_id = to, .balance = 9 } };
}

static void test_users(void **state)
{
    struct ledger_command commands[3] = { users_of(10, 5009), users_of(2010, 2019),
                                          users_of(3000, 3000) };

    (void)state;
    conf_user(4005, 1);
    conf_run(commands, 1);
    assert_ok(commands[0].err);
    assert_int_equal(commands[0].users_create.created, 4999); /* 4005 was there */
    assert_int_equal(balance_of(4005), 1);
    assert_int_equal(balance_of(5009), 9);
    commands[2].users_create.refuse_taken = true;
    conf_run(commands + 1, 2);
    assert_int_equal(commands[1].users_create.created, 0);
    assert_false(commands[1].users_create.taken);
    assert_true(commands[2].users_create.taken);
    commands[0] = users_of(0, 0);
    commands[0].users_create.refuse_taken = true;
    conf_run(commands, 1);
    assert_int_equal(commands[0].users_create.from_user_id, 5010);
    assert_int_equal(commands[0].users_create.created, 1);
    assert_false(commands[0].users_create.taken);
}

/* An id that the ledger chooses is free, whatever else is made in the same turn. */
static void test_chosen_id_is_free(void **state)
{
    struct ledger_command commands[4] = { users_of(1, 1), users_of(0, 0), users_of(3, 5),
                                          users_of(0, 0) };
    static const int64_t created[] = { 1, 1, 3, 1 };

    (void)state;
    conf_run(commands, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_ok(commands[i].err);
        assert_int_equal(commands[i].users_create.created, created[i]);
    }
    assert_int_equal(commands[1].users_create.from_user_id, 2);
    assert_int_equal(commands[3].users_create.from_user_id, 6);
}

/* Who is made in a turn can be charged in it. */
static void test_charged_when_made(void **state)
{
    struct keyed keyed;
    struct ledger_command commands[2] = { users_of(1, 1), { 0 } };

    (void)state;
    charge_of(&keyed, 1, 5, "a", 0);
    commands[1] = keyed.command;
    conf_run(commands, 2);
    assert_int_equal(commands[1].charge.outcome, LEDGER_CHARGE_OK);
    assert_int_equal(commands[1].charge.balance, 14);
    ledger_command_fini(&commands[1]);
}

int ledger_conformance_charges(void)
{
    static const struct CMUnitTest tests[] = {
        CONFORMANCE_TEST(test_charge),
        CONFORMANCE_TEST(test_replay_has_the_same_bytes),
        CONFORMANCE_TEST(test_same_key_at_once),
        CONFORMANCE_TEST(test_many_on_one_wallet),
        CONFORMANCE_TEST(test_users),
        CONFORMANCE_TEST(test_chosen_id_is_free),
        CONFORMANCE_TEST(test_charged_when_made),
    };
    return cmocka_run_group_tests_name("wallets and users", tests, NULL, NULL);
}
