// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "shop/shop.h"

/* changes.c: from now on the shop is told what its ledger commits. */
void shop_watch(struct shop *shop);

/* users_known.c */
bool user_is_known(const struct shop_loop *loop, int64_t user_id);

/*
 * placement.c: one attempt to have a granted place stored. It outlives the request that began it:
 * once the gate has granted, it goes on until the place is settled.
 */
struct placement {
    struct list node; /* in loop->waiting or loop->spare */
    struct shop_loop *loop;
    struct coupon_take *take; /* NULL: nobody waits (any longer) */
    struct gate_ask ask;
    struct gate_move move;
    struct traffic_coupon *traffic; /* NULL: this is the only server */
    struct loop_timer again;
    struct ledger_command command;
    bool room;   /* a place in the ledger's queue is taken and not used */
    bool stored; /* it was tried */
};
/* Takes room in the ledger's queue, too. ERR_OVERLOADED, ERR_NOMEM. */
enum err placement_new(struct shop_loop *loop, int64_t coupon_id,
                       struct placement **ret_placement) MUST_CHECK;
void placement_free(struct placement *placement);
/* Submits ask.(coupon_id, user_id, slot, token) to be stored and sees it through. */
void placement_store(struct placement *placement, bool unawaited);
/* Whoever waits for it hears that it is not known; the place is seen through all the same. */
void placement_leave(struct placement *placement);
/* The place is of an older epoch and was not stored: today's gate finds one for its user, the same
 * if it can. Without room or memory the entry is lost with its epoch, with an alarm. */
void placement_offer(struct shop_loop *loop, const struct gate_entry *entry);
/* coupon_take.c: what the caller is told once the place is settled. */
void coupon_take_stored(struct coupon_take *take, const struct ledger_place *place);
void coupon_take_end(struct coupon_take *take, enum coupon_take_outcome outcome);

enum err sweeper_start(struct shop_loop *loop) MUST_CHECK;
void sweeper_fini(struct shop_loop *loop); /* not sweeping */

/* gate_keeper.c: opens the gates that are closed and should not be. */
enum err keeper_start(struct shop_loop *loop) MUST_CHECK;
/* What it does by itself so often, now. */
void keeper_look(struct shop_loop *loop);

/* payment_attempt.c: what of an attempt is asked of the gateway, and what its answer says to the
 * ledger. */
void payment_call_fill(const struct shop *shop, struct gateway_call *call,
                       const struct ledger_attempt *attempt);
void payment_settle_fill(struct ledger_attempt_settle *settle, const struct ledger_attempt *attempt,
                         enum ledger_attempt_answer answer, const struct gateway_call *call);

/* settler.c */
enum err settler_start(struct settler *settler, struct shop_loop *loop) MUST_CHECK;
void settler_stop(struct settler *settler);
bool settler_is_idle(const struct settler *settler);
void settler_fini(struct settler *settler); /* idle */
/* Attempts are settled when they have been open for longer. */
int64_t settler_after_ms(const struct shop *shop);

/* forget.c */
enum err forget_start(struct shop_loop *loop) MUST_CHECK;

/* invariants.c */
enum err invariants_start(struct invariants *self, struct shop *shop, struct loop *loop) MUST_CHECK;
void invariants_stop(struct invariants *self);

/* coupon_rebuild.c: blocks. Opens the coupon's gate anew from the ledger's rows; `coupon` is then
 * as the ledger has it. ERR_NOT_FOUND, ERR_UNAVAILABLE, ERR_NOMEM, ERR_CORRUPT. */
enum err coupon_rebuild(struct shop *shop, int64_t coupon_id, struct coupon *ret_coupon,
                        int64_t *ret_holders) MUST_CHECK;

/* turns.c: one change of a coupon at a time, over all loops, first come first served. */
struct shop_turns *shop_turns_new(void) MUST_CHECK;
struct shop_turns *shop_turns_free(struct shop_turns *turns);
void shop_turn_take(struct shop_turns *turns, struct turn *turn);
void shop_turn_end(struct shop_turns *turns, struct turn *turn);
