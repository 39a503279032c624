// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "gate/gate_conformance.h"

enum { COUPON = 7, HOUR_MS = 3600000 };
#define assert_ok(expr) assert_int_equal((expr), ERR_OK)
#define CONFORMANCE_TEST(name) \
    cmocka_unit_test_setup_teardown(name, conformance_setup, conformance_teardown)

extern struct conformance_world {
    const struct gate_host *host;
    struct gate *gate;
    struct gate_client *client;
    size_t answered;
    int64_t epoch; /* that was opened last */
} world;

int conformance_setup(void **state);
int conformance_teardown(void **state);

/* Version 1, an hour to either side. */
struct coupon_settings conf_settings_of(int64_t quantity);
struct conformance_holder {
    int64_t slot, user_id;
};
void conf_open_with(const struct coupon_settings *settings, int64_t epoch,
                    const struct conformance_holder *holders, size_t count);
void conf_open_empty(int64_t quantity);

struct gate_ask conf_question(int64_t user_id, enum gate_purpose purpose);
void conf_put(struct gate_ask *questions, size_t count);
struct gate_ask conf_ask(int64_t user_id); /* issue for odd users, reserve for even ones */
/* Granted with that slot. */
struct gate_entry conf_grant(int64_t user_id, int64_t slot);
void conf_grant_stored(int64_t user_id, int64_t slot);
void conf_expect(int64_t user_id, enum gate_outcome outcome, int64_t slot, bool pending);
void conf_expect_status(int64_t granted, int64_t pending, int64_t returned, int64_t remaining);

/* Whether it was released. */
bool conf_release(const struct gate_entry *entry);
void conf_confirm(const struct gate_entry *entry);
/* entry->(slot, epoch) are then the move's. */
enum gate_outcome conf_move(struct gate_entry *entry, int64_t own_slot, bool offer);
size_t conf_sweep(uint64_t older_than_ms, struct gate_entry *entries, size_t room);
struct gate_status conf_status(void); /* after a refresh */

int gate_conformance_rebuild(void);
int gate_conformance_settle(void);
