// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "config/config.h"

enum config_kind {
    CONFIG_KIND_DURATION,
    CONFIG_KIND_BYTES,
    CONFIG_KIND_COUNT,
    CONFIG_KIND_BOOL,
    CONFIG_KIND_ENUM,
    CONFIG_KIND_STRING,
    CONFIG_KIND_PATH,
    CONFIG_KIND_URL,
    CONFIG_KIND_SECRET,
    CONFIG_KIND_ADDRESS,
};

struct config_row {
    const char *key;
    enum config_kind kind;
    size_t offset;
    const char *fallback, *local, *test; /* defaults; the last two may be NULL */
    const char *min, *max;
    const char *const *names; /* ENUM: by value, ended by NULL */
    const char *help;
};

extern const struct config_row config_rows[CONFIG_OPTION_COUNT];

/* The options that have a flag of their own. */
struct config_short {
    const char *flag, *value;
    enum config_option option;
};
extern const struct config_short config_shorts[];
extern const size_t config_short_count;

/*
 * Parse `text`, which outlives the config, into the row's field. On ERR_INVALID, `why` has the
 * rest of a sentence that starts with the option: 'must be between 1 and 64'.
 */
enum { CONFIG_WHY_BYTES = 256 };
enum err config_value_parse(struct config *config, const struct config_row *row, const char *text,
                            char why[CONFIG_WHY_BYTES]) MUST_CHECK;
/* The field's value in the syntax that config_value_parse() takes. Secrets come out as they are. */
void config_value_format(struct buf *buf, const struct config *config,
                         const struct config_row *row);
/* What a profile says where nobody else does. */
const char *config_row_default(const struct config_row *row, enum config_profile profile,
                               enum config_source *ret_source);
/* "DOORBUSTER_POOL_MAX" of "pool.max". */
void config_env_name(const struct config_row *row, char out[80]);

/* Remember `text`, copied, for an option, unless a stronger source already spoke. ERR_NOMEM. */
enum err config_propose(struct config *config, size_t option, enum config_source source,
                        uint32_t line, struct str text) MUST_CHECK;
/* Index of a key; with `ret_nearest` the key that may be meant, or NULL. */
bool config_find_key(const char *key, size_t *ret_option, const char **ret_nearest);

enum err config_take_arguments(struct config *config, int argc, char *const *argv,
                               struct config_flag *flags, size_t positionals_max,
                               struct config_error *ret_error) MUST_CHECK;
enum err config_take_environment(struct config *config, char *const *environment,
                                 struct config_error *ret_error) MUST_CHECK;
/* A file's text. ERR_INVALID with `ret_error`, ERR_NOMEM. */
enum err config_file_read(const char *path, size_t bytes_max, struct buf *out,
                          struct config_error *ret_error) MUST_CHECK;
/* Propose every value of a file's text. `path` is for messages. */
enum err config_file_parse(struct config *config, const char *path, struct str text,
                           struct config_error *ret_error) MUST_CHECK;
/* Fill in the defaults of the profile and parse all texts. ERR_INVALID: `ret_error`. */
enum err config_settle(struct config *config, struct config_error *ret_error) MUST_CHECK;
