// SPDX-License-Identifier: Apache-2.0
/* The proof of a drop: a sound one passes, each planted fault fails the check made for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "core/proof.h"

struct row {
    int64_t slot, user_id;
};

/* Ten places; 3 is pending, 5 came back; 9 and 10 were never handed out. */
static const struct row sound[] = {
    { 1, 11 }, { 2, 12 }, { 4, 14 }, { 6, 16 }, { 7, 17 }, { 8, 18 }
};
enum { ROWS = 6, MANY = 16 };

struct story {
    struct row rows[MANY];
    size_t count;
    struct coupon coupon;
    struct gate_picture before, after;
    int64_t pending[MANY], returned[MANY];
};

static void story_begin(struct story *story)
{
    memset(story, 0, sizeof *story);
    memcpy(story->rows, sound, sizeof sound);
    story->count = ROWS;
    story->coupon.settings.total_quantity = 10;
    for (size_t i = 0; i < ROWS; i++)
        witness_add(&story->coupon.witness, sound[i].slot, sound[i].user_id);
    story->pending[0] = 3;
    story->returned[0] = 5;
    story->before = (struct gate_picture){ .known = true,
                                           .granted = 7,
                                           .next_slot = 9,
                                           .changes = 4,
                                           .pending = story->pending,
                                           .pending_count = 1,
                                           .returned = story->returned,
                                           .returned_count = 1 };
    story->after = story->before;
}

static enum err story_tell(struct story *story, struct proof *proof)
{
    proof_begin(proof, &story->coupon, &story->before);
    for (size_t i = 0; i < story->count; i++)
        TRY(proof_add_row(proof, story->rows[i].slot, story->rows[i].user_id));
    return proof_finish(proof, &story->after);
}

/* Bits of the checks that must fail; all others must hold. */
static void expect(struct story *story, unsigned failing)
{
    struct proof proof = { 0 };

    assert_int_equal(story_tell(story, &proof), ERR_OK);
    for (unsigned id = 0; id < PROOF_TOLD; id++) {
        assert_true(proof.checks[id].made);
        if (proof.checks[id].ok != !(failing >> id & 1))
            fail_msg("%s: %s", proof_check_name((enum proof_check_id)id), proof.checks[id].detail);
    }
    assert_int_equal(proof.ok, failing == 0);
    assert_false(proof.checks[PROOF_TOLD].made);
    proof_fini(&proof);
}

#define FAILS(id) (1u << (id))

static void row_remove(struct story *story, size_t at)
{
    memmove(&story->rows[at], &story->rows[at + 1], (story->count - at - 1) * sizeof(struct row));
    story->count--;
}

static void row_insert(struct story *story, size_t at, int64_t slot, int64_t user_id)
{
    memmove(&story->rows[at + 1], &story->rows[at], (story->count - at) * sizeof(struct row));
    story->rows[at] = (struct row){ slot, user_id };
    story->count++;
}

static void test_sound(void **state)
{
    struct story story;
    struct proof proof = { 0 };

    (void)state;
    story_begin(&story);
    expect(&story, 0);
    assert_int_equal(story_tell(&story, &proof), ERR_OK);
    assert_int_equal(proof.first_slot, 1);
    assert_int_equal(proof.last_slot, 8);
    assert_int_equal(proof.gap_count, 2);
    assert_true(proof.gaps[0].from == 3 && proof.gaps[0].to == 3);
    assert_int_equal(proof.gaps[0].why, PROOF_PENDING);
    assert_true(proof.gaps[1].from == 5 && proof.gaps[1].why == PROOF_RETURNED);
    proof_fini(&proof);
    memset(&story, 0, sizeof story); /* nothing has happened yet */
    story.coupon.settings.total_quantity = 10;
    story.before = story.after = (struct gate_picture){ .known = true, .next_slot = 1 };
    expect(&story, 0);
    story.before.known = story.after.known = false;
    expect(&story, 0);
}

static void test_planted(void **state)
{
    struct story story;

    (void)state;
    for (size_t at = 0; at < ROWS; at++) { /* a row deleted: any, the highest, too */
        story_begin(&story);
        row_remove(&story, at);
        expect(&story, FAILS(PROOF_SEQUENCE) | FAILS(PROOF_WITNESS) | FAILS(PROOF_GATE));
        /* At rest, or after a restart that took it for a returned number: the witness knows. */
        story_begin(&story);
        row_remove(&story, at);
        story.before.known = story.after.known = false;
        expect(&story, FAILS(PROOF_WITNESS));
    }
    story_begin(&story); /* a slot twice */
    row_insert(&story, 3, 4, 99);
    expect(&story, FAILS(PROOF_SEQUENCE) | FAILS(PROOF_WITNESS) | FAILS(PROOF_GATE));
    story_begin(&story); /* two rows for one user */
    story.rows[1].user_id = 11;
    expect(&story, FAILS(PROOF_USERS) | FAILS(PROOF_WITNESS));
    story_begin(&story); /* two have changed places */
    story.rows[0].user_id = 12;
    story.rows[1].user_id = 11;
    expect(&story, FAILS(PROOF_WITNESS));
    story_begin(&story); /* a row that nobody was granted */
    row_insert(&story, ROWS, 9, 99);
    expect(&story, FAILS(PROOF_WITNESS) | FAILS(PROOF_GATE));
    story_begin(&story); /* the quantity lowered under what is issued */
    story.coupon.settings.total_quantity = 7;
    expect(&story, FAILS(PROOF_QUANTITY));
    story_begin(&story);
    story.coupon.settings.total_quantity = 5;
    expect(&story, FAILS(PROOF_QUANTITY));
    story_begin(&story); /* slots and users that cannot be */
    row_insert(&story, 0, 0, 99);
    expect(&story, FAILS(PROOF_QUANTITY) | FAILS(PROOF_WITNESS) | FAILS(PROOF_GATE));
    story_begin(&story);
    story.rows[2].user_id = -4;
    expect(&story, FAILS(PROOF_USERS) | FAILS(PROOF_WITNESS));
    story_begin(&story); /* the gate believes in one more */
    story.before.granted = story.after.granted = 8;
    expect(&story, FAILS(PROOF_GATE));
    story_begin(&story); /* a place that the gate has lost: neither held nor returned */
    story.before.returned_count = story.after.returned_count = 0;
    expect(&story, FAILS(PROOF_SEQUENCE));
}

