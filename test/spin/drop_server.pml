// SPDX-License-Identifier: Apache-2.0
/* Placements, heartbeat, hand-in, rebuild. `me` is the server, N its node. */
#define N at[me]

/* ---- placements ---- */

inline finished(a) {
    att[a].state = (a == SWEEP -> ASKING : DONE);
    if
    :: a == SWEEP ->
        att[a].user = 0; att[a].place = 0; att[a].epoch = 0; att[a].server = 0; att[a].version = 0
    :: else -> skip
    fi
}

#define MAY_TELL(a, me) ((lease[me] || WITHOUT(NO_LEASE)) && \
                        (!closing[me] || WITHOUT(NO_REPLY_CLOSING)) && \
                        (att[a].epoch == known[me] || WITHOUT(NO_REPLY_EPOCH)))

inline tell(a, me) {
    att[a].told = 1;
    told_reserved[att[a].user] = att[a].place;
    REACHED(REACH_RESERVED);
    printf("S%d: answers RESERVED place %d to u%d\n", me, att[a].place, att[a].user)
}

/* The gate's answer has arrived: told now (`reserve`), or when it is stored. */
inline reply_arrives(a, me) {
    att[a].state = HOLDING;
    if
    :: memory[me] != 0 && memory_version[me] < att[a].version -> memory[me] = 0
    :: else -> skip
    fi;
    att[a].version = 0;
    if
    :: att[a].kind == RESERVE && MAY_TELL(a, me) && slow_tell -> att[a].state = TELLING
    :: att[a].kind == RESERVE && MAY_TELL(a, me) && !slow_tell ->
        assert(att[a].epoch == sql_epoch);  /* 11: nothing told of an epoch that is over */
        assert(ack[me] != sql_epoch);       /* 11: nor after the hand-in */
        tell(a, me)
    :: att[a].kind == RESERVE && !MAY_TELL(a, me) ->
        REACHED(REACH_STALE);
        printf("S%d: does not tell u%d of place %d, epoch %d\n", me, att[a].user, att[a].place, att[a].epoch)
    :: else -> skip
    fi
}

/* SQL has answered. */
inline batch_answers(a) {
    batch_commit();
    if
    :: result_ == STORED || result_ == OTHER ->
        if
        :: result_ == OTHER -> att[a].place = own_
        :: else -> skip
        fi;
        if
        :: a == SWEEP -> REACHED(REACH_SWEPT)
        :: else ->
            told_issued[att[a].user] = att[a].place;
            REACHED(REACH_ISSUED)
        fi;
        att[a].state = CONFIRM
    :: result_ == STALE ->
        att[a].state = OFFERING;
        printf("S%d: SQL does not take u%d's place %d of epoch %d\n", att[a].server, att[a].user,
               att[a].place, att[a].epoch)
    :: result_ == CONFLICT ->
        REACHED(REACH_CONFLICT);
        att[a].state = OFFERING;
        att[a].joined = 1;
        printf("S%d: place %d is another's, u%d\n", att[a].server, att[a].place, att[a].user)
    fi
}

/* Certainly rolled back. Only an `issue` that nobody joined, and nobody was told of, gives back. */
#define GIVES_BACK(a) ((att[a].kind == ISSUE && !(att[a].joined && !WITHOUT(NO_JOIN_CLEAR))) || \
                       (att[a].told && WITHOUT(NO_TOLD_KEEP)))
inline batch_fails(a) {
    batch_end();
    printf("SQL: u%d's place %d rolled back\n", att[a].user, att[a].place);
    if
    :: GIVES_BACK(a) && a != SWEEP -> att[a].state = RELEASE
    :: !(GIVES_BACK(a) && a != SWEEP) && att[a].told && !WITHOUT(NO_HOLD) -> att[a].state = HOLDING
    :: else -> finished(a)
    fi
}

inline batch_lost(a) {
    tx = ORPHAN;
    printf("S%d: connection lost, outcome of u%d's place %d unknown\n", att[a].server, att[a].user,
           att[a].place);
    if
    :: WITHOUT(NO_UNKNOWN_KEEP) && att[a].kind == ISSUE && !att[a].joined -> att[a].state = RELEASE
    :: else -> att[a].state = HOLDING
    fi;
    if
    :: WITHOUT(NO_UNKNOWN_STICKS) -> skip
    :: else -> att[a].joined = 1 /* a later failure does not undo what this one may have done */
    fi
}

