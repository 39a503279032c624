// SPDX-License-Identifier: Apache-2.0
/*
 * A shop on one loop, with a memory gate and a SQLite ledger in a directory of its own. The ledger
 * can be stopped in the middle of a batch (stall_begin) and switched off (ledger_fault_set).
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "gate/gate_memory.h"
#include "ledger/ledger_sqlite.h"
#include "shop/shop.h"

enum { COUPON = 7, HOUR_MS = 3600000, WAIT_MAX_MS = 120000 };
#define assert_ok(expr) assert_int_equal((expr), ERR_OK)

static char dir[64];
static struct config config;
static struct ledger_sqlite_options ledger_options;
static struct gateway *used_gateway; /* set before the shop begins; may be NULL */
static struct events_consumer used_consumers[LEDGER_CONSUMER_N];
static void (*used_render_event)(const struct ledger_event *event, const char *id, const char *key,
                                 struct buf *out);
static unsigned (*used_render)(const struct ledger_command *command, struct buf *answer);
static struct shop shop;
static struct shop_loop here;
static struct loop *loop;
static struct loop_hook watch;
static bool (*watched)(void);
static bool waited_in_vain;

/* ---- waiting for a condition, looked at at the end of every turn ---- */

static bool look(struct loop_hook *hook)
{
    (void)hook;
    if (watched && watched()) {
        watched = NULL;
        loop_stop(loop);
    }
    return false;
}

static void too_long(struct loop_timer *timer)
{
    (void)timer;
    waited_in_vain = true;
    loop_stop(loop);
}

static void nothing(struct loop_task *task)
{
    (void)task;
}

static inline void wait_until(bool (*condition)(void))
{
    struct loop_timer limit = { .run = too_long };
    struct loop_task begin = { .run = nothing };

    watched = condition;
    assert_ok(loop_timer_start(loop, &limit, WAIT_MAX_MS));
    loop_post(loop, &begin);
    loop_run(loop);
    loop_timer_stop(&limit);
    assert_false(waited_in_vain);
}

/* ---- begin, end ---- */

static bool needs_no_gate(void *context, int64_t coupon_id)
{
    (void)context;
    (void)coupon_id;
    return false;
}

static void uncertain(void *context)
{
    (void)context;
    abort();
}

static inline void shop_start(void)
{
    struct gate_memory_options gate_options = { .journal = { .directory = dir,
                                                             .generation_bytes_max = 1 << 20 } };
    struct journal_report report;
    struct gate *gate;
    struct ledger *ledger;
    char path[128];
    int64_t holders;

    snprintf(path, sizeof path, "%s/db", dir);
    ledger_options.path = path;
    assert_ok(ledger_sqlite_open(&ledger_options, &ledger));
    assert_ok(gate_memory_open(&gate_options, &report, &gate));
    assert_ok(shop_init(&shop, &config, ledger, gate, used_gateway, NULL));
    shop.render_settled = used_render;
    shop.render_event = used_render_event;
    memcpy(shop.consumers, used_consumers, sizeof shop.consumers);
    assert_ok(shop_open(&shop, needs_no_gate, NULL, &holders));
    loop = loop_new();
    watch.run = look;
    assert_ok(shop_loop_init(&here, &shop, loop, NULL, true));
    loop_hook_add(loop, &watch);
}

static bool is_idle(void)
{
    return shop_loop_is_idle(&here);
}

static inline void shop_stop(void)
{
    shop_loop_drain(&here);
    wait_until(is_idle);
    shop_loop_fini(&here);
    loop_hook_remove(&watch);
    loop = loop_free(loop);
    shop_fini(&shop);
    ledger_sqlite_stop(shop.ledger);
    ledger_sqlite_free(shop.ledger);
    gate_memory_free(shop.gate);
}

static inline void make_coupon(int64_t coupon_id, int64_t quantity)
{
    int64_t now_ms = clock_wall_ms();
    struct coupon coupon = { .coupon_id = coupon_id,
                             .name = "DROP",
                             .uses_per_user = 1,
                             .settings = { .total_quantity = quantity,
                                           .starts_at_ms = now_ms - HOUR_MS,
                                           .ends_at_ms = now_ms + HOUR_MS } };
    struct ledger_command command = { .op = LEDGER_COUPON_CREATE,
                                      .coupon_create = { .coupon = &coupon } };

    ledger_run(shop.ledger, &command);
    assert_ok(command.err);
}

static inline void make_users(int64_t from, int64_t to)
{
    struct ledger_command command = { .op = LEDGER_USERS_CREATE,
                                      .users_create = { .from_user_id = from, .to_user_id = to } };

    ledger_run(shop.ledger, &command);
    assert_ok(command.err);
}

