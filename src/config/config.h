// SPDX-License-Identifier: Apache-2.0
/*
 * The options, one row each in config/options.def. A value comes from, the earlier winning: flag,
 * environment, file, the store's stamp (profile and time zone only), profile, default. Rules
 * across options belong to the server.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"

enum config_profile { CONFIG_LOCAL, CONFIG_TEST, CONFIG_PROD };
enum config_durability { CONFIG_DURABILITY_GATE, CONFIG_DURABILITY_LEDGER };
enum config_gateway {
    CONFIG_GATEWAY_UNSET,
    CONFIG_GATEWAY_NONE,
    CONFIG_GATEWAY_MOCK,
    CONFIG_GATEWAY_HTTP,
};

struct config_address {
    char host[64]; /* numeric IPv4 or IPv6, without brackets; "" when not set */
    uint16_t port;
};

/* The type of each enum option. */
#define CONFIG_ENUM_profile enum config_profile
#define CONFIG_ENUM_gate_reserve_durability enum config_durability
#define CONFIG_ENUM_payment_gateway enum config_gateway
#define CONFIG_ENUM_log_level enum log_level
#define CONFIG_ENUM_log_format enum log_format

#define CONFIG_TYPE_DURATION(field) int64_t
#define CONFIG_TYPE_BYTES(field) int64_t
#define CONFIG_TYPE_COUNT(field) int64_t
#define CONFIG_TYPE_BOOL(field) bool
#define CONFIG_TYPE_ENUM(field) CONFIG_ENUM_##field
/* Text belongs to the config, ends with NUL, and is "" when not set. */
#define CONFIG_TYPE_STRING(field) const char *
#define CONFIG_TYPE_PATH(field) const char *
#define CONFIG_TYPE_URL(field) const char *    /* printed without its password */
#define CONFIG_TYPE_SECRET(field) const char * /* never printed */
#define CONFIG_TYPE_ADDRESS(field) struct config_address

enum config_option {
#define OPT(kind, field, ...) CONFIG_##field,
#include "config/options.def"
#undef OPT
    CONFIG_OPTION_COUNT,
};

enum config_source {
    CONFIG_FROM_DEFAULT,
    CONFIG_FROM_PROFILE,
    CONFIG_FROM_STORE,
    CONFIG_FROM_FILE,
    CONFIG_FROM_ENVIRONMENT,
    CONFIG_FROM_FLAG,
};

enum { CONFIG_POSITIONALS_MAX = 8 };

struct config {
#define OPT(kind, field, ...) CONFIG_TYPE_##kind(field) field;
#include "config/options.def"
#undef OPT
    const char *config_file; /* `--config`; "" when none */
    bool help;               /* `--help` was among the flags; nothing else was looked at */
    const char *positionals[CONFIG_POSITIONALS_MAX]; /* borrowed from argv */
    size_t positional_count;

    /* private */
    struct {
        uint8_t source; /* enum config_source */
        uint32_t line;  /* of the file */
        const char *text;
        char *copy; /* the same, ours; NULL for a default */
    } origin[CONFIG_OPTION_COUNT];
    struct arena arena;
};

/* A flag of one verb, beside those of the options. Ended by a NULL name. */
struct config_flag {
    const char *name;  /* "--told" */
    const char *value; /* what follows it, for the help: "FILE"; NULL for a switch */
    const char *help;
    const char *given; /* out: NULL when absent, "" for a switch; borrowed from argv */
};

/* A whole sentence for people: 'shop.conf:3: no option "pool.maks": did you mean "pool.max"?' */
struct config_error {
    char text[512];
};
/* Always ERR_INVALID, with that sentence. */
PRINTF_LIKE(2, 3) enum err config_refuse(struct config_error *error, const char *format, ...);

/*
 * Read everything.
 *
 * argc, argv        what follows the verb
 * environment       as `environ`
 * flags             of this verb, or NULL
 * positionals_max   how many words without "--" the verb takes
 *
 * ERR_INVALID: an unknown flag, key or value, one out of range, a file that cannot be read;
 * ERR_NOMEM. `ret_error` says it. `config` is to be released in any case.
 */
enum err config_load(struct config *config, int argc, char *const *argv, char *const *environment,
                     struct config_flag *flags, size_t positionals_max,
                     struct config_error *ret_error) MUST_CHECK;
void config_fini(struct config *config); /* wipes secrets */

enum config_source config_source(const struct config *config, enum config_option option);

/*
 * What the store is stamped with: taken where nobody said otherwise, so that a verb without
 * `--profile` fits its store. The defaults of that profile follow. ERR_INVALID: no such profile.
 */
enum err config_stamp(struct config *config, const char *profile, const char *time_zone,
                      struct config_error *ret_error) MUST_CHECK;

const char *config_profile_name(enum config_profile profile);

/* The secret in a file, up to 4 KiB, without line ends after it. ERR_INVALID with `ret_error`. */
enum err config_read_secret(const char *path, struct buf *out,
                            struct config_error *ret_error) MUST_CHECK;

/* Neither what stands before the last '@' nor a query is shown: both may hold a password. */
void config_print_url(struct buf *buf, const char *url);
/* For `doorbuster config`: value, source and meaning; without `all` only what is not default. */
void config_print(struct buf *buf, const struct config *config, bool all);
/* Of `doorbuster VERB --help`: "usage: doorbuster VERB …", the verb's flags, the options' flags. */
void config_help(struct buf *buf, const char *usage, const struct config_flag *flags,
                 bool with_options);
/* docs/config.md */
void config_markdown(struct buf *buf);
/* 'did you mean "x"?' of a list of words, or NULL when nothing is near. */
const char *config_nearest(const char *word, const char *const *words, size_t word_count);

/* "1h", "250ms"; "64K", "64"; "42". For values of verbs' flags. ERR_INVALID. */
enum err config_parse_duration(struct str text, int64_t *ret_ms) MUST_CHECK;
enum err config_parse_bytes(struct str text, int64_t *ret_bytes) MUST_CHECK;
enum err config_parse_count(struct str text, int64_t *ret_count) MUST_CHECK;