#define ATT_N at[att[a].server]
#define UP(a) alive[att[a].server]
#define HICCUP (hiccups < hiccups_max)

proctype attempt(byte a) {
end:
    do
    :: d_step { a != SWEEP && att[a].state == ASKING && att[a].kind != ABSENT && UP(a) &&
            !closing[att[a].server] && GRANTS(ATT_N, known[att[a].server]) &&
            (gate[ATT_N].place[att[a].user] != 0 || LEFT(ATT_N) || FOR_GOOD(ATT_N)) ->
            n_ = ATT_N; u_ = att[a].user; ask(n_, a, u_) }
    :: d_step { a != SWEEP && att[a].state == ASKING && att[a].kind != ABSENT && UP(a) &&
            memory[att[a].server] == 2 && memory_epoch[att[a].server] == known[att[a].server] &&
            (memory_version[att[a].server] == known_version[att[a].server] || WITHOUT(NO_MEMORY_VERSION)) &&
            (!HAS(memory_holders[att[a].server], att[a].user) || WITHOUT(NO_HOLDERS)) ->
            /*
             * 9: no holder hears "sold out", nor anybody while places are left; but for what a raise has
             * added that this server has not heard of (no longer than a heartbeat).
             */
            assert(sql_version > known_version[att[a].server] || sql_epoch != known[att[a].server] ||
                   (row[1] != att[a].user && row[2] != att[a].user && ROWS >= sql_quantity));
            REACHED(REACH_GOOD);
            att[a].state = DONE }
    :: d_step { att[a].state == REPLY && UP(a) -> reply_arrives(a, att[a].server) }
    /*
     * SIGSTOP between the look at the lease and the answer: told late, of a life that may be over. What
     * saves it is that the entry was pending, and stored before that life ended.
     */
    :: d_step { att[a].state == TELLING && UP(a) -> att[a].state = HOLDING; tell(a, att[a].server) }
    :: d_step { att[a].state == REPLY && UP(a) && HICCUP -> /* lost: asked again, the same token */
            hiccups++; att[a].state = ASKING }
    :: d_step { att[a].state == REPLY && UP(a) && HICCUP -> /* lost for good: 503 */
            hiccups++; att[a].state = DONE }
    :: d_step { att[a].state == HOLDING && UP(a) && tx == NOBODY -> batch_begin(a);
            att[a].state = STORING }
    :: d_step { att[a].state == STORING && tx == a -> batch_answers(a) }
    :: d_step { att[a].state == STORING && tx == a && HICCUP -> hiccups++; batch_fails(a) }
    :: d_step { att[a].state == STORING && tx == a && HICCUP -> hiccups++; batch_lost(a) }
    :: d_step { att[a].state == OFFERING && UP(a) && a == SWEEP -> finished(a) }
    :: d_step { att[a].state == OFFERING && UP(a) && a != SWEEP && !closing[att[a].server] &&
            GRANTS(ATT_N, known[att[a].server]) ->
            n_ = ATT_N; u_ = att[a].user;
            REACHED(REACH_OFFER);
            if
            :: att[a].epoch == gate[n_].epoch -> move(n_, a, u_, 1)
            :: else -> move(n_, a, u_, 0)
            fi;
            printf("S%d: offers u%d's place: now %d, epoch %d\n", att[a].server, att[a].user, att[a].place,
                   att[a].epoch) }
    :: d_step { att[a].state == CONFIRM && UP(a) && primary[ATT_N] ->
            n_ = ATT_N; u_ = att[a].user; confirm(n_, a, u_); finished(a) }
    :: d_step { att[a].state == RELEASE && UP(a) && primary[ATT_N] ->
            n_ = ATT_N; u_ = att[a].user; release(n_, a, u_); finished(a) }
    od
}

/* What is pending is stored again, whoever asked for it; also the drain before a rebuild. */
#define IN_HAND(a, u) (att[a].user == (u) && UP(a) && att[a].state != ASKING && att[a].state != DONE)
#define SWEEPS(me, u) (alive[me] && att[SWEEP].state == ASKING && READABLE(N, known[me]) && \
                      HAS(gate[N].pending, u) && !WITHOUT(NO_SWEEP) && \
                      (eager_sweep || !(IN_HAND(1, u) || IN_HAND(2, u) || IN_HAND(3, u))))

