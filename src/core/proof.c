// SPDX-License-Identifier: Apache-2.0
#include "core/proof.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

void gate_picture_fini(struct gate_picture *picture)
{
    mem_free(picture->pending);
    mem_free(picture->returned);
    *picture = (struct gate_picture){ 0 };
}

const char *proof_why_name(enum proof_why why)
{
    switch (why) {
    case PROOF_RETURNED:
        return "returned";
    case PROOF_PENDING:
        return "pending";
    case PROOF_UNKNOWN:
        return "unknown";
    }
    return "?";
}

const char *proof_check_name(enum proof_check_id check)
{
    switch (check) {
    case PROOF_QUANTITY:
        return "quantity";
    case PROOF_USERS:
        return "users";
    case PROOF_SEQUENCE:
        return "sequence";
    case PROOF_WITNESS:
        return "witness";
    case PROOF_GATE:
        return "gate";
    case PROOF_TOLD:
        return "told";
    case PROOF_CHECK_N:
        break;
    }
    return "?";
}

void proof_begin(struct proof *proof, const struct coupon *coupon,
                 const struct gate_picture *before)
{
    *proof = (struct proof){ .coupon = coupon, .before = before };
}

static enum err gap_add(struct proof *proof, int64_t from, int64_t to, enum proof_why why)
{
    struct proof_gap *last = proof->gap_count ? &proof->gaps[proof->gap_count - 1] : NULL;

    if (last && last->why == why && last->to == from - 1) {
        last->to = to;
        return ERR_OK;
    }
    if (!MEM_ROOM(proof->gaps, proof->gap_count, proof->gap_cap, 16))
        return ERR_NOMEM;
    ASSERT(proof->gaps);
    proof->gaps[proof->gap_count++] = (struct proof_gap){ from, to, why };
    return ERR_OK;
}

/* The first value >= `from` in an ascending array, and how far it was used up; 0: no such value. */
static int64_t array_from(const int64_t *values, size_t count, size_t *at, int64_t from)
{
    while (*at < count && values[*at] < from)
        (*at)++;
    return *at < count ? values[*at] : 0;
}

/* Numbers from..to have no row: say why, stretch by stretch. */
static enum err gap_explain(struct proof *proof, int64_t from, int64_t to)
{
    const struct gate_picture *gate = proof->before;

    while (from <= to) {
        int64_t pending = array_from(gate->pending, gate->pending_count, &proof->pending_at, from);
        int64_t returned =
            array_from(gate->returned, gate->returned_count, &proof->returned_at, from);
        if (pending == from || returned == from) {
            TRY(gap_add(proof, from, from, pending == from ? PROOF_PENDING : PROOF_RETURNED));
            from++;
            continue;
        }
        int64_t until = to;
        if (pending)
            until = MIN(until, pending - 1);
        if (returned)
            until = MIN(until, returned - 1);
        bool later = gate->known && from >= gate->next_slot; /* granted after the picture */
        if (!later && gate->known && until >= gate->next_slot)
            until = gate->next_slot - 1;
        /* Without a gate (at rest) the next rebuild will return it; the witness sees a deleted row.
         */
        enum proof_why why = later ? PROOF_PENDING : gate->known ? PROOF_UNKNOWN : PROOF_RETURNED;
        TRY(gap_add(proof, from, until, why));
        from = until + 1;
    }
    return ERR_OK;
}

enum err proof_add_row(struct proof *proof, int64_t slot, int64_t user_id)
{
    if (proof->rows.issued > 0 && slot == proof->last_slot)
        proof->duplicate_slots++;
    else
        TRY(gap_explain(proof, proof->last_slot + 1, slot - 1));
    if (proof->rows.issued == 0)
        proof->first_slot = slot;
    proof->last_slot = slot;
    proof->above_quantity += slot > proof->coupon->settings.total_quantity || slot < 1;
    witness_add(&proof->rows, slot, user_id);
    return user_id > 0 ? id_set_add(&proof->users, user_id, NULL) : ERR_OK;
}

static void check_set(struct proof *proof, enum proof_check_id id, bool ok, struct buf *detail)
{
    struct proof_check *check = &proof->checks[id];

    check->made = true;
    check->ok = ok;
    proof->ok = proof->ok && ok;
    str_cstr(buf_str(detail), check->detail, sizeof check->detail);
    buf_fini(detail);
}

