// SPDX-License-Identifier: Apache-2.0
/*
 * Every source proposes texts; for each option the strongest proposal stays. Only when all have
 * spoken are texts parsed, so a wrong value in a file does no harm under a right one in a flag, and
 * the profile, which may come from any of them, is known when its defaults are filled in.
 */
#include "config/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "config/config_internal.h"

enum { FILE_BYTES_MAX = 1 << 20, THREADS_MAX = 64 };

PRINTF_LIKE(2, 3) enum err config_refuse(struct config_error *error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    return ERR_INVALID;
}

static void wipe(struct config *config, size_t option)
{
    char *copy = config->origin[option].copy;

    if (copy)
        explicit_bzero(copy, strlen(copy));
}

enum err config_propose(struct config *config, size_t option, enum config_source source,
                        uint32_t line, struct str text)
{
    if (config->origin[option].text && config->origin[option].source > source)
        return ERR_OK;
    char *copy = arena_alloc(&config->arena, text.len + 1);
    if (!copy)
        return ERR_NOMEM;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    wipe(config, option);
    config->origin[option].source = (uint8_t)source;
    config->origin[option].line = line;
    config->origin[option].text = config->origin[option].copy = copy;
    return ERR_OK;
}

const char *config_nearest(const char *word, const char *const *words, size_t word_count)
{
    struct str given = str_from(word);
    const char *best = NULL;
    unsigned best_distance = 1000;

    for (size_t i = 0; i < word_count; i++) {
        struct str candidate = str_from(words[i]);
        unsigned distance = str_distance(given, candidate);
        if (given.len > 2 && candidate.len > given.len + 1 &&
            candidate.ptr[candidate.len - given.len - 1] == '.' &&
            strcmp(candidate.ptr + candidate.len - given.len, word) == 0)
            distance = 1; /* only its section is missing */
        if (distance < best_distance) {
            best_distance = distance;
            best = words[i];
        }
    }
    return best_distance <= MAX(2u, (unsigned)given.len / 3) ? best : NULL;
}

bool config_find_key(const char *key, size_t *ret_option, const char **ret_nearest)
{
    const char *keys[CONFIG_OPTION_COUNT];

    for (size_t i = 0; i < CONFIG_OPTION_COUNT; i++) {
        keys[i] = config_rows[i].key;
        if (strcmp(keys[i], key) == 0) {
            *ret_option = i;
            return true;
        }
    }
    *ret_nearest = config_nearest(key, keys, CONFIG_OPTION_COUNT);
    return false;
}

static enum err take_file(struct config *config, struct config_error *ret_error)
{
    CLEANUP(buf_fini) struct buf text = { 0 };

    if (!config->config_file)
        config->config_file = "";
    if (config->config_file[0] == '\0')
        return ERR_OK;
    TRY(config_file_read(config->config_file, FILE_BYTES_MAX, &text, ret_error));
    enum err err = config_file_parse(config, config->config_file, buf_str(&text), ret_error);
    if (text.len > 0)
        explicit_bzero(text.ptr, text.len); /* secrets */
    return err;
}

/* "shop.conf:3: http.idle_timeout" */
static void name_origin(const struct config *config, size_t option, char *out, size_t size)
{
    const char *key = config_rows[option].key;
    char env[80];

    switch ((enum config_source)config->origin[option].source) {
    case CONFIG_FROM_FILE:
        snprintf(out, size, "%.150s:%u: %s", config->config_file, config->origin[option].line, key);
        return;
    case CONFIG_FROM_ENVIRONMENT:
        config_env_name(&config_rows[option], env);
        snprintf(out, size, "environment: %s", env);
        return;
    case CONFIG_FROM_STORE:
        snprintf(out, size, "the store's stamp: %s", key);
        return;
    default:
        snprintf(out, size, "%s", key);
    }
}

static enum err parse_option(struct config *config, size_t option, struct config_error *ret_error)
{
    char why[CONFIG_WHY_BYTES], origin[256];

    enum err err =
        config_value_parse(config, &config_rows[option], config->origin[option].text, why);
    if (err == ERR_INVALID) {
        name_origin(config, option, origin, sizeof origin);
        return config_refuse(ret_error, "%s %s", origin, why);
    }
    return err;
}

const char *config_row_default(const struct config_row *row, enum config_profile profile,
                               enum config_source *ret_source)
{
    const char *text = row->fallback;

    if (profile == CONFIG_TEST && row->test)
        text = row->test;
    else if (profile != CONFIG_PROD && row->local)
        text = row->local;
    *ret_source = text == row->fallback ? CONFIG_FROM_DEFAULT : CONFIG_FROM_PROFILE;
    return text;
}

static void resolve_threads(struct config *config)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (config->threads == 0)
        config->threads = MAX(1, MIN(cores - 1, (long)THREADS_MAX));
}

/* All texts are there but the defaults, which depend on the profile. */
enum err config_settle(struct config *config, struct config_error *ret_error)
{
    if (!config->origin[CONFIG_profile].text)
        config->origin[CONFIG_profile].text = config_rows[CONFIG_profile].fallback;
    TRY(parse_option(config, CONFIG_profile, ret_error));
    for (size_t i = 0; i < CONFIG_OPTION_COUNT; i++) {
        enum config_source source;
        const char *text = config_row_default(&config_rows[i], config->profile, &source);
        if (i != CONFIG_profile &&
            (!config->origin[i].text || config->origin[i].source < CONFIG_FROM_STORE)) {
            config->origin[i].text = text;
            config->origin[i].source = (uint8_t)source;
        }
        TRY(parse_option(config, i, ret_error));
    }
    resolve_threads(config);
    return ERR_OK;
}

enum err config_load(struct config *config, int argc, char *const *argv, char *const *environment,
                     struct config_flag *flags, size_t positionals_max,
                     struct config_error *ret_error)
{
    *config = (struct config){ 0 };
    ret_error->text[0] = '\0';
    enum err err = config_take_arguments(config, argc, argv, flags, positionals_max, ret_error);
    if (err == ERR_OK && config->help)
        return ERR_OK;
    if (err == ERR_OK)
        err = config_take_environment(config, environment, ret_error);
    if (err == ERR_OK)
        err = take_file(config, ret_error);
    if (err == ERR_OK)
        err = config_settle(config, ret_error);
    if (err == ERR_NOMEM)
        snprintf(ret_error->text, sizeof ret_error->text, "out of memory");
    return err;
}

void config_fini(struct config *config)
{
    for (size_t i = 0; i < CONFIG_OPTION_COUNT; i++)
        wipe(config, i);
    arena_fini(&config->arena);
    *config = (struct config){ 0 };
}

enum config_source config_source(const struct config *config, enum config_option option)
{
    return (enum config_source)config->origin[option].source;
}

enum err config_stamp(struct config *config, const char *profile, const char *time_zone,
                      struct config_error *ret_error)
{
    TRY(config_propose(config, CONFIG_profile, CONFIG_FROM_STORE, 0, str_from(profile)));
    TRY(config_propose(config, CONFIG_shop_time_zone, CONFIG_FROM_STORE, 0, str_from(time_zone)));
    return config_settle(config, ret_error);
}

const char *config_profile_name(enum config_profile profile)
{
    return config_rows[CONFIG_profile].names[profile];
}
