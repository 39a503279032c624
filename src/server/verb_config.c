// SPDX-License-Identifier: Apache-2.0
/* `config`: what is in force and where it came from; also the two documents made from the tables.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "metrics/metrics.h"
#include "server/store.h"
#include "server/verb.h"

static struct config_flag flags[] = {
    { "--all", NULL, "also what has its default", NULL },
    { "--docs", "DIR", "instead write config.md and metrics.md into DIR", NULL },
    { 0 },
};

static int write_document(const char *directory, const char *name, void (*append)(struct buf *buf))
{
    CLEANUP(buf_fini) struct buf text = { 0 };
    char path[PATH_MAX];

    append(&text);
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = buf_ok(&text) ? fopen(path, "w") : NULL;
    bool whole = file && fwrite(text.ptr, 1, text.len, file) == text.len;
    if (file && fclose(file) != 0)
        whole = false;
    if (whole)
        return VERB_OK;
    return verb_fail(VERB_FAILED, "cannot write %.300s: %s", path, strerror(errno));
}

static int show(const struct verb *verb, struct config *config)
{
    const char *directory = verb_flag(verb, "--docs");
    CLEANUP(buf_fini) struct buf text = { 0 };
    struct store store = { .lock = -1 };
    struct config_error error;

    if (directory) {
        int code = write_document(directory, "config.md", config_markdown);
        return code == VERB_OK ? write_document(directory, "metrics.md", metrics_markdown) : code;
    }
    if (store_look(&store, config, &error) != ERR_OK)
        verb_fail(VERB_OK, "note: %s", error.text); /* all the more reason to show it */
    config_print(&text, config, verb_flag(verb, "--all") != NULL);
    return verb_print(&text) ? VERB_OK : VERB_FAILED;
}

const struct verb verb_config = {
    .name = "config",
    .usage = "config [--all] [FLAGS]",
    .about = "The effective configuration, where each value came from, and what it means.",
    .flags = flags,
    .run = show,
};
