// SPDX-License-Identifier: Apache-2.0
/*
 * A shop that pays at a gateway with books, which does what it is told: user 1 has 1000 won,
 * product 1 costs 100 and there are 10 of it. Payments are begun, waited for, and their answers are
 * text: "what status" of the order.
 */
#pragma once
#include "gateway/gateway_backend.h"
#include "shop/shop_fixture_test.h"

enum manner {
    PLAIN,         /* books it, says so */
    REFUSE,        /* for good */
    LOSE_REQUEST,  /* does not hear of it; unknown */
    LOSE_ANSWER,   /* books it; unknown */
    NOT_SENT,      /* certainly did not hear of it */
    HANG,          /* books it, answers when told: release() */
    HANG_NOT_SENT, /* when told: not sent */
};

enum { ENTRIES_MAX = 64, USER = 1, PRODUCT = 1, PRICE = 100, STOCK = 10, BALANCE = 1000 };
enum { PAID = BALANCE - 2 * PRICE, SOLD = STOCK - 2 }; /* what is left after an order of two */

struct entry {
    char key[GATEWAY_KEY_BYTES_MAX + 1];
    bool charged, refused, voided;
    int64_t amount;
};

static struct books {
    struct gateway base;
    struct entry entries[ENTRIES_MAX];
    size_t entry_count;
    enum manner manner; /* of the next `left` calls, PLAIN afterwards */
    int left;           /* -1: of all */
    struct gateway_call *hanging;
    enum manner hanging_manner;
    unsigned calls[3]; /* by operation */
    unsigned running, running_max;
} books;

static struct entry *entry_of(const char *key)
{
    for (size_t i = 0; i < books.entry_count; i++)
        if (strcmp(books.entries[i].key, key) == 0)
            return &books.entries[i];
    assert_true(books.entry_count < ENTRIES_MAX);
    struct entry *entry = &books.entries[books.entry_count];
    snprintf(entry->key, sizeof entry->key, "%s", key);
    return &books.entries[books.entry_count++];
}

static void book(struct gateway_call *call, bool refuse)
{
    struct entry *entry = entry_of(call->key);

    if (call->op == GATEWAY_VOID && refuse) { /* it cannot be undone */
        call->outcome = GATEWAY_REFUSED;
        return;
    }
    if (call->op == GATEWAY_VOID) {
        entry->charged = false;
        entry->voided = true;
    } else if (!entry->charged && !entry->refused && !entry->voided) {
        entry->charged = !refuse;
        entry->refused = refuse;
        entry->amount = call->amount;
    }
    bool good = call->op == GATEWAY_VOID || entry->charged;
    call->outcome = good ? GATEWAY_APPROVED : GATEWAY_REFUSED;
    if (good)
        snprintf(call->transaction_id, sizeof call->transaction_id, "T-%.60s", call->key);
}

static void answer_now(struct gateway_call *call, enum manner manner)
{
    switch (manner) {
    case PLAIN:
    case REFUSE:
    case HANG:
        book(call, manner == REFUSE);
        break;
    case LOSE_ANSWER:
        book(call, false);
        call->outcome = GATEWAY_UNKNOWN;
        break;
    case LOSE_REQUEST:
        call->outcome = GATEWAY_UNKNOWN;
        break;
    case NOT_SENT:
    case HANG_NOT_SENT:
        call->outcome = GATEWAY_UNSENT;
        break;
    }
    call->done(call);
}

static void run(struct loop_task *task)
{
    struct gateway_call *call = CONTAINER_OF(task, struct gateway_call, task);
    enum manner manner = books.left ? books.manner : PLAIN;

    books.running--;
    books.left -= books.left > 0;
    books.calls[call->op]++;
    if (manner != HANG && manner != HANG_NOT_SENT) {
        answer_now(call, manner);
        return;
    }
    assert_null(books.hanging);
    if (manner == HANG) /* it will say what it has booked now */
        book(call, false);
    books.hanging = call;
    books.hanging_manner = manner;
}

static inline void release(void)
{
    struct gateway_call *call = books.hanging;

    assert_non_null(call);
    books.hanging = NULL;
    answer_now(call, books.hanging_manner);
}

static void fake_start(struct gateway_client *client, struct gateway_call *call)
{
    call->task.run = run;
    loop_post(client->loop, &call->task);
    books.running++;
    books.running_max = MAX(books.running_max, books.running);
}

static struct gateway_stats fake_stats(struct gateway *gateway)
{
    (void)gateway;
    return (struct gateway_stats){ 0 };
}

static struct gateway_client fake_client;