inline sweep(me, u) {
    n_ = N;
    printf("S%d: sweeps u%d's place %d, epoch %d\n", me, u, gate[n_].place[u], gate[n_].epoch);
    if
    :: WITHOUT(NO_FORWARD_SWEEP) && row[1] != u && row[2] != u ->
        check_release(n_, u);
        leave(n_, u)
    :: else ->
        join(n_, u, SWEEP);
        att[SWEEP].user = u;
        att[SWEEP].server = me;
        att[SWEEP].place = gate[n_].place[u];
        att[SWEEP].epoch = gate[n_].epoch;
        att[SWEEP].state = HOLDING
    fi
}

proctype sweeper(byte me) {
end:
    do
    :: d_step { SWEEPS(me, 1) -> sweep(me, 1) }
    :: d_step { SWEEPS(me, 2) -> sweep(me, 2) }
    od
}

/* ---- heartbeat, hand-in, settings, sold out ---- */

#define NEWS(me) (known[me] != sql_epoch || closing[me] != sql_closing || known_version[me] != sql_version || \
                 !lease[me] || !sql_lease[me])

inline learn(me, epoch, is_closing) {
    known[me] = epoch;
    closing[me] = is_closing;
    known_version[me] = sql_version;
    known_quantity[me] = sql_quantity;
    lease[me] = 1
}

#define HOLDS(a, me) (att[a].server == (me) && (att[a].state == HOLDING || att[a].state == STORING || \
                                                   att[a].state == TELLING))
#define HOLDS_ANY(me) (HOLDS(1, me) || HOLDS(2, me) || HOLDS(3, me) || HOLDS(4, me))

proctype duties(byte me) {
end:
    do
    /* The lease is committed, then the coupon is read: the other way round, closing is missed. */
    :: d_step { alive[me] && !beating[me] && NEWS(me) && may_pause ->
            beating[me] = 1;
            if
            :: WITHOUT(NO_BEAT_ORDER) -> saved_epoch[me] = sql_epoch; saved_closing[me] = sql_closing
            :: else -> sql_lease[me] = 1
            fi }
    :: d_step { alive[me] && beating[me] ->
            beating[me] = 0;
            if
            :: WITHOUT(NO_BEAT_ORDER) ->
                learn(me, saved_epoch[me], saved_closing[me]);
                sql_lease[me] = 1; saved_epoch[me] = 0; saved_closing[me] = 0
            :: else -> learn(me, sql_epoch, sql_closing)
            fi;
            printf("S%d: heartbeat: epoch %d, closing %d\n", me, known[me], closing[me]) }
    :: d_step { alive[me] && NEWS(me) && !may_pause -> learn(me, sql_epoch, sql_closing);
            printf("S%d: heartbeat: epoch %d, closing %d\n", me, known[me], closing[me]) }
    :: d_step { alive[me] && closing[me] && ack[me] != known[me] &&
            (!HOLDS_ANY(me) || WITHOUT(NO_HAND_IN)) ->
            ack[me] = known[me]; printf("S%d: hands in epoch %d\n", me, known[me]) }
    /* A delayed push carries what this server knew then: it learns late, or never. */
    :: d_step { alive[me] && primary[N] && (gate[N].state == OPEN || gate[N].state == SEALED) &&
            (known_version[me] > gate[N].version ||
             (WITHOUT(NO_VERSION) && known_version[me] != gate[N].version)) && !WITHOUT(NO_PUSH) ->
            n_ = N;
            gate[n_].version = known_version[me]; gate[n_].quantity = known_quantity[me];
            printf("S%d: node %d takes version %d, quantity %d\n", me, n_, known_version[me],
                   known_quantity[me]) }
    :: d_step { alive[me] && memory[me] == 1 -> /* reads the holders */
            memory[me] = 2;
            memory_holders[me] = 0;
            if
            :: row[1] != 0 -> memory_holders[me] = memory_holders[me] | BIT(row[1])
            :: else -> skip
            fi;
            if
            :: row[2] != 0 -> memory_holders[me] = memory_holders[me] | BIT(row[2])
            :: else -> skip
            fi }
    :: d_step { alive[me] && primary[1] && at[me] == 0 -> at[me] = 1;
            printf("S%d: talks to node 1 now\n", me) }
    od
}

