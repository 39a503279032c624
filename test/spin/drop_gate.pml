// SPDX-License-Identifier: Apache-2.0
/* What a node does in one step (the Function). `n` is the node. */
#define BIT(i) (1 << ((i) - 1))
#define HAS(set, i) (((set) >> ((i) - 1)) & 1)
#define DROP(set, i) set = set & (255 - BIT(i))

#define ITS_OWN(n) (gate[n].replid == replid[n])
/* Its memory is that of epoch `e`, whole, and of this node. */
#define GOOD(n, e) (primary[n] && gate[n].epoch == (e) && ITS_OWN(n) && !gate[n].torn && \
                    (gate[n].state == OPEN || gate[n].state == SEALED))
#define GRANTS(n, e) (primary[n] && gate[n].state == OPEN && gate[n].epoch == (e) && \
                      (ITS_OWN(n) || WITHOUT(NO_REPLID)) && (!gate[n].torn || WITHOUT(NO_COUNTS)))
#define READABLE(n, e) (GOOD(n, e) || (WITHOUT(NO_SWEEP_CHECK) && primary[n] && \
                        (gate[n].state == OPEN || gate[n].state == SEALED)))
#define HOLDERS(n) ((gate[n].place[1] != 0) + (gate[n].place[2] != 0))
#define LEFT(n) (gate[n].returned != 0 || gate[n].next <= gate[n].quantity)
#define FOR_GOOD(n) (!LEFT(n) && (gate[n].pending == 0 || WITHOUT(NO_FOR_GOOD)))

/* p_: the next place, 0: none */
inline next_place(n) {
    if
    :: gate[n].returned & 1 -> p_ = 1
    :: !(gate[n].returned & 1) && (gate[n].returned & 2) -> p_ = 2
    :: gate[n].returned == 0 && gate[n].next <= gate[n].quantity -> p_ = gate[n].next
    :: else -> p_ = 0
    fi
}

/* Place p_ of this gate is free. */
#define FREE(n, p) (HAS(gate[n].returned, p) || ((p) >= gate[n].next && (p) <= gate[n].quantity))

/* User u takes p_, which is free, pending, under token `mark`. Numbers passed over are returned ones. */
inline enter(n, u, mark) {
    if
    :: HAS(gate[n].returned, p_) -> DROP(gate[n].returned, p_)
    :: else ->
        if
        :: p_ == 2 && gate[n].next == 1 -> gate[n].returned = gate[n].returned | 1
        :: else -> skip
        fi;
        gate[n].next = p_ + 1
    fi;
    gate[n].place[u] = p_;
    gate[n].token[u] = mark;
    gate[n].pending = gate[n].pending | BIT(u)
}

inline leave(n, u) {
    gate[n].returned = gate[n].returned | BIT(gate[n].place[u]);
    gate[n].place[u] = 0;
    gate[n].token[u] = 0;
    DROP(gate[n].pending, u)
}

inline forget_users(n) {
    gate[n].place[1] = 0; gate[n].place[2] = 0;
    gate[n].token[1] = 0; gate[n].token[2] = 0;
    gate[n].pending = 0
}

inline copy_gate(to, from) {
    gate[to].state = gate[from].state;
    gate[to].epoch = gate[from].epoch;
    gate[to].replid = gate[from].replid;
    gate[to].quantity = gate[from].quantity;
    gate[to].version = gate[from].version;
    gate[to].next = gate[from].next;
    gate[to].returned = gate[from].returned;
    gate[to].place[1] = gate[from].place[1];
    gate[to].place[2] = gate[from].place[2];
    gate[to].token[1] = gate[from].token[1];
    gate[to].token[2] = gate[from].token[2];
    gate[to].pending = gate[from].pending;
    gate[to].torn = gate[from].torn
}
#define SAME_GATE (gate[0].state == gate[1].state && gate[0].epoch == gate[1].epoch && \
    gate[0].replid == gate[1].replid && gate[0].quantity == gate[1].quantity && \
    gate[0].version == gate[1].version && gate[0].next == gate[1].next && \
    gate[0].returned == gate[1].returned && gate[0].place[1] == gate[1].place[1] && \
    gate[0].place[2] == gate[1].place[2] && gate[0].token[1] == gate[1].token[1] && \
    gate[0].token[2] == gate[1].token[2] && gate[0].pending == gate[1].pending && \
    gate[0].torn == gate[1].torn)

/* A place is given back: invariants 7 and 9. */
inline check_release(n, u) {
    assert((row[1] != u && row[2] != u) || may_plant);      /* 7: no row */
    assert(tx == NOBODY || tx_user != u || !tx_accepted);   /* 7: nor one on its way */
    assert(told_reserved[u] == 0);                          /* 7: nobody was told */
    assert(good_epoch != gate[n].epoch || good_version != gate[n].version) /* 9 */
}

