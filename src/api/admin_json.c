// SPDX-License-Identifier: Apache-2.0
#include "api/admin_json.h"

#include "api/api_json.h"
#include "base/log.h"
#include "core/proof.h"

static const struct json_row coupon_create_body_rows[] = {
    JSON_INT64(coupon_create_body, coupon_id, "couponId", 1, INT64_MAX,
               "Its id; the next free one if missing.", "6",
               JSON_NULLABLE(coupon_create_body, coupon_id)),
    JSON_STR(coupon_create_body, name, "name", 1, 60, "Name.", "DOORS", JSON_REQUIRED),
    JSON_INT64(coupon_create_body, discount_rate, "discountRate", 0, 100, "Percent.", "20",
               JSON_REQUIRED),
    JSON_INT64(coupon_create_body, total_quantity, "totalQuantity", 1, INT64_MAX,
               "How many there are, up to coupon.quantity_max.", "1000", JSON_REQUIRED),
    JSON_TIME(coupon_create_body, starts_at_ms, "startsAt", "The window begins; now if missing.",
              EXAMPLE_TIME, JSON_NULLABLE(coupon_create_body, starts_at_ms)),
    JSON_TIME(coupon_create_body, ends_at_ms, "endsAt", "The window is over.",
              "2036-03-06T12:00:00+09:00", JSON_REQUIRED),
    JSON_INT64(coupon_create_body, uses_per_user, "usesPerUser", 1, INT64_MAX,
               "How often one can be used; null: until it expires; 1 if missing.", "1",
               JSON_NULLABLE(coupon_create_body, uses_per_user)),
};
const JSON_BODY(coupon_create_body, "CouponCreateRequest", "A new coupon.",
                .example = "{\"name\":\"DOORS\",\"discountRate\":20,\"totalQuantity\":1000,"
                           "\"endsAt\":\"2036-03-06T12:00:00+09:00\",\"usesPerUser\":1}");

static const struct json_row coupon_patch_body_rows[] = {
    JSON_INT64(coupon_patch_body, total_quantity, "totalQuantity", 1, INT64_MAX,
               "Not below the highest number handed out.", "2000",
               JSON_OPTIONAL(coupon_patch_body, total_quantity)),
    JSON_TIME(coupon_patch_body, starts_at_ms, "startsAt", "The window begins.", EXAMPLE_TIME,
              JSON_OPTIONAL(coupon_patch_body, starts_at_ms)),
    JSON_TIME(coupon_patch_body, ends_at_ms, "endsAt", "The window is over.",
              "2036-03-06T12:00:00+09:00", JSON_OPTIONAL(coupon_patch_body, ends_at_ms)),
    JSON_BOOL(coupon_patch_body, closed, "closed", "Handed out no longer.", "true",
              JSON_OPTIONAL(coupon_patch_body, closed)),
};
const JSON_BODY(coupon_patch_body, "CouponPatchRequest", "What to change.",
                .example = "{\"totalQuantity\":2000,\"endsAt\":\"2036-03-06T12:00:00+09:00\"}");

static const struct json_row users_create_body_rows[] = {
    JSON_INT64(users_create_body, user_id, "userId", 1, INT64_MAX,
               "One user; the next free id if neither this nor a range is given.", "400000",
               JSON_NULLABLE(users_create_body, user_id)),
    JSON_STR(users_create_body, username, "username", 1, 100, "Made from the id if missing.", "ada",
             JSON_NULLABLE(users_create_body, username)),
    JSON_STR(users_create_body, email, "email", 1, 200, "Made from the id if missing.",
             "ada@example.com", JSON_NULLABLE(users_create_body, email)),
    JSON_INT64(users_create_body, balance, "balance", 0, INT64_MAX, "Won; 0 if missing.", "10000",
               JSON_NULLABLE(users_create_body, balance)),
    JSON_INT64(users_create_body, from_user_id, "fromUserId", 1, INT64_MAX - 1,
               "A range of at most 1,000,000 users: the first.", "400000",
               JSON_NULLABLE(users_create_body, from_user_id)),
    JSON_INT64(users_create_body, to_user_id, "toUserId", 1, INT64_MAX - 1, "The last.", "409999",
               JSON_NULLABLE(users_create_body, to_user_id)),
};
const JSON_BODY(users_create_body, "UsersCreateRequest", "One user, or a range of them.",
                .example = "{\"fromUserId\":400000,\"toUserId\":409999,\"balance\":10000}");

