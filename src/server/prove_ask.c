// SPDX-License-Identifier: Apache-2.0
/*
 * Order matters: the proof first, with the numbers that are pending, then the rows. Whatever was
 * told before either is pending in the first or stored in the second.
 */
#include <inttypes.h>
#include <time.h>

#include "server/prove.h"

enum { TRIES = 20, PAUSE_MS = 250 };

static void pause_a_little(void)
{
    const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000L };

    nanosleep(&pause, NULL);
}

static enum err ask_proof(struct prove *prove, const struct target *target,
                          struct config_error *error)
{
    CLEANUP(buf_fini) struct buf body = { 0 };
    struct json_error why;
    char path[80];

    snprintf(path, sizeof path, "/api/admin/coupons/%" PRId64 "/proof", prove->coupon_id);
    enum err e = target_get(target, path, "application/json", &body, error);
    if (e == ERR_NOT_FOUND)
        snprintf(error->text, sizeof error->text, "%s has no coupon %" PRId64, target->url,
                 prove->coupon_id);
    if (e != ERR_OK)
        return e;
    arena_reset(&prove->arena);
    e = json_parse(buf_str(&body), &proof_answer_json, &prove->arena, &prove->answer, &why);
    if (e == ERR_INVALID)
        snprintf(error->text, sizeof error->text, "%s does not answer a proof: %s %s", target->url,
                 why.member, why.detail);
    return e;
}

/* ---- rows: "sequenceNumber,userId,…" ---- */

static bool next_line(struct str *text, struct str *ret_line)
{
    const char *newline = text->len ? memchr(text->ptr, '\n', text->len) : NULL;

    if (!newline)
        return false;
    *ret_line = (struct str){ text->ptr, (size_t)(newline - text->ptr) };
    text->ptr = newline + 1;
    text->len -= ret_line->len + 1;
    return true;
}

static bool parse_row(struct str line, int64_t *ret_slot, int64_t *ret_user_id)
{
    const char *comma = line.len ? memchr(line.ptr, ',', line.len) : NULL;

    if (!comma)
        return false;
    struct str slot = { line.ptr, (size_t)(comma - line.ptr) };
    struct str rest = { comma + 1, line.len - slot.len - 1 };
    comma = rest.len ? memchr(rest.ptr, ',', rest.len) : NULL;
    return comma && str_parse_int64(slot, ret_slot) &&
           str_parse_int64((struct str){ rest.ptr, (size_t)(comma - rest.ptr) }, ret_user_id);
}

/* *ret_rows: a list that was cut off on its way has fewer than the proof counted before. */
static bool show_rows(struct told *told, struct str text, int64_t *ret_rows)
{
    struct str line;
    int64_t slot, user_id;

    *ret_rows = 0;
    if (!next_line(&text, &line)) /* the names of the columns */
        return false;
    while (next_line(&text, &line)) {
        if (!parse_row(line, &slot, &user_id))
            return false;
        told_show_row(told, slot, user_id);
        (*ret_rows)++;
    }
    return true;
}

static enum err ask_rows(struct prove *prove, const struct target *target,
                         struct config_error *error)
{
    CLEANUP(buf_fini) struct buf body = { 0 };
    int64_t rows;
    char path[80];

    snprintf(path, sizeof path, "/api/admin/coupons/%" PRId64 "/winners", prove->coupon_id);
    TRY(target_get(target, path, "text/csv", &body, error));
    told_rewind(prove->told);
    if (show_rows(prove->told, buf_str(&body), &rows) && rows >= prove->answer.issued)
        return ERR_OK;
    snprintf(error->text, sizeof error->text,
             "the list of winners from %s is not whole: %" PRId64 " of %" PRId64, target->url, rows,
             prove->answer.issued);
    return ERR_INVALID;
}

/* ---- told ---- */

static enum err add_told_check(struct prove *prove)
{
    struct proof_answer *answer = &prove->answer;
    struct proof_check_answer *checks =
        arena_alloc(&prove->arena, (answer->checks_count + 1) * sizeof *checks);
    char first_lie[TOLD_LIE_BYTES];

    if (!checks)
        return ERR_NOMEM;
    for (size_t i = 0; i < answer->gaps_count; i++)
        if (str_equal(answer->gaps[i].why, str_from(proof_why_name(PROOF_PENDING))))
            told_show_pending(prove->told, answer->gaps[i].from, answer->gaps[i].to, 0);
    int64_t lies = told_lies(prove->told, first_lie);
    prove->told_check = (struct proof){ .ok = answer->ok };
    proof_told(&prove->told_check, (int64_t)prove->told->count, lies, first_lie);
    if (answer->checks_count)
        memcpy(checks, answer->checks, answer->checks_count * sizeof *checks);
    checks[answer->checks_count++] = (struct proof_check_answer){
        .name = str_from(proof_check_name(PROOF_TOLD)),
        .ok = lies == 0,
        .detail = str_from(prove->told_check.checks[PROOF_TOLD].detail),
    };
    answer->checks = checks;
    answer->ok = prove->told_check.ok;
    return ERR_OK;
}

static enum err ask(struct prove *prove, const struct target *target, struct config_error *error)
{
    for (int i = 0; i < TRIES; i++) {
        TRY(ask_proof(prove, target, error));
        if (prove->answer.gate.pending == 0)
            break;
        pause_a_little();
    }
    if (!prove->told)
        return ERR_OK;
    TRY(ask_rows(prove, target, error));
    return add_told_check(prove);
}

enum prove_result prove_ask(struct prove *prove, const struct target *target,
                            struct config_error *ret_error)
{
    snprintf(ret_error->text, sizeof ret_error->text, "out of memory");
    if (ask(prove, target, ret_error) != ERR_OK)
        return PROVE_COULD_NOT_LOOK;
    return prove->answer.ok ? PROVE_PROVED : PROVE_BROKEN;
}
