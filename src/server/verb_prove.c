// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "server/prove.h"

enum { GAPS_SHOWN = 12 };

static struct config_flag flags[] = {
    { "--json", NULL, "the proof as JSON", NULL },
    { "--told", "FILE",
      "check also who was answered what: lines `issued USER SEQUENCE`, "
      "`reserved USER SEQUENCE`",
      NULL },
    { "--target", "URL", "the server to ask, instead of the one in the data directory", NULL },
    { "--token", "TOKEN", "of an administrator, where the server wants one", NULL },
    { 0 },
};

/* ---- printing ---- */

static void print_gaps(const struct proof_answer *answer, struct buf *out)
{
    for (size_t i = 0; i < answer->gaps_count && i < GAPS_SHOWN; i++) {
        const struct proof_gap_answer *gap = &answer->gaps[i];
        buf_printf(out, "%s%" PRId64, i ? ", " : "  without a row: ", gap->from);
        if (gap->to > gap->from)
            buf_printf(out, "..%" PRId64, gap->to);
        buf_printf(out, " %.*s", (int)gap->why.len, gap->why.ptr);
    }
    if (answer->gaps_count > GAPS_SHOWN)
        buf_printf(out, " and %zu more", answer->gaps_count - GAPS_SHOWN);
    if (answer->gaps_count)
        buf_char(out, '\n');
}

static void print_people(const struct prove *prove, struct buf *out)
{
    const struct proof_answer *answer = &prove->answer;

    buf_printf(out, "coupon %" PRId64 ": %" PRId64 " of %" PRId64 " issued", answer->coupon_id,
               answer->issued, answer->total_quantity);
    if (answer->issued)
        buf_printf(out, " to %" PRId64 " users, numbers %" PRId64 "..%" PRId64,
                   answer->distinct_users, answer->first_sequence, answer->last_sequence);
    buf_char(out, '\n');
    for (size_t i = 0; i < answer->checks_count; i++) {
        const struct proof_check_answer *check = &answer->checks[i];
        buf_printf(out, "  %s %-9.*s %.*s\n", check->ok ? "✓" : "✗", (int)check->name.len,
                   check->name.ptr, (int)check->detail.len, check->detail.ptr);
    }
    print_gaps(answer, out);
    if (prove->at_rest)
        buf_printf(out, "  stores at rest; the journal holds %" PRId64 " not stored yet\n",
                   answer->gate.pending);
    else
        buf_printf(out,
                   "  gate: granted %" PRId64 ", pending %" PRId64 ", returned %" PRId64
                   ", epoch %" PRId64 "\n",
                   answer->gate.granted, answer->gate.pending, answer->gate.returned,
                   answer->gate.epoch);
    buf_str_append(out, answer->ok ? STR("proved\n") : STR("BROKEN\n"));
}

void prove_print(const struct prove *prove, bool json, struct buf *out)
{
    if (!json) {
        print_people(prove, out);
        return;
    }
    json_render(out, &proof_answer_json, &prove->answer);
    buf_char(out, '\n');
}

void prove_fini(struct prove *prove)
{
    coupon_proof_fini(&prove->made);
    arena_fini(&prove->arena);
}

/* ---- the verb ---- */

static enum prove_result look(struct prove *prove, const struct verb *verb, struct config *config,
                              struct config_error *error)
{
    struct target target;
    enum prove_result result = PROVE_COULD_NOT_LOOK;

    switch (target_find(&target, verb, config, error)) {
    case ERR_OK:
        result = prove_ask(prove, &target, error);
        break;
    case ERR_NOT_FOUND:
        result = prove_at_rest(prove, config, error);
        break;
    default:
        break;
    }
    target_fini(&target);
    return result;
}

static int read_told(const char *path, struct told *told)
{
    uint32_t line = 0;

    switch (told_read(told, path, &line)) {
    case ERR_OK:
        return -1;
    case ERR_INVALID:
        return verb_fail(PROVE_COULD_NOT_LOOK,
                         "%s:%" PRIu32 ": a line is `issued USER SEQUENCE`, `reserved USER "
                         "SEQUENCE` or `already USER SEQUENCE`",
                         path, line);
    case ERR_IO:
        return verb_fail(PROVE_COULD_NOT_LOOK, "cannot read %s: %s", path, strerror(errno));
    default:
        return verb_fail(PROVE_COULD_NOT_LOOK, "out of memory");
    }
}

static int show(struct prove *prove, const struct verb *verb, struct config *config)
{
    CLEANUP(buf_fini) struct buf out = { 0 };
    struct config_error error = { "out of memory" };

    enum prove_result result = look(prove, verb, config, &error);
    if (result == PROVE_COULD_NOT_LOOK)
        return verb_fail(PROVE_COULD_NOT_LOOK, "%s", error.text);
    prove_print(prove, verb_flag(verb, "--json") != NULL, &out);
    return verb_print(&out) ? (int)result : PROVE_COULD_NOT_LOOK;
}

static int run(const struct verb *verb, struct config *config)
{
    const char *told_path = verb_flag(verb, "--told");
    struct told told = { 0 };
    struct prove prove = { .told = told_path ? &told : NULL };
    int code = -1;

    if (!str_parse_int64(str_from(config->positionals[0]), &prove.coupon_id) || prove.coupon_id < 1)
        return verb_fail(PROVE_COULD_NOT_LOOK, "COUPON_ID is a number from 1, not \"%.40s\"",
                         config->positionals[0]);
    if (told_path)
        code = read_told(told_path, &told);
    if (code < 0)
        code = show(&prove, verb, config);
    prove_fini(&prove);
    told_fini(&told);
    return code;
}

const struct verb verb_prove = {
    .name = "prove",
    .usage = "prove COUPON_ID [--json] [--told FILE] [FLAGS]",
    .about = "The proof of a drop. Ends with 0: proved, 1: broken, 2: could not look.",
    .flags = flags,
    .positionals_min = 1,
    .positionals_max = 1,
    .run = run,
};