static const struct json_row users_create_answer_rows[] = {
    JSON_INT64(users_create_answer, created, "created", 0, INT64_MAX,
               "Users that were not there before.", "10000", JSON_REQUIRED),
};
const JSON_ANSWER(users_create_answer, "UsersCreated", "How many were made.");

static const struct json_name log_level_names[] = {
    { "debug", LOG_DEBUG }, { "info", LOG_INFO }, { "warn", LOG_WARN },
    { "error", LOG_ERROR }, { NULL, 0 },
};
static const struct json_row log_body_rows[] = {
    JSON_ENUM(log_body, level, "level", log_level_names, "Least severity that is logged.", "debug",
              JSON_REQUIRED),
};
const JSON_BODY(log_body, "LogLevel", "How much is logged.");

static const struct json_row clock_body_rows[] = {
    JSON_TIME(clock_body, now_ms, "now", "The time it is to be.", EXAMPLE_TIME,
              JSON_NULLABLE(clock_body, now_ms)),
    JSON_INT64(clock_body, advance_seconds, "advanceSeconds", -3155760000, 3155760000,
               "Or: how far to move the clock.", "3600",
               JSON_NULLABLE(clock_body, advance_seconds)),
};
const JSON_BODY(clock_body, "ClockRequest", "One of the two.",
                .example = "{\"advanceSeconds\":3600}");

static const struct json_row clock_answer_rows[] = {
    JSON_TIME(clock_answer, now_ms, "now", "The time it is.", EXAMPLE_TIME, JSON_REQUIRED),
};
const JSON_ANSWER(clock_answer, "Clock", "The shop's clock.");

const struct json_name fault_names[] = {
    { "ranking", FAULT_RANKING }, /* by number: names in logs */
    { "gate", FAULT_GATE },       { "ledger", FAULT_LEDGER },
    { "backup", FAULT_BACKUP },   { NULL, 0 },
};
static const struct json_row fault_body_rows[] = {
    JSON_ENUM(fault_body, name, "name", fault_names, "What to switch off.", "ledger",
              JSON_REQUIRED),
    JSON_BOOL(fault_body, on, "on", "true: it fails.", "false", JSON_REQUIRED),
};
const JSON_BODY(fault_body, "Fault", "A store that is away.");

static const struct json_row winner_answer_rows[] = {
    JSON_INT64(winner_answer, sequence_number, "sequenceNumber", 1, INT64_MAX, "The place.", "1",
               JSON_REQUIRED),
    JSON_INT64(winner_answer, user_id, "userId", 1, INT64_MAX, "Whose it is.", "1000",
               JSON_REQUIRED),
    JSON_INT64(winner_answer, user_coupon_id, "userCouponId", 1, INT64_MAX, "The user's coupon.",
               "1", JSON_REQUIRED),
    JSON_ENUM(winner_answer, status, "status", held_state_names, "Where it is in its life.",
              "AVAILABLE", JSON_REQUIRED),
    JSON_TIME(winner_answer, issued_at_ms, "issuedAt", "When it was stored.", EXAMPLE_TIME,
              JSON_REQUIRED),
};
static const JSON_ANSWER(winner_answer, "Winner", "One row.");
static const struct json_row winners_answer_rows[] = {
    JSON_ARRAY(winners_answer, winners, "winners", winner_answer, 0, 100, "By sequence number.",
               JSON_REQUIRED),
    JSON_INT64(winners_answer, total_count, "totalCount", 0, INT64_MAX, "All rows.", "50",
               JSON_REQUIRED),
    JSON_STR(winners_answer, next_cursor, "nextCursor", 1, 100, "Null at the end.", "c-64",
             JSON_NULLABLE(winners_answer, next_cursor)),
};
const JSON_ANSWER(winners_answer, "WinnerList", "A page of a coupon's rows.");

