// SPDX-License-Identifier: Apache-2.0
/*
 * Sums -> outbox -> relay -> board, with two relays, two products and a board that is rewound or lost:
 * when quiet, the board is the sums (docs/protocol.md, The ranking and its backup).
 */
#define NO_VERSION 201       /* the board takes any sum */
#define NO_COPY_AGAIN 202    /* a changed replid means nothing */
#define NO_FULL_COPY 203     /* a change makes a missing board */
#define NO_SAME_COMMIT 204   /* the outbox row comes after the sum's commit */
#define NO_PUT_FIRST 205     /* rows are deleted before the board has the sum */
#define NO_OWN_ROW 206       /* a change finds a row of its product and adds none */
#define NO_ONE_BY_ONE 207    /* deleted: all rows up to the highest read */
#define NO_READ_AFTER 208    /* the sum is read before the rows */
#define NO_COMPLETE_MARK 209 /* a copy is complete from its first sum on */
#define NO_COPIER_MARK 210   /* a copy is complete although the board was lost under it */
#define WITHOUT(guard) (no == guard)
#define REACH_COPY 201
#define REACH_OLDER 202
#define P 2

/* SQL */
byte sum[P], version[P];
byte rows[P];     /* outbox rows that are there */
byte hidden_[P];  /* of transactions that have a lower id and are not committed yet */
bit owed[P];      /* NO_SAME_COMMIT: the row still to be written */
byte changes;
/* board */
byte on_board[P], on_version[P], replid, saved[P], saved_version[P];
bit complete, marked; /* marked: by the copy under way, which clears the board first */
/* relays: taken rows are locked by them */
typedef relay_t { byte state, product, taken, sum, version; };
relay_t relay[2];
#define IDLE 0
#define TAKEN 1
#define READ 2
#define PUT 3
/* the copier: one for all, for a copy takes no side */
byte copying, copy_sum, copy_version, copied_replid;
bit crashed;
hidden byte no, reach, changes_max, rewinds_max, check_rest;
byte rewinds, reached;

c_decl {
    static int setting(const char *name, int otherwise)
    {
        char *value = getenv(name);
        return value ? atoi(value) : otherwise;
    }
};

inline put(which, value, its_version) {
    if
    :: its_version > on_version[which] || WITHOUT(NO_VERSION) ->
        on_board[which] = value; on_version[which] = its_version
    :: else ->
        if
        :: reach == REACH_OLDER && its_version < on_version[which] -> reached = 1
        :: else -> skip
        fi
    fi
}

inline sells(which) {
    changes++;
    sum[which] = (version[which] == 1 -> sum[which] - 1 : sum[which] + 2); /* the second one is a refund */
    version[which]++;
    if
    :: WITHOUT(NO_SAME_COMMIT) -> owed[which] = 1
    :: WITHOUT(NO_OWN_ROW) && rows[which] + relay[0].taken * (relay[0].product == which) +
            relay[1].taken * (relay[1].product == which) > 0 -> skip
    :: else -> rows[which]++
    fi;
    printf("STEP product %d: sum %d, version %d\n", which, sum[which], version[which])
}

proctype shop() {
end:
    do
    :: d_step { changes < changes_max -> sells(0) }
    :: d_step { changes < changes_max -> sells(1) }
    /* a transaction that took its outbox id early and commits late */
    :: d_step { changes < changes_max && hidden_[0] == 0 && WITHOUT(NO_ONE_BY_ONE) -> hidden_[0] = 1; changes++ }
    :: d_step { hidden_[0] == 1 -> hidden_[0] = 2; sum[0] = sum[0] + 2; version[0]++; rows[0]++ }
    :: d_step { owed[0] -> owed[0] = 0; rows[0]++ }
    :: d_step { owed[0] -> owed[0] = 0; crashed = 1 } /* killed in between */
    :: d_step { owed[1] -> owed[1] = 0; rows[1]++ }
    od
}