/* Rows, pending and granted must add up; exactly, if the gate did not move while we were reading.
 */
static void check_gate(struct proof *proof, const struct gate_picture *after)
{
    const struct gate_picture *before = proof->before;
    int64_t issued = proof->rows.issued;
    struct buf detail;

    if (!before->known || !after->known) {
        detail = (struct buf){ 0 };
        buf_printf(&detail, "no gate is open for this coupon; SQL alone counts");
        check_set(proof, PROOF_GATE, true, &detail);
        return;
    }
    int64_t pending = 0;
    for (size_t i = 0; i < proof->gap_count; i++)
        if (proof->gaps[i].why == PROOF_PENDING)
            pending += proof->gaps[i].to - proof->gaps[i].from + 1;
    if (before->changes == after->changes) {
        detail = (struct buf){ 0 };
        buf_printf(&detail, "gate granted %" PRId64 ", stored %" PRId64 " + pending %" PRId64,
                   before->granted, issued, pending);
        check_set(proof, PROOF_GATE, before->granted == issued + pending, &detail);
        return;
    }
    int64_t confirmed = before->granted - (int64_t)before->pending_count;
    detail = (struct buf){ 0 };
    buf_printf(&detail, "moving: confirmed %" PRId64 " <= stored %" PRId64 " <= granted %" PRId64,
               confirmed, issued, after->granted);
    check_set(proof, PROOF_GATE, issued >= confirmed && issued <= after->granted, &detail);
}

enum err proof_finish(struct proof *proof, const struct gate_picture *after)
{
    const struct coupon *coupon = proof->coupon;
    int64_t issued = proof->rows.issued, distinct = (int64_t)proof->users.count;
    int64_t handed_out = proof->before->known ? proof->before->next_slot - 1 : proof->last_slot;
    int64_t unknown = 0;
    struct buf detail;

    if (!proof->before->known && proof->before->pending_count)
        handed_out = MAX(handed_out, proof->before->pending[proof->before->pending_count - 1]);
    TRY(gap_explain(proof, proof->last_slot + 1, handed_out));
    for (size_t i = 0; i < proof->gap_count; i++)
        if (proof->gaps[i].why == PROOF_UNKNOWN)
            unknown += proof->gaps[i].to - proof->gaps[i].from + 1;
    proof->ok = true;
    detail = (struct buf){ 0 };
    buf_printf(&detail, "issued %" PRId64 " of %" PRId64 ", %" PRId64 " outside 1..quantity",
               issued, coupon->settings.total_quantity, proof->above_quantity);
    check_set(proof, PROOF_QUANTITY,
              issued <= coupon->settings.total_quantity && proof->above_quantity == 0, &detail);
    detail = (struct buf){ 0 };
    buf_printf(&detail, "%" PRId64 " users hold %" PRId64 " coupons", distinct, issued);
    check_set(proof, PROOF_USERS, distinct == issued, &detail);
    detail = (struct buf){ 0 };
    buf_printf(&detail, "%" PRId64 " numbers twice, %" PRId64 " missing without a reason",
               proof->duplicate_slots, unknown);
    check_set(proof, PROOF_SEQUENCE, proof->duplicate_slots == 0 && unknown == 0, &detail);
    detail = (struct buf){ 0 };
    buf_printf(&detail,
               "rows: %" PRId64 ", highest %" PRId64 ", hash %016" PRIx64 "; witness: %" PRId64
               ", highest %" PRId64 ", hash %016" PRIx64,
               issued, proof->rows.highest, proof->rows.hash, coupon->witness.issued,
               coupon->witness.highest, coupon->witness.hash);
    check_set(proof, PROOF_WITNESS, witness_equal(&proof->rows, &coupon->witness), &detail);
    check_gate(proof, after);
    return ERR_OK;
}

void proof_told(struct proof *proof, int64_t told, int64_t lies, const char *first_lie)
{
    struct buf detail;

    detail = (struct buf){ 0 };
    buf_printf(&detail, "%" PRId64 " told, %" PRId64 " not so%s%s", told, lies, lies ? ": " : "",
               lies ? first_lie : "");
    check_set(proof, PROOF_TOLD, lies == 0, &detail);
}

void proof_fini(struct proof *proof)
{
    id_set_fini(&proof->users);
    mem_free(proof->gaps);
    *proof = (struct proof){ 0 };
}