static struct gateway_client *fake_client_new(struct gateway *gateway, struct loop *on,
                                              struct metrics_slot *metrics)
{
    (void)metrics;
    fake_client = (struct gateway_client){ .gateway = gateway, .loop = on };
    return &fake_client;
}

static struct gateway_client *fake_client_free(struct gateway_client *client)
{
    (void)client;
    return NULL;
}

static inline void tell(enum manner manner, int times)
{
    books.manner = manner;
    books.left = times;
}

/* ---- a shop ---- */

/* "what status", for whoever looks at answers. */
static unsigned render(const struct ledger_command *command, struct buf *answer)
{
    static const struct ledger_order_result charged = { .operation = LEDGER_OPERATION_CHARGE };
    const struct ledger_order_result *result =
        command->op == LEDGER_ORDER_CREATE     ? &command->order_create.result
        : command->op == LEDGER_ORDER_PAY      ? &command->order_pay.result
        : command->op == LEDGER_ORDER_CANCEL   ? &command->order_cancel.result
        : command->op == LEDGER_ATTEMPT_SETTLE ? &command->attempt_settle.result
                                               : &charged;

    if (result->outcome == LEDGER_ORDER_REFUSED) {
        buf_printf(answer, "declined %d", (int)result->operation);
        return 402;
    }
    if (result->outcome != LEDGER_ORDER_OK)
        return 0;
    buf_printf(answer, "operation %d order %lld status %d", (int)result->operation,
               (long long)result->order_id, result->order ? (int)result->order->status : -1);
    return 200;
}

static inline void ledger_now(struct ledger_command *command)
{
    ledger_run(shop.ledger, command);
    assert_ok(command->err);
}

static inline void pay_begin(void)
{
    static const struct gateway_backend backend = { .start = fake_start,
                                                    .stats = fake_stats,
                                                    .client_new = fake_client_new,
                                                    .client_free = fake_client_free };
    struct ledger_product product = {
        .product_id = PRODUCT, .name = STR("thing"), .price = PRICE, .stock = STOCK
    };

    books = (struct books){ .base = { .backend = &backend, .timeout_ms = 100 } };
    used_gateway = &books.base;
    used_render = render;
    shop_begin(3, 10);
    config.payment_settle_after_ms = 3600000;
    config.payment_void_after_ms = 3600000;
    config.charge_max = 1000000;
    ledger_now(&(struct ledger_command){ .op = LEDGER_PRODUCT_CREATE,
                                         .product_create = { .product = &product } });
    struct ledger_key key = { .user_id = USER, .key = STR("balance") };
    struct ledger_command charge = {
        .op = LEDGER_CHARGE,
        .key = &key,
        .render = render,
        .charge = { .user_id = USER, .amount = BALANCE, .amount_max = BALANCE }
    };
    ledger_now(&charge);
    ledger_command_fini(&charge);
}

static inline void pay_end(void)
{
    shop_end();
    used_gateway = NULL;
    used_render = NULL;
}

static inline int pay_setup(void **state)
{
    (void)state;
    pay_begin();
    return 0;
}

static inline int pay_teardown(void **state)
{
    (void)state;
    pay_end();
    return 0;
}

/* ---- payments ---- */

struct asked {
    struct payment payment;
    struct ledger_key key;
    struct order_line line;
    bool ended;
    char answer[100];
};
static size_t asked_open;

static void asked_done(struct payment *payment)
{
    struct asked *asked = CONTAINER_OF(payment, struct asked, payment);

    snprintf(asked->answer, sizeof asked->answer, "%.*s", (int)payment->answer.len,
             payment->answer.len ? payment->answer.ptr : "");
    asked->ended = true;
    asked_open--;
}

static bool all_answered(void)
{
    return asked_open == 0;
}

static inline void ask(struct asked *asked, const char *key)
{
    enum ledger_op op = asked->payment.command.op;

    asked->payment.done = asked_done;
    asked->payment.command.render = render;
    if (key) {
        asked->key.user_id = USER;
        asked->key.operation = op == LEDGER_ORDER_PAY                    ? LEDGER_OPERATION_PAYMENT
                               : op == LEDGER_ORDER_CANCEL               ? LEDGER_OPERATION_CANCEL
                               : op == LEDGER_CHARGE                     ? LEDGER_OPERATION_CHARGE
                               : asked->payment.command.order_create.pay ? LEDGER_OPERATION_COMPLETE
                                                                         : LEDGER_OPERATION_ORDER;
        asked->key.key = str_from(key);
        asked->payment.command.key = &asked->key;
    }
    asked_open++;
    payment_start(&here, &asked->payment);
    assert_false(asked->ended); /* never from inside the call */
}

