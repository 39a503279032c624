// SPDX-License-Identifier: Apache-2.0
/* Faults, replication, transactions that nobody waits for, administrators. */

#define FAULT (faults < faults_max)
#define REWINDS (may_fail_over || may_restart)

inline lose(me, a) {
    if
    :: att[a].server == me && att[a].state != DONE ->
        if
        :: tx == a -> tx = ORPHAN
        :: else -> skip
        fi;
        if
        :: att[a].told || att[a].kind == ABSENT -> att[a].state = DONE
        :: else -> /* its caller asks the other server, as a new attempt */
            att[a].state = ASKING; att[a].server = 1 - me; att[a].token = 4 + a;
            att[a].place = 0; att[a].epoch = 0; att[a].joined = 0
        fi
    :: else -> skip
    fi
}

inline dies(me) {
    alive[me] = 0; lease[me] = 0; beating[me] = 0; memory[me] = 0; saved_epoch[me] = 0; saved_closing[me] = 0;
    give_up(me);
    lose(me, 1); lose(me, 2); lose(me, 3);
    if
    :: att[SWEEP].server == me && att[SWEEP].state != ASKING ->
        if
        :: tx == SWEEP -> tx = ORPHAN
        :: else -> skip
        fi;
        finished(SWEEP)
    :: else -> skip
    fi;
    printf("S%d: killed\n", me)
}

proctype world() {
end:
    do
    /* A prefix of what node 0 did: everything up to now, at any moment. */
    :: d_step { REWINDS && FAULT && !primary[1] && !SAME_GATE -> copy_gate(1, 0) }
    :: d_step { may_fail_over && FAULT && !primary[1] ->
            faults++;
            primary[1] = 1; replid[1] = replid_next; replid_next++;
            printf("FAULT: node 1 is promoted, with what it has; node 0 goes on\n") }
    :: d_step { may_restart && FAULT && !primary[1] ->
            faults++;
            copy_gate(0, 1); replid[0] = replid_next; replid_next++; replid[1] = replid[0];
            printf("FAULT: node 0 is restarted with an older memory\n") }
    :: d_step { may_flush && FAULT ->
            faults++;
            forget_users(0);
            gate[0].state = MISSING; gate[0].epoch = 0; gate[0].replid = 0; gate[0].next = 0;
            gate[0].returned = 0; gate[0].quantity = 0; gate[0].version = 0;
            printf("FAULT: node 0 is flushed\n") }
    :: d_step { may_tear && FAULT && HOLDERS(0) != 0 ->
            faults++;
            forget_users(0);
            gate[0].torn = (gate[0].state != BUILDING); /* no counts yet: open() compares them */
            printf("FAULT: node 0 has lost the entries\n") }
    :: d_step { may_kill && FAULT && alive[0] && alive[1] -> faults++; dies(0) }
    :: d_step { may_kill && FAULT && alive[0] && alive[1] -> faults++; dies(1) }
    :: d_step { may_plant && FAULT && row[1] == 0 && row[2] == 0 && tx == NOBODY ->
            faults++;
            row[1] = 2;
            printf("FAULT: place 1 is made u2's by other hands\n") }
    /* A lease runs out for its server first, then for the database. */
    :: d_step { may_pause && FAULT && alive[0] && lease[0] && lease[1] -> faults++; lease[0] = 0;
            printf("FAULT: S0's lease has run out\n") }
    :: d_step { may_pause && FAULT && alive[1] && lease[0] && lease[1] -> faults++; lease[1] = 0;
            printf("FAULT: S1's lease has run out\n") }
    :: d_step { may_pause && FAULT && alive[1] && lease[1] && sql_lease[1] && WITHOUT(NO_LEASE_BEFORE) ->
            faults++; sql_lease[1] = 0 }
    :: d_step { !lease[0] && sql_lease[0] && !beating[0] -> sql_lease[0] = 0 }
    :: d_step { !lease[1] && sql_lease[1] && !beating[1] -> sql_lease[1] = 0 }
    :: d_step { tx == ORPHAN -> batch_commit() }
    :: d_step { tx == ORPHAN -> batch_end() }
    :: d_step { WITHOUT(NO_REST) -> skip }
    od
}

proctype administrator() {
end:
    do
    :: d_step { rebuilds < rebuilds_max && !want_rebuild -> rebuilds++; want_rebuild = 1;
            printf("ADMIN: rebuild\n") }
    :: d_step { raises < raises_max && sql_quantity < 2 && tx == NOBODY ->
            raises++; sql_quantity++; sql_version++;
            printf("ADMIN: SQL's quantity is %d, version %d\n", sql_quantity, sql_version) }
    :: d_step { lowers < lowers_max && sql_quantity > 1 && !want_lower && tx == NOBODY ->
            lowers++;
            if
            :: WITHOUT(NO_LOWER_CLOSE) && row[2] == 0 -> sql_quantity--; sql_version++
            :: WITHOUT(NO_LOWER_CLOSE) && row[2] != 0 -> skip
            :: else -> want_lower = 1
            fi;
            printf("ADMIN: lower\n") }
    od
}
