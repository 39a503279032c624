// SPDX-License-Identifier: Apache-2.0
/* Attempts: held while the gateway is asked, then sold or given back, once, by the last claim. */
#include "base/clock.h"
#include "ledger/ledger_conformance_orders.h"

static int64_t new_order(int64_t user_id, int64_t quantity)
{
    struct conf_order order;

    conf_order_create(&order, user_id, 5, quantity, NULL);
    assert_int_equal(conf_order_run(&order), LEDGER_ORDER_OK);
    return conf_result(&order.command)->order_id;
}

static struct ledger_attempt hold(int64_t user_id, int64_t order_id, const char *key)
{
    struct conf_order pay;

    conf_order_pay(&pay, user_id, order_id, key);
    pay.command.order_pay.gateway = true;
    assert_int_equal(conf_order_run(&pay), LEDGER_ORDER_HELD);
    return conf_result(&pay.command)->attempt;
}

static enum ledger_order_outcome settle(struct conf_order *self,
                                        const struct ledger_attempt *attempt,
                                        enum ledger_attempt_answer answer)
{
    *self = (struct conf_order){ .command = { .op = LEDGER_ATTEMPT_SETTLE,
                                              .render = conf_order_render } };
    self->command.attempt_settle =
        (struct ledger_attempt_settle){ .kind = attempt->kind,
                                        .subject_id = attempt->subject_id,
                                        .number = attempt->number,
                                        .claim = attempt->claim,
                                        .answer = answer };
    if (answer == LEDGER_ATTEMPT_APPROVED)
        snprintf(self->command.attempt_settle.transaction_id,
                 sizeof self->command.attempt_settle.transaction_id, "T-1");
    return conf_order_run(self);
}

static struct ledger_attempt claim(const struct ledger_attempt *attempt, bool *ret_found)
{
    struct ledger_command command = { .op = LEDGER_ATTEMPT_CLAIM,
                                      .attempt_claim = { .attempt = *attempt } };

    conf_run(&command, 1);
    assert_ok(command.err);
    *ret_found = command.attempt_claim.found;
    return command.attempt_claim.attempt;
}

static size_t open_attempts(void)
{
    struct ledger_read read = {
        .op = LEDGER_READ_ATTEMPTS, .arena = &world.arena, .before_ms = INT64_MAX, .limit = 10
    };

    conf_read(&read);
    assert_ok(read.err);
    return read.attempt_count;
}

static void start(void)
{
    conf_user(1, 1000);
    conf_product(5, 100, 10);
}

static void test_approved(void **state)
{
    struct conf_order order;
    bool found;

    (void)state;
    start();
    int64_t id = new_order(1, 3);
    struct ledger_attempt attempt = hold(1, id, "p");
    assert_int_equal(attempt.kind, LEDGER_ATTEMPT_PAYMENT);
    assert_int_equal(attempt.amount, 300);
    assert_string_equal(attempt.client_key, "p");
    assert_int_equal(conf_balance(1), 700);
    assert_int_equal(conf_product_now(5).stock, 7);
    assert_int_equal(conf_product_now(5).held, 3);
    assert_int_equal(conf_order_now(id, &found).status, ORDER_PENDING);
    assert_int_equal(conf_units_sold(), 0);
    assert_int_equal(open_attempts(), 1);

    /* while it is open: the same key, another key, a cancel */
    conf_order_pay(&order, 1, id, "p");
    assert_int_equal(conf_order_run(&order), LEDGER_ORDER_BUSY);
    assert_int_equal(order.command.key_outcome, LEDGER_KEY_RUNNING);
    conf_order_pay(&order, 1, id, "q");
    assert_int_equal(conf_order_run(&order), LEDGER_ORDER_BUSY);
    conf_order_cancel(&order, 1, id, "c");
    assert_int_equal(conf_order_run(&order), LEDGER_ORDER_BUSY);

    struct conf_order settled;
    assert_int_equal(settle(&settled, &attempt, LEDGER_ATTEMPT_APPROVED), LEDGER_ORDER_OK);
    assert_int_equal(conf_balance(1), 700);
    assert_int_equal(conf_product_now(5).stock, 7);
    assert_int_equal(conf_product_now(5).held, 0);
    assert_int_equal(conf_units_sold(), 3);
    assert_int_equal(conf_order_now(id, &found).status, ORDER_COMPLETED);
    assert_int_equal(open_attempts(), 0);
    conf_order_pay(&order, 1, id, "p");
    assert_int_equal(conf_order_run(&order), LEDGER_ORDER_OK);
    assert_int_equal(order.command.key_outcome, LEDGER_KEY_REPLAY);
    assert_string_equal(order.text, settled.text);
    /* a second word has no effect */
    assert_int_equal(settle(&settled, &attempt, LEDGER_ATTEMPT_REFUSED), LEDGER_ORDER_STALE);
    assert_int_equal(conf_balance(1), 700);
}

