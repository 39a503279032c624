// SPDX-License-Identifier: Apache-2.0
/* What the verbs of the command line share. Each verb is one file, verb_NAME.c. */
#pragma once
#include <stdio.h>

#include "base/buf.h"
#include "config/config.h"

enum verb_exit {
    VERB_OK = 0,
    VERB_FAILED = 1,        /* could not do it; for `prove` and `stampede`: broken */
    VERB_USAGE = 2,         /* wrong words; for `prove`: could not look */
    VERB_UNCERTAIN = 74,    /* `serve`: the outcome of a commit was unknown (EX_IOERR) */
    VERB_INTERRUPTED = 130, /* `serve`: a second signal */
};

struct verb {
    const char *name, *usage, *about;
    struct config_flag *flags; /* or NULL */
    size_t positionals_min, positionals_max;
    /* `config` is loaded; the verb's flags have their `given`. Returns an exit code. */
    int (*run)(const struct verb *verb, struct config *config);
};

extern const struct verb verb_serve, verb_prove, verb_stampede, verb_migrate, verb_seed, verb_token,
    verb_config, verb_gate, verb_copy;

/* Loads the configuration, answers --help, refuses, or runs the verb. */
int verb_main(const struct verb *verb, int argc, char **argv);

/* "doorbuster: …" on stderr; returns `code`. */
int verb_fail(int code, const char *format, ...) PRINTF_LIKE(2, 3);
/* The words of a flag that was given, or NULL. */
const char *verb_flag(const struct verb *verb, const char *name);
/* What `argv[0]` was, for lines that people may copy. */
const char *verb_program(void);
void verb_set_program(const char *argv0);
/* All of it to stdout. False: that failed. */
bool verb_print(const struct buf *text);
