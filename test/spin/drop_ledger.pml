// SPDX-License-Identifier: Apache-2.0
/* What SQL does in one step. A batch holds its coupon's row from `begin` to its end. */
#define ROW_FREE (tx == NOBODY || WITHOUT(NO_SQL_LOCK))
#define ROWS ((row[1] != 0) + (row[2] != 0))

inline batch_begin(a) {
    tx = a;
    tx_user = att[a].user;
    tx_place = att[a].place;
    tx_epoch = att[a].epoch;
    tx_accepted = (att[a].epoch == sql_epoch)
}

inline batch_end() {
    tx = NOBODY; tx_user = 0; tx_place = 0; tx_epoch = 0; tx_accepted = 0
}

/* INSERT ... ON CONFLICT DO NOTHING, and what became of it, then COMMIT: result_, own_. */
inline batch_commit() {
    own_ = (row[1] == tx_user -> 1 : (row[2] == tx_user -> 2 : 0));
    if
    :: own_ == tx_place -> result_ = STORED
    :: own_ != 0 && own_ != tx_place -> result_ = OTHER
    :: own_ == 0 && !tx_accepted && !WITHOUT(NO_EPOCH_FENCE) -> result_ = STALE
    :: own_ == 0 && (tx_accepted || WITHOUT(NO_EPOCH_FENCE)) &&
       (tx_place > sql_quantity || (row[tx_place] != 0 && !WITHOUT(NO_UNIQUE))) -> result_ = CONFLICT
    :: else ->
        assert(tx_epoch == sql_epoch);  /* 6 */
        assert(row[tx_place] == 0);     /* 1: one person a place */
        row[tx_place] = tx_user;
        result_ = STORED;
        printf("SQL: place %d is u%d's row, epoch %d\n", tx_place, tx_user, tx_epoch)
    fi;
    batch_end()
}
