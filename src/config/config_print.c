// SPDX-License-Identifier: Apache-2.0
/* The rows for people: effective values, help, docs/config.md. */
#include <stdio.h>

#include "config/config_internal.h"

void config_print_url(struct buf *buf, const char *url)
{
    const char *host = strstr(url, "://");
    size_t length = strcspn(url, "?");
    const char *at = memrchr(url, '@', length);

    if (at && host && at > host) {
        buf_bytes(buf, url, (size_t)(host + 3 - url));
        buf_literal(buf, "***");
        length -= (size_t)(at - url);
        url = at;
    }
    buf_bytes(buf, url, length);
}

static void append_source(struct buf *buf, const struct config *config, size_t option)
{
    char env[80];

    switch (config_source(config, (enum config_option)option)) {
    case CONFIG_FROM_DEFAULT:
        buf_literal(buf, "default");
        break;
    case CONFIG_FROM_PROFILE:
        buf_printf(buf, "profile %s", config_profile_name(config->profile));
        break;
    case CONFIG_FROM_STORE:
        buf_literal(buf, "store");
        break;
    case CONFIG_FROM_FILE:
        buf_printf(buf, "%s:%u", config->config_file, config->origin[option].line);
        break;
    case CONFIG_FROM_ENVIRONMENT:
        config_env_name(&config_rows[option], env);
        buf_str_append(buf, str_from(env));
        break;
    case CONFIG_FROM_FLAG:
        buf_literal(buf, "flag");
        break;
    }
}

static void print_option(struct buf *buf, const struct config *config, size_t option)
{
    const struct config_row *row = &config_rows[option];
    size_t start;

    buf_printf(buf, "# %s\n", row->help);
    start = buf->len;
    if (row->kind == CONFIG_KIND_SECRET) {
        bool set = config->origin[option].text[0];
        buf_printf(buf, "# %s is %s", row->key, set ? "set" : "not set");
    } else {
        buf_printf(buf, "%s = ", row->key);
        if (row->kind == CONFIG_KIND_URL)
            config_print_url(
                buf, *(const char *const *)(const void *)((const char *)config + row->offset));
        else
            config_value_format(buf, config, row);
    }
    do
        buf_char(buf, ' ');
    while (buf_ok(buf) && buf->len - start < 40);
    buf_literal(buf, "; ");
    append_source(buf, config, option);
    buf_literal(buf, "\n\n");
}

/* In the syntax of a file, so that it can be one. */
void config_print(struct buf *buf, const struct config *config, bool all)
{
    size_t left_out = 0;

    for (size_t i = 0; i < CONFIG_OPTION_COUNT; i++) {
        bool is_default = config_source(config, (enum config_option)i) == CONFIG_FROM_DEFAULT;
        if (all || !is_default || i == CONFIG_profile)
            print_option(buf, config, i);
        else
            left_out++;
    }
    if (left_out > 0)
        buf_printf(buf, "# %zu more have their default: see them with --all\n", left_out);
}

static void append_flag(struct buf *buf, const char *flag, const char *value, const char *help)
{
    size_t start = buf->len;

    buf_printf(buf, "  %s%s%s", flag, value ? " " : "", value ? value : "");
    do
        buf_char(buf, ' ');
    while (buf_ok(buf) && buf->len - start < 30);
    buf_printf(buf, "%s\n", help);
}

void config_help(struct buf *buf, const char *usage, const struct config_flag *flags,
                 bool with_options)
{
    buf_printf(buf, "usage: %s\n\n", usage);
    for (; flags && flags->name; flags++)
        append_flag(buf, flags->name, flags->value, flags->help);
    if (with_options) {
        append_flag(buf, "--config", "FILE", "read options from FILE, lines of key = value");
        for (size_t i = 0; i < config_short_count; i++)
            append_flag(buf, config_shorts[i].flag, config_shorts[i].value,
                        config_rows[config_shorts[i].option].help);
        append_flag(buf, "--set", "KEY=VALUE", "any option; `doorbuster config --all` lists them");
    }
    append_flag(buf, "--help", NULL, "this");
}

static void append_code(struct buf *buf, const char *text)
{
    if (text[0])
        buf_printf(buf, "`%s`", text);
    else
        buf_literal(buf, "not set");
}

static void append_defaults(struct buf *buf, const struct config_row *row)
{
    static const enum config_profile profiles[] = { CONFIG_LOCAL, CONFIG_TEST };
    enum config_source source;

    append_code(buf, row->fallback);
    for (size_t i = 0; i < ARRAY_COUNT(profiles); i++) {
        const char *text = config_row_default(row, profiles[i], &source);
        if (source != CONFIG_FROM_PROFILE)
            continue;
        buf_printf(buf, "; %s: ", config_profile_name(profiles[i]));
        append_code(buf, text);
    }
}

static void append_limits(struct buf *buf, const struct config_row *row)
{
    switch (row->kind) {
    case CONFIG_KIND_DURATION:
    case CONFIG_KIND_BYTES:
    case CONFIG_KIND_COUNT:
        buf_printf(buf, "%s to %s", row->min, row->max);
        break;
    case CONFIG_KIND_SECRET:
        buf_printf(buf, "%s to %s bytes", row->min, row->max);
        break;
    case CONFIG_KIND_BOOL:
        buf_literal(buf, "`on`, `off`");
        break;
    case CONFIG_KIND_ENUM:
        for (size_t i = 0, n = 0; row->names[i]; i++)
            if (row->names[i][0])
                buf_printf(buf, "%s`%s`", n++ ? ", " : "", row->names[i]);
        break;
    case CONFIG_KIND_URL:
        buf_printf(buf, "URL: %s", row->min);
        break;
    case CONFIG_KIND_ADDRESS:
        buf_literal(buf, "address:port");
        break;
    case CONFIG_KIND_STRING:
    case CONFIG_KIND_PATH:
        buf_literal(buf, "text");
        break;
    }
}

/* A table per section; those without a dot come first and make the one without a title. */
void config_markdown(struct buf *buf)
{
    struct str section = STR("?");
    char env[80];

    buf_literal(
        buf,
        "# Configuration\n\n"
        "Made by `doorbuster config --docs` from `src/config/options.def`: change it there.\n\n"
        "A value comes from, the earlier winning: flag (`--set key=value`, or its own), "
        "environment, file (`--config FILE`), the store's stamp (profile and time zone), "
        "profile, default.\n"
        "`doorbuster config --all` prints what is in force and where it came from, in the "
        "syntax of a file. A file has lines of `key = value`; under `[http]` the key "
        "`http.idle_timeout` is `idle_timeout`. `#` and `;` begin comments.\n"
        "Durations have a unit (`ms`, `s`, `m`, `h`), sizes may have one (`K`, `M`, `G`: "
        "powers of 1024).\n");
    for (size_t i = 0; i < CONFIG_OPTION_COUNT; i++) {
        const struct config_row *row = &config_rows[i];
        const char *dot = strchr(row->key, '.');
        struct str own = { row->key, dot ? (size_t)(dot - row->key) : 0 };
        if (!str_equal(own, section)) {
            section = own;
            if (own.len > 0)
                buf_printf(buf, "\n## %.*s\n", (int)own.len, own.ptr);
            buf_literal(buf, "\n| key | default | values | environment | meaning |\n"
                             "|---|---|---|---|---|\n");
        }
        config_env_name(row, env);
        buf_printf(buf, "| `%s` | ", row->key);
        append_defaults(buf, row);
        buf_literal(buf, " | ");
        append_limits(buf, row);
        buf_printf(buf, " | `%s` | %s |\n", env, row->help);
    }
}
