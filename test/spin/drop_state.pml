// SPDX-License-Identifier: Apache-2.0
/* ---- guards: each can be taken away, one at a time (`no`) ---- */
#define NO_REPLID 1         /* the Function does not compare replid */
#define NO_COUNTS 2         /* nor the counts */
#define NO_REPLY_EPOCH 3    /* a reply is told whatever its epoch */
#define NO_REPLY_CLOSING 4  /* and although the gate is closing */
#define NO_LEASE 5          /* and without a lease */
#define NO_LEASE_BEFORE 6   /* the lease is counted from the heartbeat's answer */
#define NO_BEAT_ORDER 7     /* the heartbeat reads before it has committed the lease */
#define NO_HAND_IN 8        /* acknowledged with places in hand */
#define NO_ACK_EPOCH 9      /* an acknowledgement of an earlier closing counts */
#define NO_BARRIER 10       /* nobody waits for acknowledgements */
#define NO_DRAIN 11         /* what is pending in a good gate is not stored */
#define NO_CAS 12           /* the epoch is raised whatever it is by now */
#define NO_SQL_LOCK 13      /* a batch does not hold its coupon's row */
#define NO_EPOCH_FENCE 14   /* SQL takes rows of any epoch */
#define NO_UNIQUE 15        /* nor is a place unique */
#define NO_READ_AFTER 16    /* rows are read before the epoch is raised */
#define NO_BEGIN_EPOCH 17   /* begin(e) clears a gate of a higher epoch */
#define NO_OPEN_COUNT 19    /* open() does not compare counts */
#define NO_OPEN_REPLID 20   /* open() takes the node's present replid */
#define NO_NEW_EPOCH 21     /* a rebuild that failed is tried again with its epoch */
#define NO_REREAD 22        /* the rebuilder believes in its own epoch */
#define NO_GAPS 23          /* numbers that nobody holds are not returned */
#define NO_TOKEN 24         /* a release does not look at the token */
#define NO_JOIN_MARK 25     /* who joins leaves the first one's token */
#define NO_UNKNOWN_KEEP 27  /* an unknown outcome is a failure */
#define NO_TOLD_KEEP 28     /* what was told is released */
#define NO_FORWARD_SWEEP 29 /* the sweeper looks, and releases where no row is */
#define NO_SWEEP_CHECK 30   /* the sweeper and the drain trust any node */
#define NO_HOLD 31          /* who told leaves a write that failed to the sweeper */
#define NO_VERSION 32       /* the gate takes any settings */
#define NO_LOWER_CLOSE 33   /* lowering is like raising */
#define NO_FOR_GOOD 34      /* sold out is remembered although something is pending */
#define NO_HOLDERS 35       /* and answered without looking at who holds */
#define NO_MEMORY_VERSION 36 /* and for the next version, too */
#define NO_SWEEP 37         /* there is no sweeper */
#define NO_PUSH 38          /* settings are not pushed again */
#define NO_TAKE_OVER 39     /* a closing that its server left is nobody's */
#define NO_JOIN_CLEAR 40    /* who joins puts in its own token */
#define NO_UNKNOWN_STICKS 41 /* the next outcome counts alone */
#define NO_REST 42          /* (a step that can be taken for ever: is it seen?) */
#define WITHOUT(guard) (no == guard)

/* ---- what a run may contain; drop_setup.pml ---- */
/* (hidden: no part of the state, for nothing changes them) */
hidden byte no, reach;               /* the missing guard; what must be shown to happen */
hidden byte faults_max, hiccups_max; /* hiccup: a batch rolled back, a connection or a reply lost */
hidden byte may_fail_over, may_restart, may_flush, may_tear, may_kill, may_pause, may_plant;
hidden byte rebuilds_max, raises_max, lowers_max, epoch_max;
hidden byte slow_tell, eager_sweep, patient, with_memory, check_rest;
hidden byte kind1, kind2, kind3, server1, quantity;

/* ---- SQL: one coupon ---- */
#define NOBODY 0
#define ORPHAN 15 /* a transaction whose server lost it */
byte row[3]; /* place -> user */
byte sql_epoch, sql_quantity, sql_version;
bit sql_closing;
byte tx, tx_user, tx_place, tx_epoch; /* the one that holds the coupon's row, of attempt `tx` */
bit tx_accepted;
byte ack[2];      /* per server: the epoch that it has handed in */
bit sql_lease[2]; /* as the database sees it */

/* ---- Redis ---- */
#define MISSING 0
#define BUILDING 1
#define OPEN 2
#define SEALED 3
typedef gate_t {
    byte state, epoch, replid; /* replid: of the node that opened it */
    byte quantity, version;
    byte next, returned;       /* next new number; bit p-1: place p was returned */
    byte place[3], token[3];   /* per user */
    byte pending;              /* bit u-1: user u's */
    bit torn;                  /* a key was lost: counts disagree */
};
gate_t gate[2];
byte replid[2]; /* of the node */
bit primary[2];
byte replid_next;

/* ---- servers ---- */
bit alive[2], lease[2] /* as the server's own clock sees it */, closing[2];
byte known[2], known_version[2], known_quantity[2], at[2] /* the node it talks to */;
bit beating[2], saved_closing[2];
byte saved_epoch[2];
byte memory[2] /* sold out for good: 1 heard, 2 with holders */, memory_epoch[2], memory_version[2];
byte memory_holders[2];
#define IDLE 0
#define CLOSED 1
#define HANDED_IN 2
#define DRAINING 3
#define DRAINED 4
#define RAISED 5
#define READ 6
#define BEGUN 7
#define CHUNKED 8
#define OPENED 9
typedef rebuild_t {
    byte state, epoch, replid, row1, row2, quantity, version, chunk;
};
rebuild_t rebuild[2];

/* ---- attempts: 1 user 1 at server 0, 2 user 2 at 1, 3 user 1 at 1; 4: the sweeper's hand ---- */
#define SWEEP 4
#define ABSENT 0
#define RESERVE 1
#define ISSUE 2
#define ASKING 0
#define REPLY 1   /* decided, the answer is on its way */
#define HOLDING 2 /* to be stored */
#define STORING 3
#define OFFERING 4
#define CONFIRM 5 /* stored, the gate does not know yet */
#define RELEASE 6
#define DONE 7
#define TELLING 8 /* `slow_tell`: judged that it may be told, and stopped before it was */
typedef attempt_t {
    byte state, kind, user, server, token, place, epoch, version;
    bit joined, told;
};
attempt_t att[5];

/* ---- administrators ---- */
bit want_rebuild, want_lower;
byte faults, hiccups, rebuilds, raises, lowers;

/* ---- what was said: never read by the protocol ---- */
byte told_reserved[3], told_issued[3]; /* per user: the place */
byte good_epoch, good_version;         /* some server heard "sold out for good" */
byte opened_epochs;                    /* bits */
byte reached;

#define REACH_REBUILD 1
#define REACH_JOIN 2
#define REACH_RELEASE 3
#define REACH_STALE 4  /* a stale grant was dropped */
#define REACH_OFFER 5
#define REACH_GOOD 6   /* answered from memory */
#define REACH_TAKE_OVER 7
#define REACH_RESERVED 8
#define REACH_ISSUED 9
#define REACH_SWEPT 10
#define REACH_CONFLICT 11
#define REACH_LOWERED 12
#define REACHED(what) if :: reach == what -> reached = 1 :: else -> skip fi

hidden byte p_, u_, own_, result_, count_, n_;
#define STORED 1
#define OTHER 2
#define CONFLICT 3
#define STALE 4