/* A place is granted: invariants 5, 9, 10. */
inline check_grant(n) {
    assert(ITS_OWN(n));                                     /* 5 */
    assert(gate[n].quantity <= sql_quantity || gate[n].epoch != sql_epoch); /* 10 */
    assert(good_epoch != gate[n].epoch || good_version != gate[n].version) /* 9 */
}

/*
 * From now on the entry is nobody's to release: not the first one's, nor the joiner's, who may ask
 * again with the same token because the answer was lost.
 */
inline join(n, u, mark) {
    if
    :: WITHOUT(NO_JOIN_MARK) -> skip
    :: WITHOUT(NO_JOIN_CLEAR) -> gate[n].token[u] = mark
    :: else -> gate[n].token[u] = 0
    fi
}

/* The question of attempt a of user u. */
inline ask(n, a, u) {
    att[a].epoch = gate[n].epoch;
    att[a].version = gate[n].version;
    if
    :: gate[n].place[u] != 0 && !HAS(gate[n].pending, u) ->
        att[a].place = gate[n].place[u];
        told_issued[u] = gate[n].place[u]; /* C004 with a userCouponId */
        printf("S%d: u%d already has place %d\n", att[a].server, u, att[a].place);
        att[a].state = DONE
    :: gate[n].place[u] != 0 && HAS(gate[n].pending, u) ->
        att[a].place = gate[n].place[u];
        att[a].state = REPLY;
        if
        :: gate[n].token[u] == att[a].token -> att[a].joined = 0 /* the same attempt again */
        :: else ->
            att[a].joined = 1;
            REACHED(REACH_JOIN);
            join(n, u, att[a].token)
        fi;
        printf("S%d: node %d: attempt %d finds u%d pending at %d, joined %d\n", att[a].server, n, a, u,
               att[a].place, att[a].joined)
    :: gate[n].place[u] == 0 && LEFT(n) ->
        check_grant(n);
        next_place(n);
        enter(n, u, att[a].token);
        att[a].place = p_;
        att[a].joined = 0;
        att[a].state = REPLY;
        printf("S%d: node %d grants place %d to u%d, attempt %d, epoch %d\n", att[a].server, n, p_, u, a,
               gate[n].epoch)
    :: gate[n].place[u] == 0 && !LEFT(n) -> /* for good: the caller asks only then */
        att[a].state = DONE;
        if
        :: with_memory ->
            memory[att[a].server] = 1;
            memory_epoch[att[a].server] = gate[n].epoch;
            memory_version[att[a].server] = gate[n].version;
            good_epoch = gate[n].epoch;
            good_version = gate[n].version
        :: else -> skip
        fi;
        printf("S%d: node %d: sold out for good, epoch %d version %d\n", att[a].server, n, gate[n].epoch,
               gate[n].version)
    fi
}

/* The row of attempt a is stored at att[a].place: the entry is no longer pending, and of that place. */
inline confirm(n, a, u) {
    if
    :: gate[n].state != MISSING && gate[n].place[u] == att[a].place -> DROP(gate[n].pending, u)
    :: gate[n].state == OPEN && gate[n].place[u] != 0 && gate[n].place[u] != att[a].place &&
       gate[n].place[3 - u] != att[a].place ->
        leave(n, u);
        p_ = att[a].place;
        if
        :: FREE(n, p_) -> enter(n, u, 0)
        :: else -> gate[n].place[u] = p_ /* it was somebody's who lost it */
        fi;
        DROP(gate[n].pending, u)
    :: else -> skip
    fi
}

/* Attempt a gives its place back, if it still is its own. */
inline release(n, a, u) {
    if
    :: gate[n].state != MISSING && gate[n].place[u] == att[a].place && att[a].place != 0 &&
       gate[n].epoch == att[a].epoch && HAS(gate[n].pending, u) &&
       (gate[n].token[u] == att[a].token || WITHOUT(NO_TOKEN)) ->
        check_release(n, u);
        leave(n, u);
        REACHED(REACH_RELEASE);
        printf("S%d: node %d: u%d's place %d is free again\n", att[a].server, n, u, att[a].place)
    :: else -> skip
    fi
}

/* A place that SQL did not take under its epoch (same place preferred), or that is another's row. */
inline move(n, a, u, conflict) {
    if
    :: gate[n].place[u] != 0 && !(conflict && gate[n].place[u] == att[a].place) ->
        join(n, u, att[a].token);
        att[a].place = gate[n].place[u];
        att[a].state = HOLDING
    :: else ->
        if
        :: conflict && gate[n].place[u] != 0 -> /* that number is another's for good */
            gate[n].place[u] = 0;
            gate[n].token[u] = 0;
            DROP(gate[n].pending, u)
        :: else -> skip
        fi;
        if
        :: !conflict && FREE(n, att[a].place) -> p_ = att[a].place
        :: else -> next_place(n)
        fi;
        if
        :: p_ != 0 ->
            enter(n, u, 0);
            att[a].place = p_;
            att[a].state = HOLDING
        :: else -> att[a].state = DONE
        fi
    fi;
    att[a].joined = 1;
    att[a].epoch = gate[n].epoch
}