/* ---- rebuild ---- */

#define RB rebuild[me]
#define BUILDS(t) (alive[t] && rebuild[t].state >= RAISED && rebuild[t].epoch == sql_epoch)
/*
 * `patient`: nobody suspects a gate while another one builds it, nor begins before it has looked up
 * who is the primary. Otherwise two servers at two nodes may close each other's gate until one moves.
 */
#define SETTLED(me) (!patient || (!BUILDS(0) && !BUILDS(1) && (at[me] == 1 || !primary[1])))
#define CAUSE(me) (SETTLED(me) && (!GRANTS(N, known[me]) || ((want_rebuild || want_lower) && !closing[me]) || \
                                  (closing[me] && !WITHOUT(NO_TAKE_OVER))))
#define HANDED(t, e) (!sql_lease[t] || ack[t] == (e) || (WITHOUT(NO_ACK_EPOCH) && ack[t] != 0))

inline give_up(me) {
    RB.state = IDLE; RB.epoch = 0; RB.replid = 0; RB.row1 = 0; RB.row2 = 0;
    RB.quantity = 0; RB.version = 0; RB.chunk = 0
}

inline try_again(me) {
    if
    :: WITHOUT(NO_NEW_EPOCH) -> RB.state = READ; RB.chunk = 0
    :: else -> give_up(me)
    fi
}

inline read_rows(me) {
    RB.row1 = row[1]; RB.row2 = row[2];
    RB.quantity = sql_quantity; RB.version = sql_version
}

inline raise_epoch(me) {
    sql_epoch++;
    sql_closing = 0;
    want_rebuild = 0;
    if
    :: want_lower ->
        want_lower = 0;
        if
        :: row[sql_quantity] == 0 && sql_quantity > 1 ->
            sql_quantity--; sql_version++;
            REACHED(REACH_LOWERED)
        :: else -> skip
        fi
    :: else -> skip
    fi;
    RB.epoch = sql_epoch;
    RB.state = RAISED;
    printf("S%d: SQL's epoch is %d, quantity %d\n", me, sql_epoch, sql_quantity)
}

inline put(me, p, u) {
    if
    :: (p) != 0 && (u) != 0 -> gate[n_].place[u] = p
    :: else -> skip
    fi
}

inline open_gate(me) {
    assert(HOLDERS(n_) == (RB.row1 != 0) + (RB.row2 != 0));     /* 8 */
    assert(RB.epoch != sql_epoch || HOLDERS(n_) == ROWS);       /* 8 */
    assert(!HAS(opened_epochs, RB.epoch));                      /* 8: epochs never repeat */
    opened_epochs = opened_epochs | BIT(RB.epoch);
    gate[n_].state = OPEN;
    gate[n_].replid = replid[n_];
    gate[n_].quantity = RB.quantity;
    gate[n_].version = RB.version;
    gate[n_].next = (RB.row2 != 0 -> 3 : (RB.row1 != 0 -> 2 : 1));
    gate[n_].returned = (RB.row2 != 0 && RB.row1 == 0 && !WITHOUT(NO_GAPS) -> 1 : 0);
    REACHED(REACH_REBUILD);
    printf("S%d: node %d opens epoch %d: place 1 u%d, place 2 u%d\n", me, n_, RB.epoch, RB.row1, RB.row2)
}

