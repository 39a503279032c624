// SPDX-License-Identifier: Apache-2.0
/* Words of the command line and of the environment. */
#include <stdio.h>

#include "config/config_internal.h"

const struct config_short config_shorts[] = {
    { "--profile", "local|test|prod", CONFIG_profile },
    { "--listen", "ADDR:PORT", CONFIG_listen },
    { "--data", "DIR", CONFIG_data },
    { "--redis", "URL", CONFIG_redis },
    { "--postgres", "URL", CONFIG_postgres },
    { "--threads", "N", CONFIG_threads },
    { "--log", "text|json", CONFIG_log_format },
};
const size_t config_short_count = ARRAY_COUNT(config_shorts);

static const char env_prefix[] = "DOORBUSTER_";

void config_env_name(const struct config_row *row, char out[80])
{
    size_t n = sizeof env_prefix - 1;

    memcpy(out, env_prefix, n);
    for (const char *p = row->key; *p && n < 79; p++)
        out[n++] = (char)(*p == '.' ? '_' : *p >= 'a' && *p <= 'z' ? *p - 32 : *p);
    out[n] = '\0';
}

/* What Kubernetes sets of itself in every container beside a service named "doorbuster". */
static bool is_service_link(const char *name)
{
    const char *rest = name + sizeof env_prefix - 1;

    return strncmp(rest, "SERVICE_", 8) == 0 || strcmp(rest, "PORT") == 0 ||
           strncmp(rest, "PORT_", 5) == 0;
}

static enum err refuse_env(const char *name, struct config_error *ret_error)
{
    char names[CONFIG_OPTION_COUNT][80];
    const char *words[CONFIG_OPTION_COUNT];

    for (size_t i = 0; i < CONFIG_OPTION_COUNT; i++) {
        config_env_name(&config_rows[i], names[i]);
        words[i] = names[i];
    }
    const char *nearest = config_nearest(name, words, CONFIG_OPTION_COUNT);
    if (nearest)
        return config_refuse(ret_error, "environment: no option %.80s: did you mean %s?", name,
                             nearest);
    return config_refuse(ret_error, "environment: no option %.80s", name);
}

enum err config_take_environment(struct config *config, char *const *environment,
                                 struct config_error *ret_error)
{
    for (; environment && *environment; environment++) {
        const char *equals = strchr(*environment, '=');
        char name[80], candidate[80];
        size_t option = 0;
        if (!equals || strncmp(*environment, env_prefix, sizeof env_prefix - 1) != 0)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)(equals - *environment), *environment);
        if (strcmp(name, "DOORBUSTER_CONFIG") == 0) {
            if (!config->config_file)
                config->config_file = equals + 1;
            continue;
        }
        if (is_service_link(name))
            continue;
        for (; option < CONFIG_OPTION_COUNT; option++) {
            config_env_name(&config_rows[option], candidate);
            if (strcmp(candidate, name) == 0)
                break;
        }
        if (option == CONFIG_OPTION_COUNT)
            return refuse_env(name, ret_error);
        TRY(config_propose(config, option, CONFIG_FROM_ENVIRONMENT, 0, str_from(equals + 1)));
    }
    return ERR_OK;
}

struct words {
    int argc, next;
    char *const *argv;
    struct config_error *error;
};

/* The value of a flag: after its '=', or the next word. */
static enum err take_flag_value(struct words *words, const char *flag, const char *inline_value,
                                const char **ret_value)
{
    if (inline_value) {
        *ret_value = inline_value;
        return ERR_OK;
    }
    if (words->next == words->argc)
        return config_refuse(words->error, "%s needs a value", flag);
    *ret_value = words->argv[words->next++];
    return ERR_OK;
}

static enum err take_set(struct config *config, const char *assignment,
                         struct config_error *ret_error)
{
    const char *equals = strchr(assignment, '=');
    const char *nearest;
    size_t option;
    char key[80];

