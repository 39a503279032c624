// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/prove.h"
#include "server/stampede.h"

enum { CONNECTIONS_MAX = 50000, USERS_MAX = 10000000, COLUMNS = 80 };

static struct config_flag flags[] = {
    { "--users", "FROM-TO", "who comes, each once: ids, such as 1000-5999", NULL },
    { "--connections", "N", "over how many connections at once (default 64)", NULL },
    { "--issue", NULL, "ask `issue`, which answers when the row is stored, instead of `reserve`",
      NULL },
    { "--mixed", NULL, "every other user asks `issue`", NULL },
    { "--told", "FILE", "write who was answered what: for `prove --told FILE`", NULL },
    { "--target", "URL", "the server, instead of the one in the data directory", NULL },
    { "--yes", NULL, "I mean it: --target may be another machine", NULL },
    { "--token", "TOKEN", "where the server wants one; its own --config FILE serves, too", NULL },
    { 0 },
};

/* ---- words ---- */

static bool parse_range(const char *text, int64_t *ret_from, int64_t *ret_to)
{
    const char *dash = text ? strchr(text, '-') : NULL;

    if (!dash)
        return false;
    return str_parse_int64((struct str){ text, (size_t)(dash - text) }, ret_from) &&
           str_parse_int64(str_from(dash + 1), ret_to) && *ret_from >= 1 && *ret_to >= *ret_from &&
           *ret_to - *ret_from < USERS_MAX;
}

static int take_words(struct stampede *stampede, const struct verb *verb,
                      const struct config *config)
{
    const char *connections = verb_flag(verb, "--connections");
    int64_t count = 64;

    if (!str_parse_int64(str_from(config->positionals[0]), &stampede->coupon_id) ||
        stampede->coupon_id < 1)
        return verb_fail(VERB_USAGE, "COUPON_ID is a number from 1, not \"%.40s\"",
                         config->positionals[0]);
    if (!parse_range(verb_flag(verb, "--users"), &stampede->from_user_id, &stampede->to_user_id))
        return verb_fail(VERB_USAGE, "who comes? --users FROM-TO, such as 1000-5999; at most %d",
                         USERS_MAX);
    if (connections &&
        (!str_parse_int64(str_from(connections), &count) || count < 1 || count > CONNECTIONS_MAX))
        return verb_fail(VERB_USAGE, "--connections is a number from 1 to %d, not \"%.40s\"",
                         CONNECTIONS_MAX, connections);
    if (verb_flag(verb, "--issue") && verb_flag(verb, "--mixed"))
        return verb_fail(VERB_USAGE, "--issue and --mixed: choose one");
    stampede->connections = (size_t)MIN(count, stampede->to_user_id - stampede->from_user_id + 1);
    stampede->way = verb_flag(verb, "--issue")   ? STAMPEDE_ISSUE
                    : verb_flag(verb, "--mixed") ? STAMPEDE_MIXED
                                                 : STAMPEDE_RESERVE;
    return -1;
}

static int take_target(struct target *target, const struct verb *verb, const struct config *config)
{
    struct config_error error = { "out of memory" };

    enum err e = target_find(target, verb, config, &error);
    if (e == ERR_NOT_FOUND)
        return verb_fail(VERB_USAGE,
                         "no server runs on %s: start `doorbuster serve`, or name one "
                         "with --target",
                         config->data);
    if (e != ERR_OK)
        return verb_fail(VERB_USAGE, "%s", error.text);
    if (!loop_addr_is_loopback(&target->addr) && !verb_flag(verb, "--yes"))
        return verb_fail(VERB_USAGE, "%s is another machine: a stampede on it needs --yes",
                         target->url);
    return -1;
}

/* ---- what is seen ---- */

static unsigned terminal_columns(int fd)
{
    struct winsize size;

    return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col ? MIN(size.ws_col, 120u) : COLUMNS;
}

/* 1234567 as "1,234,567" into `out`. */
static const char *grouped(uint64_t value, char out[32])
{
    char digits[32];
    int n = snprintf(digits, sizeof digits, "%" PRIu64, value);
    char *at = out;

    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0)
            *at++ = ',';
        *at++ = digits[i];
    }
    *at = '\0';
    return out;
}

static double seconds(const struct stampede *stampede, uint64_t until_ns)
{
    return (double)MAX(until_ns - stampede->started_ns, UINT64_C(1)) / 1e9;
}

static void progress(const struct stampede *stampede)
{
    int64_t all = stampede->to_user_id - stampede->from_user_id + 1;
    double rate = (double)stampede->answered / seconds(stampede, clock_mono_ns());
    char answered[32], of[32], per_second[32];

    fprintf(stderr, "\r  %s of %s, %s/s, %" PRIu64 " won \033[K",
            grouped((uint64_t)stampede->answered, answered), grouped((uint64_t)all, of),
            grouped((uint64_t)rate, per_second), stampede->count[STAMPEDE_WON]);
    fflush(stderr);
}

