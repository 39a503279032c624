// SPDX-License-Identifier: Apache-2.0
/* JSON of /api/admin. */
#pragma once
#include "json/json_bind.h"

struct coupon_create_body {
    int64_t coupon_id, discount_rate, total_quantity, starts_at_ms, ends_at_ms, uses_per_user;
    struct str name;
    enum json_presence coupon_id_is, starts_at_ms_is, uses_per_user_is;
};
struct coupon_patch_body {
    int64_t total_quantity, starts_at_ms, ends_at_ms;
    bool closed;
    enum json_presence total_quantity_is, starts_at_ms_is, ends_at_ms_is, closed_is;
};
struct users_create_body {
    int64_t user_id, from_user_id, to_user_id, balance;
    struct str username, email;
    enum json_presence user_id_is, from_user_id_is, to_user_id_is, balance_is, username_is,
        email_is;
};
struct users_create_answer {
    int64_t created;
};
struct log_body {
    int level; /* enum log_level */
};
struct clock_body {
    int64_t now_ms, advance_seconds;
    enum json_presence now_ms_is, advance_seconds_is;
};
struct clock_answer {
    int64_t now_ms;
};
extern const struct json_name fault_names[];
enum fault_name { FAULT_RANKING, FAULT_GATE, FAULT_LEDGER, FAULT_BACKUP };
struct fault_body {
    int name; /* enum fault_name */
    bool on;
};
struct winner_answer {
    int64_t sequence_number, user_id, user_coupon_id, issued_at_ms;
    int status; /* enum held_state */
};
struct winners_answer {
    struct winner_answer *winners;
    size_t winners_count;
    int64_t total_count;
    struct str next_cursor;
    enum json_presence next_cursor_is;
};
struct dead_event_answer {
    int64_t id, number, tries, occurred_at_ms, died_at_ms;
    struct str consumer, event_id, type, key, why;
};
struct dead_events_answer {
    struct dead_event_answer *events;
    size_t events_count;
    int64_t total_count;
    struct str next_cursor;
    enum json_presence next_cursor_is;
};
struct proof_gap_answer {
    int64_t from, to;
    struct str why;
};
struct proof_gate_answer {
    int64_t granted, pending, returned, epoch;
};
struct proof_check_answer {
    struct str name, detail;
    bool ok;
};
struct proof_answer {
    int64_t coupon_id, total_quantity, issued, distinct_users, first_sequence, last_sequence;
    bool ok;
    struct proof_gap_answer *gaps;
    size_t gaps_count;
    struct proof_gate_answer gate;
    struct proof_check_answer *checks;
    size_t checks_count;
};
extern const struct json_type coupon_create_body_json, coupon_patch_body_json,
    users_create_body_json, users_create_answer_json, log_body_json, clock_body_json,
    clock_answer_json, fault_body_json, winners_answer_json, proof_answer_json,
    dead_event_answer_json, dead_events_answer_json;

/* Fills `answer` from a proof; names and details are borrowed from it, arrays from the arena.
 * ERR_NOMEM. */
struct proof;
enum err proof_answer_of(const struct proof *proof, struct arena *arena,
                         struct proof_answer *ret_answer) MUST_CHECK;
