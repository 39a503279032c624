// SPDX-License-Identifier: Apache-2.0
/* Payments at a gateway that does what it is told: whatever it answers and whoever goes on, money
 * moves once, and who asks again with the same key hears the same. */
#include "base/mem.h"
#include "shop/payment_fixture_test.h"

/* ---- the gateway answers ---- */

static void test_approved(void **state)
{
    int64_t order_id = an_order("o");
    struct asked first = now(paying(order_id), "p"), again = now(paying(order_id), "p");

    (void)state;
    assert_int_equal(first.payment.outcome, PAYMENT_OK);
    assert_int_equal(first.payment.status, 200);
    assert_false(first.payment.replayed);
    assert_true(again.payment.replayed);
    assert_string_equal(first.answer, again.answer);
    assert_int_equal(standing("order-1-1"), 2 * PRICE);
    assert_int_equal(books.calls[GATEWAY_CHARGE], 1);
    expect(paying(order_id), "q", PAYMENT_INVALID_STATUS);
    expect_state(PAID, SOLD, 0);
}

static void test_declined(void **state)
{
    int64_t order_id = an_order("o");

    (void)state;
    tell(REFUSE, 1);
    struct asked first = now(paying(order_id), "p");
    assert_int_equal(first.payment.outcome, PAYMENT_DECLINED);
    assert_int_equal(first.payment.status, 402);
    expect_state(BALANCE, STOCK, 0);
    assert_string_equal(now(paying(order_id), "p").answer, first.answer);
    assert_int_equal(books.calls[GATEWAY_CHARGE], 1);
    expect(paying(order_id), "q", PAYMENT_OK); /* another attempt, another key at the gateway */
    assert_int_equal(standing("order-1-2"), 2 * PRICE);
    expect_state(PAID, SOLD, 0);
}

static void test_not_sent(void **state)
{
    int64_t order_id = an_order("o");

    (void)state;
    tell(NOT_SENT, 3);
    expect(paying(order_id), "p", PAYMENT_UNAVAILABLE);
    expect(ordering(true, 0), "c", PAYMENT_UNAVAILABLE);
    expect(charging(5), "m", PAYMENT_UNAVAILABLE);
    expect_state(BALANCE, STOCK, 0);
    assert_int_equal(status_of(order_id + 1), -1);
    expect(paying(order_id), "p", PAYMENT_OK); /* nothing was kept with the key */
    expect(ordering(true, 0), "c", PAYMENT_OK);
    expect(charging(5), "m", PAYMENT_OK);
    expect_state(BALANCE - 4 * PRICE + 5, STOCK - 4, 0);
}

static void test_refund(void **state)
{
    int64_t order_id = an_order("o");

    (void)state;
    expect(paying(order_id), "p", PAYMENT_OK);
    tell(REFUSE, 1);
    expect(cancelling(order_id), "c", PAYMENT_DECLINED);
    assert_int_equal(status_of(order_id), ORDER_COMPLETED);
    expect_state(PAID, SOLD, 0);
    expect(cancelling(order_id), "d", PAYMENT_OK);
    assert_int_equal(standing("refund-1-3"), 2 * PRICE);
    assert_int_equal(status_of(order_id), ORDER_CANCELLED);
    expect_state(BALANCE, STOCK, 0);
    expect(cancelling(order_id), "c", PAYMENT_DECLINED); /* as it was */
}

static void test_no_gateway_to_refund(void **state)
{
    int64_t order_id = an_order("o");

    (void)state;
    expect(paying(order_id), "p", PAYMENT_OK);
    shop_stop();
    used_gateway = NULL;
    shop_start();
    expect(cancelling(order_id), "c", PAYMENT_UNAVAILABLE);
    expect_state(PAID, SOLD, 0);
    assert_int_equal(status_of(order_id), ORDER_COMPLETED);
}

/* ---- it is not known ---- */

static void test_unknown_is_settled(void **state)
{
    static const enum manner manners[] = { LOSE_REQUEST, LOSE_ANSWER };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(manners); i++) {
        pay_begin();
        int64_t order_id = an_order("o");
        tell(manners[i], 1);
        expect(paying(order_id), "p", PAYMENT_UNKNOWN);
        expect_state(PAID, SOLD, 1); /* held */
        config.payment_settle_after_ms = 1;
        wait_settled();
        assert_int_equal(books.calls[GATEWAY_CHARGE], 2);
        assert_int_equal(standing("order-1-1"), 2 * PRICE);
        expect(paying(order_id), "p", PAYMENT_OK);
        expect_state(PAID, SOLD, 0);
        pay_end();
    }
}

