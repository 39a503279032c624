// SPDX-License-Identifier: Apache-2.0
/* The kinds of values: text in, field; field in, text. */
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "config/config_internal.h"

static const char *const names_profile[] = { "local", "test", "prod", NULL };
static const char *const names_gate_reserve_durability[] = { "gate", "ledger", NULL };
static const char *const names_payment_gateway[] = { "", "none", "mock", "http", NULL };
static const char *const names_log_level[] = { "debug", "info", "warn", "error", NULL };
static const char *const names_log_format[] = { "json", "text", NULL };

#define NAMES_DURATION(field) NULL
#define NAMES_BYTES(field) NULL
#define NAMES_COUNT(field) NULL
#define NAMES_BOOL(field) NULL
#define NAMES_ENUM(field) names_##field
#define NAMES_STRING(field) NULL
#define NAMES_PATH(field) NULL
#define NAMES_URL(field) NULL
#define NAMES_SECRET(field) NULL
#define NAMES_ADDRESS(field) NULL

const struct config_row config_rows[CONFIG_OPTION_COUNT] = {
#define OPT(kind, field, key, fallback, local, test, min, max, help) \
    { key,                                                           \
      CONFIG_KIND_##kind,                                            \
      offsetof(struct config, field),                                \
      fallback,                                                      \
      local,                                                         \
      test,                                                          \
      min,                                                           \
      max,                                                           \
      NAMES_##kind(field),                                           \
      help },
#include "config/options.def"
#undef OPT
};

struct unit {
    const char *suffix;
    int64_t scale;
};
/* Greatest first, for formatting. */
static const struct unit durations[] = {
    { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 }, { NULL, 0 }
};
static const struct unit sizes[] = {
    { "G", 1 << 30 }, { "M", 1 << 20 }, { "K", 1 << 10 }, { "", 1 }, { NULL, 0 }
};
static const struct unit counts[] = { { "", 1 }, { NULL, 0 } };

static const struct unit *units_of(enum config_kind kind)
{
    return kind == CONFIG_KIND_DURATION ? durations : kind == CONFIG_KIND_BYTES ? sizes : counts;
}

static enum err parse_number(struct str text, const struct unit *units, int64_t *ret_value)
{
    struct str digits = { text.ptr, 0 };
    int64_t number;

    while (digits.len < text.len && text.ptr[digits.len] >= '0' && text.ptr[digits.len] <= '9')
        digits.len++;
    struct str suffix = { text.ptr + digits.len, text.len - digits.len };
    if (!str_parse_int64(digits, &number))
        return ERR_INVALID;
    for (const struct unit *unit = units; unit->suffix; unit++)
        if (str_equal(suffix, str_from(unit->suffix)))
            return __builtin_mul_overflow(number, unit->scale, ret_value) ? ERR_INVALID : ERR_OK;
    return ERR_INVALID;
}

enum err config_parse_duration(struct str text, int64_t *ret_ms)
{
    return parse_number(text, durations, ret_ms);
}

enum err config_parse_bytes(struct str text, int64_t *ret_bytes)
{
    return parse_number(text, sizes, ret_bytes);
}

enum err config_parse_count(struct str text, int64_t *ret_count)
{
    return parse_number(text, counts, ret_count);
}

PRINTF_LIKE(2, 3) static enum err because(char why[CONFIG_WHY_BYTES], const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(why, CONFIG_WHY_BYTES, format, args);
    va_end(args);
    return ERR_INVALID;
}

static enum err set_number(const struct config_row *row, const char *text, int64_t *field,
                           char why[CONFIG_WHY_BYTES])
{
    static const char *const examples[] = {
        [CONFIG_KIND_DURATION] = "a duration such as 500ms, 10s, 5m or 1h",
        [CONFIG_KIND_BYTES] = "a size such as 8000, 64K, 16M or 1G",
        [CONFIG_KIND_COUNT] = "a number",
    };
    const struct unit *units = units_of(row->kind);
    int64_t value, min, max;

    ASSERT(parse_number(str_from(row->min), units, &min) == ERR_OK);
    ASSERT(parse_number(str_from(row->max), units, &max) == ERR_OK);
    if (parse_number(str_from(text), units, &value) != ERR_OK)
        return because(why, "must be %s, not \"%.60s\"", examples[row->kind], text);
    if (value < min || value > max)
        return because(why, "must be between %s and %s, not \"%.60s\"", row->min, row->max, text);
    *field = value;
    return ERR_OK;
}

static enum err set_bool(const char *text, bool *field, char why[CONFIG_WHY_BYTES])
{
    static const char *const words[] = { "off", "on", "false", "true", "no", "yes", "0", "1" };

    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        if (strcmp(text, words[i]) == 0) {
            *field = i % 2;
            return ERR_OK;
        }
    return because(why, "must be on or off, not \"%.60s\"", text);
}

static enum err set_enum(const struct config_row *row, const char *text, void *field,
                         char why[CONFIG_WHY_BYTES])
{
    size_t used = 0;

    for (unsigned i = 0; row->names[i]; i++)
        if (strcmp(text, row->names[i]) == 0) {
            memcpy(field, &i, sizeof i);
            return ERR_OK;
        }
    err_ignore(because(why, "must be one of"), "completed here");
    for (unsigned i = 0; row->names[i]; i++) {
        used = strlen(why);
        if (row->names[i][0])
            snprintf(why + used, CONFIG_WHY_BYTES - used, " %s", row->names[i]);
    }
    used = strlen(why);
    snprintf(why + used, CONFIG_WHY_BYTES - used, ", not \"%.60s\"", text);
    return ERR_INVALID;
}