    if (!equals)
        return config_refuse(ret_error, "--set needs key=value, not \"%.80s\"", assignment);
    snprintf(key, sizeof key, "%.*s", (int)(equals - assignment), assignment);
    if (!config_find_key(key, &option, &nearest)) {
        if (nearest)
            return config_refuse(ret_error, "--set: no option \"%s\": did you mean \"%s\"?", key,
                                 nearest);
        return config_refuse(ret_error, "--set: no option \"%s\"", key);
    }
    return config_propose(config, option, CONFIG_FROM_FLAG, 0, str_from(equals + 1));
}

static enum err refuse_flag(const char *flag, const struct config_flag *flags,
                            struct config_error *ret_error)
{
    const char *words[64] = { "--config", "--set", "--help" };
    size_t count = 3;

    for (size_t i = 0; i < config_short_count; i++)
        words[count++] = config_shorts[i].flag;
    for (; flags && flags->name && count < ARRAY_COUNT(words); flags++)
        words[count++] = flags->name;
    const char *nearest = config_nearest(flag, words, count);
    if (nearest)
        return config_refuse(ret_error, "no flag \"%.80s\": did you mean \"%s\"?", flag, nearest);
    return config_refuse(ret_error, "no flag \"%.80s\"", flag);
}

static enum err take_option_flag(struct config *config, const char *flag, const char *value,
                                 struct words *words)
{
    const char *given = NULL;

    for (size_t i = 0; i < config_short_count; i++)
        if (strcmp(flag, config_shorts[i].flag) == 0) {
            TRY(take_flag_value(words, flag, value, &given));
            return config_propose(config, config_shorts[i].option, CONFIG_FROM_FLAG, 0,
                                  str_from(given));
        }
    if (strcmp(flag, "--config") == 0)
        return take_flag_value(words, flag, value, &config->config_file);
    if (strcmp(flag, "--set") == 0) {
        TRY(take_flag_value(words, flag, value, &given));
        return take_set(config, given, words->error);
    }
    return ERR_NOT_FOUND;
}

/* Verb flags first: a verb may give a flag its own meaning. */
static enum err take_flag(struct config *config, const char *word, struct config_flag *flags,
                          struct words *words)
{
    const char *equals = strchr(word, '=');
    char flag[80];

    snprintf(flag, sizeof flag, "%.*s", equals ? (int)(equals - word) : 79, word);
    const char *value = equals ? equals + 1 : NULL;
    for (struct config_flag *f = flags; f && f->name; f++) {
        if (strcmp(flag, f->name) != 0)
            continue;
        if (f->value)
            return take_flag_value(words, flag, value, &f->given);
        if (value)
            return config_refuse(words->error, "%s takes no value", flag);
        f->given = "";
        return ERR_OK;
    }
    if (strcmp(flag, "--help") == 0 || strcmp(flag, "-h") == 0) {
        config->help = true;
        return ERR_OK;
    }
    enum err err = take_option_flag(config, flag, value, words);
    return err == ERR_NOT_FOUND ? refuse_flag(flag, flags, words->error) : err;
}

enum err config_take_arguments(struct config *config, int argc, char *const *argv,
                               struct config_flag *flags, size_t positionals_max,
                               struct config_error *ret_error)
{
    struct words words = { .argc = argc, .argv = argv, .error = ret_error };
    bool only_positionals = false;

    while (words.next < words.argc && !config->help) {
        const char *word = words.argv[words.next++];
        if (!only_positionals && strcmp(word, "--") == 0) {
            only_positionals = true;
        } else if (!only_positionals && word[0] == '-' && word[1]) {
            TRY(take_flag(config, word, flags, &words));
        } else if (config->positional_count >= MIN(positionals_max, CONFIG_POSITIONALS_MAX)) {
            return config_refuse(ret_error, "\"%.80s\" is one word too many", word);
        } else {
            config->positionals[config->positional_count++] = word;
        }
    }
    return ERR_OK;
}
