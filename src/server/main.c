// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "server/verb.h"
#include "server/version.h"

static const struct verb *const verbs[] = {
    &verb_serve, &verb_prove,  &verb_stampede, &verb_migrate, &verb_seed,
    &verb_token, &verb_config, &verb_gate,     &verb_copy,
};

static int print_verbs(FILE *to, int code)
{
    fputs("usage: doorbuster VERB [FLAGS]\n\n", to);
    for (size_t i = 0; i < ARRAY_COUNT(verbs); i++)
        fprintf(to, "  %-10s %s\n", verbs[i]->name, verbs[i]->about);
    fputs("  help       This list; `doorbuster help VERB` is `doorbuster VERB --help`.\n"
          "\nEvery verb has --help. `doorbuster --version` names the build.\n",
          to);
    return code;
}

static int print_version(void)
{
    printf("doorbuster %s\ncommit %s\nbuilt with %s\n", version_number, version_commit,
           version_libraries);
    return VERB_OK;
}

static int refuse_verb(const char *word)
{
    const char *words[ARRAY_COUNT(verbs) + 3] = { "help", "--version", "--help" };
    size_t count = 3;

    for (size_t i = 0; i < ARRAY_COUNT(verbs); i++)
        words[count++] = verbs[i]->name;
    const char *nearest = config_nearest(word, words, count);
    if (nearest)
        return verb_fail(VERB_USAGE, "no verb \"%.80s\": did you mean \"%s\"?", word, nearest);
    return verb_fail(VERB_USAGE, "no verb \"%.80s\": `doorbuster help` lists them", word);
}

static int run_verb(const char *name, int argc, char **argv)
{
    for (size_t i = 0; i < ARRAY_COUNT(verbs); i++)
        if (strcmp(verbs[i]->name, name) == 0)
            return verb_main(verbs[i], argc, argv);
    return refuse_verb(name);
}

int main(int argc, char **argv)
{
    static char help[] = "--help";
    char *only_help[] = { help, NULL };

    verb_set_program(argv[0]);
    if (argc < 2)
        return print_verbs(stderr, VERB_USAGE);
    const char *word = argv[1];
    if (strcmp(word, "--version") == 0 || strcmp(word, "version") == 0)
        return print_version();
    bool help_asked = strcmp(word, "help") == 0;
    if (help_asked && argc > 2)
        return run_verb(argv[2], 1, only_help);
    if (help_asked || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return print_verbs(stdout, VERB_OK);
    return run_verb(word, argc - 2, argv + 2);
}