#define R relay[i]
#define VISIBLE(p) (rows[p] > 0)
inline begin(i, which) {
    R.product = which; R.taken = rows[which]; rows[which] = 0; /* locked: SKIP LOCKED for the other */
    if
    :: WITHOUT(NO_READ_AFTER) -> skip
    :: else -> R.sum = 0
    fi;
    R.state = TAKEN
}
proctype relays(byte i) {
end:
    do
    :: d_step { R.state == IDLE && VISIBLE(0) && !WITHOUT(NO_READ_AFTER) -> begin(i, 0) }
    :: d_step { R.state == IDLE && VISIBLE(1) && !WITHOUT(NO_READ_AFTER) -> begin(i, 1) }
    :: d_step { R.state == IDLE && VISIBLE(0) && WITHOUT(NO_READ_AFTER) ->
            R.product = 0; R.sum = sum[0]; R.version = version[0]; R.state = READ }
    :: d_step { R.state == READ && WITHOUT(NO_READ_AFTER) && R.taken == 0 ->
            R.taken = rows[0]; rows[0] = 0;
            put(0, R.sum, R.version); R.state = PUT }
    :: d_step { R.state == TAKEN -> R.sum = sum[R.product]; R.version = version[R.product]; R.state = READ;
            if
            :: WITHOUT(NO_PUT_FIRST) -> R.taken = 0
            :: else -> skip
            fi }
    :: d_step { R.state == READ && !WITHOUT(NO_READ_AFTER) ->
            if
            :: complete || WITHOUT(NO_FULL_COPY) ->
                put(R.product, R.sum, R.version);
                complete = 1
            :: else -> put(R.product, R.sum, R.version) /* beside what is being copied */
            fi;
            R.state = PUT }
    :: d_step { R.state == PUT -> /* the rows that were taken, and no others */
            R.taken = 0; R.sum = 0; R.version = 0; R.state = IDLE;
            if
            :: WITHOUT(NO_ONE_BY_ONE) && hidden_[0] == 2 -> rows[0] = 0
            :: else -> skip
            fi }
    /* the relay dies, or the store does not answer: its rows are there again */
    :: d_step { R.state != IDLE && !crashed && R.state != PUT ->
            rows[R.product] = rows[R.product] + R.taken;
            R.taken = 0; R.sum = 0; R.version = 0; R.state = IDLE; crashed = 1 }
    od
}

/* What is missing or of another life is copied as a whole, each sum by its version. */
proctype copier() {
end:
    do
    :: d_step { copying == 0 && (!complete || (copied_replid != replid && !WITHOUT(NO_COPY_AGAIN))) ->
            copied_replid = replid; copying = 1; marked = 1; copy_sum = sum[0]; copy_version = version[0];
            if
            :: WITHOUT(NO_COMPLETE_MARK) -> complete = 1
            :: else -> skip
            fi }
    :: d_step { copying == 1 -> put(0, copy_sum, copy_version); copying = 2; copy_sum = 0; copy_version = 0 }
    :: d_step { copying == 2 -> copy_sum = sum[1]; copy_version = version[1]; copying = 3 }
    :: d_step { copying == 3 -> put(1, copy_sum, copy_version);
            copying = 0; copy_sum = 0; copy_version = 0;
            if
            :: copied_replid == replid && (marked || WITHOUT(NO_COPIER_MARK)) -> /* else another board: again */
                complete = 1;
                if
                :: reach == REACH_COPY && rewinds > 0 -> reached = 1
                :: else -> skip
                fi
            :: else -> complete = 0
            fi;
            marked = 0 }
    :: d_step { copying != 0 && WITHOUT(NO_COMPLETE_MARK) -> copying = 0; marked = 0 } /* killed */
    od
}

proctype world() {
end:
    do
    :: d_step { rewinds < rewinds_max &&
            (saved[0] != on_board[0] || saved[1] != on_board[1]) -> /* what a replica has by now */
            saved[0] = on_board[0]; saved[1] = on_board[1];
            saved_version[0] = on_version[0]; saved_version[1] = on_version[1] }
    :: d_step { rewinds < rewinds_max && complete ->
            rewinds++; replid++;
            on_board[0] = saved[0]; on_board[1] = saved[1];
            on_version[0] = saved_version[0]; on_version[1] = saved_version[1];
            printf("FAULT: the board is rewound to %d, %d\n", saved[0], saved[1]) }
    :: d_step { rewinds < rewinds_max -> /* lost, the node is the same */
            rewinds++;
            on_board[0] = 0; on_board[1] = 0; on_version[0] = 0; on_version[1] = 0; complete = 0; marked = 0;
            printf("FAULT: the board is lost\n") }
    od
}

proctype watch() {
end:
    do
    :: d_step { reached -> assert(false) }
    :: timeout -> d_step {
            printf("REST sums %d %d, board %d %d\n", sum[0], sum[1], on_board[0], on_board[1]);
            assert(complete);
            assert(on_board[0] == sum[0] && on_board[1] == sum[1]) };
        break
    od
}

init {
    d_step {
        c_code {
            no = setting("NO", 0);
            reach = setting("REACH", 0);
            changes_max = setting("CHANGES", 3);
            rewinds_max = setting("REWINDS", 1);
        };
        complete = 1
    };
    atomic {
        run shop(); run relays(0); run relays(1); run copier(); run world(); run watch()
    }
}
