// SPDX-License-Identifier: Apache-2.0
/* `gate rebuild`: a coupon's gate begins a new life from the ledger's rows, by a running server. */
#include <inttypes.h>
#include <string.h>

#include "server/target.h"
#include "server/verb.h"

static struct config_flag flags[] = {
    { "--target", "URL", "the server to ask, instead of the one in the data directory", NULL },
    { "--token", "TOKEN", "of an administrator, where the server wants one", NULL },
    { 0 },
};

static enum err ask(const struct target *target, int64_t coupon_id, struct config_error *error)
{
    CLEANUP(buf_fini) struct buf body = { 0 };
    char path[80];

    snprintf(path, sizeof path, "/api/admin/coupons/%" PRId64 "/rebuild", coupon_id);
    fprintf(stderr,
            "doorbuster: asking %s: close, store what is pending, raise the epoch, rebuild\n",
            target->url);
    enum err e = target_post(target, path, &body, error);
    if (e == ERR_NOT_FOUND)
        snprintf(error->text, sizeof error->text, "%s has no coupon %" PRId64, target->url,
                 coupon_id);
    return e;
}

static int rebuild(const struct verb *verb, struct config *config)
{
    struct config_error error = { "out of memory" };
    struct target target;
    int64_t coupon_id;

    if (strcmp(config->positionals[0], "rebuild") != 0)
        return verb_fail(VERB_USAGE, "gate takes one word, rebuild: doorbuster %s", verb->usage);
    if (!str_parse_int64(str_from(config->positionals[1]), &coupon_id) || coupon_id < 1)
        return verb_fail(VERB_USAGE, "COUPON_ID is a number from 1, not \"%.40s\"",
                         config->positionals[1]);
    enum err e = target_find(&target, verb, config, &error);
    if (e == ERR_NOT_FOUND)
        snprintf(error.text, sizeof error.text,
                 "no server runs on %.300s: start one, or name one with --target", config->data);
    if (e == ERR_OK)
        e = ask(&target, coupon_id, &error);
    target_fini(&target);
    if (e != ERR_OK)
        return verb_fail(VERB_FAILED, "%s", error.text);
    printf("coupon %" PRId64 ": the gate is open again\n", coupon_id);
    return VERB_OK;
}

const struct verb verb_gate = {
    .name = "gate",
    .usage = "gate rebuild COUPON_ID [FLAGS]",
    .about = "Builds a coupon's gate anew from the ledger. Ends with 0: it is open again.",
    .flags = flags,
    .positionals_min = 2,
    .positionals_max = 2,
    .run = rebuild,
};
