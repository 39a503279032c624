// SPDX-License-Identifier: Apache-2.0
/*
 * One coupon's gate in memory: who holds which slot, which slots came back, what is not stored yet.
 * A plain data structure: no locks, no I/O. 16 bytes a holder, in open-addressing shards that grow
 * one at a time by half, so that no single grant pays for a large rehash.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "core/coupon.h"

struct drop_seat {
    int64_t user_id; /* 0: empty */
    uint32_t slot;
    uint32_t pending; /* number in the pending pool + 1; 0: confirmed */
};

struct drop_pending {
    int64_t user_id;
    uint64_t token;
    uint64_t since_ms;   /* of the grant, or of the last sweep; the owner's clock */
    uint32_t slot;       /* 0: a free element */
    uint32_t generation; /* of the journal; 0: not journalled */
    uint32_t next_free;  /* + 1 */
    bool joined;
};

struct drop_shard {
    struct drop_seat *seats;
    uint32_t cells, used;
};

struct drop {
    int64_t quantity;
    int64_t next_slot; /* the first never handed out */
    int64_t granted;   /* seats, pending ones included */
    uint64_t changes;
    struct drop_shard *shards;
    size_t shard_count;
    uint32_t *returned; /* a heap: the smallest first */
    size_t returned_count, returned_cap;
    struct drop_pending *pending;
    size_t pending_used, pending_cap, pending_count; /* used: elements ever handed out */
    uint32_t pending_free;                           /* + 1 */
};

/* quantity 1..UINT32_MAX. ERR_NOMEM. */
enum err drop_init(struct drop *drop, int64_t quantity) MUST_CHECK;
void drop_fini(struct drop *drop);

struct drop_seat *drop_find(struct drop *drop, int64_t user_id);
static inline struct drop_pending *drop_pending_of(struct drop *drop, const struct drop_seat *seat)
{
    return seat->pending ? &drop->pending[seat->pending - 1] : NULL;
}

/* Places that can still be given away. */
static inline int64_t drop_remaining(const struct drop *drop)
{
    int64_t fresh = drop->quantity - drop->next_slot + 1;

    return (fresh > 0 ? fresh : 0) + (int64_t)drop->returned_count;
}

/*
 * Gives `user_id`, who holds nothing, the smallest returned slot or the next new one, pending.
 * ERR_NOT_FOUND: none is left. ERR_NOMEM: nothing was changed.
 */
enum err drop_grant(struct drop *drop, int64_t user_id, uint64_t token, uint64_t now_ms,
                    struct drop_pending **ret_pending) MUST_CHECK;
/* The same, with `slot` if nobody has it and it is within the quantity. */
enum err drop_grant_at(struct drop *drop, int64_t user_id, int64_t slot, uint64_t token,
                       uint64_t now_ms, struct drop_pending **ret_pending) MUST_CHECK;
/* A known holder: a row (confirmed) or a remembered reservation (pending). ERR_CONFLICT: the user
 * holds something already. Free slots are not told apart: see drop_settle_returned(). ERR_NOMEM. */
enum err drop_add(struct drop *drop, int64_t user_id, int64_t slot, bool is_pending,
                  struct drop_pending **ret_pending) MUST_CHECK;
/* After all drop_add(): next_slot follows the highest slot, numbers below that nobody holds are
 * returned ones, numbers above the quantity are not. ERR_CONFLICT: a slot held twice. ERR_NOMEM. */
enum err drop_settle_returned(struct drop *drop) MUST_CHECK;

void drop_confirm(struct drop *drop, struct drop_seat *seat);
/* The seat is gone; its slot comes back if `slot_returns` and it is within the quantity. */
void drop_remove(struct drop *drop, struct drop_seat *seat, bool slot_returns);
/* The holder of a pending seat goes to the next free slot; the old one does not come back.
 * ERR_NOT_FOUND: none is left. */
enum err drop_move(struct drop *drop, struct drop_seat *seat) MUST_CHECK;
/* The user's row has `slot`: the seat takes it, confirmed; its old slot comes back. ERR_NOMEM. */
enum err drop_take_own(struct drop *drop, struct drop_seat *seat, int64_t slot) MUST_CHECK;
