// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ledger/ledger_conformance.h"

enum { COUPON = 7, WAIT_MAX_MS = 60000 };
#define assert_ok(expr) assert_int_equal((expr), ERR_OK)
#define CONFORMANCE_TEST(name) cmocka_unit_test_setup_teardown(name, conf_setup, conf_teardown)

extern struct conformance_world {
    const struct ledger_host *host;
    struct ledger *ledger;
    struct ledger_client *client;
    struct loop *loop;
    struct arena arena; /* of what is read */
} world;

int conf_setup(void **state);
int conf_teardown(void **state);

/* Submits them in one turn, so that they are one batch, and waits for all. */
void conf_run(struct ledger_command *commands, size_t count);
void conf_read(struct ledger_read *read);

struct ledger_command conf_place(int64_t user_id, int64_t slot);
/* Its coupon is `coupon`, kept until done. */
struct ledger_command conf_create(struct coupon *coupon, int64_t coupon_id, int64_t quantity);
struct ledger_command conf_change(struct coupon *coupon, int64_t quantity); /* of COUPON */
void conf_coupon(int64_t quantity);                                         /* makes COUPON */
void conf_user(int64_t user_id, int64_t balance);
/* Its product is `product`, kept until done. */
struct ledger_command conf_create_product_of(struct ledger_product *product, int64_t product_id,
                                             const char *category, int64_t price, int64_t stock);
void conf_create_product(int64_t product_id, const char *category, int64_t price, int64_t stock);
/* COUPON as it is now, and its rows into `rows` (may be NULL). */
size_t conf_scan(struct coupon *ret_coupon, struct ledger_held *rows, size_t max);
/* Rows and witness agree, and nothing is above the quantity. Returns the rows. */
size_t conf_check(void);

int ledger_conformance_epochs(void);
int ledger_conformance_order(void);
int ledger_conformance_charges(void);
int ledger_conformance_shop(void);
int ledger_conformance_cart(void);
int ledger_conformance_reads(void);
int ledger_conformance_sales(void);
int ledger_conformance_orders(void);
int ledger_conformance_attempts(void);
int ledger_conformance_events(void);