static void test_refused(void **state)
{
    struct conf_order order, settled;
    bool found;

    (void)state;
    start();
    int64_t id = new_order(1, 3);
    struct ledger_attempt attempt = hold(1, id, "p");
    assert_int_equal(settle(&settled, &attempt, LEDGER_ATTEMPT_REFUSED), LEDGER_ORDER_REFUSED);
    assert_int_equal(conf_balance(1), 1000);
    assert_int_equal(conf_product_now(5).stock, 10);
    assert_int_equal(conf_product_now(5).held, 0);
    assert_int_equal(conf_order_now(id, &found).status, ORDER_PENDING);
    conf_order_pay(&order, 1, id, "p"); /* 402 is kept */
    assert_int_equal(conf_order_run(&order), LEDGER_ORDER_REFUSED);
    assert_int_equal(order.command.status, 402);
    assert_string_equal(order.text, settled.text);
    attempt = hold(1, id, "q"); /* another key tries again */
    assert_int_equal(attempt.number, 2);
    assert_int_equal(settle(&settled, &attempt, LEDGER_ATTEMPT_APPROVED), LEDGER_ORDER_OK);
    assert_int_equal(conf_balance(1), 700);
}

/* Certainly not asked: as if the key had never come. */
static void test_unasked(void **state)
{
    struct conf_order settled;

    (void)state;
    start();
    int64_t id = new_order(1, 3);
    struct ledger_attempt attempt = hold(1, id, "p");
    assert_int_equal(settle(&settled, &attempt, LEDGER_ATTEMPT_UNASKED), LEDGER_ORDER_ABANDONED);
    assert_int_equal(conf_balance(1), 1000);
    attempt = hold(1, id, "p");
    assert_int_equal(attempt.number, 2);
    assert_int_equal(settle(&settled, &attempt, LEDGER_ATTEMPT_APPROVED), LEDGER_ORDER_OK);
}

/* Who claimed last has the say. */
static void test_claims(void **state)
{
    struct conf_order settled;
    bool found;

    (void)state;
    start();
    struct ledger_attempt first = hold(1, new_order(1, 3), "p");
    struct ledger_attempt second = claim(&first, &found);
    assert_true(found);
    assert_int_equal(second.claim, 1);
    assert_int_equal(second.amount, 300);
    assert_string_equal(second.client_key, "p");
    assert_int_equal(settle(&settled, &first, LEDGER_ATTEMPT_APPROVED), LEDGER_ORDER_STALE);
    assert_int_equal(settle(&settled, &first, LEDGER_ATTEMPT_UNASKED), LEDGER_ORDER_STALE);
    assert_int_equal(open_attempts(), 1);
    assert_int_equal(settle(&settled, &second, LEDGER_ATTEMPT_VOIDED), LEDGER_ORDER_REFUSED);
    assert_int_equal(conf_balance(1), 1000);
    claim(&first, &found);
    assert_false(found);
}

static void test_refund(void **state)
{
    struct conf_order cancel, settled;
    bool found;

    (void)state;
    start();
    int64_t id = new_order(1, 3);
    struct ledger_attempt attempt = hold(1, id, "p");
    settle(&settled, &attempt, LEDGER_ATTEMPT_APPROVED);
    conf_order_cancel(&cancel, 1, id, "c");
    assert_int_equal(conf_order_run(&cancel), LEDGER_ORDER_HELD);
    attempt = conf_result(&cancel.command)->attempt;
    assert_int_equal(attempt.kind, LEDGER_ATTEMPT_REFUND);
    assert_string_equal(attempt.refunded_id, "T-1");
    struct ledger_attempt claimed = claim(&attempt, &found);
    assert_string_equal(claimed.refunded_id, "T-1");
    assert_int_equal(settle(&settled, &claimed, LEDGER_ATTEMPT_REFUSED), LEDGER_ORDER_REFUSED);
    assert_int_equal(conf_order_now(id, &found).status, ORDER_COMPLETED);
    assert_int_equal(conf_units_sold(), 3);
    conf_order_cancel(&cancel, 1, id, "d");
    assert_int_equal(conf_order_run(&cancel), LEDGER_ORDER_HELD);
    attempt = conf_result(&cancel.command)->attempt;
    assert_int_equal(settle(&settled, &attempt, LEDGER_ATTEMPT_APPROVED), LEDGER_ORDER_OK);
    assert_int_equal(conf_order_now(id, &found).status, ORDER_CANCELLED);
    assert_int_equal(conf_balance(1), 1000);
    assert_int_equal(conf_product_now(5).stock, 10);
    assert_int_equal(conf_units_sold(), 0);
}