static void print_counts(const struct stampede *stampede, struct buf *out)
{
    for (enum stampede_outcome i = 0; i < STAMPEDE_OUTCOME_N; i++) {
        char count[32];
        buf_printf(out, "  %-10s %12s", stampede_outcome_name(i),
                   grouped(stampede->count[i], count));
        if (stampede->sample[i][0])
            buf_printf(out, "   such as: %s", stampede->sample[i]);
        buf_char(out, '\n');
    }
}

static void print_latency(const struct stampede *stampede, struct buf *out)
{
    static const struct {
        const char *name;
        double share;
    } shares[] = { { "p50", 0.5 }, { "p90", 0.9 }, { "p99", 0.99 }, { "p99.9", 0.999 } };

    buf_literal(out, "\n  latency   ");
    for (size_t i = 0; i < ARRAY_COUNT(shares); i++) {
        buf_printf(out, "%s ", shares[i].name);
        histogram_print_ns(out, histogram_at(&stampede->latency, shares[i].share));
        buf_literal(out, "   ");
    }
    buf_literal(out, "max ");
    histogram_print_ns(out, stampede->latency.max_ns);
    buf_literal(out, "\n\n");
    histogram_draw(&stampede->latency, terminal_columns(STDOUT_FILENO), out);
    buf_char(out, '\n');
}

static void print_report(const struct stampede *stampede, struct buf *out)
{
    static const char *const ways[] = { [STAMPEDE_RESERVE] = "reserve",
                                        [STAMPEDE_ISSUE] = "issue",
                                        [STAMPEDE_MIXED] = "issue and reserve" };
    double took = seconds(stampede, stampede->ended_ns);
    char users[32], rate[32];

    buf_printf(out, "%s: %s users over %zu connections in %.2f s: %s requests/s\n\n",
               ways[stampede->way], grouped((uint64_t)stampede->answered, users),
               stampede->connections, took,
               grouped((uint64_t)((double)stampede->answered / took), rate));
    print_counts(stampede, out);
    if (stampede->latency.count)
        print_latency(stampede, out);
}

/* ---- the verb ---- */

static int write_told(const struct stampede *stampede, const char *path)
{
    CLEANUP(buf_fini) struct buf text = { 0 };

    told_write(&stampede->told, &text);
    FILE *file = buf_ok(&text) ? fopen(path, "w") : NULL;
    bool whole = file && fwrite(text.ptr, 1, text.len, file) == text.len;
    if (file && fclose(file) != 0)
        whole = false;
    return whole ? -1 : verb_fail(VERB_USAGE, "cannot write %s: %s", path, strerror(errno));
}

static int prove_it(struct stampede *stampede)
{
    CLEANUP(buf_fini) struct buf out = { 0 };
    struct prove prove = { .coupon_id = stampede->coupon_id, .told = &stampede->told };
    struct config_error error;

    int result = (int)prove_ask(&prove, stampede->target, &error);
    if (result == PROVE_COULD_NOT_LOOK)
        verb_fail(result, "no proof: %s", error.text);
    else
        prove_print(&prove, false, &out);
    if (!verb_print(&out))
        result = PROVE_COULD_NOT_LOOK;
    prove_fini(&prove);
    return result;
}

static int go(struct stampede *stampede, const char *told_path)
{
    CLEANUP(buf_fini) struct buf out = { 0 };
    bool tty = isatty(STDERR_FILENO);

    stampede->progress = tty ? progress : NULL;
    enum err e = stampede_run(stampede);
    if (tty)
        fputs("\r\033[K", stderr);
    if (e == ERR_UNAVAILABLE)
        return verb_fail(VERB_USAGE, "nobody answers at %s", stampede->target->url);
    if (e != ERR_OK || stampede->short_of_memory)
        return verb_fail(VERB_USAGE, "out of memory");
    print_report(stampede, &out);
    if (!verb_print(&out))
        return VERB_USAGE;
    int code = told_path ? write_told(stampede, told_path) : -1;
    return code < 0 ? prove_it(stampede) : code;
}

static void raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    err_ignore(setrlimit(RLIMIT_NOFILE, &limit) == 0 ? ERR_OK : ERR_IO, "then connections fail");
}

static int run(const struct verb *verb, struct config *config)
{
    struct target target = { 0 };
    struct stampede stampede = { .target = &target };

    int code = take_words(&stampede, verb, config);
    if (code < 0)
        code = take_target(&target, verb, config);
    if (code < 0) {
        raise_descriptors();
        code = go(&stampede, verb_flag(verb, "--told"));
    }
    stampede_fini(&stampede);
    target_fini(&target);
    return code;
}

const struct verb verb_stampede = {
    .name = "stampede",
    .usage = "stampede COUPON_ID --users FROM-TO [--connections N] [--issue] [FLAGS]",
    .about = "A rehearsal: that many people at once. Ends with 0 only if the drop is proved.",
    .flags = flags,
    .positionals_min = 1,
    .positionals_max = 1,
    .run = run,
};
