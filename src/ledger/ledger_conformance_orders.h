// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "ledger/ledger_conformance_internal.h"

/* A command on an order, with what it borrows. */
struct conf_order {
    struct ledger_key key;
    struct order_line line;
    struct ledger_command command;
    char text[200]; /* the answer */
};

/* The answer says everything about the result; refusals of a gateway are kept, others are not. */
unsigned conf_order_render(const struct ledger_command *command, struct buf *answer);
const struct ledger_order_result *conf_result(const struct ledger_command *command);
/* `key` NULL: none. */
void conf_order_create(struct conf_order *self, int64_t user_id, int64_t product_id,
                       int64_t quantity, const char *key);
void conf_order_pay(struct conf_order *self, int64_t user_id, int64_t order_id, const char *key);
void conf_order_cancel(struct conf_order *self, int64_t user_id, int64_t order_id, const char *key);
enum ledger_order_outcome conf_order_run(struct conf_order *self);

void conf_product(int64_t product_id, int64_t price, int64_t stock);
struct ledger_product conf_product_now(int64_t product_id); /* without its texts */
int64_t conf_balance(int64_t user_id);
struct ledger_order conf_order_now(int64_t order_id, bool *ret_found); /* without lines */
int64_t conf_units_sold(void);