/* While the drop runs: rows that came after the picture, and places that moved on. */
static void test_moving(void **state)
{
    struct story story;

    (void)state;
    story_begin(&story);
    story.after.changes = 9;
    story.after.granted = 10;
    row_insert(&story, 2, 3, 13);         /* the pending one is stored */
    row_insert(&story, ROWS + 1, 10, 20); /* 9 is granted meanwhile and still pending */
    witness_add(&story.coupon.witness, 3, 13);
    witness_add(&story.coupon.witness, 10, 20);
    expect(&story, 0);
    story_begin(&story); /* the pending one was released, the returned one given again and stored */
    story.after.changes = 9;
    row_insert(&story, 3, 5, 15);
    witness_add(&story.coupon.witness, 5, 15);
    expect(&story, 0);
    story_begin(&story); /* a confirmed row is missing: seen although the gate moves */
    story.after.changes = 9;
    row_remove(&story, 0);
    expect(&story, FAILS(PROOF_SEQUENCE) | FAILS(PROOF_WITNESS) | FAILS(PROOF_GATE));
    story_begin(&story); /* more rows than the gate ever granted */
    story.after.changes = 9;
    row_insert(&story, ROWS, 9, 19);
    row_insert(&story, ROWS + 1, 10, 20);
    expect(&story, FAILS(PROOF_WITNESS) | FAILS(PROOF_GATE));
}

static void test_told(void **state)
{
    struct story story;
    struct proof proof = { 0 };
    char long_lie[400];

    (void)state;
    memset(long_lie, 'x', sizeof long_lie - 1);
    long_lie[sizeof long_lie - 1] = '\0';
    story_begin(&story);
    assert_int_equal(story_tell(&story, &proof), ERR_OK);
    proof_told(&proof, 5, 0, NULL);
    assert_true(proof.ok && proof.checks[PROOF_TOLD].made && proof.checks[PROOF_TOLD].ok);
    proof_told(&proof, 5, 1, long_lie);
    assert_false(proof.ok || proof.checks[PROOF_TOLD].ok);
    assert_int_equal(strlen(proof.checks[PROOF_TOLD].detail), PROOF_DETAIL_BYTES - 1);
    proof_fini(&proof);
}

/* At rest, what the journal remembers stands in for the gate's pending ones. */
static void test_at_rest_with_a_journal(void **state)
{
    struct story story;
    struct proof proof = { 0 };

    (void)state;
    story_begin(&story);
    story.before = (struct gate_picture){ .pending = story.pending, .pending_count = 2 };
    story.pending[0] = 3;
    story.pending[1] = 10;
    story.after = (struct gate_picture){ 0 };
    expect(&story, 0);
    assert_int_equal(story_tell(&story, &proof), ERR_OK);
    static const struct proof_gap gaps[] = { { 3, 3, PROOF_PENDING },
                                             { 5, 5, PROOF_RETURNED },
                                             { 9, 9, PROOF_RETURNED },
                                             { 10, 10, PROOF_PENDING } };
    assert_int_equal(proof.gap_count, ARRAY_COUNT(gaps));
    for (size_t i = 0; i < ARRAY_COUNT(gaps); i++)
        assert_true(proof.gaps[i].from == gaps[i].from && proof.gaps[i].to == gaps[i].to &&
                    proof.gaps[i].why == gaps[i].why);
    proof_fini(&proof);
}

static void test_every_allocation(void **state)
{
    struct story story;
    enum err e = ERR_NOMEM;

    (void)state;
    story_begin(&story);
    for (int after = 0; e != ERR_OK; after++) {
        struct proof proof = { 0 };
        mem_fault_set(after);
        e = story_tell(&story, &proof);
        int hits = mem_fault_hits();
        mem_fault_set(-1);
        proof_fini(&proof);
        assert_int_equal(mem_live_count(), 0);
        assert_true(e == ERR_OK || (e == ERR_NOMEM && hits > 0));
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound),
        cmocka_unit_test(test_planted),
        cmocka_unit_test(test_moving),
        cmocka_unit_test(test_told),
        cmocka_unit_test(test_at_rest_with_a_journal),
        cmocka_unit_test(test_every_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