static inline struct asked ordering(bool pay, int64_t coupon_id)
{
    return (struct asked){ .line = { .product_id = PRODUCT, .quantity = 2 },
                           .payment.command = { .op = LEDGER_ORDER_CREATE,
                                                .order_create = { .user_id = USER,
                                                                  .coupon_id = coupon_id,
                                                                  .line_count = 1,
                                                                  .pay = pay,
                                                                  .gateway = true } } };
}

static inline struct asked paying(int64_t order_id)
{
    return (struct asked){ .payment.command = { .op = LEDGER_ORDER_PAY,
                                                .order_pay = { .user_id = USER,
                                                               .order_id = order_id,
                                                               .gateway = true } } };
}

static inline struct asked cancelling(int64_t order_id)
{
    return (struct asked){ .payment.command = {
                               .op = LEDGER_ORDER_CANCEL,
                               .order_cancel = { .user_id = USER, .order_id = order_id } } };
}

static inline struct asked charging(int64_t amount)
{
    return (struct asked){ .payment.command = { .op = LEDGER_CHARGE,
                                                .charge = { .user_id = USER,
                                                            .amount = amount,
                                                            .amount_max = 1000000,
                                                            .gateway = true } } };
}

/* Asks and waits. */
static inline struct asked now(struct asked asked, const char *key)
{
    if (asked.payment.command.op == LEDGER_ORDER_CREATE)
        asked.payment.command.order_create.lines = &asked.line;
    ask(&asked, key);
    wait_until(all_answered);
    return asked;
}

static inline void expect(struct asked asked, const char *key, enum payment_outcome outcome)
{
    assert_int_equal(now(asked, key).payment.outcome, outcome);
}

static inline int64_t an_order(const char *key)
{
    struct asked asked = now(ordering(false, 0), key);

    assert_int_equal(asked.payment.outcome, PAYMENT_OK);
    return asked.payment.order_id;
}

/* ---- what is there ---- */

static bool read_over;

static void read_done(struct ledger_read *read)
{
    (void)read;
    read_over = true;
}

static bool is_read(void)
{
    return read_over;
}

static inline void read_now(struct ledger_read *read, struct arena *arena)
{
    read->done = read_done;
    read->arena = arena;
    read_over = false;
    ledger_read(here.ledger, read);
    wait_until(is_read);
    assert_ok(read->err);
}

/* Balance, stock, and how many attempts are open. */
static inline void expect_state(int64_t balance, int64_t stock, size_t open)
{
    struct arena arena = { 0 };
    struct ledger_read user = { .op = LEDGER_READ_USER, .user_id = USER };
    struct ledger_read product = { .op = LEDGER_READ_PRODUCT, .product_id = PRODUCT };
    struct ledger_read attempts = { .op = LEDGER_READ_ATTEMPTS,
                                    .before_ms = INT64_MAX,
                                    .limit = 100 };

    read_now(&user, &arena);
    read_now(&product, &arena);
    read_now(&attempts, &arena);
    assert_int_equal(user.user.balance, balance);
    assert_int_equal(product.product.stock, stock);
    assert_int_equal(attempts.attempt_count, open);
    if (open == 0)
        assert_int_equal(product.product.held, 0);
    arena_fini(&arena);
}

static inline int status_of(int64_t order_id)
{
    struct arena arena = { 0 };
    struct ledger_read read = { .op = LEDGER_READ_ORDER, .order_id = order_id };

    read_now(&read, &arena);
    int status = read.found ? (int)read.order.status : -1;
    arena_fini(&arena);
    return status;
}

/* What of these keys stands in the gateway's books. */
static inline int64_t standing(const char *prefix)
{
    int64_t sum = 0;

    for (size_t i = 0; i < books.entry_count; i++)
        if (books.entries[i].charged && strncmp(books.entries[i].key, prefix, strlen(prefix)) == 0)
            sum += books.entries[i].amount;
    return sum;
}

/* ---- the settler ---- */

/* The settler looks again soon, not in a second. */
static inline void look_soon(void)
{
    static uint64_t again_ms;

    if (loop_now_ms(loop) < again_ms && again_ms - loop_now_ms(loop) <= 20)
        return;
    again_ms = loop_now_ms(loop) + 20;
    assert_ok(loop_timer_start(loop, &here.settler.timer, 2));
}

static bool nothing_open(void)
{
    if (atomic_load(&shop.attempts_open) == 0)
        return true;
    look_soon();
    return false;
}

static bool something_open(void)
{
    return atomic_load(&shop.attempts_open) != 0;
}

/* Until the settler has seen that all is settled, from a moment at which not all was. */
static inline void wait_settled(void)
{
    look_soon();
    wait_until(something_open);
    wait_until(nothing_open);
}