static const struct json_row proof_gap_answer_rows[] = {
    JSON_INT64(proof_gap_answer, from, "from", 1, INT64_MAX, "First number without a row.", "8",
               JSON_REQUIRED),
    JSON_INT64(proof_gap_answer, to, "to", 1, INT64_MAX, "Last one.", "8", JSON_REQUIRED),
    JSON_STR(proof_gap_answer, why, "why", 1, 20,
             "`returned`, `pending`, or `unknown`, which fails.", "pending", JSON_REQUIRED),
};
static const JSON_ANSWER(proof_gap_answer, "ProofGap", "Numbers without a row.");
static const struct json_row proof_gate_answer_rows[] = {
    JSON_INT64(proof_gate_answer, granted, "granted", 0, INT64_MAX, "Entries.", "50",
               JSON_REQUIRED),
    JSON_INT64(proof_gate_answer, pending, "pending", 0, INT64_MAX, "Of these, not stored yet.",
               "0", JSON_REQUIRED),
    JSON_INT64(proof_gate_answer, returned, "returned", 0, INT64_MAX,
               "Numbers that came back and wait.", "0", JSON_REQUIRED),
    JSON_INT64(proof_gate_answer, epoch, "epoch", 0, INT64_MAX, "Lives of this gate.", "1",
               JSON_REQUIRED),
};
static const JSON_ANSWER(proof_gate_answer, "ProofGate", "What the gate says.");
static const struct json_row proof_check_answer_rows[] = {
    JSON_STR(proof_check_answer, name, "name", 1, 20,
             "`quantity`, `users`, `sequence`, `witness`, `gate` or `told`.", "witness",
             JSON_REQUIRED),
    JSON_BOOL(proof_check_answer, ok, "ok", "Whether it holds.", "true", JSON_REQUIRED),
    JSON_STR(proof_check_answer, detail, "detail", 0, 200, "The figures.", "issued 50 of 50",
             JSON_REQUIRED),
};
static const JSON_ANSWER(proof_check_answer, "ProofCheck", "One check.");
static const struct json_row proof_answer_rows[] = {
    JSON_INT64(proof_answer, coupon_id, "couponId", 1, INT64_MAX, "The coupon.", "2",
               JSON_REQUIRED),
    JSON_BOOL(proof_answer, ok, "ok", "Every check holds.", "true", JSON_REQUIRED),
    JSON_INT64(proof_answer, total_quantity, "totalQuantity", 1, INT64_MAX, "How many there are.",
               "50", JSON_REQUIRED),
    JSON_INT64(proof_answer, issued, "issued", 0, INT64_MAX, "Rows.", "50", JSON_REQUIRED),
    JSON_INT64(proof_answer, distinct_users, "distinctUsers", 0, INT64_MAX, "Users among them.",
               "50", JSON_REQUIRED),
    JSON_INT64(proof_answer, first_sequence, "firstSequence", 0, INT64_MAX, "0: no row.", "1",
               JSON_REQUIRED),
    JSON_INT64(proof_answer, last_sequence, "lastSequence", 0, INT64_MAX, "0: no row.", "50",
               JSON_REQUIRED),
    JSON_ARRAY(proof_answer, gaps, "gaps", proof_gap_answer, 0, INT64_MAX,
               "Numbers handed out without a row, and why.", JSON_REQUIRED),
    JSON_OBJECT(proof_answer, gate, "gate", proof_gate_answer, "What the gate says.",
                JSON_REQUIRED),
    JSON_ARRAY(proof_answer, checks, "checks", proof_check_answer, 0, 10, "One by one.",
               JSON_REQUIRED),
};
const JSON_ANSWER(proof_answer, "Proof", "Whether the drop was right.");

enum err proof_answer_of(const struct proof *proof, struct arena *arena,
                         struct proof_answer *ret_answer)
{
    *ret_answer = (struct proof_answer){
        .coupon_id = proof->coupon->coupon_id,
        .ok = proof->ok,
        .total_quantity = proof->coupon->settings.total_quantity,
        .issued = proof->rows.issued,
        .distinct_users = (int64_t)proof->users.count,
        .first_sequence = proof->first_slot,
        .last_sequence = proof->last_slot,
        .gaps_count = proof->gap_count,
        .gate = { .granted = proof->before->granted,
                  .pending = (int64_t)proof->before->pending_count,
                  .returned = (int64_t)proof->before->returned_count,
                  .epoch = proof->before->epoch },
    };
    ret_answer->gaps = arena_alloc(arena, (proof->gap_count + 1) * sizeof *ret_answer->gaps);
    ret_answer->checks = arena_alloc(arena, PROOF_CHECK_N * sizeof *ret_answer->checks);
    if (!ret_answer->gaps || !ret_answer->checks)
        return ERR_NOMEM;
    for (size_t i = 0; i < proof->gap_count; i++)
        ret_answer->gaps[i] =
            (struct proof_gap_answer){ .from = proof->gaps[i].from,
                                       .to = proof->gaps[i].to,
                                       .why = str_from(proof_why_name(proof->gaps[i].why)) };
    for (enum proof_check_id id = 0; id < PROOF_CHECK_N; id++)
        if (proof->checks[id].made)
            ret_answer->checks[ret_answer->checks_count++] =
                (struct proof_check_answer){ .name = str_from(proof_check_name(id)),
                                             .ok = proof->checks[id].ok,
                                             .detail = str_from(proof->checks[id].detail) };
    return ERR_OK;
}