static void test_unknown_then_refused(void **state)
{
    (void)state;
    tell(LOSE_REQUEST, 1);
    expect(ordering(true, 0), "c", PAYMENT_UNKNOWN);
    tell(REFUSE, 1);
    config.payment_settle_after_ms = 1;
    wait_settled();
    expect(ordering(true, 0), "c", PAYMENT_DECLINED);
    assert_int_equal(status_of(1), -1);
    expect_state(BALANCE, STOCK, 0);
}

static void test_unknown_charge(void **state)
{
    (void)state;
    tell(LOSE_ANSWER, 1);
    expect(charging(50), "m", PAYMENT_UNKNOWN);
    expect_state(BALANCE, STOCK, 1);
    config.payment_settle_after_ms = 1;
    wait_settled();
    expect(charging(50), "m", PAYMENT_OK);
    expect_state(BALANCE + 50, STOCK, 0);
    assert_int_equal(standing("charge-1-1"), 50);
}

/* ---- two at once ---- */

static bool is_hanging(void)
{
    return books.hanging != NULL;
}

/* Whoever waits hears so at the deadline; the flow goes on without its caller. */
static void test_deadline(void **state)
{
    int64_t order_id = an_order("o");
    struct asked first = paying(order_id), same = first, other = first, drop = cancelling(order_id);

    (void)state;
    config.request_deadline_ms = 100;
    tell(HANG, 1);
    ask(&first, "p");
    wait_until(is_hanging);
    ask(&same, "p");
    ask(&other, "q");
    ask(&drop, "c");
    wait_until(all_answered);
    assert_int_equal(first.payment.outcome, PAYMENT_UNKNOWN);
    assert_int_equal(same.payment.outcome, PAYMENT_BUSY);
    assert_int_equal(other.payment.outcome, PAYMENT_BUSY);
    assert_int_equal(drop.payment.outcome, PAYMENT_BUSY);
    expect_state(PAID, SOLD, 1);
    config.request_deadline_ms = 60000;
    release();
    expect(paying(order_id), "p", PAYMENT_OK);
    expect(paying(order_id), "q", PAYMENT_INVALID_STATUS);
    expect_state(PAID, SOLD, 0);
    assert_int_equal(books.calls[GATEWAY_CHARGE], 1);
}

/* Those who wait in time hear the one answer, or what is true then. */
static void test_waiting(void **state)
{
    int64_t order_id = an_order("o");
    struct asked first = paying(order_id), same = first, other = first, drop = cancelling(order_id);

    (void)state;
    tell(HANG, 1);
    ask(&first, "p");
    wait_until(is_hanging);
    ask(&same, "p");
    ask(&other, "q");
    release();
    wait_until(all_answered);
    assert_int_equal(first.payment.outcome, PAYMENT_OK);
    assert_string_equal(first.answer, same.answer);
    assert_int_equal(other.payment.outcome, PAYMENT_INVALID_STATUS);
    tell(HANG, 1);
    ask(&drop, "c");
    wait_until(is_hanging);
    struct asked paid = paying(order_id), dropped = cancelling(order_id);
    ask(&paid, "q");
    ask(&dropped, "d");
    release();
    wait_until(all_answered);
    assert_int_equal(drop.payment.outcome, PAYMENT_OK);
    assert_int_equal(paid.payment.outcome, PAYMENT_INVALID_STATUS);
    assert_int_equal(dropped.payment.outcome, PAYMENT_INVALID_STATUS);
    expect_state(BALANCE, STOCK, 0);
}

/* The settler takes over while the caller's own call is on its way: its word counts. */
static void test_stale(void **state)
{
    static const enum manner manners[] = { HANG, HANG_NOT_SENT };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(manners); i++) {
        for (int with_key = 0; with_key < 2; with_key++) {
            pay_begin();
            struct asked asked = ordering(true, 0);
            asked.payment.command.order_create.lines = &asked.line;
            tell(manners[i], 1);
            ask(&asked, with_key ? "c" : NULL);
            wait_until(is_hanging);
            config.payment_settle_after_ms = 1;
            wait_settled();
            assert_int_equal(status_of(1), ORDER_COMPLETED);
            assert_false(asked.ended);
            release();
            wait_until(all_answered);
            assert_int_equal(asked.payment.outcome, with_key ? PAYMENT_OK : PAYMENT_UNKNOWN);
            assert_int_equal(standing("order-"), 2 * PRICE);
            assert_int_equal(status_of(2), -1); /* nothing was ordered twice */
            expect_state(PAID, SOLD, 0);
            pay_end();
        }
    }
}

static bool no_payments(void)
{
    return list_empty(&here.payments);
}

