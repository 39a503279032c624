// SPDX-License-Identifier: Apache-2.0
#include "server/verb.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

static const char *program = "doorbuster";

void verb_set_program(const char *argv0)
{
    program = argv0;
}

const char *verb_program(void)
{
    return program;
}

int verb_fail(int code, const char *format, ...)
{
    va_list args;

    log_flush();
    fputs("doorbuster: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return code;
}

const char *verb_flag(const struct verb *verb, const char *name)
{
    for (const struct config_flag *flag = verb->flags; flag && flag->name; flag++)
        if (strcmp(flag->name, name) == 0)
            return flag->given;
    return NULL;
}

bool verb_print(const struct buf *text)
{
    return buf_ok(text) && fwrite(text->ptr, 1, text->len, stdout) == text->len &&
           fflush(stdout) == 0;
}

static int print_help(const struct verb *verb)
{
    CLEANUP(buf_fini) struct buf text = { 0 };
    CLEANUP(buf_fini) struct buf usage = { 0 };

    buf_printf(&usage, "doorbuster %s%c", verb->usage, 0);
    if (!buf_ok(&usage))
        return verb_fail(VERB_FAILED, "out of memory");
    config_help(&text, usage.ptr, verb->flags, true);
    printf("%s\n\n", verb->about);
    return verb_print(&text) ? VERB_OK : VERB_FAILED;
}

static int check_words(const struct verb *verb, const struct config *config)
{
    if (config->positional_count < verb->positionals_min)
        return verb_fail(VERB_USAGE, "a word is missing: doorbuster %s", verb->usage);
    return -1;
}

int verb_main(const struct verb *verb, int argc, char **argv)
{
    struct config_error error;
    struct config config;
    int code = -1;

    enum err e =
        config_load(&config, argc, argv, environ, verb->flags, verb->positionals_max, &error);
    if (e != ERR_OK)
        code = verb_fail(e == ERR_INVALID ? VERB_USAGE : VERB_FAILED, "%s", error.text);
    else if (config.help)
        code = print_help(verb);
    if (code < 0)
        code = check_words(verb, &config);
    if (code < 0) {
        log_set_level(config.log_level);
        log_set_format(config.log_format);
        code = verb->run(verb, &config);
    }
    config_fini(&config);
    log_flush();
    return code;
}
