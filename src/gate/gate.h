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
#include "metrics/metrics.h"

struct gate;
struct gate_client;

enum gate_outcome {
    GATE_GRANTED,     /* `slot` is this attempt's; the caller must now have it stored */
    GATE_ALREADY,     /* the user has `slot`; `pending` says whether it is stored */
    GATE_NOT_STARTED, /* before the window */
    GATE_EXPIRED,     /* after it */
    GATE_ENDED,       /* closed by the administrator */
    GATE_SOLD_OUT, /* no place left; `for_good`: and none can come back in this (epoch, version) */
    GATE_CLOSED,   /* no gate of this epoch is open: nothing was changed, but see `store` */
    GATE_FAILED,   /* could not be remembered (journal, memory): nothing was changed */
    GATE_UNKNOWN,  /* no answer came in time: there may be an entry, the sweeper stores it */
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
    uint64_t token;       /* from gate_token(); the same for a repeat of the same attempt */
    uint64_t deadline_ms; /* loop_now_ms(); 0: the gate's own. Later it is GATE_UNKNOWN */

    enum gate_outcome outcome;
    int64_t slot;      /* granted, already */
    int64_t epoch;     /* granted, already: of the gate that said so */
    int64_t remaining; /* granted: places left after it */
    bool pending;      /* already: not stored yet, and joined with `token`; so with `store` */
    bool for_good;     /* sold out */
    /* Closed: `slot` of `epoch` was granted, or joined, and nobody may be told of it (the lease is
     * over, the gate is closing): have it stored all the same. */
    bool store;
    enum gate_durability durability;

    bool journalling, refused; /* private, from here on */
    unsigned tries;
};

/* Whether other servers may use the same gates. */
bool gate_is_shared(const struct gate *gate);

/* A new token, unlike any other of this server. Any thread. */
uint64_t gate_token(struct gate *gate);

/* Decided at the end of this loop turn, all of a turn's questions in one step. */
void gate_ask(struct gate_client *client, struct gate_ask *ask);

/* What became of an entry that the ledger has settled. Sooner or later; idempotent. */
struct gate_entry {
    int64_t coupon_id, user_id, slot;
    uint64_t token;
    int64_t epoch; /* of the gate that gave it */
};
/* Its row is stored: no longer pending. The row is what counts: token and epoch are not compared.
 */
void gate_confirm(struct gate_client *client, const struct gate_entry *entry);
/*
 * The ledger decided a refusal for good, or an unanswered `issue` was certainly rolled back: the
 * place goes to the next in line. Only if user, slot, token and epoch still match a pending entry
 * that nobody joined; gate_stats() counts those. Lost on its way, the entry stays pending and is
 * swept up.
 */
void gate_release(struct gate_client *client, const struct gate_entry *entry);

/* Another place for a granted one. The caller owns it and keeps it until `done`. */
struct gate_move {
    struct list node; /* private */
    void (*done)(struct gate_move *move);
    struct gate_entry entry;
    /*
     * 0: the slot is somebody else's row, the user gets the next free one, pending, to be stored.
     * Higher: the user's own row has that number and the entry takes it, confirmed.
     */
    int64_t own_slot;
    /* The place is one of an older epoch that SQL did not take any more: the user gets it in the
     * gate of today, or another one if it is gone. Window and closed are not judged again. Who has
     * an entry there already keeps that. What was offered is never released. */
    bool offer;

    /*
     * GATE_GRANTED: entry.(slot, epoch) are the new place, have it stored. GATE_ALREADY: own_slot,
     * or an offer's user has entry.slot; `pending`: have that stored. GATE_SOLD_OUT: the entry is
     * gone. GATE_CLOSED: settled meanwhile, or no gate of this epoch is open. GATE_FAILED,
     * GATE_UNKNOWN.
     */
    enum gate_outcome outcome;
    bool pending;
    uint64_t deadline_ms; /* loop_now_ms(); 0: the gate's own */

    struct loop_task task; /* private, from here on */
    struct gate_client *client;
};
void gate_move(struct gate_client *client, struct gate_move *move);

/*
 * Entries pending for `older_than_ms`, at most `room` of them, joined with a new token each:
 * whoever receives one must store it again. Not returned again for as long. Works while a gate is
 * closed or sealed, too, as long as its memory is good. The caller keeps it until `done`.
 */
struct gate_sweep {
    struct list node; /* private */
    void (*done)(struct gate_sweep *sweep);
    int64_t coupon_id; /* 0: of every coupon */
    uint64_t older_than_ms;
    struct gate_entry *entries; /* the caller's array */
    size_t room;

    size_t count;
    /* OK; UNAVAILABLE: some could not be asked; CORRUPT: the memory of `coupon_id` cannot be
     * trusted (another node's, rewound, incomplete). */
    enum err err;

    struct loop_task task; /* private, from here on */
    struct gate_client *client;
    size_t waiting;
};
void gate_sweep(struct gate_client *client, struct gate_sweep *sweep);

/*
 * The heartbeat: tells the store the settings that are newer, and reads how each coupon stands
 * there; gate_status() has it then. The caller keeps it until `done`.
 */
struct gate_refresh {
    struct list node; /* private */
    void (*done)(struct gate_refresh *refresh);
    const int64_t *coupon_ids;
    size_t count;

    enum err err; /* OK; UNAVAILABLE: not all could be asked */

    struct loop_task task; /* private, from here on */
    struct gate_client *client;
    size_t waiting;
};
void gate_refresh(struct gate_client *client, struct gate_refresh *refresh);