/* A shop with users 1..`users` and COUPON. */
static inline void shop_begin(int64_t users, int64_t quantity)
{
    char path[128];
    int64_t applied;

    config = (struct config){ .request_deadline_ms = 60000,
                              .gate_sweep_after_ms = 100,
                              .users_known_max = 1000000,
                              .gate_reserve_durability = CONFIG_DURABILITY_GATE };
    ledger_options = (struct ledger_sqlite_options){ .queue_max = 65536,
                                                     .batch_max = 1024,
                                                     .queue_age_max_ms = WAIT_MAX_MS,
                                                     .consumers = used_consumers[LEDGER_WEBHOOK].on
                                                                      ? 1u << LEDGER_WEBHOOK
                                                                      : 0,
                                                     .on_uncertain = uncertain };
    waited_in_vain = false;
    strcpy(dir, "/tmp/doorbuster-test-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/db", dir);
    assert_ok(ledger_sqlite_migrate(path, "test", "UTC", &applied));
    shop_start();
    make_users(1, users);
    make_coupon(COUPON, quantity);
    shop_stop();
    shop_start(); /* the gate opens with the shop */
}

static inline void shop_end(void)
{
    DIR *stream;
    struct dirent *entry;
    char path[512];

    shop_stop();
    stream = opendir(dir);
    while ((entry = readdir(stream))) {
        snprintf(path, sizeof path, "%s/%.200s", dir, entry->d_name);
        unlink(path);
    }
    closedir(stream);
    assert_int_equal(rmdir(dir), 0);
}

/* ---- taking ---- */

static size_t takes_open;

static void take_done(struct coupon_take *take)
{
    (void)take;
    takes_open--;
}

static bool all_taken(void)
{
    return takes_open == 0;
}

static inline void take_begin(struct coupon_take *take, int64_t user_id, bool reserve)
{
    *take = (struct coupon_take){
        .done = take_done, .coupon_id = COUPON, .user_id = user_id, .reserve = reserve
    };
    takes_open++;
    coupon_take(&here, take);
}

static inline struct coupon_take take_now(int64_t user_id, bool reserve)
{
    struct coupon_take take;

    take_begin(&take, user_id, reserve);
    wait_until(all_taken);
    return take;
}

static inline void expect_take(int64_t user_id, bool reserve, enum coupon_take_outcome outcome,
                               int64_t slot)
{
    struct coupon_take take = take_now(user_id, reserve);

    assert_int_equal(take.outcome, outcome);
    assert_int_equal(take.slot, slot);
}

static inline bool nothing_pending(void)
{
    return gate_status(shop.gate, COUPON).pending == 0 && shop_loop_is_idle(&here);
}

/* The proof holds, and there are so many rows. */
static inline void expect_rows(int64_t count)
{
    struct coupon_proof proof = { .coupon_id = COUPON };

    wait_until(nothing_pending);
    coupon_proof_run(&shop, &proof);
    assert_ok(proof.err);
    for (int id = 0; id < PROOF_TOLD; id++)
        if (!proof.proof.checks[id].ok)
            fail_msg("%s: %s", proof_check_name((enum proof_check_id)id),
                     proof.proof.checks[id].detail);
    assert_int_equal(proof.proof.rows.issued, count);
    coupon_proof_fini(&proof);
}

/* ---- the ledger stops in the middle of a batch ---- */

static sem_t stall_reached, stall_over;
static struct shop_command stall;
static struct ledger_key stall_key;
static bool stalled;

static unsigned stall_render(const struct ledger_command *command, struct buf *answer)
{
    (void)command;
    sem_post(&stall_reached);
    sem_wait(&stall_over);
    buf_char(answer, '.');
    return 200;
}

static void stall_done(struct shop_command *command)
{
    ledger_command_fini(&command->ledger);
    stalled = false;
}

static unsigned turns;

/* Commands go out at the end of a turn. */
static bool turned(void)
{
    return ++turns % 2 == 0;
}

static bool stall_ended(void)
{
    return !stalled;
}

/* User 1 must exist. What is submitted from now on waits. */
static inline void stall_begin(void)
{
    static int64_t amount;

    sem_init(&stall_reached, 0, 0);
    sem_init(&stall_over, 0, 0);
    amount++;
    stall_key =
        (struct ledger_key){ .user_id = 1, .key = { (const char *)&amount, sizeof amount } };
    stall = (struct shop_command){ .done = stall_done,
                                   .ledger = {
                                       .op = LEDGER_CHARGE,
                                       .key = &stall_key,
                                       .render = stall_render,
                                       .charge = { .user_id = 1, .amount = 1, .amount_max = 1 } } };
    stalled = true;
    shop_command(&here, &stall);
    wait_until(turned);
    sem_wait(&stall_reached);
}

static inline void stall_end(void)
{
    sem_post(&stall_over);
    wait_until(stall_ended);
}
