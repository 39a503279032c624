// SPDX-License-Identifier: Apache-2.0
/* What must hold. 6-11 are asserted where they could break; the rest is watched in every state. */

#define ROWS_EXACT ((row[1] == 0 || row[1] != row[2]) && (row[1] == 0 || sql_quantity >= 1) && \
                    (row[2] == 0 || sql_quantity >= 2))
#define ISSUED_KEPT(u) (told_issued[u] == 0 || row[told_issued[u]] == (u))

#define IN_GATE(n, u) (GOOD(n, sql_epoch) && gate[n].place[u] == told_reserved[u])
#define IN_HANDS(a, u) ((att[a].state == HOLDING || att[a].state == STORING) && att[a].user == (u) && \
                        UP(a) && att[a].place == told_reserved[u] && att[a].epoch == sql_epoch)
#define RESERVED_KEPT(u) (told_reserved[u] == 0 || row[told_reserved[u]] == (u) || \
    (row[told_reserved[u]] == 0 && \
     (IN_GATE(0, u) || IN_GATE(1, u) || IN_HANDS(1, u) || IN_HANDS(2, u) || IN_HANDS(3, u) || IN_HANDS(4, u))))

#define OPEN_NOW(n) (GOOD(n, sql_epoch) && gate[n].state == OPEN)
#define TIMES(n, p) ((gate[n].place[1] == (p)) + (gate[n].place[2] == (p)) + HAS(gate[n].returned, p) + \
                     (gate[n].next <= (p)))
#define ONCE(n, p) (gate[n].quantity < (p) || TIMES(n, p) == 1 || (may_plant && TIMES(n, p) == 0 && row[p] != 0))
#define PARTITION(n) (!OPEN_NOW(n) || (ONCE(n, 1) && ONCE(n, 2)))

#define ONE_FAULT (faults_max <= 1)

proctype watch() {
end:
    do
    :: d_step { !ROWS_EXACT -> printf("BROKEN 1: rows\n"); assert(false) }
    :: d_step { !(ISSUED_KEPT(1) && ISSUED_KEPT(2)) -> printf("BROKEN 2: issued\n"); assert(false) }
    :: d_step { ONE_FAULT && !may_plant && !(RESERVED_KEPT(1) && RESERVED_KEPT(2)) ->
            printf("BROKEN 3: reserved\n"); assert(false) }
    :: d_step { ONE_FAULT && !(PARTITION(0) && PARTITION(1)) ->
            printf("BROKEN 4: partition\n"); assert(false) }
    :: d_step { OPEN_NOW(0) && OPEN_NOW(1) -> printf("BROKEN 5: two open gates\n"); assert(false) }
    :: d_step { reached -> printf("REACHED\n"); assert(false) }
    od
}

/*
 * At rest: nothing moves any more (all faults over; every run ends, which run.py checks by looking
 * for cycles). Then everybody has an answer, nothing is pending, the gate is open and agrees with SQL,
 * and whoever came now would get a place as long as there is one.
 */
#define SERVED(a) (att[a].kind == ABSENT || att[a].state == DONE)
#define AGREES(n) (GRANTS(n, sql_epoch) && gate[n].pending == 0 && HOLDERS(n) == ROWS && \
    (row[1] == 0 || gate[n].place[row[1]] == 1) && (row[2] == 0 || gate[n].place[row[2]] == 2) && \
    gate[n].version == sql_version && (ROWS == sql_quantity || LEFT(n)))
#define TOLD_STORED(u) (told_reserved[u] == 0 || row[told_reserved[u]] == (u))

proctype rest() {
end:
    do
    :: timeout && check_rest ->
        d_step {
            printf("REST\n");
            n_ = (alive[0] -> at[0] : at[1]);
            assert(tx == NOBODY && att[SWEEP].state == ASKING);
            assert(SERVED(1) && SERVED(2) && SERVED(3));
            assert(!sql_closing && !want_lower && !want_rebuild);
            assert(AGREES(n_));
            assert(!ONE_FAULT || (TOLD_STORED(1) && TOLD_STORED(2)));
            assert(PARTITION(n_))
        };
        break
    od
}