static int64_t order_with_coupon(void)
{
    struct conf_order order;

    conf_order_create(&order, 1, 5, 1, NULL);
    order.command.order_create.coupon_id = COUPON;
    assert_int_equal(conf_order_run(&order), LEDGER_ORDER_OK);
    return conf_result(&order.command)->order_id;
}

static struct ledger_held holder(void)
{
    struct ledger_held held[1] = { 0 };
    struct coupon coupon;

    conf_scan(&coupon, held, 1);
    return held[0];
}

/* A coupon of several uses: what is refused counts as none, and is not the last one. */
static void test_refused_with_coupon(void **state)
{
    struct coupon coupon;
    struct conf_order pay, settled;
    struct ledger_command create = conf_create(&coupon, COUPON, 5), place = conf_place(1, 1);

    (void)state;
    start();
    coupon.settings.ends_at_ms = INT64_C(4000000000000);
    coupon.uses_per_user = COUPON_USES_UNLIMITED;
    conf_run(&create, 1);
    conf_run(&place, 1);
    conf_order_pay(&pay, 1, order_with_coupon(), "p");
    assert_int_equal(conf_order_run(&pay), LEDGER_ORDER_OK);
    struct ledger_held before = holder();
    assert_int_equal(before.used_at_ms, conf_result(&pay.command)->at_ms);
    clock_set_offset_ms(5000);
    struct ledger_attempt attempt = hold(1, order_with_coupon(), "q");
    assert_int_equal(holder().uses, 2);
    settle(&settled, &attempt, LEDGER_ATTEMPT_REFUSED);
    assert_int_equal(holder().uses, 1);
    assert_int_equal(holder().used_at_ms, before.used_at_ms);
    attempt = hold(1, order_with_coupon(), "r");
    settle(&settled, &attempt, LEDGER_ATTEMPT_APPROVED);
    assert_int_equal(holder().used_at_ms, conf_result(&settled.command)->at_ms);
    assert_true(holder().used_at_ms >= before.used_at_ms + 5000);
    clock_set_offset_ms(0);
}

/* Order and payment in one: refused, it leaves no order. */
static void test_complete(void **state)
{
    struct conf_order order, settled;
    bool found;

    (void)state;
    start();
    conf_order_create(&order, 1, 5, 3, NULL);
    order.command.order_create.pay = order.command.order_create.gateway = true;
    assert_int_equal(conf_order_run(&order), LEDGER_ORDER_HELD);
    struct ledger_attempt attempt = conf_result(&order.command)->attempt;
    conf_order_now(attempt.subject_id, &found);
    assert_true(found);
    assert_int_equal(settle(&settled, &attempt, LEDGER_ATTEMPT_REFUSED), LEDGER_ORDER_REFUSED);
    conf_order_now(attempt.subject_id, &found);
    assert_false(found);
    assert_int_equal(conf_balance(1), 1000);

    conf_order_create(&order, 1, 5, 3, NULL);
    order.command.order_create.pay = true;
    assert_int_equal(conf_order_run(&order), LEDGER_ORDER_OK);
    assert_int_equal(conf_balance(1), 700);
    assert_int_equal(conf_units_sold(), 3);
}

int ledger_conformance_attempts(void)
{
    static const struct CMUnitTest tests[] = {
        CONFORMANCE_TEST(test_approved),
        CONFORMANCE_TEST(test_refused),
        CONFORMANCE_TEST(test_refused_with_coupon),
        CONFORMANCE_TEST(test_unasked),
        CONFORMANCE_TEST(test_claims),
        CONFORMANCE_TEST(test_refund),
        CONFORMANCE_TEST(test_complete),
    };
    return cmocka_run_group_tests_name("attempts", tests, NULL, NULL);
}