static enum err set_address(const char *text, struct config_address *field,
                            char why[CONFIG_WHY_BYTES])
{
    const char *colon = strrchr(text, ':');
    struct config_address address = { .port = 0 };
    unsigned char bytes[16];
    int64_t port;

    *field = address;
    if (text[0] == '\0')
        return ERR_OK;
    struct str host = { text, colon ? (size_t)(colon - text) : 0 };
    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = (struct str){ host.ptr + 1, host.len - 2 };
    else if (memchr(host.ptr, ':', host.len))
        host.len = 0; /* IPv6 needs its brackets */
    if (str_equal(host, STR("localhost")))
        host = STR("127.0.0.1");
    if (host.len > 0 && host.len < sizeof address.host)
        memcpy(address.host, host.ptr, host.len);
    if (!colon || config_parse_count(str_from(colon + 1), &port) != ERR_OK || port > 65535 ||
        (inet_pton(AF_INET, address.host, bytes) != 1 &&
         inet_pton(AF_INET6, address.host, bytes) != 1))
        return because(why,
                       "must be an address and port such as 127.0.0.1:8080 or [::1]:8080, "
                       "not \"%.60s\"",
                       text);
    address.port = (uint16_t)port;
    *field = address;
    return ERR_OK;
}

/* The text itself is not told: it may hold a password. */
static enum err check_url(const struct config_row *row, const char *text,
                          char why[CONFIG_WHY_BYTES])
{
    const char *end = strstr(text, "://");
    const char *schemes = row->min;

    while (end && end[3] && *schemes) {
        size_t n = strcspn(schemes, ",");
        if (n == (size_t)(end - text) && memcmp(schemes, text, n) == 0)
            return ERR_OK;
        schemes += n + strspn(schemes + n, ", ");
    }
    return text[0] == '\0' ? ERR_OK
                           : because(why, "must be a URL of one of the schemes %s", row->min);
}

static enum err check_secret(const struct config_row *row, const char *text,
                             char why[CONFIG_WHY_BYTES])
{
    int64_t bytes = (int64_t)strlen(text), min, max;

    ASSERT(config_parse_count(str_from(row->min), &min) == ERR_OK);
    ASSERT(config_parse_count(str_from(row->max), &max) == ERR_OK);
    if (bytes > 0 && (bytes < min || bytes > max))
        return because(why, "must have %s to %s bytes", row->min, row->max);
    return ERR_OK;
}

static enum err check_text(const char *text, char why[CONFIG_WHY_BYTES])
{
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7F)
            return because(why, "must not hold control characters");
    return str_is_utf8(str_from(text)) ? ERR_OK : because(why, "must be UTF-8");
}

enum err config_value_parse(struct config *config, const struct config_row *row, const char *text,
                            char why[CONFIG_WHY_BYTES])
{
    void *field = (char *)config + row->offset;

    TRY(check_text(text, why));
    if (text[0] == '\0' && row->fallback[0] != '\0')
        return because(why, "must not be empty");
    switch (row->kind) {
    case CONFIG_KIND_DURATION:
    case CONFIG_KIND_BYTES:
    case CONFIG_KIND_COUNT:
        return set_number(row, text, field, why);
    case CONFIG_KIND_BOOL:
        return set_bool(text, field, why);
    case CONFIG_KIND_ENUM:
        return set_enum(row, text, field, why);
    case CONFIG_KIND_ADDRESS:
        return set_address(text, field, why);
    case CONFIG_KIND_URL:
        TRY(check_url(row, text, why));
        break;
    case CONFIG_KIND_SECRET:
        TRY(check_secret(row, text, why));
        break;
    case CONFIG_KIND_STRING:
    case CONFIG_KIND_PATH:
        break;
    }
    *(const char **)field = text;
    return ERR_OK;
}

static void format_number(struct buf *buf, const struct unit *unit, int64_t value)
{
    while (unit[1].suffix && (value == 0 || value % unit->scale != 0))
        unit++;
    buf_int(buf, value / unit->scale);
    buf_str_append(buf, str_from(unit->suffix));
}

void config_value_format(struct buf *buf, const struct config *config, const struct config_row *row)
{
    const void *field = (const char *)config + row->offset;
    const struct config_address *address = field;
    unsigned value;

    switch (row->kind) {
    case CONFIG_KIND_DURATION:
    case CONFIG_KIND_BYTES:
    case CONFIG_KIND_COUNT:
        format_number(buf, units_of(row->kind), *(const int64_t *)field);
        break;
    case CONFIG_KIND_BOOL:
        buf_str_append(buf, *(const bool *)field ? STR("on") : STR("off"));
        break;
    case CONFIG_KIND_ENUM:
        memcpy(&value, field, sizeof value);
        buf_str_append(buf, str_from(row->names[value]));
        break;
    case CONFIG_KIND_ADDRESS:
        if (address->host[0])
            buf_printf(buf, strchr(address->host, ':') ? "[%s]:%u" : "%s:%u", address->host,
                       (unsigned)address->port);
        break;
    case CONFIG_KIND_STRING:
    case CONFIG_KIND_PATH:
    case CONFIG_KIND_URL:
    case CONFIG_KIND_SECRET:
        buf_str_append(buf, str_from(*(const char *const *)field));
        break;
    }
}
