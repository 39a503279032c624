// SPDX-License-Identifier: Apache-2.0
/*
 * The gate: who is in. One atomic step per question; the ledger remembers what it decided.
 * docs/protocol.md has the rules, each with the interleaving that it closes.
 *
 * An *entry* is user -> (slot, token, pending or confirmed). A *token* names one attempt: the same
 * attempt asked again is granted again; another attempt of the same user *joins* the pending
 * entry with its own token, and a joined entry is never released.
 *
 * One `struct gate` per server, one `struct gate_client` per loop. Functions that take a client
 * are called on its loop and follow the async contract of loop/loop.h.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "core/coupon.h"
#include "core/proof.h"
#include "loop/loop.h"

struct gate;
struct gate_client;

enum gate_outcome {
    GATE_GRANTED,     /* `slot` is this attempt's; the caller must now have it stored */
    GATE_ALREADY,     /* the user has `slot`; `pending` says whether it is stored */
    GATE_NOT_STARTED, /* before the window */
    GATE_EXPIRED,     /* after it */
    GATE_ENDED,       /* closed by the administrator */
    GATE_SOLD_OUT, /* no place left; `for_good`: and none can come back in this (epoch, version) */
    GATE_CLOSED,   /* no gate of this epoch is open: nothing was changed */
    GATE_FAILED,   /* could not be remembered (journal, memory): nothing was changed */
};

enum gate_purpose {
    GATE_ISSUE,   /* nobody is told before the row is stored */
    GATE_RESERVE, /* told at once: the answer waits until it survives kill -9 */
};

enum gate_durability { GATE_DURABLE_JOURNAL, GATE_DURABLE_REDIS, GATE_DURABLE_LEDGER };

/* One question. The caller owns it and keeps it until `done`. */
struct gate_ask {
    struct list node; /* private */
    void (*done)(struct gate_ask *ask);
    int64_t coupon_id, user_id; /* user_id >= 1 */
    enum gate_purpose purpose;
    uint64_t token; /* from gate_token(); the same for a repeat of the same attempt */

    enum gate_outcome outcome;
    int64_t slot;      /* granted, already */
    int64_t remaining; /* granted: places left after it */
    bool pending;      /* already: not stored yet, and joined with `token` */
    bool for_good;     /* sold out */
    enum gate_durability durability;

    bool journalling; /* private */
};

/* A new token, unlike any other of this server. Any thread. */
uint64_t gate_token(struct gate *gate);

/* Decided at the end of this loop turn, all of a turn's questions in one step. */
void gate_ask(struct gate_client *client, struct gate_ask *ask);

/* What became of an entry that the ledger has settled. Applied at once; idempotent. */
struct gate_entry {
    int64_t coupon_id, user_id, slot;
    uint64_t token;
};
/* Its row is stored: no longer pending. */
void gate_confirm(struct gate_client *client, const struct gate_entry *entry);
/*
 * The ledger decided a refusal for good, or an unanswered `issue` was certainly rolled back: the
 * place goes to the next in line. Only if user, slot and token still match a pending entry that
 * nobody joined. Returns whether it was released.
 */
bool gate_release(struct gate_client *client, const struct gate_entry *entry);
/*
 * The slot is somebody else's row. Gives the user the next free one (*ret_slot, pending, to be
 * stored); with `own_slot` > 0 the user's own row has that number and the entry takes it,
 * confirmed. GATE_GRANTED, GATE_ALREADY (own_slot), GATE_SOLD_OUT (the entry is gone), GATE_CLOSED,
 * GATE_FAILED.
 */
enum gate_outcome gate_move(struct gate_client *client, const struct gate_entry *entry,
                            int64_t own_slot, int64_t *ret_slot);

/*
 * Entries pending for `older_than_ms`, at most `max` of them, into `ret_entries`, joined with a
 * new token each: whoever receives one must store it again. Not returned again for as long.
 * Returns how many.
 */
size_t gate_sweep(struct gate_client *client, uint64_t older_than_ms,
                  struct gate_entry *ret_entries, size_t max);

/* ---- settings and epochs; any thread ---- */

/* Takes the settings if their version is higher. ERR_NOT_FOUND: no gate; ERR_NOMEM. */
enum err gate_set(struct gate *gate, int64_t coupon_id,
                  const struct coupon_settings *settings) MUST_CHECK;
/* From now on GATE_CLOSED, for everybody. Pending entries stay, to be stored. */
void gate_close(struct gate *gate, int64_t coupon_id);
/* Undoes gate_close() of a gate whose memory is still good. */
void gate_reopen(struct gate *gate, int64_t coupon_id);

/*
 * Build a gate anew from the ledger's rows, beside the old one, if there is one (which must be
 * closed and have nothing pending). Add every holder in any order, then open: numbers below the
 * highest that nobody holds become returned ones. ERR_CONFLICT: the epoch is not higher than the
 * old one's; ERR_NOMEM.
 */
struct gate_rebuild;
enum err gate_rebuild_begin(struct gate *gate, int64_t coupon_id, int64_t epoch,
                            const struct coupon_settings *settings,
                            struct gate_rebuild **ret_rebuild) MUST_CHECK;
/* ERR_CONFLICT: the user or the slot is there already; ERR_NOMEM. */
enum err gate_rebuild_add(struct gate_rebuild *rebuild, int64_t slot, int64_t user_id) MUST_CHECK;
/*
 * `holders`: how many rows the ledger has; a different count is ERR_CORRUPT and nothing opens.
 * What the gate itself has remembered and the ledger does not have yet comes back as pending.
 */
enum err gate_rebuild_open(struct gate_rebuild *rebuild, int64_t holders) MUST_CHECK;
struct gate_rebuild *gate_rebuild_free(struct gate_rebuild *rebuild); /* opened or given up */

/* ---- looking; any thread ---- */

struct gate_status {
    bool known, open;
    int64_t granted, pending, returned, remaining, epoch;
    uint64_t changes; /* the same as before: nothing has moved */
};
struct gate_status gate_status(struct gate *gate, int64_t coupon_id);
/* Age of the oldest pending entry; 0: none. Looks at all of them. */
uint64_t gate_oldest_pending_ms(struct gate *gate, int64_t coupon_id);
/* A picture for the proof; gate_picture_fini() it. No gate: `known` is false. ERR_NOMEM. */
enum err gate_picture(struct gate *gate, int64_t coupon_id,
                      struct gate_picture *ret_picture) MUST_CHECK;
/* Which of these coupons a user has a place of. Follows the async contract. */
struct gate_look {
    void (*done)(struct gate_look *look);
    int64_t user_id;
    struct gate_held {
        int64_t coupon_id;
        int64_t slot; /* 0: none */
        bool pending;
    } * held; /* the caller's array, coupon_id filled in */
    size_t held_count;

    enum err err;          /* OK, UNAVAILABLE */
    struct loop_task task; /* private */
};
void gate_look(struct gate_client *client, struct gate_look *look);

/* What the gate writes down for itself; zeros where it does not. */
struct gate_stats {
    uint64_t journal_bytes, journal_generations, journal_writes, journal_failures;
};
struct gate_stats gate_stats(struct gate *gate);
/* Whether gates can be open at all: the journal can be written, no commit is uncertain. */
bool gate_is_usable(struct gate *gate);
/* Profile test: as if no gate were open. */
void gate_fault_set(struct gate *gate, bool on);

struct gate_client *gate_client_new(struct gate *gate, struct loop *loop) MUST_CHECK;
struct gate_client *gate_client_free(struct gate_client *client);