static void test_hurry(void **state)
{
    int64_t order_id = an_order("o");
    struct asked first = paying(order_id), other = first;

    (void)state;
    tell(HANG, 1);
    ask(&first, "p");
    wait_until(is_hanging);
    ask(&other, "q");
    wait_until(turned);
    payments_hurry(&here);
    wait_until(all_answered);
    assert_int_equal(first.payment.outcome, PAYMENT_UNKNOWN);
    assert_true(other.payment.outcome == PAYMENT_BUSY || other.payment.outcome == PAYMENT_UNKNOWN);
    release();
    wait_until(no_payments);
    expect_state(PAID, SOLD, 0);
}

/* ---- a server dies between any two steps ---- */

static struct ledger_attempt hold(int64_t order_id, const char *key)
{
    struct ledger_key with = { .user_id = USER,
                               .operation = LEDGER_OPERATION_PAYMENT,
                               .key = str_from(key) };
    struct ledger_command command = {
        .op = LEDGER_ORDER_PAY,
        .key = &with,
        .render = render,
        .order_pay = { .user_id = USER, .order_id = order_id, .gateway = true }
    };

    ledger_now(&command);
    ledger_command_fini(&command);
    assert_int_equal(command.order_pay.result.outcome, LEDGER_ORDER_HELD);
    return command.order_pay.result.attempt;
}

static struct ledger_attempt claimed(struct ledger_attempt attempt)
{
    struct ledger_command command = { .op = LEDGER_ATTEMPT_CLAIM,
                                      .attempt_claim = { .attempt = attempt } };

    ledger_now(&command);
    assert_true(command.attempt_claim.found);
    return command.attempt_claim.attempt;
}

static void asked_before(enum gateway_op op, const char *key)
{
    struct gateway_call call = { .op = op, .amount = 2 * PRICE };

    snprintf(call.key, sizeof call.key, "%s", key);
    book(&call, false);
}

static void settle_by(struct ledger_attempt attempt, enum ledger_attempt_answer answer,
                      enum ledger_order_outcome outcome)
{
    struct ledger_command command = { .op = LEDGER_ATTEMPT_SETTLE,
                                      .render = render,
                                      .attempt_settle = { .kind = attempt.kind,
                                                          .subject_id = attempt.subject_id,
                                                          .number = attempt.number,
                                                          .claim = attempt.claim,
                                                          .answer = answer,
                                                          .transaction_id = "T-late" } };

    ledger_now(&command);
    ledger_command_fini(&command);
    assert_int_equal(command.attempt_settle.result.outcome, outcome);
}

/* How far the server that dies has come. */
enum step { HELD_ONLY, CHARGED, CLAIMED, CLAIMED_AND_CHARGED, CLAIMED_AND_VOIDED, STEP_N };

static void test_crash(void **state)
{
    (void)state;
    for (enum step step = HELD_ONLY; step < STEP_N; step++) {
        pay_begin();
        int64_t order_id = an_order("o");
        struct ledger_attempt attempt = hold(order_id, "p"), dead = attempt;
        if (step == CHARGED || step == CLAIMED_AND_CHARGED)
            asked_before(GATEWAY_CHARGE, "order-1-1");
        if (step >= CLAIMED)
            dead = claimed(attempt);
        if (step == CLAIMED_AND_VOIDED)
            asked_before(GATEWAY_VOID, "order-1-1");
        shop_stop();
        config.payment_settle_after_ms = 1;
        shop_start();
        wait_settled();
        bool voided = step == CLAIMED_AND_VOIDED;
        expect(paying(order_id), "p", voided ? PAYMENT_DECLINED : PAYMENT_OK);
        assert_int_equal(standing("order-"), voided ? 0 : 2 * PRICE);
        /* what the dead one has still to say is not heard */
        settle_by(dead, LEDGER_ATTEMPT_APPROVED, LEDGER_ORDER_STALE);
        settle_by(dead, LEDGER_ATTEMPT_VOIDED, LEDGER_ORDER_STALE);
        expect_state(voided ? BALANCE : PAID, voided ? STOCK : SOLD, 0);
        pay_end();
    }
}

/* Two settlers: the older claim has no say, whatever the gateway told it. */
static void test_older_claim(void **state)
{
    int64_t order_id = an_order("o");
    struct ledger_attempt first = hold(order_id, "p"), older = claimed(first),
                          younger = claimed(first);

    (void)state;
    settle_by(first, LEDGER_ATTEMPT_APPROVED, LEDGER_ORDER_STALE);
    settle_by(first, LEDGER_ATTEMPT_UNASKED, LEDGER_ORDER_STALE);
    settle_by(older, LEDGER_ATTEMPT_APPROVED, LEDGER_ORDER_STALE);
    expect_state(PAID, SOLD, 1);
    settle_by(younger, LEDGER_ATTEMPT_VOIDED, LEDGER_ORDER_REFUSED);
    settle_by(younger, LEDGER_ATTEMPT_APPROVED, LEDGER_ORDER_STALE);
    expect_state(BALANCE, STOCK, 0);
}

