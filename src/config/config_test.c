// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"

#define WORDS_MAX 12

/* What is put on the command line and in the environment; `file` becomes `--config FILE`. */
struct given {
    const char *words[WORDS_MAX], *environment[4], *file;
};

static char file_path[] = "/tmp/doorbuster-config-XXXXXX";

static int make_file_path(void **state)
{
    (void)state;
    int fd = mkstemp(file_path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(file_path);
}

static void write_file(struct str text)
{
    FILE *f = fopen(file_path, "we");

    assert_non_null(f);
    assert_int_equal(fwrite(text.ptr, 1, text.len, f), text.len);
    assert_int_equal(fclose(f), 0);
}

static enum err load(const struct given *given, struct config *config, struct config_flag *flags,
                     size_t positionals_max, struct config_error *error)
{
    char *argv[WORDS_MAX + 2], *environment[5];
    int argc = 0, n = 0;

    while (given->words[argc]) {
        argv[argc] = (char *)(uintptr_t)given->words[argc];
        argc++;
    }
    if (given->file) {
        write_file(str_from(given->file));
        argv[argc++] = (char *)(uintptr_t) "--config";
        argv[argc++] = file_path;
    }
    for (; n < 4 && given->environment[n]; n++)
        environment[n] = (char *)(uintptr_t)given->environment[n];
    environment[n] = NULL;
    return config_load(config, argc, argv, environment, flags, positionals_max, error);
}

/* Every row's default, minimum and maximum are values it takes; keys are unique and well-formed. */
static void test_rows(void **state)
{
    static const struct {
        const char *key, *values[5];
        bool range;
    } rows[] = {
#define RANGE_DURATION true
#define RANGE_BYTES true
#define RANGE_COUNT true
#define RANGE_BOOL false
#define RANGE_ENUM false
#define RANGE_STRING false
#define RANGE_PATH false
#define RANGE_URL false
#define RANGE_SECRET false
#define RANGE_ADDRESS false
#define OPT(kind, field, key, fallback, local, test, min, max, help) \
    { key, { fallback, local, test, min, max }, RANGE_##kind },
#include "config/options.def"
#undef OPT
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        for (size_t v = 0; v < (rows[i].range ? 5 : 3); v++) {
            struct config config;
            struct config_error error;
            char assignment[256];
            if (!rows[i].values[v])
                continue;
            snprintf(assignment, sizeof assignment, "%s=%s", rows[i].key, rows[i].values[v]);
            struct given given = { .words = { "--set", assignment } };
            if (load(&given, &config, NULL, 0, &error) != ERR_OK)
                fail_msg("%s: %s", assignment, error.text);
            config_fini(&config);
        }
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(rows[i].key, rows[j].key);
}

static const struct {
    struct given given;
    const char *error; /* part of the sentence */
} bad[] = {
    { { .words = { "--listn", "1" } }, "did you mean \"--listen\"" },
    { { .words = { "--zzzzzzzzzzz" } }, "no flag \"--zzzzzzzzzzz\"" },
    { { .words = { "--listen" } }, "--listen needs a value" },
    { { .words = { "--listen=nonsense" } }, "listen must be an address" },
    { { .words = { "--listen", "127.0.0.1" } }, "must be an address" },
    { { .words = { "--listen", "127.0.0.1:" } }, "must be an address" },
    { { .words = { "--listen", "127.0.0.1:65536" } }, "must be an address" },
    { { .words = { "--listen", "127.0.0.1:080" } }, "must be an address" },
    { { .words = { "--listen", "::1:80" } }, "must be an address" },
    { { .words = { "--listen", "example.com:80" } }, "must be an address" },
    { { .words = { "--listen", ":80" } }, "must be an address" },
    { { .words = { "--set", "pool.max" } }, "--set needs key=value" },
    { { .words = { "--set", "http.idle_timout=1s" } }, "did you mean \"http.idle_timeout\"" },
    { { .words = { "--set", "idle_timeout=1s" } }, "did you mean \"http.idle_timeout\"" },
    { { .words = { "--set", "=1s" } }, "no option \"\"" },
    { { .words = { "--set", "http.idle_timeout=" } }, "must not be empty" },
    { { .words = { "--set", "http.idle_timeout=60" } }, "must be a duration" },
    { { .words = { "--set", "http.idle_timeout=-60s" } }, "must be a duration" },
    { { .words = { "--set", "http.idle_timeout= 60s" } }, "must be a duration" },
    { { .words = { "--set", "http.idle_timeout=060s" } }, "must be a duration" },
    { { .words = { "--set", "http.idle_timeout=60 s" } }, "must be a duration" },
    { { .words = { "--set", "http.idle_timeout=9223372036854775807h" } }, "must be a duration" },
    { { .words = { "--set", "http.idle_timeout=2h" } }, "between 10ms and 1h, not \"2h\"" },
    { { .words = { "--set", "http.body_bytes_max=17M" } }, "between 1K and 16M" },
    { { .words = { "--set", "http.body_bytes_max=1k" } }, "must be a size" },
    { { .words = { "--threads", "65" } }, "between 0 and 64" },
    { { .words = { "--threads", "1.5" } }, "must be a number" },
    { { .words = { "--threads", "99999999999999999999" } }, "must be a number" },
    { { .words = { "--profile", "production" } }, "one of local test prod, not \"production\"" },
    { { .words = { "--profile", "" } }, "profile must not be empty" },
    { { .words = { "--data", "" } }, "data must not be empty" },
    { { .words = { "--listen", "" } }, "listen must not be empty" },
    { { .words = { "--log", "xml" } }, "one of json text" },
    { { .words = { "--set", "users.external=maybe" } }, "on or off" },
    { { .words = { "--set", "payment.gateway=cash" } }, "one of none mock http, not \"cash\"" },
    { { .words = { "--set", "auth.secret=short" } }, "auth.secret must have 32 to 1024 bytes" },
    { { .words = { "--redis", "http://x" } }, "one of the schemes redis, rediss" },
    { { .words = { "--redis", "redis://" } }, "one of the schemes" },
    { { .words = { "--postgres", "host=x password=y" } }, "one of the schemes" },
    { { .words = { "--data", "a\nb" } }, "control characters" },
    { { .words = { "--data", "a\xFF" } }, "UTF-8" },
    { { .words = { "7" } }, "\"7\" is one word too many" },
    { { .words = { "--config", "/nonexistent/x" } }, "cannot read /nonexistent/x: No such file" },
    { { .words = { "--config", "/" } }, "cannot read /: Is a directory" },
    { { .environment = { "DOORBUSTER_LISTN=1" } }, "did you mean DOORBUSTER_LISTEN?" },
    { { .environment = { "DOORBUSTER_QQQQQQQQQQQQQ=1" } }, "no option DOORBUSTER_QQQQQQQQQQQQQ" },
    { { .environment = { "DOORBUSTER_THREADS=x" } }, "environment: DOORBUSTER_THREADS must be" },
    { { .file = "threads = 2\nthreds = 3\n" },
      ":2: no option \"threds\": did you mean \"threads\"" },
    { { .file = "\n\n[http]\nidle_timeout = 2h\n" }, ":4: http.idle_timeout must be between" },
    { { .file = "[http]\nidle = 2h\n" }, ":2: no option \"http.idle\"" },
    { { .file = "threads = 2\nthreads = 2\n" }, ":2: \"threads\" is already in line 1" },
    { { .file = "threads = 2\n   3\n" }, ":2: must be \"key = value\"" },
    { { .file = "threads\n" }, ":1: must be \"key = value\"" },
    { { .file = "[http\nidle_timeout = 1s\n" }, ":1: must be" },
    { { .file =
            "data = "
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" },
      ":1: a line has at most" },
};

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct config config;
        struct config_error error;
        enum err err = load(&bad[i].given, &config, NULL, 0, &error);
        if (err != ERR_INVALID || !strstr(error.text, bad[i].error))
            fail_msg("row %zu: wanted '%s', got %s '%s'", i, bad[i].error, err_name(err),
                     error.text);
        config_fini(&config);
    }
}

static void test_secret_stays_secret(void **state)
{
    static const struct given given = { .words = { "--set", "auth.secret=pssst" } };
    static const struct given url = { .words = { "--redis", "rdis://user:pssst@host" } };
    struct config config;
    struct config_error error;

    (void)state;
    assert_int_equal(load(&given, &config, NULL, 0, &error), ERR_INVALID);
    assert_null(strstr(error.text, "pssst"));
    config_fini(&config);
    assert_int_equal(load(&url, &config, NULL, 0, &error), ERR_INVALID);
    assert_null(strstr(error.text, "pssst"));
    config_fini(&config);
}

static void test_precedence(void **state)
{
    static const struct {
        struct given given;
        int64_t idle_ms;
        enum config_source source;
    } rows[] = {
        { { .words = { NULL } }, 60000, CONFIG_FROM_DEFAULT },
        { { .file = "http.idle_timeout = 1s" }, 1000, CONFIG_FROM_FILE },
        { { .file = "[http]\r\n  idle_timeout: 1s ; so\r\n" }, 1000, CONFIG_FROM_FILE },
        { { .file = "\xEF\xBB\xBF# c\nhttp.idle_timeout=1s",
            .environment = { "DOORBUSTER_HTTP_IDLE_TIMEOUT=2s" } },
          2000,
          CONFIG_FROM_ENVIRONMENT },
        { { .words = { "--set", "http.idle_timeout=3s" },
            .file = "http.idle_timeout = 1s",
            .environment = { "DOORBUSTER_HTTP_IDLE_TIMEOUT=2s" } },
          3000,
          CONFIG_FROM_FLAG },
        { { .words = { "--set", "http.idle_timeout=3s", "--set=http.idle_timeout=4s" } },
          4000,
          CONFIG_FROM_FLAG },
        /* what loses may be wrong */
        { { .words = { "--set", "http.idle_timeout=3s" }, .file = "http.idle_timeout = x" },
          3000,
          CONFIG_FROM_FLAG },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct config config;
        struct config_error error;
        if (load(&rows[i].given, &config, NULL, 0, &error) != ERR_OK)
            fail_msg("row %zu: %s", i, error.text);
        assert_int_equal(config.http_idle_timeout_ms, rows[i].idle_ms);
        assert_int_equal(config_source(&config, CONFIG_http_idle_timeout_ms), rows[i].source);
        config_fini(&config);
    }
}

static void test_values(void **state)
{
    static const struct given given = {
        .words = { "--profile=local", "--listen", "[::1]:0", "--data", "/d", "--redis",
                   "redis+sentinel://u:p@a:1,b:2/mymaster", "--threads", "7", "--log", "json" },
        .environment = { "DOORBUSTER_SERVICE_HOST=10.0.0.1", "DOORBUSTER_PORT_80_TCP=tcp://x",
                         "DOORBUSTER_OPS_LISTEN=localhost:9090", "OTHER=1" },
        .file = "auth.secret = 0123456789abcdef0123456789abcdef\nusers.external = yes\n",
    };
    struct config config;
    struct config_error error;

    (void)state;
    assert_int_equal(load(&given, &config, NULL, 0, &error), ERR_OK);
    assert_int_equal(config.profile, CONFIG_LOCAL);
    assert_string_equal(config.listen.host, "::1");
    assert_int_equal(config.listen.port, 0);
    assert_string_equal(config.ops_listen.host, "127.0.0.1");
    assert_int_equal(config.ops_listen.port, 9090);
    assert_string_equal(config.data, "/d");
    assert_string_equal(config.redis, "redis+sentinel://u:p@a:1,b:2/mymaster");
    assert_string_equal(config.postgres, "");
    assert_string_equal(config.auth_secret, "0123456789abcdef0123456789abcdef");
    assert_int_equal(config.threads, 7);
    assert_int_equal(config.log_format, LOG_JSON);
    assert_int_equal(config.payment_gateway, CONFIG_GATEWAY_MOCK);
    assert_int_equal(config.charge_max, 1000000000000);
    assert_true(config.users_external);
    config_fini(&config);
}

/* A store's stamp fills what nobody gave, and the defaults of its profile follow. */
static void test_profiles(void **state)
{
    static const struct given nothing = { .words = { NULL } };
    static const struct given said = { .words = { "--profile", "prod" },
                                       .file = "log.format = text\nshop.time_zone = UTC" };
    struct config config;
    struct config_error error;

    (void)state;
    assert_int_equal(load(&nothing, &config, NULL, 0, &error), ERR_OK);
    assert_int_equal(config.profile, CONFIG_PROD);
    assert_int_equal(config.payment_gateway, CONFIG_GATEWAY_UNSET);
    assert_int_equal(config.log_format, LOG_JSON);
    assert_true(config.threads >= 1 && config.threads <= 64);
    assert_int_equal(config_stamp(&config, "local", "Europe/Berlin", &error), ERR_OK);
    assert_int_equal(config.profile, CONFIG_LOCAL);
    assert_int_equal(config_source(&config, CONFIG_profile), CONFIG_FROM_STORE);
    assert_int_equal(config_source(&config, CONFIG_log_format), CONFIG_FROM_PROFILE);
    assert_string_equal(config.shop_time_zone, "Europe/Berlin");
    assert_int_equal(config.log_format, LOG_TEXT);
    assert_int_equal(config.payment_gateway, CONFIG_GATEWAY_MOCK);
    assert_int_equal(config_stamp(&config, "nonsense", "UTC", &error), ERR_INVALID);
    assert_non_null(strstr(error.text, "the store's stamp: profile must be one of"));
    config_fini(&config);

    assert_int_equal(load(&said, &config, NULL, 0, &error), ERR_OK);
    assert_int_equal(config_stamp(&config, "local", "Europe/Berlin", &error), ERR_OK);
    assert_int_equal(config.profile, CONFIG_PROD);
    assert_string_equal(config.shop_time_zone, "UTC");
    config_fini(&config);
}

static void test_verb_flags(void **state)
{
    struct config_flag flags[] = {
        { .name = "--json", .help = "machine-readable" },
        { .name = "--told", .value = "FILE", .help = "who was told what" },
        { .name = "--ttl", .value = "TIME", .help = "life" },
        { .name = NULL },
    };
    static const struct given given = {
        .words = { "7", "--json", "--told=x y", "--data", "d", "-", "--", "--set" },
    };
    static const struct given near = { .words = { "--tolt", "x" } };
    static const struct given valued = { .words = { "--json=1" } };
    static const struct given help = { .words = { "--told", "x", "-h", "--nonsense" } };
    struct config config;
    struct config_error error;

    (void)state;
    assert_int_equal(load(&given, &config, flags, 3, &error), ERR_OK);
    assert_int_equal(config.positional_count, 3);
    assert_string_equal(config.positionals[0], "7");
    assert_string_equal(config.positionals[1], "-");
    assert_string_equal(config.positionals[2], "--set");
    assert_string_equal(flags[0].given, "");
    assert_string_equal(flags[1].given, "x y");
    assert_null(flags[2].given);
    assert_string_equal(config.data, "d");
    config_fini(&config);
    assert_int_equal(load(&near, &config, flags, 0, &error), ERR_INVALID);
    assert_non_null(strstr(error.text, "did you mean \"--told\""));
    config_fini(&config);
    assert_int_equal(load(&valued, &config, flags, 0, &error), ERR_INVALID);
    assert_string_equal(error.text, "--json takes no value");
    config_fini(&config);
    assert_int_equal(load(&help, &config, flags, 0, &error), ERR_OK);
    assert_true(config.help);
    config_fini(&config);
}

/* What `config --all` prints is a file that says the same, less the secrets. */
static void test_print(void **state)
{
    static const struct given given = {
        .words = { "--profile", "test", "--postgres",
                   "postgresql://me:pssst@db/shop?password=pssst", "--set",
                   "auth.secret=pssst-pssst-pssst-pssst-pssst-pssst", "--set",
                   "http.idle_timeout=90s", "--set", "http.body_bytes_max=65537" },
        .environment = { "DOORBUSTER_THREADS=3" },
    };
    struct config config, again;
    struct config_error error;
    struct buf text = { 0 }, second = { 0 };

    (void)state;
    assert_int_equal(load(&given, &config, NULL, 0, &error), ERR_OK);
    config_print(&text, &config, true);
    buf_char(&text, '\0');
    assert_null(strstr(text.ptr, "pssst"));
    assert_non_null(strstr(text.ptr, "\n# auth.secret is set"));
    assert_non_null(strstr(text.ptr, "\npostgres = postgresql://***@db/shop "));
    assert_non_null(strstr(text.ptr, "\nhttp.idle_timeout = 90s              "));
    assert_non_null(strstr(text.ptr, "; DOORBUSTER_THREADS\n"));
    assert_non_null(strstr(text.ptr, "; profile test\n"));
    struct given from_print = { .file = text.ptr };
    assert_int_equal(load(&from_print, &again, NULL, 0, &error), ERR_OK);
    assert_int_equal(again.http_body_bytes_max, 65537);
    assert_int_equal(again.profile, CONFIG_TEST);
    assert_memory_equal(&again.listen, &config.listen, sizeof again.listen);

    config_print(&second, &config, false);
    buf_char(&second, '\0');
    assert_null(strstr(second.ptr, "gate.sweep_after"));
    assert_non_null(strstr(second.ptr, "http.idle_timeout"));
    assert_non_null(strstr(second.ptr, "more have their default"));
    buf_fini(&text);
    buf_fini(&second);
    config_fini(&config);
    config_fini(&again);
}

static void test_markdown_and_help(void **state)
{
    static const char *const keys[] = {
#define OPT(kind, field, key, ...) key,
#include "config/options.def"
#undef OPT
    };
    static const struct config_flag flags[] = {
        { .name = "--told", .value = "FILE", .help = "who was told what" }, { .name = NULL }
    };
    struct buf text = { 0 }, help = { 0 };

    (void)state;
    config_markdown(&text);
    buf_char(&text, '\0');
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        char cell[80];
        snprintf(cell, sizeof cell, "\n| `%s` | ", keys[i]);
        if (!strstr(text.ptr, cell))
            fail_msg("no row of %s", keys[i]);
    }
    assert_non_null(strstr(text.ptr, "`DOORBUSTER_GATE_SWEEP_AFTER`"));
    config_help(&help, "doorbuster prove COUPON_ID", flags, true);
    buf_char(&help, '\0');
    assert_non_null(strstr(help.ptr, "usage: doorbuster prove COUPON_ID\n\n  --told FILE "));
    assert_non_null(strstr(help.ptr, "\n  --set KEY=VALUE "));
    buf_fini(&text);
    buf_fini(&help);
}

static void test_read_secret(void **state)
{
    struct config_error error;
    struct buf secret = { 0 };

    (void)state;
    write_file(STR("abc def\r\n\n"));
    assert_int_equal(config_read_secret(file_path, &secret, &error), ERR_OK);
    assert_true(str_equal(buf_str(&secret), STR("abc def")));
    buf_fini(&secret);
    assert_int_equal(config_read_secret("/dev/zero", &secret, &error), ERR_INVALID);
    assert_non_null(strstr(error.text, "larger than 4096 bytes"));
    buf_fini(&secret);
    assert_int_equal(config_read_secret("/nonexistent", &secret, &error), ERR_INVALID);
    buf_fini(&secret);
}

static void test_no_memory(void **state)
{
    static const struct given given = {
        .words = { "--profile", "test", "--set", "http.idle_timeout=90s" },
        .environment = { "DOORBUSTER_THREADS=3" },
        .file = "auth.secret = 0123456789abcdef0123456789abcdef\ndata = /x\n",
    };
    long live = mem_live_count();
    int hits = 1;

    (void)state;
    for (int after = 0; hits > 0; after++) {
        struct config config;
        struct config_error error;
        mem_fault_set(after);
        enum err err = load(&given, &config, NULL, 0, &error);
        hits = mem_fault_hits();
        mem_fault_set(-1);
        assert_int_equal(err, hits > 0 ? ERR_NOMEM : ERR_OK);
        config_fini(&config);
        assert_int_equal(mem_live_count(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_secret_stays_secret),
        cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_profiles),
        cmocka_unit_test(test_verb_flags),
        cmocka_unit_test(test_print),
        cmocka_unit_test(test_markdown_and_help),
        cmocka_unit_test(test_read_secret),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests_name("config", tests, make_file_path, remove_file);
}