proctype rebuilder(byte me) {
end:
    do
    :: d_step { alive[me] && RB.state == IDLE && known[me] == sql_epoch && CAUSE(me) && ROW_FREE &&
            sql_epoch < epoch_max ->
            if
            :: sql_closing -> REACHED(REACH_TAKE_OVER)
            :: else -> printf("S%d: marks closing\n", me)
            fi;
            sql_closing = 1; closing[me] = 1; RB.epoch = sql_epoch; RB.state = CLOSED }
    :: d_step { alive[me] && RB.state == CLOSED &&
            ((HANDED(0, RB.epoch) && HANDED(1, RB.epoch)) || WITHOUT(NO_BARRIER)) -> RB.state = HANDED_IN }
    :: d_step { alive[me] && RB.state == HANDED_IN -> /* nobody is granted while it is drained */
            n_ = N;
            if
            :: GOOD(n_, RB.epoch) -> gate[n_].state = SEALED
            :: else -> skip
            fi;
            RB.state = DRAINING }
    :: d_step { alive[me] && RB.state == DRAINING &&
            (WITHOUT(NO_DRAIN) || !READABLE(N, RB.epoch) || gate[N].pending == 0) ->
            if
            :: WITHOUT(NO_READ_AFTER) -> read_rows(me)
            :: else -> skip
            fi;
            RB.state = DRAINED }
    :: d_step { alive[me] && RB.state == DRAINED && ROW_FREE && sql_epoch < epoch_max &&
            ((sql_epoch == RB.epoch && sql_closing) || WITHOUT(NO_CAS)) -> raise_epoch(me) }
    :: d_step { alive[me] && RB.state >= CLOSED && RB.state <= DRAINED && sql_epoch != RB.epoch &&
            !WITHOUT(NO_CAS) -> give_up(me) } /* another one was faster */
    :: d_step { alive[me] && RB.state == RAISED ->
            if
            :: WITHOUT(NO_READ_AFTER) -> skip
            :: else -> read_rows(me)
            fi;
            RB.state = READ }
    :: d_step { alive[me] && RB.state == READ && primary[N] ->
            n_ = N;
            if
            :: RB.epoch > gate[n_].epoch || (WITHOUT(NO_BEGIN_EPOCH) && RB.epoch != gate[n_].epoch) ->
                forget_users(n_);
                gate[n_].state = BUILDING; gate[n_].epoch = RB.epoch; gate[n_].replid = replid[n_];
                gate[n_].next = 0; gate[n_].returned = 0; gate[n_].torn = 0;
                gate[n_].quantity = 0; gate[n_].version = 0;
                RB.replid = replid[n_]; RB.chunk = 1;
                RB.state = BEGUN;
                printf("S%d: node %d begins epoch %d\n", me, n_, RB.epoch)
            :: else -> give_up(me)
            fi }
    :: d_step { alive[me] && RB.state == BEGUN && primary[N] ->
            n_ = N;
            if
            :: gate[n_].state == BUILDING && gate[n_].epoch == RB.epoch ->
                if
                :: RB.chunk == 1 -> put(me, 1, RB.row1)
                :: else -> put(me, 2, RB.row2)
                fi;
                RB.state = (RB.chunk == 2 -> CHUNKED : BEGUN);
                RB.chunk = (RB.chunk == 2 -> 0 : 2)
            :: else -> try_again(me)
            fi }
    :: d_step { alive[me] && RB.state == CHUNKED && primary[N] ->
            n_ = N;
            if
            :: gate[n_].state == OPEN && gate[n_].epoch == RB.epoch -> RB.state = OPENED /* repeated */
            :: gate[n_].state == BUILDING && gate[n_].epoch == RB.epoch &&
               (replid[n_] == RB.replid || WITHOUT(NO_OPEN_REPLID)) &&
               (HOLDERS(n_) == (RB.row1 != 0) + (RB.row2 != 0) || WITHOUT(NO_OPEN_COUNT)) ->
                open_gate(me);
                RB.state = OPENED
            :: else -> try_again(me)
            fi }
    :: d_step { alive[me] && RB.state == CHUNKED && primary[N] && HICCUP &&
            gate[N].state == BUILDING && gate[N].epoch == RB.epoch && replid[N] == RB.replid &&
            HOLDERS(N) == (RB.row1 != 0) + (RB.row2 != 0) ->
            n_ = N; hiccups++; open_gate(me) } /* opened, and the answer lost */
    :: d_step { alive[me] && RB.state == OPENED ->
            if
            :: WITHOUT(NO_REREAD) -> known[me] = RB.epoch; closing[me] = 0
            :: !WITHOUT(NO_REREAD) && sql_epoch == RB.epoch ->
                known[me] = sql_epoch; closing[me] = sql_closing
            :: else -> skip
            fi;
            give_up(me) }
    od
}