static void test_no_gateway_to_settle(void **state)
{
    int64_t order_id = an_order("o");

    (void)state;
    hold(order_id, "p");
    shop_stop();
    used_gateway = NULL;
    config.payment_settle_after_ms = 1;
    shop_start();
    wait_until(something_open);
    expect_state(PAID, SOLD, 1); /* left alone, and told */
    shop_stop();
    used_gateway = &books.base;
    shop_start();
    wait_settled();
    expect_state(PAID, SOLD, 0);
}

/* ---- the ledger is away, memory is ---- */

static void test_ledger_away(void **state)
{
    int64_t order_id = an_order("o");
    struct asked asked = paying(order_id);

    (void)state;
    ledger_fault_set(shop.ledger, true);
    expect(paying(order_id), "p", PAYMENT_UNAVAILABLE);
    ledger_fault_set(shop.ledger, false);
    config.request_deadline_ms = 150;
    tell(HANG, 1);
    ask(&asked, "p");
    wait_until(is_hanging);
    ledger_fault_set(shop.ledger, true); /* the gateway's word cannot be written down */
    release();
    wait_until(all_answered);
    assert_int_equal(asked.payment.outcome, PAYMENT_UNKNOWN);
    ledger_fault_set(shop.ledger, false);
    config.request_deadline_ms = 60000;
    config.payment_settle_after_ms = 1;
    expect(paying(order_id), "p", PAYMENT_OK);
    assert_int_equal(standing("order-1-1"), 2 * PRICE);
    expect_state(PAID, SOLD, 0);
}

static void test_no_memory(void **state)
{
    (void)state;
    for (int after = 0; after < 3; after++) {
        struct asked asked = ordering(false, 0);
        asked.payment.command.order_create.lines = &asked.line;
        mem_fault_set(after);
        ask(&asked, "a key that is copied");
        mem_fault_set(-1);
        wait_until(all_answered);
        assert_true(asked.payment.outcome == PAYMENT_OVERLOADED ||
                    asked.payment.outcome == PAYMENT_OK);
        assert_int_equal(asked.payment.outcome == PAYMENT_OK, after > 1);
    }
}

/* ---- coupons ---- */

static bool granted;

static void gate_done(struct gate_ask *ask)
{
    assert_int_equal(ask->outcome, GATE_GRANTED);
    granted = true;
}

static bool is_granted(void)
{
    return granted;
}

static void reserve(void)
{
    struct gate_ask ask = { .done = gate_done,
                            .coupon_id = COUPON,
                            .user_id = USER,
                            .purpose = GATE_RESERVE,
                            .token = gate_token(shop.gate) };

    list_init(&ask.node);
    granted = false;
    gate_ask(here.gate, &ask);
    wait_until(is_granted);
}

/* Granted, and stored by nobody but the sweeper, a little later. */
static void test_coupon_is_waited_for(void **state)
{
    (void)state;
    reserve();
    expect(ordering(false, COUPON), "o", PAYMENT_OK);
    expect(ordering(true, COUPON), "c", PAYMENT_OK);
    expect(ordering(false, COUPON), "used up", PAYMENT_INVALID_COUPON);
    expect(ordering(false, COUPON + 1), "unknown", PAYMENT_INVALID_COUPON);
}

static void test_coupon_that_is_not_stored(void **state)
{
    (void)state;
    expect(ordering(false, COUPON), "not mine", PAYMENT_INVALID_COUPON);
    config.gate_sweep_after_ms = 3600000;
    config.request_deadline_ms = 200;
    reserve();
    expect(ordering(false, COUPON), "o", PAYMENT_UNAVAILABLE);
    config.gate_sweep_after_ms = 1;
    config.request_deadline_ms = 60000;
    expect(ordering(false, COUPON), "o", PAYMENT_OK);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, pay_setup, pay_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_approved),
        TEST(test_declined),
        TEST(test_not_sent),
        TEST(test_refund),
        TEST(test_no_gateway_to_refund),
        cmocka_unit_test(test_unknown_is_settled),
        TEST(test_unknown_then_refused),
        TEST(test_unknown_charge),
        TEST(test_deadline),
        TEST(test_waiting),
        cmocka_unit_test(test_stale),
        TEST(test_hurry),
        cmocka_unit_test(test_crash),
        TEST(test_older_claim),
        TEST(test_no_gateway_to_settle),
        TEST(test_ledger_away),
        TEST(test_no_memory),
        TEST(test_coupon_is_waited_for),
        TEST(test_coupon_that_is_not_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