/* ---- settings and epochs; any thread ---- */

/* Takes the settings if their version is higher; a store hears of them with the next question or
 * refresh. ERR_NOT_FOUND: no gate; ERR_NOMEM. */
enum err gate_set(struct gate *gate, int64_t coupon_id,
                  const struct coupon_settings *settings) MUST_CHECK;
/* From now on GATE_CLOSED, for everybody. Pending entries stay, to be stored. */
void gate_close(struct gate *gate, int64_t coupon_id);
/* Undoes gate_close() of a gate whose memory is still good. */
void gate_reopen(struct gate *gate, int64_t coupon_id);
/* SQL says that the coupon's gate is of this epoch: what is granted of another one is not told any
 * more. For gates that another server may have rebuilt; gate_close() is undone. An epoch that is
 * not higher only brings its settings. ERR_NOMEM. */
enum err gate_adopt(struct gate *gate, int64_t coupon_id, int64_t epoch,
                    const struct coupon_settings *settings) MUST_CHECK;
/* Blocks: closes the gate of this epoch, or an older one, in its store, for every server. Pending
 * entries stay, to be swept. ERR_NOT_FOUND: none is there; ERR_CONFLICT: it is of a higher epoch;
 * ERR_UNAVAILABLE, ERR_UNCERTAIN. */
enum err gate_seal(struct gate *gate, int64_t coupon_id, int64_t epoch) MUST_CHECK;
/* Nobody is told of a reservation from this time of clock_boot_ms() on; UINT64_MAX: never. What is
 * set counts for all coupons and stands until it is set again. At first UINT64_MAX. */
void gate_lease_set(struct gate *gate, uint64_t until_boot_ms);

/*
 * Build a gate anew from the ledger's rows, beside the old one, if there is one (which must be
 * closed and have nothing pending). Add every holder in any order, then open: numbers below the
 * highest that nobody holds become returned ones. All of it may block, for a store. ERR_CONFLICT:
 * the epoch is not higher than the old one's, in a store than any begun there; ERR_NOMEM,
 * ERR_UNAVAILABLE, ERR_UNCERTAIN.
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
 * A gate that others use, too, is then open in its store, and not here: read from SQL once more
 * that it is of this epoch and not closing, then gate_adopt() it.
 */
enum err gate_rebuild_open(struct gate_rebuild *rebuild, int64_t holders) MUST_CHECK;
struct gate_rebuild *gate_rebuild_free(struct gate_rebuild *rebuild); /* opened or given up */

/* ---- looking; any thread ---- */

/* Where a gate's memory is kept, and how it stands there, as far as is known here. */
enum gate_store {
    GATE_STORE_UNASKED,
    GATE_STORE_AWAY,     /* cannot be reached */
    GATE_STORE_MISSING,  /* has no gate of this coupon */
    GATE_STORE_BUILDING, /* `store_epoch` is being built */
    GATE_STORE_SEALED,
    GATE_STORE_LOST, /* another node's, rewound or incomplete: only a rebuild helps */
    GATE_STORE_OPEN,
};

struct gate_status {
    bool known, open; /* open: here and in the store, of the same epoch */
    bool closed_here; /* gate_close() */
    enum gate_store store;
    int64_t granted, pending, returned, epoch;
    bool counted; /* the next two are known: as they were when they last could be read */
    int64_t remaining, stored; /* places left; places granted and not pending */
    int64_t seen_at_ms;        /* of a store, clock_wall_ms(): it stands there as it stood then */
    int64_t store_epoch;       /* the highest seen there */
    int64_t settings_version;  /* that the store judges by */
    uint64_t changes;          /* the same as before: nothing has moved */
};
/* From what is known here: of a store as of the last answer or refresh. Never blocks. */
struct gate_status gate_status(struct gate *gate, int64_t coupon_id);
/* The same, of a store as of now. May block, for one; not on a loop. ERR_UNAVAILABLE, ERR_NOMEM. */
enum err gate_status_read(struct gate *gate, int64_t coupon_id,
                          struct gate_status *ret_status) MUST_CHECK;
/* Age of the oldest pending entry; 0: none. As gate_status(). */
uint64_t gate_oldest_pending_ms(struct gate *gate, int64_t coupon_id);
/* A picture for the proof; gate_picture_fini() it. No gate: `known` is false. May block, for a
 * store. ERR_NOMEM, ERR_UNAVAILABLE. */
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

    enum err err; /* OK, UNAVAILABLE */

    struct loop_task task; /* private, from here on */
    struct look_all *all;
};
void gate_look(struct gate_client *client, struct gate_look *look);

/* Since the start; the journal's: zeros where there is none. */
struct gate_stats {
    uint64_t released;
    uint64_t calls, people, unknown; /* of a store; questions in them, and those left unknown */
    uint64_t told_sold_out;          /* without asking the store */
    uint64_t journal_bytes, journal_generations, journal_writes, journal_failures;
};
struct gate_stats gate_stats(struct gate *gate);
/* Whether gates can be open at all: the journal can be written, no commit is uncertain. */
bool gate_is_usable(struct gate *gate);
/* Profile test: as if no gate were open. */
void gate_fault_set(struct gate *gate, bool on);

/* `metrics`: of the loop's thread; or NULL. */
struct gate_client *gate_client_new(struct gate *gate, struct loop *loop,
                                    struct metrics_slot *metrics) MUST_CHECK;
/* Nothing is on its way to a store: only an idle client is freed. */
bool gate_client_is_idle(struct gate_client *client);
struct gate_client *gate_client_free(struct gate_client *client);
